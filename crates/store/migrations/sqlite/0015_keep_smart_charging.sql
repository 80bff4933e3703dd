-- Smart charging of vehicles, and overrides of vehicles and chargers. Both are JSON that only the rules
-- of smart charging look into; the columns beside it are what they are found by.

-- revision: rises with each change, so that of two writers that read the same one wins. is_active:
-- the owner has to see to it. claim: which vehicle is charged smartly, while it is, so that no two
-- users of a client drive one. plan_id: its newest plan.
create table smart_charging (
    device_id  blob primary key references devices (id) on delete cascade,
    partition  integer not null,
    client_id  blob not null,
    account_id blob not null,
    revision   integer not null,
    is_active  integer not null,
    claim      text,
    plan_id    blob,
    smart      text not null
) strict;
create unique index smart_charging_by_claim on smart_charging (client_id, claim)
    where claim is not null;
create index smart_charging_active on smart_charging (partition) where is_active = 1;

-- Plans are kept with all that they go by. began_at: when charging was to stop.
create table smart_charging_plans (
    id        blob primary key,
    device_id blob not null references smart_charging (device_id) on delete cascade,
    began_at  integer not null,
    ended_at  integer,
    plan      text not null
) strict;
create index smart_charging_plans_by_device on smart_charging_plans (device_id, began_at);
