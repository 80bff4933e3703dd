//! Webhooks, their lanes, and what was attempted.

use std::collections::HashMap;

use jiff::Timestamp;
use livewatt_domain::{
    id::{ClientId, DeliveryId, WebhookId},
    webhook::{DeliveryAttempt, Lane, PendingDelivery, Position, Webhook, WebhookAuthentication},
};
use rusqlite::{Connection, params};

use super::{
    paging::Listing,
    statement::{Columns, execute, json, query_all, query_one, signed, uuid_key},
};
use crate::{
    error::{StoreError, StoreResult},
    types::{LaneStep, Page, PageKey, PageRequest},
};

const COLUMNS: &str = "id, client_id, url, sealed_secret, events, api_version, \
                       authentication_header, authentication_value, is_active, last_success, \
                       created_at, lanes, revision";
const LANE_COLUMNS: &str = "webhook_id, lane, cursor, delivery_id, delivery_until, attempts, \
                            failing_since, next_attempt_at";

pub(super) fn create(
    connection: &Connection,
    webhook: &Webhook,
    cursor: Position,
) -> StoreResult<()> {
    let authentication = webhook.authentication.as_ref();
    execute(
        connection,
        "insert into webhooks (id, client_id, url, sealed_secret, events, api_version,
             authentication_header, authentication_value, is_active, last_success, created_at,
             lanes, revision)
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            webhook.id.0.as_bytes(),
            webhook.client_id.0.as_bytes(),
            webhook.url,
            webhook.sealed_secret,
            json(&webhook.events)?,
            webhook.api_version,
            authentication.map(|header| &header.header_name),
            authentication.map(|header| &header.sealed_value),
            webhook.is_active,
            webhook.last_success.as_millisecond(),
            webhook.created_at.as_millisecond(),
            webhook.lanes,
            signed(webhook.revision)
        ],
    )?;
    for lane in 0..webhook.lanes {
        execute(
            connection,
            "insert into webhook_lanes (webhook_id, lane, cursor) values (?, ?, ?)",
            params![webhook.id.0.as_bytes(), lane, cursor.0],
        )?;
    }
    Ok(())
}

pub(super) fn list(
    connection: &Connection,
    client: ClientId,
    page: &PageRequest,
) -> StoreResult<Page<Webhook>> {
    let listing = Listing {
        table: "webhooks",
        columns: COLUMNS,
        condition: "client_id = ?1",
        params: &[client.0.as_bytes()],
        at: "created_at",
        id: uuid_key,
    };
    listing.page(connection, page, decode, |webhook| PageKey {
        at: webhook.created_at,
        id: webhook.id.to_string(),
    })
}

pub(super) fn find(
    connection: &Connection,
    client: ClientId,
    id: WebhookId,
) -> StoreResult<Option<Webhook>> {
    let sql = format!("select {COLUMNS} from webhooks where id = ? and client_id = ?");
    query_one(
        connection,
        &sql,
        [id.0.as_bytes(), client.0.as_bytes()],
        decode,
    )
}

pub(super) fn update(connection: &Connection, webhook: &Webhook) -> StoreResult<bool> {
    let Some(before) = find(connection, webhook.client_id, webhook.id)? else {
        return Ok(false);
    };
    if before.revision + 1 != webhook.revision {
        return Err(StoreError::Conflict);
    }
    let is_filter_kept = before.events == webhook.events;
    let authentication = webhook.authentication.as_ref();
    execute(
        connection,
        "update webhooks set url = ?, sealed_secret = ?, events = ?, api_version = ?,
             authentication_header = ?, authentication_value = ?, is_active = ?,
             last_success = max(last_success, ?), revision = ?
         where id = ?",
        params![
            webhook.url,
            webhook.sealed_secret,
            json(&webhook.events)?,
            webhook.api_version,
            authentication.map(|header| &header.header_name),
            authentication.map(|header| &header.sealed_value),
            webhook.is_active,
            webhook.last_success.as_millisecond(),
            signed(webhook.revision),
            webhook.id.0.as_bytes()
        ],
    )?;
    // With another filter the same events no longer make up the delivery, so its ID must not be
    // seen again. Otherwise only its attempts begin anew, at once.
    let sql = if is_filter_kept {
        "update webhook_lanes set attempts = 0, failing_since = null, next_attempt_at = 0
         where webhook_id = ? and delivery_id is not null"
    } else {
        "update webhook_lanes set delivery_id = null, delivery_until = null, attempts = null,
             failing_since = null, next_attempt_at = null
         where webhook_id = ?"
    };
    execute(connection, sql, [webhook.id.0.as_bytes()])?;
    Ok(true)
}

pub(super) fn delete(
    connection: &Connection,
    client: ClientId,
    id: WebhookId,
) -> StoreResult<bool> {
    let sql = "delete from webhooks where id = ? and client_id = ?";
    Ok(execute(connection, sql, [id.0.as_bytes(), client.0.as_bytes()])? > 0)
}

pub(super) fn active(connection: &Connection) -> StoreResult<Vec<(Webhook, Vec<Lane>)>> {
    let sql = format!("select {COLUMNS} from webhooks where is_active order by created_at, id");
    let webhooks = query_all(connection, &sql, [], decode)?;
    let sql = format!("select {LANE_COLUMNS} from webhook_lanes order by webhook_id, lane");
    let mut lanes: HashMap<WebhookId, Vec<Lane>> = HashMap::new();
    for lane in query_all(connection, &sql, [], decode_lane)? {
        lanes.entry(lane.webhook_id).or_default().push(lane);
    }
    let with_lanes = |webhook: Webhook| {
        let lanes = lanes.remove(&webhook.id).unwrap_or_default();
        (webhook, lanes)
    };
    Ok(webhooks.into_iter().map(with_lanes).collect())
}

pub(super) fn lanes(connection: &Connection, id: WebhookId) -> StoreResult<Vec<Lane>> {
    let sql =
        format!("select {LANE_COLUMNS} from webhook_lanes where webhook_id = ? order by lane");
    query_all(connection, &sql, [id.0.as_bytes()], decode_lane)
}

pub(super) fn save_lane(connection: &Connection, step: &LaneStep) -> StoreResult<bool> {
    let LaneStep {
        lane,
        attempt,
        succeeded_at,
        deactivate,
        webhook_id,
        revision,
        // One program at a time: all webhooks are its own.
        fence: _,
    } = step;
    let pending = lane.pending.as_ref();
    let changed = execute(
        connection,
        "update webhook_lanes set cursor = ?, delivery_id = ?, delivery_until = ?, attempts = ?,
             failing_since = ?, next_attempt_at = ?
         where webhook_id = ?7 and lane = ?8
             and exists (select 1 from webhooks where id = ?7 and revision = ?9)",
        params![
            lane.cursor.0,
            pending.map(|pending| pending.id.0.into_bytes()),
            pending.map(|pending| pending.until.0),
            pending.map(|pending| pending.attempts),
            pending
                .and_then(|pending| pending.failing_since)
                .map(Timestamp::as_millisecond),
            pending.map(|pending| pending.next_attempt_at.as_millisecond()),
            webhook_id.0.as_bytes(),
            lane.lane,
            signed(*revision)
        ],
    )?;
    if changed == 0 {
        return Ok(false);
    }
    if let Some(attempt) = attempt {
        insert_attempt(connection, attempt)?;
    }
    if let Some(at) = succeeded_at {
        execute(
            connection,
            "update webhooks set last_success = max(last_success, ?) where id = ?",
            params![at.as_millisecond(), webhook_id.0.as_bytes()],
        )?;
    }
    if *deactivate {
        let sql = "update webhooks set is_active = 0 where id = ?";
        execute(connection, sql, [webhook_id.0.as_bytes()])?;
    }
    Ok(true)
}

pub(super) fn attempts(
    connection: &Connection,
    id: WebhookId,
    limit: u32,
) -> StoreResult<Vec<DeliveryAttempt>> {
    query_all(
        connection,
        "select webhook_id, delivery_id, attempt, at, duration_ms, events, status, error
         from delivery_attempts where webhook_id = ? order by number desc limit ?",
        params![id.0.as_bytes(), limit],
        decode_attempt,
    )
}

fn insert_attempt(connection: &Connection, attempt: &DeliveryAttempt) -> StoreResult<()> {
    execute(
        connection,
        "insert into delivery_attempts (webhook_id, delivery_id, attempt, at, duration_ms, events,
             status, error)
         values (?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            attempt.webhook_id.0.as_bytes(),
            attempt.delivery_id.0.as_bytes(),
            attempt.attempt,
            attempt.at.as_millisecond(),
            signed(attempt.duration_ms),
            attempt.events,
            attempt.status,
            attempt.error
        ],
    )?;
    Ok(())
}

fn decode(columns: &mut Columns<'_, '_>) -> StoreResult<Webhook> {
    Ok(Webhook {
        id: WebhookId(columns.uuid()?),
        client_id: ClientId(columns.uuid()?),
        url: columns.take()?,
        sealed_secret: columns.take()?,
        events: columns.json("event filter")?,
        api_version: columns.take()?,
        authentication: decode_authentication(columns)?,
        is_active: columns.take()?,
        last_success: columns.time()?,
        created_at: columns.time()?,
        lanes: columns.number()?,
        revision: columns.number()?,
    })
}

fn decode_authentication(
    columns: &mut Columns<'_, '_>,
) -> StoreResult<Option<WebhookAuthentication>> {
    let (header_name, sealed_value) = (columns.take::<Option<_>>()?, columns.take::<Option<_>>()?);
    Ok(header_name
        .zip(sealed_value)
        .map(|(header_name, sealed_value)| WebhookAuthentication {
            header_name,
            sealed_value,
        }))
}

fn decode_lane(columns: &mut Columns<'_, '_>) -> StoreResult<Lane> {
    Ok(Lane {
        webhook_id: WebhookId(columns.uuid()?),
        lane: columns.number()?,
        cursor: Position(columns.take()?),
        pending: decode_pending(columns)?,
    })
}

fn decode_pending(columns: &mut Columns<'_, '_>) -> StoreResult<Option<PendingDelivery>> {
    let Some(id) = columns.maybe_uuid()? else {
        return Ok(None);
    };
    Ok(Some(PendingDelivery {
        id: DeliveryId(id),
        until: Position(columns.take()?),
        attempts: columns.number()?,
        failing_since: columns.maybe_time()?,
        next_attempt_at: columns.time()?,
    }))
}

fn decode_attempt(columns: &mut Columns<'_, '_>) -> StoreResult<DeliveryAttempt> {
    Ok(DeliveryAttempt {
        webhook_id: WebhookId(columns.uuid()?),
        delivery_id: DeliveryId(columns.uuid()?),
        attempt: columns.number()?,
        at: columns.time()?,
        duration_ms: columns.number()?,
        events: columns.number()?,
        status: columns.maybe_number()?,
        error: columns.take()?,
    })
}
