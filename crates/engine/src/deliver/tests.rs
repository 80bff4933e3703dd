use livewatt_domain::{
    SignedDuration,
    entropy::SeededEntropy,
    id::DeliveryId,
    webhook::{EventFilter, PendingDelivery, Position},
};
use livewatt_vendors::Secret;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_772_431_200 + seconds).unwrap()
}

fn seconds(count: i64) -> SignedDuration {
    SignedDuration::from_secs(count)
}

/// Deliveries with one webhook of one lane that has news.
fn deliveries(pending: Option<PendingDelivery>) -> (Deliveries, ReadyLane) {
    let options = EngineOptions::new("http://127.0.0.1/".parse().unwrap());
    let deliveries = Deliveries::new(&options).unwrap();
    let entropy = SeededEntropy::new(1);
    let webhook = Webhook {
        id: WebhookId::new(at(0), &entropy),
        client_id: ClientId::new(at(0), &entropy),
        url: "http://127.0.0.1/hook".to_owned(),
        sealed_secret: String::new(),
        events: EventFilter(vec!["*".to_owned()]),
        api_version: None,
        authentication: None,
        is_active: true,
        last_success: at(0),
        created_at: at(0),
        lanes: 1,
        revision: 0,
    };
    let ready = ReadyLane {
        webhook: webhook.id,
        epoch: 0,
        lane: 0,
    };
    let lane = WatchedLane::new(Lane {
        webhook_id: webhook.id,
        lane: 0,
        cursor: Position(0),
        pending,
    });
    let watched = Watched {
        receiver: Receiver {
            url: webhook.url.clone(),
            secret: Secret::new("secret".to_owned()),
            header: None,
        },
        last_success: at(0),
        epoch: 0,
        lanes: vec![lane],
        next_heartbeat_at: at(600),
        webhook,
        is_leaving: false,
    };
    deliveries.watched().insert(watched);
    (deliveries, ready)
}

fn retry_at(next_attempt_at: Timestamp) -> PendingDelivery {
    PendingDelivery {
        id: DeliveryId::new(at(0), &SeededEntropy::new(2)),
        until: Position(3),
        attempts: 1,
        failing_since: Some(at(0)),
        next_attempt_at,
    }
}

#[test]
fn after_a_failure_of_our_own_a_lane_rests_and_comes_back() {
    for pending in [None, Some(retry_at(at(0)))] {
        let (deliveries, lane) = deliveries(pending);
        assert_eq!(deliveries.take_ready(at(0)), [lane]);
        // As `run_lane` does after an error.
        deliveries.with_lane(lane, |lane| {
            lane.has_news = true;
            lane.rests_until = Some(at(5));
            lane.is_running = false;
        });
        assert_eq!(
            deliveries.next_due(),
            Some(at(5)),
            "it would spin, or sleep on"
        );
        assert_eq!(deliveries.take_ready(at(4)), []);
        assert_eq!(deliveries.take_ready(at(5)), [lane]);
    }
}

#[test]
fn a_clock_set_back_makes_nobody_wait_for_it() {
    let (deliveries, lane) = deliveries(Some(retry_at(at(20))));
    assert_eq!(deliveries.take_ready(at(0)), []);
    let back = |seconds: i64| at(seconds - 3600);
    assert_eq!(deliveries.take_ready(back(0)), []);
    assert_eq!(deliveries.next_due(), Some(back(20)));
    assert_eq!(deliveries.take_ready(back(19)), []);
    assert_eq!(deliveries.take_ready(back(20)), [lane]);
    deliveries.with_lane(lane, |lane| {
        lane.is_running = false;
        lane.rests_until = Some(back(30).checked_add(seconds(3600)).unwrap());
    });
    assert_eq!(deliveries.take_ready(back(21)), []);
    assert_eq!(deliveries.take_ready(at(30)), [lane], "set right again");
}

#[test]
fn only_the_client_whose_log_grew_is_woken_and_what_is_gone_is_not_due() {
    let (deliveries, lane) = deliveries(None);
    let client = deliveries
        .watched()
        .get(lane.webhook)
        .unwrap()
        .webhook
        .client_id;
    let other = ClientId::new(at(1), &SeededEntropy::new(3));
    assert_eq!(deliveries.take_ready(at(0)), [lane]);
    assert_eq!(deliveries.take_ready(at(0)), [], "it runs");
    deliveries.with_lane(lane, |lane| {
        lane.has_news = false;
        lane.is_running = false;
    });
    deliveries.wake_client(other);
    assert_eq!(deliveries.take_ready(at(0)), []);
    assert_eq!(deliveries.next_due(), Some(at(600)), "the heartbeat");
    deliveries.wake_client(client);
    deliveries.wake_client(client);
    assert_eq!(deliveries.take_ready(at(0)), [lane]);
    // News while it runs are its own to find.
    deliveries.wake_client(client);
    assert_eq!(deliveries.take_ready(at(0)), []);
    deliveries.with_lane(lane, |lane| lane.is_running = false);
    assert_eq!(deliveries.take_ready(at(0)), [lane]);
    deliveries.with_lane(lane, |lane| lane.is_running = false);
    deliveries.forget_client(other);
    assert!(deliveries.next_due().is_some());
    deliveries.forget_client(client);
    assert_eq!(deliveries.next_due(), None);
    assert_eq!(deliveries.take_ready(at(9_999)), []);
    assert_eq!(deliveries.with_lane(lane, |_| ()), None);
}

#[test]
fn each_webhook_gets_one_heartbeat_at_its_time() {
    let (deliveries, lane) = deliveries(None);
    let take = |now| deliveries.watched().take_heartbeats(now, at(1_200)).len();
    assert_eq!([take(at(599)), take(at(600)), take(at(600))], [0, 1, 0]);
    deliveries.take_ready(at(0));
    assert_eq!(deliveries.next_due(), Some(at(1_200)));
    deliveries.forget(lane.webhook);
    assert_eq!(deliveries.next_due(), None);
}
