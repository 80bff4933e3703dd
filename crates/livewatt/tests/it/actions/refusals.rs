//! What is refused, and how it says why.

use livewatt_domain::id::UserId;
use livewatt_sandbox::{Cloud, DevicePatch};
use serde_json::{Value, json};

use super::{Asset, charging, commands, link_with, minutes, of_kind};
use crate::support::{World, contract::check_schema, still};

#[track_caller]
fn assert_problem(body: &Value, slug: &str) {
    check_schema("Problem", body);
    let kind = body["type"].as_str().unwrap();
    assert!(kind.ends_with(slug), "{body:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_come_true_is_refused_at_once() {
    let (world, account) = charging(Cloud::Volta).await;
    let car = Asset::only(&world, "vehicles").await;
    let charger = Asset::only(&world, "chargers").await;
    let start = json!({ "action": "START" });
    let stop = json!({ "action": "STOP" });
    let refused = async |asset: &Asset<'_>, body: &Value, words: &str| {
        let answer = asset.try_to_tell("charging", body.clone()).await;
        let problem = answer.expect_status(400);
        assert_problem(&problem, "bad-request");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{detail}");
    };
    for asset in [&car, &charger] {
        refused(asset, &start, "charging already").await;
    }
    let device = of_kind(&account, "vehicle");
    let full = DevicePatch {
        level_percent: Some(80.0),
        limit_percent: Some(80),
        ..DevicePatch::default()
    };
    world.sandbox.patch_device(device, &full).await.unwrap();
    world.advance(minutes(3)).await;
    assert_eq!(car.power().await, "PLUGGED_IN:COMPLETE");
    refused(&car, &start, "charge limit").await;
    refused(&car, &stop, "stopped charging already").await;
    world.plug(device, false).await;
    world.advance(minutes(3)).await;
    for asset in [&car, &charger] {
        refused(asset, &start, "plugged in").await;
        refused(asset, &stop, "plugged in").await;
    }
    assert_eq!(commands(&world, &account), 0);
    assert!(
        world
            .api
            .log()
            .await
            .iter()
            .all(|event| { event["event"] != "user:vendor-action:updated" })
    );
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_wishes_name_their_field() {
    let world = World::new().await;
    world.link("ann", Cloud::Volta, still()).await;
    world.link("ann", Cloud::Helios, still()).await;
    world.advance(minutes(1)).await;
    let car = Asset::only(&world, "vehicles").await;
    let unit = Asset::only(&world, "hvacs").await;
    let battery = Asset::only(&world, "batteries").await;
    for (asset, what, body, paths) in [
        (&car, "charging", json!({}), vec!["action"]),
        (
            &car,
            "charging",
            json!({ "action": "start" }),
            vec!["action"],
        ),
        (
            &car,
            "charging",
            json!({ "action": "STOP", "at": 1 }),
            vec!["at"],
        ),
        (
            &car,
            "max-current",
            json!({ "maxCurrent": 0 }),
            vec!["maxCurrent"],
        ),
        (
            &car,
            "max-current",
            json!({ "maxCurrent": "8" }),
            vec!["maxCurrent"],
        ),
        (
            &unit,
            "permanent-hold",
            json!({ "mode": "UNKNOWN" }),
            vec!["mode"],
        ),
        (
            &unit,
            "permanent-hold",
            json!({ "mode": "HEAT" }),
            vec!["heatSetpoint"],
        ),
        (
            &unit,
            "permanent-hold",
            json!({ "mode": "AUTO" }),
            vec!["heatSetpoint", "coolSetpoint"],
        ),
        (
            &unit,
            "permanent-hold",
            json!({ "mode": "OFF", "heatSetpoint": 20 }),
            vec!["heatSetpoint"],
        ),
        (
            &unit,
            "permanent-hold",
            json!({ "mode": "HEAT", "heatSetpoint": 30 }),
            vec!["heatSetpoint"],
        ),
        (
            &unit,
            "permanent-hold",
            json!({ "mode": "AUTO", "heatSetpoint": 22, "coolSetpoint": 22.5 }),
            vec!["coolSetpoint"],
        ),
        (
            &battery,
            "operation-mode",
            json!({ "operationMode": "UNKNOWN" }),
            vec!["operationMode"],
        ),
    ] {
        let answer = asset.try_to_tell(what, body.clone()).await;
        assert_eq!(answer.expect_issues(), paths, "{what} {body}");
    }
    // A mode that this battery does not have.
    let export = json!({ "operationMode": "EXPORT_FOCUS" });
    let problem = battery.try_to_tell("operation-mode", export).await;
    let problem = problem.expect_status(400);
    assert!(
        problem["detail"].as_str().unwrap().contains("exportFocus"),
        "{problem}"
    );
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_look_can_tell_nothing() {
    let world = World::new().await;
    let account = world.sandbox.create_account(Cloud::Volta, still()).unwrap();
    let scopes = [
        "vehicle:read:data",
        "charger:read:data",
        "charger:control:charging",
    ];
    link_with(&world, &account, &scopes).await;
    world.advance(minutes(1)).await;
    let limit = json!({ "maxCurrent": 8 });
    let car = Asset::only(&world, "vehicles").await;
    let problem = car.try_to_tell("max-current", limit.clone()).await;
    let problem = problem.expect_status(403);
    assert_problem(&problem, "forbidden");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("vehicle:control:charging"), "{detail}");
    let charger = Asset::only(&world, "chargers").await;
    charger.tell("max-current", limit).await;
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_are_found_under_their_own_kind() {
    let world = World::new().await;
    world.link("ann", Cloud::Volta, still()).await;
    world.advance(minutes(1)).await;
    let car = Asset::only(&world, "vehicles").await;
    let action = car.tell("max-current", json!({ "maxCurrent": 8 })).await;
    let id = action["id"].as_str().unwrap();
    for path in [
        format!("/chargers/actions/{id}"),
        "/vehicles/actions/nothing".to_owned(),
        "/vehicles/actions/01900000-0000-7000-8000-000000000000".to_owned(),
    ] {
        let problem = world.api.get(&path).await.expect_status(404);
        assert_problem(&problem, "not-found");
        let cancel = format!("{path}/cancel");
        world.api.post(&cancel, None).await.expect_status(404);
    }
    let nobody = "/vehicles/01900000-0000-7000-8000-000000000000/charging";
    let body = Some(json!({ "action": "START" }));
    world.api.post(nobody, body).await.expect_status(404);
    // With its user goes what was told of it.
    let ann: UserId = "ann".parse().unwrap();
    world
        .engine()
        .delete_user(world.client, &ann)
        .await
        .unwrap();
    let path = format!("/vehicles/actions/{id}");
    world.api.get(&path).await.expect_status(404);
    world.shut_down().await;
}
