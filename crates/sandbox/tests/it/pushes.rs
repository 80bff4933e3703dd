//! Volta's pushes: delivered while time is moved, signed, retried, and struck by faults.

use hmac::{Hmac, KeyInit, Mac};
use livewatt_sandbox::{Cloud, DeviceKind, DevicePatch, FaultKind, FaultSpec};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::bench::{Bench, Push, Receiver, bench};

struct Story {
    bench: Bench,
    receiver: Receiver,
    account: String,
    vin: String,
}

/// A quiet account that is listened to, its car at 50 %.
async fn story() -> Story {
    let bench = bench().await;
    let (receiver, url) = Receiver::start().await;
    let account = bench.quiet(Cloud::Volta);
    let vin = account.devices[0].id.clone();
    let level = DevicePatch {
        level_percent: Some(50.0),
        ..Default::default()
    };
    bench.sandbox.patch_device(&vin, &level).await.unwrap();
    let token = bench.token(&account);
    let wish = json!({"callback_url": url});
    let answer = bench
        .send(Method::PUT, "/volta/v1/subscription", &token, wish)
        .await;
    assert_eq!(answer.status(), 200);
    Story {
        bench,
        receiver,
        account: account.id,
        vin,
    }
}

impl Story {
    async fn plug(&self, plugged: bool) {
        let patch = DevicePatch {
            plugged: Some(plugged),
            ..Default::default()
        };
        self.bench
            .sandbox
            .patch_device(&self.vin, &patch)
            .await
            .unwrap();
    }

    async fn fault(&self, kind: FaultKind) -> String {
        self.bench
            .sandbox
            .add_fault(Cloud::Volta, FaultSpec::new(kind))
            .await
            .unwrap()
            .id
    }

    fn stats(&self) -> Value {
        let truth = self
            .bench
            .sandbox
            .truth(Some(Cloud::Volta), Some(&self.account))
            .unwrap();
        truth["accounts"][0]["stats"].clone()
    }
}

fn statuses(pushes: &[Push]) -> Vec<String> {
    let changes = pushes
        .iter()
        .flat_map(|push| push.body["changes"].as_array().unwrap().clone());
    changes
        .filter(|change| change["type"] == "vehicle")
        .filter_map(|change| Some(change["charge"]["status"].as_str()?.to_owned()))
        .collect()
}

#[tokio::test]
async fn a_charge_is_told_from_plug_to_complete() {
    let story = story().await;
    story.plug(true).await;
    let first = story.receiver.take();
    assert_eq!(statuses(&first), ["starting"]);
    assert_eq!(first[0].body["changes"][0]["charge"]["plugged"], true);
    assert!(first[0].body["changes"][0]["charge"]["capacity_kwh"].is_null());

    story.bench.advance(6 * 3600).await;
    let pushes = story.receiver.take();
    assert_eq!(statuses(&pushes), ["charging", "complete"]);
    assert!(pushes.len() >= 6, "and each 5 % between: {}", pushes.len());
    let sent: Vec<_> = pushes
        .iter()
        .map(|p| p.body["sent_at"].as_str().unwrap())
        .collect();
    assert!(sent.is_sorted());
    let stats = story.stats();
    assert_eq!(stats["pushes_made"], stats["pushes_acked"]);
    assert_eq!(stats["pushes_failed"], 0);
}

#[tokio::test]
async fn a_push_is_signed() {
    let story = story().await;
    story.plug(true).await;
    let push = &story.receiver.take()[0];
    let (time, signature) = push.signature.split_once(",v1=").unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(b"sandbox-secret").unwrap();
    mac.update(time.strip_prefix("t=").unwrap().as_bytes());
    mac.update(b".");
    mac.update(&push.raw);
    assert_eq!(signature, hex::encode(mac.finalize().into_bytes()));
}

#[tokio::test]
async fn a_failed_push_is_tried_again_in_virtual_time() {
    let story = story().await;
    story.receiver.fail(true);
    story.plug(true).await;
    let first = story.receiver.take();
    assert_eq!(first.len(), 1);
    story.bench.advance(20).await;
    story.receiver.take();
    story.receiver.fail(false);
    story.bench.advance(10).await;
    let again = story.receiver.take();
    assert_eq!(again[0].delivery, first[0].delivery);
    assert_eq!(again[0].raw, first[0].raw);
    assert_ne!(again[0].signature, first[0].signature);
}

#[tokio::test]
async fn nobody_hears_after_leaving() {
    let story = story().await;
    let token = story
        .bench
        .sandbox
        .grant_tokens(Cloud::Volta, &story.account, None)
        .unwrap()
        .access_token;
    let path = "/volta/v1/subscription";
    assert_eq!(story.bench.get(path, &token).await.status(), 200);
    let left = story
        .bench
        .send(Method::DELETE, path, &token, Value::Null)
        .await;
    assert_eq!(left.status(), 204);
    assert_eq!(story.bench.get(path, &token).await.status(), 404);
    story.plug(true).await;
    assert!(story.receiver.take().is_empty());
}

#[tokio::test]
async fn devices_that_come_and_go_are_told() {
    let story = story().await;
    let sandbox = &story.bench.sandbox;
    let kind = DeviceKind::Vehicle;
    let added = sandbox
        .add_device(Cloud::Volta, &story.account, kind)
        .await
        .unwrap();
    sandbox.remove_device(&added[0].id).await.unwrap();
    let pushes = story.receiver.take();
    let told: Vec<_> = pushes.iter().map(|push| &push.body["changes"][0]).collect();
    assert_eq!(
        *told[0],
        json!({"type": "vehicle_added", "vin": added[0].id})
    );
    assert_eq!(
        *told[1],
        json!({"type": "vehicle_removed", "vin": added[0].id})
    );
}

#[tokio::test]
async fn push_faults_double_swap_and_lose() {
    let story = story().await;
    let fault = story.fault(FaultKind::DuplicatePush).await;
    story.plug(true).await;
    let pushes = story.receiver.take();
    assert_eq!(pushes.len(), 2);
    assert_eq!(pushes[0].delivery, pushes[1].delivery);
    story.bench.sandbox.drop_fault(&fault).await.unwrap();

    let fault = story.fault(FaultKind::OutOfOrderPush).await;
    story.plug(false).await;
    assert!(story.receiver.take().is_empty(), "held back");
    story.plug(true).await;
    assert_eq!(
        statuses(&story.receiver.take()),
        ["starting", "disconnected"]
    );
    story.plug(false).await;
    story.bench.sandbox.drop_fault(&fault).await.unwrap();
    assert_eq!(statuses(&story.receiver.take()), ["disconnected"], "let go");

    story.fault(FaultKind::LostPush).await;
    story.plug(true).await;
    assert!(story.receiver.take().is_empty());
}

#[tokio::test]
async fn offline_and_stale_devices_are_silent_until_they_return() {
    let story = story().await;
    let fault = story.fault(FaultKind::Stale).await;
    story.plug(true).await;
    assert!(story.receiver.take().is_empty());
    story.bench.sandbox.drop_fault(&fault).await.unwrap();
    assert_eq!(statuses(&story.receiver.take()), ["starting"]);

    let offline = FaultSpec::new(FaultKind::Offline).device(story.vin.clone());
    let fault = story
        .bench
        .sandbox
        .add_fault(Cloud::Volta, offline)
        .await
        .unwrap();
    let told = story.receiver.take();
    assert_eq!(
        told[0].body["changes"],
        json!([{"type": "vehicle_offline", "vin": story.vin}])
    );
    story.plug(false).await;
    assert!(statuses(&story.receiver.take()).is_empty());
    story.bench.sandbox.drop_fault(&fault.id).await.unwrap();
    assert_eq!(statuses(&story.receiver.take()), ["disconnected"]);
}
