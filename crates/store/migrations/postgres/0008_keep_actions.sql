-- Commands to devices and what became of them. An action is JSON that only the rules of actions look
-- into; the columns beside it are what it is found by. The same table as on SQLite.

-- revision: rises with each change, so that of two writers that read the same one wins. ended_at:
-- null while it is pending.
create table actions (
    id         uuid primary key,
    partition  smallint not null,
    client_id  uuid not null,
    user_id    text collate "C" not null,
    account_id uuid not null,
    device_id  uuid not null,
    revision   bigint not null,
    ended_at   bigint,
    action     text not null,
    foreign key (client_id, user_id) references users (client_id, id) on delete cascade
);
-- A device has one pending action at most.
create unique index actions_pending on actions (device_id) where ended_at is null;
-- What the owner of an account or of a partition has to see to.
create index actions_pending_of_account on actions (account_id) where ended_at is null;
create index actions_pending_of_partition on actions (partition) where ended_at is null;
-- What a new action of a device comes after.
create index actions_by_device on actions (device_id, id);
-- Deleting a user; forgetting what is over.
create index actions_by_user on actions (client_id, user_id);
create index actions_by_end on actions (ended_at) where ended_at is not null;
