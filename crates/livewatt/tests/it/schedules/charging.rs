//! Vehicles and chargers start and stop by the wall clock.

use livewatt_sandbox::Cloud;
use serde_json::json;

use super::{Schedule, charge_schedule, home_of, made, told, until};
use crate::actions::{Asset, charging, commands};

/// The whole morning of a car: stopped, started and stopped by the clock of its home, by one command
/// each.
#[tokio::test(flavor = "multi_thread")]
async fn a_vehicle_charges_by_the_clock_of_its_home() {
    let (world, account) = charging(Cloud::Volta).await;
    world.subscribe().await;
    let car = Asset::only(&world, "vehicles").await;
    let home = home_of(&world, &car, "Europe/Oslo").await;
    let body = charge_schedule(&car, Some(&home), &[("07:30", "08:00")]);
    let schedule = Schedule::make(&world, body.clone()).await;
    let mut expected = body;
    expected["id"] = json!(schedule.id);
    expected["isEnabled"] = json!(true);
    assert_eq!(schedule.get().await, expected);
    // Nobody has come to it yet; this is how it will be found.
    let status = schedule.status().await;
    assert_eq!(status["state"], "PENDING", "{status:#}");
    assert_eq!(status["isCharging"], true);
    assert_eq!(status["isChargingExpected"], false);
    assert_eq!(
        status["upcomingTransitions"],
        json!([
            { "at": "2026-03-02T06:30:00.000Z", "shouldCharge": true },
            { "at": "2026-03-02T07:00:00.000Z", "shouldCharge": false },
        ])
    );
    schedule.will_be("ALIGNED").await;
    assert_eq!(car.power().await, "PLUGGED_IN:STOPPED");
    let status = schedule.status().await;
    let parts = json!({ "needsCharge": true, "isPluggedIn": true, "shouldCharge": false });
    assert_eq!(status["isChargingExpectedParts"], parts);
    assert_eq!(status["smartOverride"], json!(null));
    assert_eq!(commands(&world, &account), 1);

    // Whoever calls meanwhile is told who drives the car; a current is theirs to choose.
    let refused = car
        .try_to_tell("charging", json!({ "action": "START" }))
        .await;
    let problem = refused.expect_status(422);
    assert!(
        problem["type"]
            .as_str()
            .unwrap()
            .ends_with("/unprocessable-entity")
    );
    assert!(
        problem["detail"].as_str().unwrap().contains("schedule"),
        "{problem:#}"
    );

    until(&world, "2026-03-02T06:30:00Z").await;
    assert_eq!(schedule.state().await, "PENDING");
    schedule.will_be("ALIGNED").await;
    assert_eq!(car.power().await, "PLUGGED_IN:CHARGING");
    until(&world, "2026-03-02T07:00:00Z").await;
    schedule.will_be("ALIGNED").await;
    assert_eq!(car.power().await, "PLUGGED_IN:STOPPED");
    assert_eq!(commands(&world, &account), 3, "one for each transition");
    let made = made(&world).await;
    let kinds: Vec<_> = made.iter().map(|(_, kind)| kind.clone()).collect();
    assert_eq!(kinds, ["STOP", "START", "STOP"]);
    assert_eq!(made[1].0, "2026-03-02T06:30:00.000Z");
    assert_eq!(made[2].0, "2026-03-02T07:00:00.000Z");
    let pair = ["PENDING", "ALIGNED"];
    assert_eq!(told(&world).await, [pair, pair, pair].concat());
    let delivered = world.receiver.events();
    let is_told = |event: &&serde_json::Value| event["event"] == "user:schedule:execution-updated";
    assert!(
        delivered.iter().filter(is_told).count() >= 6,
        "by the webhook too"
    );

    // Without it the car is the caller's again.
    schedule.delete().await;
    let gone = world.api.get(&format!("/schedules/{}", schedule.id)).await;
    gone.expect_status(404);
    let start = car.start().await;
    car.confirmed(&start, crate::actions::minutes(2)).await;
    world.shut_down().await;
}

/// A charger without a Location always follows its schedule, by UTC.
#[tokio::test(flavor = "multi_thread")]
async fn a_charger_charges_by_utc() {
    let (world, account) = charging(Cloud::Helios).await;
    let charger = Asset::only(&world, "chargers").await;
    let body = charge_schedule(&charger, None, &[("06:40", "07:00")]);
    let schedule = Schedule::make(&world, body).await;
    schedule.will_be("ALIGNED").await;
    assert_eq!(charger.power().await, "PLUGGED_IN:STOPPED");
    until(&world, "2026-03-02T06:40:00Z").await;
    schedule.will_be("ALIGNED").await;
    assert_eq!(charger.power().await, "PLUGGED_IN:CHARGING");
    until(&world, "2026-03-02T07:00:00Z").await;
    schedule.will_be("ALIGNED").await;
    assert_eq!(charger.power().await, "PLUGGED_IN:STOPPED");
    assert_eq!(commands(&world, &account), 3);
    // Deleted in the middle of a transition, it takes its action along.
    schedule
        .change(json!({ "defaultShouldCharge": true }))
        .await;
    world.settle().await;
    schedule.delete().await;
    let log = world.api.log().await;
    let last = log
        .iter()
        .rfind(|event| event["event"] == "user:vendor-action:updated");
    let action = &last.unwrap()["vendorAction"];
    assert_eq!(action["state"], "CANCELLED");
    assert_eq!(action["failureReason"]["type"], "REQUESTED_CANCELLATION");
    world.shut_down().await;
}
