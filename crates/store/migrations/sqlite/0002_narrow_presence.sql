-- What moves at every fetch goes into narrow rows of its own: written along with the document, it
-- had kilobytes written anew to say that a device was seen.
--
-- is_active repeats what the document says, so that a starting server need not read documents.
create table device_presence (
    device_id       blob primary key references devices (id) on delete cascade,
    last_seen       integer not null,
    is_active       integer not null,
    is_asleep       integer not null,
    missed_listings integer not null
) strict, without rowid;

insert into device_presence (device_id, last_seen, is_active, is_asleep, missed_listings)
select id, last_seen, 0, is_asleep, missed_listings from devices;

alter table devices drop column last_seen;
alter table devices drop column is_asleep;
alter table devices drop column missed_listings;

-- What a starting server reads of all accounts and devices, in the order in which it does.
create index accounts_of_fleet on accounts (id, integration, status, listed_at);
create index devices_of_fleet on devices (id, account_id, kind, vendor_device_id);
