use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};
use url::Url;

use super::*;
use crate::{
    lenient,
    push::PushIntake as _,
    secret::Secret,
    testing::{assert_told, check_sane, ids, mutated, now, obstacles, of, response, times, told},
    volta::{Volta, VoltaOptions},
};

const ACCOUNT: &str = include_str!("../../../fixtures/volta/account.json");
const PUSH: &str = include_str!("../../../fixtures/volta/push.json");

fn read(body: impl Into<bytes::Bytes>) -> Harvest {
    let response = response(body);
    match lenient::object(&response) {
        Ok(told) => account(told, &response),
        Err(outcome) => Harvest::barren(outcome),
    }
}

/// The recorded account with one thing changed.
fn with(pointer: &str, value: Value) -> Harvest {
    let mut json: Value = serde_json::from_str(ACCOUNT).unwrap();
    *json.pointer_mut(pointer).unwrap() = value;
    read(json.to_string())
}

#[test]
fn a_recorded_account() {
    let harvest = read(ACCOUNT);
    assert_eq!(harvest.account, AccountOutcome::Ok);
    assert_eq!(harvest.drift, Vec::<String>::new());
    let Some(Inventory::Complete(devices)) = &harvest.inventory else {
        panic!("not complete")
    };
    assert_eq!(ids(devices), ["VLTSBX00000000001", "WB-000001"]);

    let vehicle = of(&harvest.observations, "VLTSBX00000000001");
    assert_eq!(vehicle.device.kind, DeviceKind::Vehicle);
    assert_eq!(vehicle.presence, Presence::Online);
    assert_eq!(vehicle.completeness, Completeness::Complete);
    assert_told(
        vehicle,
        json!({
            "information.vin": "VLTSBX00000000001",
            "information.displayName": "Luna",
            "information.model": "Volta One",
            "information.year": 2024.0,
            "chargeState.batteryLevel": 63.4,
            "chargeState.range": 272.6,
            "chargeState.batteryCapacity": 75.0,
            "chargeState.chargeLimit": 80.0,
            "chargeState.chargeRate": 10.9,
            "chargeState.chargeTimeRemaining": 73.0,
            "chargeState.maxCurrent": 16.0,
            "chargeState.powerDeliveryState": "PLUGGED_IN:CHARGING",
            "odometer.distance": 18234.5,
            "location.longitude": 5.1214,
            "location.latitude": 52.0907,
            "capabilities.startCharging": true,
            "capabilities.stopCharging": true,
            "capabilities.setMaxCurrent": true,
            "capabilities.smartCharging": true,
            "capabilities.location": true,
            "capabilities.odometer": true,
        }),
    );
    let charging: Timestamp = "2026-03-02T18:20:10Z".parse().unwrap();
    let parked: Timestamp = "2026-03-02T17:41:50Z".parse().unwrap();
    assert_eq!(times(vehicle)["chargeState.batteryLevel"], Some(charging));
    assert_eq!(
        times(vehicle)["chargeState.powerDeliveryState"],
        Some(charging)
    );
    assert_eq!(times(vehicle)["odometer.distance"], Some(parked));
    assert_eq!(times(vehicle)["location.longitude"], Some(parked));
    assert_eq!(times(vehicle)["information.vin"], None);

    let charger = of(&harvest.observations, "WB-000001");
    assert_eq!(charger.device.kind, DeviceKind::Charger);
    assert_told(
        charger,
        json!({
            "information.serialNumber": "WB-000001",
            "information.model": "Volta Home 11",
            "information.year": 2023.0,
            "chargeState.chargeRate": 10.9,
            "chargeState.maxCurrent": 16.0,
            "chargeState.powerDeliveryState": "PLUGGED_IN:CHARGING",
            "capabilities.startCharging": true,
            "capabilities.stopCharging": true,
            "capabilities.setMaxCurrent": true,
        }),
    );
}

#[test]
fn what_stands_in_the_way_of_commands_is_told() {
    let start = |harvest: &Harvest| {
        let vehicle = of(&harvest.observations, "VLTSBX00000000001");
        let charger = of(&harvest.observations, "WB-000001");
        assert!(obstacles(vehicle, vehicle::ODOMETER_CAPABILITY).is_empty());
        (
            obstacles(vehicle, vehicle::START_CHARGING),
            obstacles(charger, charger::START_CHARGING),
        )
    };
    let off = with("/vehicles/0/remote_access", "switched_off".into());
    assert_eq!(start(&off), (vec![TESLA_VEHICLE_SWITCHED_OFF], vec![]));
    let no_key = with("/vehicles/0/remote_access", "no_key".into());
    assert_eq!(start(&no_key), (vec![TESLA_VEHICLE_NO_KEY], vec![]));
    let off = with("/wallboxes/0/remote_access", "switched_off".into());
    assert_eq!(start(&off), (vec![], vec![TESLA_CHARGER_SWITCHED_OFF]));
    let forbidden = with("/permissions", json!(["read", "location"]));
    let both = (
        vec![TESLA_VEHICLE_PERMISSION],
        vec![TESLA_CHARGER_PERMISSION],
    );
    assert_eq!(start(&forbidden), both);
    let hidden = with("/permissions", json!(["read", "commands"]));
    assert_eq!(start(&hidden), (vec![], vec![]));
    let vehicle = of(&hidden.observations, "VLTSBX00000000001");
    let told = obstacles(vehicle, vehicle::LOCATION_CAPABILITY);
    assert_eq!(told, [TESLA_VEHICLE_PERMISSION]);
    // What is not understood hinders nobody, and is noted.
    for (pointer, drift) in [
        ("/vehicles/0/remote_access", "vehicle.remote_access=maybe"),
        ("/wallboxes/0/remote_access", "wallbox.remote_access=maybe"),
    ] {
        let odd = with(pointer, "maybe".into());
        assert_eq!(start(&odd), (vec![], vec![]));
        assert_eq!(odd.drift, [drift]);
    }
    assert_eq!(start(&with("/permissions", Value::Null)), (vec![], vec![]));
}

#[test]
fn every_word_has_its_meaning() {
    for (word, state) in [
        ("disconnected", "UNPLUGGED"),
        ("starting", "PLUGGED_IN:INITIALIZING"),
        ("charging", "PLUGGED_IN:CHARGING"),
        ("paused", "PLUGGED_IN:STOPPED"),
        ("complete", "PLUGGED_IN:COMPLETE"),
        ("no_power", "PLUGGED_IN:NO_POWER"),
        ("fault", "PLUGGED_IN:FAULT"),
    ] {
        let harvest = with("/vehicles/0/charge/status", word.into());
        assert_eq!(
            told(&harvest.observations[0])["chargeState.powerDeliveryState"],
            state,
            "{word}"
        );
    }
    for (word, state) in [
        ("available", "UNPLUGGED"),
        ("preparing", "PLUGGED_IN:INITIALIZING"),
        ("charging", "PLUGGED_IN:CHARGING"),
        ("paused", "PLUGGED_IN:STOPPED"),
        ("finished", "PLUGGED_IN:STOPPED"),
        ("fault", "PLUGGED_IN:FAULT"),
    ] {
        let harvest = with("/wallboxes/0/charge/status", word.into());
        assert_eq!(
            told(&harvest.observations[1])["chargeState.powerDeliveryState"],
            state,
            "{word}"
        );
    }
}

#[test]
fn an_unknown_word_is_unknown_and_leaves_a_trace() {
    let harvest = with("/vehicles/0/charge/status", "levitating".into());
    assert_eq!(
        told(&harvest.observations[0])["chargeState.powerDeliveryState"],
        Value::Null
    );
    assert_eq!(harvest.drift, ["vehicle.charge.status=levitating"]);
    assert_eq!(harvest.account, AccountOutcome::Ok);
}

#[test]
fn power_is_told_only_while_charging() {
    let mut json: Value = serde_json::from_str(ACCOUNT).unwrap();
    json["vehicles"][0]["charge"]["status"] = "paused".into();
    json["vehicles"][0]["charge"]["power_kw"] = 0.into();
    let harvest = read(json.to_string());
    assert_eq!(
        told(&harvest.observations[0])["chargeState.chargeRate"],
        Value::Null
    );
    assert_eq!(harvest.drift, Vec::<String>::new());
}

#[test]
fn a_field_of_another_type_costs_that_field_only() {
    let harvest = with("/vehicles/0/charge/level_percent", json!({"is": 63}));
    let seen = told(&harvest.observations[0]);
    assert_eq!(seen["chargeState.batteryLevel"], Value::Null);
    assert_eq!(seen["chargeState.range"], 272.6);
    assert_eq!(harvest.drift, ["vehicle.charge.level_percent=(object)"]);

    let absurd = with("/vehicles/0/charge/level_percent", 4000.into());
    assert_eq!(
        told(&absurd.observations[0])["chargeState.batteryLevel"],
        Value::Null
    );
    assert_eq!(absurd.observations[0].rejected, 1);
    assert_eq!(absurd.drift, ["vehicle.charge.level_percent=(refused)"]);

    let halved = with("/vehicles/0/position/lat", "north".into());
    assert_eq!(
        told(&halved.observations[0])["location.longitude"],
        Value::Null
    );
    assert_eq!(
        told(&halved.observations[0])["location.latitude"],
        Value::Null
    );
}

#[test]
fn a_list_that_cannot_be_read_whole_is_partial() {
    let harvest = with("/vehicles/0/vin", 7.into());
    assert!(matches!(&harvest.inventory, Some(Inventory::Partial(d)) if ids(d) == ["WB-000001"]));
    let harvest = with("/vehicles", "none".into());
    assert!(matches!(&harvest.inventory, Some(Inventory::Partial(d)) if ids(d) == ["WB-000001"]));
    for nonsense in [
        "{}",
        "[]",
        "null",
        "7",
        "\"text\"",
        "{\"vehicles\": {}, \"wallboxes\": 1}",
    ] {
        let harvest = read(nonsense);
        assert!(
            matches!(harvest.account, AccountOutcome::Malformed(_)),
            "{nonsense}"
        );
        assert_eq!(harvest.inventory, None);
    }
}

#[test]
fn a_lost_device_is_offline_with_its_last_values() {
    let harvest = with("/vehicles/0/online", false.into());
    assert_eq!(harvest.observations[0].presence, Presence::Offline);
    assert_eq!(
        told(&harvest.observations[0])["chargeState.batteryLevel"],
        63.4
    );
}

fn volta() -> Volta {
    Volta::new(VoltaOptions {
        base_url: Url::parse("http://cloud.example/volta").unwrap(),
        client_id: "livewatt-sandbox".to_owned(),
        client_secret: Secret::new("sandbox-secret".to_owned()),
    })
}

/// Made with another program: HMAC-SHA256 under `sandbox-secret` of `1772475610.` and the body.
const SIGNATURE: &str =
    "t=1772475610,v1=52b0b8fade8b5aa131423edafa93284793a6810c6a5523f7d722a058a3392d25";

fn push(signature: Option<&str>, body: &str, now: Timestamp) -> Result<Vec<PushBatch>, PushError> {
    let header = |name: &str| {
        signature
            .filter(|_| name == "volta-signature")
            .map(str::to_owned)
    };
    volta().read(&header, body.as_bytes(), now)
}

#[test]
fn a_recorded_push() {
    let batches = push(Some(SIGNATURE), PUSH, now()).unwrap();
    let [batch] = &batches[..] else {
        panic!("one account")
    };
    assert_eq!(batch.vendor_account_id, "va_000001");
    assert!(!batch.wants_listing);
    let [vehicle, charger] = &batch.observations[..] else {
        panic!("two devices")
    };
    assert_told(
        vehicle,
        json!({"chargeState.powerDeliveryState": "PLUGGED_IN:INITIALIZING"}),
    );
    assert_told(
        charger,
        json!({"chargeState.powerDeliveryState": "PLUGGED_IN:INITIALIZING"}),
    );
    assert_eq!(
        (vehicle.via, vehicle.completeness),
        (Via::Push, Completeness::Partial)
    );
    assert_eq!((vehicle.started_at, vehicle.received_at), (now(), now()));
    let at = Some("2026-03-02T18:20:10Z".parse().unwrap());
    assert_eq!(times(vehicle)["chargeState.powerDeliveryState"], at);
}

#[test]
fn a_push_that_is_not_signed_rightly_is_refused() {
    let refused = |signature: Option<&str>, body: &str, now| {
        assert_eq!(
            push(signature, body, now),
            Err(PushError::Unverified),
            "{signature:?}"
        );
    };
    refused(None, PUSH, now());
    refused(Some(""), PUSH, now());
    refused(Some(&SIGNATURE.replace("v1=52", "v1=53")), PUSH, now());
    refused(
        Some(&SIGNATURE.replace("1772475610", "1772475611")),
        PUSH,
        now(),
    );
    refused(Some(&SIGNATURE.replace("v1=", "v2=")), PUSH, now());
    refused(Some("t=1772475610,v1=zz"), PUSH, now());
    refused(Some(&SIGNATURE[..60]), PUSH, now());
    refused(
        Some(SIGNATURE),
        &PUSH.replace("va_000001", "va_000002"),
        now(),
    );
    // Played again ten minutes later, or by a sender whose clock is far ahead.
    let later = now() + SignedDuration::from_mins(10);
    refused(Some(SIGNATURE), PUSH, later);
    refused(Some(SIGNATURE), PUSH, now() - SignedDuration::from_mins(10));
}

#[test]
fn pushes_about_coming_and_going() {
    let body = |changes: &str| format!(r#"{{"account_id": "va_1", "changes": {changes}}}"#);
    let listing = body(r#"[{"type": "vehicle_added", "vin": "V1"}]"#);
    let batch = delivery(listing.as_bytes(), now()).unwrap();
    assert!(batch.wants_listing && batch.observations.is_empty());

    let offline = body(
        r#"[{"type": "wallbox_offline", "serial": "W1"}, {"type": "vehicle_online", "vin": "V1"}]"#,
    );
    let batch = delivery(offline.as_bytes(), now()).unwrap();
    assert!(!batch.wants_listing);
    assert_eq!(batch.observations[0].presence, Presence::Offline);
    assert_eq!(batch.observations[0].device.kind, DeviceKind::Charger);
    assert_eq!(batch.observations[1].presence, Presence::Online);
    assert!(batch.observations[1].facts.is_empty());

    let unknown = body(r#"[{"type": "moon_phase"}, 7, {"type": "vehicle"}, null]"#);
    assert!(
        delivery(unknown.as_bytes(), now())
            .unwrap()
            .observations
            .is_empty()
    );
    for nonsense in ["", "[]", "{}", "{\"account_id\": \"va_1\"}", "<html>"] {
        assert!(
            matches!(
                delivery(nonsense.as_bytes(), now()),
                Err(PushError::Malformed(_))
            ),
            "{nonsense}"
        );
    }
}

#[test]
fn a_push_tells_null_from_silence_and_counts_what_it_cannot_place() {
    let body = r#"{"account_id": "va_1", "changes": [{"type": "vehicle", "vin": "V1", "charge":
        {"status": "dreaming", "minutes_to_full": null, "level_percent": 900,
         "at": "2026-03-02T18:20:10Z"}}]}"#;
    let batch = delivery(body.as_bytes(), now()).unwrap();
    assert_told(
        &batch.observations[0],
        json!({
            "chargeState.powerDeliveryState": null,
            "chargeState.chargeTimeRemaining": null,
            "chargeState.batteryLevel": null,
        }),
    );
    assert_eq!(batch.observations[0].rejected, 2);
}

proptest! {
    #[test]
    fn no_account_makes_it_panic(body in mutated(ACCOUNT)) {
        check_sane(&read(body).observations);
    }

    #[test]
    fn no_push_makes_it_panic(body in mutated(PUSH)) {
        if let Ok(batch) = delivery(&body, now()) {
            check_sane(&batch.observations);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(body: Vec<u8>, cut in 0..ACCOUNT.trim_end().len()) {
        let harvest = read(body);
        prop_assert!(harvest.observations.is_empty());
        let harvest = read(ACCOUNT.as_bytes()[..cut].to_vec());
        prop_assert!(matches!(harvest.account, AccountOutcome::Malformed(_)));
    }
}
