//! Webhooks: what is sent, how often, and what becomes of a receiver that fails.

mod delivery;
mod outages;
mod settings;

use std::collections::BTreeMap;

use livewatt_domain::SignedDuration;
use livewatt_sandbox::Cloud;
use serde_json::{Value, json};

use crate::{
    durability::records::by_device,
    support::{
        STEP, World,
        receiver::{Delivery, Receiver, SECRET},
        still,
    },
};

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

fn one_lane(settings: &mut livewatt::config::Settings) {
    settings.webhooks.lanes = 1;
}

/// A linked vehicle whose plug makes events, and its ID in the sandbox.
pub async fn vehicle(world: &World, user: &str) -> String {
    let account = world.link(user, Cloud::Volta, still()).await;
    world.advance(minutes(1)).await;
    account.devices[0].id.clone()
}

/// Makes an event about a vehicle.
pub async fn replug(world: &World, vehicle: &str) {
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

/// The receiver took the whole log, nothing twice and each device's events in order; and whatever
/// came under one delivery ID was the same.
pub async fn assert_complete(world: &World, receiver: &Receiver) {
    let (told, logged) = (
        by_device(&receiver.events()),
        by_device(&world.api.log_for_all().await),
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

pub fn of_log(receiver: &Receiver) -> Vec<Delivery> {
    let mut attempts = receiver.attempts();
    attempts.retain(Delivery::is_of_log);
    attempts
}
