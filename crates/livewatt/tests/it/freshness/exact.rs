//! The report's numbers against a sum that the test makes by itself, from what the sandbox was asked.

use livewatt_domain::{Timestamp, age::BreachReason};
use livewatt_sandbox::Cloud;

use super::{minutes, one_car, report, row};
use crate::support::World;

/// Answers that the sandbox has given for the car's state.
fn answers(world: &World) -> i64 {
    let truth = world.sandbox.truth(None, None).unwrap();
    truth["accounts"][0]["stats"]["calls_total"]
        .as_i64()
        .unwrap()
}

/// Lets time go by second by second, noting when the sandbox was asked.
async fn watch(world: &World, seconds: i64, asked: &mut Vec<Timestamp>) {
    for _ in 0..seconds {
        let before = answers(world);
        world
            .advance_exactly(livewatt_domain::SignedDuration::from_secs(1))
            .await;
        if answers(world) > before {
            asked.push(world.now());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sums_are_those_of_the_calls_that_the_vendor_saw() {
    let world = World::new().await;
    world.link("ada", Cloud::Rivoli, one_car()).await;
    let mut asked = Vec::new();
    watch(&world, 5_400, &mut asked).await;
    // Our own standstill of 50 minutes.
    world.clock.advance(minutes(50));
    world.sandbox.set_now(world.now()).await.unwrap();
    world.settle().await;
    asked.push(world.now());
    watch(&world, 1_800, &mut asked).await;

    let report = report(&world).await;
    let row = row(&report, "chargeState");
    let mut ends = asked.clone();
    ends.push(world.now());
    let gaps: Vec<i64> = ends
        .windows(2)
        .map(|pair| pair[1].duration_since(pair[0]).as_secs())
        .collect();
    // A still car: 7 minutes while awake, 20 asleep. The standstill's gap is beyond either.
    let peak = *gaps.iter().max().unwrap();
    assert!(peak >= 3_000, "{gaps:?}");
    let allowed = match report.breaches[0].target_seconds {
        420 => 463,
        1_200 => 1_321,
        other => panic!("a still car's standard is {other}"),
    };
    let total: i64 = gaps.iter().sum();
    let beyond = peak - allowed;
    assert_eq!(row.within_seconds as i64, total - beyond, "{gaps:?}");
    assert_eq!(row.beyond_seconds as i64, beyond, "{gaps:?}");
    assert_eq!(row.unreachable_seconds, 0);
    assert_eq!(row.max_seconds, Some(peak as f64));
    assert_eq!(row.device_hours, total as f64 / 3_600.0);
    assert_eq!(row.breaches[&BreachReason::Late], 1);
    let breach = report.breaches.iter().find(|b| b.block == "chargeState");
    let breach = breach.unwrap();
    let ended = breach.ended.unwrap();
    assert!(asked.contains(&ended));
    assert_eq!(breach.worst_age_seconds as i64, peak);
    assert_eq!(ended.duration_since(breach.began).as_secs(), beyond);
    // The age in the middle of all seconds, counted one by one, within its bin.
    let mut ages: Vec<i64> = gaps.iter().flat_map(|gap| 0..*gap).collect();
    ages.sort_unstable();
    let middle = ages[ages.len() / 2] as f64;
    let p50 = row.p50_seconds.unwrap();
    assert!(
        (p50 - middle).abs() <= 0.25 * middle,
        "{p50} against {middle}"
    );
    world.shut_down().await;
}
