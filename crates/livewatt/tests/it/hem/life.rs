//! Found, placed, and gone with their devices.

use serde_json::{Value, json};

use super::{Story, minutes};
use crate::support::contract;

#[tokio::test(flavor = "multi_thread")]
async fn a_system_is_found_with_its_devices() {
    let story = Story::begin("2026-03-02T10:00:00Z", "muenchen").await;
    let (world, api) = (&story.world, &story.world.api);
    let system = story.system().await;
    let id = system["id"].as_str().unwrap();
    let name = system["information"]["name"].as_str().unwrap();
    assert_eq!(
        system["information"],
        json!({
            "vendor": "SOLAREDGE", "name": name, "installationDate": "2021-05-13T22:00:00.000Z",
            "latitude": 48.137, "longitude": 11.575, "address": format!("{name}, muenchen"),
            "timezone": "Europe/Berlin", "lastUpdated": "2026-03-02T10:00:00.000Z",
        })
    );
    assert_eq!(
        (&system["userId"], &system["locationId"]),
        (&json!("ann"), &json!(null))
    );
    for plural in ["inverters", "batteries", "meters"] {
        let device = story.device(plural).await;
        assert_eq!(device["hemSystemId"], id, "{plural}");
        assert_eq!(device["lastSeen"], system["status"]["lastSeen"], "{plural}");
    }
    for path in [
        "/hem-systems".to_owned(),
        "/hem-systems/".to_owned(),
        "/users/ann/hem-systems".to_owned(),
    ] {
        let page = api.get(&path).await.expect_status(200);
        assert_eq!(page["data"], json!([system]), "{path}");
    }
    let alone = api
        .get(&format!("/hem-systems/{id}"))
        .await
        .expect_status(200);
    assert_eq!(alone, system);
    let nobody = api.get("/users/bob/hem-systems").await.expect_status(200);
    assert_eq!(nobody["data"], json!([]));
    let unknown = "/hem-systems/01900000-0000-7000-8000-000000000000";
    for path in [
        unknown,
        "/hem-systems/x",
        &format!("{unknown}/statistics?interval=x"),
    ] {
        api.get(path).await.expect_status(404);
    }

    // First the description, all else unknown; then the rest; and devices refer to what was told.
    let log = api.log().await;
    let place = |wanted: &dyn Fn(&Value) -> bool| log.iter().position(wanted).unwrap();
    let found = place(&|event| event["event"] == "user:hem-system:discovered");
    let first = &log[found]["hemSystem"];
    contract::check_schema("UserHEMSystemDiscovered", &log[found]);
    assert_eq!(first["information"], system["information"]);
    let status = json!({ "lastSeen": null, "energy": { "today": {
        "generation": null, "consumption": null, "charge": null, "discharge": null,
        "import": null, "export": null, "unit": "kWh", "lastUpdated": null,
    }}});
    assert_eq!(
        (&first["status"], &first["locationId"]),
        (&status, &json!(null))
    );
    let told = place(&|event| event["battery"]["hemSystemId"] == id);
    assert!(found < told, "{found} {told}");
    let fields = log[told]["updatedFields"].as_array().unwrap();
    assert!(fields.contains(&json!("hemSystemId")), "{fields:?}");
    assert_eq!(
        story.event_names().await,
        ["user:hem-system:discovered", "user:hem-system:updated"]
    );

    // What the next fetch brings is told in the same form, and what is served is what was told last.
    world.advance(minutes(20)).await;
    let events = story.events().await;
    for event in &events[1..] {
        contract::check_schema("UserHEMSystemUpdated", event);
        assert_eq!(event["hemSystem"]["id"], id);
    }
    let system = story.system().await;
    let last = &events.last().unwrap()["hemSystem"];
    assert_eq!(last["status"]["energy"], system["status"]["energy"]);
    assert_eq!(last["information"], system["information"]);
    let delivered = world.receiver.events();
    let delivered = delivered
        .iter()
        .filter(|event| event.get("hemSystem").is_some());
    assert_eq!(delivered.count(), events.len());
    let wanted = json!({
        "url": world.receiver.any_url(), "secret": "a secret of the test",
        "events": ["user:hem-system:updated"],
    });
    api.post("/webhooks", Some(wanted)).await.expect_status(200);
    story.world.shut_down().await;
}

/// A system without a battery does not know what it charged; without devices it is none.
#[tokio::test(flavor = "multi_thread")]
async fn a_system_goes_with_its_last_device() {
    let story = Story::begin("2026-03-01T22:00:00Z", "muenchen").await;
    let world = &story.world;
    let id = story.system().await["id"].clone();
    world.advance(minutes(3 * 60)).await;
    assert!(story.today().await["charge"].is_number());
    let battery = story.sandbox_device("battery");
    world.sandbox.remove_device(&battery).await.unwrap();
    // They are listed every six hours, and must be missing twice.
    world.advance(minutes(4 * 60)).await;
    assert_eq!(world.api.all("batteries").await, Vec::<Value>::new());
    let system = story.system().await;
    assert_eq!(system["id"], id);
    let today = story.today().await;
    assert_eq!(
        (&today["charge"], &today["discharge"]),
        (&json!(null), &json!(null))
    );
    for flow in ["import", "export", "generation", "consumption"] {
        assert!(today[flow].is_number(), "{flow}: {today}");
    }
    let names = story.event_names().await;
    assert!(!names.contains(&"user:hem-system:deleted".to_owned()));

    for kind in ["inverter", "meter"] {
        let device = story.sandbox_device(kind);
        world.sandbox.remove_device(&device).await.unwrap();
    }
    world.advance(minutes(6 * 60 + 30)).await;
    assert_eq!(world.api.all("hem-systems").await, Vec::<Value>::new());
    let path = format!("/hem-systems/{}", id.as_str().unwrap());
    world.api.get(&path).await.expect_status(404);
    let events = story.events().await;
    let last = events.last().unwrap();
    contract::check_schema("UserHEMSystemDeleted", last);
    assert_eq!(
        (&last["event"], &last["hemSystem"]["id"]),
        (&json!("user:hem-system:deleted"), &id)
    );
    assert_eq!(world.api.all("hvacs").await.len(), 1, "others stay");
    story.world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_outlives_a_new_link_and_not_a_disconnect() {
    let story = Story::begin("2026-03-02T10:00:00Z", "oslo").await;
    let (world, api) = (&story.world, &story.world.api);
    world.advance(minutes(10)).await;
    let before = story.system().await;
    let events = story.events().await.len();
    api.delete("/users/ann/authorization")
        .await
        .expect_status(204);
    world.advance(minutes(60)).await;
    assert_eq!(story.system().await, before, "silent, and as it was");
    assert_eq!(story.events().await.len(), events);
    assert_eq!(story.ask("2026-03-02").await.0, 422, "nobody may be asked");
    world.link_account("ann", &story.account).await;
    world.advance(minutes(10)).await;
    assert_eq!(story.system().await["id"], before["id"]);
    assert!(story.events().await.len() > events);

    // Its kinds one by one, and it with the last.
    for (kind, left) in [("battery", 1), ("inverter", 1), ("meter", 0)] {
        let path = format!("/users/ann/vendors/SOLAREDGE/{kind}");
        api.delete(&path).await.expect_status(204);
        assert_eq!(api.all("hem-systems").await.len(), left, "{kind}");
        if kind == "inverter" {
            let today = story.today().await;
            assert_eq!(
                today["generation"],
                json!(null),
                "known by the inverter alone"
            );
        }
    }
    let names = story.event_names().await;
    assert_eq!(names.last().unwrap(), "user:hem-system:deleted");
    world.advance(minutes(20)).await;
    assert_eq!(api.all("hem-systems").await, Vec::<Value>::new());

    // Linked anew it is another one; and gone at once with its vendor.
    world.link_account("ann", &story.account).await;
    let second = story.system().await;
    assert_ne!(second["id"], before["id"]);
    api.delete("/users/ann/vendors/SOLAREDGE")
        .await
        .expect_status(204);
    let last = story.events().await.pop().unwrap();
    assert_eq!(last["hemSystem"]["id"], second["id"]);
    assert_eq!(last["event"], "user:hem-system:deleted");
    assert_eq!(api.all("hem-systems").await, Vec::<Value>::new());
    story.world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_stands_where_its_devices_do() {
    let story = Story::begin("2026-03-02T10:00:00Z", "oslo").await;
    let api = &story.world.api;
    let home = json!({
        "name": "Home", "latitude": 59.9139, "longitude": 10.7522, "timezoneName": "Europe/Oslo",
    });
    let home = api.post("/users/ann/locations", Some(home)).await;
    let home = home.expect_status(200)["id"].clone();
    story.world.step().await;
    assert_eq!(story.device("meters").await["location"]["id"], home);
    assert_eq!(story.system().await["locationId"], home);
    let events = story.events().await;
    let placed = events
        .iter()
        .find(|event| event["hemSystem"]["locationId"] == home);
    assert_eq!(placed.unwrap()["updatedFields"], json!(["locationId"]));
    let path = format!("/locations/{}", home.as_str().unwrap());
    api.delete(&path).await.expect_status(200);
    story.world.step().await;
    assert_eq!(story.system().await["locationId"], json!(null));
    story.world.shut_down().await;
}
