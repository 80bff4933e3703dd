//! What is refused, and which field is to blame.

use livewatt_sandbox::Cloud;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Schedule, charge_schedule, try_to_make};
use crate::{
    actions::{Asset, link_with, minutes},
    places::place,
    support::{World, still},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named() {
    let world = World::new().await;
    world.link("ann", Cloud::Volta, still()).await;
    world.link("bob", Cloud::Rivoli, still()).await;
    world.advance(minutes(1)).await;
    let of_user = async |user: &str, plural: &str| {
        let listed = world.api.get(&format!("/users/{user}/{plural}")).await;
        listed.expect_status(200)["data"][0]["id"].clone()
    };
    let car = of_user("ann", "vehicles").await;
    let charger = of_user("ann", "chargers").await;
    let other_car = of_user("bob", "vehicles").await;
    let others = place(&world.api, "bob", 1.0, 1.0, "UTC").await;
    let unknown = "01900000-0000-7000-8000-000000000000";
    let good = json!({
        "targetType": "vehicle", "targetId": car, "locationId": null,
        "defaultShouldCharge": true, "rules": [],
    });
    let with = |path: &str, value: Value| {
        let mut body = good.clone();
        body[path] = value;
        body
    };
    let without = |path: &str| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(path);
        body
    };
    let rule = |rule: Value| with("rules", json!([{ "shouldCharge": true }, rule]));
    let day = "2026-03-02T06:00:00Z";
    for (body, blamed) in [
        (without("targetType"), "targetType"),
        (without("targetId"), "targetId"),
        (without("locationId"), "locationId"),
        (without("defaultShouldCharge"), "defaultShouldCharge"),
        (without("rules"), "rules"),
        (with("targetType", json!("meter")), "targetType"),
        (with("targetType", json!("plane")), "targetType"),
        (with("targetId", json!(7)), "targetId"),
        (with("targetId", json!(unknown)), "targetId"),
        (with("targetId", charger), "targetId"),
        (with("targetId", other_car), "targetId"),
        (with("locationId", json!(unknown)), "locationId"),
        (with("locationId", json!(others)), "locationId"),
        (with("locationId", json!("home")), "locationId"),
        (with("isEnabled", json!("yes")), "isEnabled"),
        (with("isEnabled", json!(null)), "isEnabled"),
        (
            with("defaultShouldCharge", json!(null)),
            "defaultShouldCharge",
        ),
        (
            with("defaultTargetState", json!({ "holdType": "SCHEDULED" })),
            "defaultTargetState",
        ),
        (with("scheduleType", json!("CHARGE")), "scheduleType"),
        (with("rules", json!({})), "rules"),
        (rule(json!({})), "rules.1.shouldCharge"),
        (rule(json!({ "shouldCharge": 1 })), "rules.1.shouldCharge"),
        (
            rule(json!({ "shouldCharge": true, "weekdays": [0, 7] })),
            "rules.1.weekdays.1",
        ),
        (
            rule(json!({ "shouldCharge": true, "hourMinute": { "from": "25:00", "to": "06:00" } })),
            "rules.1.hourMinute.from",
        ),
        (
            rule(json!({ "shouldCharge": true, "hourMinute": { "from": "05:00" } })),
            "rules.1.hourMinute.to",
        ),
        (
            rule(json!({ "shouldCharge": true, "fromTimestamp": day, "toTimestamp": day })),
            "rules.1.toTimestamp",
        ),
        (
            rule(json!({ "shouldCharge": true, "fromTimestamp": "Monday" })),
            "rules.1.fromTimestamp",
        ),
        (
            rule(json!({ "shouldCharge": true, "targetState": { "holdType": "SCHEDULED" } })),
            "rules.1.targetState",
        ),
    ] {
        let refused = try_to_make(&world, body.clone()).await.expect_issues();
        assert_eq!(refused, [blamed], "{body}");
    }
    let schedule = Schedule::make(&world, good.clone()).await;
    let before = schedule.get().await;
    for (body, blamed) in [
        (
            json!({ "rules": [{ "shouldCharge": null }] }),
            "rules.0.shouldCharge",
        ),
        (json!({ "targetId": unknown }), "targetId"),
        (json!({ "locationId": others }), "locationId"),
        (json!({ "targetType": "hvac" }), "defaultTargetState"),
        (json!({ "id": unknown }), "id"),
    ] {
        let refused = schedule.try_to_change(body.clone()).await.expect_issues();
        assert!(
            refused.iter().any(|path| path == blamed),
            "{body}: {refused:?}"
        );
        assert_eq!(schedule.get().await, before);
    }
    // Nobody else's, nor anybody's that there is not.
    let stranger = world.other_client(None).await;
    let path = format!("/schedules/{}", schedule.id);
    for path in [
        path,
        format!("/schedules/{unknown}"),
        "/schedules/x".to_owned(),
    ] {
        for (method, suffix) in [
            (Method::GET, ""),
            (Method::PUT, ""),
            (Method::DELETE, ""),
            (Method::GET, "/status"),
        ] {
            let body = (method == Method::PUT).then(|| json!({ "isEnabled": true }));
            let path = format!("{path}{suffix}");
            stranger.call(method, &path, body).await.expect_status(404);
        }
    }
    let nobody = world.api.post("/users/nob/schedules", Some(good)).await;
    assert_eq!(nobody.expect_status(404)["title"], "User does not exist");
    world.shut_down().await;
}

/// One enabled schedule for a device; any number that are not.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_has_one_enabled_schedule() {
    let world = World::new().await;
    world.link("ann", Cloud::Volta, still()).await;
    world.advance(minutes(1)).await;
    let car = Asset::only(&world, "vehicles").await;
    let body = charge_schedule(&car, None, &[("01:00", "02:00")]);
    let first = Schedule::make(&world, body.clone()).await;
    let refused = try_to_make(&world, body.clone()).await;
    assert_eq!(refused.expect_issues(), ["targetId"]);
    let mut disabled = body;
    disabled["isEnabled"] = json!(false);
    let second = Schedule::make(&world, disabled.clone()).await;
    let refused = second.try_to_change(json!({ "isEnabled": true })).await;
    assert_eq!(refused.expect_issues(), ["targetId"]);
    first.change(json!({ "isEnabled": false })).await;
    second.change(json!({ "isEnabled": true })).await;
    // In pages, newest first.
    let page = world
        .api
        .get("/users/ann/schedules?pageSize=1")
        .await
        .expect_status(200);
    assert_eq!(page["data"][0]["id"], second.id);
    let after = page["pagination"]["after"].as_str().unwrap();
    let next = format!("/users/ann/schedules?pageSize=1&after={after}");
    let page = world.api.get(&next).await.expect_status(200);
    assert_eq!(page["data"][0]["id"], first.id);
    assert_eq!(page["pagination"]["after"], Value::Null);
    let nobodys = world
        .api
        .get("/users/nob/schedules")
        .await
        .expect_status(200);
    assert_eq!(nobodys["data"], json!([]));

    // A schedule goes to another device, and back.
    let charger = Asset::only(&world, "chargers").await;
    let moved = json!({ "targetType": "charger", "targetId": charger.id });
    let moved = second.change(moved).await;
    assert_eq!(
        (&moved["targetType"], &moved["targetId"]),
        (&json!("charger"), &json!(charger.id))
    );
    first.change(json!({ "isEnabled": true })).await;
    let back = json!({ "targetType": "vehicle", "targetId": car.id });
    assert_eq!(
        second.try_to_change(back).await.expect_issues(),
        ["targetId"]
    );

    // Control that the user did not grant cannot be planned.
    let other = world.sandbox.create_account(Cloud::Volta, still()).unwrap();
    link_with(&world, &other, &["vehicle:read:data"]).await;
    world.advance(minutes(1)).await;
    let cars = world.api.all("vehicles").await;
    let others = cars.iter().find(|one| one["id"] != car.id).unwrap();
    disabled["targetId"] = others["id"].clone();
    try_to_make(&world, disabled).await.expect_status(403);
    // With the user goes all.
    world.api.delete("/users/ann").await.expect_status(204);
    let gone = world.api.get(&format!("/schedules/{}", first.id)).await;
    gone.expect_status(404);
    world.settle().await;
    world.shut_down().await;
}
