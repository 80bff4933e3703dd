//! How devices stand to their schedules: away, disabled, incapable, failed, meddled with.

use livewatt_sandbox::{Cloud, DevicePatch, FaultKind, Remote};
use serde_json::{Value, json};

use super::{Schedule, charge_schedule, home_of, made, until};
use crate::{
    actions::{Asset, WINDOW, charging, commands, fault, minutes, of_kind},
    places::place,
};

/// Elsewhere nothing is done, and the car is its user's.
#[tokio::test(flavor = "multi_thread")]
async fn a_vehicle_elsewhere_is_left_alone() {
    let (world, account) = charging(Cloud::Volta).await;
    let car = Asset::only(&world, "vehicles").await;
    let cabin = place(&world.api, "ann", 1.0, 2.0, "UTC").await;
    let nowhere = Schedule::make(&world, charge_schedule(&car, None, &[])).await;
    assert_eq!(nowhere.state().await, "INACTIVE:AWAY");
    nowhere.will_be("INACTIVE:AWAY").await;
    nowhere.change(json!({ "locationId": cabin })).await;
    nowhere.will_be("INACTIVE:AWAY").await;
    assert_eq!(commands(&world, &account), 0);
    let stop = car.stop().await;
    car.confirmed(&stop, minutes(2)).await;
    let start = car.start().await;
    car.confirmed(&start, minutes(2)).await;
    // At home it acts.
    let home = home_of(&world, &car, "UTC").await;
    nowhere.change(json!({ "locationId": home })).await;
    nowhere.will_be("ALIGNED").await;
    assert_eq!(car.power().await, "PLUGGED_IN:STOPPED");
    // Its home is deleted: a charger would act everywhere now, a car acts nowhere.
    let deleted = world.api.delete(&format!("/locations/{home}")).await;
    deleted.expect_status(200);
    nowhere.will_be("INACTIVE:AWAY").await;
    assert_eq!(nowhere.get().await["locationId"], home);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_schedule_withdraws_and_takes_over_again() {
    let (world, account) = charging(Cloud::Volta).await;
    let car = Asset::only(&world, "vehicles").await;
    let home = home_of(&world, &car, "UTC").await;
    let mut body = charge_schedule(&car, Some(&home), &[]);
    body["isEnabled"] = json!(false);
    let schedule = Schedule::make(&world, body).await;
    schedule.will_be("INACTIVE:DISABLED").await;
    assert_eq!(commands(&world, &account), 0);
    fault(&world, Cloud::Volta, FaultKind::CommandIgnored).await;
    schedule.change(json!({ "isEnabled": true })).await;
    schedule.will_be("PENDING").await;
    schedule.change(json!({ "isEnabled": false })).await;
    schedule.will_be("INACTIVE:DISABLED").await;
    let log = world.api.log().await;
    let last = log
        .iter()
        .rfind(|event| event["event"] == "user:vendor-action:updated");
    let action = &last.unwrap()["vendorAction"];
    assert_eq!(action["failureReason"]["type"], "REQUESTED_CANCELLATION");
    world.sandbox.drop_all_faults().await;
    schedule.change(json!({ "isEnabled": true })).await;
    schedule.will_be("ALIGNED").await;
    // Nothing changes by saying the same again.
    let before = world.api.log().await.len();
    schedule.change(json!({ "isEnabled": true })).await;
    world.settle().await;
    assert_eq!(world.api.log().await.len(), before);
    world.shut_down().await;
}

/// What fails is told, and tried again half an hour later.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_tried_again() {
    let (world, account) = charging(Cloud::Volta).await;
    let car = Asset::only(&world, "vehicles").await;
    let home = home_of(&world, &car, "UTC").await;
    fault(&world, Cloud::Volta, FaultKind::CommandIgnored).await;
    let schedule = Schedule::make(&world, charge_schedule(&car, Some(&home), &[])).await;
    world.advance(minutes(20)).await;
    assert_eq!(schedule.state().await, "PENDING");
    world.advance(WINDOW - minutes(19)).await;
    assert_eq!(schedule.state().await, "MISALIGNED");
    assert_eq!(made(&world).await.len(), 1);
    let sent = commands(&world, &account);
    world.sandbox.drop_all_faults().await;
    world.advance(minutes(20)).await;
    assert_eq!(schedule.state().await, "MISALIGNED");
    assert_eq!(commands(&world, &account), sent, "not before its time");
    world.advance(minutes(12)).await;
    assert_eq!(schedule.state().await, "ALIGNED");
    assert_eq!(car.power().await, "PLUGGED_IN:STOPPED");
    assert_eq!(made(&world).await.len(), 2);
    world.shut_down().await;
}

/// What somebody does to the car stays, until the schedule wants something else or the cable was
/// pulled.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_meddles_is_left_alone() {
    let (world, account) = charging(Cloud::Volta).await;
    let car = Asset::only(&world, "vehicles").await;
    let home = home_of(&world, &car, "UTC").await;
    let body = charge_schedule(&car, Some(&home), &[("07:30", "08:00")]);
    let schedule = Schedule::make(&world, body).await;
    schedule.will_be("ALIGNED").await;
    assert_eq!(commands(&world, &account), 1);
    let device = of_kind(&account, "vehicle");
    let start = DevicePatch {
        charging: Some(true),
        ..DevicePatch::default()
    };
    world.sandbox.patch_device(device, &start).await.unwrap();
    schedule.will_be("MISALIGNED").await;
    world.advance(minutes(40)).await;
    assert_eq!(schedule.state().await, "MISALIGNED");
    assert_eq!(car.power().await, "PLUGGED_IN:CHARGING");
    assert_eq!(commands(&world, &account), 1);
    // Plugged in anew, it is as any car that comes home.
    world.plug(device, false).await;
    schedule.will_be("ALIGNED").await;
    world.plug(device, true).await;
    world.advance(minutes(6)).await;
    schedule.will_be("ALIGNED").await;
    assert_eq!(car.power().await, "PLUGGED_IN:STOPPED");
    assert_eq!(commands(&world, &account), 2);
    world.sandbox.patch_device(device, &start).await.unwrap();
    schedule.will_be("MISALIGNED").await;
    // It is what is wanted by now, and then no longer.
    until(&world, "2026-03-02T07:31:00Z").await;
    assert_eq!(schedule.state().await, "ALIGNED");
    until(&world, "2026-03-02T08:00:00Z").await;
    schedule.will_be("ALIGNED").await;
    assert_eq!(car.power().await, "PLUGGED_IN:STOPPED");
    assert_eq!(commands(&world, &account), 3);
    world.shut_down().await;
}

/// Control that the vehicle's owner takes back is missing; nothing is sent then.
#[tokio::test(flavor = "multi_thread")]
async fn control_that_is_taken_back_is_missing() {
    let (world, account) = charging(Cloud::Volta).await;
    let car = Asset::only(&world, "vehicles").await;
    let home = home_of(&world, &car, "UTC").await;
    let body = charge_schedule(&car, Some(&home), &[("07:00", "08:00")]);
    let schedule = Schedule::make(&world, body).await;
    schedule.will_be("ALIGNED").await;
    let vin = of_kind(&account, "vehicle");
    let remote = async |remote: Remote| {
        let patch = DevicePatch {
            remote: Some(remote),
            ..DevicePatch::default()
        };
        world.sandbox.patch_device(vin, &patch).await.unwrap();
        world.advance(minutes(8)).await;
    };
    remote(Remote::SwitchedOff).await;
    schedule.will_be("INACTIVE:INCAPABLE").await;
    until(&world, "2026-03-02T07:01:00Z").await;
    assert_eq!(schedule.state().await, "INACTIVE:INCAPABLE");
    assert_eq!(commands(&world, &account), 1);
    let status = schedule.status().await;
    assert_eq!(status["isChargingExpected"], Value::Bool(true));
    remote(Remote::Allowed).await;
    schedule.will_be("ALIGNED").await;
    assert_eq!(car.power().await, "PLUGGED_IN:CHARGING");
    world.shut_down().await;
}
