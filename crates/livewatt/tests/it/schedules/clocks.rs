//! Nights in which clocks change, windows across midnight, and Locations whose clock becomes another.

use livewatt_sandbox::Cloud;
use serde_json::{Value, json};

use super::{Schedule, charge_schedule, made, until};
use crate::{
    actions::{Asset, charge, minutes, of_kind},
    places::{place, put},
    support::{World, still},
};

const OFF: fn() -> Value = || json!({ "holdType": "PERMANENT", "mode": "OFF" });
const HEAT: fn() -> Value =
    || json!({ "holdType": "PERMANENT", "mode": "HEAT", "heatSetpoint": 21.0 });

/// A heat pump at a Location with this zone, which heats when one of these rules holds, and is off
/// otherwise; what it was told from then until the end, beside what brought it in line at first.
async fn told_until(
    start: &str,
    zone: &str,
    rules: &[Value],
    end: &str,
) -> (World, Vec<(String, Value)>) {
    let world = World::starting_at(start, |_| {}).await;
    world.link("ann", Cloud::Helios, still()).await;
    world.advance(minutes(1)).await;
    let (id, schedule) = {
        let unit = Asset::only(&world, "hvacs").await;
        let home = place(&world.api, "ann", 10.0, 10.0, zone).await;
        let path = format!("/hvacs/{}", unit.id);
        let there = put(&world.api, &path, json!({ "locationId": home })).await;
        there.expect_status(200);
        let rules = rules.iter().map(|rule| {
            let mut rule = rule.clone();
            rule["targetState"] = HEAT();
            rule
        });
        let body = json!({
            "targetType": "hvac",
            "targetId": unit.id,
            "defaultTargetState": OFF(),
            "rules": rules.collect::<Vec<_>>(),
        });
        let schedule = Schedule::make(&world, body).await;
        schedule.will_be("ALIGNED").await;
        (unit.id.clone(), schedule.id)
    };
    let before = made(&world).await.len();
    until(&world, end).await;
    let state = world
        .api
        .get(&format!("/hvacs/{id}"))
        .await
        .expect_status(200);
    assert_eq!(state["thermostatState"]["mode"], "OFF", "at the end");
    let status = world
        .api
        .get(&format!("/schedules/{schedule}/status"))
        .await;
    assert_eq!(status.expect_status(200)["state"], "ALIGNED");
    let made = made(&world).await.split_off(before);
    (world, made)
}

fn window(from: &str, to: &str) -> Value {
    json!({ "hourMinute": { "from": from, "to": to } })
}

fn at(moment: &str, what: Value) -> (String, Value) {
    (moment.to_owned(), what)
}

/// In Oslo the clock goes from two to three at 01:00 UTC: half past two never comes, and what would
/// have begun then begins with the jump.
#[tokio::test(flavor = "multi_thread")]
async fn a_spring_night_in_oslo() {
    let (world, made) = told_until(
        "2026-03-29T00:20:00Z",
        "Europe/Oslo",
        &[window("02:30", "03:30")],
        "2026-03-29T01:40:00Z",
    )
    .await;
    let expected = [
        at("2026-03-29T01:00:00.000Z", HEAT()),
        at("2026-03-29T01:30:00.000Z", OFF()),
    ];
    assert_eq!(made, expected);
    world.shut_down().await;
}

/// In New York the clock goes from two back to one at 06:00 UTC: a quarter past one comes twice.
#[tokio::test(flavor = "multi_thread")]
async fn an_autumn_night_in_new_york() {
    let (world, made) = told_until(
        "2026-11-01T05:00:00Z",
        "America/New_York",
        &[window("01:15", "01:45")],
        "2026-11-01T06:55:00Z",
    )
    .await;
    let expected = [
        at("2026-11-01T05:15:00.000Z", HEAT()),
        at("2026-11-01T05:45:00.000Z", OFF()),
        at("2026-11-01T06:15:00.000Z", HEAT()),
        at("2026-11-01T06:45:00.000Z", OFF()),
    ];
    assert_eq!(made, expected);
    world.shut_down().await;
}

/// A window across midnight belongs to the day on which it begins, by the clock of the place: in New
/// York Monday ends at 05:00 UTC.
#[tokio::test(flavor = "multi_thread")]
async fn a_night_across_midnight() {
    let mut monday = window("23:30", "00:30");
    monday["weekdays"] = json!([0]);
    // Not the night after Monday: the one before it.
    let mut early = window("00:40", "00:50");
    early["weekdays"] = json!([0]);
    let (world, made) = told_until(
        "2026-03-03T04:10:00Z",
        "America/New_York",
        &[monday, early],
        "2026-03-03T05:55:00Z",
    )
    .await;
    let expected = [
        at("2026-03-03T04:30:00.000Z", HEAT()),
        at("2026-03-03T05:30:00.000Z", OFF()),
    ];
    assert_eq!(made, expected);
    world.shut_down().await;
}

/// A Location whose zone is changed has its schedules looked at at once.
#[tokio::test(flavor = "multi_thread")]
async fn another_zone_counts_at_once() {
    let world = World::new().await;
    let account = world.link("ann", Cloud::Helios, still()).await;
    charge(&world, of_kind(&account, "charger")).await;
    let charger = Asset::only(&world, "chargers").await;
    let home = place(&world.api, "ann", 10.0, 10.0, "UTC").await;
    let path = format!("/chargers/{}", charger.id);
    put(&world.api, &path, json!({ "locationId": home }))
        .await
        .expect_status(200);
    let body = charge_schedule(&charger, Some(&home), &[("06:00", "07:00")]);
    let schedule = Schedule::make(&world, body).await;
    schedule.will_be("ALIGNED").await;
    assert_eq!(charger.power().await, "PLUGGED_IN:CHARGING");
    let status = schedule.status().await;
    assert_eq!(
        status["upcomingTransitions"][0]["at"],
        "2026-03-02T07:00:00.000Z"
    );
    let path = format!("/locations/{home}");
    let changed = put(&world.api, &path, json!({ "timezoneName": "Europe/Oslo" })).await;
    changed.expect_status(200);
    world.settle().await;
    let status = schedule.status().await;
    assert_eq!(
        status["state"], "PENDING",
        "it is past seven there: {status:#}"
    );
    assert_eq!(
        status["upcomingTransitions"][0]["at"],
        "2026-03-03T05:00:00.000Z"
    );
    schedule.will_be("ALIGNED").await;
    assert_eq!(charger.power().await, "PLUGGED_IN:STOPPED");
    // Assigned to nowhere, it is away.
    let path = format!("/chargers/{}", charger.id);
    put(&world.api, &path, json!({ "locationId": null }))
        .await
        .expect_status(200);
    schedule.will_be("INACTIVE:AWAY").await;
    world.shut_down().await;
}
