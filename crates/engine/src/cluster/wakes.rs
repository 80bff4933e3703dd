//! Wake-ups between nodes. They only save waiting: whatever they are about is found by a look as
//! well ([`Engine::reconcile`]), once a second.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use livewatt_domain::{id::ClientId, webhook::Position};
use livewatt_store::{BoxError, Wake};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{Engine, EngineResult, error::chain};

/// How long wake-ups gather before they are sent: as long as a commit takes.
const GATHERING: Duration = Duration::from_millis(3);
/// Nodes are told no more than this at once; the rest is found by looking.
const MOST: usize = 10_000;

/// Another way than the database's own to wake nodes.
#[async_trait]
pub trait Bus: Send + Sync + std::fmt::Debug {
    /// Tells all nodes.
    ///
    /// # Errors
    /// If they cannot be told; nothing more is done about it.
    async fn wake(&self, wakes: Vec<Wake>) -> Result<(), BoxError>;
    /// What nodes tell, from now on; connects again by itself.
    fn wakes(&self) -> mpsc::Receiver<Wake>;
    /// Whether it can carry anything now.
    fn is_connected(&self) -> bool;
}

/// Wake-ups on their way out.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: Mutex<HashSet<Wake>>,
    filled: Notify,
}

impl Outbox {
    fn put(&self, wake: Wake) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST {
            waiting.insert(wake);
        }
        drop(waiting);
        self.filled.notify_one();
    }

    fn take(&self) -> Vec<Wake> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.drain().collect()
    }
}

impl Engine {
    /// Wakes the other nodes, if there are any.
    pub(crate) fn tell(&self, wake: Wake) {
        if let Some(members) = &self.membership {
            members.outbox.put(wake);
        }
    }

    /// A client's log has grown: here, and for the other nodes.
    pub(crate) fn announce(&self, client: ClientId) {
        self.note_events(client);
        self.tell(Wake::Events(client));
    }

    fn note_events(&self, client: ClientId) {
        self.feed.announce(client);
        self.deliveries.wake_client(client);
        self.wake_export();
    }

    /// Sends what has gathered.
    pub async fn send_wakes(&self) {
        let Some(members) = &self.membership else {
            return;
        };
        let wakes = members.outbox.take();
        if wakes.is_empty() {
            return;
        }
        let sent = match &members.options.bus {
            Some(bus) => bus.wake(wakes).await,
            None => members.cluster.wake(wakes).await.map_err(Into::into),
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "other nodes were not woken; they look by themselves");
        }
    }

    /// Takes a wake-up.
    pub(super) fn take_wake(&self, wake: Wake) {
        let Some(members) = &self.membership else {
            return;
        };
        match wake {
            Wake::Events(client) => self.note_events(client),
            Wake::Letter(partition) if self.ownership.owns(partition) => {
                members.inbox.notify_one();
            }
            Wake::Letter(_) => {}
            Wake::Released => members.due.notify_one(),
            Wake::Webhook(id) if self.ownership.owns(id.partition()) => self.look_for_webhooks(),
            Wake::Webhook(_) => {}
            Wake::Tokens(client) => self.known_tokens.revoke(client),
            Wake::Locations(client) => self.take_place_wake(client),
        }
    }

    /// Finds out which logs have grown without a wake-up, among those that somebody here follows.
    pub(super) async fn look_at_heads(&self) -> EngineResult<()> {
        let Some(members) = &self.membership else {
            return Ok(());
        };
        // Streams look by themselves.
        let clients: HashSet<ClientId> = self.deliveries.clients();
        if clients.is_empty() {
            return Ok(());
        }
        let heads = members.cluster.heads(clients.into_iter().collect()).await?;
        let grown: Vec<ClientId> = {
            let mut known = members.heads.lock().unwrap_or_else(PoisonError::into_inner);
            let heads: HashMap<ClientId, Position> = heads.into_iter().collect();
            let before = std::mem::replace(&mut *known, heads);
            let has_grown = |(client, head): (&ClientId, &Position)| {
                (before.get(client) != Some(head)).then_some(*client)
            };
            known.iter().filter_map(has_grown).collect()
        };
        grown
            .into_iter()
            .for_each(|client| self.note_events(client));
        Ok(())
    }
}

/// Sends wake-ups as they gather, until the end.
pub(super) async fn send_loop(engine: Arc<Engine>, stop: CancellationToken) {
    let Some(members) = &engine.membership else {
        return;
    };
    loop {
        tokio::select! {
            () = members.outbox.filled.notified() => {}
            () = stop.cancelled() => return engine.send_wakes().await,
        }
        tokio::time::sleep(GATHERING).await;
        engine.send_wakes().await;
    }
}

/// Takes wake-ups as they come, until the end.
pub(super) async fn receive_loop(engine: Arc<Engine>, stop: CancellationToken) {
    let Some(members) = &engine.membership else {
        return;
    };
    // The command line, for one, knows of no other way than the database.
    let mut wakes = members.cluster.wakes();
    let mut carried = members.options.bus.as_ref().map(|bus| bus.wakes());
    loop {
        let by_bus = async {
            match &mut carried {
                Some(carried) => carried.recv().await,
                None => std::future::pending().await,
            }
        };
        let wake = tokio::select! {
            wake = wakes.recv() => wake,
            wake = by_bus => match wake {
                Some(wake) => Some(wake),
                None => {
                    carried = None;
                    tracing::error!("wake-ups of other nodes are heard by way of the database alone");
                    continue;
                }
            },
            () = stop.cancelled() => return,
        };
        match wake {
            Some(wake) => engine.take_wake(wake),
            None => return tracing::error!("wake-ups of other nodes are heard no more"),
        }
    }
}

/// Looks for what wake-ups did not tell, once a second and when woken, until the end.
pub(super) async fn look_loop(engine: Arc<Engine>, stop: CancellationToken) {
    let Some(members) = &engine.membership else {
        return;
    };
    let mut ticks = tokio::time::interval(members.options.tick);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let is_woken = tokio::select! {
            _ = ticks.tick() => false,
            () = members.inbox.notified() => true,
            () = stop.cancelled() => return,
        };
        let looking = async {
            match is_woken {
                true => engine.look_inside().await,
                false => engine.reconcile().await,
            }
        };
        // Whoever does not answer within a lease is asked again, on another connection.
        match tokio::time::timeout(members.options.self_stop, looking).await {
            // They end by themselves.
            Ok(Ok(mut tasks)) => tasks.detach_all(),
            Err(_) => tracing::warn!("what other nodes left is looked for again: no answer"),
            Ok(Err(error)) => {
                tracing::warn!(error = %chain(&error), "what other nodes left is looked for again");
            }
        }
    }
}
