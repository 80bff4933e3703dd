//! Polls end to end through the real engine, beside a bare client that reads the same answers.
//!
//! The engine's own loops run, over a clock that goes on as fetches are made ([`Pace`]): the wheel
//! hands accounts out, each is planned, loaded, opened, read by the real adapter, compared or
//! merged and committed, and set due again. The quiet writes of every second are part of it. Bare
//! and engine take turns on the same vendor; whoever waits is stopped.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::ensure;
use livewatt_domain::{
    SignedDuration, Timestamp,
    clock::{Clock, ManualClock, SystemClock},
    retry::scaled,
};
use livewatt_engine::{Engine, EngineOptions};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Plan,
    bare::Bare,
    counters::Counters,
    fleet::{cadence, fill, first_due},
    installation::{Installation, Loops},
    machine::cpu_time,
    peer::Peer,
    report::{Part, Row},
};
use crate::{telemetry, terminal::say};

/// Fetches that wait for their turn: about as many as are made while the engine's loop naps.
const WAITING: usize = 128;
/// Whoever begins is given this long to reach its pace.
pub(super) const RAMP: Duration = Duration::from_millis(500);
/// Longer than the longest nap of the engine's loops.
const SHORTEST: Duration = Duration::from_millis(1_200);
/// Longest time until every account was read for the first time.
const PATIENCE: Duration = Duration::from_secs(300);

/// Fetches at the same time, and what the vendor does.
struct Group {
    parallel: usize,
    delay_ms: u32,
    changed_percents: &'static [u32],
}

/// Runs the part.
pub(super) async fn run(plan: &Plan) -> anyhow::Result<Part> {
    let groups = [
        Group {
            parallel: 64,
            delay_ms: 0,
            changed_percents: &[0, 10, 100],
        },
        Group {
            parallel: plan.pick(4096, 1024),
            delay_ms: 200,
            changed_percents: &[10],
        },
    ];
    let accounts = plan.devices(40_000, 20_000);
    let rounds = plan.pick(5, 1);
    let windows: usize = groups.iter().map(|g| g.changed_percents.len()).sum();
    let window = plan
        .total(120, 8)
        .div_f64((2 * rounds * windows) as f64)
        .max(SHORTEST);
    let mut rows = Vec::new();
    for group in &groups {
        let bench = Bench::start(plan, group, accounts).await?;
        for changed in group.changed_percents {
            rows.push(bench.case(group, *changed, rounds, window).await?);
        }
        bench.end();
    }
    Ok(Part {
        name: "poll",
        about: format!(
            "fetch, merge and commit through the engine's own loops (volta's adapter, sealed \
             credentials, SQLite with synchronous=FULL, metrics on; {accounts} accounts of one \
             vehicle, due as their schedule says by a clock that goes on with every fetch), beside \
             the same HTTP client with a typed parse and a comparison with the last value; by \
             turns, {rounds} x {:.1} s each",
            window.as_secs_f64()
        ),
        aim: "ratio of rates at least 0.6",
        rows,
    })
}

/// A clock that stands still until it is moved; nobody knows when that is, so whoever waits looks
/// again soon.
#[derive(Debug, Clone)]
pub(super) struct HeldClock(ManualClock);

impl Clock for HeldClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn for_real(&self, _: SignedDuration) -> SignedDuration {
        SignedDuration::ZERO
    }
}

/// Lets the time of an engine pass as fast as the engine keeps up with its fleet: it always has
/// work, as much as it can do, and is never late for a promise as by a clock that runs away from it.
#[derive(Debug)]
pub(super) struct Pace {
    pub(super) clock: HeldClock,
    /// The time in which the whole fleet's schedule has one fetch due.
    per_fetch: SignedDuration,
}

impl Pace {
    pub(super) fn new(accounts: u32) -> Self {
        let per_second: f64 = (0..accounts)
            .map(|account| 1.0 / cadence(account).as_secs_f64())
            .sum();
        Self {
            clock: HeldClock(ManualClock::starting_at(SystemClock.now())),
            per_fetch: scaled(SignedDuration::from_secs(1), 1.0 / per_second),
        }
    }

    pub(super) async fn keep(self: Arc<Self>, engine: Arc<Engine>) {
        let mut ticks = interval(Duration::from_millis(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Fetches that fall due in a tick, on average.
        let mut fetches: f64 = 1.0;
        loop {
            ticks.tick().await;
            let waiting = engine.polls_waiting("volta");
            // Slowly, since those that are released are seen to wait only some ticks later.
            fetches *= if waiting > WAITING { 0.97 } else { 1.01 };
            fetches = fetches.clamp(0.1, 100.0);
            if waiting <= 2 * WAITING {
                self.clock.0.advance(scaled(self.per_fetch, fetches));
            }
        }
    }
}

struct Bench {
    vendor: Peer,
    installation: Installation,
    engine: Arc<Engine>,
    bare: Arc<Bare>,
    pace: Arc<Pace>,
    metrics: PrometheusHandle,
}

/// What one turn came to.
struct Turn {
    per_second: f64,
    cpu_micros: f64,
}

impl Bench {
    async fn start(plan: &Plan, group: &Group, accounts: u32) -> anyhow::Result<Self> {
        say(&format!(
            "poll: {accounts} accounts, {} fetches at a time, answers after {} ms",
            group.parallel, group.delay_ms
        ));
        let metrics = telemetry::start_metrics()?;
        let vendor = Peer::start(&["vendor".to_owned(), (2 * accounts).to_string()]).await?;
        let pace = Arc::new(Pace::new(accounts));
        let now = pace.clock.now();
        let installation = Installation::make(plan, now).await?;
        fill(&installation, &vendor, accounts, now, first_due).await?;
        let parallel = group.parallel;
        let tune = |options: &mut EngineOptions| options.parallel_per_vendor = parallel;
        let engine = installation
            .opened
            .start(vendor.address, Arc::new(pace.clock.clone()), tune)
            .await?;
        let url = format!("http://{}/volta/v1/account", vendor.address).parse()?;
        let bare = Arc::new(Bare::new(&engine.options().http, url, accounts)?);
        let bench = Self {
            vendor,
            installation,
            engine,
            bare,
            pace,
            metrics,
        };
        bench.warm_up(group, accounts.into()).await?;
        Ok(bench)
    }

    /// Until both have read every account.
    async fn warm_up(&self, group: &Group, accounts: u64) -> anyhow::Result<()> {
        let began = Instant::now();
        let workers = self.bare.start(group.parallel);
        while self.bare.polls.load(Relaxed) < accounts {
            sleep(Duration::from_millis(10)).await;
        }
        self.bare.stop(workers).await?;
        let before = Counters::read(&self.metrics);
        let (loops, _pace) = self.start_engine();
        loop {
            let now = Counters::read(&self.metrics);
            // Those that charge are read more often than the others.
            if now.polls() - before.polls() >= 2 * accounts {
                break;
            }
            now.check_since(&before)?;
            ensure!(
                began.elapsed() < PATIENCE,
                "the accounts are not read in time"
            );
            sleep(Duration::from_millis(50)).await;
        }
        loops.stop().await
    }

    /// Lets the engine work, and its time pass until the second is dropped.
    fn start_engine(&self) -> (Loops, AbortOnDropHandle<()>) {
        let pace = tokio::spawn(self.pace.clone().keep(self.engine.clone()));
        let loops = Loops::start(self.engine.clone());
        (loops, AbortOnDropHandle::new(pace))
    }

    async fn case(
        &self,
        group: &Group,
        changed: u32,
        rounds: usize,
        window: Duration,
    ) -> anyhow::Result<Row> {
        let set = format!("/set?changed={changed}&delay={}", group.delay_ms);
        self.vendor.get(&set).await?;
        let mut row = Row::new(match group.delay_ms {
            0 => format!("{changed} % changed, {} at a time", group.parallel),
            delay => format!(
                "{changed} % changed, {} at a time, answers after {delay} ms",
                group.parallel
            ),
        });
        for round in 1..=rounds {
            let bare = self.bare_turn(&mut row, group, window).await?;
            let ours = self.engine_turn(&mut row, window).await?;
            row.note("ratio of rates", ours.per_second / bare.per_second);
            row.note("ratio of CPU", ours.cpu_micros / bare.cpu_micros);
            say(&format!(
                "  {changed} % changed, round {round} of {rounds}: engine {:.0}/s {:.1} us, bare {:.0}/s {:.1} us",
                ours.per_second, ours.cpu_micros, bare.per_second, bare.cpu_micros
            ));
        }
        Ok(row)
    }

    async fn bare_turn(
        &self,
        row: &mut Row,
        group: &Group,
        window: Duration,
    ) -> anyhow::Result<Turn> {
        let workers = self.bare.start(group.parallel);
        sleep(RAMP).await;
        let changes = self.bare.changes.load(Relaxed);
        let turn = self.turn(window, || self.bare.polls.load(Relaxed)).await?;
        let changes = self.bare.changes.load(Relaxed) - changes;
        self.bare.stop(workers).await?;
        row.note("bare polls/s", turn.per_second);
        row.note("bare CPU us/poll", turn.cpu_micros);
        let polls = turn.per_second * window.as_secs_f64();
        row.note("bare changed, % of polls", 100.0 * changes as f64 / polls);
        Ok(turn)
    }

    async fn engine_turn(&self, row: &mut Row, window: Duration) -> anyhow::Result<Turn> {
        let (loops, _pace) = self.start_engine();
        sleep(RAMP).await;
        let before = Counters::read(&self.metrics);
        let commits = self.installation.opened.commit_stats();
        let vendor_cpu = self.vendor.cpu_time()?;
        let connections = self.connections().await?;
        let turn = self
            .turn(window, || Counters::read(&self.metrics).polls())
            .await?;
        let after = Counters::read(&self.metrics);
        let connections = self.connections().await? - connections;
        let vendor_cpu = self.vendor.cpu_time()? - vendor_cpu;
        let stats = self.installation.opened.commit_stats();
        loops.stop().await?;
        after.check_since(&before)?;
        let polls = (after.polls() - before.polls()) as f64;
        row.note("engine polls/s", turn.per_second);
        row.note("engine CPU us/poll", turn.cpu_micros);
        let events = (after.events - before.events) as f64;
        row.note("engine changed, % of polls", 100.0 * events / polls);
        let breaches = (after.breaches - before.breaches) as f64;
        row.note(
            "blocks late for their promise, % of polls",
            100.0 * breaches / polls,
        );
        let (commits, jobs) = (stats.commits - commits.commits, stats.jobs - commits.jobs);
        row.note("writes per commit", jobs as f64 / commits.max(1) as f64);
        row.note(
            "new connections per 1000 polls",
            1000.0 * connections / polls,
        );
        let vendor_micros = vendor_cpu.as_secs_f64() * 1e6 / polls;
        row.note("vendor CPU us/answer", vendor_micros);
        Ok(turn)
    }

    /// Watches whoever works now.
    async fn turn(&self, window: Duration, count: impl Fn() -> u64) -> anyhow::Result<Turn> {
        let (cpu, polls, began) = (cpu_time(std::process::id())?, count(), Instant::now());
        sleep(window).await;
        let (polls, elapsed) = (count() - polls, began.elapsed());
        let cpu = cpu_time(std::process::id())? - cpu;
        ensure!(polls > 0, "nothing was read in {elapsed:?}");
        Ok(Turn {
            per_second: polls as f64 / elapsed.as_secs_f64(),
            cpu_micros: cpu.as_secs_f64() * 1e6 / polls as f64,
        })
    }

    async fn connections(&self) -> anyhow::Result<f64> {
        let stats: serde_json::Value = serde_json::from_slice(&self.vendor.get("/stats").await?)?;
        Ok(stats["connections"].as_f64().unwrap_or_default())
    }

    /// The database is closed before its directory goes.
    fn end(self) {
        drop(self.engine);
        drop(self.installation.close());
    }
}
