-- Energy: what was told of power, counters and levels, what flowed by the quarter hour, and charging
-- sessions.

-- Whose history it is. It outlives the device, but not its user.
create table energy_devices (
    id        uuid primary key,
    client_id uuid not null,
    user_id   text collate "C" not null,
    kind      text collate "C" not null
);
create index energy_devices_by_user on energy_devices (client_id, user_id, kind);

-- The samples of an hour, as JSON: they are read and written by the piece. Partitioned by the day
-- (sample_hours_20261123), made on demand and dropped whole once it is over for a configured time; a
-- foreign key would lock all devices for that.
create table sample_hours (
    device_id uuid not null,
    hour      bigint not null,
    samples   text not null,
    primary key (device_id, hour)
) partition by range (hour);

-- flow: 0 into the device, 1 out of it. Energy in kWh, power in kW. version: rises when a quarter hour
-- that was over turns out otherwise; restated: why it last did.
create table energy_quarters (
    device_id   uuid not null references energy_devices (id) on delete cascade,
    flow        smallint not null,
    start       bigint not null,
    version     bigint not null,
    restated    text,
    kwh         double precision not null,
    counter_kwh double precision not null,
    level_kwh   double precision not null,
    min_kw      double precision,
    max_kw      double precision,
    active_ms   bigint not null,
    counter_ms  bigint not null,
    rate_ms     bigint not null,
    level_ms    bigint not null,
    bridged_ms  bigint not null,
    primary key (device_id, flow, start)
);

-- The session itself is JSON, that only the rules of sessions look into.
create table charging_sessions (
    id         uuid primary key,
    device_id  uuid not null references energy_devices (id) on delete cascade,
    began      bigint not null,
    seen_at    bigint not null,
    session    text not null
);
create index charging_sessions_by_device on charging_sessions (device_id, seen_at);
