//! Linked accounts, their credentials and schedules.

use std::collections::HashMap;

use livewatt_domain::{
    account::{Account, AccountSchedule},
    id::{AccountId, ClientId, UserId},
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::statement::{
    Columns, Statement, composed, execute, json, query_all, query_one, signed, sql,
};
use crate::{
    error::StoreResult,
    types::{AccountChange, AccountsOf, CredentialsChange, SealedCredentials},
};

const COLUMNS: &str = "accounts.id, client_id, user_id, integration, vendor_account_id, linked, \
                       scopes, status, created_at, listed_at, credentials_version";

pub(super) async fn list(
    connection: &mut PgConnection,
    of: &AccountsOf,
) -> StoreResult<Vec<(Account, AccountSchedule)>> {
    let statement = match of {
        AccountsOf::Everyone => with_schedules("true"),
        AccountsOf::Client(client) => with_schedules("client_id = $1").bind(client.0),
        AccountsOf::User(client, user) => with_schedules("client_id = $1 and user_id = $2")
            .bind(client.0)
            .bind(user.as_str()),
    };
    query_all(connection, statement, decode_with_schedule).await
}

pub(super) async fn find(
    connection: &mut PgConnection,
    id: AccountId,
) -> StoreResult<Option<(Account, AccountSchedule)>> {
    let one = with_schedules("accounts.id = $1").bind(id.0);
    query_one(connection, one, decode_with_schedule).await
}

pub(super) async fn to_fetch(
    connection: &mut PgConnection,
    id: AccountId,
) -> StoreResult<Option<(Account, Option<SealedCredentials>)>> {
    let text = format!(
        "select {COLUMNS}, sealed, version from accounts
         left join account_credentials on account_id = accounts.id
         where accounts.id = $1"
    );
    query_one(connection, composed(text).bind(id.0), |columns| {
        let account = decode(columns)?;
        let sealed: Option<Vec<u8>> = columns.take()?;
        let version = columns.maybe_number()?;
        let credentials = sealed.zip(version);
        Ok((
            account,
            credentials.map(|(sealed, version)| SealedCredentials { sealed, version }),
        ))
    })
    .await
}

pub(super) async fn of_vendor(
    connection: &mut PgConnection,
    integration: &str,
    vendor_account_id: &str,
) -> StoreResult<Vec<Account>> {
    let text = format!(
        "select {COLUMNS} from accounts where vendor_account_id = $1 and integration = $2
         order by created_at, id"
    );
    let all = composed(text).bind(vendor_account_id).bind(integration);
    query_all(connection, all, decode).await
}

pub(super) async fn credentials(
    connection: &mut PgConnection,
    id: AccountId,
) -> StoreResult<Option<SealedCredentials>> {
    let one = sql("select sealed, version from account_credentials where account_id = $1");
    query_one(connection, one.bind(id.0), |columns| {
        Ok(SealedCredentials {
            sealed: columns.take()?,
            version: columns.number()?,
        })
    })
    .await
}

/// Locks accounts that are about to be written or to get devices, and before them the users of
/// those that are saved.
pub(super) async fn lock(
    connection: &mut PgConnection,
    users: &[(ClientId, &UserId)],
    ids: Vec<Uuid>,
) -> StoreResult<HashMap<Uuid, u64>> {
    if !users.is_empty() {
        let lock = sql("select 1 from users
             where (client_id, id) in (select * from unnest($1::uuid[], $2::text[]))
             order by client_id, id for key share")
        .bind(users.iter().map(|(client, _)| client.0).collect::<Vec<_>>())
        .bind(
            users
                .iter()
                .map(|(_, id)| id.to_string())
                .collect::<Vec<_>>(),
        );
        execute(connection, lock).await?;
    }
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let lock = sql(
        "select id, credentials_version from accounts where id = any($1)
                    order by id for update",
    );
    let locked = query_all(connection, lock.bind(ids), |columns| {
        Ok((columns.uuid()?, columns.number()?))
    });
    Ok(locked.await?.into_iter().collect())
}

/// Does all of the changes but deletions.
pub(super) async fn save(
    connection: &mut PgConnection,
    changes: &[&AccountChange],
) -> StoreResult<()> {
    let (mut accounts, mut replaced, mut erased) = (Vec::new(), Vec::new(), Vec::new());
    let mut schedules = Vec::new();
    for change in changes {
        let AccountChange::Save {
            account,
            from_credentials: _,
            credentials,
            schedule,
        } = change
        else {
            continue;
        };
        accounts.push(account);
        match credentials {
            CredentialsChange::Keep => {}
            CredentialsChange::Replace(sealed) => replaced.push((account, sealed)),
            CredentialsChange::Erase => erased.push(account.id.0),
        }
        schedules.extend(schedule.iter().map(|schedule| (account.id, schedule)));
    }
    if !accounts.is_empty() {
        upsert(connection, &accounts).await?;
    }
    if !replaced.is_empty() {
        let insert = sql(
            "insert into account_credentials (account_id, sealed, version)
             select * from unnest($1::uuid[], $2::bytea[], $3::bigint[])
             on conflict (account_id) do update
             set sealed = excluded.sealed, version = excluded.version",
        )
        .bind(
            replaced
                .iter()
                .map(|(account, _)| account.id.0)
                .collect::<Vec<_>>(),
        )
        .bind(
            replaced
                .iter()
                .map(|(_, sealed)| sealed.as_slice())
                .collect::<Vec<_>>(),
        )
        .bind(
            replaced
                .iter()
                .map(|(account, _)| signed(account.credentials_version))
                .collect::<Vec<_>>(),
        );
        execute(connection, insert).await?;
    }
    if !erased.is_empty() {
        let erase = sql("delete from account_credentials where account_id = any($1)");
        execute(connection, erase.bind(erased)).await?;
    }
    save_schedules(connection, &schedules).await
}

pub(super) async fn delete(connection: &mut PgConnection, ids: Vec<Uuid>) -> StoreResult<()> {
    let delete = sql("delete from accounts where id = any($1)");
    execute(connection, delete.bind(ids)).await?;
    Ok(())
}

/// Passes over accounts that are gone. An account's lock comes before that of its schedule, as
/// wherever both are taken; and only to add the schedule that an account did not have.
pub(super) async fn save_schedules(
    connection: &mut PgConnection,
    schedules: &[(AccountId, &AccountSchedule)],
) -> StoreResult<()> {
    if schedules.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = schedules.iter().map(|(id, _)| id.0).collect();
    let texts: StoreResult<Vec<_>> = schedules
        .iter()
        .map(|(_, schedule)| json(schedule))
        .collect();
    let texts = texts?;
    let add = sql("insert into account_schedules (account_id, schedule)
         select accounts.id, row.schedule
         from unnest($1::uuid[], $2::text[]) as row (id, schedule)
             join accounts on accounts.id = row.id
         where not exists (select 1 from account_schedules where account_id = row.id)
         order by accounts.id for key share of accounts
         on conflict (account_id) do nothing")
    .bind(&ids)
    .bind(&texts);
    if execute(connection, add).await? == ids.len() as u64 {
        return Ok(());
    }
    let lock = sql("select 1 from account_schedules where account_id = any($1)
                    order by account_id for update");
    execute(connection, lock.bind(&ids)).await?;
    let replace = sql("update account_schedules set schedule = row.schedule
         from unnest($1::uuid[], $2::text[]) as row (id, schedule)
         where account_id = row.id");
    execute(connection, replace.bind(ids).bind(texts)).await?;
    Ok(())
}

async fn upsert(connection: &mut PgConnection, accounts: &[&Account]) -> StoreResult<()> {
    let texts = |of: fn(&Account) -> StoreResult<String>| {
        let texts = accounts.iter().map(|account| of(account));
        texts.collect::<StoreResult<Vec<_>>>()
    };
    let numbers = |of: fn(&Account) -> i64| {
        let numbers = accounts.iter().map(|account| of(account));
        numbers.collect::<Vec<_>>()
    };
    let words = |of: fn(&Account) -> &str| {
        let words = accounts.iter().map(|account| of(account).to_owned());
        words.collect::<Vec<_>>()
    };
    let listed_at = accounts.iter().map(|account| account.listed_at);
    let insert = sql(
        "insert into accounts (id, partition, client_id, user_id, integration, vendor_account_id,
             linked, scopes, status, created_at, listed_at, credentials_version)
         select * from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::text[],
             $6::text[], $7::text[], $8::text[], $9::text[], $10::bigint[], $11::bigint[],
             $12::bigint[])
         on conflict (id) do update set
             client_id = excluded.client_id, user_id = excluded.user_id,
             integration = excluded.integration, vendor_account_id = excluded.vendor_account_id,
             linked = excluded.linked, scopes = excluded.scopes, status = excluded.status,
             created_at = excluded.created_at, listed_at = excluded.listed_at,
             credentials_version = excluded.credentials_version",
    )
    .bind(
        accounts
            .iter()
            .map(|account| account.id.0)
            .collect::<Vec<_>>(),
    )
    .bind(numbers(|account| account.id.partition().into()))
    .bind(
        accounts
            .iter()
            .map(|account| account.client_id.0)
            .collect::<Vec<_>>(),
    )
    .bind(words(|account| account.user_id.as_str()))
    .bind(words(|account| &account.integration))
    .bind(words(|account| &account.vendor_account_id))
    .bind(texts(|account| json(&account.linked))?)
    .bind(texts(|account| json(&account.scopes))?)
    .bind(texts(|account| json(&account.status))?)
    .bind(numbers(|account| account.created_at.as_millisecond()))
    .bind(
        listed_at
            .map(|at| at.map(|at| at.as_millisecond()))
            .collect::<Vec<_>>(),
    )
    .bind(numbers(|account| signed(account.credentials_version)));
    execute(connection, insert).await?;
    Ok(())
}

fn with_schedules(condition: &str) -> Statement {
    composed(format!(
        "select {COLUMNS}, schedule from accounts
         left join account_schedules on account_id = accounts.id
         where {condition} order by created_at, accounts.id"
    ))
}

fn decode_with_schedule(columns: &mut Columns<'_>) -> StoreResult<(Account, AccountSchedule)> {
    let account = decode(columns)?;
    let schedule = columns.maybe_json("schedule")?;
    Ok((account, schedule.unwrap_or(AccountSchedule::new(None))))
}

fn decode(columns: &mut Columns<'_>) -> StoreResult<Account> {
    Ok(Account {
        id: AccountId(columns.uuid()?),
        client_id: ClientId(columns.uuid()?),
        user_id: columns.word("user ID")?,
        integration: columns.take()?,
        vendor_account_id: columns.take()?,
        linked: columns.json("list of vendors")?,
        scopes: columns.json("list of scopes")?,
        status: columns.json("account status")?,
        created_at: columns.time()?,
        listed_at: columns.maybe_time()?,
        credentials_version: columns.number()?,
    })
}
