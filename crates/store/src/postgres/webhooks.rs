//! Webhooks, their lanes, and what was attempted. A webhook's row is locked before its lanes.

use std::collections::HashMap;

use jiff::Timestamp;
use livewatt_domain::{
    id::{ClientId, DeliveryId, WebhookId},
    webhook::{DeliveryAttempt, Lane, PendingDelivery, Position, Webhook, WebhookAuthentication},
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    fences,
    paging::{KeyType, Listing},
    statement::{Columns, composed, execute, json, query_all, query_one, signed, sql},
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

pub(super) async fn create(
    connection: &mut PgConnection,
    webhook: &Webhook,
    cursor: Position,
) -> StoreResult<()> {
    let authentication = webhook.authentication.as_ref();
    let insert = sql(
        "insert into webhooks (id, client_id, url, sealed_secret, events, api_version,
             authentication_header, authentication_value, is_active, last_success, created_at,
             lanes, revision)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(webhook.id.0)
    .bind(webhook.client_id.0)
    .bind(&webhook.url)
    .bind(&webhook.sealed_secret)
    .bind(json(&webhook.events)?)
    .bind(&webhook.api_version)
    .bind(authentication.map(|header| &header.header_name))
    .bind(authentication.map(|header| &header.sealed_value))
    .bind(webhook.is_active)
    .bind(webhook.last_success.as_millisecond())
    .bind(webhook.created_at.as_millisecond())
    .bind(i64::from(webhook.lanes))
    .bind(signed(webhook.revision));
    execute(connection, insert).await?;
    let lanes = sql("insert into webhook_lanes (webhook_id, lane, cursor)
         select $1, lane, $2 from generate_series(0, $3 - 1) lane")
    .bind(webhook.id.0)
    .bind(cursor.0)
    .bind(i64::from(webhook.lanes));
    execute(connection, lanes).await?;
    Ok(())
}

pub(super) async fn list(
    connection: &mut PgConnection,
    client: ClientId,
    page: &PageRequest,
) -> StoreResult<Page<Webhook>> {
    let listing = Listing {
        table: "webhooks",
        columns: COLUMNS,
        client,
        kind: None,
        user: None,
        at: "created_at",
        key: KeyType::Uuid,
    };
    let key = |webhook: &Webhook| PageKey {
        at: webhook.created_at,
        id: webhook.id.to_string(),
    };
    listing.page(connection, page, decode, key).await
}

pub(super) async fn find(
    connection: &mut PgConnection,
    client: ClientId,
    id: WebhookId,
) -> StoreResult<Option<Webhook>> {
    let text = format!("select {COLUMNS} from webhooks where id = $1 and client_id = $2");
    query_one(connection, composed(text).bind(id.0).bind(client.0), decode).await
}

pub(super) async fn update(connection: &mut PgConnection, webhook: &Webhook) -> StoreResult<bool> {
    let lock =
        sql("select events, revision from webhooks where id = $1 and client_id = $2 for update")
            .bind(webhook.id.0)
            .bind(webhook.client_id.0);
    let before = query_one(connection, lock, |columns| {
        Ok((columns.take::<String>()?, columns.number::<u64>()?))
    });
    let Some((before, revision)) = before.await? else {
        return Ok(false);
    };
    if revision + 1 != webhook.revision {
        return Err(StoreError::Conflict);
    }
    let events = json(&webhook.events)?;
    let is_filter_kept = before == events;
    let authentication = webhook.authentication.as_ref();
    let change = sql(
        "update webhooks set url = $1, sealed_secret = $2, events = $3, api_version = $4,
             authentication_header = $5, authentication_value = $6, is_active = $7,
             last_success = greatest(last_success, $8), revision = $10
         where id = $9",
    )
    .bind(&webhook.url)
    .bind(&webhook.sealed_secret)
    .bind(events)
    .bind(&webhook.api_version)
    .bind(authentication.map(|header| &header.header_name))
    .bind(authentication.map(|header| &header.sealed_value))
    .bind(webhook.is_active)
    .bind(webhook.last_success.as_millisecond())
    .bind(webhook.id.0)
    .bind(signed(webhook.revision));
    execute(connection, change).await?;
    // With another filter the same events no longer make up the delivery, so its ID must not be
    // seen again. Otherwise only its attempts begin anew, at once.
    let lanes = if is_filter_kept {
        sql(
            "update webhook_lanes set attempts = 0, failing_since = null, next_attempt_at = 0
             where webhook_id = $1 and delivery_id is not null",
        )
    } else {
        sql(
            "update webhook_lanes set delivery_id = null, delivery_until = null, attempts = null,
                 failing_since = null, next_attempt_at = null
             where webhook_id = $1",
        )
    };
    execute(connection, lanes.bind(webhook.id.0)).await?;
    Ok(true)
}

pub(super) async fn delete(
    connection: &mut PgConnection,
    client: ClientId,
    id: WebhookId,
) -> StoreResult<bool> {
    let delete = sql("delete from webhooks where id = $1 and client_id = $2");
    Ok(execute(connection, delete.bind(id.0).bind(client.0)).await? > 0)
}

pub(super) async fn active(
    connection: &mut PgConnection,
) -> StoreResult<Vec<(Webhook, Vec<Lane>)>> {
    let text = format!("select {COLUMNS} from webhooks where is_active order by created_at, id");
    let webhooks = query_all(connection, composed(text), decode).await?;
    let text = format!("select {LANE_COLUMNS} from webhook_lanes order by webhook_id, lane");
    let mut lanes: HashMap<WebhookId, Vec<Lane>> = HashMap::new();
    for lane in query_all(connection, composed(text), decode_lane).await? {
        lanes.entry(lane.webhook_id).or_default().push(lane);
    }
    let with_lanes = |webhook: Webhook| {
        let lanes = lanes.remove(&webhook.id).unwrap_or_default();
        (webhook, lanes)
    };
    Ok(webhooks.into_iter().map(with_lanes).collect())
}

pub(super) async fn lanes(connection: &mut PgConnection, id: WebhookId) -> StoreResult<Vec<Lane>> {
    let text =
        format!("select {LANE_COLUMNS} from webhook_lanes where webhook_id = $1 order by lane");
    query_all(connection, composed(text).bind(id.0), decode_lane).await
}

/// False, with nothing written, if the webhook or the lane is gone, or its settings were changed.
pub(super) async fn save_lane(connection: &mut PgConnection, step: &LaneStep) -> StoreResult<bool> {
    let LaneStep {
        lane,
        attempt,
        succeeded_at,
        deactivate,
        webhook_id,
        revision,
        fence,
    } = step;
    fences::check(connection, *fence).await?;
    let webhook = if succeeded_at.is_some() || *deactivate {
        sql(
            "update webhooks set last_success = greatest(last_success, $2),
                 is_active = is_active and not $3
             where id = $1 and revision = $4",
        )
        .bind(webhook_id.0)
        .bind(succeeded_at.map(Timestamp::as_millisecond))
        .bind(*deactivate)
        .bind(signed(*revision))
    } else {
        // Shared with nobody who changes it.
        sql("select 1 from webhooks where id = $1 and revision = $2 for share")
            .bind(webhook_id.0)
            .bind(signed(*revision))
    };
    if execute(connection, webhook).await? == 0 {
        return Ok(false);
    }
    let pending = lane.pending.as_ref();
    let failing_since = pending.and_then(|pending| pending.failing_since);
    let next_attempt_at = pending.map(|pending| pending.next_attempt_at.as_millisecond());
    let change = sql(
        "update webhook_lanes set cursor = $1, delivery_id = $2, delivery_until = $3,
             attempts = $4, failing_since = $5, next_attempt_at = $6
         where webhook_id = $7 and lane = $8",
    )
    .bind(lane.cursor.0)
    .bind(pending.map(|pending| pending.id.0))
    .bind(pending.map(|pending| pending.until.0))
    .bind(pending.map(|pending| i64::from(pending.attempts)))
    .bind(failing_since.map(Timestamp::as_millisecond))
    .bind(next_attempt_at)
    .bind(webhook_id.0)
    .bind(i64::from(lane.lane));
    if execute(connection, change).await? == 0 {
        return Ok(false);
    }
    if let Some(attempt) = attempt {
        insert_attempt(connection, attempt).await?;
    }
    Ok(true)
}

pub(super) async fn attempts(
    connection: &mut PgConnection,
    id: WebhookId,
    limit: u32,
) -> StoreResult<Vec<DeliveryAttempt>> {
    let newest = sql(
        "select webhook_id, delivery_id, attempt, at, duration_ms, events, status, error
         from delivery_attempts where webhook_id = $1 order by number desc limit $2",
    );
    let newest = newest.bind(id.0).bind(i64::from(limit));
    query_all(connection, newest, decode_attempt).await
}

async fn insert_attempt(
    connection: &mut PgConnection,
    attempt: &DeliveryAttempt,
) -> StoreResult<()> {
    let insert = sql(
        "insert into delivery_attempts (webhook_id, delivery_id, attempt, at, duration_ms, events,
             status, error)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(attempt.webhook_id.0)
    .bind(attempt.delivery_id.0)
    .bind(i64::from(attempt.attempt))
    .bind(attempt.at.as_millisecond())
    .bind(signed(attempt.duration_ms))
    .bind(i64::from(attempt.events))
    .bind(attempt.status.map(i64::from))
    .bind(&attempt.error);
    execute(connection, insert).await?;
    Ok(())
}

fn decode(columns: &mut Columns<'_>) -> StoreResult<Webhook> {
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

fn decode_authentication(columns: &mut Columns<'_>) -> StoreResult<Option<WebhookAuthentication>> {
    let (header_name, sealed_value) = (columns.take::<Option<_>>()?, columns.take::<Option<_>>()?);
    Ok(header_name
        .zip(sealed_value)
        .map(|(header_name, sealed_value)| WebhookAuthentication {
            header_name,
            sealed_value,
        }))
}

fn decode_lane(columns: &mut Columns<'_>) -> StoreResult<Lane> {
    Ok(Lane {
        webhook_id: WebhookId(columns.uuid()?),
        lane: columns.number()?,
        cursor: Position(columns.take()?),
        pending: decode_pending(columns)?,
    })
}

fn decode_pending(columns: &mut Columns<'_>) -> StoreResult<Option<PendingDelivery>> {
    let Some(id) = columns.take::<Option<Uuid>>()? else {
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

fn decode_attempt(columns: &mut Columns<'_>) -> StoreResult<DeliveryAttempt> {
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
