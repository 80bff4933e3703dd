-- Home energy management systems: what belongs together at a site of a vendor account, and what the
-- vendor recorded of it.

-- site: what the vendor calls it. members: its devices, a JSON list.
create table hem_systems (
    id         uuid primary key,
    client_id  uuid not null,
    user_id    text collate "C" not null,
    account_id uuid not null references accounts (id) on delete cascade,
    site       text collate "C" not null,
    found_at   bigint not null,
    version    bigint not null,
    members    text not null,
    document   text not null,
    unique (account_id, site)
);
create index hem_systems_by_client on hem_systems (client_id, found_at, id);
create index hem_systems_by_user on hem_systems (client_id, user_id, found_at, id);

-- period: 2026-03-02, a day by the quarter hour, or 2026-03, a month by the day, in the calendar of
-- time_zone. series: a JSON object of lists.
create table hem_histories (
    hem_system_id uuid not null references hem_systems (id) on delete cascade,
    period        text collate "C" not null,
    time_zone     text not null,
    series        text not null,
    fetched_at    bigint not null,
    is_final      boolean not null,
    primary key (hem_system_id, period)
);
