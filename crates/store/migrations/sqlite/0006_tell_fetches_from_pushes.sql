-- When a device was last fetched: what was only pushed was not told whole, so it says nothing about
-- when the next fetch is due.
alter table device_presence add column fetched_at integer;
