//! The event log as customers read it: by cursor, or live.

use livewatt_domain::{id::ClientId, webhook::Position};
use livewatt_store::{LogPage, LogQuery};
use tokio::sync::broadcast;

use crate::{Engine, EngineResult};

/// Tells who listens that a client's log has grown. Lossy: a listener that lags only reads the log
/// once more, for the log is the truth and this is a wake-up.
#[derive(Debug)]
pub struct Feed(broadcast::Sender<ClientId>);

impl Default for Feed {
    fn default() -> Self {
        Self(broadcast::channel(1024).0)
    }
}

impl Feed {
    pub(crate) fn announce(&self, client: ClientId) {
        // An error means that nobody listens.
        let _ = self.0.send(client);
    }
}

impl Engine {
    /// A client's events after a position.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn events_after(
        &self,
        client_id: ClientId,
        after: Position,
        limit: u32,
    ) -> EngineResult<LogPage> {
        let query = LogQuery {
            client_id,
            after,
            until: None,
            lane: None,
            limit,
        };
        Ok(self.store.events_after(query).await?)
    }

    /// The position of a client's newest event.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn last_position(&self, client: ClientId) -> EngineResult<Position> {
        Ok(self.store.last_position(client).await?)
    }

    /// Number of those who listen.
    pub(crate) fn listeners(&self) -> usize {
        self.feed.0.receiver_count()
    }

    /// A wake-up whenever some client's log grows.
    pub fn listen(&self) -> broadcast::Receiver<ClientId> {
        self.feed.0.subscribe()
    }
}
