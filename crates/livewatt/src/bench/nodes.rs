//! One, two and three nodes that share a PostgreSQL database, each a process of its own with the
//! engine's own loops, beside the bare client.
//!
//! On one machine the nodes, the database and the vendor share the cores, so rates say little about
//! many machines; what a fetch costs a node and the database is the figure: it must not grow with
//! the nodes. Of two nodes one is killed in the end, to see how long its share stays with nobody.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use livewatt_domain::{
    SignedDuration, Timestamp,
    clock::{Clock as _, SystemClock},
};
use livewatt_engine::{Engine, EngineOptions, cluster::ClusterOptions};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::{
    Plan,
    bare::Bare,
    counters::Counters,
    fleet::{fill, first_due},
    installation::{Installation, Loops, Opened, engine_options},
    machine::{cpu_time, cpu_time_of_databases},
    peer::{Peer, PlaceOrder, hear, spawn_at},
    poll::{Pace, RAMP},
    report::{Part, Row},
};
use crate::{telemetry, terminal::say};

/// Fetches at the same time, of each node.
const PARALLEL: usize = 64;
/// Until the nodes have found each other, shared the partitions, and read each account once.
const WARM_UP: SignedDuration = SignedDuration::from_secs(45);
/// Longest time until a dead node's partitions are taken over: two leases.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the part.
pub(super) async fn run(plan: &Plan) -> anyhow::Result<Part> {
    let accounts = plan.devices(40_000, 4_000);
    let window = plan.total(20, 4);
    let mut rows = Vec::new();
    for changed in [0, 10] {
        for nodes in 1..=3 {
            rows.push(case(plan, accounts, window, nodes, changed).await?);
        }
    }
    Ok(Part {
        name: "nodes",
        about: format!(
            "as the part poll, on PostgreSQL, by one, two and three processes at once; {accounts} \
             accounts of one vehicle, {PARALLEL} fetches at a time each, {} s; the CPU of all \
             PostgreSQL servers of this machine is counted as the database's",
            window.as_secs()
        ),
        aim: "CPU per poll does not grow with nodes; a dead node's share is taken over within 20 s",
        rows,
    })
}

/// What a node is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Orders {
    place: PlaceOrder,
    key: String,
    vendor: String,
    name: String,
    /// Accounts that will be its own, roughly.
    accounts: u32,
    /// When it begins to count, by the system's clock.
    begins_at: Timestamp,
    window_secs: f64,
    /// A node that dies when the others have counted: how long its partitions are free is counted.
    outlives: Option<String>,
}

/// What a node says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Counted {
    polls: u64,
    events: u64,
    breaches: u64,
    cpu_secs: f64,
    /// Accounts' partitions that it owned at the beginning and at the end.
    partitions: (usize, usize),
    /// When it saw that nobody else owned any.
    alone_at: Option<Timestamp>,
}

async fn case(
    plan: &Plan,
    accounts: u32,
    window: Duration,
    nodes: u32,
    changed: u32,
) -> anyhow::Result<Row> {
    say(&format!(
        "nodes: filling the database with {accounts} devices for {nodes} nodes"
    ));
    let vendor = Peer::start(&["vendor".to_owned(), (2 * accounts).to_string()]).await?;
    let now = SystemClock.now();
    let installation = Installation::make(plan, now).await?;
    fill(&installation, &vendor, accounts, now, first_due).await?;
    let (_directory, place, key) = installation.close();
    vendor.get(&format!("/set?changed={changed}")).await?;

    let bare = bare(&vendor, accounts, window).await?;
    let begins_at = SystemClock.now().saturating_add(WARM_UP)?;
    let name = |node: u32| format!("node-{node}");
    let mut peers = Vec::new();
    for node in 1..=nodes {
        let orders = Orders {
            place: (&place).into(),
            key: key.clone(),
            vendor: vendor.address.to_string(),
            name: name(node),
            accounts: accounts / nodes,
            begins_at,
            window_secs: window.as_secs_f64(),
            outlives: (nodes == 2 && node == 1).then(|| name(2)),
        };
        let orders = serde_json::to_string(&orders)?;
        peers.push(spawn_at(&place, &["node".to_owned(), orders])?);
    }
    sleep_until(begins_at).await;
    let (database, served) = (cpu_time_of_databases()?, vendor.cpu_time()?);
    sleep(window).await;
    let database = cpu_time_of_databases()?.saturating_sub(database);
    let served = vendor.cpu_time()? - served;
    let mut killed_at = None;
    if nodes == 2 {
        let mut victim = peers.pop().context("there are two")?;
        victim.kill().await.context("it cannot be killed")?;
        killed_at = Some(SystemClock.now());
    }
    let mut all = Vec::new();
    for peer in peers {
        let counted: Counted = serde_json::from_str(&hear(peer).await?).context("a node said")?;
        all.push(counted);
    }
    row(nodes, changed, window, &all, killed_at, |row, polls| {
        row.with("bare polls/s", bare.0)
            .with("bare CPU us/poll", bare.1)
            .with("database CPU us/poll", micros(database) / polls)
            .with("vendor CPU us/answer", micros(served) / polls)
    })
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// What the nodes said, together.
fn row(
    nodes: u32,
    changed: u32,
    window: Duration,
    all: &[Counted],
    killed_at: Option<Timestamp>,
    beside: impl FnOnce(Row, f64) -> Row,
) -> anyhow::Result<Row> {
    // Of a node that was killed nothing is known: its part is taken to be like the other's.
    let share = f64::from(nodes) / all.len() as f64;
    let sum = |of: fn(&Counted) -> f64| all.iter().map(of).sum::<f64>() * share;
    let polls = sum(|node| node.polls as f64);
    ensure!(polls > 0.0, "nothing was read");
    let owned: usize = all.iter().map(|node| node.partitions.0).sum();
    if killed_at.is_none() {
        ensure!(owned == 256, "{owned} partitions had an owner, not 256");
    }
    let mut row = Row::new(format!("{nodes} nodes, {changed} % changed"))
        .with("polls/s, all nodes", polls / window.as_secs_f64())
        .with(
            "nodes' CPU us/poll",
            sum(|node| node.cpu_secs * 1e6) / polls,
        )
        .with(
            "changed, % of polls",
            100.0 * sum(|node| node.events as f64) / polls,
        )
        .with(
            "blocks late for their promise, % of polls",
            100.0 * sum(|node| node.breaches as f64) / polls,
        )
        .with(
            "partitions of the first node",
            all.first().map_or(0.0, |node| node.partitions.0 as f64),
        );
    if let Some(killed_at) = killed_at {
        let alone_at = all.first().and_then(|node| node.alone_at);
        let alone_at = alone_at.context("the dead node's partitions were not taken over")?;
        let secs = alone_at.duration_since(killed_at).as_secs_f64();
        row = row.with("taken over after a kill, s", secs);
    }
    Ok(beside(row, polls))
}

/// Answers a second and CPU of the bare client.
async fn bare(vendor: &Peer, accounts: u32, window: Duration) -> anyhow::Result<(f64, f64)> {
    let url = format!("http://{}/volta/v1/account", vendor.address).parse()?;
    let bare = Arc::new(Bare::new(&engine_options()?.http, url, accounts)?);
    let workers = bare.start(PARALLEL);
    sleep(RAMP).await;
    let (cpu, polls, began) = (
        cpu_time(std::process::id())?,
        bare.polls.load(Relaxed),
        Instant::now(),
    );
    sleep(window / 4).await;
    let polls = (bare.polls.load(Relaxed) - polls) as f64;
    let (cpu, elapsed) = (cpu_time(std::process::id())? - cpu, began.elapsed());
    bare.stop(workers).await?;
    ensure!(polls > 0.0, "nothing was read");
    Ok((polls / elapsed.as_secs_f64(), micros(cpu) / polls))
}

async fn sleep_until(moment: Timestamp) {
    let left = moment.duration_since(SystemClock.now());
    sleep(Duration::try_from(left).unwrap_or_default()).await;
}

/// Is one of the nodes; prints what it counted.
pub(super) async fn be(orders: &str) -> anyhow::Result<()> {
    let orders: Orders = serde_json::from_str(orders)?;
    let metrics = telemetry::start_metrics()?;
    let opened = Opened::open(&orders.place.place()?, orders.key).await?;
    let pace = Arc::new(Pace::new(orders.accounts));
    let clock = Arc::new(pace.clock.clone());
    let engine = opened
        .start(
            orders.vendor.parse()?,
            clock,
            |options: &mut EngineOptions| {
                options.parallel_per_vendor = PARALLEL;
                options.cluster = ClusterOptions {
                    name: orders.name.clone(),
                    ..ClusterOptions::default()
                };
            },
        )
        .await?;
    let _pace = AbortOnDropHandle::new(tokio::spawn(pace.keep(engine.clone())));
    let loops = Loops::start(engine.clone());

    sleep_until(orders.begins_at).await;
    let owned = |shares: HashMap<String, usize>| shares.get(&orders.name).copied().unwrap_or(0);
    let (before, cpu) = (Counters::read(&metrics), cpu_time(std::process::id())?);
    let at_first = owned(shares(&engine).await?);
    sleep(Duration::from_secs_f64(orders.window_secs)).await;
    let after = Counters::read(&metrics);
    let cpu = cpu_time(std::process::id())? - cpu;
    let in_the_end = owned(shares(&engine).await?);
    after.check_since(&before)?;

    let alone_at = match &orders.outlives {
        Some(other) => Some(outlive(&engine, other).await?),
        None => None,
    };
    let counted = Counted {
        polls: after.polls() - before.polls(),
        events: after.events - before.events,
        breaches: after.breaches - before.breaches,
        cpu_secs: cpu.as_secs_f64(),
        partitions: (at_first, in_the_end),
        alone_at,
    };
    loops.stop().await?;
    say(&serde_json::to_string(&counted)?);
    Ok(())
}

/// How many partitions each node owns.
async fn shares(engine: &Engine) -> anyhow::Result<HashMap<String, usize>> {
    let view = engine.cluster_view().await?;
    let mut shares = HashMap::new();
    for lease in view.context("nodes share a database")?.leases {
        if let Some((owner, _)) = lease.owner.filter(|_| !lease.left.is_negative()) {
            *shares.entry(owner).or_default() += 1;
        }
    }
    Ok(shares)
}

/// Waits until this node owns what the other, which dies, owned; returns when that was.
async fn outlive(engine: &Engine, other: &str) -> anyhow::Result<Timestamp> {
    let began = Instant::now();
    loop {
        let shares = shares(engine).await?;
        if !shares.contains_key(other) && shares.values().sum::<usize>() == 256 {
            return Ok(SystemClock.now());
        }
        ensure!(
            began.elapsed() < PATIENCE,
            "{other} still owns partitions: {shares:?}"
        );
        sleep(Duration::from_millis(50)).await;
    }
}
