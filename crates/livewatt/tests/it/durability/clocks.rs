//! Clocks that jump by an hour while deliveries are under way.

use livewatt_domain::{SignedDuration, Timestamp};
use livewatt_sandbox::Cloud;

use super::records::{by_device, taken_once};
use crate::support::{START, STEP, World, receiver::Delivery, still};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// A world whose receiver has refused a delivery some times: the next attempt is some 80 s off.
async fn failing() -> World {
    let world = World::with(|settings| settings.webhooks.lanes = 1).await;
    world.subscribe().await;
    world.receiver.answer_with(500);
    world.link("ann", Cloud::Volta, still()).await;
    while attempts(&world) < 5 {
        world.step().await;
    }
    world
}

fn attempts(world: &World) -> usize {
    let attempts = world.receiver.attempts();
    attempts.iter().filter(|a| Delivery::is_of_log(a)).count()
}

/// Lets the server's clock run on, that of the vendor standing still: it cannot be set back.
async fn run(world: &World, by: SignedDuration) -> usize {
    let before = attempts(world);
    let end = world.now().checked_add(by).unwrap();
    while world.now() < end {
        world.clock.advance(STEP);
        world.engine().deliver_due().await;
    }
    attempts(world) - before
}

async fn assert_delivered(world: &World) {
    let (taken, figures) = taken_once(&world.receiver);
    assert_eq!(figures.duplicates, 0);
    assert_eq!(by_device(&taken), by_device(&world.api.log_for_all().await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_neither_loses_retries_nor_hurries_them() {
    let world = failing().await;
    world.clock.advance(SignedDuration::ZERO - HOUR);
    // 80 s, then 160 s, each varied by a tenth.
    let made = run(&world, SignedDuration::from_secs(300)).await;
    assert_eq!(made, 2);
    world.receiver.answer_with(204);
    let made = run(&world, SignedDuration::from_secs(360)).await;
    assert_eq!(made, 1);
    assert_delivered(&world).await;
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_forward_and_right_again_makes_one_attempt_more() {
    let world = failing().await;
    let before = attempts(&world);
    world.clock.advance(HOUR);
    world.engine().deliver_due().await;
    world.engine().deliver_due().await;
    assert_eq!(attempts(&world) - before, 1, "due, and due once");
    world.clock.advance(SignedDuration::ZERO - HOUR);
    world.engine().deliver_due().await;
    assert_eq!(attempts(&world) - before, 1);
    // 160 s after the attempt before.
    assert_eq!(run(&world, SignedDuration::from_secs(120)).await, 0);
    assert_eq!(run(&world, SignedDuration::from_secs(80)).await, 1);
    world.receiver.answer_with(204);
    run(&world, SignedDuration::from_secs(400)).await;
    assert_delivered(&world).await;
    let start: Timestamp = START.parse().unwrap();
    assert!(
        world.now().duration_since(start) < HOUR,
        "the clock is right"
    );
    world.shut_down().await;
}
