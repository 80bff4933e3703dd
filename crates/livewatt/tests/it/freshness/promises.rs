//! When promises are kept, when they are broken, and what is blamed.

use livewatt_domain::age::BreachReason;
use livewatt_sandbox::{Cloud, FaultKind};

use super::{lasting, minutes, one_car, report, row, vehicle};
use crate::support::{World, still};

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept_while_all_is_well() {
    let world = World::new().await;
    for cloud in [Cloud::Volta, Cloud::Rivoli, Cloud::Helios] {
        world.link(&format!("{cloud}"), cloud, still()).await;
    }
    world.advance_exactly(minutes(150)).await;
    let report = report(&world).await;
    assert!(report.is_kept(), "{:#?}", report.breaches);
    assert!(report.rows.len() >= 8, "{:#?}", report.rows);
    for row in &report.rows {
        assert_eq!(row.share_within, Some(1.0), "{row:#?}");
        assert_eq!(row.share_within_standard, Some(1.0), "{row:#?}");
        assert_eq!(row.share_unreachable, 0.0, "{row:#?}");
        assert!(row.slower_hours.is_empty() && row.breaches.is_empty());
        let (p50, p99) = (row.p50_seconds.unwrap(), row.p99_seconds.unwrap());
        let max = row.max_seconds.unwrap();
        assert!(p50 > 0.0 && p50 < p99 && p99 <= max, "{row:#?}");
        // The longest that is promised of anything is 20 minutes, of a car asleep.
        assert!(max <= 1_321.0, "{row:#?}");
    }
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_fails_is_counted_apart() {
    let world = World::new().await;
    world.link("ada", Cloud::Rivoli, one_car()).await;
    world.advance_exactly(minutes(60)).await;
    let fault = lasting(FaultKind::ServerError { status: 503 }, 60);
    world.sandbox.add_fault(Cloud::Rivoli, fault).await.unwrap();
    world.advance_exactly(minutes(60)).await;
    let during = vehicle(&world).await;
    assert_eq!(during["isReachable"], false);
    assert_eq!(during["blocks"][0]["breach"], serde_json::Value::Null);
    world.advance_exactly(minutes(60)).await;
    let report = report(&world).await;
    assert!(report.is_kept(), "{:#?}", report.breaches);
    let row = row(&report, "chargeState");
    let away = row.unreachable_hours[&BreachReason::Backoff];
    // From the first poll that failed to the first that did not: at most a wait of 15 minutes, and
    // its jitter, after the hour.
    assert!((0.6..=1.4).contains(&away), "{row:#?}");
    assert_eq!(row.share_within, Some(1.0), "{row:#?}");
    assert!(
        row.device_hours > 2.9 && row.device_hours <= 3.0,
        "{row:#?}"
    );
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_tells_us_to_wait_is_counted_apart() {
    let world = World::new().await;
    world.link("ada", Cloud::Volta, one_car()).await;
    world.advance_exactly(minutes(30)).await;
    let kind = FaultKind::RateLimited {
        retry_after_seconds: 1_800,
    };
    world
        .sandbox
        .add_fault(Cloud::Volta, lasting(kind, 20))
        .await
        .unwrap();
    world.advance_exactly(minutes(60)).await;
    let report = report(&world).await;
    let row = row(&report, "location");
    let away = row.unreachable_hours[&BreachReason::RateLimited];
    assert!(
        (0.5..=0.6).contains(&away),
        "the half hour it asked for: {row:#?}"
    );
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_credentials_are_counted_apart_for_as_long_as_they_are() {
    let mut world = World::new().await;
    let account = world.link("ada", Cloud::Volta, one_car()).await;
    world.advance_exactly(minutes(30)).await;
    let fault = world
        .sandbox
        .add_fault(Cloud::Volta, lasting(FaultKind::DeadToken, 600))
        .await;
    world.advance_exactly(minutes(30)).await;
    let away = async |world: &World| {
        let report = report(world).await;
        assert!(report.is_kept(), "{:#?}", report.breaches);
        row(&report, "location").unreachable_hours[&BreachReason::CredentialsInvalid]
    };
    let first = away(&world).await;
    assert!(first > 0.3, "{first}");
    // Also over a restart, and to the second.
    world = world.restart(minutes(60), |_| {}).await;
    world.advance_exactly(minutes(30)).await;
    assert!((away(&world).await - first - 1.5).abs() < 1e-9);
    world.sandbox.drop_fault(&fault.unwrap().id).await.unwrap();
    world.link_account("ada", &account).await;
    let until_linked = away(&world).await;
    world.advance_exactly(minutes(30)).await;
    let afterwards = away(&world).await;
    assert!(
        afterwards - until_linked < 0.01,
        "{afterwards} {until_linked}"
    );
    assert_eq!(vehicle(&world).await["isReachable"], true);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stood_still_says_so() {
    let mut world = World::new().await;
    world.link("ada", Cloud::Rivoli, one_car()).await;
    world.advance_exactly(minutes(30)).await;
    world = world.restart(minutes(120), |_| {}).await;
    let before = vehicle(&world).await;
    let block = &before["blocks"][0];
    let age = block["ageSeconds"].as_f64().unwrap();
    assert!(age >= 7_200.0, "true after a restart: {age}");
    assert_eq!(block["breach"]["reason"], "serverDown");
    assert_eq!(report(&world).await.rows[0].open_breaches, 1);
    world.advance_exactly(minutes(30)).await;
    let report = report(&world).await;
    assert!(!report.breaches.is_empty());
    for breach in &report.breaches {
        assert_eq!(breach.reason, BreachReason::ServerDown, "{breach:#?}");
        assert!(breach.ended.is_some(), "{breach:#?}");
        assert!(
            (7_200..9_000).contains(&breach.worst_age_seconds),
            "{breach:#?}"
        );
    }
    for row in &report.rows {
        assert_eq!(row.breaches[&BreachReason::ServerDown], 1);
        assert!(
            row.device_hours > 2.98 && row.device_hours <= 3.0,
            "{row:#?}"
        );
        assert_eq!(
            row.max_seconds,
            Some(report.breaches[0].worst_age_seconds as f64)
        );
    }
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breach_is_seen_while_it_lasts_and_is_our_own_fault_if_nobody_elses() {
    let world = World::new().await;
    world.link("ada", Cloud::Rivoli, one_car()).await;
    world.advance_exactly(minutes(30)).await;
    // Time goes by and nobody fetches.
    world.clock.advance(minutes(40));
    assert!(world.engine().watch_freshness() > 0);
    assert_eq!(world.engine().watch_freshness(), 0, "each is opened once");
    let open = report(&world).await;
    let breach = &open.breaches[0];
    assert_eq!((breach.reason, breach.ended), (BreachReason::Late, None));
    let worst = breach.worst_age_seconds;
    assert_eq!(
        vehicle(&world).await["blocks"][0]["breach"]["reason"],
        "late"
    );
    assert!((2_400..4_000).contains(&worst), "{worst}");
    world.clock.advance(minutes(5));
    assert_eq!(
        report(&world).await.breaches[0].worst_age_seconds,
        worst + 300
    );
    world.sandbox.set_now(world.now()).await.unwrap();
    world.settle().await;
    let closed = report(&world).await;
    assert_eq!(closed.breaches[0].ended, Some(world.now()));
    assert_eq!(closed.breach_count, open.breach_count);
    assert_eq!(closed.rows[0].open_breaches, 0);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_becomes_active_is_given_one_poll() {
    let world = World::new().await;
    let account = world.link("ada", Cloud::Volta, one_car()).await;
    world.advance_exactly(minutes(30)).await;
    for _ in 0..6 {
        world.plug(&account.devices[0].id, false).await;
        world.advance_exactly(minutes(16)).await;
        world.plug(&account.devices[0].id, true).await;
        world.advance_exactly(minutes(9)).await;
    }
    let report = report(&world).await;
    assert!(report.is_kept(), "{:#?}", report.breaches);
    for row in &report.rows {
        assert_eq!(row.share_within, Some(1.0), "{row:#?}");
    }
    world.shut_down().await;
}
