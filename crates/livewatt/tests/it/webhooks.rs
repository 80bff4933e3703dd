//! Webhooks: what is sent, how often, and what becomes of a receiver that fails.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use livewatt_domain::{SignedDuration, kind::DeviceKind};
use livewatt_sandbox::Cloud;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{
    STEP, World, eventually, loopback,
    receiver::{Delivery, Receiver, SECRET},
    still,
};

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

fn one_lane(settings: &mut livewatt::config::Settings) {
    settings.webhooks.lanes = 1;
}

/// A linked vehicle whose plug makes events, and its ID in the sandbox.
async fn vehicle(world: &World, user: &str) -> String {
    let account = world.link(user, Cloud::Volta, still()).await;
    world.advance(minutes(1)).await;
    account.devices[0].id.clone()
}

/// Makes an event about a vehicle.
async fn replug(world: &World, vehicle: &str) {
    world.plug(vehicle, false).await;
    world.advance(STEP).await;
    world.plug(vehicle, true).await;
    world.advance(STEP).await;
}

/// A webhook of the recording receiver with other settings than the usual.
async fn subscribe(world: &World, receiver: &Receiver, more: Value) -> String {
    let mut body = json!({ "url": receiver.url, "secret": SECRET });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let made = world
        .api
        .post("/webhooks", Some(body))
        .await
        .expect_status(200);
    format!("/webhooks/{}", made["id"].as_str().unwrap())
}

async fn is_active(world: &World, webhook: &str) -> bool {
    let webhook = world.api.get(webhook).await.expect_status(200);
    webhook["isActive"].as_bool().unwrap()
}

/// Events by device, in the order in which they are given.
fn by_device(events: Vec<Value>) -> BTreeMap<String, Vec<String>> {
    let mut sorted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in events {
        let device = DeviceKind::ALL
            .into_iter()
            .find_map(|kind| event[kind.name()]["id"].as_str());
        let device = device.unwrap_or("none").to_owned();
        sorted.entry(device).or_default().push(event.to_string());
    }
    sorted
}

/// The receiver took the whole log, nothing twice and each device's events in order; and whatever
/// came under one delivery ID was the same.
async fn assert_complete(world: &World, receiver: &Receiver) {
    let (told, logged) = (
        by_device(receiver.events()),
        by_device(world.api.log().await),
    );
    assert!(!logged.is_empty());
    assert_eq!(told, logged);
    let mut bodies: BTreeMap<String, String> = BTreeMap::new();
    for attempt in receiver.attempts() {
        assert!(attempt.events.len() <= 100);
        let first = bodies
            .entry(attempt.id)
            .or_insert_with(|| attempt.body.clone());
        assert_eq!(*first, attempt.body);
    }
}

fn of_log(receiver: &Receiver) -> Vec<Delivery> {
    let mut attempts = receiver.attempts();
    attempts.retain(Delivery::is_of_log);
    attempts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_signed_in_two_ways_and_carries_the_customers_header() {
    let world = World::new().await;
    let header = json!({ "headerName": "x-api_key", "headerValue": "Sesame, open!" });
    subscribe(&world, &world.receiver, json!({ "authentication": header })).await;
    vehicle(&world, "ann").await;
    // The receiver itself checks the contract's signature and schema.
    let delivery = world.receiver.deliveries().remove(0);
    let header = |name: &str| delivery.headers[name].to_str().unwrap();
    let signed = format!(
        "{}.{}.{}",
        delivery.id,
        header("webhook-timestamp"),
        delivery.body
    );
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    let expected = mac.chain_update(signed).finalize().into_bytes();
    assert_eq!(
        header("webhook-signature"),
        format!("v1,{}", BASE64_STANDARD.encode(expected))
    );
    let sent_at: i64 = header("webhook-timestamp").parse().unwrap();
    assert!(world.now().as_second() - sent_at <= 60);
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("x-api_key"), "Sesame, open!");
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_customers_header_is_written_in_lower_case() {
    let world = World::new().await;
    let listener = loopback().await;
    let url = format!("http://{}/raw", listener.local_addr().unwrap());
    let receiver = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"]") {
            socket.read_buf(&mut seen).await.unwrap();
        }
        socket
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
            .await
            .unwrap();
        String::from_utf8(seen).unwrap()
    });
    let header = json!({ "headerName": "x-key", "headerValue": "Value" });
    let body = json!({ "url": url, "secret": SECRET, "authentication": header });
    let made = world
        .api
        .post("/webhooks", Some(body))
        .await
        .expect_status(200);
    assert_eq!(made["authentication"], json!({ "headerName": "x-key" }));
    let path = format!("/webhooks/{}/test", made["id"].as_str().unwrap());
    let shown = world.api.post(&path, None).await.expect_status(200);
    assert_eq!(shown["status"], "SUCCESS", "{shown}");
    assert_eq!(shown["response"]["code"], 200);
    assert_eq!(shown["response"]["body"], "hello");
    assert_eq!(shown["response"]["headers"], json!(["content-length: 5"]));
    let request = receiver.await.unwrap();
    assert!(request.contains("\r\nx-key: Value\r\n"), "{request}");
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_reordered_by_a_receiver_that_is_down_for_hours() {
    let world = World::new().await;
    world.subscribe().await;
    let mut vehicles = Vec::new();
    for user in 0..6 {
        vehicles.push(vehicle(&world, &format!("user-{user}")).await);
    }
    for hour in 0..5 {
        world.receiver.answer_with([500, 302, 404, 503, 429][hour]);
        for vehicle in &vehicles {
            replug(&world, vehicle).await;
        }
        world.advance(minutes(50)).await;
    }
    let refused = of_log(&world.receiver)
        .iter()
        .filter(|attempt| !attempt.is_taken)
        .count();
    // In each of four lanes: 5 s, 10 s, … 2 h.
    assert!((30..60).contains(&refused), "{refused} attempts in vain");
    world.receiver.answer_with(204);
    world.advance(minutes(140)).await;
    assert_complete(&world, &world.receiver).await;
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_delivered_a_hundred_at_a_time_across_restarts() {
    let mut world = World::with(one_lane).await;
    world.subscribe().await;
    world.receiver.answer_with(500);
    for user in 0..30 {
        world
            .link(&format!("user-{user}"), Cloud::Helios, still())
            .await;
    }
    world.advance(minutes(2)).await;
    world = world.restart(minutes(1), |_| {}).await;
    world.advance(minutes(2)).await;
    world.receiver.answer_with(200);
    world = world.restart(minutes(10), |_| {}).await;
    world.settle().await;
    assert_complete(&world, &world.receiver).await;
    let sizes: Vec<usize> = world
        .receiver
        .deliveries()
        .iter()
        .map(|delivery| delivery.events.len())
        .collect();
    assert!(
        sizes.iter().sum::<usize>() > 200 && sizes[..2] == [100, 100],
        "{sizes:?}"
    );
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receivers_wish_to_be_left_alone_is_honoured() {
    let world = World::with(one_lane).await;
    world.subscribe().await;
    world.receiver.answer_with(503);
    world.receiver.retry_after(3600);
    vehicle(&world, "ann").await;
    world.advance(minutes(5 * 60)).await;
    let sent_at = |attempt: &Delivery| -> i64 {
        attempt.headers["webhook-timestamp"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap()
    };
    let times: Vec<i64> = of_log(&world.receiver).iter().map(sent_at).collect();
    let gaps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps.len(), 5, "{gaps:?}");
    // Never early; late by a step of this world at most.
    assert!(
        gaps.iter().all(|gap| (3600..=3610).contains(gap)),
        "{gaps:?}"
    );
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_day_of_failure_it_is_off_until_a_test_or_a_change() {
    let world = World::new().await;
    let other = Receiver::start(loopback().await);
    let receivers = [&world.receiver, &other];
    let mut webhooks = Vec::new();
    for receiver in receivers {
        webhooks.push(subscribe(&world, receiver, json!({})).await);
        receiver.answer_with(500);
    }
    let vehicle = vehicle(&world, "ann").await;
    world.advance(minutes(23 * 60)).await;
    assert!(is_active(&world, &webhooks[0]).await);
    world.advance(minutes(62)).await;
    for (webhook, receiver) in webhooks.iter().zip(receivers) {
        assert!(!is_active(&world, webhook).await);
        receiver.clear();
    }
    replug(&world, &vehicle).await;
    world.advance(minutes(60)).await;
    assert!(
        receivers
            .iter()
            .all(|receiver| receiver.attempts().is_empty())
    );

    // A test that fails changes nothing.
    let test = format!("{}/test", webhooks[0]);
    let shown = world.api.post(&test, None).await.expect_status(200);
    assert_eq!(shown["status"], "FAILURE");
    assert_eq!(shown["response"]["code"], 500);
    assert!(!is_active(&world, &webhooks[0]).await);
    receivers
        .iter()
        .for_each(|receiver| receiver.answer_with(204));
    let shown = world.api.post(&test, None).await.expect_status(200);
    assert_eq!(shown["status"], "SUCCESS");
    let changed = world
        .api
        .patch(&webhooks[1], json!({}))
        .await
        .expect_status(200);
    assert_eq!(changed["isActive"], true);
    world.advance(STEP).await;
    for (webhook, receiver) in webhooks.iter().zip(receivers) {
        assert!(is_active(&world, webhook).await);
        assert_complete(&world, receiver).await;
    }
    let webhook = world.api.get(&webhooks[0]).await.expect_status(200);
    assert_ne!(webhook["lastSuccess"], webhook["createdAt"]);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_during_the_last_attempt_is_not_lost() {
    let world = World::with(one_lane).await;
    let webhook = subscribe(&world, &world.receiver, json!({})).await;
    world.receiver.answer_with(500);
    vehicle(&world, "ann").await;
    while world
        .now()
        .duration_since(crate::support::START.parse().unwrap())
        < minutes(23 * 60 + 59)
    {
        world.step().await;
    }
    // The attempt at the end of the window hangs while the customer mends the webhook.
    world.receiver.clear();
    world.receiver.hold();
    world.clock.advance(minutes(2));
    let engine = world.engine().clone();
    let delivery = tokio::spawn(async move { engine.deliver_due().await });
    eventually("the last attempt", async || {
        !of_log(&world.receiver).is_empty()
    })
    .await;
    world
        .api
        .patch(&webhook, json!({}))
        .await
        .expect_status(200);
    world.receiver.release();
    delivery.await.unwrap();
    assert!(is_active(&world, &webhook).await);
    world.receiver.answer_with(200);
    world.advance(minutes(1)).await;
    assert_complete(&world, &world.receiver).await;
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_come_to_everybody_and_tell_what_waits() {
    let world = World::new().await;
    subscribe(
        &world,
        &world.receiver,
        json!({ "events": ["user:charger:deleted"] }),
    )
    .await;
    let failing = Receiver::start(loopback().await);
    subscribe(&world, &failing, json!({})).await;
    failing.answer_with(500);
    vehicle(&world, "ann").await;
    world.advance(minutes(31)).await;
    let waiting = |receiver: &Receiver| -> Vec<i64> {
        let beats = receiver
            .attempts()
            .into_iter()
            .filter(|attempt| !attempt.is_of_log());
        beats
            .inspect(|beat| assert_eq!(beat.events[0]["event"], "system:heartbeat"))
            .map(|beat| beat.events[0]["pendingEvents"].as_i64().unwrap())
            .collect()
    };
    assert_eq!(waiting(&world.receiver), [0, 0, 0]);
    assert!(world.receiver.events().is_empty());
    let of_failing = waiting(&failing);
    assert!(
        of_failing.len() == 3 && of_failing.iter().all(|count| *count >= 4),
        "{of_failing:?}"
    );
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_to_a_client_that_was_deleted() {
    let world = World::new().await;
    world.subscribe().await;
    let vehicle = vehicle(&world, "ann").await;
    world.receiver.clear();
    assert!(world.engine().delete_client(world.client).await.unwrap());
    world.plug(&vehicle, false).await;
    world.advance(minutes(25)).await;
    assert!(
        world.receiver.attempts().is_empty(),
        "{:?}",
        world.receiver.attempts()
    );
    assert_eq!(
        world.engine().next_poll_at(),
        None,
        "its accounts are still fetched"
    );
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_delays_only_itself() {
    let world = World::new().await;
    world.subscribe().await;
    let hanging = Receiver::start(loopback().await);
    let webhook = subscribe(&world, &hanging, json!({})).await;
    hanging.hold();
    world.link("ann", Cloud::Volta, still()).await;
    let engine = world.engine().clone();
    let delivery = tokio::spawn(async move { engine.deliver_due().await });
    let logged = world.api.log().await.len();
    eventually("the other receiver has it all", async || {
        world.receiver.events().len() == logged && !hanging.attempts().is_empty()
    })
    .await;
    assert!(!delivery.is_finished());
    hanging.release();
    delivery.await.unwrap();
    assert_complete(&world, &hanging).await;
    // Too late is a failure, and the same is sent again.
    let world = world
        .restart(minutes(1), |settings| settings.webhooks.timeout_secs = 1)
        .await;
    hanging.clear();
    hanging.hold();
    let shown = world
        .api
        .post(&format!("{webhook}/test"), None)
        .await
        .expect_status(200);
    assert_eq!(
        (&shown["status"], &shown["response"]),
        (&json!("FAILURE"), &Value::Null)
    );
    assert!(
        shown["description"].as_str().unwrap().contains("in time"),
        "{shown}"
    );
    hanging.release();
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_lets_through_what_it_names() {
    let world = World::new().await;
    let only_deleted = json!({ "events": ["user:vehicle:deleted"] });
    let webhook = subscribe(&world, &world.receiver, only_deleted).await;
    vehicle(&world, "ann").await;
    world
        .api
        .delete("/users/ann/vendors/TESLA")
        .await
        .expect_status(204);
    world.advance(STEP).await;
    assert_eq!(world.receiver.names(), ["user:vehicle:deleted"]);
    // A new filter counts for what comes next.
    world.receiver.clear();
    let change = json!({ "events": ["user:charger:discovered", "user:vehicle:updated"] });
    world.api.patch(&webhook, change).await.expect_status(200);
    vehicle(&world, "bob").await;
    let mut names = world.receiver.names();
    names.sort();
    names.dedup();
    assert_eq!(names, ["user:charger:discovered", "user:vehicle:updated"]);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn absent_null_and_a_value_are_three_things_in_a_change() {
    let world = World::new().await;
    let header = json!({ "headerName": "x-key", "headerValue": "v" });
    let more = json!({ "authentication": header, "apiVersion": "2024-10-01" });
    let webhook = subscribe(&world, &world.receiver, more).await;
    let before = world.api.get(&webhook).await.expect_status(200);
    let change = async |body: Value| world.api.patch(&webhook, body).await.expect_status(200);
    assert_eq!(change(json!({})).await, before);
    let unpinned = change(json!({ "apiVersion": null })).await;
    assert_eq!(unpinned["apiVersion"], Value::Null);
    assert_eq!(unpinned["authentication"], json!({ "headerName": "x-key" }));
    assert_eq!(
        change(json!({ "authentication": null })).await["authentication"],
        Value::Null
    );
    for key in ["url", "secret", "events"] {
        let answer = world.api.patch(&webhook, json!({ key: null })).await;
        assert_eq!(answer.expect_issues(), [key]);
    }
    let other = Receiver::start(loopback().await);
    other.expect_secret("another-secret");
    change(json!({ "url": other.url, "secret": "another-secret" })).await;
    vehicle(&world, "ann").await;
    assert_complete(&world, &other).await;
    assert!(world.receiver.attempts().is_empty());
    assert!(
        other
            .attempts()
            .iter()
            .all(|attempt| attempt.headers.get("x-key").is_none())
    );
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_made_while_a_test_is_under_way_stays() {
    let world = World::with(one_lane).await;
    let webhook = subscribe(&world, &world.receiver, json!({})).await;
    world.receiver.answer_with(500);
    vehicle(&world, "ann").await;
    world.advance(minutes(25 * 60)).await;
    assert!(!is_active(&world, &webhook).await);
    world.receiver.answer_with(200);
    world.receiver.hold();
    let api = world.api.clone();
    let path = format!("{webhook}/test");
    let test = tokio::spawn(async move { api.post(&path, None).await.expect_status(200) });
    let is_test = |attempt: &Delivery| attempt.events[0]["event"] == "enode:webhook:test";
    eventually("the test", async || {
        world.receiver.attempts().iter().any(is_test)
    })
    .await;
    let filter = json!(["user:charger:updated"]);
    world
        .api
        .patch(&webhook, json!({ "events": filter }))
        .await
        .expect_status(200);
    world.receiver.release();
    assert_eq!(test.await.unwrap()["status"], "SUCCESS");
    let webhook = world.api.get(&webhook).await.expect_status(200);
    assert_eq!(webhook["events"], filter);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_input_names_its_field() {
    let world = World::new().await;
    let webhook = subscribe(&world, &world.receiver, json!({})).await;
    let header = |name: &str, value: &str| json!({ "headerName": name, "headerValue": value });
    let long = "x".repeat(300);
    for (key, value, path) in [
        ("url", json!("nowhere"), "url"),
        ("url", json!("ftp://example.com/hook"), "url"),
        ("url", json!(format!("https://example.com/{long}")), "url"),
        ("url", json!("https://user:pass@example.com/"), "url"),
        ("url", json!(7), "url"),
        ("secret", json!("short"), "secret"),
        ("secret", json!(long), "secret"),
        (
            "events",
            json!(["user:vehicle:updated", "user:vehicle:sold"]),
            "events.1",
        ),
        ("events", json!("*"), "events"),
        ("apiVersion", json!("2023-08-01"), "apiVersion"),
        (
            "authentication",
            header("X-Key", "v"),
            "authentication.headerName",
        ),
        (
            "authentication",
            header("x key", "v"),
            "authentication.headerName",
        ),
        (
            "authentication",
            header("host", "v"),
            "authentication.headerName",
        ),
        (
            "authentication",
            header("x-key", ""),
            "authentication.headerValue",
        ),
        (
            "authentication",
            header("x-key", "a\r\nb: c"),
            "authentication.headerValue",
        ),
        (
            "authentication",
            json!({ "headerName": "x-key" }),
            "authentication.headerValue",
        ),
        ("isActive", json!(true), "isActive"),
    ] {
        let mut body = json!({ "url": "https://hooks.example.com/new", "secret": SECRET });
        body[key] = value.clone();
        let answer = world.api.post("/webhooks", Some(body)).await;
        assert_eq!(answer.expect_issues(), [path], "{key}: {value}");
        let answer = world.api.patch(&webhook, json!({ key: value })).await;
        assert_eq!(answer.expect_issues(), [path], "{key}: {value}");
    }
    let answer = world.api.post("/webhooks", Some(json!({}))).await;
    assert_eq!(answer.expect_issues(), ["url", "secret"]);
    // The same address twice, made or changed.
    let same = json!({ "url": world.receiver.url, "secret": SECRET });
    let answer = world.api.post("/webhooks", Some(same)).await;
    assert_eq!(answer.body["title"], "Webhook input is not valid.");
    assert_eq!(answer.expect_issues(), ["url"]);
    let other = Receiver::start(loopback().await);
    let other = subscribe(&world, &other, json!({})).await;
    let answer = world
        .api
        .patch(&other, json!({ "url": world.receiver.url }))
        .await;
    assert_eq!(answer.expect_issues(), ["url"]);
    // Another client may use it.
    let body = json!({ "url": world.receiver.url, "secret": SECRET });
    world
        .other_client(None)
        .await
        .post("/webhooks", Some(body))
        .await
        .expect_status(200);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_without_an_answer_shows_none() {
    let world = World::new().await;
    let nobody = loopback().await.local_addr().unwrap();
    let body = json!({ "url": format!("http://{nobody}/hook"), "secret": SECRET });
    let made = world
        .api
        .post("/webhooks", Some(body))
        .await
        .expect_status(200);
    let path = format!("/webhooks/{}/test", made["id"].as_str().unwrap());
    let shown = world.api.post(&path, None).await.expect_status(200);
    assert_eq!(
        (&shown["status"], &shown["response"]),
        (&json!("FAILURE"), &Value::Null)
    );
    assert!(
        shown["description"]
            .as_str()
            .unwrap()
            .contains("no connection"),
        "{shown}"
    );
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_inside_are_refused_unless_permitted() {
    let world = World::new().await;
    let webhook = subscribe(&world, &world.receiver, json!({})).await;
    // Permitted before, and no longer.
    let forbid = |settings: &mut livewatt::config::Settings| {
        settings.webhooks.dangerous_allow_private_receivers = false;
    };
    let world = world.restart(minutes(1), forbid).await;
    let shown = world
        .api
        .post(&format!("{webhook}/test"), None)
        .await
        .expect_status(200);
    assert_eq!(
        (&shown["status"], &shown["response"]),
        (&json!("FAILURE"), &Value::Null)
    );
    assert!(world.receiver.attempts().is_empty());
    for url in [
        "http://hooks.example.com/",
        "https://127.0.0.1/hook",
        "https://localhost/hook",
        "https://10.0.0.8/hook",
        "https://[::1]/hook",
        "https://169.254.169.254/latest",
        "https://2130706433/",
    ] {
        let answer = world
            .api
            .post("/webhooks", Some(json!({ "url": url, "secret": SECRET })))
            .await;
        assert_eq!(answer.expect_issues(), ["url"], "{url}");
        let answer = world.api.patch(&webhook, json!({ "url": url })).await;
        assert_eq!(answer.expect_issues(), ["url"], "{url}");
    }
    world.shut_down().await;
}
