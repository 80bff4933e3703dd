//! Receivers that fail, for seconds and for days.

use livewatt_sandbox::Cloud;
use serde_json::json;

use super::{assert_complete, is_active, minutes, of_log, one_lane, replug, subscribe, vehicle};
use crate::support::{
    START, STEP, World, eventually, loopback,
    receiver::{Delivery, Receiver},
    still,
};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_reordered_by_a_receiver_that_is_down_for_hours() {
    let world = World::new().await;
    world.subscribe().await;
    let mut vehicles = Vec::new();
    for user in 0..6 {
        vehicles.push(vehicle(&world, &format!("user-{user}")).await);
    }
    for hour in 0..5 {
        world.receiver.answer_with([500, 302, 404, 503, 429][hour]);
        for vehicle in &vehicles {
            replug(&world, vehicle).await;
        }
        world.advance(minutes(50)).await;
    }
    let refused = of_log(&world.receiver)
        .iter()
        .filter(|attempt| !attempt.is_taken)
        .count();
    // In each of four lanes: 5 s, 10 s, … 2 h.
    assert!((30..60).contains(&refused), "{refused} attempts in vain");
    world.receiver.answer_with(204);
    world.advance(minutes(140)).await;
    assert_complete(&world, &world.receiver).await;
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_delivered_a_hundred_at_a_time_across_restarts() {
    let mut world = World::with(one_lane).await;
    world.subscribe().await;
    world.receiver.answer_with(500);
    for user in 0..30 {
        world
            .link(&format!("user-{user}"), Cloud::Helios, still())
            .await;
    }
    world.advance(minutes(2)).await;
    world = world.restart(minutes(1), |_| {}).await;
    world.advance(minutes(2)).await;
    world.receiver.answer_with(200);
    world = world.restart(minutes(10), |_| {}).await;
    world.settle().await;
    assert_complete(&world, &world.receiver).await;
    let sizes: Vec<usize> = world
        .receiver
        .deliveries()
        .iter()
        .map(|delivery| delivery.events.len())
        .collect();
    assert!(
        sizes.iter().sum::<usize>() > 200 && sizes[..2] == [100, 100],
        "{sizes:?}"
    );
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receivers_wish_to_be_left_alone_is_honoured() {
    let world = World::with(one_lane).await;
    world.subscribe().await;
    world.receiver.answer_with(503);
    world.receiver.retry_after(3600);
    vehicle(&world, "ann").await;
    world.advance(minutes(5 * 60)).await;
    let sent_at = |attempt: &Delivery| -> i64 {
        attempt.headers["webhook-timestamp"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap()
    };
    let times: Vec<i64> = of_log(&world.receiver).iter().map(sent_at).collect();
    let gaps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps.len(), 5, "{gaps:?}");
    // Never early; late by a step of this world at most.
    assert!(
        gaps.iter().all(|gap| (3600..=3610).contains(gap)),
        "{gaps:?}"
    );
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_day_of_failure_it_is_off_until_a_test_or_a_change() {
    let world = World::new().await;
    let other = Receiver::start(loopback().await);
    let receivers = [&world.receiver, &other];
    let mut webhooks = Vec::new();
    for receiver in receivers {
        webhooks.push(subscribe(&world, receiver, json!({})).await);
        receiver.answer_with(500);
    }
    let vehicle = vehicle(&world, "ann").await;
    world.advance(minutes(23 * 60)).await;
    assert!(is_active(&world, &webhooks[0]).await);
    world.advance(minutes(62)).await;
    for (webhook, receiver) in webhooks.iter().zip(receivers) {
        assert!(!is_active(&world, webhook).await);
        receiver.clear();
    }
    replug(&world, &vehicle).await;
    world.advance(minutes(60)).await;
    assert!(
        receivers
            .iter()
            .all(|receiver| receiver.attempts().is_empty())
    );

    // A test that fails changes nothing.
    let test = format!("{}/test", webhooks[0]);
    let shown = world.api.post(&test, None).await.expect_status(200);
    assert_eq!(shown["status"], "FAILURE");
    assert_eq!(shown["response"]["code"], 500);
    assert!(!is_active(&world, &webhooks[0]).await);
    receivers
        .iter()
        .for_each(|receiver| receiver.answer_with(204));
    let shown = world.api.post(&test, None).await.expect_status(200);
    assert_eq!(shown["status"], "SUCCESS");
    let changed = world
        .api
        .patch(&webhooks[1], json!({}))
        .await
        .expect_status(200);
    assert_eq!(changed["isActive"], true);
    world.advance(STEP).await;
    for (webhook, receiver) in webhooks.iter().zip(receivers) {
        assert!(is_active(&world, webhook).await);
        assert_complete(&world, receiver).await;
    }
    let webhook = world.api.get(&webhooks[0]).await.expect_status(200);
    assert_ne!(webhook["lastSuccess"], webhook["createdAt"]);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_during_the_last_attempt_is_not_lost() {
    let world = World::with(one_lane).await;
    let webhook = subscribe(&world, &world.receiver, json!({})).await;
    world.receiver.answer_with(500);
    vehicle(&world, "ann").await;
    while world.now().duration_since(START.parse().unwrap()) < minutes(23 * 60 + 59) {
        world.step().await;
    }
    // The attempt at the end of the window hangs while the customer mends the webhook.
    world.receiver.clear();
    world.receiver.hold();
    world.clock.advance(minutes(2));
    let engine = world.engine().clone();
    let delivery = tokio::spawn(async move { engine.deliver_due().await });
    eventually("the last attempt", async || {
        !of_log(&world.receiver).is_empty()
    })
    .await;
    world
        .api
        .patch(&webhook, json!({}))
        .await
        .expect_status(200);
    world.receiver.release();
    delivery.await.unwrap();
    assert!(is_active(&world, &webhook).await);
    world.receiver.answer_with(200);
    world.advance(minutes(1)).await;
    assert_complete(&world, &world.receiver).await;
    world.shut_down().await;
}
