-- A clock that was wrong for a while leaves slices dated in the future or the past, and days that
-- come twice: slices are told apart, and ordered, by the position at which they begin.

create table event_slices_by_position (
    first_position integer primary key,
    day            integer not null,
    name           text not null unique,
    last_position  integer
) strict;

insert into event_slices_by_position (first_position, day, name, last_position)
select first_position, day, name, last_position from event_slices;

drop table event_slices;
alter table event_slices_by_position rename to event_slices;
