//! Link sessions.

use std::collections::HashMap;

use livewatt_domain::{
    id::{AccountId, ClientId, LinkSessionId},
    link::{LinkSession, LinkState},
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    statement::{Columns, composed, execute, json, query_all, query_one, sql},
    users,
};
use crate::error::{StoreError, StoreResult};

const COLUMNS: &str = "id, client_id, user_id, scopes, language, redirect_uri, color_scheme, \
                       vendor, kind, relink, created_at, state, progress";

pub(super) async fn create(
    connection: &mut PgConnection,
    session: &LinkSession,
    token_hash: &[u8; 32],
) -> StoreResult<()> {
    users::ensure(
        connection,
        session.client_id,
        &session.user_id,
        session.created_at,
    )
    .await?;
    let insert = sql(
        "insert into link_sessions (id, token_hash, client_id, user_id, scopes, language,
             redirect_uri, color_scheme, vendor, kind, relink, created_at, expires_at, state,
             is_done, waiting_for, progress)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
    )
    .bind(session.id.0)
    .bind(token_hash.as_slice())
    .bind(session.client_id.0)
    .bind(session.user_id.as_str())
    .bind(json(&session.scopes)?)
    .bind(&session.language)
    .bind(&session.redirect_uri)
    .bind(&session.color_scheme)
    .bind(session.vendor.as_ref().map(|vendor| vendor.as_str()))
    .bind(session.kind.map(|kind| kind.name()))
    .bind(session.relink.map(|account| account.0))
    .bind(session.created_at.as_millisecond())
    .bind(session.expires_at().as_millisecond())
    .bind(json(&session.state)?)
    .bind(is_done(&session.state))
    .bind(waiting_for(&session.state))
    .bind(json(&session.progress)?);
    execute(connection, insert).await?;
    Ok(())
}

pub(super) async fn find(
    connection: &mut PgConnection,
    token_hash: &[u8; 32],
) -> StoreResult<Option<LinkSession>> {
    let text = format!("select {COLUMNS} from link_sessions where token_hash = $1");
    query_one(
        connection,
        composed(text).bind(token_hash.as_slice()),
        decode,
    )
    .await
}

pub(super) async fn waiting(
    connection: &mut PgConnection,
    account: AccountId,
) -> StoreResult<Option<LinkSession>> {
    let text = format!(
        "select {COLUMNS} from link_sessions where waiting_for = $1
         order by created_at desc, id desc limit 1"
    );
    query_one(connection, composed(text).bind(account.0), decode).await
}

/// Fails with a conflict if the session is done already, or gone.
pub(super) async fn save_progress(
    connection: &mut PgConnection,
    session: &LinkSession,
) -> StoreResult<()> {
    let save = sql(
        "update link_sessions set state = $1, is_done = $2, waiting_for = $3, progress = $4
         where id = $5 and not is_done",
    )
    .bind(json(&session.state)?)
    .bind(is_done(&session.state))
    .bind(waiting_for(&session.state))
    .bind(json(&session.progress)?)
    .bind(session.id.0);
    match execute(connection, save).await? {
        0 => Err(StoreError::Conflict),
        _ => Ok(()),
    }
}

/// Locks sessions; tells of those that exist whether they are done.
pub(super) async fn lock(
    connection: &mut PgConnection,
    ids: Vec<Uuid>,
) -> StoreResult<HashMap<Uuid, bool>> {
    let lock =
        sql("select id, is_done from link_sessions where id = any($1) order by id for update");
    let found = query_all(connection, lock.bind(ids), |columns| {
        Ok((columns.uuid()?, columns.take()?))
    })
    .await?;
    Ok(found.into_iter().collect())
}

/// Stores the states of locked sessions.
pub(super) async fn save_states(
    connection: &mut PgConnection,
    states: &[&(LinkSessionId, LinkState)],
) -> StoreResult<()> {
    let texts: StoreResult<Vec<_>> = states.iter().map(|(_, state)| json(state)).collect();
    let column = |state: &&(LinkSessionId, LinkState)| state.0.0;
    let save = sql(
        "update link_sessions set state = row.state, is_done = row.is_done,
             waiting_for = row.waiting_for
         from unnest($1::uuid[], $2::text[], $3::boolean[], $4::uuid[])
             as row (id, state, is_done, waiting_for)
         where link_sessions.id = row.id",
    )
    .bind(states.iter().map(column).collect::<Vec<_>>())
    .bind(texts?)
    .bind(
        states
            .iter()
            .map(|(_, state)| is_done(state))
            .collect::<Vec<_>>(),
    )
    .bind(
        states
            .iter()
            .map(|(_, state)| waiting_for(state))
            .collect::<Vec<_>>(),
    );
    execute(connection, save).await?;
    Ok(())
}

const fn is_done(state: &LinkState) -> bool {
    matches!(state, LinkState::Done { .. })
}

const fn waiting_for(state: &LinkState) -> Option<Uuid> {
    match state {
        LinkState::Waiting { account } => Some(account.0),
        LinkState::Open | LinkState::Done { .. } => None,
    }
}

fn decode(columns: &mut Columns<'_>) -> StoreResult<LinkSession> {
    Ok(LinkSession {
        id: LinkSessionId(columns.uuid()?),
        client_id: ClientId(columns.uuid()?),
        user_id: columns.word("user ID")?,
        scopes: columns.json("list of scopes")?,
        language: columns.take()?,
        redirect_uri: columns.take()?,
        color_scheme: columns.take()?,
        vendor: columns.maybe_word("vendor")?,
        kind: columns.maybe_word("kind of device")?,
        relink: columns.take::<Option<Uuid>>()?.map(AccountId),
        created_at: columns.time()?,
        state: columns.json("link state")?,
        progress: columns.json("link progress")?,
    })
}
