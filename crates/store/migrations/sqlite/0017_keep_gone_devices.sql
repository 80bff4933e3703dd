-- Devices that are gone, for as long as the log is kept: the log says how they were at a moment, and this
-- table that they were there then. document: as it last was.
create table gone_devices (
    device_id blob not null,
    client_id blob not null,
    user_id   text not null,
    kind      text not null,
    linked_at integer not null,
    gone_at   integer not null,
    document  text not null,
    primary key (device_id, gone_at)
) strict, without rowid;
create index gone_devices_by_client on gone_devices (client_id, kind, linked_at, device_id);
create index gone_devices_by_time on gone_devices (gone_at);
