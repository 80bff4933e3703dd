//! What changes take on disk: by themselves, and in a day of the sandbox's people.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use livewatt_domain::{
    SignedDuration, Timestamp,
    clock::{Clock as _, FastClock, ManualClock, SystemClock},
    kind::DeviceKind,
};
use livewatt_sandbox::{AccountSpec, Cloud, Sandbox, SandboxConfig};
use livewatt_store::{PageFrom, PageRequest};
use tokio::time::sleep;

use super::{
    Plan,
    counters::Counters,
    fleet::fill,
    installation::{Directory, Installation, Loops, Opened},
    peer::Peer,
    report::{Part, Row},
};
use crate::{
    config::Settings,
    demo::link::{SandboxAccount, link},
    serve::{ServeOptions, Server, bind},
    telemetry,
    terminal::say,
};

/// The grid of the sandbox's physics.
const STEP: SignedDuration = SignedDuration::from_secs(10);
/// A Monday in March, six in the morning.
const MORNING: &str = "2026-03-02T06:00:00Z";
/// How much faster than the real one the clock of the first case runs.
const SPEED: f64 = 2_100.0;

/// Runs the part.
pub(super) async fn run(plan: &Plan) -> anyhow::Result<Part> {
    let rows = vec![changes(plan).await?, day(plan).await?];
    Ok(Part {
        name: "disk",
        about: "bytes of the database's directory after it was closed, so with nothing left in \
                the write-ahead log; every change is a new version of its device and an event that \
                carries it whole, kept for 30 days by default"
            .to_owned(),
        aim: "none; it tells how much disk to plan for",
        rows,
    })
}

/// Bytes of the files in a directory.
fn bytes_in(directory: &Path) -> anyhow::Result<u64> {
    let mut sum = 0;
    for file in std::fs::read_dir(directory)? {
        sum += file?.metadata()?.len();
    }
    Ok(sum)
}

/// Waits until nobody has the database open: its log goes then.
async fn closed(directory: &Path) -> anyhow::Result<u64> {
    let began = Instant::now();
    while directory.join("livewatt.db-wal").exists() {
        ensure!(
            began.elapsed() < Duration::from_secs(20),
            "the database stays open"
        );
        sleep(Duration::from_millis(20)).await;
    }
    bytes_in(directory)
}

/// Many changes of few devices.
async fn changes(plan: &Plan) -> anyhow::Result<Row> {
    let devices = plan.devices(2_000, 300);
    let wanted = plan.pick(50_000, 2_000);
    say(&format!("disk: {wanted} changes of {devices} devices"));
    let metrics = telemetry::start_metrics()?;
    let vendor = Peer::start(&["vendor".to_owned(), devices.to_string()]).await?;
    let now = SystemClock.now();
    let installation = Installation::make(plan, now).await?;
    let at_once = |_| SignedDuration::ZERO;
    fill(&installation, &vendor, devices, now, at_once).await?;
    let (directory, place, key) = installation.close();
    let before = closed(&directory.0).await?;
    vendor.get("/set?changed=100").await?;
    let opened = Opened::open(&place, key).await?;
    let clock = Arc::new(FastClock::new(Arc::new(SystemClock), SPEED));
    let engine = opened.start(vendor.address, clock, |_| {}).await?;
    let counted = Counters::read(&metrics);
    let loops = Loops::start(engine);
    let (began, mut log) = (Instant::now(), 0);
    loop {
        sleep(Duration::from_millis(50)).await;
        let now = Counters::read(&metrics);
        now.check_since(&counted)?;
        let wal = std::fs::metadata(directory.0.join("livewatt.db-wal"));
        log = log.max(wal.map_or(0, |file| file.len()));
        if now.events - counted.events >= wanted {
            break;
        }
        ensure!(
            began.elapsed() < Duration::from_secs(300),
            "the changes do not come about"
        );
    }
    loops.stop().await?;
    let changes = (Counters::read(&metrics).events - counted.events) as f64;
    drop(opened);
    let after = closed(&directory.0).await?;
    Ok(Row::new("changes of vehicles")
        .with("changes", changes)
        .with("bytes per change", (after - before) as f64 / changes)
        .with(
            "bytes per device before",
            before as f64 / f64::from(devices),
        )
        .with("largest write-ahead log, MiB", log as f64 / 1048576.0))
}

/// A day, or in a short look two hours of it, of people with cars, chargers and homes.
async fn day(plan: &Plan) -> anyhow::Result<Row> {
    let hours = plan.pick(24, 2);
    let accounts = [
        (Cloud::Volta, "TESLA", plan.pick(26, 3)),
        (Cloud::Rivoli, "RENAULT", plan.pick(12, 1)),
        (Cloud::Helios, "SOLAREDGE", plan.pick(6, 1)),
    ];
    say(&format!("disk: {hours} hours of the sandbox"));
    let metrics = telemetry::start_metrics()?;
    let directory = Directory::make(plan.directory.as_ref());
    let start: Timestamp = MORNING.parse()?;
    let clock = ManualClock::starting_at(start);
    let config = SandboxConfig {
        start,
        speed: 0.0,
        ..SandboxConfig::default()
    };
    let sandbox = Sandbox::start(config, loopback().await?);
    let mut settings = Settings::load(None, &[])?;
    settings.store.directory.clone_from(&directory.0);
    settings.sandbox.url = sandbox.base_url().to_owned();
    settings.server.public_url.clear();
    let options = ServeOptions {
        clock: Some(Arc::new(clock.clone())),
        stepped: true,
        ..ServeOptions::default()
    };
    let mut server = Server::start(&settings, loopback().await?, options).await?;
    let (client, _) = server.first_client.take().context("it is new")?;
    let engine = server.engine.clone();
    for (cloud, vendor, count) in accounts {
        for index in 0..count {
            let made = sandbox.create_account(cloud, AccountSpec::default())?;
            let known = SandboxAccount {
                integration: cloud.name(),
                vendor,
                username: made.username,
                password: made.password,
            };
            let user = format!("{cloud}-{index}").parse()?;
            link(&engine, client, &user, known).await?;
        }
    }
    engine.flush_presence().await?;
    let mut devices = 0;
    for kind in DeviceKind::ALL {
        let page = PageRequest {
            from: PageFrom::Start,
            size: 10_000,
        };
        devices += engine
            .list_devices(client, None, kind, page)
            .await?
            .items
            .len();
    }
    let before = Counters::read(&metrics);
    let end = start.saturating_add(SignedDuration::from_hours(hours))?;
    while clock.now() < end {
        sandbox.set_now(clock.advance(STEP)).await?;
        engine.poll_due().await;
        engine.flush_presence().await?;
    }
    let after = Counters::read(&metrics);
    after.check_since(&before)?;
    drop(engine);
    sandbox.shutdown().await;
    server.shut_down().await?;
    let bytes = closed(&directory.0).await? as f64;
    let days = devices as f64 * hours as f64 / 24.0;
    let changes = (after.events - before.events) as f64;
    Ok(Row::new(format!("{hours} hours of the sandbox"))
        .with("devices", devices as f64)
        .with("changes", changes)
        .with("changes per device-day", changes / days)
        .with(
            "bytes per change, the devices' rows included",
            bytes / changes,
        )
        .with(
            "bytes per device-day, the devices' rows included",
            bytes / days,
        ))
}

async fn loopback() -> anyhow::Result<tokio::net::TcpListener> {
    bind(([127, 0, 0, 1], 0).into()).await
}
