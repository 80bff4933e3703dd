//! The API document as a promise: requests made up from it by schemathesis.

use std::collections::BTreeMap;

use livewatt_api::operations;
use livewatt_domain::intervention::CONSENT;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    promised::stage::{begin_plan, body_of, furnish},
    support::{World, python::Program, still},
};
use livewatt_sandbox::Cloud;

/// What there is in a world, by variables of paths.
async fn known(world: &World) -> BTreeMap<String, Vec<String>> {
    let ids = async |plural: &str| -> Vec<String> {
        let all = world.api.all(plural).await;
        assert!(!all.is_empty(), "no {plural}");
        let id = |row: &Value| row["id"].as_str().unwrap().to_owned();
        all.iter().map(id).collect()
    };
    let mut known = BTreeMap::new();
    for (variable, plural) in [
        ("userId", "users"),
        ("webhookId", "webhooks"),
        ("vehicleId", "vehicles"),
        ("chargerId", "chargers"),
        ("hvacId", "hvacs"),
        ("inverterId", "inverters"),
        ("batteryId", "batteries"),
        ("meterId", "meters"),
        ("locationId", "locations"),
        ("hemSystemId", "hem-systems"),
    ] {
        known.insert(variable.to_owned(), ids(plural).await);
    }
    // Deauthorized: only what is not linked can be linked again.
    let cut_off = world.api.get("/users/cut-off/vehicles").await;
    let cut_off = cut_off.expect_status(200)["data"][0]["id"].clone();
    for (variable, value) in [
        ("assetId", cut_off.as_str().unwrap()),
        ("vendor", "TESLA"),
        ("vendorType", "vehicle"),
        ("integration", "volta"),
        ("stationId", "station-1"),
        ("tariffId", "home"),
        ("area", "NO1"),
        ("interventionId", &CONSENT.to_string()),
        ("smartChargingPlanId", "latest"),
    ] {
        known.insert(variable.to_owned(), vec![value.to_owned()]);
    }
    let schedules = world
        .api
        .get("/users/ann/schedules")
        .await
        .expect_status(200);
    let schedule = schedules["data"][0]["id"].as_str().unwrap().to_owned();
    known.insert("scheduleId".to_owned(), vec![schedule]);
    known.insert("scheduleOwner".to_owned(), vec!["ann".to_owned()]);
    let vehicles = world
        .api
        .get("/users/ann/vehicles")
        .await
        .expect_status(200);
    let vehicle = vehicles["data"][0]["id"].as_str().unwrap().to_owned();
    known.insert("scheduleTarget".to_owned(), vec![vehicle]);
    // By kind, as they are asked for: see the program.
    known.insert("actionId".to_owned(), Vec::new());
    for operation in operations() {
        for segment in operation.path.split('/') {
            let variable = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}'));
            assert!(
                variable.is_none_or(|name| known.contains_key(name)),
                "{}: say here what {segment} can be",
                operation.path
            );
        }
    }
    known
}

/// With `LIVEWATT_LONG=1`, a hundred thousand requests.
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_one_that_the_document_promises() {
    let world = World::new().await;
    for (user, cloud) in [
        ("ann", Cloud::Volta),
        ("bob", Cloud::Rivoli),
        ("ann", Cloud::Helios),
        ("cut-off", Cloud::Rivoli),
    ] {
        world.link(user, cloud, still()).await;
    }
    world
        .advance(livewatt_domain::SignedDuration::from_mins(1))
        .await;
    // What stands at home unplugged can neither be started nor stopped.
    for account in world.sandbox.accounts(None) {
        for device in account.devices {
            if matches!(device.kind.as_str(), "vehicle" | "charger") {
                world.plug(&device.id, true).await;
            }
        }
    }
    world
        .advance(livewatt_domain::SignedDuration::from_mins(8))
        .await;
    let gone = world.api.delete("/users/cut-off/authorization").await;
    gone.expect_status(204);
    let place = json!({
        "name": "Home", "latitude": 59.9, "longitude": 10.7, "timezoneName": "Europe/Oslo",
    });
    world
        .api
        .post("/users/ann/locations", Some(place))
        .await
        .expect_status(200);
    let vehicles = world.api.get("/users/ann/vehicles").await;
    let vehicles = vehicles.expect_status(200);
    let vehicle = vehicles["data"][0]["id"].as_str().unwrap();
    furnish(&world, vehicle).await;
    begin_plan(&world, vehicle).await;
    // The document's example hangs a rate of this name.
    let mut rates = body_of("Tariff");
    let all = json!({ "name": "all", "cost": "0.2" });
    rates.as_array_mut().unwrap().push(all);
    world
        .api
        .call(Method::PUT, "/tariffs/home", Some(rates))
        .await
        .expect_status(204);
    let chargers = world
        .api
        .get("/users/ann/chargers")
        .await
        .expect_status(200);
    let schedule = json!({
        "targetType": "charger", "targetId": chargers["data"][0]["id"], "locationId": null,
        "isEnabled": false, "defaultShouldCharge": true, "rules": [],
    });
    world
        .api
        .post("/users/ann/schedules", Some(schedule))
        .await
        .expect_status(200);
    let body = json!({ "url": world.receiver.any_url(), "secret": "a secret of the test" });
    world
        .api
        .post("/webhooks", Some(body))
        .await
        .expect_status(200);
    let known = json!(known(&world).await).to_string();
    let client = world.client.to_string();
    let receiver = world.receiver.any_url();
    let is_long = std::env::var_os("LIVEWATT_LONG").is_some_and(|value| value == "1");
    let (examples, cases) = if is_long {
        ("60", "100000")
    } else {
        ("4", "0")
    };
    let program = Program::start(
        "schema_cases.py",
        &[
            "--api",
            &world.api.base,
            "--client-id",
            &client,
            "--client-secret",
            &world.secret,
            "--receiver",
            &receiver,
            "--known",
            &known,
            "--examples",
            examples,
            "--cases",
            cases,
        ],
    );
    let said = program.finish().await;
    println!("{}", said.last().unwrap());
    // All but those that need a vendor's signature or a socket have served somebody.
    let served = said
        .iter()
        .find(|line| line.starts_with("served: "))
        .unwrap();
    for operation in operations() {
        let is_way_in = operation.tag == "Ways in for vendors and devices";
        // The driver has its own token and document from there; the rest is no JSON of the API.
        if operation.auth != livewatt_api::Auth::Bearer {
            continue;
        }
        let name = format!("'{}'", operation.id);
        assert!(
            is_way_in || served.contains(&name),
            "{name} never succeeded: {served}"
        );
    }
    world.shut_down().await;
}
