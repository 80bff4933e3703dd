//! The HTTP face: who may see what, what a refusal looks like, and what a restart leaves as it was.

mod access;
mod limits;
mod requests;
mod tenancy;
mod upkeep;
mod users;

use std::collections::BTreeMap;

use livewatt_api::Operation;
use livewatt_domain::{SignedDuration, intervention::CONSENT, kind::DeviceKind};
use livewatt_sandbox::{AccountInfo, Cloud};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{World, contract::check_schema, http::Api, still};

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

/// Two users with devices of all kinds that the clouds have; and a Location where nobody is, a
/// tariff and a market's prices.
async fn neighbours(world: &World) -> Vec<AccountInfo> {
    let mut accounts = Vec::new();
    for (user, cloud) in [
        ("ann", Cloud::Volta),
        ("ann", Cloud::Helios),
        ("bob", Cloud::Rivoli),
    ] {
        accounts.push(world.link(user, cloud, still()).await);
    }
    world.advance(minutes(1)).await;
    prices(world).await;
    accounts
}

/// A Location of ann, a tariff and the prices of a market.
async fn prices(world: &World) {
    let api = &world.api;
    let place = json!({
        "name": "Far away", "latitude": -54.4, "longitude": 3.4, "timezoneName": "Europe/Oslo",
    });
    api.post("/users/ann/locations", Some(place))
        .await
        .expect_status(200);
    let rates = json!([{ "name": "all", "cost": "0.2" }]);
    api.call(Method::PUT, "/tariffs/home", Some(rates))
        .await
        .expect_status(204);
    let prices = "from,to,price,currency\n2026-03-02T00:00:00Z,2026-03-02T01:00:00Z,0.5,NOK\n";
    api.put_text("/market-prices/NO1", "text/csv", prices)
        .await
        .expect_status(204);
}

/// The ID of an action of one of the neighbours' vehicles.
async fn action(world: &World) -> String {
    let vehicle = world.api.all("vehicles").await.remove(0);
    let path = format!("/vehicles/{}/max-current", vehicle["id"].as_str().unwrap());
    let made = world.api.post(&path, Some(json!({ "maxCurrent": 8 })));
    let made = made.await.expect_status(200);
    made["id"].as_str().unwrap().to_owned()
}

/// The ID of a disabled schedule of ann's, made if there is none yet.
async fn schedule(world: &World) -> String {
    let schedules = "/users/ann/schedules";
    let listed = world.api.get(schedules).await.expect_status(200);
    if let Some(id) = listed["data"][0]["id"].as_str() {
        return id.to_owned();
    }
    let vehicles = world
        .api
        .get("/users/ann/vehicles")
        .await
        .expect_status(200);
    let body = json!({
        "targetType": "vehicle", "targetId": vehicles["data"][0]["id"], "locationId": null,
        "isEnabled": false, "defaultShouldCharge": true, "rules": [],
    });
    let made = world
        .api
        .post(schedules, Some(body))
        .await
        .expect_status(200);
    world.settle().await;
    made["id"].as_str().unwrap().to_owned()
}

/// What a customer sees of everything.
async fn picture(api: &Api) -> BTreeMap<String, Value> {
    let mut picture = BTreeMap::new();
    let lists = DeviceKind::ALL.map(DeviceKind::plural);
    for list in lists
        .into_iter()
        .chain(["users", "webhooks", "locations", "hem-systems"])
    {
        picture.insert(list.to_owned(), json!(api.all(list).await));
    }
    picture
}

fn raw(world: &World, method: &Method, path: &str) -> RequestBuilder {
    reqwest::Client::new().request(method.clone(), format!("{}{path}", world.api.base))
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

/// A refusal has the contract's form, and no other keys.
#[track_caller]
fn assert_problem(body: &Value, slug: &str) {
    check_schema("Problem", body);
    let kind = body["type"].as_str().unwrap();
    assert_eq!(
        kind,
        format!("https://developers.enode.com/api/problems/{slug}")
    );
    let known = ["type", "title", "detail", "issues"];
    assert!(
        body.as_object()
            .unwrap()
            .keys()
            .all(|key| known.contains(&key.as_str())),
        "{body}"
    );
}

fn link_body() -> Value {
    json!({
        "scopes": ["vehicle:read:data", "charger:read:data"],
        "language": "en-US",
        "redirectUri": "https://app.example/done",
    })
}

/// The paths of an operation, its variables filled in with what there is in `world`.
async fn paths(world: &World, operation: &Operation, webhook: &str) -> Vec<String> {
    let mut ids = BTreeMap::from([
        ("userId", "ann".to_owned()),
        ("vendor", "TESLA".to_owned()),
        ("vendorType", "vehicle".to_owned()),
        ("webhookId", webhook.to_owned()),
        ("integration", "volta".to_owned()),
        ("stationId", "station-1".to_owned()),
        ("tariffId", "home".to_owned()),
        ("area", "NO1".to_owned()),
        ("actionId", action(world).await),
        ("interventionId", CONSENT.to_string()),
        ("scheduleId", schedule(world).await),
        ("smartChargingPlanId", "latest".to_owned()),
    ]);
    for (variable, kind) in [
        ("vehicleId", "vehicles"),
        ("chargerId", "chargers"),
        ("hvacId", "hvacs"),
        ("inverterId", "inverters"),
        ("batteryId", "batteries"),
        ("meterId", "meters"),
        ("assetId", "meters"),
        ("locationId", "locations"),
        ("hemSystemId", "hem-systems"),
    ] {
        let row = world.api.all(kind).await.remove(0);
        ids.insert(variable, row["id"].as_str().unwrap().to_owned());
    }
    let mut path = operation.path.clone();
    for (variable, id) in &ids {
        path = path.replace(&format!("{{{variable}}}"), id);
    }
    assert!(
        !path.contains('{'),
        "{path}: say here what its variables stand for"
    );
    vec![path.clone(), format!("{path}?pageSize=1")]
}
