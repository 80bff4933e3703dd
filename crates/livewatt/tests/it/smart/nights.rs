//! Nights in which all goes well, and nights in which the server does not.

use super::*;

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("no number: {value}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_car_is_charged_while_that_is_cheap_and_full_in_time() {
    let home = Home::charging(&night()).await;
    home.enable().await;
    let embedded = home.car().await["smartChargingPolicy"].clone();
    assert_eq!(embedded, home.get("smart-charging-policy").await);
    let stopped = home
        .until("PLAN:EXECUTING:STOPPED", "2026-03-02T18:20:00Z")
        .await;
    let plan = &stopped["plan"];
    assert_eq!(home.power().await, "PLUGGED_IN:STOPPED");
    assert!(plan["stopConfirmedAt"].is_string(), "{plan:#}");
    assert_eq!(plan["currency"], "NOK");
    assert!(number(&plan["smartCost"]) < number(&plan["nonSmartCost"]));
    let start = at(plan["startAt"].as_str().unwrap());
    assert!(start >= at("2026-03-03T00:00:00Z"), "{plan:#}");
    assert!(at(plan["estimatedFinishAt"].as_str().unwrap()) <= at(DUE));

    let explained = home.get("smart-charging-plans/latest/explain").await;
    assert_eq!(explained["planId"], plan["id"]);
    let why = explained["plan"]["charge"][0]["why"].as_array().unwrap();
    assert!(why.contains(&json!("cheapestPrice")), "{explained:#}");

    // Callers keep out of it.
    let wish = json!({ "action": "START" });
    let path = home.path("charging");
    let refused = home.world.api.post(&path, Some(wish)).await;
    refused.expect_status(422);

    let ended = home.until("PLAN:ENDED:FINISHED", DUE).await;
    let ended = &ended["plan"];
    assert_eq!(ended["id"], plan["id"]);
    assert_eq!(ended["failureCondition"], Value::Null);
    assert!(ended["startConfirmedAt"].is_string());
    assert_eq!(home.commands(), 2, "one to stop and one to start");
    assert_eq!(home.car().await["chargeState"]["isFullyCharged"], true);
    home.world.settle().await;
    let told = home.told();
    assert_eq!(
        told,
        [
            "PLAN:EXECUTING:STOPPING",
            "PLAN:EXECUTING:STOPPED",
            "PLAN:EXECUTING:STARTING",
            "PLAN:EXECUTING:STARTED",
            "PLAN:ENDED:FINISHED",
        ]
    );

    // It stays readable, with all that it went by, and can be made anew.
    let latest = home.get("smart-charging-plans/latest").await;
    assert_eq!(latest, *ended);
    let id = plan["id"].as_str().unwrap();
    assert_eq!(
        home.get(&format!("smart-charging-plans/{id}")).await,
        latest
    );
    let path = home.path("smart-charging-plans/latest/rerun");
    let explained = home.get("smart-charging-plans/latest/explain").await;
    let again = json!({ "prices": explained["inputs"]["prices"] });
    let again = home.world.api.post(&path, Some(again)).await;
    assert_eq!(again.expect_status(200), explained["plan"]);
    let flat = json!({ "prices": [
        { "from": EVENING, "to": "2026-03-04T18:00:00Z", "perKwh": "0.2" },
    ] });
    let flat = home.world.api.post(&path, Some(flat)).await;
    let flat = flat.expect_status(200);
    assert_ne!(flat["decision"], "shift", "nothing is saved: {flat:#}");

    // Pulled and plugged in with room again, another plan may begin.
    let room = DevicePatch {
        plugged: Some(false),
        level_percent: Some(50.0),
        ..DevicePatch::default()
    };
    home.patch(room).await;
    home.world.advance(minutes(8)).await;
    assert_eq!(home.state().await, "CONSIDERING");
    home.world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_goes_on_after_a_restart_without_a_second_command() {
    let home = Home::charging(&night()).await;
    home.enable().await;
    home.until("PLAN:EXECUTING:STOPPED", "2026-03-02T18:20:00Z")
        .await;
    assert_eq!(home.commands(), 1);
    let Home {
        world,
        account,
        vehicle,
        location,
    } = home;
    let world = world.restart(minutes(2), |_| {}).await;
    let home = Home {
        world,
        account,
        vehicle,
        location,
    };
    home.world.advance(minutes(10)).await;
    assert_eq!(home.state().await, "PLAN:EXECUTING:STOPPED");
    assert_eq!(home.commands(), 1);
    home.until("PLAN:ENDED:FINISHED", DUE).await;
    assert_eq!(home.commands(), 2);
    home.world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_switched_off_lets_the_car_charge_again() {
    let home = Home::charging(&night()).await;
    home.enable().await;
    home.until("PLAN:EXECUTING:STOPPED", "2026-03-02T18:20:00Z")
        .await;
    let off = home.put_policy(json!({ "isEnabled": false })).await;
    assert_eq!(off.expect_status(200)["deadline"], "07:00");
    let ended = home.status().await;
    assert_eq!(ended["state"], "PLAN:ENDED:DISABLED", "{ended:#}");
    home.world.advance(minutes(2)).await;
    assert_eq!(home.power().await, "PLUGGED_IN:CHARGING");
    assert_eq!(home.commands(), 2);
    home.until("DISABLED", "2026-03-02T18:40:00Z").await;
    home.world.shut_down().await;
}
