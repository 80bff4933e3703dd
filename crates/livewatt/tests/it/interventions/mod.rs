//! Interventions: what stands in the way of devices comes and goes by observation, and customers can
//! tell their users what to do about it.

mod catalogue;
mod obstacles;
mod relink;

use livewatt::demo::link::{SandboxAccount, walk};
use livewatt_domain::SignedDuration;
use livewatt_sandbox::{AccountInfo, Cloud};
use serde_json::{Value, json};

use crate::support::{World, integration, vendor};

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

/// The only device of a kind, as it is now.
async fn only(world: &World, plural: &str) -> Value {
    let all = world.api.all(plural).await;
    assert_eq!(all.len(), 1, "{plural}");
    all[0].clone()
}

fn id(device: &Value) -> &str {
    device["id"].as_str().unwrap()
}

/// The only thing that stands in the way of a capability.
#[track_caller]
fn obstacle(device: &Value, capability: &str) -> String {
    let told = &device["capabilities"][capability];
    assert_eq!(told["isCapable"], false, "{told}");
    let ids = told["interventionIds"].as_array().unwrap();
    assert_eq!(ids.len(), 1, "{told}");
    ids[0].as_str().unwrap().to_owned()
}

#[track_caller]
fn assert_free(device: &Value, capability: &str) {
    let there = json!({ "isCapable": true, "interventionIds": [] });
    assert_eq!(device["capabilities"][capability], there, "{capability}");
}

async fn intervention(world: &World, id: &str) -> Value {
    let path = format!("/interventions/{id}");
    world.api.get(&path).await.expect_status(200)
}

/// Asks for a session that links a device's account again.
async fn relink(world: &World, device: &Value) -> crate::support::http::Answer {
    let body = json!({ "language": "de-DE", "redirectUri": "app://done" });
    let path = format!("/assets/{}/relink", id(device));
    world.api.post(&path, Some(body)).await
}

/// Walks a session to its end, as the owner of an account of the sandbox.
async fn sign_in(world: &World, started: &Value, account: &AccountInfo) {
    let known = SandboxAccount {
        integration: integration(account.cloud),
        vendor: vendor(account.cloud),
        username: account.username.clone(),
        password: account.password.clone(),
    };
    let token = started["linkToken"].as_str().unwrap();
    walk(world.engine(), token, &known).await.unwrap();
}

/// The newest event about a device.
async fn newest_event(world: &World, kind: &str) -> Value {
    let log = world.api.log().await;
    let mut of_kind = log.into_iter().rev();
    let newest = of_kind.find(|event| event.get(kind).is_some());
    newest.unwrap()
}

fn device_of(account: &AccountInfo, kind: &str) -> String {
    let mut devices = account.devices.iter();
    devices
        .find(|device| device.kind == kind)
        .unwrap()
        .id
        .clone()
}

/// A world with one account of a cloud.
async fn home(cloud: Cloud) -> (World, AccountInfo) {
    let world = World::new().await;
    let account = world.link("ann", cloud, crate::support::still()).await;
    world.advance(minutes(1)).await;
    (world, account)
}
