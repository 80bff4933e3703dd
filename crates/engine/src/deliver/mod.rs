//! Deliveries: each webhook is a cursor over its client's log, in lanes.
//!
//! Invariants:
//! - Before anything is sent, ID and extent of the delivery are stored; so whatever happens, the
//!   same events go out again under the same ID, or not at all.
//! - The cursor moves only after a success, in one transaction with the record of the attempt.
//! - Events of one device share a lane and a lane sends one delivery at a time: order per device.
//! - A receiver's trouble holds up only its own lanes.
//! - A webhook is switched off when nothing at all was taken for the retry window. While some lanes
//!   succeed, one that does not goes on trying at the longest gap: skipping what it holds would lose
//!   events, and switching off would punish the rest.

mod lane;
mod measure;
mod send;
mod sign;
mod watches;

use std::collections::HashSet;
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use futures::{StreamExt as _, stream};
use livewatt_domain::{
    Timestamp,
    id::{ClientId, WebhookId},
    partition::Partitions,
    webhook::{Lane, Position, Webhook},
};
use tokio::sync::Notify;

use crate::{Engine, EngineOptions, EngineResult, error::chain};

pub(crate) use measure::DeliveryFigures;
use send::Receiver;
pub(crate) use send::Sent;
pub(crate) use watches::ReadyLane;
use watches::{Watched, WatchedLane, Watches};

/// The webhooks in memory and where their lanes stand.
#[derive(Debug)]
pub struct Deliveries {
    client: reqwest::Client,
    watched: Mutex<Watches>,
    /// The time of the last look for lanes with something to do.
    looked_at: Mutex<Option<Timestamp>>,
    /// Numbers the times that webhooks were taken up.
    epochs: AtomicU64,
    /// Held while a webhook's settings change, so that what is stored and what is watched are the
    /// same, and of two changes neither undoes the other.
    pub(crate) changes: tokio::sync::Mutex<()>,
    pub(crate) wake: Notify,
}

impl Deliveries {
    pub(crate) fn new(options: &EngineOptions) -> EngineResult<Self> {
        Ok(Self {
            client: send::client(options)?,
            watched: Mutex::default(),
            looked_at: Mutex::default(),
            epochs: AtomicU64::new(0),
            changes: tokio::sync::Mutex::default(),
            wake: Notify::new(),
        })
    }

    fn watched(&self) -> MutexGuard<'_, Watches> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client's log has grown.
    pub(crate) fn wake_client(&self, client: ClientId) {
        self.watched().wake_client(client);
        self.wake.notify_one();
    }

    /// Nothing is sent to a webhook any more.
    pub(crate) fn forget(&self, id: WebhookId) {
        self.watched().remove(id);
    }

    /// Nothing is sent to any webhook of a client any more.
    pub(crate) fn forget_client(&self, id: ClientId) {
        self.watched().remove_client(id);
    }

    /// Lanes with something to do at `now`; each counts as running from now on.
    pub(crate) fn take_ready(&self, now: Timestamp) -> Vec<ReadyLane> {
        self.follow_clock_back(now);
        self.watched().take_ready(now)
    }

    /// Where each webhook stands: its client, and the cursor of the lane furthest behind.
    pub(crate) fn cursors(&self) -> Vec<(ClientId, Position)> {
        let watched = self.watched();
        let furthest = |lanes: &[WatchedLane]| lanes.iter().map(|lane| lane.lane.cursor).min();
        watched
            .iter()
            .map(|w| (w.webhook.client_id, furthest(&w.lanes).unwrap_or_default()))
            .collect()
    }

    /// A clock set back must not make anybody wait for it to catch up: what waits comes nearer by
    /// as much.
    fn follow_clock_back(&self, now: Timestamp) {
        let mut looked_at = self
            .looked_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = looked_at.replace(now).unwrap_or(now);
        let back = before.duration_since(now);
        if back.is_positive() {
            self.watched().come_nearer(back);
        }
    }

    /// When a delivery, a retry or a heartbeat is next due.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.watched().next_due()
    }

    /// The clients whose logs are followed.
    pub(crate) fn clients(&self) -> HashSet<ClientId> {
        let watched = self.watched();
        watched.iter().map(|w| w.webhook.client_id).collect()
    }

    /// The revision of a lane's webhook, unless it was taken up anew since.
    fn revision_of(&self, ready: ReadyLane) -> Option<u64> {
        Some(self.watched().get_same(ready)?.webhook.revision)
    }

    fn revision(&self, id: WebhookId) -> Option<u64> {
        Some(self.watched().get(id)?.webhook.revision)
    }

    /// Nothing new is begun for the webhooks of partitions; what is under way may end.
    pub(crate) fn begin_leaving(&self, partitions: &Partitions) {
        self.watched().begin_leaving(partitions);
    }

    /// Whether something is under way for the webhooks of partitions.
    pub(crate) fn is_busy(&self, partitions: &Partitions) -> bool {
        let watched = self.watched();
        watched
            .of(partitions)
            .any(|watched| watched.lanes.iter().any(|lane| lane.is_running))
    }

    /// Forgets the webhooks of partitions.
    pub(crate) fn drop_partitions(&self, partitions: &Partitions) {
        let mut watched = self.watched();
        let gone: Vec<WebhookId> = watched.of(partitions).map(|w| w.webhook.id).collect();
        gone.into_iter().for_each(|id| watched.remove(id));
    }

    /// Changes what is held of a lane; `None` if its webhook is no longer watched.
    fn with_lane<T>(
        &self,
        ready: ReadyLane,
        change: impl FnOnce(&mut WatchedLane) -> T,
    ) -> Option<T> {
        self.watched().change(ready, change)
    }

    /// When a delivery of the webhook was last taken, in whatever lane.
    fn last_success(&self, id: WebhookId) -> Option<Timestamp> {
        Some(self.watched().get(id)?.last_success)
    }

    fn note_success(&self, id: WebhookId, at: Timestamp) {
        self.watched().note_success(id, at);
    }

    fn snapshot(&self, ready: ReadyLane) -> Option<(Webhook, Receiver, Lane)> {
        let watched = self.watched();
        let found = watched.get_same(ready).filter(|w| !w.is_leaving)?;
        let lane = found
            .lanes
            .iter()
            .find(|lane| lane.lane.lane == ready.lane)?;
        Some((
            found.webhook.clone(),
            found.receiver.clone(),
            lane.lane.clone(),
        ))
    }
}

impl Engine {
    /// Brings the webhooks of these partitions up to date with what is stored: those that are
    /// active are delivered to, as they are set now.
    pub(crate) async fn load_webhooks(&self, of: &Partitions) -> EngineResult<()> {
        let _change = self.deliveries.changes.lock().await;
        let mut stored = self.store.active_webhooks().await?;
        stored.retain(|(webhook, _)| of.contains(webhook.id.partition()));
        let gone = self.deliveries.watched().without(of, &stored);
        gone.into_iter().for_each(|id| self.deliveries.forget(id));
        for (webhook, lanes) in stored {
            if self.deliveries.revision(webhook.id) != Some(webhook.revision) {
                self.watch(webhook, lanes)?;
            }
        }
        self.deliveries.wake.notify_one();
        Ok(())
    }

    /// Takes up a webhook that is new, changed or switched on again.
    pub(crate) async fn watch_webhook(&self, webhook: Webhook) -> EngineResult<()> {
        if !self.ownership.owns(webhook.id.partition()) {
            self.tell(livewatt_store::Wake::Webhook(webhook.id));
            return Ok(());
        }
        let lanes = self.store.lanes(webhook.id).await?;
        self.watch(webhook, lanes)?;
        self.deliveries.wake.notify_one();
        Ok(())
    }

    fn watch(&self, webhook: Webhook, lanes: Vec<Lane>) -> EngineResult<()> {
        let receiver = self.open_receiver(&webhook)?;
        let next_heartbeat_at = self
            .now()
            .saturating_add(self.options.heartbeat_interval)
            .unwrap_or(Timestamp::MAX);
        let lanes = lanes.into_iter().map(WatchedLane::new).collect();
        let epoch = self.deliveries.epochs.fetch_add(1, Ordering::Relaxed);
        let watched = Watched {
            last_success: webhook.last_success,
            webhook,
            receiver,
            epoch,
            lanes,
            next_heartbeat_at,
            is_leaving: false,
        };
        self.deliveries.watched().insert(watched);
        Ok(())
    }

    /// Sends everything that can be sent now, to all webhooks, and waits for it; returns the number
    /// of deliveries attempted. The running server does the same without waiting.
    pub async fn deliver_due(self: &Arc<Self>) -> usize {
        let mut attempted = 0;
        loop {
            let ready = self.take_ready();
            if ready.is_empty() {
                return attempted;
            }
            let runs = stream::iter(ready)
                .map(|lane| self.run_lane(lane))
                .buffer_unordered(64);
            attempted += runs.fold(0, |sum, count| async move { sum + count }).await;
        }
    }

    /// Lanes with something to do now; none while the leases are in doubt.
    pub(crate) fn take_ready(&self) -> Vec<ReadyLane> {
        match self.ownership.is_valid() {
            true => self.deliveries.take_ready(self.now()),
            false => Vec::new(),
        }
    }

    /// When a delivery, a retry or a heartbeat is next due.
    pub fn next_delivery_at(&self) -> Option<Timestamp> {
        self.deliveries.next_due()
    }

    /// Sends heartbeats that are due; returns how many. They are not retried: the next one follows
    /// soon.
    pub async fn send_heartbeats(&self) -> usize {
        let now = self.now();
        let next = now
            .saturating_add(self.options.heartbeat_interval)
            .unwrap_or(Timestamp::MAX);
        let due = self.deliveries.watched().take_heartbeats(now, next);
        let count = due.len();
        stream::iter(due)
            .for_each_concurrent(64, |(webhook, lanes)| async move {
                if let Err(error) = self.send_heartbeat(&webhook, &lanes).await {
                    tracing::warn!(webhook.id = %webhook.id, error = %chain(&error), "no heartbeat");
                }
            })
            .await;
        count
    }

    async fn send_heartbeat(&self, webhook: &Webhook, lanes: &[Lane]) -> EngineResult<()> {
        // An estimate: the lane furthest behind stands for all.
        let cursor = lanes
            .iter()
            .map(|lane| lane.cursor)
            .min()
            .unwrap_or_default();
        let pending = self
            .store
            .count_events_after(webhook.client_id, cursor, 10_000)
            .await?;
        let body = format!(
            "[{}]",
            self.event_maker(self.now()).heartbeat(pending.into())
        );
        let sent = self.send_once(webhook, body).await?;
        tracing::debug!(webhook.id = %webhook.id, is_success = sent.is_success(), "heartbeat");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
