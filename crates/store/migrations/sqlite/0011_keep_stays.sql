-- Where a device was, from when on, until the next row: energy is paid for where it flowed, wherever the
-- device went afterwards. The Location may be gone since; null for none.
create table device_stays (
    device_id   blob not null references energy_devices (id) on delete cascade,
    since       integer not null,
    location_id blob,
    primary key (device_id, since)
) strict, without rowid;
