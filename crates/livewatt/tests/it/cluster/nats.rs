//! Nodes that are woken over NATS: by it alone, without it, and by it again; and nodes that share an
//! export.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use livewatt::nats::NatsBus;
use livewatt_domain::id::AccountId;
use livewatt_engine::cluster::Bus;
use livewatt_sandbox::{AccountInfo, Cloud, DevicePatch};
use livewatt_store::{BoxError, Wake};
use livewatt_vendors::Secret;
use serde_json::json;
use tokio::sync::mpsc;

use super::{
    crossing::{apart, shared},
    nodes::{Cluster, Node, tune},
};
use crate::{
    export::{stored, subject},
    support::{eventually, nats::NatsServer, receiver::SECRET},
};

/// A bus that counts letters that were told of over it.
#[derive(Debug)]
struct Counting {
    bus: NatsBus,
    heard: Arc<AtomicUsize>,
}

impl Counting {
    async fn start(server: &NatsServer) -> Arc<Self> {
        let bus = NatsBus::start(&server.url, "tested").await.unwrap();
        eventually("NATS is reached", async || bus.is_connected()).await;
        Arc::new(Self {
            bus,
            heard: Arc::default(),
        })
    }

    fn heard(&self) -> usize {
        self.heard.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Bus for Counting {
    async fn wake(&self, wakes: Vec<Wake>) -> Result<(), BoxError> {
        self.bus.wake(wakes).await
    }

    fn wakes(&self) -> mpsc::Receiver<Wake> {
        let (sender, receiver) = mpsc::channel(100);
        let (mut wakes, heard) = (self.bus.wakes(), self.heard.clone());
        tokio::spawn(async move {
            while let Some(wake) = wakes.recv().await {
                if matches!(wake, Wake::Letter(_)) {
                    heard.fetch_add(1, Ordering::Relaxed);
                }
                let _ = sender.send(wake).await;
            }
        });
        receiver
    }

    fn is_connected(&self) -> bool {
        self.bus.is_connected()
    }
}

/// Has a car's cloud push another limit to the node that does not own it; waits until both nodes
/// show it.
async fn push(
    cluster: &Cluster,
    nodes: &[&Node],
    (account, id): (&AccountInfo, AccountId),
    limit: u8,
) {
    let (other, _) = apart(cluster, nodes, id).await;
    let address = format!("http://{}", other.server.address);
    cluster.front.leads_to(Some(&address));
    let patch = DevicePatch {
        limit_percent: Some(limit),
        ..DevicePatch::default()
    };
    let vin = &account.devices[0].id;
    cluster.sandbox.patch_device(vin, &patch).await.unwrap();
    eventually("a push is shown at both nodes", async || {
        let mut shown = true;
        for node in nodes {
            let devices = node.api.get("/users/ann/vehicles").await;
            let devices = devices.expect_status(200);
            shown &= devices["data"][0]["chargeState"]["chargeLimit"] == f64::from(limit);
        }
        shown
    })
    .await;
}

/// Waits until the receiver has the whole log.
async fn all_delivered(cluster: &Cluster, node: &Node) {
    eventually("everything is delivered", async || {
        cluster.receiver.events().len() >= node.api.log_for_all().await.len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wakes_over_nats_suffice() {
    let nats = NatsServer::start();
    // Nobody looks by himself, except once at the start.
    let never = |options: &mut livewatt_engine::EngineOptions| {
        tune(options, Duration::from_secs(3_600));
    };
    let (bus_a, bus_b) = (Counting::start(&nats).await, Counting::start(&nats).await);
    let (cluster, a) = Cluster::begin_with(|_| {}, never, Some(bus_a.clone())).await;
    let b = cluster.join_with("b", Some(bus_b.clone())).await;
    shared(&cluster, &["a", "b"]).await;
    let nodes = [&a, &b];
    let webhook = json!({ "url": cluster.receiver.url, "secret": SECRET });
    let made = a.api.post("/webhooks", Some(webhook)).await;
    made.expect_status(200);
    let account = cluster.account(Cloud::Volta);
    let id = cluster.link(&a, "ann", &account).await;
    for limit in 60..70 {
        push(&cluster, &nodes, (&account, id), limit).await;
    }
    all_delivered(&cluster, &a).await;
    let heard = bus_a.heard() + bus_b.heard();
    assert!(heard >= 10, "letters told of over NATS: {heard}");
    a.server.shut_down().await.unwrap();
    b.server.shut_down().await.unwrap();
    cluster.sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_go_on_without_nats_and_use_it_again() {
    let mut nats = NatsServer::start();
    let looking = |options: &mut livewatt_engine::EngineOptions| {
        tune(options, Duration::from_millis(200));
    };
    let (bus_a, bus_b) = (Counting::start(&nats).await, Counting::start(&nats).await);
    let (cluster, a) = Cluster::begin_with(|_| {}, looking, Some(bus_a.clone())).await;
    let b = cluster.join_with("b", Some(bus_b.clone())).await;
    shared(&cluster, &["a", "b"]).await;
    let nodes = [&a, &b];
    let webhook = json!({ "url": cluster.receiver.url, "secret": SECRET });
    let made = b.api.post("/webhooks", Some(webhook)).await;
    made.expect_status(200);
    let account = cluster.account(Cloud::Volta);
    let id = cluster.link(&b, "ann", &account).await;
    let heard = || bus_a.heard() + bus_b.heard();
    push(&cluster, &nodes, (&account, id), 60).await;
    assert!(heard() > 0);
    assert_eq!(a.server.engine.bus_is_connected(), Some(true));
    assert!(a.server.engine.figures().await.wakes_are_carried);

    nats.kill();
    eventually("both know that it is away", async || {
        a.server.engine.bus_is_connected() == Some(false)
            && b.server.engine.bus_is_connected() == Some(false)
    })
    .await;
    assert!(!a.server.engine.figures().await.wakes_are_carried);
    let before = heard();
    for limit in 70..75 {
        push(&cluster, &nodes, (&account, id), limit).await;
    }
    all_delivered(&cluster, &b).await;
    assert_eq!(heard(), before, "nobody was woken");

    nats.start_again();
    // Connected again within two seconds, and subscribed a moment later.
    let mut limit = 75;
    eventually("the owner is woken over NATS again", async || {
        limit += 1;
        push(&cluster, &nodes, (&account, id), 50 + limit % 50).await;
        heard() > before
    })
    .await;
    all_delivered(&cluster, &a).await;
    a.server.shut_down().await.unwrap();
    b.server.shut_down().await.unwrap();
    cluster.sandbox.shutdown().await;
}

/// Waits until the stream has the whole log, the events about each thing in order, and nothing twice.
async fn all_exported(cluster: &Cluster, node: &Node, nats: &NatsServer) {
    eventually("everything is exported", async || {
        stored(nats).await.len() >= node.api.log().await.len()
    })
    .await;
    let by_subject = |events: Vec<serde_json::Value>| {
        let mut sorted: std::collections::BTreeMap<String, Vec<String>> = Default::default();
        for event in events {
            let of = sorted.entry(subject(&event)).or_default();
            of.push(event.to_string());
        }
        sorted
    };
    let stream = stored(nats).await.into_iter();
    let stream = stream.map(|message| {
        let subject = format!("livewatt.{}.", cluster.client);
        assert!(message.subject.starts_with(&subject), "{message:?}");
        message.event
    });
    assert_eq!(
        by_subject(stream.collect()),
        by_subject(node.api.log().await)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_moves_with_its_owner() {
    let nats = NatsServer::start();
    let url = Secret::new(nats.url.clone());
    let change = |settings: &mut livewatt::config::Settings| settings.export.nats.url = url;
    let looking = |options: &mut livewatt_engine::EngineOptions| {
        tune(options, Duration::from_millis(200));
    };
    let (cluster, a) = Cluster::begin_with(change, looking, None).await;
    let b = cluster.join("b").await;
    shared(&cluster, &["a", "b"]).await;
    let account = cluster.account(Cloud::Volta);
    let id = cluster.link(&a, "ann", &account).await;
    let nodes = [&a, &b];
    for limit in 60..65 {
        push(&cluster, &nodes, (&account, id), limit).await;
    }
    all_exported(&cluster, &b, &nats).await;
    // Whoever owns the client's partition exports; it leaves, and the other goes on.
    let owner = cluster.owner_of(cluster.client.partition()).await;
    let (goes, stays) = match owner.as_deref() == Some("a") {
        true => (a, b),
        false => (b, a),
    };
    assert_eq!(owner.as_deref(), Some(goes.name.as_str()));
    goes.server.shut_down().await.unwrap();
    let address = format!("http://{}", stays.server.address);
    cluster.front.leads_to(Some(&address));
    for limit in 70..75 {
        let patch = DevicePatch {
            limit_percent: Some(limit),
            ..DevicePatch::default()
        };
        let vin = &account.devices[0].id;
        cluster.sandbox.patch_device(vin, &patch).await.unwrap();
    }
    eventually("pushes are taken", async || {
        let devices = stays.api.get("/users/ann/vehicles").await;
        let devices = devices.expect_status(200);
        devices["data"][0]["chargeState"]["chargeLimit"] == 74.0
    })
    .await;
    all_exported(&cluster, &stays, &nats).await;
    stays.server.shut_down().await.unwrap();
    cluster.sandbox.shutdown().await;
}
