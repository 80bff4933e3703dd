-- Places of end users, what energy costs there, and what has still to follow from a change of them.

create table locations (
    id         blob primary key,
    client_id  blob not null,
    user_id    text not null,
    name       text not null,
    latitude   real not null,
    longitude  real not null,
    time_zone  text not null,
    created_at integer not null,
    currency   text,
    price_area text,
    foreign key (client_id, user_id) references users (client_id, id) on delete cascade
) strict;
create index locations_by_age on locations (client_id, created_at, id);
create index locations_by_user on locations (client_id, user_id, created_at, id);

-- Locations that came, moved or went, written with the change itself: their users' devices are
-- placed anew some time later, also if the program ends in between.
create table location_changes (
    number      integer primary key autoincrement,
    partition   integer not null,
    client_id   blob not null,
    user_id     text not null,
    location_id blob not null,
    foreign key (client_id, user_id) references users (client_id, id) on delete cascade
) strict;
create index location_changes_by_user on location_changes (client_id, user_id);

-- Every version of a tariff's rates from its moment on: what was consumed before keeps its price.
create table tariff_versions (
    client_id blob not null references clients (id) on delete cascade,
    tariff_id text not null,
    since     integer not null,
    rates     text not null,
    primary key (client_id, tariff_id, since)
) strict, without rowid;

-- Which tariff hung at a Location from a moment on, at which hours of the week.
create table location_tariffs (
    location_id blob not null references locations (id) on delete cascade,
    since       integer not null,
    tariff_id   text not null,
    intervals   text not null,
    primary key (location_id, since)
) strict, without rowid;

-- Apart from the clients, so that it can be absent.
create table client_pricing (
    client_id blob primary key references clients (id) on delete cascade,
    currency  text not null
) strict;

-- Prices of markets: of one source no two at the same time in an area.
create table market_prices (
    client_id   blob not null references clients (id) on delete cascade,
    area        text not null,
    source      text not null,
    starts_at   integer not null,
    ends_at     integer not null,
    per_kwh     text not null,
    currency    text not null,
    received_at integer not null,
    primary key (client_id, area, source, starts_at)
) strict, without rowid;
