//! Every event comes to a webhook, in the contract's form.

use std::collections::BTreeSet;

use livewatt_domain::SignedDuration;
use livewatt_sandbox::Cloud;
use reqwest::Method;
use serde_json::{Value, json};

use super::stage::Stage;
use crate::support::{World, contract, still};

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

/// Lets everything happen that events tell of.
async fn live(stage: &Stage) {
    let (world, api) = (&stage.world, &stage.world.api);
    let call = async |operation: &str| {
        let mut all = contract::operations().iter();
        let known = all.find(|known| known["operationId"] == operation);
        let call = stage.call_for(known.unwrap()).await;
        let done = api.call(call.method, &call.path, call.body).await;
        assert!(done.status.is_success(), "{}: {}", done.what, done.body);
    };
    call("postVehiclesVehicleidMaxCurrent").await;
    for operation in ["createSchedule", "updateVehicleSmartChargingPolicy"] {
        call(operation).await;
    }
    // Found before the webhook was there; these are found after it.
    for cloud in Cloud::ALL {
        world.link("cid", cloud, still()).await;
    }
    world.advance(minutes(15)).await;
    call("testWebhook").await;
    let cars = world.sandbox.accounts(Some(Cloud::Volta));
    let newest = cars.last().unwrap();
    world
        .sandbox
        .revoke_tokens(Cloud::Volta, &newest.id)
        .unwrap();
    world.advance(minutes(40)).await;
    for vendor in ["TESLA", "RENAULT", "SOLAREDGE", "NIBE", "EVBOX"] {
        let path = format!("/users/cid/vendors/{vendor}");
        api.call(Method::DELETE, &path, None)
            .await
            .expect_status(204);
    }
    world.advance(minutes(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_of_the_contract_is_told() {
    let stage = Stage::set().await;
    live(&stage).await;
    let events = contract::events();
    assert_eq!(events.len(), 28);
    let deliveries = stage.world.receiver.deliveries();
    let mut told = BTreeSet::new();
    for event in deliveries.iter().flat_map(|delivery| &delivery.events) {
        let name = event["event"].as_str().unwrap();
        let schema = events.get(name);
        contract::check_schema(schema.unwrap_or_else(|| panic!("what is {name}?")), event);
        told.insert(name);
    }
    for name in events.keys() {
        assert!(told.contains(name), "{name} was never told: {told:?}");
    }
    stage.world.shut_down().await;
}

/// Names that are not told to those who asked for others.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_gets_what_it_asked_for_alone() {
    let world = World::new().await;
    let body = json!({
        "url": world.receiver.url, "secret": crate::support::receiver::SECRET,
        "events": ["user:vehicle:discovered"], "apiVersion": "2024-10-01",
    });
    let made = world.api.post("/webhooks", Some(body)).await;
    assert_eq!(made.expect_status(200)["apiVersion"], "2024-10-01");
    world.link("ann", Cloud::Volta, still()).await;
    world.advance(minutes(12)).await;
    let deliveries = world.receiver.deliveries();
    let events = deliveries.iter().flat_map(|delivery| &delivery.events);
    let names: BTreeSet<&str> = events
        .map(|event: &Value| {
            assert_eq!(event["version"], "2024-10-01");
            event["event"].as_str().unwrap()
        })
        .collect();
    let expected = ["system:heartbeat", "user:vehicle:discovered"];
    assert_eq!(names, BTreeSet::from(expected));
    world.shut_down().await;
}
