-- How far each client's log is exported to a sink, such as a stream of NATS. Written with every batch.
create table exports (
    sink      text collate "C" not null,
    client_id uuid not null references clients (id) on delete cascade,
    cursor    bigint not null,
    primary key (sink, client_id)
) with (fillfactor = 70);
