-- Freshness, measured: how old data was, by the hour, and when a promise about it was broken.
--
-- The sums are small (clients × hours × vendors × kinds × blocks) and read by time alone; a tally
-- is JSON in text, which only merging in the program looks into.

create table age_hours (
    client_id blob not null references clients (id) on delete cascade,
    hour      integer not null,
    vendor    text not null,
    kind      text not null,
    block     text not null,
    tally     text not null,
    primary key (client_id, hour, vendor, kind, block)
) strict, without rowid;
create index age_hours_by_time on age_hours (hour);

-- A breach outlives its device, but not its user.
create table age_breaches (
    device_id        blob not null,
    block            text not null,
    began            integer not null,
    client_id        blob not null,
    user_id          text not null,
    vendor           text not null,
    kind             text not null,
    confirmed_at     integer not null,
    ended            integer,
    target_seconds   integer not null,
    interval_seconds integer not null,
    reason           text not null,
    outcome          text,
    primary key (device_id, block, began),
    foreign key (client_id, user_id) references users (client_id, id) on delete cascade
) strict, without rowid;
create index age_breaches_by_time on age_breaches (client_id, began);
create index age_breaches_by_user on age_breaches (client_id, user_id);
create index age_breaches_open on age_breaches (client_id) where ended is null;
create index age_breaches_by_end on age_breaches (ended);

-- Until when all time is counted: what comes after it was not, if the server died.
create table age_clock (
    id            integer primary key check (id = 1),
    counted_until integer
) strict;
insert into age_clock (id, counted_until) values (1, null);

-- What the stamps and the document say of ages, beside the rest that a starting server reads.
-- told: when each block was last told, as JSON; null until it is next written.
alter table device_presence add column told text;
alter table device_presence add column is_reachable integer;

drop index accounts_of_fleet;
create index accounts_of_fleet on accounts (id, integration, status, listed_at, client_id);
drop index devices_of_fleet;
create index devices_of_fleet on devices (id, account_id, kind, vendor_device_id, vendor);
