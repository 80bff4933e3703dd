-- What vendors recorded of the production of inverters, and when each inverter is to be asked about
-- again.

-- period: 2026-03-02, a day by the quarter hour, or 2026-03, a month by the day, in the calendar of
-- time_zone. kwh: a JSON list; null if there is no record of the period.
create table production (
    device_id  blob not null references devices (id) on delete cascade,
    period     text not null,
    time_zone  text not null,
    kwh        text,
    fetched_at integer not null,
    is_final   integer not null,
    primary key (device_id, period)
) strict, without rowid;

create table production_schedules (
    device_id   blob primary key references devices (id) on delete cascade,
    integration text not null,
    next_at     integer not null,
    failures    integer not null
) strict, without rowid;
create index production_schedules_by_time on production_schedules (integration, next_at);

-- Inverters that were found before: at once.
insert into production_schedules (device_id, integration, next_at, failures)
select devices.id, integration, 0, 0
from devices join accounts on accounts.id = account_id where kind = 'inverter';
