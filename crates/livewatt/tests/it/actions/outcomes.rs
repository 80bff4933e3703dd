//! Actions that are cancelled, replaced, used again, or come to nothing.

use livewatt_sandbox::{Cloud, DevicePatch, FaultKind, FaultSpec};
use serde_json::{Value, json};

use super::{Asset, WINDOW, charging, commands, fault, minutes, of_kind, seconds, told};
use crate::support::{STEP, World, still};

#[track_caller]
fn assert_ended(action: &Value, state: &str, reason: &str) {
    assert_eq!(action["state"], state, "{action:#}");
    assert_eq!(action["failureReason"]["type"], reason, "{action:#}");
    assert!(
        !action["failureReason"]["detail"]
            .as_str()
            .unwrap()
            .is_empty()
    );
    assert!(action["completedAt"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cancels_in_time_has_nothing_sent() {
    let (world, account) = charging(Cloud::Volta).await;
    world.subscribe().await;
    let car = Asset::only(&world, "vehicles").await;
    let stop = car.stop().await;
    let cancelled = car.cancel(&stop).await.expect_status(200);
    assert_ended(&cancelled, "CANCELLED", "REQUESTED_CANCELLATION");
    let again = car.cancel(&stop).await.expect_status(409);
    assert_eq!(again, cancelled, "it is as it was");
    assert_eq!(car.action(&stop).await, cancelled);
    world.advance(minutes(5)).await;
    assert_eq!(commands(&world, &account), 0);
    assert_eq!(car.power().await, "PLUGGED_IN:CHARGING");
    let states: Vec<String> = told(&world).into_iter().map(|(state, _)| state).collect();
    assert_eq!(states, ["PENDING", "CANCELLED"]);
    // What came true cannot be cancelled.
    let stop = car.stop().await;
    car.confirmed(&stop, minutes(1)).await;
    let late = car.cancel(&stop).await.expect_status(409);
    assert_eq!(late["state"], "CONFIRMED");
    world.shut_down().await;
}

/// What was sent may still take effect, and nobody takes that back.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_command_may_take_effect() {
    let (world, account) = charging(Cloud::Volta).await;
    fault(&world, Cloud::Volta, FaultKind::CommandSlow { seconds: 60 }).await;
    let car = Asset::only(&world, "vehicles").await;
    let stop = car.stop().await;
    world.step().await;
    assert_eq!(commands(&world, &account), 1);
    car.cancel(&stop).await.expect_status(200);
    world.advance(minutes(5)).await;
    assert_eq!(car.power().await, "PLUGGED_IN:STOPPED");
    assert_eq!(car.action(&stop).await["state"], "CANCELLED");
    assert_eq!(commands(&world, &account), 1);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_wish_for_a_car_is_the_same_action() {
    let (world, account) = charging(Cloud::Volta).await;
    fault(&world, Cloud::Volta, FaultKind::CommandSlow { seconds: 20 }).await;
    let car = Asset::only(&world, "vehicles").await;
    let stop = car.stop().await;
    assert_eq!(car.stop().await, stop);
    world.step().await;
    assert_eq!(car.stop().await["id"], stop["id"]);
    let start = car.start().await;
    assert_ne!(start["id"], stop["id"]);
    assert_ended(&car.action(&stop).await, "CANCELLED", "CONFLICT");
    let (ended, _) = car.settled(&start, minutes(10)).await;
    assert_eq!(ended["state"], "CONFIRMED", "{ended:#}");
    world.advance(minutes(3)).await;
    assert_eq!(car.power().await, "PLUGGED_IN:CHARGING");
    assert_eq!(commands(&world, &account), 2);

    // A current is another action each time, and takes the place of whatever was pending.
    let limit = json!({ "maxCurrent": 8 });
    let first = car.tell("max-current", limit.clone()).await;
    let second = car.tell("max-current", limit).await;
    assert_ne!(first["id"], second["id"]);
    assert_ended(&car.action(&first).await, "CANCELLED", "CONFLICT");
    car.confirmed(&second, minutes(3)).await;
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_wish_for_a_charger_is_a_new_action() {
    let (world, account) = charging(Cloud::Helios).await;
    let charger = Asset::only(&world, "chargers").await;
    let first = charger.stop().await;
    let second = charger.stop().await;
    assert_ne!(first["id"], second["id"]);
    assert_ended(&charger.action(&first).await, "CANCELLED", "CONFLICT");
    charger.confirmed(&second, minutes(2)).await;
    assert_eq!(commands(&world, &account), 1, "the first was never sent");
    world.shut_down().await;
}

/// A cloud that forgets what it accepted, and one that says that it is done: nothing comes of it, the
/// command is repeated a few times, and the vendor is not flooded.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_never_reacts_fails_its_action() {
    for kind in [FaultKind::CommandIgnored, FaultKind::CommandLied] {
        let (world, account) = charging(Cloud::Volta).await;
        fault(&world, Cloud::Volta, kind.clone()).await;
        let car = Asset::only(&world, "vehicles").await;
        let reads = super::calls(&world, &account, "account");
        let stop = car.stop().await;
        let (ended, took) = car.settled(&stop, WINDOW + STEP).await;
        assert_ended(&ended, "FAILED", "NO_RESPONSE");
        assert!(took >= WINDOW, "{kind:?}: {took:?}");
        assert_eq!(commands(&world, &account), 7, "{kind:?}");
        let reads = super::calls(&world, &account, "account") - reads;
        assert!(reads < 150, "{reads} reads");
        world.sandbox.drop_all_faults().await;
        world.advance(minutes(10)).await;
        assert_eq!(car.power().await, "PLUGGED_IN:CHARGING", "it is over");
        world.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_vendor_is_waited_for() {
    let (world, account) = charging(Cloud::Volta).await;
    fault(
        &world,
        Cloud::Volta,
        FaultKind::CommandSlow { seconds: 300 },
    )
    .await;
    let car = Asset::only(&world, "vehicles").await;
    let stop = car.stop().await;
    let took = car.confirmed(&stop, minutes(8)).await;
    assert!(took >= seconds(300), "{took:?}");
    assert!(commands(&world, &account) <= 5);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unplugged_meanwhile_cannot_start() {
    let (world, account) = charging(Cloud::Rivoli).await;
    let car = Asset::only(&world, "vehicles").await;
    let stop = car.stop().await;
    car.confirmed(&stop, minutes(3)).await;
    let start = car.start().await;
    world.step().await;
    world.plug(of_kind(&account, "vehicle"), false).await;
    let (ended, _) = car.settled(&start, minutes(5)).await;
    assert_ended(&ended, "CANCELLED", "FAILED_PRECONDITION");
    world.shut_down().await;
}

/// A device that its cloud cannot reach is told again until the window closes; one that is back in
/// time does it.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_out_of_reach_is_told_when_it_is_back() {
    let (world, account) = charging(Cloud::Volta).await;
    let car = Asset::only(&world, "vehicles").await;
    let offline = FaultSpec::new(FaultKind::Offline).device(of_kind(&account, "vehicle"));
    let offline = world
        .sandbox
        .add_fault(Cloud::Volta, offline)
        .await
        .unwrap();
    let stop = car.stop().await;
    world.advance(minutes(2)).await;
    assert_eq!(car.action(&stop).await["state"], "PENDING");
    world.sandbox.drop_fault(&offline.id).await.unwrap();
    car.confirmed(&stop, minutes(5)).await;

    let offline = FaultSpec::new(FaultKind::Offline).device(of_kind(&account, "vehicle"));
    world
        .sandbox
        .add_fault(Cloud::Volta, offline)
        .await
        .unwrap();
    let start = car.start().await;
    let (ended, _) = car.settled(&start, WINDOW + STEP).await;
    assert_ended(&ended, "CANCELLED", "FAILED_PRECONDITION");
    world.shut_down().await;
}

/// Whoever does by hand what was wanted before anything was sent makes the action needless.
#[tokio::test(flavor = "multi_thread")]
async fn what_happens_by_itself_is_not_told() {
    let (world, account) = charging(Cloud::Volta).await;
    let car = Asset::only(&world, "vehicles").await;
    let stop = car.stop().await;
    let patch = DevicePatch {
        charging: Some(false),
        ..DevicePatch::default()
    };
    let device = of_kind(&account, "vehicle");
    // Its cloud pushes that before the command is sent.
    world.clock.advance(seconds(1));
    world.sandbox.patch_device(device, &patch).await.unwrap();
    world.step().await;
    let ended = car.action(&stop).await;
    assert_ended(&ended, "CANCELLED", "UNNECESSARY");
    assert_eq!(commands(&world, &account), 0);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_ends_with_its_device() {
    // Removed at its vendor: two listings have to lack it.
    let (world, account) = charging(Cloud::Volta).await;
    world.subscribe().await;
    fault(&world, Cloud::Volta, FaultKind::CommandIgnored).await;
    let car = Asset::only(&world, "vehicles").await;
    let stop = car.stop().await;
    world.step().await;
    let device = of_kind(&account, "vehicle");
    world.sandbox.remove_device(device).await.unwrap();
    let (ended, _) = car.settled(&stop, minutes(15)).await;
    assert_ended(&ended, "CANCELLED", "NOT_FOUND");
    world.advance(STEP).await;
    let names: Vec<Value> = world
        .receiver
        .events()
        .iter()
        .filter(|event| event["event"] != "user:charger:updated")
        .map(|event| event["event"].clone())
        .collect();
    let last_two = &names[names.len() - 2..];
    assert!(
        last_two.contains(&json!("user:vehicle:deleted")),
        "{names:?}"
    );
    assert!(last_two.contains(&json!("user:vendor-action:updated")));
    world.shut_down().await;

    // Given up by its user's app.
    let (world, account) = charging(Cloud::Rivoli).await;
    let car = Asset::only(&world, "vehicles").await;
    let stop = car.stop().await;
    let gone = world.api.delete("/users/ann/vendors/RENAULT").await;
    gone.expect_status(204);
    assert_ended(&car.action(&stop).await, "CANCELLED", "NOT_FOUND");
    world.advance(minutes(2)).await;
    assert_eq!(commands(&world, &account), 0);
    world.shut_down().await;

    // The user's authorization is deleted: silent, as that is.
    let (world, account) = charging(Cloud::Rivoli).await;
    world.subscribe().await;
    let car = Asset::only(&world, "vehicles").await;
    let stop = car.stop().await;
    let gone = world.api.delete("/users/ann/authorization").await;
    gone.expect_status(204);
    assert_ended(&car.action(&stop).await, "CANCELLED", "FAILED_PRECONDITION");
    world.advance(minutes(2)).await;
    assert_eq!(commands(&world, &account), 0);
    assert_eq!(told(&world).len(), 1);
    // Nothing can be told before the user links again.
    car.try_to_tell("charging", json!({ "action": "STOP" }))
        .await
        .expect_status(400);
    world.shut_down().await;
}

/// A login that has expired is renewed for a command, once; one that is dead for good ends it.
#[tokio::test(flavor = "multi_thread")]
async fn commands_renew_the_login() {
    for cloud in [Cloud::Volta, Cloud::Rivoli, Cloud::Helios] {
        let (world, account) = charging(cloud).await;
        let plural = if cloud == Cloud::Helios {
            "chargers"
        } else {
            "vehicles"
        };
        let asset = Asset::only(&world, plural).await;
        world.sandbox.expire_tokens(cloud, &account.id).unwrap();
        let stop = asset.stop().await;
        asset.confirmed(&stop, minutes(3)).await;
        world.sandbox.revoke_tokens(cloud, &account.id).unwrap();
        world
            .sandbox
            .set_password(cloud, &account.id, "another")
            .unwrap();
        let start = asset.start().await;
        let (ended, _) = asset.settled(&start, minutes(3)).await;
        assert_ended(&ended, "CANCELLED", "FAILED_PRECONDITION");
        let user = world.api.get("/users/ann").await.expect_status(200);
        assert_eq!(user["linkedVendors"][0]["isValid"], false);
        world.shut_down().await;
    }
}

/// Commands and the reads after them are within the quotas of their cloud.
#[tokio::test(flavor = "multi_thread")]
async fn commands_count_against_quotas() {
    let world = World::new().await;
    let spec = livewatt_sandbox::AccountSpec {
        vehicles: Some(5),
        ..still()
    };
    let account = world.link("ann", Cloud::Rivoli, spec).await;
    for device in &account.devices {
        super::charge(&world, &device.id).await;
    }
    fault(&world, Cloud::Rivoli, FaultKind::CommandIgnored).await;
    let cars = world.api.all("vehicles").await;
    for round in 0..4 {
        for car in &cars {
            let path = format!("/vehicles/{}/max-current", car["id"].as_str().unwrap());
            let body = json!({ "maxCurrent": 8 + round });
            world.api.post(&path, Some(body)).await.expect_status(200);
        }
        world.advance(minutes(5)).await;
    }
    let truth = world.sandbox.truth(Some(Cloud::Rivoli), None).unwrap();
    let stats = &truth["accounts"][0]["stats"];
    assert!(stats["calls"]["command"].as_u64() >= Some(10), "{stats}");
    assert!(stats["busiest_10_minutes"].as_u64() <= Some(40), "{stats}");
    assert_eq!(truth["stats"]["quota_exceeded"], 0);
    world.shut_down().await;
}
