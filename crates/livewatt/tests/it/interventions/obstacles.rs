//! What a vendor tells of its devices becomes interventions, and goes with what it was about.

use livewatt_sandbox::{Cloud, DevicePatch, Remote};
use serde_json::{Value, json};

use super::{
    assert_free, device_of, home, id, intervention, minutes, newest_event, obstacle, only,
};
use crate::support::{
    World, eventually,
    station::{Credentials, Station},
};

/// A state of a device, what it denies, and what is to be done.
struct Case {
    cloud: Cloud,
    /// What the sandbox calls the device.
    device: &'static str,
    kind: &'static str,
    plural: &'static str,
    patch: DevicePatch,
    mended: DevicePatch,
    capability: &'static str,
    /// What goes on all the same.
    other: &'static str,
    vendor: &'static str,
    resolution: [&'static str; 3],
}

fn remote(remote: Remote) -> DevicePatch {
    DevicePatch {
        remote: Some(remote),
        ..DevicePatch::default()
    }
}

fn private(is_private: bool) -> DevicePatch {
    DevicePatch {
        private: Some(is_private),
        ..DevicePatch::default()
    }
}

fn cases() -> Vec<Case> {
    let at_device = ["Device", "Physical", "User"];
    let case = |cloud, device, kind, plural, state: Remote, capability, vendor, resolution| Case {
        cloud,
        device,
        kind,
        plural,
        patch: remote(state),
        mended: remote(Remote::Allowed),
        capability,
        other: "",
        vendor,
        resolution,
    };
    let (volta, rivoli, helios) = (Cloud::Volta, Cloud::Rivoli, Cloud::Helios);
    let mut cases = vec![
        case(
            volta,
            "vehicle",
            "vehicle",
            "vehicles",
            Remote::SwitchedOff,
            "startCharging",
            "TESLA",
            at_device,
        ),
        case(
            volta,
            "vehicle",
            "vehicle",
            "vehicles",
            Remote::NoKey,
            "setMaxCurrent",
            "TESLA",
            ["Device", "Remote", "User"],
        ),
        case(
            volta,
            "wallbox",
            "charger",
            "chargers",
            Remote::SwitchedOff,
            "stopCharging",
            "TESLA",
            at_device,
        ),
        case(
            rivoli,
            "vehicle",
            "vehicle",
            "vehicles",
            Remote::Expired,
            "smartCharging",
            "RENAULT",
            ["Account", "Remote", "User"],
        ),
        case(
            helios,
            "battery",
            "battery",
            "batteries",
            Remote::InstallerOnly,
            "importFocus",
            "SOLAREDGE",
            ["Device", "Remote", "ThirdParty"],
        ),
        case(
            helios,
            "battery",
            "battery",
            "batteries",
            Remote::SwitchedOff,
            "idle",
            "SOLAREDGE",
            at_device,
        ),
        case(
            helios,
            "heatpump",
            "hvac",
            "hvacs",
            Remote::SwitchedOff,
            "setPermanentHold",
            "NIBE",
            at_device,
        ),
        case(
            helios,
            "charger",
            "charger",
            "chargers",
            Remote::InstallerOnly,
            "startCharging",
            "EVBOX",
            ["Device", "Remote", "ThirdParty"],
        ),
    ];
    cases[0].other = "location";
    cases.push(Case {
        patch: private(true),
        mended: private(false),
        other: "startCharging",
        ..case(
            rivoli,
            "vehicle",
            "vehicle",
            "vehicles",
            Remote::Allowed,
            "location",
            "RENAULT",
            at_device,
        )
    });
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_denies_stands_in_the_way_and_goes_with_an_event() {
    let mut worlds = Vec::new();
    for cloud in Cloud::ALL {
        worlds.push(home(cloud).await);
    }
    for case in cases() {
        let (world, account) = worlds
            .iter()
            .find(|(_, account)| account.cloud == case.cloud)
            .unwrap();
        let device = device_of(account, case.device);
        assert_free(&only(world, case.plural).await, case.capability);
        world
            .sandbox
            .patch_device(&device, &case.patch)
            .await
            .unwrap();
        world.advance(minutes(25)).await;
        let blocked = only(world, case.plural).await;
        let entry = intervention(world, &obstacle(&blocked, case.capability)).await;
        assert_eq!(entry["vendor"], case.vendor, "{entry}");
        assert_eq!(entry["vendorType"], case.kind, "{entry}");
        let resolution = &entry["resolution"];
        let told = [
            &entry["domain"],
            &resolution["access"],
            &resolution["agent"],
        ];
        assert_eq!(told, case.resolution, "{entry}");
        assert_eq!(resolution["action"], Value::Null, "{entry}");
        if !case.other.is_empty() {
            assert_free(&blocked, case.other);
        }
        if case.capability == "location" {
            assert_eq!(blocked["location"]["latitude"], Value::Null);
        }
        // Told in the contract's form, and why nothing can be commanded.
        let event = told_of(world, case.kind, case.capability).await;
        assert_eq!(event[case.kind]["capabilities"], blocked["capabilities"]);

        world
            .sandbox
            .patch_device(&device, &case.mended)
            .await
            .unwrap();
        world.advance(minutes(25)).await;
        assert_free(&only(world, case.plural).await, case.capability);
        told_of(world, case.kind, case.capability).await;
    }
    for (world, _) in worlds {
        world.shut_down().await;
    }
}

/// The last event that told that a capability came or went.
async fn told_of(world: &World, kind: &str, capability: &str) -> Value {
    let field = format!("capabilities.{capability}.isCapable");
    let log = world.api.log().await;
    let is_it = |event: &&Value| {
        let fields = event["updatedFields"].as_array();
        event["event"] == format!("user:{kind}:updated")
            && fields.is_some_and(|fields| fields.contains(&json!(field)))
    };
    log.iter().rev().find(is_it).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_blocked_is_not_commanded() {
    let (world, account) = home(Cloud::Volta).await;
    let device = device_of(&account, "vehicle");
    let limit = Some(json!({ "maxCurrent": 8 }));
    let car = only(&world, "vehicles").await;
    let path = format!("/vehicles/{}/max-current", id(&car));
    // Nobody knows of it yet: the vendor refuses the command, and the action tells.
    let off = remote(Remote::SwitchedOff);
    world.sandbox.patch_device(&device, &off).await.unwrap();
    let made = world.api.post(&path, limit.clone()).await;
    let action = made.expect_status(200);
    world.advance(minutes(31)).await;
    let path_of_action = format!("/vehicles/actions/{}", id(&action));
    let ended = world.api.get(&path_of_action).await.expect_status(200);
    assert_eq!(ended["state"], "FAILED", "{ended}");
    // By now it is known.
    let blocked = only(&world, "vehicles").await;
    obstacle(&blocked, "setMaxCurrent");
    let refused = world
        .api
        .post(&path, limit.clone())
        .await
        .expect_status(400);
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("setMaxCurrent")
    );
    let on = remote(Remote::Allowed);
    world.sandbox.patch_device(&device, &on).await.unwrap();
    world.advance(minutes(25)).await;
    world.api.post(&path, limit).await.expect_status(200);
    assert_eq!(
        newest_event(&world, "vehicle").await["event"],
        "user:vehicle:updated"
    );
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_point_out_of_service_says_so_and_is_linked_again_under_its_id() {
    let world = World::new().await;
    let scopes = json!(["charger:read:data", "charger:control:charging"]);
    let body = json!({ "scopes": scopes, "language": "en-US", "redirectUri": "app://done" });
    let started = world.api.post("/users/ann/link", Some(body)).await;
    let credentials = claim(&world, &started.expect_status(200)).await;
    let mut station = Station::connect(&world.api.base, &credentials)
        .await
        .unwrap();
    let boot = json!({ "chargePointVendor": "Acme", "chargePointModel": "One" });
    station
        .call("1", "BootNotification", boot.clone())
        .await
        .unwrap();
    let status = |word: &str| json!({ "connectorId": 1, "errorCode": "NoError", "status": word });
    let charger_is = async |what: &str, is_so: &dyn Fn(&Value) -> bool| {
        eventually(what, async || {
            let all = world.api.all("chargers").await;
            all.first().is_some_and(is_so)
        })
        .await;
        only(&world, "chargers").await
    };
    let is_capable =
        |charger: &Value| charger["capabilities"]["startCharging"]["isCapable"] == true;
    station
        .call("2", "StatusNotification", status("Available"))
        .await
        .unwrap();
    let before = charger_is("in service", &is_capable).await;
    station
        .call("3", "StatusNotification", status("Unavailable"))
        .await
        .unwrap();
    let closed = charger_is("out of service", &|charger| !is_capable(charger)).await;
    let entry = intervention(&world, &obstacle(&closed, "startCharging")).await;
    let tied = [&entry["vendor"], &entry["vendorType"], &entry["brand"]];
    assert_eq!(tied, [&Value::Null; 3]);
    assert_eq!(entry["resolution"]["action"], Value::Null);
    let refused = super::relink(&world, &closed).await;
    refused.expect_status(400);
    station
        .call("4", "StatusNotification", status("Available"))
        .await
        .unwrap();
    charger_is("in service again", &is_capable).await;

    world
        .api
        .delete("/users/ann/authorization")
        .await
        .expect_status(204);
    // A connection's word counts only if it is later than that of the one before.
    world.advance(minutes(1)).await;
    let started = super::relink(&world, &before).await.expect_status(200);
    let renewed = claim(&world, &started).await;
    assert_eq!(renewed.id, credentials.id, "set up for good");
    assert_ne!(renewed.password, credentials.password);
    assert!(
        Station::connect(&world.api.base, &credentials)
            .await
            .is_err()
    );
    let mut station = Station::connect(&world.api.base, &renewed).await.unwrap();
    station.call("5", "BootNotification", boot).await.unwrap();
    station
        .call("6", "StatusNotification", status("Available"))
        .await
        .unwrap();
    let after = charger_is("back", &|charger| charger["isReachable"] == true).await;
    assert_eq!(after["id"], before["id"]);
    station.close().await;
    world.shut_down().await;
}

/// What the owner of a charge point is told to set it up with.
async fn claim(world: &World, started: &Value) -> Credentials {
    use livewatt_engine::link::LinkStep;
    use livewatt_vendors::LinkInput;
    let token = started["linkToken"].as_str().unwrap();
    let engine = world.engine();
    engine.link_consent(token).await.unwrap();
    engine.link_choose(token, "ocpp", "WALLBOX").await.unwrap();
    let step = engine.link_step(token, LinkInput::Begin).await.unwrap();
    let LinkStep::Instructions { rows } = step else {
        panic!("no instructions: {step:?}");
    };
    let row = |name: &str| {
        let mut rows = rows.iter();
        rows.find(|(label, _)| *label == name).unwrap().1.clone()
    };
    Credentials {
        id: row("Charge point ID"),
        password: row("Password"),
    }
}
