//! Linked accounts, their credentials and schedules.

use livewatt_domain::{
    account::{Account, AccountSchedule},
    id::{AccountId, ClientId},
};
use rusqlite::{Connection, Params, params};

use super::statement::{Columns, execute, json, query_all, query_one, signed};
use crate::{
    error::{StoreError, StoreResult},
    types::{AccountChange, AccountsOf, CredentialsChange, SealedCredentials},
};

const COLUMNS: &str = "accounts.id, client_id, user_id, integration, vendor_account_id, linked, \
                       scopes, status, created_at, listed_at, credentials_version";

pub(super) fn list(
    connection: &Connection,
    of: &AccountsOf,
) -> StoreResult<Vec<(Account, AccountSchedule)>> {
    match of {
        AccountsOf::Everyone => with_schedules(connection, "true", []),
        AccountsOf::Client(client) => {
            with_schedules(connection, "client_id = ?", [client.0.as_bytes()])
        }
        AccountsOf::User(client, user) => with_schedules(
            connection,
            "client_id = ? and user_id = ?",
            params![client.0.as_bytes(), user.as_str()],
        ),
    }
}

pub(super) fn find(
    connection: &Connection,
    id: AccountId,
) -> StoreResult<Option<(Account, AccountSchedule)>> {
    with_schedules(connection, "accounts.id = ?", [id.0.as_bytes()]).map(|mut found| found.pop())
}

pub(super) fn to_fetch(
    connection: &Connection,
    id: AccountId,
) -> StoreResult<Option<(Account, Option<SealedCredentials>)>> {
    let sql = format!(
        "select {COLUMNS}, sealed, version from accounts
         left join account_credentials on account_id = accounts.id
         where accounts.id = ?"
    );
    query_one(connection, &sql, [id.0.as_bytes()], |columns| {
        let account = decode(columns)?;
        let sealed: Option<Vec<u8>> = columns.take()?;
        let version = columns.maybe_number()?;
        let credentials = sealed.zip(version);
        Ok((
            account,
            credentials.map(|(sealed, version)| SealedCredentials { sealed, version }),
        ))
    })
}

pub(super) fn of_vendor(
    connection: &Connection,
    integration: &str,
    vendor_account_id: &str,
) -> StoreResult<Vec<Account>> {
    let sql = format!(
        "select {COLUMNS} from accounts where vendor_account_id = ? and integration = ?
         order by created_at, id"
    );
    query_all(connection, &sql, [vendor_account_id, integration], decode)
}

pub(super) fn credentials(
    connection: &Connection,
    id: AccountId,
) -> StoreResult<Option<SealedCredentials>> {
    query_one(
        connection,
        "select sealed, version from account_credentials where account_id = ?",
        [id.0.as_bytes()],
        |columns| {
            Ok(SealedCredentials {
                sealed: columns.take()?,
                version: columns.number()?,
            })
        },
    )
}

/// Does all of a change but deletions.
pub(super) fn save(connection: &Connection, change: &AccountChange) -> StoreResult<()> {
    let AccountChange::Save {
        account,
        from_credentials,
        credentials,
        schedule,
    } = change
    else {
        return Ok(());
    };
    put(connection, account, *from_credentials)?;
    match credentials {
        CredentialsChange::Keep => {}
        CredentialsChange::Replace(sealed) => {
            execute(
                connection,
                "insert into account_credentials (account_id, sealed, version) values (?, ?, ?)
                 on conflict (account_id) do update
                 set sealed = excluded.sealed, version = excluded.version",
                params![
                    account.id.0.as_bytes(),
                    sealed,
                    signed(account.credentials_version)
                ],
            )?;
        }
        CredentialsChange::Erase => {
            execute(
                connection,
                "delete from account_credentials where account_id = ?",
                [account.id.0.as_bytes()],
            )?;
        }
    }
    schedule.as_ref().map_or(Ok(()), |schedule| {
        save_schedule(connection, account.id, schedule)
    })
}

pub(super) fn delete(connection: &Connection, id: AccountId) -> StoreResult<()> {
    execute(
        connection,
        "delete from accounts where id = ?",
        [id.0.as_bytes()],
    )?;
    Ok(())
}

/// Does nothing if the account is gone.
pub(super) fn save_schedule(
    connection: &Connection,
    id: AccountId,
    schedule: &AccountSchedule,
) -> StoreResult<()> {
    execute(
        connection,
        "insert into account_schedules (account_id, schedule)
         select ?1, ?2 where exists (select 1 from accounts where id = ?1)
         on conflict (account_id) do update set schedule = excluded.schedule",
        params![id.0.as_bytes(), json(schedule)?],
    )?;
    Ok(())
}

/// Inserts an account, or replaces it as it was read.
fn put(
    connection: &Connection,
    account: &Account,
    from_credentials: Option<u64>,
) -> StoreResult<()> {
    let sql = match from_credentials {
        None => {
            "insert into accounts (id, partition, client_id, user_id, integration,
                 vendor_account_id, linked, scopes, status, created_at, listed_at,
                 credentials_version)
             select ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12 where ?13 is null"
        }
        Some(_) => {
            "update accounts set partition = ?2, client_id = ?3, user_id = ?4, integration = ?5,
                 vendor_account_id = ?6, linked = ?7, scopes = ?8, status = ?9, created_at = ?10,
                 listed_at = ?11, credentials_version = ?12
             where id = ?1 and credentials_version = ?13"
        }
    };
    let written = execute(
        connection,
        sql,
        params![
            account.id.0.as_bytes(),
            account.id.partition(),
            account.client_id.0.as_bytes(),
            account.user_id.as_str(),
            account.integration,
            account.vendor_account_id,
            json(&account.linked)?,
            json(&account.scopes)?,
            json(&account.status)?,
            account.created_at.as_millisecond(),
            account.listed_at.map(|at| at.as_millisecond()),
            signed(account.credentials_version),
            from_credentials.map(signed)
        ],
    )?;
    match written {
        0 => Err(StoreError::Conflict),
        _ => Ok(()),
    }
}

fn with_schedules(
    connection: &Connection,
    condition: &str,
    params: impl Params,
) -> StoreResult<Vec<(Account, AccountSchedule)>> {
    let sql = format!(
        "select {COLUMNS}, schedule from accounts
         left join account_schedules on account_id = accounts.id
         where {condition} order by created_at, accounts.id"
    );
    query_all(connection, &sql, params, |columns| {
        let account = decode(columns)?;
        let schedule = columns.maybe_json("schedule")?;
        Ok((account, schedule.unwrap_or(AccountSchedule::new(None))))
    })
}

fn decode(columns: &mut Columns<'_, '_>) -> StoreResult<Account> {
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
