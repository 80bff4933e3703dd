-- Accounts that are not fetched are counted every few seconds, for those who watch an installation.
-- There are few of them, so an index of just those makes that cheap, and writes of others do not
-- touch it. `status` holds JSON, so the word has its quotes.
create index accounts_troubled on accounts (integration, status) where status <> '"active"';
