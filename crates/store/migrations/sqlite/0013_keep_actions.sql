-- Commands to devices and what became of them. An action is JSON that only the rules of actions look
-- into; the columns beside it are what it is found by.

-- revision: rises with each change, so that of two writers that read the same one wins. ended_at:
-- null while it is pending.
create table actions (
    id         blob primary key,
    partition  integer not null,
    client_id  blob not null,
    user_id    text not null,
    account_id blob not null,
    device_id  blob not null,
    revision   integer not null,
    ended_at   integer,
    action     text not null,
    foreign key (client_id, user_id) references users (client_id, id) on delete cascade
) strict;
-- A device has one pending action at most.
create unique index actions_pending on actions (device_id) where ended_at is null;
create index actions_pending_of_account on actions (account_id) where ended_at is null;
create index actions_by_device on actions (device_id, id);
create index actions_by_user on actions (client_id, user_id);
create index actions_by_end on actions (ended_at) where ended_at is not null;
