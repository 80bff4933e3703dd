-- Home energy management systems: what belongs together at a site of a vendor account, and what the
-- vendor recorded of it.

-- site: what the vendor calls it. members: its devices, a JSON list.
create table hem_systems (
    id         blob primary key,
    client_id  blob not null,
    user_id    text not null,
    account_id blob not null references accounts (id) on delete cascade,
    site       text not null,
    found_at   integer not null,
    version    integer not null,
    members    text not null,
    document   text not null,
    unique (account_id, site)
) strict, without rowid;
create index hem_systems_by_client on hem_systems (client_id, found_at, id);
create index hem_systems_by_user on hem_systems (client_id, user_id, found_at, id);

-- period: 2026-03-02, a day by the quarter hour, or 2026-03, a month by the day, in the calendar of
-- time_zone. series: a JSON object of lists.
create table hem_histories (
    hem_system_id blob not null references hem_systems (id) on delete cascade,
    period        text not null,
    time_zone     text not null,
    series        text not null,
    fetched_at    integer not null,
    is_final      integer not null,
    primary key (hem_system_id, period)
) strict, without rowid;
