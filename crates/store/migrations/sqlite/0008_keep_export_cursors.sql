-- How far each client's log is exported to a sink, such as a stream of NATS.
create table exports (
    sink      text not null,
    client_id blob not null references clients (id) on delete cascade,
    cursor    integer not null,
    primary key (sink, client_id)
) strict, without rowid;
