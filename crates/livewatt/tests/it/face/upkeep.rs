//! What a restart leaves as it was, and what is never shown.

use std::collections::{BTreeMap, BTreeSet};

use livewatt_api::{Content, operations};
use livewatt_domain::{SignedDuration, Timestamp};
use livewatt_sandbox::{AccountSpec, Cloud};
use reqwest::Method;
use serde_json::{Value, json};

use super::{answer, link_body, minutes, paths, picture, prices, raw};
use crate::support::{World, still};

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_changes_nothing_and_starts_no_stampede() {
    let mut world = World::new().await;
    world.subscribe().await;
    for user in 0..20 {
        world
            .link(&format!("user-{user}"), Cloud::Rivoli, still())
            .await;
    }
    world.advance(minutes(10)).await;
    let due = async |world: &World| {
        let mut due = BTreeMap::new();
        for vehicle in world.api.all("vehicles").await {
            let path = format!("/vehicles/{}/freshness", vehicle["id"].as_str().unwrap());
            let why = world.api.get(&path).await.expect_status(200);
            let at: Timestamp = why["nextDueAt"].as_str().unwrap().parse().unwrap();
            due.insert(vehicle["id"].to_string(), at);
        }
        due
    };
    let (before, due_before, log) = (
        picture(&world.api).await,
        due(&world).await,
        world.api.log().await,
    );
    world = world.restart(SignedDuration::ZERO, |_| {}).await;
    assert_eq!(picture(&world.api).await, before);
    for (id, at) in due(&world).await {
        // The same but for the jitter, a tenth of seven minutes, which is not written down.
        let moved = at.duration_since(due_before[&id]).abs();
        assert!(moved <= SignedDuration::from_secs(42), "{id}: {moved:?}");
    }
    assert_eq!(world.api.log().await, log);

    // After an hour, everything is due; it is fetched within a minute, and not at once.
    world.receiver.answer_with(500);
    world = world.restart(minutes(60), |_| {}).await;
    let calls = |world: &World| {
        world.sandbox.truth(None, None).unwrap()["stats"]["calls_total"]
            .as_i64()
            .unwrap()
    };
    let start = calls(&world);
    let mut rounds = Vec::new();
    for _ in 0..7 {
        world.step().await;
        rounds.push(calls(&world) - start - rounds.iter().sum::<i64>());
    }
    assert!(
        rounds.iter().sum::<i64>() >= 20 && rounds.iter().all(|count| *count < 20),
        "{rounds:?}"
    );
    world.receiver.answer_with(200);
    world = world.restart(minutes(30), |_| {}).await;
    world.advance(minutes(5)).await;
    // Each event was taken once, and only ever sent under one ID.
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    for attempt in world
        .receiver
        .attempts()
        .into_iter()
        .filter(|attempt| attempt.is_of_log())
    {
        for event in attempt.events {
            let first = ids
                .entry(event.to_string())
                .or_insert_with(|| attempt.id.clone());
            assert_eq!(*first, attempt.id, "{event}");
        }
    }
    let told: BTreeSet<String> = world
        .receiver
        .events()
        .iter()
        .map(Value::to_string)
        .collect();
    assert_eq!(told.len(), world.receiver.events().len());
    assert_eq!(
        told,
        world.api.log().await.iter().map(Value::to_string).collect()
    );
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_neither_sent_nor_stored_in_the_open() {
    let world = World::new().await;
    let header = json!({ "headerName": "x-key", "headerValue": "canary-header" });
    let body = json!({
        "url": world.receiver.url, "secret": "canary-secret", "authentication": header,
    });
    world.receiver.expect_secret("canary-secret");
    let webhook = world
        .api
        .post("/webhooks", Some(body))
        .await
        .expect_status(200);
    let started = world
        .api
        .post("/users/ann/link", Some(link_body()))
        .await
        .expect_status(200);
    for cloud in [Cloud::Volta, Cloud::Rivoli, Cloud::Helios] {
        let spec = AccountSpec {
            password: Some("canary-password".to_owned()),
            ..still()
        };
        world.link("ann", cloud, spec).await;
    }
    prices(&world).await;
    world.advance(minutes(20)).await;
    let canaries = [
        "canary-",
        &world.secret,
        &world.api.token,
        started["linkToken"].as_str().unwrap(),
    ];

    let mut said = vec![webhook.to_string()];
    for operation in operations()
        .into_iter()
        .filter(|row| row.method == Method::GET)
    {
        if operation
            .answers
            .iter()
            .any(|answer| answer.content == Content::Events)
        {
            continue;
        }
        let webhook = webhook["id"].as_str().unwrap();
        for path in paths(&world, &operation, webhook).await {
            let request = raw(&world, &Method::GET, &path).bearer_auth(&world.api.token);
            said.push(answer(request).await.1.to_string());
        }
    }
    let test = format!("/webhooks/{}/test", webhook["id"].as_str().unwrap());
    said.push(
        world
            .api
            .post(&test, None)
            .await
            .expect_status(200)
            .to_string(),
    );
    said.push(
        reqwest::get(started["linkUrl"].as_str().unwrap())
            .await
            .unwrap()
            .text()
            .await
            .unwrap(),
    );
    said.push(json!(world.api.log().await).to_string());
    said.extend(
        world
            .receiver
            .attempts()
            .into_iter()
            .map(|attempt| attempt.body),
    );
    for text in &said {
        // The link page's own address, with its token, is on it.
        let found = canaries[..3].iter().find(|canary| text.contains(**canary));
        assert_eq!(found, None, "{text}");
    }
    let directory = world.directory.path().join("data");
    let files = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for file in files.filter(|file| file.is_file()) {
        let bytes = std::fs::read(&file).unwrap();
        for canary in canaries {
            let is_found = bytes
                .windows(canary.len())
                .any(|piece| piece == canary.as_bytes());
            assert!(!is_found, "{canary} is in {}", file.display());
        }
    }
    world.shut_down().await;
}
