//! The webhooks in memory, and which of their lanes has something to do at what time: so a commit
//! costs as much as its client has webhooks, and a look for work as much as there is work, however
//! many webhooks an installation has.
//!
//! Invariant: a lane that has something to do and is not at it stands in the timetable once, at the
//! time it may do it ([`WatchedLane::due`]).

use std::collections::{BTreeSet, HashMap, HashSet};

use livewatt_domain::{
    SignedDuration, Timestamp,
    id::{ClientId, WebhookId},
    partition::Partitions,
    webhook::{Lane, Webhook},
};

use super::send::Receiver;

/// Where what is to be done at once stands in the timetable.
const AT_ONCE: Timestamp = Timestamp::UNIX_EPOCH;

/// The webhooks in memory.
#[derive(Debug, Default)]
pub(super) struct Watches {
    webhooks: HashMap<WebhookId, Watched>,
    by_client: HashMap<ClientId, Vec<WebhookId>>,
    lanes: BTreeSet<(Timestamp, WebhookId, u16)>,
    heartbeats: BTreeSet<(Timestamp, WebhookId)>,
}

/// A webhook that is delivered to.
#[derive(Debug)]
pub(super) struct Watched {
    pub webhook: Webhook,
    pub receiver: Receiver,
    /// Which time the webhook was taken up: a run that began before a change of settings finds its
    /// lane gone and changes nothing more.
    pub epoch: u64,
    pub lanes: Vec<WatchedLane>,
    /// When a delivery in any lane was last taken.
    pub last_success: Timestamp,
    pub next_heartbeat_at: Timestamp,
    /// Its partition is handed over: nothing new is begun.
    pub is_leaving: bool,
}

/// A lane of it.
#[derive(Debug)]
pub(super) struct WatchedLane {
    pub lane: Lane,
    /// There may be events after its cursor.
    pub has_news: bool,
    pub is_running: bool,
    /// Something of ours failed; not before this, so that trouble does not spin.
    pub rests_until: Option<Timestamp>,
    /// Where it stands in the timetable.
    entry: Option<Timestamp>,
}

/// A lane with something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadyLane {
    pub webhook: WebhookId,
    pub epoch: u64,
    pub lane: u16,
}

impl WatchedLane {
    /// A lane that may have news.
    pub(super) const fn new(lane: Lane) -> Self {
        Self {
            lane,
            has_news: true,
            is_running: false,
            rests_until: None,
            entry: None,
        }
    }

    /// When it has something to do; `None` if it has not, or is at it.
    fn due(&self) -> Option<Timestamp> {
        let at = match &self.lane.pending {
            _ if self.is_running => None,
            Some(pending) => Some(pending.next_attempt_at),
            None => self.has_news.then_some(AT_ONCE),
        };
        at.map(|at| self.rests_until.map_or(at, |until| until.max(at)))
    }

    /// Brings its place in the timetable up to date.
    fn enter(&mut self, id: WebhookId, lanes: &mut BTreeSet<(Timestamp, WebhookId, u16)>) {
        let due = self.due();
        if due == self.entry {
            return;
        }
        if let Some(before) = self.entry {
            lanes.remove(&(before, id, self.lane.lane));
        }
        lanes.extend(due.map(|at| (at, id, self.lane.lane)));
        self.entry = due;
    }
}

impl Watches {
    /// Takes up a webhook, in place of what was known of it.
    pub(super) fn insert(&mut self, mut watched: Watched) {
        let id = watched.webhook.id;
        self.remove(id);
        let of_client = self.by_client.entry(watched.webhook.client_id);
        of_client.or_default().push(id);
        self.heartbeats.insert((watched.next_heartbeat_at, id));
        for lane in &mut watched.lanes {
            lane.enter(id, &mut self.lanes);
        }
        self.webhooks.insert(id, watched);
    }

    pub(super) fn remove(&mut self, id: WebhookId) {
        let Some(gone) = self.webhooks.remove(&id) else {
            return;
        };
        self.heartbeats.remove(&(gone.next_heartbeat_at, id));
        for lane in &gone.lanes {
            if let Some(at) = lane.entry {
                self.lanes.remove(&(at, id, lane.lane.lane));
            }
        }
        let client = gone.webhook.client_id;
        if let Some(ids) = self.by_client.get_mut(&client) {
            ids.retain(|known| *known != id);
            if ids.is_empty() {
                self.by_client.remove(&client);
            }
        }
    }

    pub(super) fn remove_client(&mut self, client: ClientId) {
        for id in self.by_client.get(&client).cloned().unwrap_or_default() {
            self.remove(id);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Watched> {
        self.webhooks.values()
    }

    /// Those of partitions.
    pub(super) fn of<'w>(&'w self, partitions: &Partitions) -> impl Iterator<Item = &'w Watched> {
        let partitions = *partitions;
        self.iter()
            .filter(move |watched| partitions.contains(watched.webhook.id.partition()))
    }

    /// Those of partitions that are not among these.
    pub(super) fn without(
        &self,
        partitions: &Partitions,
        these: &[(Webhook, Vec<Lane>)],
    ) -> Vec<WebhookId> {
        let kept: HashSet<WebhookId> = these.iter().map(|(webhook, _)| webhook.id).collect();
        let ids = self.of(partitions).map(|watched| watched.webhook.id);
        ids.filter(|id| !kept.contains(id)).collect()
    }

    /// Nothing new is begun for those of partitions.
    pub(super) fn begin_leaving(&mut self, partitions: &Partitions) {
        for (id, watched) in &mut self.webhooks {
            if !partitions.contains(id.partition()) {
                continue;
            }
            watched.is_leaving = true;
            self.heartbeats.remove(&(watched.next_heartbeat_at, *id));
            for lane in &mut watched.lanes {
                if let Some(at) = lane.entry.take() {
                    self.lanes.remove(&(at, *id, lane.lane.lane));
                }
            }
        }
    }

    pub(super) fn get(&self, id: WebhookId) -> Option<&Watched> {
        self.webhooks.get(&id)
    }

    /// The webhook of a lane, unless it was taken up anew since.
    pub(super) fn get_same(&self, ready: ReadyLane) -> Option<&Watched> {
        self.get(ready.webhook)
            .filter(|watched| watched.epoch == ready.epoch)
    }

    pub(super) fn note_success(&mut self, id: WebhookId, at: Timestamp) {
        if let Some(watched) = self.webhooks.get_mut(&id) {
            watched.last_success = watched.last_success.max(at);
        }
    }

    /// A client's log has grown.
    pub(super) fn wake_client(&mut self, client: ClientId) {
        for id in self.by_client.get(&client).into_iter().flatten() {
            let Some(watched) = self.webhooks.get_mut(id) else {
                continue;
            };
            if watched.is_leaving {
                continue;
            }
            for lane in &mut watched.lanes {
                lane.has_news = true;
                lane.enter(*id, &mut self.lanes);
            }
        }
    }

    /// Changes a lane; `None` if its webhook is no longer watched.
    pub(super) fn change<T>(
        &mut self,
        ready: ReadyLane,
        change: impl FnOnce(&mut WatchedLane) -> T,
    ) -> Option<T> {
        let watched = self.webhooks.get_mut(&ready.webhook);
        let watched = watched.filter(|watched| watched.epoch == ready.epoch)?;
        let mut lanes = watched.lanes.iter_mut();
        let lane = lanes.find(|lane| lane.lane.lane == ready.lane)?;
        let result = change(lane);
        if !watched.is_leaving {
            lane.enter(ready.webhook, &mut self.lanes);
        }
        Some(result)
    }

    /// Lanes with something to do at `now`; each counts as running from now on.
    pub(super) fn take_ready(&mut self, now: Timestamp) -> Vec<ReadyLane> {
        let mut ready = Vec::new();
        while let Some((_, id, number)) = self.lanes.first().filter(|(at, ..)| *at <= now).copied()
        {
            self.lanes.pop_first();
            let Some(watched) = self.webhooks.get_mut(&id) else {
                continue;
            };
            let mut lanes = watched.lanes.iter_mut();
            if let Some(lane) = lanes.find(|lane| lane.lane.lane == number) {
                lane.is_running = true;
                lane.rests_until = None;
                lane.entry = None;
                ready.push(ReadyLane {
                    webhook: id,
                    epoch: watched.epoch,
                    lane: number,
                });
            }
        }
        ready
    }

    /// The webhooks that are due a heartbeat at `now`, with their lanes; their next is due at `next`.
    pub(super) fn take_heartbeats(
        &mut self,
        now: Timestamp,
        next: Timestamp,
    ) -> Vec<(Webhook, Vec<Lane>)> {
        let mut due = Vec::new();
        while let Some((_, id)) = self
            .heartbeats
            .first()
            .filter(|(at, _)| *at <= now)
            .copied()
        {
            self.heartbeats.pop_first();
            let Some(watched) = self.webhooks.get_mut(&id) else {
                continue;
            };
            watched.next_heartbeat_at = next;
            let lanes = watched.lanes.iter().map(|lane| lane.lane.clone());
            due.push((watched.webhook.clone(), lanes.collect()));
        }
        let ids = due.iter().map(|(webhook, _)| (next, webhook.id));
        self.heartbeats.extend(ids);
        due
    }

    /// When a lane or a heartbeat is next due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let lane = self.lanes.first().map(|(at, ..)| *at);
        let heartbeat = self.heartbeats.first().map(|(at, _)| *at);
        lane.into_iter().chain(heartbeat).min()
    }

    /// Moves all that lies ahead by a span towards the past; nothing is put off beyond that.
    pub(super) fn come_nearer(&mut self, span: SignedDuration) {
        let nearer = |at: &mut Timestamp| *at = at.saturating_sub(span).unwrap_or(AT_ONCE);
        self.heartbeats.clear();
        for (id, watched) in &mut self.webhooks {
            if watched.is_leaving {
                continue;
            }
            nearer(&mut watched.next_heartbeat_at);
            self.heartbeats.insert((watched.next_heartbeat_at, *id));
            for lane in &mut watched.lanes {
                if let Some(until) = &mut lane.rests_until {
                    nearer(until);
                }
                if let Some(pending) = &mut lane.lane.pending {
                    nearer(&mut pending.next_attempt_at);
                }
                lane.enter(*id, &mut self.lanes);
            }
        }
    }
}
