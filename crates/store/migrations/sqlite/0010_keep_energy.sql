-- Energy: what was told of power, counters and levels, what flowed by the quarter hour, and charging
-- sessions.

-- Whose history it is. It outlives the device, but not its user.
create table energy_devices (
    id        blob primary key,
    client_id blob not null,
    user_id   text not null,
    kind      text not null
) strict, without rowid;
create index energy_devices_by_user on energy_devices (client_id, user_id, kind);

-- The samples of an hour, as JSON: they are read and written by the piece. Kept for a configured time.
create table sample_hours (
    device_id blob not null references energy_devices (id) on delete cascade,
    hour      integer not null,
    samples   text not null,
    primary key (device_id, hour)
) strict, without rowid;
create index sample_hours_by_time on sample_hours (hour);

-- flow: 0 into the device, 1 out of it. Energy in kWh, power in kW. version: rises when a quarter hour
-- that was over turns out otherwise; restated: why it last did.
create table energy_quarters (
    device_id   blob not null references energy_devices (id) on delete cascade,
    flow        integer not null,
    start       integer not null,
    version     integer not null,
    restated    text,
    kwh         real not null,
    counter_kwh real not null,
    level_kwh   real not null,
    min_kw      real,
    max_kw      real,
    active_ms   integer not null,
    counter_ms  integer not null,
    rate_ms     integer not null,
    level_ms    integer not null,
    bridged_ms  integer not null,
    primary key (device_id, flow, start)
) strict, without rowid;

-- The session itself is JSON, that only the rules of sessions look into.
create table charging_sessions (
    id         blob primary key,
    device_id  blob not null references energy_devices (id) on delete cascade,
    began      integer not null,
    seen_at    integer not null,
    session    text not null
) strict, without rowid;
create index charging_sessions_by_device on charging_sessions (device_id, seen_at);
