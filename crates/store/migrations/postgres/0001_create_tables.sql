-- The first schema: everything an installation keeps. The same tables as on SQLite, and the same
-- names, where nothing speaks against it; what differs says why.
--
-- Times are milliseconds since 1970, documents are JSON in text: the database never looks inside,
-- and jsonb would parse and rearrange at every write what nobody asks about. Text that is compared
-- or ordered has the collation "C": byte by byte, on every machine alike.
--
-- Whatever belongs to an account carries its partition. What belongs to a client begins its key
-- with the client, so that engines that spread tables over machines can keep it together.
--
-- A fill factor below 100 leaves room in each page for the next version of a row. Where a table
-- lives by updates that touch no indexed column, new versions stay in their page and no index is
-- written.

-- 256 rows, each read and locked by every commit of its partition.
create table partitions (
    partition smallint primary key,
    fence     bigint not null
) with (fillfactor = 70);
insert into partitions (partition, fence) select number, 0 from generate_series(0, 255) number;

create table settings (
    name  text collate "C" primary key,
    value text not null
);

-- What a health check writes to.
create table write_checks (
    id   bigint primary key check (id = 1),
    done bigint not null
) with (fillfactor = 70);
insert into write_checks (id, done) values (1, 0);

create table clients (
    id               uuid primary key,
    name             text not null,
    created_at       bigint not null,
    connection_limit bigint,
    secret_hash      text not null
);

create table tokens (
    hash       bytea primary key,
    client_id  uuid not null references clients (id) on delete cascade,
    expires_at bigint not null
);
-- Revoking all tokens of a client.
create index tokens_by_client on tokens (client_id);
-- Forgetting expired ones.
create index tokens_by_expiry on tokens (expires_at);

create table users (
    client_id  uuid not null references clients (id) on delete cascade,
    id         text collate "C" not null,
    created_at bigint not null,
    primary key (client_id, id)
);
-- Pages of users.
create index users_by_age on users (client_id, created_at, id);

-- is_done and waiting_for repeat what the state says: whether it is over, and the account whose
-- device is waited for.
create table link_sessions (
    id           uuid primary key,
    token_hash   bytea not null unique,
    client_id    uuid not null,
    user_id      text collate "C" not null,
    scopes       text not null,
    language     text not null,
    redirect_uri text not null,
    color_scheme text not null,
    vendor       text,
    kind         text,
    relink       uuid,
    created_at   bigint not null,
    expires_at   bigint not null,
    state        text not null,
    is_done      boolean not null,
    waiting_for  uuid,
    progress     text not null,
    foreign key (client_id, user_id) references users (client_id, id) on delete cascade
);
-- Deleting a user.
create index link_sessions_by_user on link_sessions (client_id, user_id);
-- Forgetting those that ended.
create index link_sessions_by_expiry on link_sessions (expires_at);
-- The newest session that waits for the device of an account.
create index link_sessions_waiting on link_sessions (waiting_for, created_at, id)
    where waiting_for is not null;

-- listed_at moves with every listing of devices.
create table accounts (
    id                  uuid primary key,
    partition           smallint not null,
    client_id           uuid not null,
    user_id             text collate "C" not null,
    integration         text collate "C" not null,
    vendor_account_id   text collate "C" not null,
    linked              text not null,
    scopes              text not null,
    status              text collate "C" not null,
    created_at          bigint not null,
    listed_at           bigint,
    credentials_version bigint not null,
    foreign key (client_id, user_id) references users (client_id, id) on delete cascade
) with (fillfactor = 80);
-- The accounts of a client or a user; deleting a user.
create index accounts_by_user on accounts (client_id, user_id);
-- The accounts behind a push of a vendor.
create index accounts_by_vendor_account on accounts (vendor_account_id, integration);
-- Counting the accounts in trouble, every few seconds: only those are in the index, so writes of
-- others do not touch it. `status` holds JSON, so the word has its quotes.
create index accounts_troubled on accounts (integration, status) where status <> '"active"';

create table account_credentials (
    account_id uuid primary key references accounts (id) on delete cascade,
    sealed     bytea not null,
    version    bigint not null
);

-- Apart from the accounts, because it is written after every fetch.
create table account_schedules (
    account_id uuid primary key references accounts (id) on delete cascade,
    schedule   text not null
) with (fillfactor = 70);

-- An update changes version, document and stamps, none of which is in an index.
create table devices (
    id               uuid primary key,
    partition        smallint not null,
    client_id        uuid not null,
    user_id          text collate "C" not null,
    account_id       uuid not null references accounts (id) on delete cascade,
    kind             text collate "C" not null,
    vendor_device_id text collate "C" not null,
    vendor           text collate "C" not null,
    linked_at        bigint not null,
    version          bigint not null,
    document         text not null,
    stamps           text not null
) with (fillfactor = 80);
-- The devices of an account; no two under one name.
create unique index devices_by_account on devices (account_id, kind, vendor_device_id);
-- Pages of devices of a client,
create index devices_by_age on devices (client_id, kind, linked_at, id);
-- and of a user.
create index devices_by_user on devices (client_id, user_id, kind, linked_at, id);

-- What moves at every fetch, in narrow rows of its own. is_active, told and is_reachable repeat
-- what document and stamps say, so that a starting server need not read those.
create table device_presence (
    device_id       uuid primary key references devices (id) on delete cascade,
    last_seen       bigint not null,
    fetched_at      bigint,
    is_active       boolean not null,
    is_reachable    boolean,
    is_asleep       boolean not null,
    missed_listings bigint not null,
    told            text not null
) with (fillfactor = 70);

create table budgets (
    key          text collate "C" primary key,
    window_start bigint not null,
    spent        bigint not null
) with (fillfactor = 70);

create table age_hours (
    client_id uuid not null references clients (id) on delete cascade,
    hour      bigint not null,
    vendor    text collate "C" not null,
    kind      text collate "C" not null,
    block     text collate "C" not null,
    tally     text not null,
    primary key (client_id, hour, vendor, kind, block)
) with (fillfactor = 70);
-- Reports over all clients; forgetting old hours.
create index age_hours_by_time on age_hours (hour);

-- A breach outlives its device, but not its user.
create table age_breaches (
    device_id        uuid not null,
    block            text collate "C" not null,
    began            bigint not null,
    client_id        uuid not null,
    user_id          text collate "C" not null,
    vendor           text collate "C" not null,
    kind             text collate "C" not null,
    confirmed_at     bigint not null,
    ended            bigint,
    target_seconds   bigint not null,
    interval_seconds bigint not null,
    reason           text collate "C" not null,
    outcome          text,
    primary key (device_id, block, began),
    foreign key (client_id, user_id) references users (client_id, id) on delete cascade
);
-- Reports of a client.
create index age_breaches_by_time on age_breaches (client_id, began);
-- Deleting a user.
create index age_breaches_by_user on age_breaches (client_id, user_id);
-- What a starting server reads.
create index age_breaches_open on age_breaches (client_id) where ended is null;
-- Forgetting those that ended.
create index age_breaches_by_end on age_breaches (ended);

-- Until when all time is counted: what comes after it was not, if the server died.
create table age_clock (
    id            bigint primary key check (id = 1),
    counted_until bigint
) with (fillfactor = 70);
insert into age_clock (id, counted_until) values (1, null);

-- The log as each client sees it. Its positions are given out by this row, and by no counter of
-- all clients: whoever appends holds the row until the commit, so positions become visible in
-- their order, and clients do not wait for each other.
--
-- kept_from: events before this position were dropped. slice, slice_from: where the client's
-- newest event is, and its first position there. newest_at: when that event was made.
create table log_heads (
    client_id  uuid primary key references clients (id) on delete cascade,
    position   bigint not null,
    kept_from  bigint not null,
    slice      bigint not null,
    slice_from bigint not null,
    newest_at  bigint not null
) with (fillfactor = 70);

-- The partitions of the events, one after the other as they were begun. day: days since 1970, in
-- UTC.
create table event_slices (
    slice bigint generated always as identity primary key,
    day   bigint not null
);

-- Where the positions of a client are: a reader goes to the partitions that hold what it wants,
-- and to no others; dropping one tells from where on each client's log is kept.
create table log_slices (
    client_id      uuid not null references clients (id) on delete cascade,
    first_position bigint not null,
    slice          bigint not null references event_slices (slice) on delete cascade,
    primary key (client_id, first_position)
);
-- The clients that have events in a slice.
create index log_slices_by_slice on log_slices (slice, client_id);

-- Partitions are named events_<slice> and made while the server runs. That the slice is part of
-- the key is asked for by the engine; within a partition it is always the same.
create table events (
    slice          bigint not null,
    client_id      uuid not null,
    position       bigint not null,
    id             uuid not null,
    user_id        text collate "C" not null,
    device_id      uuid,
    device_version bigint,
    name           text not null,
    created_at     bigint not null,
    lane_hash      bigint not null,
    body           text not null,
    -- The readers of a client's log.
    primary key (client_id, position, slice)
) partition by list (slice);
-- Erasing a user's events.
create index events_by_user on events (client_id, user_id);

create table webhooks (
    id                    uuid primary key,
    client_id             uuid not null references clients (id) on delete cascade,
    url                   text collate "C" not null,
    sealed_secret         text not null,
    events                text not null,
    api_version           text,
    authentication_header text,
    authentication_value  text,
    is_active             boolean not null,
    last_success          bigint not null,
    created_at            bigint not null,
    lanes                 bigint not null
) with (fillfactor = 80);
-- No two webhooks of a client go to one address.
create unique index webhooks_by_url on webhooks (client_id, url);
-- Pages of webhooks.
create index webhooks_by_age on webhooks (client_id, created_at, id);

-- Written with every delivery.
create table webhook_lanes (
    webhook_id      uuid not null references webhooks (id) on delete cascade,
    lane            bigint not null,
    cursor          bigint not null,
    delivery_id     uuid,
    delivery_until  bigint,
    attempts        bigint,
    failing_since   bigint,
    next_attempt_at bigint,
    primary key (webhook_id, lane)
) with (fillfactor = 70);

create table delivery_attempts (
    number      bigint generated always as identity primary key,
    webhook_id  uuid not null references webhooks (id) on delete cascade,
    delivery_id uuid not null,
    attempt     bigint not null,
    at          bigint not null,
    duration_ms bigint not null,
    events      bigint not null,
    status      bigint,
    error       text
);
-- The newest attempts of a webhook.
create index delivery_attempts_by_webhook on delivery_attempts (webhook_id, number);
-- Forgetting old ones.
create index delivery_attempts_by_time on delivery_attempts (at);
