//! Clocks that jump, nights of an odd length, and a day that comes every four years.

use livewatt_domain::{SignedDuration, Timestamp, kind::DeviceKind};
use livewatt_sandbox::{AccountSpec, Cloud, DevicePatch};
use serde_json::Value;

use crate::support::{World, still};

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

fn calls(world: &World) -> i64 {
    world.sandbox.truth(None, None).unwrap()["stats"]["calls_total"]
        .as_i64()
        .unwrap()
}

fn quota_exceeded(world: &World) -> i64 {
    world.sandbox.truth(None, None).unwrap()["stats"]["quota_exceeded"]
        .as_i64()
        .unwrap()
}

/// The log and what was delivered are the same, each event once, device by device in order; but for
/// restatements, which nobody here has asked for by name.
async fn check_order(world: &World) {
    let log = world.api.log_for_all().await;
    let told = world.receiver.events();
    let ids = |events: &[Value]| {
        let id = |event: &Value| event.to_string();
        events
            .iter()
            .map(id)
            .collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(ids(&log).len(), log.len(), "an event is in the log twice");
    assert_eq!(ids(&log), ids(&told));
    assert_eq!(log.len(), told.len());
    for kind in DeviceKind::ALL {
        for device in world.api.all(kind.plural()).await {
            let of_it = |events: &[Value]| {
                let is_it = |event: &&Value| event[kind.name()]["id"] == device["id"];
                events.iter().filter(is_it).cloned().collect::<Vec<_>>()
            };
            assert_eq!(of_it(&log), of_it(&told), "{kind}");
        }
    }
}

/// The clock alone jumps, as when a machine's is set: what vendors say is of their own time.
async fn a_jump(by: SignedDuration) {
    let world = World::new().await;
    world.subscribe().await;
    for cloud in [Cloud::Volta, Cloud::Rivoli, Cloud::Helios] {
        world
            .link(&format!("{cloud}"), cloud, AccountSpec::default())
            .await;
    }
    world.advance(minutes(40)).await;
    let (before, per_hour) = {
        let before = calls(&world);
        world.advance(minutes(60)).await;
        (calls(&world), calls(&world) - before)
    };
    assert!(per_hour > 20, "hardly anything is polled");

    world.clock.advance(by);
    world.settle().await;
    assert!(calls(&world) - before < 30, "it storms");
    // Polling goes on at its pace within ten minutes, and is not faster than before.
    let resumed = calls(&world);
    for _ in 0..60 {
        world.clock.advance(SignedDuration::from_secs(10));
        world.settle().await;
    }
    let after = calls(&world) - resumed;
    assert!(
        after * 6 <= per_hour * 2,
        "{after} calls in ten minutes, {per_hour} an hour before"
    );
    assert!(after > 0, "polling has stopped");
    assert_eq!(quota_exceeded(&world), 0);
    for kind in DeviceKind::ALL {
        for device in world.api.all(kind.plural()).await {
            let id = device["id"].as_str().unwrap();
            let path = format!("/{}/{id}/freshness", kind.plural());
            let why = world.api.get(&path).await.expect_status(200);
            assert!(
                why["nextDueAt"].is_string() || why["nextDueAt"].is_null(),
                "{why}"
            );
        }
    }
    // Tokens of before still count, and new sessions can be made.
    world.api.get("/vehicles").await.expect_status(200);
    let session = serde_json::json!({
        "language": "en-US", "redirectUri": "https://app.example/done",
        "scopes": ["vehicle:read:data"],
    });
    world
        .api
        .post("/users/ann/link", Some(session))
        .await
        .expect_status(200);
    check_order(&world).await;
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_forward_by_an_hour() {
    a_jump(minutes(60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_by_an_hour() {
    a_jump(minutes(-60)).await;
}

/// A few hours around a moment, with a plug pulled on each side of it.
async fn lives_through(start: &str) {
    let world = World::starting_at(start, |_| {}).await;
    world.subscribe().await;
    let account = world.link("ann", Cloud::Volta, still()).await;
    world.link("ann", Cloud::Helios, still()).await;
    let car = &account.devices[0].id;
    for is_plugged in [false, true, false, true] {
        world.plug(car, is_plugged).await;
        world.advance(minutes(60)).await;
    }
    for kind in DeviceKind::ALL {
        for device in world.api.all(kind.plural()).await {
            let seen: Timestamp = device["lastSeen"].as_str().unwrap().parse().unwrap();
            let age = world.now().duration_since(seen);
            assert!(
                (SignedDuration::ZERO..minutes(25)).contains(&age),
                "{kind}: {age}"
            );
        }
    }
    let times = world.api.log().await;
    let times = times
        .iter()
        .map(|event| event["createdAt"].as_str().unwrap().to_owned());
    let times = times.collect::<Vec<_>>();
    assert!(times.is_sorted(), "{times:?}");
    assert!(times.len() > 8, "hardly anything happened");
    check_order(&world).await;
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nights_of_an_odd_length_in_oslo() {
    // 29 March 2026, 02:00 becomes 03:00; 25 October 2026, 03:00 becomes 02:00.
    lives_through("2026-03-28T23:30:00Z").await;
    lives_through("2026-10-24T22:30:00Z").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leap_day() {
    lives_through("2028-02-28T22:00:00Z").await;
    lives_through("2028-02-29T22:00:00Z").await;
}

/// A clock that is a year ahead for an hour, then right again: retention works on as if nothing
/// had been, and nothing within it is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_a_year_ahead() {
    let world = World::with(|settings| settings.events.retention_days = 2).await;
    let account = world.link("ann", Cloud::Volta, still()).await;
    let car = &account.devices[0].id;
    let day = SignedDuration::from_hours(24);
    let pull = async |is_plugged| {
        let patch = DevicePatch {
            plugged: Some(is_plugged),
            ..DevicePatch::default()
        };
        world.sandbox.patch_device(car, &patch).await.unwrap();
        world.settle().await;
    };
    world.advance(minutes(1)).await;
    pull(false).await;
    let before = world.api.log().await;
    let right = world.now();
    world.clock.set(right.checked_add(day * 365).unwrap());
    world.settle().await;
    for _ in 0..6 {
        assert_eq!(world.engine().prune().await.unwrap(), 0, "believed at once");
    }
    world.clock.set(right);
    world.advance(minutes(10)).await;
    world.engine().prune().await.unwrap();
    pull(true).await;
    let log = world.api.log().await;
    assert_eq!(log[..before.len()], before);
    for days in 1..=4 {
        // A day passes at once, the sandbox with it.
        world.clock.advance(day);
        world.sandbox.set_now(world.now()).await.unwrap();
        pull(days % 2 == 0).await;
        world.engine().prune().await.unwrap();
    }
    let left = world.api.log().await;
    assert!(!left.is_empty());
    let newest_day = world.now().checked_sub(day * 3).unwrap();
    for event in &left {
        let at: Timestamp = event["createdAt"].as_str().unwrap().parse().unwrap();
        assert!(
            at >= newest_day && at <= world.now(),
            "kept too long: {event}"
        );
    }
    world.shut_down().await;
}
