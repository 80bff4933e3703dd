//! How a running engine is doing, for those who operate it.

use livewatt_domain::SignedDuration;

use crate::{Engine, EngineResult};

/// How an engine is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineStatus {
    /// How long the fetch that waits longest has been due; negative if none is.
    pub poll_lag: SignedDuration,
    /// Events that the webhook furthest behind has not got yet, counted up to `MOST_EVENTS`.
    pub events_behind: u32,
    /// Integrations that do not answer, so that calls to them pause.
    pub paused_vendors: Vec<String>,
}

/// Events are counted up to this.
const MOST_EVENTS: u32 = 10_000;

impl Engine {
    /// Integrations that do not answer, so that calls to them pause.
    pub fn paused_vendors(&self) -> Vec<String> {
        self.breakers.open()
    }

    /// How it is doing now.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn status(&self) -> EngineResult<EngineStatus> {
        let now = self.now();
        let poll_lag = self
            .next_poll_at()
            .map_or(SignedDuration::ZERO, |due| now.duration_since(due));
        let mut events_behind = 0;
        for (client, cursor) in self.deliveries.cursors() {
            let behind = self.store.count_events_after(client, cursor, MOST_EVENTS);
            events_behind = events_behind.max(behind.await?);
        }
        Ok(EngineStatus {
            poll_lag,
            events_behind,
            paused_vendors: self.paused_vendors(),
        })
    }
}
