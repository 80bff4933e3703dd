use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    lenient,
    testing::{assert_told, check_sane, ids, mutated, obstacles, response, times, told},
};

const CAR: &str = include_str!("../../../fixtures/rivoli/car.json");
const CARS: &str = include_str!("../../../fixtures/rivoli/cars.json");

fn device() -> VendorDevice {
    VendorDevice {
        kind: DeviceKind::Vehicle,
        id: "rc_000001".to_owned(),
    }
}

fn read(body: impl Into<bytes::Bytes>) -> Option<(Observation, Vec<String>)> {
    let response = response(body);
    let mut drift = Drift::default();
    let seen = car(
        lenient::object(&response).ok()?,
        device(),
        &response,
        &mut drift,
    );
    Some((seen, drift.into_words()))
}

fn with(changes: &[(&str, Value)]) -> (Observation, Vec<String>) {
    let mut json: Value = serde_json::from_str(CAR).unwrap();
    for (pointer, value) in changes {
        *json.pointer_mut(pointer).unwrap() = value.clone();
    }
    read(json.to_string()).unwrap()
}

#[test]
fn what_stands_in_the_way_is_told() {
    let obstacles = |name: &str, value: Value| {
        let (seen, _) = with(&[(name, value)]);
        let of = |key| obstacles(&seen, key);
        (
            of(vehicle::START_CHARGING),
            of(vehicle::LOCATION_CAPABILITY),
        )
    };
    let expired = obstacles("/services", "expired".into());
    assert_eq!(expired, (vec![RENAULT_VEHICLE_EXPIRED], vec![]));
    let private = obstacles("/private", true.into());
    assert_eq!(private, (vec![], vec![RENAULT_VEHICLE_PRIVATE]));
    assert_eq!(obstacles("/services", "paused".into()), (vec![], vec![]));
    let (_, drift) = with(&[("/services", "paused".into())]);
    assert_eq!(drift, ["car.services=paused"]);
}

#[test]
fn a_recorded_car() {
    let (seen, drift) = read(CAR).unwrap();
    assert_eq!(drift, Vec::<String>::new());
    assert_eq!(seen.device, device());
    assert_eq!(seen.presence, Presence::Online);
    assert_told(
        &seen,
        json!({
            "information.vin": "RVLSBX00000000001",
            "information.displayName": "Rosso",
            "information.model": "Rivoli Strada",
            "information.year": 2023.0,
            "chargeState.batteryLevel": 63.0,
            "chargeState.range": 171.0 * 1.609344,
            "chargeState.batteryCapacity": 64.0,
            "chargeState.chargeLimit": 80.0,
            "chargeState.chargeRate": 11.088,
            "chargeState.chargeTimeRemaining": 58.0,
            "chargeState.maxCurrent": 16.0,
            "chargeState.powerDeliveryState": "PLUGGED_IN:CHARGING",
            "odometer.distance": 11330.4 * 1.609344,
            "location.longitude": 11.575,
            "location.latitude": 48.137,
            "capabilities.startCharging": true,
            "capabilities.stopCharging": true,
            "capabilities.setMaxCurrent": true,
            "capabilities.smartCharging": true,
            "capabilities.location": true,
            "capabilities.odometer": true,
        }),
    );
    assert!(times(&seen).values().all(Option::is_none));
}

#[test]
fn every_word_has_its_meaning() {
    for (word, state) in [
        ("UNPLUGGED", "UNPLUGGED"),
        ("WAITING", "PLUGGED_IN:INITIALIZING"),
        ("CHARGING", "PLUGGED_IN:CHARGING"),
        ("STOPPED", "PLUGGED_IN:STOPPED"),
        ("FULL", "PLUGGED_IN:COMPLETE"),
        ("NO_POWER", "PLUGGED_IN:NO_POWER"),
        ("ERROR", "PLUGGED_IN:FAULT"),
    ] {
        let (seen, drift) = with(&[("/charge_state", word.into())]);
        assert_eq!(
            told(&seen)["chargeState.powerDeliveryState"],
            state,
            "{word}"
        );
        assert_eq!(drift, Vec::<String>::new());
    }
    let (seen, drift) = with(&[("/charge_state", "HUMMING".into())]);
    assert_eq!(told(&seen)["chargeState.powerDeliveryState"], Value::Null);
    assert_eq!(drift, ["car.charge_state=HUMMING"]);
}

#[test]
fn a_driving_car_keeps_its_last_position() {
    let (seen, _) = with(&[("/location", Value::Null)]);
    assert_eq!(seen.completeness, Completeness::Partial);
    assert!(!told(&seen).contains_key("location.longitude"));
    assert!(!told(&seen).contains_key("location.latitude"));
}

#[test]
fn what_else_is_not_told_is_unknown() {
    let (seen, _) = with(&[("/battery", Value::Null), ("/minutes_left", Value::Null)]);
    assert_eq!(told(&seen)["chargeState.batteryLevel"], Value::Null);
    assert_eq!(told(&seen)["chargeState.range"], Value::Null);
    assert_eq!(told(&seen)["chargeState.chargeTimeRemaining"], Value::Null);
    assert_eq!(told(&seen)["information.vin"], "RVLSBX00000000001");
}

#[test]
fn power_is_told_only_while_charging() {
    let nothing = [
        ("/charger/amps", 0.into()),
        ("/charger/volts", 0.into()),
        ("/charger/phases", 0.into()),
        ("/charge_state", "STOPPED".into()),
    ];
    assert_eq!(
        told(&with(&nothing).0)["chargeState.chargeRate"],
        Value::Null
    );
    assert_eq!(told(&with(&nothing[..3]).0)["chargeState.chargeRate"], 0.0);
}

#[test]
fn a_sleeping_car_sleeps() {
    let (seen, _) = with(&[("/asleep", true.into())]);
    assert_eq!(seen.presence, Presence::Asleep);
}

#[test]
fn a_field_of_another_type_costs_that_field_only() {
    let (seen, drift) = with(&[
        ("/battery/percent", json!([])),
        ("/charger/volts", "high".into()),
        ("/asleep", "maybe".into()),
    ]);
    assert_eq!(told(&seen)["chargeState.batteryLevel"], Value::Null);
    assert_eq!(told(&seen)["chargeState.chargeRate"], Value::Null);
    assert_eq!(told(&seen)["chargeState.maxCurrent"], 16.0);
    assert_eq!(
        drift,
        [
            "asleep=(text)",
            "car.battery.percent=(list)",
            "car.charger.amps=(text)"
        ]
    );
}

#[test]
fn the_list_of_cars() {
    let list = |body: &str| {
        let response = response(body.to_owned());
        lenient::list(&response).map(|cars| inventory(cars, &mut Drift::default()))
    };
    assert!(matches!(list(CARS), Ok(Inventory::Complete(cars)) if ids(&cars) == ["rc_000001"]));
    assert!(matches!(list("[]"), Ok(Inventory::Complete(cars)) if cars.is_empty()));
    let odd = r#"[{"id": "a"}, {"id": null}, 3]"#;
    assert!(matches!(list(odd), Ok(Inventory::Partial(cars)) if ids(&cars) == ["a"]));
    assert!(list("{}").is_err());
    assert!(list("").is_err());
}

proptest! {
    #[test]
    fn no_car_makes_it_panic(body in mutated(CAR)) {
        if let Some((seen, _)) = read(body) {
            check_sane(&[seen]);
        }
    }

    #[test]
    fn no_list_makes_it_panic(body in mutated(CARS)) {
        let response = response(body);
        if let Ok(cars) = lenient::list(&response) {
            inventory(cars, &mut Drift::default());
        }
    }
}
