//! Servers that end in the middle of a transition.

use livewatt_sandbox::{Cloud, FaultKind};

use super::{Schedule, charge_schedule, home_of, made};
use crate::actions::{Asset, charging, commands, fault, minutes, seconds};

/// The action of the transition goes on; no second one is made, and no second command is sent before
/// its time.
#[tokio::test(flavor = "multi_thread")]
async fn a_transition_outlives_a_restart() {
    let (world, account) = charging(Cloud::Volta).await;
    fault(&world, Cloud::Volta, FaultKind::CommandSlow { seconds: 20 }).await;
    let id = {
        let car = Asset::only(&world, "vehicles").await;
        let home = home_of(&world, &car, "UTC").await;
        let schedule = Schedule::make(&world, charge_schedule(&car, Some(&home), &[])).await;
        world.step().await;
        assert_eq!(schedule.state().await, "PENDING");
        schedule.id
    };
    assert_eq!(commands(&world, &account), 1);
    let world = world.restart(seconds(5), |_| {}).await;
    world.step().await;
    let schedule = Schedule { world: &world, id };
    assert_eq!(schedule.state().await, "PENDING");
    assert_eq!(commands(&world, &account), 1, "it was sent 15 s ago");
    schedule.will_be("ALIGNED").await;
    let car = Asset::only(&world, "vehicles").await;
    assert_eq!(car.power().await, "PLUGGED_IN:STOPPED");
    assert_eq!(commands(&world, &account), 1);
    assert_eq!(made(&world).await.len(), 1);
    world.shut_down().await;
}

/// What fell due while nothing ran is done once, right after the start.
#[tokio::test(flavor = "multi_thread")]
async fn a_transition_that_was_missed_is_made_up_for() {
    let (world, account) = charging(Cloud::Volta).await;
    let id = {
        let car = Asset::only(&world, "vehicles").await;
        let home = home_of(&world, &car, "UTC").await;
        let body = charge_schedule(&car, Some(&home), &[("06:00", "06:30")]);
        let schedule = Schedule::make(&world, body).await;
        schedule.will_be("ALIGNED").await;
        assert_eq!(car.power().await, "PLUGGED_IN:CHARGING");
        schedule.id
    };
    let world = world.restart(minutes(25), |_| {}).await;
    let schedule = Schedule { world: &world, id };
    schedule.will_be("ALIGNED").await;
    let car = Asset::only(&world, "vehicles").await;
    assert_eq!(car.power().await, "PLUGGED_IN:STOPPED");
    assert_eq!(commands(&world, &account), 1);
    world.shut_down().await;
}
