//! The event log, for those who would rather ask than be called: by cursor, or live.
//!
//! The log is the truth; the engine's wake-ups only make a stream quick. A stream that missed one
//! reads the log all the same, a few seconds later.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::sse::{Event as SseEvent, KeepAlive, Sse},
};
use futures::{Stream, stream};
use livewatt_domain::{
    id::{ClientId, EventId},
    webhook::Position,
};
use livewatt_engine::Engine;
use livewatt_store::LoggedEvent;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    error::{ApiError, ApiResult},
    extract::{Caller, QueryArgs},
    pagination::{PaginationCursors, decode_position, encode_position, page_size},
    state::ApiState,
    streams::StreamPlace,
};

/// Between two comments that keep proxies from closing a stream.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Longest time between two looks into the log.
const REREAD: Duration = Duration::from_secs(3);
/// Events read at a time by a stream.
const BATCH: u32 = 100;

/// A piece of the event log, oldest first.
#[derive(Debug, Serialize)]
pub(crate) struct EventList {
    data: Vec<LogEntry>,
    pagination: PaginationCursors,
}

/// An event and where it stands in the log.
#[derive(Debug, Serialize)]
pub(crate) struct LogEntry {
    cursor: String,
    id: EventId,
    event: Box<RawValue>,
}

impl LogEntry {
    fn of(logged: LoggedEvent) -> ApiResult<Self> {
        let event = RawValue::from_string(logged.event.body).map_err(|error| {
            livewatt_engine::EngineError::internal("a stored event is not JSON", error)
        })?;
        Ok(Self {
            cursor: encode_position(logged.position),
            id: logged.event.id,
            event,
        })
    }
}

/// `GET /events`
pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    args: QueryArgs,
) -> ApiResult<Json<EventList>> {
    if args.one("before")?.is_some() {
        return Err(ApiError::invalid(
            "before",
            "is not possible here: events are read forwards",
        ));
    }
    let after = start_of(args.one("after")?.as_deref(), "after")?;
    let limit = page_size(&args)?;
    let from = after.unwrap_or_default();
    let page = state
        .engine()
        .events_after(caller.client_id, from, limit)
        .await?;
    refuse_gap(after, page.kept_from)?;
    let read_until = page.read_until.max(from);
    Ok(Json(EventList {
        data: page
            .events
            .into_iter()
            .map(LogEntry::of)
            .collect::<Result<_, _>>()?,
        // Never null: what comes later is read from here.
        pagination: PaginationCursors {
            after: Some(encode_position(read_until)),
            before: None,
        },
    }))
}

/// `GET /events/stream`
pub(crate) async fn stream(
    State(state): State<ApiState>,
    caller: Caller,
    args: QueryArgs,
    headers: HeaderMap,
) -> ApiResult<Sse<impl Stream<Item = Result<SseEvent, Infallible>> + Send>> {
    let after = resume_point(&headers, &args)?;
    open_stream(&state, caller.client_id, after).await
}

/// After which event a stream is wanted; `None` is from now on.
pub(crate) fn resume_point(headers: &HeaderMap, args: &QueryArgs) -> ApiResult<Option<Position>> {
    let resumed = headers
        .get("last-event-id")
        .map(|id| id.to_str().unwrap_or("?"));
    match resumed.filter(|id| !id.is_empty()) {
        // A browser that reconnects repeats the query of old beside it.
        Some(id) => start_of(Some(id), "Last-Event-ID"),
        None => start_of(args.one("after")?.as_deref(), "after"),
    }
}

/// A stream of a client's events after a position, or from now on.
pub(crate) async fn open_stream(
    state: &ApiState,
    client: ClientId,
    after: Option<Position>,
) -> ApiResult<Sse<impl Stream<Item = Result<SseEvent, Infallible>> + Send + use<>>> {
    let place = state.streams().open(client)?;
    let engine = state.engine().clone();
    // Listening comes before looking: what happens in between wakes us.
    let wake = engine.listen();
    let position = match after {
        Some(position) => {
            refuse_gap(
                after,
                engine.events_after(client, position, 1).await?.kept_from,
            )?;
            position
        }
        None => engine.last_position(client).await?,
    };
    // A token works for so long; a client that reconnects shows a fresh one.
    let lifetime = u64::try_from(engine.options().token_lifetime.as_secs()).unwrap_or(0);
    let follower = Follower {
        engine,
        wake,
        client,
        position,
        ready: VecDeque::new(),
        stop: state.options().stop.clone(),
        ends_at: Instant::now() + Duration::from_secs(lifetime),
        _place: place,
    };
    let events = stream::unfold(follower, |mut follower| async move {
        follower.next().await.map(|event| (Ok(event), follower))
    });
    let heartbeat = KeepAlive::new().interval(HEARTBEAT).text("heartbeat");
    Ok(Sse::new(events).keep_alive(heartbeat))
}

fn start_of(cursor: Option<&str>, name: &'static str) -> ApiResult<Option<Position>> {
    cursor.map(|text| decode_position(text, name)).transpose()
}

/// Refuses to go on from where events were dropped: a gap that nobody is told of is worse than an
/// error.
fn refuse_gap(after: Option<Position>, kept_from: Position) -> ApiResult<()> {
    match after {
        Some(Position(after)) if after + 1 < kept_from.0 => Err(ApiError::EventsGone),
        _ => Ok(()),
    }
}

/// Follows a client's log.
struct Follower {
    engine: Arc<Engine>,
    wake: broadcast::Receiver<ClientId>,
    client: ClientId,
    position: Position,
    ready: VecDeque<SseEvent>,
    stop: CancellationToken,
    ends_at: Instant,
    _place: StreamPlace,
}

impl Follower {
    /// The next event; `None` when the stream is to end.
    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.stop.is_cancelled() || Instant::now() >= self.ends_at {
                return None;
            }
            match self
                .engine
                .events_after(self.client, self.position, BATCH)
                .await
            {
                Ok(page) => {
                    self.position = page.read_until.max(self.position);
                    self.ready.extend(page.events.into_iter().map(sse_event));
                }
                Err(error) => {
                    ApiError::from(error).log();
                    return None;
                }
            }
            if self.ready.is_empty() {
                self.wait().await;
            }
        }
    }

    /// Waits until there may be more.
    async fn wait(&mut self) {
        let stop = self.stop.clone();
        let until = self.ends_at.min(Instant::now() + REREAD);
        let woken = async {
            loop {
                match self.wake.recv().await {
                    Ok(client) if client != self.client => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => return,
                    // The engine is gone, and we with it.
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            () = woken => {}
            () = tokio::time::sleep_until(until) => {}
            () = stop.cancelled() => {}
        }
    }
}

fn sse_event(logged: LoggedEvent) -> SseEvent {
    SseEvent::default()
        .id(encode_position(logged.position))
        .event(logged.event.name)
        .data(logged.event.body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_told() {
        let at = |position| Some(Position(position));
        assert!(refuse_gap(at(0), Position(0)).is_ok());
        assert!(refuse_gap(None, Position(100)).is_ok());
        assert!(refuse_gap(at(99), Position(100)).is_ok());
        assert!(refuse_gap(at(98), Position(100)).is_err());
    }
}
