//! What is sent, and to whom.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use livewatt_sandbox::Cloud;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{assert_complete, minutes, subscribe, vehicle};
use crate::support::{
    STEP, World, eventually, loopback,
    receiver::{Receiver, SECRET},
    still,
};

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
    let logged = world.api.log_for_all().await.len();
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
