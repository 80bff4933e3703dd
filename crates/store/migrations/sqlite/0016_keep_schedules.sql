-- Schedules of devices, and how far each was carried out. What a schedule wants and what came of it
-- is JSON that only the rules of schedules look into; the columns beside it are what it is found by.

-- revision: rises with each change, so that of two writers that read the same one wins.
create table schedules (
    id         blob primary key,
    client_id  blob not null,
    user_id    text not null,
    target_id  blob not null references devices (id) on delete cascade,
    is_enabled integer not null,
    created_at integer not null,
    revision   integer not null,
    program    text not null,
    execution  text not null,
    foreign key (client_id, user_id) references users (client_id, id) on delete cascade
) strict;
-- A device is driven by one schedule at most.
create unique index schedules_enabled on schedules (target_id) where is_enabled = 1;
create index schedules_by_target on schedules (target_id, id);
create index schedules_by_user on schedules (client_id, user_id, created_at, id);
