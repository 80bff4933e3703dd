-- Schedules of devices, and how far each was carried out. What a schedule wants and what came of it
-- is JSON that only the rules of schedules look into; the columns beside it are what it is found by.
-- The same table as on SQLite.

-- revision: rises with each change, so that of two writers that read the same one wins.
create table schedules (
    id         uuid primary key,
    client_id  uuid not null,
    user_id    text collate "C" not null,
    target_id  uuid not null references devices (id) on delete cascade,
    is_enabled boolean not null,
    created_at bigint not null,
    revision   bigint not null,
    program    text not null,
    execution  text not null,
    foreign key (client_id, user_id) references users (client_id, id) on delete cascade
);
-- A device is driven by one schedule at most.
create unique index schedules_enabled on schedules (target_id) where is_enabled;
-- What a device is to be judged by; what goes with it.
create index schedules_by_target on schedules (target_id, id);
-- Pages of schedules of a user; what goes with them.
create index schedules_by_user on schedules (client_id, user_id, created_at, id);
