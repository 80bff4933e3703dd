-- Several nodes on one database: who they are, which partitions each owns, what they leave for each
-- other. Leases are counted by this database's clock alone.

-- owner, incarnation: name and run of the node that owns a partition. expires_at: when its lease
-- ends, if it is not renewed.
alter table partitions add column owner text collate "C";
alter table partitions add column incarnation uuid;
alter table partitions add column expires_at timestamptz not null default '-infinity';

-- seen_at is written at every beat.
create table nodes (
    name        text collate "C" primary key,
    incarnation uuid not null,
    version     text not null,
    address     text not null,
    started_at  bigint not null,
    seen_at     timestamptz not null
) with (fillfactor = 70);

-- What a node leaves for the owner of a partition. Rows live for milliseconds, so the table is
-- vacuumed early.
create table letters (
    number    bigint generated always as identity primary key,
    partition smallint not null,
    body      text not null
) with (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);
-- The letters of an owner, in order.
create index letters_by_partition on letters (partition, number);

-- Where the socket of each charge point ends. number tells it from the one that replaced it.
create table station_sockets (
    station_id  text collate "C" primary key,
    incarnation uuid not null,
    number      bigint not null
) with (fillfactor = 70);

-- What goes with a partition when it changes hands.
alter table budgets add column partition smallint not null default 0;
create index budgets_by_partition on budgets (partition);
alter table age_breaches add column partition smallint not null default 0;
drop index age_breaches_open;
create index age_breaches_open on age_breaches (partition) where ended is null;
drop table age_clock;
create table age_clocks (
    partition     smallint primary key,
    counted_until bigint
) with (fillfactor = 70);
insert into age_clocks (partition) select number from generate_series(0, 255) number;

-- Counts the changes of a webhook's settings, so that a delivery under way does not undo one.
alter table webhooks add column revision bigint not null default 0;

-- Two nodes at which a user links the same account of a vendor must not make two of it.
drop index accounts_by_user;
create unique index accounts_by_user
    on accounts (client_id, user_id, integration, vendor_account_id);
