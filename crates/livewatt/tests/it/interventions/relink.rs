//! Interventions that go when the user links again: for more than was granted before, at the vendor
//! or here, or because the login is dead. Devices keep their IDs.

use livewatt_domain::intervention::{CONSENT, LOGIN};
use livewatt_sandbox::{Cloud, FaultKind, FaultSpec};
use serde_json::{Value, json};

use super::{assert_free, home, id, intervention, minutes, obstacle, only, relink, sign_in};
use crate::support::{World, still};

#[tokio::test(flavor = "multi_thread")]
async fn what_the_vendor_was_not_permitted_is_permitted_by_linking_again() {
    let (world, account) = home(Cloud::Volta).await;
    let before = only(&world, "vehicles").await;
    relink(&world, &before).await.expect_status(400);
    world
        .sandbox
        .forbid_commands(Cloud::Volta, &account.id)
        .unwrap();
    world.advance(minutes(10)).await;
    for (plural, kind) in [("vehicles", "vehicle"), ("chargers", "charger")] {
        let device = only(&world, plural).await;
        let entry = intervention(&world, &obstacle(&device, "startCharging")).await;
        assert_eq!(entry["resolution"]["action"], "Link", "{entry}");
        assert_eq!(
            (&entry["vendorType"], &entry["domain"]),
            (&json!(kind), &json!("Account"))
        );
        assert_eq!(device["isReachable"], true);
    }
    assert_free(&only(&world, "vehicles").await, "location");
    let started = relink(&world, &before).await.expect_status(200);
    sign_in(&world, &started, &account).await;
    for plural in ["vehicles", "chargers"] {
        assert_free(&only(&world, plural).await, "startCharging");
    }
    let after = only(&world, "vehicles").await;
    assert_eq!(after["id"], before["id"]);
    relink(&world, &after).await.expect_status(400);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_that_were_not_granted_are_asked_for_when_linking_again() {
    let world = World::new().await;
    let account = world.sandbox.create_account(Cloud::Volta, still()).unwrap();
    let scopes = [
        "vehicle:read:data",
        "charger:read:data",
        "charger:control:charging",
    ];
    let body = json!({ "scopes": scopes, "language": "en-US", "redirectUri": "app://done" });
    let started = world.api.post("/users/ann/link", Some(body)).await;
    sign_in(&world, &started.expect_status(200), &account).await;
    world.advance(minutes(1)).await;
    let charger = only(&world, "chargers").await;
    assert_free(&charger, "startCharging");
    relink(&world, &charger).await.expect_status(400);
    let before = only(&world, "vehicles").await;
    for capability in [
        "startCharging",
        "setMaxCurrent",
        "smartCharging",
        "location",
    ] {
        assert_eq!(obstacle(&before, capability), CONSENT.to_string());
    }
    assert_free(&before, "odometer");
    assert_eq!(before["location"]["latitude"], Value::Null);
    let entry = intervention(&world, &CONSENT.to_string()).await;
    assert_eq!(entry["resolution"]["action"], "Link");
    let path = format!("/vehicles/{}/max-current", id(&before));
    let limit = Some(json!({ "maxCurrent": 8 }));
    world
        .api
        .post(&path, limit.clone())
        .await
        .expect_status(403);

    let started = relink(&world, &before).await.expect_status(200);
    sign_in(&world, &started, &account).await;
    world.advance(minutes(10)).await;
    let after = only(&world, "vehicles").await;
    assert_eq!(after["id"], before["id"]);
    let mut granted: Vec<&str> = after["scopes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|scope| scope.as_str().unwrap())
        .collect();
    granted.sort_unstable();
    let all = [
        "vehicle:control:charging",
        "vehicle:read:data",
        "vehicle:read:location",
    ];
    assert_eq!(granted, all);
    for capability in ["startCharging", "smartCharging", "location"] {
        assert_free(&after, capability);
    }
    assert!(after["location"]["latitude"].is_number(), "{after:#}");
    world.api.post(&path, limit).await.expect_status(200);
    let log = world.api.log().await;
    let is_grant = |event: &&Value| {
        let fields = event["updatedFields"].as_array().into_iter().flatten();
        event["vehicle"]["id"] == before["id"] && fields.clone().any(|field| field == "scopes")
    };
    assert_eq!(log.iter().filter(is_grant).count(), 1);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_login_stands_in_the_way_of_everything_until_the_user_is_back() {
    let (world, account) = home(Cloud::Helios).await;
    let kinds = ["inverters", "batteries", "meters", "hvacs", "chargers"];
    let mut before = Vec::new();
    for plural in kinds {
        before.push(only(&world, plural).await);
    }
    world
        .sandbox
        .revoke_tokens(Cloud::Helios, &account.id)
        .unwrap();
    world.advance(minutes(30)).await;
    let user = world.api.get("/users/ann").await.expect_status(200);
    assert_eq!(user["linkedVendors"][0]["isValid"], false, "{user}");
    for (plural, before) in kinds.into_iter().zip(&before) {
        let device = only(&world, plural).await;
        assert_eq!(device["isReachable"], false);
        let told = device["capabilities"].as_object().unwrap();
        for (name, capability) in told {
            let was = &before["capabilities"][name];
            let expected = match was["isCapable"] == true {
                true => json!({ "isCapable": false, "interventionIds": [LOGIN] }),
                false => was.clone(),
            };
            assert_eq!(capability, &expected, "{plural} {name}");
        }
    }
    let entry = intervention(&world, &LOGIN.to_string()).await;
    assert_eq!(entry["resolution"]["action"], "Link");
    assert_eq!(entry["vendor"], Value::Null);
    let started = relink(&world, &before[2]).await.expect_status(200);
    sign_in(&world, &started, &account).await;
    for (plural, before) in kinds.into_iter().zip(&before) {
        let device = only(&world, plural).await;
        assert_eq!(device["id"], before["id"]);
        assert_eq!(device["capabilities"], before["capabilities"], "{plural}");
        assert_eq!(device["isReachable"], true, "{plural}");
    }
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn how_well_linking_works_is_told_by_attempts() {
    let world = World::new().await;
    let status = async |vendor: &str| {
        let rows = world.api.get("/health/vehicles").await.expect_status(200);
        let mut rows = rows.as_array().unwrap().iter();
        let row = rows.find(|row| row["vendor"] == vendor).unwrap().clone();
        (row["status"].clone(), row["linkingStatus"].clone())
    };
    let ready = (json!("READY"), json!("READY"));
    assert_eq!(status("RENAULT").await, ready);
    let broken = FaultSpec::new(FaultKind::ServerError { status: 503 }).endpoints(&["sessions"]);
    world
        .sandbox
        .add_fault(Cloud::Rivoli, broken)
        .await
        .unwrap();
    let account = world
        .sandbox
        .create_account(Cloud::Rivoli, still())
        .unwrap();
    for _ in 0..3 {
        assert!(world.try_link("ann", &account).await.is_err());
    }
    assert_eq!(status("RENAULT").await.1, "ELEVATED_ERROR_RATE");
    for _ in 0..7 {
        assert!(world.try_link("ann", &account).await.is_err());
    }
    assert_eq!(status("RENAULT").await.1, "OUTAGE");
    let all = world.api.get("/integrations?assetTypes=vehicle").await;
    let all = all.expect_status(200);
    let mut rows = all.as_array().unwrap().iter();
    let row = rows.find(|row| row["vendor"] == "RENAULT").unwrap();
    assert_eq!(row["linkingStatus"], "OUTAGE");
    assert_eq!(status("TESLA").await, ready);
    // Nobody is sent there in vain; after a while somebody is let through again.
    world.sandbox.drop_all_faults().await;
    assert!(world.try_link("ann", &account).await.is_err());
    world.advance(minutes(16)).await;
    assert_eq!(status("RENAULT").await, ready);
    world.link_account("ann", &account).await;
    world.shut_down().await;
}
