//! One node among several on one database.
//!
//! Each partition belongs to one node at a time, by a lease in the database; its owner alone
//! fetches the accounts in it, merges, writes their devices and delivers to the webhooks in it. Any
//! node serves the API and takes pushes; what concerns another's partitions goes there as a letter
//! (`letters`), and what saves waiting goes as a wake-up (`wakes`).
//!
//! Invariants:
//! - Nothing is begun, and nothing written, in a partition without a right that holds beyond doubt
//!   (`Ownership`); what was begun before it ended fails at its fence in the database.
//! - A partition changes hands in good order (stop, drain, write down, release), or after its lease
//!   has ended.
//! - Every message may be lost or come twice.
//!
//! An engine whose database only one program can use owns everything and is no member of anything.

mod letters;
mod ownership;
mod round;
mod takeover;
mod wakes;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use livewatt_domain::{
    SignedDuration, Timestamp,
    entropy::Entropy,
    id::{AccountId, ClientId, WebhookId, uuid_v7},
    partition::Partitions,
    webhook::Position,
};
use livewatt_store::{
    Cluster, ClusterView, Fence, Node, StationSocket, StoreError, StoreResult, Wake,
};
use tokio::{sync::Notify, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub use self::wakes::Bus;
pub(crate) use self::{letters::Letter, ownership::Ownership};
use self::{round::Round, wakes::Outbox};
use crate::{Engine, EngineError, EngineResult, error::chain};

/// Settings of a node among several.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Its name, which no other node has, and which it keeps over restarts.
    pub name: String,
    /// Where it listens, for people who look at the list of nodes.
    pub address: String,
    /// Whether it owns partitions; a guest reads, and leaves letters.
    pub takes_part: bool,
    /// Life time of a lease, by the database's time.
    pub lease: SignedDuration,
    /// Time between two renewals.
    pub renewal: Duration,
    /// Without a renewal, a node stops by itself after so long; shorter than a lease, so that it
    /// has stopped when others may begin.
    pub self_stop: Duration,
    /// Partitions handed over in one round.
    pub moves: usize,
    /// Time between two looks for what wake-ups did not tell.
    pub tick: Duration,
    /// What wakes other nodes; `None` for the database itself.
    pub bus: Option<Arc<dyn Bus>>,
}

impl ClusterOptions {
    /// The usual settings, with leases of so many seconds.
    pub fn with_lease(seconds: u32) -> Self {
        Self {
            name: "livewatt".to_owned(),
            address: String::new(),
            takes_part: true,
            lease: SignedDuration::from_secs(seconds.into()),
            renewal: Duration::from_secs(seconds.into()) / 3,
            self_stop: Duration::from_secs(seconds.into()) * 2 / 3,
            moves: 32,
            tick: Duration::from_secs(1),
            bus: None,
        }
    }
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self::with_lease(15)
    }
}

/// A clock that differs from the database's by more is worth a line in the log.
const MOST_SKEW: SignedDuration = SignedDuration::from_secs(5);

/// Time between two looks at the settings of all webhooks.
const WEBHOOK_LOOK: Duration = Duration::from_secs(30);

/// This node among the others.
#[derive(Debug)]
pub(crate) struct Membership {
    cluster: Arc<dyn Cluster>,
    node: Node,
    options: ClusterOptions,
    outbox: Outbox,
    /// There may be letters.
    inbox: Notify,
    /// There may be partitions to claim.
    due: Notify,
    /// One round at a time.
    rounds: tokio::sync::Mutex<()>,
    /// Accounts whose letters are being worked off.
    busy: Mutex<HashSet<AccountId>>,
    /// Where the logs stood when they were last looked at.
    heads: Mutex<HashMap<ClientId, Position>>,
    /// When the settings of webhooks were last looked at.
    looked_at_webhooks: Mutex<Option<Instant>>,
    /// It must stop: another run has its name, or the database needs a newer program.
    is_over: AtomicBool,
    /// The machine's clock and the database's differ.
    is_clock_wrong: AtomicBool,
}

impl Membership {
    pub(crate) fn new(
        cluster: Arc<dyn Cluster>,
        options: ClusterOptions,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Self {
        let node = Node {
            name: options.name.clone(),
            incarnation: uuid_v7(now, entropy),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            address: options.address.clone(),
            started_at: now,
        };
        Self {
            cluster,
            node,
            options,
            outbox: Outbox::default(),
            inbox: Notify::new(),
            due: Notify::new(),
            rounds: tokio::sync::Mutex::default(),
            busy: Mutex::default(),
            heads: Mutex::default(),
            looked_at_webhooks: Mutex::default(),
            is_over: AtomicBool::new(false),
            is_clock_wrong: AtomicBool::new(false),
        }
    }

    fn busy(&self) -> MutexGuard<'_, HashSet<AccountId>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The settings of some webhook have changed.
    fn webhooks_changed(&self) {
        *self.last_webhook_look() = None;
    }

    fn last_webhook_look(&self) -> MutexGuard<'_, Option<Instant>> {
        self.looked_at_webhooks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The socket of a station, at whatever node that is alive.
    pub(crate) async fn socket_of(&self, station_id: &str) -> StoreResult<Option<StationSocket>> {
        self.cluster.socket_of(station_id, self.lease()).await
    }

    /// Notes that a station is connected here.
    pub(crate) async fn open_socket(&self, station_id: &str, number: u64) -> StoreResult<()> {
        self.cluster
            .open_socket(self.socket(station_id, number))
            .await
    }

    /// Notes that it no longer is.
    pub(crate) async fn close_socket(&self, station_id: &str, number: u64) -> StoreResult<()> {
        self.cluster
            .close_socket(self.socket(station_id, number))
            .await
    }

    /// Lets the node at which a station is connected know that it is no longer wanted.
    pub(crate) async fn forget_socket(&self, station_id: &str) -> StoreResult<()> {
        self.cluster.forget_socket(station_id).await
    }

    fn socket(&self, station_id: &str, number: u64) -> StationSocket {
        StationSocket {
            station_id: station_id.to_owned(),
            incarnation: self.node.incarnation,
            number,
        }
    }

    /// Life time of a lease.
    pub(crate) fn lease(&self) -> SignedDuration {
        self.options.lease
    }
}

impl Engine {
    pub(crate) fn members(&self) -> EngineResult<&Membership> {
        self.membership.as_ref().ok_or_else(|| {
            EngineError::internal("another node is to be told", "there are no other nodes")
        })
    }

    /// The right to deliver as the owner of a webhook.
    pub(crate) fn own_webhook(&self, id: WebhookId) -> EngineResult<Fence> {
        let partition = id.partition();
        let fence = self.ownership.fence(partition);
        fence.ok_or_else(|| StoreError::Fenced { partition }.into())
    }

    /// The settings of some webhook are not what this node knows.
    pub(crate) fn look_for_webhooks(&self) {
        if let Some(members) = &self.membership {
            members.webhooks_changed();
            members.inbox.notify_one();
        }
    }

    /// Whether this node may do what concerns an account.
    pub(crate) fn owns(&self, account: AccountId) -> bool {
        self.ownership.owns(account.partition())
    }

    /// Makes this node known and takes what is free of its share.
    ///
    /// # Errors
    /// If the database fails.
    pub(crate) async fn join(&self) -> EngineResult<()> {
        let Some(members) = &self.membership else {
            return self.load_partitions(&Partitions::ALL).await;
        };
        if !members.options.takes_part {
            return Ok(());
        }
        members.cluster.join(&members.node).await?;
        self.keep_partitions().await
    }

    /// One round: renews the leases, lets go of what is lost, claims what is free, and hands over
    /// what is another's. Nothing for an engine that is alone.
    ///
    /// # Errors
    /// If the database fails, or another run has taken this node's name.
    pub async fn keep_partitions(&self) -> EngineResult<()> {
        let moves = self.membership.as_ref().map_or(0, |m| m.options.moves);
        self.keep_partitions_giving(moves).await
    }

    /// The same, with at most so many partitions handed over.
    async fn keep_partitions_giving(&self, moves: usize) -> EngineResult<()> {
        let Some(members) = &self.membership else {
            return Ok(());
        };
        let _round = members.rounds.lock().await;
        let options = &members.options;
        // From before it is asked: the database counts from later on.
        let began = Instant::now();
        let beat = members.cluster.beat(&members.node, options.lease);
        // What comes later renews nothing any more; another connection may be better.
        let beat = tokio::time::timeout(options.self_stop, beat).await;
        let view = match beat {
            Ok(Ok(Some(view))) => view,
            Ok(Ok(None)) => {
                let why = format!(
                    "another run of a node named {} has joined; names must differ (cluster.name)",
                    members.node.name
                );
                return Err(self.give_up(members, EngineError::internal("it was replaced", why)));
            }
            Ok(Err(error @ StoreError::NewerSchema { .. })) => {
                return Err(self.give_up(members, error.into()));
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => {
                let why = "it has not answered for as long as a lease may go unrenewed";
                return Err(EngineError::internal("the database does not answer", why));
            }
        };
        let told_within = began.elapsed();
        self.ownership.renew(began + options.self_stop);
        self.follow_database(members, view.database_time, told_within);
        let held = self.ownership.claimed();
        let round = Round::of(&view, &members.node, &held, options.lease, moves);
        self.lose(&round.lost);
        self.take_over(&round.unheld).await?;
        if !round.claim.is_empty() {
            let fences = members
                .cluster
                .claim(&members.node, round.claim, options.lease)
                .await?;
            self.take_over(&fences).await?;
        }
        self.hand_over(members, &round.give).await?;
        self.publish_membership(&view);
        Ok(())
    }

    /// Goes by the database's time: what several nodes write of one device is compared by its times.
    fn follow_database(&self, members: &Membership, time: Timestamp, within: Duration) {
        let Some(skew) = self.clock.follow(time, within) else {
            metrics::gauge!("livewatt_clock_skew_seconds").set(0.0);
            return;
        };
        metrics::gauge!("livewatt_clock_skew_seconds").set(skew.as_secs_f64());
        let is_wrong = skew.abs() > MOST_SKEW;
        if is_wrong != members.is_clock_wrong.swap(is_wrong, Ordering::Relaxed) {
            match is_wrong {
                true => tracing::warn!(
                    skew_seconds = skew.as_secs_f64(),
                    "this machine's clock is not right; the database's time is gone by"
                ),
                false => tracing::info!("this machine's clock is right again"),
            }
        }
    }

    /// Lets go of everything, for good.
    fn give_up(&self, members: &Membership, why: EngineError) -> EngineError {
        members.is_over.store(true, Ordering::Relaxed);
        let claimed = self.ownership.claimed();
        self.lose(&claimed.iter().map(|fence| fence.partition).collect());
        why
    }

    /// All nodes and partitions; `None` for an engine that is alone.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn cluster_view(&self) -> EngineResult<Option<ClusterView>> {
        match &self.membership {
            Some(members) => Ok(Some(members.cluster.view().await?)),
            None => Ok(None),
        }
    }

    /// Whether what carries wake-ups instead of the database is connected; `None` if nothing does.
    pub fn bus_is_connected(&self) -> Option<bool> {
        let bus = self.membership.as_ref()?.options.bus.as_ref()?;
        Some(bus.is_connected())
    }

    /// The name of this node; `None` for an engine that is alone.
    pub fn node_name(&self) -> Option<&str> {
        Some(&self.membership.as_ref()?.node.name)
    }

    /// Looks for everything that wake-ups may not have told: letters, logs that have grown,
    /// webhooks that were changed. The tasks it returns work letters off.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn reconcile(self: &Arc<Self>) -> EngineResult<JoinSet<()>> {
        self.look_at_heads().await?;
        self.look_inside().await
    }

    /// Looks for letters, and for webhooks that were changed.
    async fn look_inside(self: &Arc<Self>) -> EngineResult<JoinSet<()>> {
        if let Some(members) = &self.membership {
            let is_due = members
                .last_webhook_look()
                .is_none_or(|at| at.elapsed() >= WEBHOOK_LOOK);
            if is_due {
                *members.last_webhook_look() = Some(Instant::now());
                if let Err(error) = self.load_webhooks(&self.ownership.owned()).await {
                    members.webhooks_changed();
                    return Err(error);
                }
            }
        }
        self.read_letters().await
    }

    fn publish_membership(&self, view: &ClusterView) {
        let owned = self.ownership.owned().len();
        metrics::gauge!("livewatt_partitions_owned").set(owned as f64);
        let free = view.leases.iter().filter(|lease| lease.left.is_negative());
        metrics::gauge!("livewatt_partitions_free").set(free.count() as f64);
        let lease = self.membership.as_ref().map(Membership::lease);
        let alive = view
            .nodes
            .iter()
            .filter(|status| lease.is_some_and(|lease| status.silent_for < lease));
        metrics::gauge!("livewatt_nodes").set(alive.count() as f64);
    }

    /// Gives everything back: the last thing before an end in good order.
    pub(crate) async fn leave(&self) {
        let Some(members) = &self.membership else {
            return;
        };
        let _round = members.rounds.lock().await;
        let owned = self.ownership.owned();
        let left = async {
            self.hand_over(members, &owned).await?;
            members.cluster.leave(&members.node).await?;
            self.tell(Wake::Released);
            self.send_wakes().await;
            Ok::<_, EngineError>(())
        };
        if let Err(error) = left.await {
            tracing::warn!(error = %chain(&error), "this node's partitions come free when their leases end");
        }
    }
}

/// The figures of a program that has the database for itself.
pub(crate) fn publish_nothing() {
    metrics::gauge!("livewatt_partitions_owned").set(0.0);
    metrics::gauge!("livewatt_partitions_free").set(0.0);
    metrics::gauge!("livewatt_nodes").set(0.0);
    metrics::gauge!("livewatt_clock_skew_seconds").set(0.0);
    metrics::counter!("livewatt_partitions_taken_total").increment(0);
    metrics::counter!("livewatt_partitions_given_total").increment(0);
    metrics::counter!("livewatt_partitions_lost_total").increment(0);
}

/// Keeps this node's partitions, until the end or until another run has its name.
pub(crate) async fn run(engine: Arc<Engine>, stop: CancellationToken) {
    let Some(members) = &engine.membership else {
        return;
    };
    let loops = [
        tokio::spawn(wakes::send_loop(engine.clone(), stop.clone())),
        tokio::spawn(wakes::receive_loop(engine.clone(), stop.clone())),
        tokio::spawn(wakes::look_loop(engine.clone(), stop.clone())),
    ];
    let mut ticks = tokio::time::interval(members.options.renewal);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        // Whoever is woken takes what was released, and gives nothing: giving wakes everybody, this node
        // too, and all rounds would follow each other at once.
        let moves = tokio::select! {
            _ = ticks.tick() => members.options.moves,
            () = members.due.notified() => 0,
            () = stop.cancelled() => break,
        };
        if let Err(error) = engine.keep_partitions_giving(moves).await {
            tracing::error!(error = %chain(&error), "the leases of this node's partitions are not renewed");
        }
        if members.is_over.load(Ordering::Relaxed) {
            tracing::error!(node = %members.node.name, "this node stops: it is no longer wanted");
            stop.cancel();
        }
    }
    for task in loops {
        if let Err(error) = task.await {
            tracing::error!(%error, "a loop ended badly");
        }
    }
}
