//! A customer with a huge backlog to a dead receiver beside a healthy one.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use livewatt::{
    config::Settings,
    serve::{ServeOptions, Server, open_store},
};
use livewatt_domain::{
    Timestamp,
    clock::{Clock as _, SystemClock},
    entropy::SeededEntropy,
    event::Event,
    id::{ClientId, DeviceId, EventId, UserId},
};
use livewatt_engine::webhooks::WebhookInput;
use livewatt_sandbox::{Cloud, DevicePatch, Sandbox, SandboxConfig};
use livewatt_store::{Fence, UnitOfWork};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Latencies, Probe, expect_undisturbed, program::Program};
use crate::support::{link_in_sandbox, loopback, settings, still};

/// Events of a unit when the backlog is written.
const UNIT: u64 = 500;
/// Devices that the backlog is about.
const DEVICES: u64 = 200;
/// How long each part is measured.
const MEASURED: Duration = Duration::from_secs(12);
/// What the backlog may cost in memory while it is read, MiB.
const MOST_MIB: u64 = 96;

fn backlog() -> u64 {
    match std::env::var("LIVEWATT_LONG").is_ok_and(|value| value == "1") {
        true => 1_000_000,
        false => 50_000,
    }
}

/// A receiver that measures how old events are when they come, and can play dead.
#[derive(Debug, Clone, Default)]
struct Receiver {
    is_dead: Arc<AtomicBool>,
    events: Arc<AtomicU64>,
    latencies: Arc<Mutex<Latencies>>,
}

impl Receiver {
    async fn start(self) -> String {
        let listener = loopback().await;
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/hook", post(Self::receive))
            .with_state(self);
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    async fn receive(State(this): State<Self>, body: Bytes) -> StatusCode {
        if this.is_dead.load(Ordering::Relaxed) {
            // Dead as a host behind a firewall: no answer at all.
            std::future::pending::<()>().await;
        }
        let events: Vec<Value> = serde_json::from_slice(&body).unwrap();
        for event in events.iter().filter(|event| event.get("user").is_some()) {
            this.events.fetch_add(1, Ordering::Relaxed);
            let created_at: Timestamp = event["createdAt"].as_str().unwrap().parse().unwrap();
            let took = SystemClock.now().duration_since(created_at);
            this.latencies.lock().unwrap().add(took.unsigned_abs());
        }
        StatusCode::NO_CONTENT
    }

    fn take(&self) -> Latencies {
        std::mem::take(&mut *self.latencies.lock().unwrap())
    }
}

/// Writes a backlog for a client, as if its devices had told so much.
async fn write_backlog(settings: &Settings, client: ClientId, count: u64) {
    let store = open_store(settings).await.unwrap();
    let fences = store.take_fences().await.unwrap();
    let entropy = SeededEntropy::new(7);
    let now = SystemClock.now();
    let user: UserId = "somebody".parse().unwrap();
    let devices: Vec<DeviceId> = (0..DEVICES).map(|_| DeviceId::new(now, &entropy)).collect();
    let padding = "x".repeat(1200);
    for begin in (0..count).step_by(UNIT as usize) {
        let fence = Fence {
            partition: 0,
            number: fences.0[0],
        };
        let mut unit = UnitOfWork::new(Some(fence));
        unit.events = (begin..begin + UNIT)
            .map(|number| {
                let (device, version) = (devices[(number % DEVICES) as usize], number / DEVICES + 1);
                let name = "user:vehicle:updated";
                let body = json!({
                    "event": name, "user": { "id": user }, "version": "2024-10-01", "createdAt": now,
                    "vehicle": { "id": device, "padding": padding }, "updatedFields": ["padding"],
                });
                Event {
                    id: EventId::new(now, &entropy),
                    client_id: client,
                    user_id: user.clone(),
                    device: Some((device, version)),
                    name: name.to_owned(),
                    created_at: now,
                    body: body.to_string(),
                }
            })
            .collect();
        store.commit(unit).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_to_a_dead_receiver_is_not_felt_by_another_customer() {
    let config = SandboxConfig {
        start: SystemClock.now(),
        speed: 1.0,
        ..SandboxConfig::default()
    };
    let sandbox = Sandbox::start(config, loopback().await);
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory, &sandbox);
    let mut server = Server::start(&settings, loopback().await, ServeOptions::default())
        .await
        .unwrap();
    let address = server.address;
    let (healthy, secret) = server.first_client.take().unwrap();
    let (sick, sick_secret) = server.engine.create_client("sick", None).await.unwrap();
    let (good, dead) = (Receiver::default(), Receiver::default());
    dead.is_dead.store(true, Ordering::Relaxed);
    for (client, receiver) in [(healthy, good.clone()), (sick.id, dead.clone())] {
        let input = WebhookInput {
            url: Some(receiver.start().await),
            secret: Some("a-secret-of-the-test".to_owned()),
            ..WebhookInput::default()
        };
        server.engine.create_webhook(client, input).await.unwrap();
    }
    let user: UserId = "ann".parse().unwrap();
    let account = sandbox.create_account(Cloud::Volta, still()).unwrap();
    link_in_sandbox(&server, healthy, &user, &account)
        .await
        .unwrap();
    server.shut_down().await.unwrap();
    let vehicle = &account.devices[0].id;

    let program = Program::start(&settings.store.directory, address, sandbox.base_url()).await;
    let token = program.token(&healthy.to_string(), secret.reveal()).await;
    let probe = Probe::start(
        format!("{}/vehicles?pageSize=50", program.base),
        token.clone(),
    );
    live(&sandbox, vehicle, MEASURED / 2).await;
    probe.take();
    good.take();
    live(&sandbox, vehicle, MEASURED).await;
    let (api_before, hooks_before) = (probe.take(), good.take());
    drop(probe);
    program.stop().await;

    let count = backlog();
    let began = Instant::now();
    write_backlog(&settings, sick.id, count).await;
    println!("{count} events written in {:?}", began.elapsed());
    let program = Program::start(&settings.store.directory, address, sandbox.base_url()).await;
    let token = program.token(&healthy.to_string(), secret.reveal()).await;
    let sick_token = program
        .token(&sick.id.to_string(), sick_secret.reveal())
        .await;
    let probe = Probe::start(format!("{}/vehicles?pageSize=50", program.base), token);
    // The sick customer also reads its log the other way, as fast as it can.
    let reading = Probe::start(format!("{}/events?pageSize=500", program.base), sick_token);
    live(&sandbox, vehicle, MEASURED / 2).await;
    probe.take();
    good.take();
    let (memory_before, _) = program.memory();
    live(&sandbox, vehicle, MEASURED).await;
    let (api_dead, hooks_dead) = (probe.take(), good.take());

    dead.is_dead.store(false, Ordering::Relaxed);
    let began = Instant::now();
    let patience = Duration::from_secs(120) + Duration::from_millis(count / 2);
    while dead.events.load(Ordering::Relaxed) < count {
        live(&sandbox, vehicle, Duration::from_secs(1)).await;
        assert!(
            began.elapsed() < patience,
            "{} of {count} events after {:?}",
            dead.events.load(Ordering::Relaxed),
            began.elapsed()
        );
    }
    let (api_draining, hooks_draining) = (probe.take(), good.take());
    let (_, peak) = program.memory();
    println!("{:<34} {:<44} webhooks", "", "API");
    println!(
        "{:<34} {:<44} {}",
        "alone",
        api_before.describe(),
        hooks_before.describe()
    );
    println!(
        "{:<34} {:<44} {}",
        "beside a backlog that stands",
        api_dead.describe(),
        hooks_dead.describe()
    );
    println!(
        "{:<34} {:<44} {}",
        "beside a backlog that is delivered",
        api_draining.describe(),
        hooks_draining.describe()
    );
    println!(
        "{count} events delivered within {:?}; {memory_before} MiB before, {peak} MiB at the peak",
        began.elapsed()
    );
    for (what, api, hooks) in [
        ("standing", api_dead, hooks_dead),
        ("delivered", api_draining, hooks_draining),
    ] {
        expect_undisturbed(&format!("API, backlog {what}"), &api_before, &api, 500.0);
        expect_undisturbed(
            &format!("webhooks, backlog {what}"),
            &hooks_before,
            &hooks,
            1_000.0,
        );
    }
    assert!(
        peak <= memory_before + MOST_MIB,
        "{memory_before} MiB became {peak} MiB"
    );
    drop((probe, reading));
    program.stop().await;
    sandbox.shutdown().await;
}

/// Lets the healthy customer's vehicle be plugged and unplugged for a while; each is a push.
async fn live(sandbox: &Sandbox, vehicle: &str, for_so_long: Duration) {
    let began = Instant::now();
    let mut is_plugged = false;
    while began.elapsed() < for_so_long {
        is_plugged = !is_plugged;
        let patch = DevicePatch {
            plugged: Some(is_plugged),
            ..DevicePatch::default()
        };
        sandbox.patch_device(vehicle, &patch).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
