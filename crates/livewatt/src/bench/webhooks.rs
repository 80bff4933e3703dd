//! A backlog of events delivered by the engine's own lanes, beside a bare sender that signs and posts
//! the same bytes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use hmac::{Hmac, KeyInit as _, Mac as _};
use livewatt_domain::{
    clock::{Clock as _, SystemClock},
    device::Device,
    event::EventMaker,
    kind::DeviceKind,
};
use livewatt_engine::{EgressPolicy, Engine, EngineOptions, SystemEntropy};
use livewatt_store::{PageFrom, PageRequest, UnitOfWork};
use sha1::Sha1;
use sha2::Sha256;
use tokio::{task::JoinSet, time::sleep};

use super::{
    Plan,
    change::{WEBHOOK_SECRET, webhook},
    fleet::{cadence, fill},
    installation::{Installation, Loops, engine_options},
    machine::cpu_time,
    peer::Peer,
    receiver::Received,
    report::{Part, Row},
};
use crate::terminal::say;

/// Longest time for a backlog.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs the part.
pub(super) async fn run(plan: &Plan) -> anyhow::Result<Part> {
    let events: u32 = plan.pick(50_000, 5_000);
    let rounds = plan.pick(3, 1);
    say(&format!("webhooks: {events} events a round"));
    let bench = Bench::start(plan).await?;
    let mut row = Row::new(format!("a backlog of {events} events"));
    for round in 1..=rounds {
        let ours = bench.ours(&mut row, events).await?;
        let bare = bench.bare(&mut row, events).await?;
        row.note("ratio of rates", ours / bare);
        say(&format!(
            "  round {round} of {rounds}: ours {ours:.0} events/s, bare {bare:.0} events/s"
        ));
    }
    let EngineOptions {
        delivery_batch,
        webhook_lanes,
        ..
    } = engine_options()?;
    Ok(Part {
        name: "webhooks",
        about: format!(
            "from the start of the engine's loops until a receiver that takes everything has all; \
             up to {delivery_batch} events a delivery, {webhook_lanes} lanes, both signatures; \
             beside posts of the same size, signed alike and as many at a time; by turns"
        ),
        aim: "ratio of rates at least 0.5",
        rows: vec![row],
    })
}

struct Bench {
    vendor: Peer,
    receiver: Peer,
    installation: Installation,
    devices: Vec<Device>,
}

impl Bench {
    async fn start(plan: &Plan) -> anyhow::Result<Self> {
        let devices = plan.devices(500, 500);
        let vendor = Peer::start(&["vendor".to_owned(), devices.to_string()]).await?;
        let receiver = Peer::start(&["receiver".to_owned()]).await?;
        let now = SystemClock.now();
        let installation = Installation::make(plan, now).await?;
        fill(&installation, &vendor, devices, now, cadence).await?;
        let page = PageRequest {
            from: PageFrom::Start,
            size: devices,
        };
        let devices = installation
            .opened
            .store
            .list_devices(installation.client, None, DeviceKind::Vehicle, page)
            .await?
            .items;
        let bench = Self {
            vendor,
            receiver,
            installation,
            devices,
        };
        bench
            .engine()
            .await?
            .create_webhook(bench.installation.client, webhook(&bench.receiver))
            .await?;
        Ok(bench)
    }

    async fn engine(&self) -> anyhow::Result<Arc<Engine>> {
        let clock = Arc::new(SystemClock);
        let tune = |options: &mut EngineOptions| {
            options.egress = EgressPolicy {
                allow_private: true,
            };
        };
        let opened = &self.installation.opened;
        opened.start(self.vendor.address, clock, tune).await
    }

    /// Puts events into the log while no engine runs.
    async fn append(&self, events: u32) -> anyhow::Result<()> {
        let store = &self.installation.opened.store;
        let fences = store.take_fences().await?;
        let fields = ["chargeState.batteryLevel".to_owned()];
        let maker = EventMaker {
            now: SystemClock.now(),
            entropy: &SystemEntropy,
        };
        let mut left = events as usize;
        while left > 0 {
            let batch = &self.devices[..left.min(self.devices.len())];
            left -= batch.len();
            let first = batch.first().context("there are devices")?;
            let mut unit = UnitOfWork::new(Some(fences.of(first.account_id.partition())));
            unit.events = batch
                .iter()
                .map(|device| maker.updated(device, &fields))
                .collect();
            store.commit(unit).await?;
        }
        Ok(())
    }

    async fn received(&self) -> anyhow::Result<Received> {
        Ok(serde_json::from_slice(
            &self.receiver.get("/received").await?,
        )?)
    }

    /// Events a second by the engine.
    async fn ours(&self, row: &mut Row, events: u32) -> anyhow::Result<f64> {
        self.append(events).await?;
        let engine = self.engine().await?;
        let before = self.received().await?;
        let cpu = cpu_time(std::process::id())?;
        let loops = Loops::start(engine);
        let after = self.all(&before, events).await?;
        let cpu = cpu_time(std::process::id())? - cpu;
        loops.stop().await?;
        let rate = rate(&before, &after);
        row.note("ours events/s", rate);
        row.note(
            "ours CPU us/event",
            cpu.as_secs_f64() * 1e6 / f64::from(events),
        );
        let deliveries = (after.deliveries - before.deliveries) as f64;
        row.note("events per delivery", f64::from(events) / deliveries);
        Ok(rate)
    }

    /// Waits until the receiver has so many events more.
    async fn all(&self, before: &Received, events: u32) -> anyhow::Result<Received> {
        let began = Instant::now();
        loop {
            let now = self.received().await?;
            if now.events - before.events >= u64::from(events) {
                return Ok(now);
            }
            ensure!(
                began.elapsed() < PATIENCE,
                "only {} of {events} events came",
                now.events - before.events
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Events a second by the bare sender.
    async fn bare(&self, row: &mut Row, events: u32) -> anyhow::Result<f64> {
        let body = String::from_utf8(self.receiver.get("/largest").await?)?;
        let options = engine_options()?;
        let deliveries = events.div_ceil(options.delivery_batch);
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(options.delivery_timeout.unsigned_abs())
            .tcp_nodelay(true)
            .no_proxy()
            .build()?;
        let next = Arc::new(AtomicU32::new(0));
        let url = format!("http://{}/webhook", self.receiver.address);
        let before = self.received().await?;
        let cpu = cpu_time(std::process::id())?;
        let mut workers = JoinSet::new();
        for _ in 0..options.webhook_lanes {
            let (client, url, body, next) =
                (client.clone(), url.clone(), body.clone(), next.clone());
            workers.spawn(async move {
                while next.fetch_add(1, Relaxed) < deliveries {
                    // Made anew each time, as a delivery is.
                    send(&client, &url, body.clone()).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = workers.join_next().await {
            ended??;
        }
        let cpu = cpu_time(std::process::id())? - cpu;
        let after = self.received().await?;
        let (rate, sent) = (rate(&before, &after), after.events - before.events);
        row.note("bare events/s", rate);
        row.note("bare CPU us/event", cpu.as_secs_f64() * 1e6 / sent as f64);
        row.note("bytes per delivery", body.len() as f64);
        Ok(rate)
    }
}

/// From the moment before until the last delivery, by the receiver's clock.
fn rate(before: &Received, after: &Received) -> f64 {
    (after.events - before.events) as f64 * 1e3 / (after.last_ms - before.now_ms)
}

/// A signed delivery.
async fn send(client: &reqwest::Client, url: &str, body: String) -> anyhow::Result<()> {
    let secret = WEBHOOK_SECRET.as_bytes();
    let mut sha1 = Hmac::<Sha1>::new_from_slice(secret).context("any key will do")?;
    sha1.update(body.as_bytes());
    let mut sha256 = Hmac::<Sha256>::new_from_slice(secret).context("any key will do")?;
    sha256.update(body.as_bytes());
    client
        .post(url)
        .header("content-type", "application/json")
        .header(
            "x-enode-signature",
            format!("sha1={}", hex::encode(sha1.finalize().into_bytes())),
        )
        .header(
            "webhook-signature",
            hex::encode(sha256.finalize().into_bytes()),
        )
        .body(body)
        .send()
        .await?
        .error_for_status()?;
    Ok(())
}
