//! Five vendors, of which one hangs, one refuses, one breaks and one talks nonsense.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use livewatt::serve::{ServeOptions, Server};
use livewatt_domain::{
    SignedDuration, Timestamp,
    clock::{Clock as _, FastClock, SystemClock},
    id::UserId,
};
use livewatt_engine::webhooks::WebhookInput;
use livewatt_sandbox::{AccountSpec, Cloud, FaultKind, FaultSpec, Garbage, Sandbox, SandboxConfig};
use livewatt_vendors::{
    AccountContext, Harvest, LinkInput, Registry, Wanted,
    helios::{Helios, HeliosOptions},
    link::{LinkOutcome, LinkProblem},
    manifest::Manifest,
    rivoli::{Rivoli, RivoliOptions},
    vendor::{LinkContext, RefreshOutcome, SharedVendor, Vendor},
    volta::{Volta, VoltaOptions},
};
use serde_json::Value;
use tempfile::TempDir;

use super::{Latencies, Probe, expect_undisturbed};
use crate::{
    proof::{count::Ages, told::devices},
    support::{link_as, loopback, settings},
};

/// How much faster than real time the clocks run.
const SPEED: f64 = 30.0;
/// Real time of each part.
const MEASURED: Duration = Duration::from_secs(28);
/// Accounts of each vendor.
const ACCOUNTS: usize = 12;

/// The integration of another such cloud, under a name of its own.
#[derive(Debug)]
struct Renamed {
    manifest: Manifest,
    inner: Helios,
}

impl Renamed {
    fn new(id: &'static str, inner: Helios) -> Self {
        let manifest = Manifest {
            id,
            ..inner.manifest().clone()
        };
        Self { manifest, inner }
    }
}

#[async_trait]
impl Vendor for Renamed {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn link(
        &self,
        cx: LinkContext<'_>,
        input: LinkInput,
    ) -> Result<LinkOutcome, LinkProblem> {
        self.inner.link(cx, input).await
    }

    async fn refresh(&self, cx: AccountContext<'_>) -> RefreshOutcome {
        self.inner.refresh(cx).await
    }

    async fn read(&self, cx: AccountContext<'_>, wanted: &Wanted) -> Harvest {
        self.inner.read(cx, wanted).await
    }

    fn calls_per_read(&self, devices: usize) -> u32 {
        self.inner.calls_per_read(devices)
    }
}

/// The five, each with the sandbox and the cloud in it that it talks to.
const VENDORS: [(&str, usize, Cloud); 5] = [
    ("volta", 0, Cloud::Volta),
    ("rivoli", 0, Cloud::Rivoli),
    ("helios", 0, Cloud::Helios),
    ("helios-b", 1, Cloud::Helios),
    ("helios-c", 2, Cloud::Helios),
];

/// The one nothing happens to.
const HEALTHY: &str = "helios";

/// Latencies of the events of the healthy vendor's users.
type Hooks = Arc<Mutex<Latencies>>;

async fn receive(State((hooks, clock)): State<(Hooks, Arc<FastClock>)>, body: Bytes) -> StatusCode {
    let events: Vec<Value> = serde_json::from_slice(&body).unwrap();
    let now = clock.now();
    for event in events {
        let is_healthy = event["user"]["id"]
            .as_str()
            .is_some_and(|user| user.starts_with("helios@"));
        if is_healthy {
            let created_at: Timestamp = event["createdAt"].as_str().unwrap().parse().unwrap();
            let took = now.duration_since(created_at).unsigned_abs();
            hooks.lock().unwrap().add(took.div_f64(SPEED));
        }
    }
    StatusCode::NO_CONTENT
}

/// Ages of what was told, by vendor, from the sandboxes' own records.
#[derive(Debug, Default)]
struct Told {
    at: BTreeMap<(usize, String), (usize, Timestamp)>,
}

impl Told {
    /// Takes the records of a part that ends now; the age of what was not told again counts too.
    fn take(&mut self, sandboxes: &[Sandbox], now: Timestamp) -> Vec<Ages> {
        let mut ages = vec![Ages::default(); VENDORS.len()];
        for (index, sandbox) in sandboxes.iter().enumerate() {
            for answer in sandbox
                .take_answers()
                .iter()
                .filter(|answer| answer.status == 200)
            {
                let is_this =
                    |vendor: &&(&str, usize, Cloud)| vendor.1 == index && vendor.2 == answer.cloud;
                let vendor = VENDORS.iter().position(|vendor| is_this(&vendor)).unwrap();
                for told in devices(answer)
                    .into_iter()
                    .filter(|told| told.news.is_some())
                {
                    let before = self.at.insert((index, told.device), (vendor, answer.at));
                    if let Some((_, before)) = before {
                        ages[vendor].add(answer.at.duration_since(before).as_secs());
                    }
                }
            }
        }
        for (vendor, at) in self.at.values() {
            ages[*vendor].add(now.duration_since(*at).as_secs());
        }
        ages
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_bad_vendors_are_not_felt_by_the_fifth() {
    let clock = Arc::new(FastClock::new(Arc::new(SystemClock), SPEED));
    let mut sandboxes = Vec::new();
    for seed in 1..=3 {
        let config = SandboxConfig {
            seed,
            start: clock.now(),
            speed: SPEED,
            record_answers: true,
            ..SandboxConfig::default()
        };
        sandboxes.push(Sandbox::start(config, loopback().await));
    }
    let cloud = |index: usize, name: &str| {
        format!("{}/{name}", sandboxes[index].base_url())
            .parse()
            .unwrap()
    };
    let helios = |index| {
        Helios::new(HeliosOptions {
            base_url: cloud(index, "helios"),
        })
    };
    let integrations: Vec<SharedVendor> = vec![
        Arc::new(Volta::new(VoltaOptions {
            base_url: cloud(0, "volta"),
            client_id: "livewatt-sandbox".to_owned(),
            client_secret: livewatt_vendors::Secret::new("sandbox-secret".to_owned()),
        })),
        Arc::new(Rivoli::new(RivoliOptions {
            base_url: cloud(0, "rivoli"),
        })),
        Arc::new(helios(0)),
        Arc::new(Renamed::new("helios-b", helios(1))),
        Arc::new(Renamed::new("helios-c", helios(2))),
    ];
    let directory = TempDir::new().unwrap();
    let mut settings = settings(&directory, &sandboxes[0]);
    settings.vendors.timeout_secs = 5;
    let options = ServeOptions {
        clock: Some(clock.clone()),
        vendors: Some(Registry::new(integrations)),
        tune: Some(|options| options.token_lifetime = SignedDuration::from_hours(10_000)),
        ..ServeOptions::default()
    };
    let mut server = Server::start(&settings, loopback().await, options)
        .await
        .unwrap();
    let (client, secret) = server.first_client.take().unwrap();
    let hooks = Hooks::default();
    let listener = loopback().await;
    let input = WebhookInput {
        url: Some(format!("http://{}/hook", listener.local_addr().unwrap())),
        secret: Some("a-secret-of-the-test".to_owned()),
        ..WebhookInput::default()
    };
    let router = Router::new()
        .route("/hook", post(receive))
        .with_state((hooks.clone(), clock.clone()));
    tokio::spawn(async move { axum::serve(listener, router).await });
    server.engine.create_webhook(client, input).await.unwrap();
    for (name, sandbox, cloud) in VENDORS {
        for index in 0..ACCOUNTS {
            let user: UserId = format!("{name}@{index}").parse().unwrap();
            // Names must differ over the sandboxes: they are one vendor's no more than another's.
            let spec = AccountSpec {
                username: Some(format!("{name}-{index}@example.com")),
                ..AccountSpec::default()
            };
            let account = sandboxes[sandbox].create_account(cloud, spec).unwrap();
            link_as(&server, client, &user, &account, name)
                .await
                .unwrap();
        }
    }
    let api =
        crate::support::http::Api::log_in(&server, &client.to_string(), secret.reveal()).await;
    let probe = Probe::start(format!("{}/hvacs?pageSize=50", api.base), api.token.clone());
    let take_hooks = || std::mem::take(&mut *hooks.lock().unwrap());

    let mut told = Told::default();
    tokio::time::sleep(MEASURED / 4).await;
    told.take(&sandboxes, clock.now());
    probe.take();
    take_hooks();
    tokio::time::sleep(MEASURED).await;
    let (api_before, hooks_before) = (probe.take(), take_hooks());
    let ages_before = told.take(&sandboxes, clock.now());

    break_all_but_one(&sandboxes).await;
    tokio::time::sleep(MEASURED).await;
    let (api_during, hooks_during) = (probe.take(), take_hooks());
    let ages_during = told.take(&sandboxes, clock.now());

    let troubles = ["hangs", "429", "none", "503", "garbage of seven sorts"];
    println!(
        "{:<10} {:<24} {:>28} {:>28}",
        "vendor", "trouble", "age before p50/p99/max s", "age during p50/p99/max s"
    );
    let describe = |ages: &Ages| {
        format!(
            "{}/{}/{}",
            ages.quantile(0.5),
            ages.quantile(0.99),
            ages.longest
        )
    };
    for (index, (name, ..)) in VENDORS.iter().enumerate() {
        println!(
            "{name:<10} {:<24} {:>28} {:>28}",
            troubles[index],
            describe(&ages_before[index]),
            describe(&ages_during[index])
        );
    }
    println!(
        "API       before {}; during {}",
        api_before.describe(),
        api_during.describe()
    );
    println!(
        "webhooks  before {}; during {}",
        hooks_before.describe(),
        hooks_during.describe()
    );
    let healthy = VENDORS
        .iter()
        .position(|(name, ..)| *name == HEALTHY)
        .unwrap();
    let (before, during) = (&ages_before[healthy], &ages_during[healthy]);
    // A second of this machine is half a minute here.
    assert!(
        during.quantile(0.99) <= before.quantile(0.99) + 30,
        "the healthy vendor's data aged from {} to {} s",
        before.quantile(0.99),
        during.quantile(0.99)
    );
    for (index, (name, ..)) in VENDORS
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != healthy)
    {
        assert!(
            ages_during[index].longest > ages_before[healthy].longest,
            "{name} was in no trouble"
        );
    }
    expect_undisturbed("API", &api_before, &api_during, 500.0);
    expect_undisturbed("webhooks", &hooks_before, &hooks_during, 1_000.0);
    for sandbox in &sandboxes {
        sandbox.drop_all_faults().await;
    }
    drop(probe);
    server.shut_down().await.unwrap();
    for sandbox in sandboxes {
        sandbox.shutdown().await;
    }
}

/// Lets volta hang, rivoli refuse, the second helios break and the third talk nonsense of one sort
/// after the other.
async fn break_all_but_one(sandboxes: &[Sandbox]) {
    let hang = FaultSpec::new(FaultKind::Hang { seconds: None });
    sandboxes[0].add_fault(Cloud::Volta, hang).await.unwrap();
    let refuse = FaultSpec::new(FaultKind::RateLimited {
        retry_after_seconds: 30,
    });
    sandboxes[0].add_fault(Cloud::Rivoli, refuse).await.unwrap();
    let fail = FaultSpec::new(FaultKind::ServerError { status: 503 });
    sandboxes[1].add_fault(Cloud::Helios, fail).await.unwrap();
    let sorts = [
        Garbage::CutJson,
        Garbage::Html,
        Garbage::WrongTypes,
        Garbage::AbsurdNumbers,
        Garbage::FarFuture,
        Garbage::HugeBody,
        Garbage::Empty,
    ];
    let each = (MEASURED.as_secs_f64() * SPEED / sorts.len() as f64) as i64;
    for (index, variant) in sorts.into_iter().enumerate() {
        let mut spec = FaultSpec::new(FaultKind::Garbage { variant });
        (spec.after_seconds, spec.for_seconds) = (Some(index as i64 * each), Some(each));
        sandboxes[2].add_fault(Cloud::Helios, spec).await.unwrap();
    }
}
