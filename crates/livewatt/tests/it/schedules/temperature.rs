//! Heat pumps are set by their schedules.

use livewatt_sandbox::Cloud;
use serde_json::{Value, json};

use super::{Schedule, made, told, try_to_make, until};
use crate::{
    actions::{Asset, minutes},
    support::{World, still},
};

/// A unit follows the program of its vendor, holds a setting for an hour, and follows it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_heat_pump_is_set_by_the_clock() {
    let world = World::new().await;
    world.link("ann", Cloud::Helios, still()).await;
    world.advance(minutes(1)).await;
    let unit = Asset::only(&world, "hvacs").await;
    let heat = json!({ "holdType": "PERMANENT", "mode": "HEAT", "heatSetpoint": 22.5 });
    let scheduled = json!({ "holdType": "SCHEDULED" });
    let body = json!({
        "targetType": "hvac",
        "targetId": unit.id,
        "defaultTargetState": scheduled,
        "rules": [
            { "hourMinute": { "from": "06:30", "to": "07:30" }, "targetState": heat },
        ],
    });
    let schedule = Schedule::make(&world, body.clone()).await;
    let mut expected = body;
    expected["id"] = json!(schedule.id);
    expected["isEnabled"] = json!(true);
    assert_eq!(schedule.get().await, expected);
    schedule.will_be("ALIGNED").await;
    let status = schedule.status().await;
    assert_eq!(status["scheduleType"], "TEMPERATURE");
    assert_eq!(status["expected"], scheduled);
    assert_eq!(status["current"], scheduled);
    assert_eq!(
        status["upcomingTransitions"],
        json!([
            { "at": "2026-03-02T06:30:00.000Z", "target": heat },
            { "at": "2026-03-02T07:30:00.000Z", "target": scheduled },
        ])
    );
    for (what, body) in [
        ("permanent-hold", json!({ "mode": "OFF" })),
        ("follow-schedule", Value::Null),
    ] {
        unit.try_to_tell(what, body).await.expect_status(422);
    }
    let before = made(&world).await.len();
    until(&world, "2026-03-02T06:30:00Z").await;
    assert_eq!(schedule.state().await, "PENDING");
    schedule.will_be("ALIGNED").await;
    let state = unit.get().await["thermostatState"].clone();
    assert_eq!(
        (&state["mode"], &state["holdType"]),
        (&json!("HEAT"), &json!("PERMANENT"))
    );
    assert_eq!(state["heatSetpoint"], 22.5);
    assert_eq!(schedule.status().await["current"], heat);
    until(&world, "2026-03-02T07:30:00Z").await;
    schedule.will_be("ALIGNED").await;
    assert_eq!(unit.get().await["thermostatState"]["holdType"], "SCHEDULED");
    let made = made(&world).await.split_off(before);
    let expected = [
        ("2026-03-02T06:30:00.000Z".to_owned(), heat),
        ("2026-03-02T07:30:00.000Z".to_owned(), scheduled),
    ];
    assert_eq!(made, expected);
    assert!(
        told(&world)
            .await
            .ends_with(&["PENDING".to_owned(), "ALIGNED".to_owned()])
    );
    world.shut_down().await;
}

/// What the unit cannot be set to is refused, with the field that is to blame.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_unit_does_not_accept_is_refused() {
    let world = World::new().await;
    world.link("ann", Cloud::Helios, still()).await;
    world.advance(minutes(1)).await;
    let unit = Asset::only(&world, "hvacs").await;
    let body = json!({
        "targetType": "hvac",
        "targetId": unit.id,
        "defaultTargetState": { "holdType": "PERMANENT", "mode": "HEAT", "heatSetpoint": 90 },
        "rules": [{ "targetState": {
            "holdType": "PERMANENT", "mode": "AUTO", "heatSetpoint": 20, "coolSetpoint": -40,
        } }],
    });
    let refused = try_to_make(&world, body.clone()).await.expect_issues();
    assert_eq!(refused, ["rules.0.targetState.coolSetpoint"]);
    let mut other = body;
    other["rules"] = json!([]);
    let refused = try_to_make(&world, other).await.expect_issues();
    assert_eq!(refused, ["defaultTargetState.heatSetpoint"]);
    world.shut_down().await;
}
