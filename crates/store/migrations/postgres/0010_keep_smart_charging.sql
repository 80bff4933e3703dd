-- Smart charging of vehicles, and overrides of vehicles and chargers. Both are JSON that only the rules
-- of smart charging look into; the columns beside it are what they are found by. The same tables as
-- on SQLite.

-- revision: rises with each change, so that of two writers that read the same one wins. is_active:
-- the owner has to see to it. claim: which vehicle is charged smartly, while it is, so that no two
-- users of a client drive one. plan_id: its newest plan.
create table smart_charging (
    device_id  uuid primary key references devices (id) on delete cascade,
    partition  smallint not null,
    client_id  uuid not null,
    account_id uuid not null,
    revision   bigint not null,
    is_active  boolean not null,
    claim      text collate "C",
    plan_id    uuid,
    smart      text not null
);
create unique index smart_charging_by_claim on smart_charging (client_id, claim)
    where claim is not null;
-- What the owner of a partition has to see to.
create index smart_charging_active on smart_charging (partition) where is_active;

-- Plans are kept with all that they go by. began_at: when charging was to stop.
create table smart_charging_plans (
    id        uuid primary key,
    device_id uuid not null references smart_charging (device_id) on delete cascade,
    began_at  bigint not null,
    ended_at  bigint,
    plan      text not null
);
create index smart_charging_plans_by_device on smart_charging_plans (device_id, began_at);
