-- The first schema: everything an installation keeps, except the events, whose tables are made
-- one per day while it runs and registered in event_slices.
--
-- Written for two engines: identifiers are 16 bytes, times are milliseconds since 1970, documents
-- are JSON in text. Whatever belongs to an account carries its partition, so that the same keys
-- can spread over machines. What belongs to a client, user, account or webhook goes with it.

create table partitions (
    partition integer primary key,
    fence     integer not null
) strict;

with recursive numbers (number) as (
    select 0 union all select number + 1 from numbers where number < 255
)
insert into partitions (partition, fence) select number, 0 from numbers;

create table settings (
    name  text primary key,
    value text not null
) strict, without rowid;

-- What a health check writes to.
create table write_checks (
    id   integer primary key check (id = 1),
    done integer not null
) strict;
insert into write_checks (id, done) values (1, 0);

create table clients (
    id               blob primary key,
    name             text not null,
    created_at       integer not null,
    connection_limit integer,
    secret_hash      text not null
) strict, without rowid;

create table tokens (
    hash       blob primary key,
    client_id  blob not null references clients (id) on delete cascade,
    expires_at integer not null
) strict, without rowid;
create index tokens_by_client on tokens (client_id);
create index tokens_by_expiry on tokens (expires_at);

create table users (
    client_id  blob not null references clients (id) on delete cascade,
    id         text not null,
    created_at integer not null,
    primary key (client_id, id)
) strict, without rowid;
create index users_by_age on users (client_id, created_at, id);

-- is_done and waiting_for repeat what the state says: whether it is over, and the account whose
-- device is waited for.
create table link_sessions (
    id           blob primary key,
    token_hash   blob not null unique,
    client_id    blob not null,
    user_id      text not null,
    scopes       text not null,
    language     text not null,
    redirect_uri text not null,
    color_scheme text not null,
    vendor       text,
    kind         text,
    relink       blob,
    created_at   integer not null,
    expires_at   integer not null,
    state        text not null,
    is_done      integer not null,
    waiting_for  blob,
    progress     text not null,
    foreign key (client_id, user_id) references users (client_id, id) on delete cascade
) strict;
create index link_sessions_by_user on link_sessions (client_id, user_id);
create index link_sessions_by_expiry on link_sessions (expires_at);
create index link_sessions_waiting on link_sessions (waiting_for, created_at, id)
    where waiting_for is not null;

create table accounts (
    id                  blob primary key,
    partition           integer not null,
    client_id           blob not null,
    user_id             text not null,
    integration         text not null,
    vendor_account_id   text not null,
    linked              text not null,
    scopes              text not null,
    status              text not null,
    created_at          integer not null,
    listed_at           integer,
    credentials_version integer not null,
    foreign key (client_id, user_id) references users (client_id, id) on delete cascade
) strict;
create index accounts_by_user on accounts (client_id, user_id);
create index accounts_by_vendor_account on accounts (vendor_account_id, integration);

create table account_credentials (
    account_id blob primary key references accounts (id) on delete cascade,
    sealed     blob not null,
    version    integer not null
) strict;

-- Apart from the accounts, because it is written after every fetch.
create table account_schedules (
    account_id blob primary key references accounts (id) on delete cascade,
    schedule   text not null
) strict;

create table devices (
    id               blob primary key,
    partition        integer not null,
    client_id        blob not null,
    user_id          text not null,
    account_id       blob not null references accounts (id) on delete cascade,
    kind             text not null,
    vendor_device_id text not null,
    vendor           text not null,
    linked_at        integer not null,
    version          integer not null,
    document         text not null,
    last_seen        integer not null,
    stamps           text not null,
    is_asleep        integer not null,
    missed_listings  integer not null
) strict;
create unique index devices_by_account on devices (account_id, kind, vendor_device_id);
create index devices_by_age on devices (client_id, kind, linked_at, id);
create index devices_by_user on devices (client_id, user_id, kind, linked_at, id);

create table budgets (
    key          text primary key,
    window_start integer not null,
    spent        integer not null
) strict, without rowid;

-- The newest position given to any event: outlives the events, so that none is given twice.
create table log_counter (
    id       integer primary key check (id = 1),
    position integer not null
) strict;
insert into log_counter (id, position) values (1, 0);

-- The log as each client sees it. kept_from: events before this position were dropped.
create table log_heads (
    client_id blob primary key references clients (id) on delete cascade,
    position  integer not null,
    kept_from integer not null
) strict, without rowid;

-- The tables that hold events. day: days since 1970, in UTC. last_position: null while the slice
-- is being written.
create table event_slices (
    day            integer primary key,
    name           text not null unique,
    first_position integer not null,
    last_position  integer
) strict;

create table webhooks (
    id                    blob primary key,
    client_id             blob not null references clients (id) on delete cascade,
    url                   text not null,
    sealed_secret         text not null,
    events                text not null,
    api_version           text,
    authentication_header text,
    authentication_value  text,
    is_active             integer not null,
    last_success          integer not null,
    created_at            integer not null,
    lanes                 integer not null
) strict;
create unique index webhooks_by_url on webhooks (client_id, url);
create index webhooks_by_age on webhooks (client_id, created_at, id);

create table webhook_lanes (
    webhook_id      blob not null references webhooks (id) on delete cascade,
    lane            integer not null,
    cursor          integer not null,
    delivery_id     blob,
    delivery_until  integer,
    attempts        integer,
    failing_since   integer,
    next_attempt_at integer,
    primary key (webhook_id, lane)
) strict, without rowid;

create table delivery_attempts (
    number      integer primary key,
    webhook_id  blob not null references webhooks (id) on delete cascade,
    delivery_id blob not null,
    attempt     integer not null,
    at          integer not null,
    duration_ms integer not null,
    events      integer not null,
    status      integer,
    error       text
) strict;
create index delivery_attempts_by_webhook on delivery_attempts (webhook_id, number);
create index delivery_attempts_by_time on delivery_attempts (at);
