-- Budgets go with a partition, so that whoever takes one over can take over what was spent there.
-- Only one program at a time can use this database, so the rows of before may be in any.
alter table budgets add column partition integer not null default 0;

-- Counts the changes of a webhook's settings, so that a delivery under way does not undo one.
alter table webhooks add column revision integer not null default 0;
