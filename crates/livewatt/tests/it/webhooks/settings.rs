//! Making, changing and testing webhooks.

use serde_json::{Value, json};

use super::{assert_complete, is_active, minutes, one_lane, subscribe, vehicle};
use crate::support::{
    World, eventually, loopback,
    receiver::{Delivery, Receiver, SECRET},
};

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
