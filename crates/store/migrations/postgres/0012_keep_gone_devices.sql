-- Devices that are gone, for as long as the log is kept: the log says how they were at a moment, and this
-- table that they were there then. document: as it last was.
create table gone_devices (
    device_id uuid not null,
    client_id uuid not null,
    user_id   text collate "C" not null,
    kind      text collate "C" not null,
    linked_at bigint not null,
    gone_at   bigint not null,
    document  text not null,
    primary key (device_id, gone_at)
);
create index gone_devices_by_client on gone_devices (client_id, kind, linked_at, device_id);
create index gone_devices_by_time on gone_devices (gone_at);

-- Erasing a user's events, and finding those of one device: a lane is a hash of the device. It takes the
-- place of the index by user alone, so that an event still goes into two.
drop index events_by_user;
create index events_by_lane on events (client_id, user_id, lane_hash, position);
