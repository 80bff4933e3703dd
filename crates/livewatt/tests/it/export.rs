//! The event log as a stream of NATS JetStream: complete, in order, through kills on both sides.

use std::{collections::BTreeMap, time::Duration};

use async_nats::jetstream;
use livewatt::config::Settings;
use livewatt_domain::SignedDuration;
use livewatt_sandbox::Cloud;
use livewatt_vendors::Secret;
use serde_json::Value;

use crate::{
    support::{World, eventually, nats::NatsServer, still},
    webhooks::{replug, vehicle},
};

/// A message of the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub subject: String,
    pub id: String,
    pub event: Value,
}

/// All messages of the stream, in its order.
pub async fn stored(nats: &NatsServer) -> Vec<Message> {
    let client = async_nats::connect(&nats.url).await.unwrap();
    let context = jetstream::new(client);
    let Ok(mut stream) = context.get_stream("LIVEWATT").await else {
        return Vec::new();
    };
    let last = stream.info().await.unwrap().state.last_sequence;
    let mut messages = Vec::new();
    for sequence in 1..=last {
        let message = stream.get_raw_message(sequence).await.unwrap();
        let id = message.headers.get("Nats-Msg-Id").unwrap().to_string();
        messages.push(Message {
            subject: message.subject.to_string(),
            id,
            event: serde_json::from_slice(&message.payload).unwrap(),
        });
    }
    messages
}

/// The whole log of a client: IDs and events.
async fn logged(world: &World) -> Vec<(String, Value)> {
    let mut entries = Vec::new();
    let mut path = "/events?pageSize=500".to_owned();
    loop {
        let page = world.api.get(&path).await.expect_status(200);
        let found = page["data"].as_array().unwrap();
        if found.is_empty() {
            return entries;
        }
        let entry = |entry: &Value| {
            let id = entry["id"].as_str().unwrap().to_owned();
            (id, entry["event"].clone())
        };
        entries.extend(found.iter().map(entry));
        let after = page["pagination"]["after"].as_str().unwrap();
        path = format!("/events?pageSize=500&after={after}");
    }
}

/// What an event is about: a device, or a user with all that is no device. Its events keep their order.
pub fn subject(event: &Value) -> String {
    let kinds = livewatt_domain::kind::DeviceKind::ALL;
    let id = kinds
        .iter()
        .find_map(|kind| event[kind.name()]["id"].as_str());
    let user = || event["user"]["id"].as_str().unwrap();
    id.unwrap_or_else(user).to_owned()
}

/// IDs and events by what they are about, in the order in which they are given.
fn by_subject(
    events: impl IntoIterator<Item = (String, Value)>,
) -> BTreeMap<String, Vec<(String, Value)>> {
    let mut sorted: BTreeMap<String, Vec<(String, Value)>> = BTreeMap::new();
    for (id, event) in events {
        sorted.entry(subject(&event)).or_default().push((id, event));
    }
    sorted
}

/// The stream holds the whole log, the events about each thing in order; what is there twice has one ID and
/// says the same. Returns how many were there twice.
async fn assert_exported(world: &World, nats: &NatsServer) -> usize {
    let (log, stream) = (logged(world).await, stored(nats).await);
    assert!(!log.is_empty());
    let mut first: Vec<(String, Value)> = Vec::new();
    let mut seen: BTreeMap<String, Value> = BTreeMap::new();
    for message in &stream {
        let name = message.event["event"].as_str().unwrap();
        let words = name.strip_prefix("user:").unwrap().replace(':', ".");
        let expected = format!("livewatt.{}.{words}", world.client);
        assert_eq!(message.subject, expected);
        match seen.insert(message.id.clone(), message.event.clone()) {
            None => first.push((message.id.clone(), message.event.clone())),
            Some(before) => assert_eq!(before, message.event, "{}", message.id),
        }
    }
    let twice = stream.len() - first.len();
    assert_eq!(by_subject(first), by_subject(log));
    twice
}

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

/// Lets the wait after a failure go by, and exports.
async fn export(world: &World) -> usize {
    world.clock.advance(minutes(3));
    world.engine().export_due().await
}

fn to(nats: &NatsServer) -> impl FnOnce(&mut Settings) {
    let url = Secret::new(nats.url.clone());
    move |settings| settings.export.nats.url = url
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_exported_whatever_is_away() {
    let mut nats = NatsServer::start();
    let mut world = World::with(to(&nats)).await;
    let car = vehicle(&world, "ann").await;
    for user in ["ann", "bob"] {
        world.link(user, Cloud::Helios, still()).await;
        world.link(user, Cloud::Rivoli, still()).await;
    }
    world.advance(minutes(30)).await;
    let figures = world.engine().figures().await;
    assert_eq!(
        figures.export_lag,
        SignedDuration::ZERO,
        "not looked at yet"
    );
    let exported = world.engine().export_due().await;
    assert_eq!(exported, logged(&world).await.len());
    assert_eq!(assert_exported(&world, &nats).await, 0);
    assert_eq!(world.engine().export_due().await, 0, "nothing is left");

    // The broker is away: everything else goes on, and it is told how far the export is behind.
    nats.kill();
    replug(&world, &car).await;
    world.advance(minutes(5)).await;
    assert_eq!(world.engine().export_due().await, 0);
    let figures = world.engine().export_figures().unwrap();
    assert!(figures.error.is_some(), "{figures:?}");
    assert!(figures.lag >= minutes(5), "{figures:?}");
    assert_eq!(world.engine().figures().await.export_lag, figures.lag);
    assert_eq!(world.engine().export_due().await, 0, "it rests");
    nats.start_again();
    assert_eq!(world.engine().export_due().await, 0, "it still does");
    assert!(export(&world).await > 0);
    assert_eq!(assert_exported(&world, &nats).await, 0);
    let figures = world.engine().export_figures().unwrap();
    assert_eq!((figures.lag, figures.error), (SignedDuration::ZERO, None));

    // The server is started again: it goes on after what was exported.
    replug(&world, &car).await;
    let before = stored(&nats).await.len();
    world = world.restart(minutes(1), |_| {}).await;
    let exported = export(&world).await;
    assert!(exported > 0);
    assert_eq!(stored(&nats).await.len(), before + exported);
    assert_eq!(assert_exported(&world, &nats).await, 0);
    world.shut_down().await;
}

/// The broker is killed while thousands of events are on their way, and so is what waits for its
/// answers.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_by_kills_in_the_middle() {
    let mut nats = NatsServer::start();
    let world = World::with(to(&nats)).await;
    let mut cars = Vec::new();
    for user in 0..6 {
        cars.push(vehicle(&world, &format!("user-{user}")).await);
    }
    for _ in 0..40 {
        for car in &cars {
            world.plug(car, false).await;
            world.plug(car, true).await;
        }
    }
    let log = logged(&world).await.len();
    assert!(log > 480, "{log}");
    let url = nats.url.clone();
    let count = async || {
        let client = async_nats::connect(&url).await.unwrap();
        let context = jetstream::new(client);
        match context.get_stream("LIVEWATT").await {
            Ok(mut stream) => stream.info().await.unwrap().state.messages as usize,
            Err(_) => 0,
        }
    };
    // First the one who exports is cut off, wherever it is.
    {
        let engine = world.engine().clone();
        let exporting = tokio::spawn(async move { engine.export_due().await });
        eventually("some are exported", async || count().await > 20).await;
        exporting.abort();
    }
    // Then the broker, again and again.
    for round in 1..4 {
        let engine = world.engine().clone();
        world.clock.advance(minutes(3));
        let before = count().await;
        let exporting = tokio::spawn(async move { engine.export_due().await });
        eventually("more are exported", async || {
            exporting.is_finished() || count().await > before + 20 * round
        })
        .await;
        nats.kill();
        tokio::time::timeout(Duration::from_secs(60), exporting)
            .await
            .expect("it gives up")
            .unwrap();
        nats.start_again();
    }
    export(&world).await;
    let twice = assert_exported(&world, &nats).await;
    assert_eq!(twice, 0, "within the window for duplicates");
    world.shut_down().await;
}
