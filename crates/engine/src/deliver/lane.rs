//! One lane of a webhook: read, freeze, send, settle.
//!
//! While there is more to deliver, a delivery is settled and the next one frozen by one write, so
//! that a lane waits for the disk once a delivery.

use livewatt_domain::{
    SignedDuration, Timestamp,
    id::DeliveryId,
    webhook::{DeliveryAttempt, Lane, PendingDelivery, Webhook},
};
use livewatt_store::{LaneStep, LogQuery};

use super::{
    ReadyLane, measure,
    send::{Receiver, Sent},
};
use crate::{Engine, EngineResult, error::chain};

/// Deliveries a lane makes in one run before it lets others go first.
const DELIVERIES_PER_RUN: usize = 50;

/// How long a lane rests after a failure of our own.
const REST: SignedDuration = SignedDuration::from_secs(5);

impl Engine {
    /// Works a lane off; returns the number of deliveries attempted.
    pub(crate) async fn run_lane(&self, ready: ReadyLane) -> usize {
        let mut attempted = 0;
        let mut frozen = None;
        while attempted < DELIVERIES_PER_RUN {
            // The last of a run leaves nothing frozen: it might be long until the lane's next turn.
            let goes_on = attempted + 1 < DELIVERIES_PER_RUN;
            match self.step_lane(ready, frozen.take(), goes_on).await {
                Ok(Progress::Delivered(next)) => {
                    attempted += 1;
                    frozen = next;
                }
                Ok(Progress::Failed) => {
                    attempted += 1;
                    break;
                }
                Ok(Progress::Idle) => break,
                Err(error) => {
                    tracing::error!(webhook.id = %ready.webhook, error = %chain(&error), "delivery failed on our side");
                    let until = self.now().saturating_add(REST).ok();
                    self.deliveries.with_lane(ready, |lane| {
                        lane.has_news = true;
                        lane.rests_until = until;
                    });
                    break;
                }
            }
        }
        self.deliveries
            .with_lane(ready, |lane| lane.is_running = false);
        attempted
    }

    async fn step_lane(
        &self,
        ready: ReadyLane,
        frozen: Option<Frozen>,
        goes_on: bool,
    ) -> EngineResult<Progress> {
        let Some((webhook, receiver, mut lane)) = self.deliveries.snapshot(ready) else {
            return Ok(Progress::Idle);
        };
        let bodies = match (&lane.pending, frozen) {
            (Some(pending), _) if pending.next_attempt_at > self.now() => {
                return Ok(Progress::Idle);
            }
            (Some(pending), Some(frozen)) if frozen.id == pending.id => frozen.bodies,
            (Some(pending), _) => self.bodies(&webhook, &lane, pending).await?,
            (None, _) => {
                let Some(frozen) = self.freeze(ready, &webhook, &mut lane).await? else {
                    return Ok(Progress::Idle);
                };
                if !self.save(ready, lane.clone(), None).await? {
                    return Ok(Progress::Idle);
                }
                frozen.bodies
            }
        };
        self.attempt(ready, &webhook, &receiver, lane, bodies, goes_on)
            .await
    }

    /// Reads on in the log; if something wanted is there, freezes it as the lane's next delivery,
    /// which is still to be stored.
    async fn freeze(
        &self,
        ready: ReadyLane,
        webhook: &Webhook,
        lane: &mut Lane,
    ) -> EngineResult<Option<Frozen>> {
        // Cleared before reading: news that come in meanwhile are not lost.
        self.deliveries
            .with_lane(ready, |lane| lane.has_news = false);
        loop {
            let query = LogQuery {
                client_id: webhook.client_id,
                after: lane.cursor,
                until: None,
                lane: Some((lane.lane, webhook.lanes)),
                limit: self.options.delivery_batch,
            };
            let page = match self.store.events_after(query).await {
                Ok(page) => page,
                Err(error) => {
                    self.deliveries
                        .with_lane(ready, |lane| lane.has_news = true);
                    return Err(error.into());
                }
            };
            let is_at_end = page.read_until <= lane.cursor || page.events.is_empty();
            let mut until = None;
            let mut bodies = Vec::with_capacity(page.events.len());
            for logged in page.events {
                if webhook.events.accepts(&logged.event.name) {
                    until = Some(logged.position);
                    bodies.push(logged.event.body);
                }
            }
            if let Some(until) = until {
                let id = DeliveryId::new(self.now(), self.entropy.as_ref());
                lane.pending = Some(PendingDelivery {
                    id,
                    until,
                    attempts: 0,
                    failing_since: None,
                    next_attempt_at: self.now(),
                });
                self.deliveries
                    .with_lane(ready, |lane| lane.has_news = true);
                return Ok(Some(Frozen { id, bodies }));
            }
            // Nothing wanted here. That far needs no writing down: after a restart it is read over
            // again, to the same end.
            lane.cursor = page.read_until.max(lane.cursor);
            let cursor = lane.cursor;
            self.deliveries.with_lane(ready, |held| {
                // Else a delivery of before is still to be settled, and begins at the cursor.
                if held.lane.pending.is_none() {
                    held.lane.cursor = cursor;
                }
            });
            if is_at_end {
                return Ok(None);
            }
        }
    }

    /// The events of a frozen delivery, as they were when it was frozen.
    async fn bodies(
        &self,
        webhook: &Webhook,
        lane: &Lane,
        pending: &PendingDelivery,
    ) -> EngineResult<Vec<String>> {
        let query = LogQuery {
            client_id: webhook.client_id,
            after: lane.cursor,
            until: Some(pending.until),
            lane: Some((lane.lane, webhook.lanes)),
            limit: u32::MAX,
        };
        let page = self.store.events_after(query).await?;
        let wanted = page
            .events
            .into_iter()
            .filter(|e| webhook.events.accepts(&e.event.name));
        Ok(wanted.map(|logged| logged.event.body).collect())
    }

    /// Sends what is frozen and writes down what came of it.
    async fn attempt(
        &self,
        ready: ReadyLane,
        webhook: &Webhook,
        receiver: &Receiver,
        mut lane: Lane,
        bodies: Vec<String>,
        goes_on: bool,
    ) -> EngineResult<Progress> {
        let Some(mut pending) = lane.pending.take() else {
            return Ok(Progress::Idle);
        };
        if bodies.is_empty() {
            // Retention or erasure took them: there is nothing left to deliver.
            lane.cursor = pending.until;
            lane.pending = None;
            self.save(ready, lane, None).await?;
            return Ok(Progress::Delivered(None));
        }
        let events = bodies.len();
        let body = format!("[{}]", bodies.join(","));
        let started_at = self.now();
        let sent = self.send(receiver, pending.id, body).await;
        pending.attempts += 1;
        let attempt = DeliveryAttempt {
            webhook_id: webhook.id,
            delivery_id: pending.id,
            attempt: pending.attempts,
            at: started_at,
            duration_ms: sent.duration.as_millis() as u64,
            events: events as u32,
            status: sent.response.as_ref().map(|answer| answer.status),
            error: sent.failure(),
        };
        let outcome = if sent.is_success() {
            "delivered"
        } else {
            "failed"
        };
        metrics::counter!("livewatt_deliveries_total", "outcome" => outcome).increment(1);
        if sent.is_success() {
            metrics::counter!("livewatt_events_delivered_total").increment(events as u64);
            measure::note_taken(&bodies, self.now());
            lane.cursor = pending.until;
            lane.pending = None;
            let done = Done {
                attempt,
                succeeded_at: Some(self.now()),
                deactivate: false,
            };
            let next = match goes_on {
                // What cannot be read now is read again, and complained about, at the next step.
                true => self.freeze(ready, webhook, &mut lane).await.ok().flatten(),
                false => None,
            };
            self.save(ready, lane, Some(done)).await?;
            Ok(Progress::Delivered(next))
        } else {
            self.fail(ready, webhook, lane, pending, attempt, &sent)
                .await?;
            Ok(Progress::Failed)
        }
    }

    /// After a failure: the next attempt, or the end of the retry window. Events stay in the log
    /// either way.
    async fn fail(
        &self,
        ready: ReadyLane,
        webhook: &Webhook,
        mut lane: Lane,
        mut pending: PendingDelivery,
        attempt: DeliveryAttempt,
        sent: &Sent,
    ) -> EngineResult<()> {
        let now = self.now();
        let failing_since = *pending.failing_since.get_or_insert(now);
        // The window is the webhook's: what other lanes deliver keeps it open.
        let last_success = self.deliveries.last_success(ready.webhook);
        let failing_since = last_success.map_or(failing_since, |at| failing_since.max(at));
        let wish = sent.response.as_ref().and_then(|answer| answer.retry_after);
        let jitter = self.entropy.jitter(0.1);
        let next: Option<Timestamp> =
            self.options
                .retry
                .next(failing_since, pending.attempts, now, wish, jitter);
        let deactivate = next.is_none();
        if let Some(at) = next {
            pending.next_attempt_at = at;
        } else {
            // Whoever switches the webhook on again starts with a fresh window.
            pending.failing_since = None;
            pending.next_attempt_at = now;
        }
        lane.pending = Some(pending);
        let done = Done {
            attempt,
            succeeded_at: None,
            deactivate,
        };
        if !deactivate {
            self.save(ready, lane, Some(done)).await?;
            return Ok(());
        }
        let _change = self.deliveries.changes.lock().await;
        // Not if it was changed meanwhile: it is watched anew then, and active.
        if self.save(ready, lane, Some(done)).await? {
            tracing::warn!(webhook.id = %webhook.id, "webhook switched off: its retry window ran out");
            self.deliveries.forget(webhook.id);
        }
        Ok(())
    }

    /// Writes a lane down and holds it. False if the webhook is gone.
    async fn save(&self, ready: ReadyLane, lane: Lane, done: Option<Done>) -> EngineResult<bool> {
        let (attempt, succeeded_at, deactivate) = match done {
            None => (None, None, false),
            Some(done) => (Some(done.attempt), done.succeeded_at, done.deactivate),
        };
        // The webhook may have been changed while we were out: then what we know is void, and the
        // lane goes on from where it is stored to stand.
        let Some(revision) = self.deliveries.revision_of(ready) else {
            return Ok(false);
        };
        let fence = match &self.membership {
            Some(_) => Some(self.own_webhook(ready.webhook)?),
            None => None,
        };
        let step = LaneStep {
            lane: lane.clone(),
            attempt,
            succeeded_at,
            deactivate,
            webhook_id: ready.webhook,
            revision,
            fence,
        };
        if !self.store.save_lane(step).await? {
            self.deliveries.forget(ready.webhook);
            // Changed at another node, or gone.
            self.look_for_webhooks();
            return Ok(false);
        }
        self.deliveries.with_lane(ready, |held| held.lane = lane);
        if let Some(at) = succeeded_at {
            self.deliveries.note_success(ready.webhook, at);
        }
        Ok(true)
    }
}

/// The events of a frozen delivery.
#[derive(Debug)]
struct Frozen {
    id: DeliveryId,
    bodies: Vec<String>,
}

/// How far a step brought a lane.
#[derive(Debug)]
enum Progress {
    /// A delivery was taken; there may be more, and the next may be frozen already.
    Delivered(Option<Frozen>),
    /// The receiver failed; not now.
    Failed,
    /// Nothing to do.
    Idle,
}

/// What an attempt leads to besides moving the lane.
struct Done {
    attempt: DeliveryAttempt,
    succeeded_at: Option<Timestamp>,
    deactivate: bool,
}
