//! Link sessions.

use livewatt_domain::{
    id::{AccountId, ClientId, LinkSessionId},
    link::{LinkSession, LinkState},
};
use rusqlite::{Connection, params};

use super::{
    statement::{Columns, execute, json, query_one},
    users,
};
use crate::error::{StoreError, StoreResult};

const COLUMNS: &str = "id, client_id, user_id, scopes, language, redirect_uri, color_scheme, \
                       vendor, kind, relink, created_at, state, progress";

pub(super) fn create(
    connection: &Connection,
    session: &LinkSession,
    token_hash: &[u8; 32],
) -> StoreResult<()> {
    users::ensure(
        connection,
        session.client_id,
        &session.user_id,
        session.created_at,
    )?;
    execute(
        connection,
        "insert into link_sessions (id, token_hash, client_id, user_id, scopes, language,
             redirect_uri, color_scheme, vendor, kind, relink, created_at, expires_at, state,
             is_done, waiting_for, progress)
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            session.id.0.as_bytes(),
            token_hash,
            session.client_id.0.as_bytes(),
            session.user_id.as_str(),
            json(&session.scopes)?,
            session.language,
            session.redirect_uri,
            session.color_scheme,
            session.vendor.as_ref().map(|vendor| vendor.as_str()),
            session.kind.map(|kind| kind.name()),
            session.relink.map(|account| account.0.into_bytes()),
            session.created_at.as_millisecond(),
            session.expires_at().as_millisecond(),
            json(&session.state)?,
            is_done(&session.state),
            waiting_for(&session.state),
            json(&session.progress)?
        ],
    )?;
    Ok(())
}

pub(super) fn find(
    connection: &Connection,
    token_hash: &[u8; 32],
) -> StoreResult<Option<LinkSession>> {
    let sql = format!("select {COLUMNS} from link_sessions where token_hash = ?");
    query_one(connection, &sql, [token_hash], decode)
}

pub(super) fn waiting(
    connection: &Connection,
    account: AccountId,
) -> StoreResult<Option<LinkSession>> {
    let sql = format!(
        "select {COLUMNS} from link_sessions where waiting_for = ?
         order by created_at desc, id desc limit 1"
    );
    query_one(connection, &sql, [account.0.as_bytes()], decode)
}

pub(super) fn save_progress(connection: &Connection, session: &LinkSession) -> StoreResult<()> {
    save_state(connection, session.id, &session.state)?;
    execute(
        connection,
        "update link_sessions set progress = ? where id = ?",
        params![json(&session.progress)?, session.id.0.as_bytes()],
    )?;
    Ok(())
}

/// Fails with a conflict if the session is done already, or gone.
pub(super) fn save_state(
    connection: &Connection,
    id: LinkSessionId,
    state: &LinkState,
) -> StoreResult<()> {
    let changed = execute(
        connection,
        "update link_sessions set state = ?, is_done = ?, waiting_for = ?
         where id = ? and not is_done",
        params![
            json(state)?,
            is_done(state),
            waiting_for(state),
            id.0.as_bytes()
        ],
    )?;
    if changed == 0 {
        Err(StoreError::Conflict)
    } else {
        Ok(())
    }
}

const fn is_done(state: &LinkState) -> bool {
    matches!(state, LinkState::Done { .. })
}

fn waiting_for(state: &LinkState) -> Option<[u8; 16]> {
    match state {
        LinkState::Waiting { account } => Some(account.0.into_bytes()),
        LinkState::Open | LinkState::Done { .. } => None,
    }
}

fn decode(columns: &mut Columns<'_, '_>) -> StoreResult<LinkSession> {
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
        relink: columns.maybe_uuid()?.map(AccountId),
        created_at: columns.time()?,
        state: columns.json("link state")?,
        progress: columns.json("link progress")?,
    })
}
