//! The event log for systems of others: every event of every client goes to a sink.
//!
//! Invariants:
//! - A client's cursor moves only after the sink holds the events for good, so each event arrives at
//!   least once; what comes twice has the same ID.
//! - A client's log is exported by the owner of the client's partition alone, and the cursor moves
//!   under its fence.
//! - A sink that is away holds up nothing but the export: the log keeps what is to come.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use livewatt_domain::{SignedDuration, Timestamp, retry::Backoff};
use livewatt_store::{BoxError, ExportBehind, ExportStep, LogQuery, LoggedEvent, StoreError};
use tokio::sync::Notify;

use crate::{Engine, EngineError, EngineResult, error::chain};

/// Events published at a time.
const BATCH: u32 = 500;
/// Waits after failures of a sink.
const BACKOFF: Backoff = Backoff {
    first: SignedDuration::from_secs(1),
    longest: SignedDuration::from_secs(60),
};
/// Clients whose oldest event is looked for while a sink is away.
const LOOKED_AT: usize = 100;

/// Where events are exported to.
#[async_trait]
pub trait EventSink: Send + Sync + std::fmt::Debug {
    /// Its name: one word, under which it is known in metrics and cursors are stored.
    fn name(&self) -> &'static str;
    /// Publishes events of one client; returns after all of them are there for good. Those of one
    /// device, or of none, are published in this order. The same may come again, after a failure or
    /// at another node.
    ///
    /// # Errors
    /// If any of them may not be there: all will come again.
    async fn publish(&self, events: &[LoggedEvent]) -> Result<(), BoxError>;
}

/// The export of this node.
#[derive(Debug)]
pub(crate) struct Export {
    sink: Arc<dyn EventSink>,
    state: Mutex<State>,
    /// One pass at a time.
    passes: tokio::sync::Mutex<()>,
    /// Some log has grown.
    pub(crate) wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    next_attempt_at: Option<Timestamp>,
    /// When the oldest event was made that is not exported; `None` if all are.
    oldest: Option<Timestamp>,
    error: Option<String>,
}

/// How an export is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportFigures {
    /// The sink.
    pub sink: &'static str,
    /// Age of the oldest event that is not exported; zero if all are.
    pub lag: SignedDuration,
    /// Why the sink did not take the last events.
    pub error: Option<String>,
}

impl Export {
    pub(crate) fn new(sink: Arc<dyn EventSink>) -> Self {
        Self {
            sink,
            state: Mutex::default(),
            passes: tokio::sync::Mutex::default(),
            wake: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When a sink that failed is tried again.
    pub(crate) fn next_attempt_at(&self) -> Option<Timestamp> {
        self.state().next_attempt_at
    }
}

impl Engine {
    /// Exports all that this node has to export; returns the number of events. Nothing before the
    /// end of the wait after a failure.
    pub async fn export_due(&self) -> usize {
        let Some(export) = &self.export else {
            return 0;
        };
        let _pass = export.passes.lock().await;
        let now = self.now();
        // A clock that was set back must not make it wait for longer than ever.
        let rest = export.next_attempt_at().map(|at| at.duration_since(now));
        if rest.is_some_and(|rest| rest.is_positive() && rest <= BACKOFF.longest * 2) {
            return 0;
        }
        let mut exported = 0;
        match self.export_all(export, &mut exported).await {
            Ok(()) => {
                let mut state = export.state();
                if state.failures > 0 {
                    tracing::info!(sink = export.sink.name(), "events are exported again");
                }
                *state = State::default();
            }
            Err(error) => self.rest(export, &error).await,
        }
        exported
    }

    /// Round by round a batch of each client, until all are exported.
    async fn export_all(&self, export: &Export, exported: &mut usize) -> EngineResult<()> {
        loop {
            let behind = self.to_export(export).await?;
            if behind.is_empty() {
                return Ok(());
            }
            let (mut oldest, mut moved) = (None, false);
            for log in behind {
                if let Some(events) = self.export_some(export, &log, &mut oldest).await? {
                    metrics::counter!("livewatt_export_events_total").increment(events as u64);
                    *exported += events;
                    moved = true;
                }
            }
            // All are other nodes' by now.
            if !moved {
                return Ok(());
            }
        }
    }

    /// The logs of this node's clients that are not exported to their end.
    async fn to_export(&self, export: &Export) -> EngineResult<Vec<ExportBehind>> {
        let sink = export.sink.name().to_owned();
        let mut behind = self.store.exports_behind(sink).await?;
        behind.retain(|log| self.ownership.owns(log.client_id.partition()));
        Ok(behind)
    }

    /// Exports a batch and moves the cursor; `None` if that is not this node's to do any more.
    async fn export_some(
        &self,
        export: &Export,
        log: &ExportBehind,
        oldest: &mut Option<Timestamp>,
    ) -> EngineResult<Option<usize>> {
        let client_id = log.client_id;
        let query = LogQuery {
            client_id,
            after: log.cursor,
            until: None,
            lane: None,
            limit: BATCH,
        };
        let page = self.store.events_after(query).await?;
        if log.cursor.0 > 0 && page.kept_from.0 > log.cursor.0 + 1 {
            tracing::error!(
                client.id = %client_id,
                "events were dropped by retention before they could be exported"
            );
        }
        if let Some(first) = page.events.first() {
            let at = first.event.created_at;
            *oldest = Some(oldest.map_or(at, |oldest| oldest.min(at)));
            export.state().oldest = *oldest;
            export
                .sink
                .publish(&page.events)
                .await
                .map_err(|error| EngineError::internal("the sink does not take events", error))?;
        }
        let fence = match &self.membership {
            // Lost meanwhile: whoever has it begins where the cursor is.
            Some(_) => match self.ownership.fence(client_id.partition()) {
                Some(fence) => Some(fence),
                None => return Ok(None),
            },
            None => None,
        };
        let step = ExportStep {
            sink: export.sink.name().to_owned(),
            client_id,
            cursor: page.read_until,
            fence,
        };
        match self.store.save_export(step).await {
            // The client may be gone; then there is nothing to note.
            Ok(_) => Ok(Some(page.events.len())),
            Err(StoreError::Fenced { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// After a failure: longer waits, and how far the export is behind.
    async fn rest(&self, export: &Export, error: &EngineError) {
        let text = chain(error);
        let oldest = self.oldest_to_export(export).await;
        let mut state = export.state();
        state.failures += 1;
        if state.failures == 1 {
            tracing::warn!(sink = export.sink.name(), error = %text, "events cannot be exported; it is tried again");
        }
        let wait = BACKOFF.wait(state.failures, self.entropy.jitter(0.1));
        state.next_attempt_at = self.now().saturating_add(wait).ok();
        state.oldest = oldest.or(state.oldest);
        state.error = Some(text);
    }

    /// When the oldest event was made that is to be exported, as far as can be told.
    async fn oldest_to_export(&self, export: &Export) -> Option<Timestamp> {
        let mut oldest: Option<Timestamp> = None;
        for log in self.to_export(export).await.ok()?.iter().take(LOOKED_AT) {
            let page = self.events_after(log.client_id, log.cursor, 1).await.ok()?;
            let at = page.events.first().map(|logged| logged.event.created_at);
            oldest = oldest.into_iter().chain(at).min();
        }
        oldest
    }

    /// How the export is doing; `None` if there is none.
    pub fn export_figures(&self) -> Option<ExportFigures> {
        let export = self.export.as_ref()?;
        let state = export.state();
        let lag = state.oldest.map(|at| self.now().duration_since(at));
        Some(ExportFigures {
            sink: export.sink.name(),
            lag: lag.unwrap_or_default().max(SignedDuration::ZERO),
            error: state.error.clone(),
        })
    }

    /// Some client's log has grown.
    pub(crate) fn wake_export(&self) {
        if let Some(export) = &self.export {
            export.wake.notify_one();
        }
    }
}
