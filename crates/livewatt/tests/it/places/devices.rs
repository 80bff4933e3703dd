//! Devices come to Locations and leave them.

use livewatt_domain::SignedDuration;
use livewatt_sandbox::{Cloud, DevicePatch};
use serde_json::{Value, json};

use super::{only, place, position, put};
use crate::support::{World, still};

/// What the log says after so many events: names, and what each says was updated beside times.
async fn told_after(world: &World, count: usize) -> Vec<(String, Vec<String>)> {
    let log = world.api.log().await;
    let texts = |value: &Value| -> Vec<String> {
        let texts = value.as_array().into_iter().flatten();
        texts
            .map(|text| text.as_str().unwrap().to_owned())
            .filter(|path| !livewatt_domain::diff::is_time_only(path))
            .collect()
    };
    log[count..]
        .iter()
        .map(|event| {
            let name = event["event"].as_str().unwrap().to_owned();
            (name, texts(&event["updatedFields"]))
        })
        .collect()
}

async fn stand_at(world: &World, vehicle: &str, place: &str) {
    let patch = DevicePatch {
        place: Some(place.to_owned()),
        ..DevicePatch::default()
    };
    world.sandbox.patch_device(vehicle, &patch).await.unwrap();
    world.advance(SignedDuration::from_mins(25)).await;
}

fn updated(kind: &str, fields: &[&str]) -> (String, Vec<String>) {
    let fields = fields.iter().map(|field| (*field).to_owned());
    (format!("user:{kind}:updated"), fields.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vehicle_comes_to_a_location_and_leaves_it() {
    let world = World::new().await;
    let webhook = world.subscribe().await;
    let account = world.link("ann", Cloud::Volta, still()).await;
    let vin = &account.devices[0].id;
    world.advance(SignedDuration::from_mins(5)).await;
    let vehicle = only(&world, "ann", "vehicles").await;
    assert_eq!(vehicle["location"]["id"], Value::Null);
    let (latitude, longitude) = position(&vehicle);

    // A place made where it stands: the vehicle follows, by an event of its own.
    let before = world.api.log().await.len();
    let home = place(&world.api, "ann", latitude + 0.0005, longitude, "UTC").await;
    world.settle().await;
    let vehicle = only(&world, "ann", "vehicles").await;
    assert_eq!(vehicle["location"]["id"], home);
    assert_eq!(
        told_after(&world, before).await,
        [updated("vehicle", &["location.id"])]
    );
    let last = world.receiver.events().pop().unwrap();
    assert_eq!(
        last["vehicle"]["location"]["id"], home,
        "the webhook has it"
    );

    // Nothing new is told, nothing happens; a name changes nothing either.
    let count = world.api.log().await.len();
    let body = json!({ "name": "Home" });
    let named = put(&world.api, &format!("/locations/{home}"), body).await;
    assert_eq!(named.expect_status(200)["name"], "Home");
    world.advance(SignedDuration::from_mins(20)).await;
    let quiet = told_after(&world, count).await;
    let moved = |(_, fields): &&(String, Vec<String>)| fields.iter().any(|f| f == "location.id");
    assert_eq!(quiet.iter().find(moved), None);

    // It drives to work: position and Location in one event.
    let count = world.api.log().await.len();
    stand_at(&world, vin, "work").await;
    let vehicle = only(&world, "ann", "vehicles").await;
    assert_eq!(vehicle["location"]["id"], Value::Null);
    let (work_latitude, work_longitude) = position(&vehicle);
    let told = told_after(&world, count).await;
    let (_, fields) = told.iter().find(moved).unwrap();
    assert!(
        fields.contains(&"location.latitude".to_owned()),
        "{fields:?}"
    );

    // The place itself moves there, and a nearer one is made, and both go again.
    let count = world.api.log().await.len();
    let body = json!({ "latitude": work_latitude + 0.0015, "longitude": work_longitude });
    put(&world.api, &format!("/locations/{home}"), body)
        .await
        .expect_status(200);
    world.settle().await;
    let at = async || only(&world, "ann", "vehicles").await["location"]["id"].clone();
    assert_eq!(at().await, home);
    let work = place(&world.api, "ann", work_latitude, work_longitude, "UTC").await;
    world.settle().await;
    assert_eq!(at().await, work, "nearer by more than 50 m");
    let gone = world.api.delete(&format!("/locations/{work}")).await;
    assert_eq!(gone.expect_status(200)["id"], work);
    world.settle().await;
    assert_eq!(at().await, home, "the next one near by");
    world
        .api
        .delete(&format!("/locations/{home}"))
        .await
        .expect_status(200);
    world.settle().await;
    assert_eq!(at().await, Value::Null);
    let four = vec![updated("vehicle", &["location.id"]); 4];
    assert_eq!(told_after(&world, count).await, four);
    world
        .api
        .get(&format!("/webhooks/{webhook}"))
        .await
        .expect_status(200);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_of_a_site_follow_and_others_are_assigned() {
    let world = World::new().await;
    world.link("ann", Cloud::Helios, still()).await;
    world.link("bob", Cloud::Helios, still()).await;
    world.advance(SignedDuration::from_mins(5)).await;
    let inverter = only(&world, "ann", "inverters").await;
    let (latitude, longitude) = position(&inverter);
    let home = place(&world.api, "ann", latitude, longitude, "Europe/Oslo").await;
    world.settle().await;
    for plural in ["inverters", "batteries", "meters"] {
        assert_eq!(
            only(&world, "ann", plural).await["location"]["id"],
            home,
            "{plural}"
        );
        let bobs = only(&world, "bob", plural).await;
        assert_eq!(
            bobs["location"]["id"],
            Value::Null,
            "{plural}: Locations are of one user"
        );
    }
    for plural in ["chargers", "hvacs"] {
        let device = only(&world, "ann", plural).await;
        assert_eq!(
            device["location"]["id"],
            Value::Null,
            "it says nothing of where it is"
        );
        let path = format!("/{plural}/{}", device["id"].as_str().unwrap());
        let count = world.api.log().await.len();
        let answer = put(&world.api, &path, json!({ "locationId": home })).await;
        let assigned = answer.expect_status(200);
        assert_eq!(assigned["location"]["id"], home);
        assert_eq!(world.api.get(&path).await.expect_status(200), assigned);
        let kind = plural.trim_end_matches('s');
        let fields = ["location.id"];
        assert_eq!(told_after(&world, count).await, [updated(kind, &fields)]);
        if kind == "charger" {
            assert!(
                assigned["location"]["lastUpdated"].is_string(),
                "{assigned}"
            );
        }
        // Saying it again says nothing new.
        let again = put(&world.api, &path, json!({ "locationId": home })).await;
        assert_eq!(again.expect_status(200)["location"]["id"], home);
        assert_eq!(told_after(&world, count).await.len(), 1);
        let cleared = put(&world.api, &path, json!({ "locationId": null })).await;
        assert_eq!(cleared.expect_status(200)["location"]["id"], Value::Null);
        put(&world.api, &path, json!({ "locationId": home }))
            .await
            .expect_status(200);
    }
    world.advance(SignedDuration::from_mins(10)).await;
    assert_eq!(
        only(&world, "ann", "chargers").await["location"]["id"],
        home
    );
    world
        .api
        .delete(&format!("/locations/{home}"))
        .await
        .expect_status(200);
    world.settle().await;
    for plural in ["inverters", "batteries", "meters", "chargers", "hvacs"] {
        let device = only(&world, "ann", plural).await;
        assert_eq!(device["location"]["id"], Value::Null, "{plural}");
    }
    world.shut_down().await;
}

/// A place that was made just before an end has devices after the next start.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_placed_before_an_end_is_placed_after_it() {
    let world = World::new().await;
    world.link("ann", Cloud::Volta, still()).await;
    world.advance(SignedDuration::from_mins(5)).await;
    let (latitude, longitude) = position(&only(&world, "ann", "vehicles").await);
    let home = place(&world.api, "ann", latitude, longitude, "UTC").await;
    let vehicle = only(&world, "ann", "vehicles").await;
    assert_eq!(
        vehicle["location"]["id"],
        Value::Null,
        "nobody has looked yet"
    );
    let world = world.restart(SignedDuration::from_mins(1), |_| {}).await;
    world.settle().await;
    let vehicle = only(&world, "ann", "vehicles").await;
    assert_eq!(vehicle["location"]["id"], home);
    world.shut_down().await;
}

/// With the right to a user taken back, nothing is told; when it is given again, all is as it
/// should be.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_authorization_is_left_alone() {
    let world = World::new().await;
    let account = world.link("ann", Cloud::Helios, still()).await;
    world.advance(SignedDuration::from_mins(5)).await;
    let (latitude, longitude) = position(&only(&world, "ann", "inverters").await);
    let home = place(&world.api, "ann", latitude, longitude, "UTC").await;
    world.settle().await;
    let charger = only(&world, "ann", "chargers").await;
    let charger = format!("/chargers/{}", charger["id"].as_str().unwrap());
    put(&world.api, &charger, json!({ "locationId": home }))
        .await
        .expect_status(200);
    world
        .api
        .delete("/users/ann/authorization")
        .await
        .expect_status(204);
    let count = world.api.log().await.len();
    put(&world.api, &charger, json!({ "locationId": null }))
        .await
        .expect_status(400);
    world
        .api
        .delete(&format!("/locations/{home}"))
        .await
        .expect_status(200);
    world.settle().await;
    assert_eq!(told_after(&world, count).await, []);
    world.link_account("ann", &account).await;
    world.advance(SignedDuration::from_mins(10)).await;
    for plural in ["inverters", "chargers"] {
        let device = only(&world, "ann", plural).await;
        assert_eq!(device["location"]["id"], Value::Null, "{plural}");
    }
    world.shut_down().await;
}
