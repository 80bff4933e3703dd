//! Days and stories in simulated time, over real HTTP.

use std::collections::{BTreeMap, HashSet};

use livewatt_domain::{
    SignedDuration,
    cadence::{Activity, CadenceReason, target},
    diff::changed_paths,
    event::ENERGY_RESTATED,
    kind::DeviceKind,
    webhook::Position,
};
use livewatt_sandbox::{AccountSpec, Cloud, DevicePatch, FaultKind, FaultSpec};
use serde_json::{Value, json};

use crate::support::{self, STEP, World};

/// Nobody drives, plugs in or unplugs by themselves.
fn still() -> AccountSpec {
    AccountSpec {
        habits: Some(false),
        ..AccountSpec::default()
    }
}

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_of_two_hundred_accounts() {
    let world = World::new().await;
    // Before anybody is linked, so that every device's first event is told.
    world.subscribe().await;
    for (cloud, count) in [
        (Cloud::Volta, 130),
        (Cloud::Rivoli, 60),
        (Cloud::Helios, 10),
    ] {
        for index in 0..count {
            world
                .link(&format!("{cloud}-{index}"), cloud, AccountSpec::default())
                .await;
        }
    }
    let mut oldest: BTreeMap<(DeviceKind, Activity), SignedDuration> = BTreeMap::new();
    for hour in 0..24 {
        // Not on the hour, so that every phase of the cadence is met.
        world.advance(minutes(60) + STEP * (hour % 5)).await;
        check_freshness(&world, &mut oldest).await;
    }
    world.settle().await;

    // A meter is never active; a vehicle can also be asleep.
    assert_eq!(
        oldest.len(),
        12,
        "not every kind was met in every activity: {oldest:?}"
    );
    let truth = world.sandbox.truth(None, None).unwrap();
    assert_eq!(truth["stats"]["quota_exceeded"], 0, "a quota was exceeded");
    assert_eq!(truth["stats"]["rate_limited"], 0);
    let pushes = |what: &str| sum(&truth, what);
    assert!(pushes("pushes_made") > 500, "hardly anything was pushed");
    assert_eq!(pushes("pushes_acked"), pushes("pushes_made"));
    check_log(&world).await;
    println!(
        "a day of 200 accounts: {} vendor calls, {} pushes, {} events in {} deliveries",
        truth["stats"]["calls_total"],
        pushes("pushes_made"),
        world.receiver.events().len(),
        world.receiver.deliveries().len(),
    );
    world.shut_down().await;
}

fn sum(truth: &Value, what: &str) -> i64 {
    let accounts = truth["accounts"].as_array().unwrap();
    accounts
        .iter()
        .map(|account| account["stats"][what].as_i64().unwrap())
        .sum()
}

/// Every block of every device is no older than its cadence and one poll.
async fn check_freshness(
    world: &World,
    oldest: &mut BTreeMap<(DeviceKind, Activity), SignedDuration>,
) {
    for kind in DeviceKind::ALL {
        for device in world.api.all(kind.plural()).await {
            let id = device["id"].as_str().unwrap();
            let why = world
                .engine()
                .freshness(world.client, kind, id)
                .await
                .unwrap();
            assert_eq!(why.is_reachable, Some(true), "{kind} {id}");
            let promised = target(kind, why.activity);
            let interval = SignedDuration::from_secs_f64(why.interval_seconds.unwrap());
            assert_eq!(interval, promised, "{kind} {id}: {:?}", why.reason);
            let age = world
                .now()
                .duration_since(device["lastSeen"].as_str().unwrap().parse().unwrap());
            // Jitter of a tenth, rounding up to a second, and one step of this world.
            let limit = promised + promised / 10 + STEP + SignedDuration::from_secs(1);
            assert!(age <= limit, "{kind} {id} is {age:?} old: {why:#?}");
            let seen = oldest.entry((kind, why.activity)).or_default();
            *seen = (*seen).max(age);
        }
    }
}

/// The log and what the receiver got are the same, in order per device, each event telling the true
/// difference to the one before.
async fn check_log(world: &World) {
    let got = world.receiver.events();
    let told: HashSet<String> = got.iter().map(Value::to_string).collect();
    assert_eq!(told.len(), got.len(), "an event came twice");
    let mut logged = 0;
    let mut after = Position::default();
    loop {
        let page = world
            .engine()
            .events_after(world.client, after, 500)
            .await
            .unwrap();
        let of_contract = |name: &str| name != ENERGY_RESTATED;
        let events = page
            .events
            .iter()
            .filter(|entry| of_contract(&entry.event.name));
        for entry in events {
            logged += 1;
            let body: Value = serde_json::from_str(&entry.event.body).unwrap();
            assert!(told.contains(&body.to_string()), "never delivered: {body}");
        }
        match page.events.last() {
            Some(last) => after = last.position,
            None => break,
        }
    }
    assert_eq!(logged, got.len());
    let previous = support::log::check_differences(&got);
    // What the API shows now differs from the last event in times alone.
    for kind in DeviceKind::ALL {
        for device in world.api.all(kind.plural()).await {
            let last = &previous[device["id"].as_str().unwrap()];
            let of = |value: &Value| value.as_object().unwrap().clone();
            for path in changed_paths(&of(last), &of(&device)) {
                assert!(
                    livewatt_domain::diff::is_time_only(&path),
                    "{path} changed without event"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_arrives_between_two_polls() {
    let world = World::new().await;
    let account = world.link("ann", Cloud::Volta, still()).await;
    world.subscribe().await;
    world.advance(minutes(1)).await;
    let vehicle = world.api.all("vehicles").await.remove(0);
    let id = vehicle["id"].as_str().unwrap();
    let calls = calls(&world, Cloud::Volta, &account.id, "account");
    let before = world
        .api
        .get(&format!("/vehicles/{id}"))
        .await
        .expect_status(200);
    let was_plugged = before["chargeState"]["isPluggedIn"].as_bool().unwrap();
    world.receiver.clear();

    let patch = DevicePatch {
        plugged: Some(!was_plugged),
        ..DevicePatch::default()
    };
    world
        .sandbox
        .patch_device(&account.devices[0].id, &patch)
        .await
        .unwrap();
    world.advance(STEP * 2).await;

    let after = world
        .api
        .get(&format!("/vehicles/{id}"))
        .await
        .expect_status(200);
    assert_eq!(after["chargeState"]["isPluggedIn"], !was_plugged);
    let told = world.receiver.events();
    let fields = |event: &Value| event["updatedFields"].as_array().unwrap().clone();
    assert!(
        told.iter()
            .any(|e| fields(e).contains(&json!("chargeState.isPluggedIn")))
    );
    assert_eq!(
        self::calls(&world, Cloud::Volta, &account.id, "account"),
        calls,
        "it was polled"
    );
    world.shut_down().await;
}

fn calls(world: &World, cloud: Cloud, account: &str, endpoint: &str) -> i64 {
    let truth = world.sandbox.truth(Some(cloud), Some(account)).unwrap();
    truth["accounts"][0]["stats"]["calls"][endpoint]
        .as_i64()
        .unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_hint_brings_the_next_fetch_forward_once() {
    let world = World::new().await;
    let account = world.link("ann", Cloud::Rivoli, still()).await;
    world.advance(minutes(3)).await;
    let vehicle = world.api.all("vehicles").await.remove(0);
    let hint = format!("/vehicles/{}/refresh-hint", vehicle["id"].as_str().unwrap());
    let calls = || self::calls(&world, Cloud::Rivoli, &account.id, "car");
    let before = calls();

    world.api.post(&hint, None).await.expect_status(204);
    world.settle().await;
    assert_eq!(calls(), before + 1);
    // Within the minute it counts once.
    world.api.post(&hint, None).await.expect_status(204);
    world.advance(STEP).await;
    assert_eq!(calls(), before + 1);
    world.advance(minutes(1)).await;
    let after_a_minute = calls();
    world.api.post(&hint, None).await.expect_status(204);
    world.settle().await;
    assert_eq!(calls(), after_a_minute + 1);
    world
        .api
        .post("/vehicles/nothing/refresh-hint", None)
        .await
        .expect_status(404);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_token_invalidates_once_and_relinking_keeps_the_ids() {
    let world = World::new().await;
    let account = world.link("ann", Cloud::Volta, still()).await;
    world.subscribe().await;
    world.advance(minutes(1)).await;
    let ids = |devices: Vec<Value>| -> Vec<Value> {
        devices.iter().map(|device| device["id"].clone()).collect()
    };
    let before = ids(world.api.all("vehicles").await);

    world
        .sandbox
        .revoke_tokens(Cloud::Volta, &account.id)
        .unwrap();
    world.advance(minutes(60)).await;
    let told = world.receiver.names();
    let dead = told
        .iter()
        .filter(|name| *name == "user:credentials:invalidated")
        .count();
    assert_eq!(dead, 1, "{told:?}");
    let user = world.api.get("/users/ann").await.expect_status(200);
    assert!(
        user["linkedVendors"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["isValid"] == false)
    );
    let vehicles = world.api.all("vehicles").await;
    assert!(
        vehicles
            .iter()
            .all(|vehicle| vehicle["isReachable"] == false)
    );
    let calls = self::calls(&world, Cloud::Volta, &account.id, "account");
    world.advance(minutes(60)).await;
    assert_eq!(
        self::calls(&world, Cloud::Volta, &account.id, "account"),
        calls,
        "still polled"
    );

    let asset = vehicles[0]["id"].as_str().unwrap();
    let body = json!({ "language": "en-US", "redirectUri": "https://app.example/done" });
    world
        .api
        .post(&format!("/assets/{asset}/relink"), Some(body))
        .await
        .expect_status(200);
    world.link_account("ann", &account).await;
    world.advance(minutes(1)).await;
    let after = world.api.all("vehicles").await;
    assert!(after.iter().all(|vehicle| vehicle["isReachable"] == true));
    assert_eq!(ids(after), before);
    let user = world.api.get("/users/ann").await.expect_status(200);
    assert!(
        user["linkedVendors"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["isValid"] == true)
    );
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_deleted_only_on_evidence_and_returns_as_another() {
    let world = World::new().await;
    let account = world.link("ann", Cloud::Volta, still()).await;
    world.subscribe().await;
    world.advance(minutes(1)).await;
    let vin = account
        .devices
        .iter()
        .find(|device| device.id.starts_with("VLT"))
        .unwrap()
        .id
        .clone();
    let first = world.api.all("vehicles").await[0]["id"].clone();

    // Missing from one answer, and from a vendor that fails: no evidence.
    let missing = FaultSpec::new(FaultKind::ListingWithoutDevice)
        .device(&vin)
        .times(1);
    world
        .sandbox
        .add_fault(Cloud::Volta, missing)
        .await
        .unwrap();
    world.advance(minutes(9)).await;
    let down = FaultSpec::new(FaultKind::ServerError { status: 503 });
    world.sandbox.add_fault(Cloud::Volta, down).await.unwrap();
    world.advance(minutes(60)).await;
    world.sandbox.drop_all_faults().await;
    world.advance(minutes(20)).await;
    assert_eq!(world.api.all("vehicles").await[0]["id"], first);
    assert!(
        !world
            .receiver
            .names()
            .contains(&"user:vehicle:deleted".to_owned())
    );

    world.sandbox.remove_device(&vin).await.unwrap();
    world.advance(minutes(20)).await;
    assert!(world.api.all("vehicles").await.is_empty());
    let deleted = world
        .receiver
        .names()
        .iter()
        .filter(|n| *n == "user:vehicle:deleted")
        .count();
    assert_eq!(deleted, 1);

    let kind = livewatt_sandbox::DeviceKind::Vehicle;
    world
        .sandbox
        .add_device(Cloud::Volta, &account.id, kind)
        .await
        .unwrap();
    world.advance(minutes(10)).await;
    let vehicles = world.api.all("vehicles").await;
    assert_eq!(vehicles.len(), 1);
    assert_ne!(vehicles[0]["id"], first);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_vendor_is_left_in_peace_and_taken_up_again() {
    let world = World::new().await;
    let account = world.link("ann", Cloud::Helios, still()).await;
    world.advance(minutes(1)).await;
    let down = FaultSpec::new(FaultKind::ServerError { status: 500 });
    world.sandbox.add_fault(Cloud::Helios, down).await.unwrap();
    let calls = || self::calls(&world, Cloud::Helios, &account.id, "live");
    let before = calls();
    world.advance(minutes(120)).await;
    let meter = world.api.all("meters").await.remove(0);
    assert_eq!(meter["isReachable"], false);
    assert!(
        meter["energyState"]["power"].is_number(),
        "data is kept, never blanked"
    );
    let why = format!("/meters/{}/freshness", meter["id"].as_str().unwrap());
    let why = world.api.get(&why).await.expect_status(200);
    assert_eq!(why["holdup"], "backoff");
    assert!(
        calls() - before < 25,
        "{} calls in two hours of failure",
        calls() - before
    );
    world.sandbox.drop_all_faults().await;
    world.advance(minutes(20)).await;
    assert_eq!(world.api.all("meters").await[0]["isReachable"], true);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_why_of_a_sleeping_car() {
    let world = World::new().await;
    let account = world.link("ann", Cloud::Rivoli, still()).await;
    let patch = DevicePatch {
        plugged: Some(false),
        ..DevicePatch::default()
    };
    world
        .sandbox
        .patch_device(&account.devices[0].id, &patch)
        .await
        .unwrap();
    world.advance(minutes(40)).await;
    let vehicle = world.api.all("vehicles").await.remove(0);
    let id = vehicle["id"].as_str().unwrap();
    let why = world
        .engine()
        .freshness(world.client, DeviceKind::Vehicle, id)
        .await
        .unwrap();
    assert_eq!(why.activity, Activity::Asleep);
    assert_eq!(why.reason, CadenceReason::Asleep);
    assert_eq!(why.interval_seconds, Some(1200.0));
    assert!(
        why.blocks.iter().all(|block| block.is_within_target),
        "{why:#?}"
    );
    assert_eq!(why.last_attempts[0].outcome.name(), "ok");
    let next = why.next_due_at.unwrap();
    assert!(next > world.now() && next.duration_since(world.now()) <= minutes(22));
    world.shut_down().await;
}
