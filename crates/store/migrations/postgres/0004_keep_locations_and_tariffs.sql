-- Places of end users, what energy costs there, and what has still to follow from a change of them.
-- The same tables as on SQLite.

create table locations (
    id         uuid primary key,
    client_id  uuid not null,
    user_id    text collate "C" not null,
    name       text not null,
    latitude   double precision not null,
    longitude  double precision not null,
    time_zone  text collate "C" not null,
    created_at bigint not null,
    currency   text collate "C",
    price_area text collate "C",
    foreign key (client_id, user_id) references users (client_id, id) on delete cascade
);
-- Pages of Locations, of a client and of a user; deleting a user.
create index locations_by_age on locations (client_id, created_at, id);
create index locations_by_user on locations (client_id, user_id, created_at, id);

-- Locations that came, moved or went, written with the change itself: their users' devices are
-- placed anew some time later by whoever owns the partition, also if a node ends in between.
create table location_changes (
    number      bigint generated always as identity primary key,
    partition   smallint not null,
    client_id   uuid not null,
    user_id     text collate "C" not null,
    location_id uuid not null,
    foreign key (client_id, user_id) references users (client_id, id) on delete cascade
);
-- Deleting a user.
create index location_changes_by_user on location_changes (client_id, user_id);

-- Every version of a tariff's rates from its moment on: what was consumed before keeps its price.
create table tariff_versions (
    client_id uuid not null references clients (id) on delete cascade,
    tariff_id text collate "C" not null,
    since     bigint not null,
    rates     text not null,
    primary key (client_id, tariff_id, since)
);

-- Which tariff hung at a Location from a moment on, at which hours of the week.
create table location_tariffs (
    location_id uuid not null references locations (id) on delete cascade,
    since       bigint not null,
    tariff_id   text collate "C" not null,
    intervals   text not null,
    primary key (location_id, since)
);

-- Apart from the clients, so that it can be absent.
create table client_pricing (
    client_id uuid primary key references clients (id) on delete cascade,
    currency  text collate "C" not null
);

-- Prices of markets: of one source no two at the same time in an area.
create table market_prices (
    client_id   uuid not null references clients (id) on delete cascade,
    area        text collate "C" not null,
    source      text collate "C" not null,
    starts_at   bigint not null,
    ends_at     bigint not null,
    per_kwh     text collate "C" not null,
    currency    text collate "C" not null,
    received_at bigint not null,
    primary key (client_id, area, source, starts_at)
);
