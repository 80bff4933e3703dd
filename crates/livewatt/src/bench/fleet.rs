//! A fleet at its real cadences: how punctual polls are, what it costs to hold it, and how long a
//! start takes.
//!
//! The database is filled first: every account was linked long ago and is somewhere in its cadence.
//! Then a fresh process opens it and runs the engine, so that its memory is the fleet's alone. The
//! engine's clock is set to the moment for which the database was filled and runs at its usual
//! speed; how old data was when it was fetched anew is told by the vendor, who logs every visit.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, stream};
use livewatt_domain::{
    SignedDuration, Timestamp,
    cadence::{Activity, target},
    clock::{Clock, SystemClock},
    device::VendorDevice,
    kind::DeviceKind,
};
use livewatt_vendors::{
    AccountContext, Budgets, HttpPool, Wanted, http::Priority, vendor::SharedVendor,
};
use serde::{Deserialize, Serialize};

use super::{
    Plan,
    counters::Counters,
    installation::{Installation, Loops, NewAccount, Opened, credentials, engine_options, volta},
    machine::{cpu_time, cpu_time_of_databases, resident_bytes, written_bytes},
    peer::{self, Peer, PlaceOrder},
    report::{Part, Row, quantile},
    vendor::{CHARGING_ONE_IN, is_charging, vin},
};
use crate::terminal::say;

/// Accounts read at the same time while the database is filled.
const FILLED_AT_ONCE: usize = 64;
/// Fetches at the same time.
const PARALLEL: usize = 512;

/// Runs the part.
pub(super) async fn run(plan: &Plan) -> anyhow::Result<Part> {
    let sizes = match (plan.devices, plan.quick) {
        (Some(devices), _) => vec![devices],
        (None, true) => vec![2_000],
        (None, false) => vec![10_000, 100_000],
    };
    let length = plan.total(180, 20);
    let mut rows = Vec::new();
    let mut gains = Vec::new();
    for devices in &sizes {
        let (row, gain) = fleet(plan, *devices, length).await?;
        rows.push(row);
        gains.push((f64::from(*devices), gain));
    }
    if let [(few, small), (many, large)] = gains[..] {
        let more = (large - small) / (many - few);
        let row = Row::new(format!("each device more, from {few} to {many}"));
        rows.push(row.with("resident bytes per device", more));
    }
    Ok(Part {
        name: "fleet",
        about: format!(
            "vehicles at their real cadences for {} s, one account each, one in {CHARGING_ONE_IN} \
             charging (2 min), the others idle (7 min), nothing changing, answers at once; resident \
             memory is of a fresh process and includes SQLite's page caches (at most 128 MiB)",
            length.as_secs()
        ),
        aim: "99 % of polls within 5 s of the target age, at most 512 B resident for an idle \
              device, 1,000,000 devices started in less than 5 s",
        rows,
    })
}

/// What the process that holds the fleet says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Held {
    start_secs: f64,
    resident_before: u64,
    resident_started: u64,
    resident_end: u64,
    watched_secs: f64,
    cpu_secs: f64,
    database_cpu_secs: f64,
    /// By it and the database, to disks.
    written_bytes: u64,
    commits: u64,
    commit_mean_ms: f64,
    commit_p99_ms: f64,
    /// On the vendor's clock, when its loops began.
    began_ms: f64,
}

async fn fleet(plan: &Plan, devices: u32, length: Duration) -> anyhow::Result<(Row, f64)> {
    say(&format!("fleet: filling a database with {devices} devices"));
    let vendor = Peer::start(&["vendor".to_owned(), devices.to_string()]).await?;
    let now = SystemClock.now();
    let installation = Installation::make(plan, now).await?;
    let began = Instant::now();
    fill(&installation, &vendor, devices, now, first_due).await?;
    let filled_secs = began.elapsed().as_secs_f64();
    let (_directory, place, key) = installation.close();
    vendor.get("/set?log=1").await?;
    say(&format!(
        "fleet: filled in {filled_secs:.0} s; watching for {} s",
        length.as_secs()
    ));
    let orders = Orders {
        place: (&place).into(),
        key,
        vendor: vendor.address.to_string(),
        now,
        length_secs: length.as_secs(),
    };
    let held = peer::ask(
        &place,
        &["fleet".to_owned(), serde_json::to_string(&orders)?],
    )
    .await?;
    let held: Held = serde_json::from_str(&held).context("the fleet's process said")?;
    let visits = vendor.get("/visits").await?;
    let ages = Ages::of(&visits, devices, held.began_ms);
    ensure!(!ages.late_secs.is_empty(), "no device was read");
    let gain = held.resident_started as f64 - held.resident_before as f64;
    let mib = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
    let late = |share| quantile(&ages.late_secs, share);
    let row = Row::new(format!("{devices} devices"))
        .with("polls", ages.late_secs.len() as f64)
        .with("polls/s", ages.late_secs.len() as f64 / held.watched_secs)
        .with("age beyond target, p50 s", late(0.5))
        .with("age beyond target, p99 s", late(0.99))
        .with("age beyond target, max s", late(1.0))
        .with(
            "late for its due time, p50 s",
            quantile(&ages.overdue_secs, 0.5),
        )
        .with(
            "late for its due time, p99 s",
            quantile(&ages.overdue_secs, 0.99),
        )
        .with(
            "CPU, % of one core",
            100.0 * held.cpu_secs / held.watched_secs,
        )
        .with(
            "CPU us/poll",
            held.cpu_secs * 1e6 / ages.late_secs.len() as f64,
        )
        .with(
            "database CPU us/poll",
            held.database_cpu_secs * 1e6 / ages.late_secs.len() as f64,
        )
        .with("commits/s", held.commits as f64 / held.watched_secs)
        .with("commit, mean ms", held.commit_mean_ms)
        .with("commit, p99 below ms", held.commit_p99_ms)
        .with(
            "written to disk, KiB/s",
            held.written_bytes as f64 / 1024.0 / held.watched_secs,
        )
        .with("start, s", held.start_secs)
        .with("first poll after start, s", ages.first_secs)
        .with("resident before the start, MiB", mib(held.resident_before))
        .with("resident after the start, MiB", mib(held.resident_started))
        .with("resident at the end, MiB", mib(held.resident_end))
        .with("resident bytes per device", gain / f64::from(devices));
    Ok((row, gain))
}

/// How often the vehicle of an account is to be read.
pub(super) fn cadence(account: u32) -> SignedDuration {
    let activity = match is_charging(account) {
        true => Activity::Active,
        false => Activity::Regular,
    };
    target(DeviceKind::Vehicle, activity)
}

/// Where in its cadence an account is when the engine starts: evenly spread.
pub(super) fn first_due(account: u32) -> SignedDuration {
    let share = f64::from(account.wrapping_mul(2_654_435_761)) / f64::from(u32::MAX);
    livewatt_domain::retry::scaled(cadence(account), share)
}

/// Fills a database with devices as linking and reading them through the real adapter makes them.
pub(super) async fn fill(
    installation: &Installation,
    vendor: &Peer,
    devices: u32,
    now: Timestamp,
    due_in: fn(u32) -> SignedDuration,
) -> anyhow::Result<()> {
    let adapter = volta(vendor.address)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let pool = HttpPool::new(
        engine_options()?.http,
        clock.clone(),
        Arc::new(Budgets::default()),
    )?;
    let (adapter, pool, clock) = (&adapter, &pool, &clock);
    let accounts = stream::iter(0..devices).map(|number| async move {
        let due_at = now.saturating_add(due_in(number))?;
        let mut seen = read(adapter, pool, clock.as_ref(), number).await?;
        // When a device is due follows from when it was last read.
        seen.received_at = due_at.saturating_sub(cadence(number))?;
        seen.started_at = seen.received_at;
        Ok(NewAccount {
            number,
            due_at,
            seen: Some(seen),
        })
    });
    installation
        .add(accounts.buffered(FILLED_AT_ONCE), now)
        .await
}

/// Reads an account as the engine would, through the real adapter.
async fn read(
    adapter: &SharedVendor,
    pool: &HttpPool,
    clock: &dyn Clock,
    number: u32,
) -> anyhow::Result<livewatt_domain::fact::Observation> {
    let caller = pool.caller(adapter.manifest().id, None, Priority::Routine);
    let device = VendorDevice {
        kind: DeviceKind::Vehicle,
        id: vin(number),
    };
    let context = AccountContext {
        caller: &caller,
        clock,
        vendor_account_id: "bench",
        credentials: &credentials(number),
    };
    let wanted = Wanted {
        listing: true,
        devices: vec![device],
    };
    let harvest = adapter.read(context, &wanted).await;
    let seen = harvest.observations.into_iter().next();
    seen.with_context(|| format!("the vendor told nothing: {:?}", harvest.account))
}

/// How old data was when it was fetched anew.
struct Ages {
    /// Of every poll: age less the target of its device.
    late_secs: Vec<f64>,
    /// Of the first poll of every device: how long after its due time it came.
    overdue_secs: Vec<f64>,
    /// When the very first came.
    first_secs: f64,
}

impl Ages {
    /// From the vendor's log: pairs of account and milliseconds.
    fn of(log: &[u8], devices: u32, began_ms: f64) -> Self {
        let mut ages = Self {
            late_secs: Vec::new(),
            overdue_secs: Vec::new(),
            first_secs: f64::INFINITY,
        };
        // Before the start each was read one cadence before it is due.
        let mut last: Vec<Option<f64>> = vec![None; devices as usize];
        for pair in log.as_chunks::<8>().0 {
            let [a, b, c, d, e, f, g, h] = *pair;
            let account = u32::from_le_bytes([a, b, c, d]);
            let at = (f64::from(u32::from_le_bytes([e, f, g, h])) - began_ms) / 1000.0;
            let Some(last) = last.get_mut(account as usize) else {
                continue;
            };
            let target = cadence(account).as_secs_f64();
            let due = first_due(account).as_secs_f64();
            if last.is_none() {
                ages.overdue_secs.push(at - due);
            }
            let age = at - last.unwrap_or(due - target);
            ages.late_secs.push(age - target);
            ages.first_secs = ages.first_secs.min(at);
            *last = Some(at);
        }
        ages
    }
}

/// What the process that holds the fleet is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Orders {
    place: PlaceOrder,
    key: String,
    vendor: String,
    now: Timestamp,
    length_secs: u64,
}

/// The system's clock, put back to the moment for which the database was filled.
#[derive(Debug)]
struct PutBack(SignedDuration);

impl Clock for PutBack {
    fn now(&self) -> Timestamp {
        let now = SystemClock.now();
        now.saturating_sub(self.0).unwrap_or(now)
    }
}

/// Holds a fleet, in a process of its own; prints what it measured.
pub(super) async fn hold(orders: &str) -> anyhow::Result<()> {
    let orders: Orders = serde_json::from_str(orders)?;
    let metrics = crate::telemetry::start_metrics()?;
    let opened = Opened::open(&orders.place.place()?, orders.key).await?;
    let vendor = orders.vendor.parse()?;
    let clock = PutBack(SystemClock.now().duration_since(orders.now));
    let resident_before = resident_bytes()?;
    let stats: serde_json::Value = reqwest::get(format!("http://{vendor}/stats"))
        .await?
        .json()
        .await?;
    let began_ms = stats["elapsed_ms"].as_f64().context("the vendor's clock")?;
    let began = Instant::now();
    let engine = opened
        .start(vendor, Arc::new(clock), |options| {
            options.parallel_per_vendor = PARALLEL;
        })
        .await?;
    let start_secs = began.elapsed().as_secs_f64();
    let resident_started = resident_bytes()?;
    let own = std::process::id();
    let (cpu, database, written) = (
        cpu_time(own)?,
        cpu_time_of_databases()?,
        written_bytes(own)?,
    );
    let (before, watching) = (Counters::read(&metrics), Instant::now());
    let loops = Loops::start(engine);
    tokio::time::sleep(Duration::from_secs(orders.length_secs)).await;
    let after = Counters::read(&metrics);
    let held = Held {
        start_secs,
        resident_before,
        resident_started,
        resident_end: resident_bytes()?,
        watched_secs: watching.elapsed().as_secs_f64(),
        cpu_secs: (cpu_time(own)? - cpu).as_secs_f64(),
        database_cpu_secs: cpu_time_of_databases()?
            .saturating_sub(database)
            .as_secs_f64(),
        written_bytes: written_bytes(own)?.saturating_sub(written),
        commits: after.commits - before.commits,
        commit_mean_ms: after.commit_mean_ms(&before),
        commit_p99_ms: after.commit_quantile_ms(&before, 0.99),
        began_ms,
    };
    loops.stop().await?;
    say(&serde_json::to_string(&held)?);
    Ok(())
}
