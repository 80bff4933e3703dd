//! The rules of `merge`, by example and by property.

use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::Value;

use super::*;
use crate::{
    SignedDuration,
    device::{VendorDevice, hvac, meter},
    entropy::SeededEntropy,
    event::EventMaker,
    fact::Key,
    id::{AccountId, ClientId, DeviceId},
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn new_device(kind: DeviceKind, scopes: &[Scope]) -> NewDevice {
    let entropy = SeededEntropy::new(1);
    NewDevice {
        id: DeviceId::new(at(0), &entropy),
        client_id: ClientId::new(at(0), &entropy),
        user_id: "user-1".parse().unwrap(),
        account_id: AccountId::new(at(0), &entropy),
        vendor_device: VendorDevice {
            kind,
            id: "v1".to_owned(),
        },
        vendor: "ACME".parse().unwrap(),
        brand: "Acme".to_owned(),
        scopes: scopes.to_vec(),
        found_at: at(0),
    }
}

fn device(kind: DeviceKind) -> Device {
    Device::new(new_device(kind, Scope::ALL))
}

fn seen(kind: DeviceKind, via: Via, started: i64, received: i64) -> Observation {
    let device = VendorDevice {
        kind,
        id: "v1".to_owned(),
    };
    Observation::new(
        device,
        Completeness::Partial,
        via,
        at(started),
        at(received),
    )
}

fn level(via: Via, started: i64, received: i64, level: f64, told: Option<i64>) -> Observation {
    let mut observation = seen(DeviceKind::Vehicle, via, started, received);
    observation.tell(vehicle::BATTERY_LEVEL, Some(level), told.map(at));
    observation
}

fn after(device: Device, observations: &[Observation]) -> Device {
    observations.iter().fold(device, |device, seen| {
        merge(&device, seen, Part::Everything).device
    })
}

fn battery_level(device: &Device) -> Option<f64> {
    device.document.get(vehicle::BATTERY_LEVEL)
}

#[test]
fn every_key_is_a_path_of_its_kinds_json_with_its_type() {
    for kind in DeviceKind::ALL {
        let fresh = device(kind);
        for field in Field::all(kind) {
            assert!(
                fresh.document.path(field.path()).is_some(),
                "{kind}: {}",
                field.path()
            );
        }
        for block in Field::blocks(kind) {
            let path = format!("{block}.lastUpdated");
            assert_eq!(
                fresh.document.path(&path),
                Some(&Value::Null),
                "{kind}: {path}"
            );
        }
    }
}

#[test]
fn absent_null_and_zero_are_three_things() {
    let told = |reading: Option<Option<f64>>| {
        let known = level(Via::Poll, 1, 2, 50.0, None);
        let mut next = seen(DeviceKind::Vehicle, Via::Poll, 3, 4);
        if let Some(value) = reading {
            next.tell(vehicle::BATTERY_LEVEL, value, None);
        }
        battery_level(&after(device(DeviceKind::Vehicle), &[known, next]))
    };
    assert_eq!(told(None), Some(50.0));
    assert_eq!(told(Some(None)), None);
    assert_eq!(told(Some(Some(0.0))), Some(0.0));
}

#[test]
fn a_complete_snapshot_makes_what_it_leaves_out_unknown() {
    let known = level(Via::Poll, 1, 2, 50.0, None);
    let mut snapshot = seen(DeviceKind::Vehicle, Via::Poll, 3, 4);
    snapshot.tell(vehicle::ODOMETER, Some(1.0), None);
    snapshot.completeness = Completeness::Complete;
    assert_eq!(
        battery_level(&after(device(DeviceKind::Vehicle), &[known, snapshot])),
        None
    );
}

#[test]
fn a_poll_that_overlaps_a_push_does_not_undo_it() {
    let push = level(Via::Push, 5, 5, 60.0, None);
    let overlapping = level(Via::Poll, 4, 7, 59.0, None);
    let later = level(Via::Poll, 8, 9, 61.0, None);
    let result = after(device(DeviceKind::Vehicle), &[push.clone(), overlapping]);
    assert_eq!(battery_level(&result), Some(60.0));
    let result = after(device(DeviceKind::Vehicle), &[push, later]);
    assert_eq!(battery_level(&result), Some(61.0));
}

#[test]
fn a_broken_vendor_clock_does_not_freeze_a_field() {
    let future = level(Via::Poll, 1, 2, 60.0, Some(1_000_000));
    let merged = merge(&device(DeviceKind::Vehicle), &future, Part::Everything);
    assert_eq!(merged.from_future, 1);
    let next = level(Via::Poll, 5, 6, 61.0, Some(5));
    assert_eq!(battery_level(&after(merged.device, &[next])), Some(61.0));
}

#[test]
fn a_vendor_that_stops_telling_times_is_still_heard() {
    let with_time = level(Via::Poll, 10, 11, 60.0, Some(9));
    let without = level(Via::Poll, 20, 21, 61.0, None);
    let with_old_time = level(Via::Poll, 30, 31, 62.0, Some(15));
    let result = after(
        device(DeviceKind::Vehicle),
        &[with_time, without, with_old_time],
    );
    assert_eq!(battery_level(&result), Some(62.0));
}

#[test]
fn retained_snapshots_only_fill_gaps() {
    let retained = level(Via::Retained, 5, 5, 10.0, None);
    let fresh = after(device(DeviceKind::Vehicle), std::slice::from_ref(&retained));
    assert_eq!(battery_level(&fresh), Some(10.0));
    let measured = level(Via::Poll, 1, 2, 50.0, None);
    let result = after(device(DeviceKind::Vehicle), &[measured, retained]);
    assert_eq!(battery_level(&result), Some(50.0));
}

#[test]
fn block_times_are_the_vendors_or_those_of_the_change() {
    let updated = |observations: &[Observation]| {
        let result = after(device(DeviceKind::Vehicle), observations);
        result
            .stamps
            .block_updated(DeviceKind::Vehicle, "chargeState")
    };
    let same_twice = [
        level(Via::Poll, 1, 2, 50.0, None),
        level(Via::Poll, 8, 9, 50.0, None),
    ];
    assert_eq!(updated(&same_twice), Some(at(2)));
    let told = [
        level(Via::Poll, 1, 2, 50.0, Some(0)),
        level(Via::Poll, 8, 9, 50.0, Some(7)),
    ];
    assert_eq!(updated(&told), Some(at(7)));
}

#[test]
fn power_delivery_decides_what_follows_from_it() {
    let mut charging = level(Via::Poll, 1, 2, 80.0, None);
    charging.tell(vehicle::CHARGE_LIMIT, Some(80.0), None);
    charging.tell(vehicle::CHARGE_RATE, Some(11.0), None);
    charging.tell(
        vehicle::POWER_DELIVERY_STATE,
        Some(VehiclePowerDeliveryState::Charging),
        None,
    );
    let mut stopped = seen(DeviceKind::Vehicle, Via::Poll, 3, 4);
    stopped.tell(
        vehicle::POWER_DELIVERY_STATE,
        Some(VehiclePowerDeliveryState::Stopped),
        None,
    );
    let result = after(device(DeviceKind::Vehicle), std::slice::from_ref(&charging));
    let value = |device: &Device, path: &str| device.document.path(path).cloned().unwrap();
    assert_eq!(value(&result, "chargeState.isCharging"), true);
    assert_eq!(value(&result, "chargeState.chargeRate"), 11.0);
    assert_eq!(value(&result, "chargeState.isFullyCharged"), true);
    assert!(result.is_active());
    let result = after(result, &[stopped]);
    assert_eq!(value(&result, "chargeState.isPluggedIn"), true);
    assert_eq!(value(&result, "chargeState.isCharging"), false);
    assert_eq!(value(&result, "chargeState.chargeRate"), Value::Null);
}

#[test]
fn positions_need_their_scope() {
    let mut told = seen(DeviceKind::Meter, Via::Poll, 1, 2);
    told.tell(meter::LATITUDE, Some(52.0), None);
    told.tell(meter::POWER, Some(1.5), None);
    let granted = after(device(DeviceKind::Meter), std::slice::from_ref(&told));
    assert_eq!(granted.document.get(meter::LATITUDE), Some(52.0));
    let without = Device::new(new_device(DeviceKind::Meter, &[Scope::MeterReadData]));
    let hidden = after(without, &[told]);
    assert_eq!(hidden.document.get(meter::LATITUDE), None);
    assert_eq!(hidden.document.get(meter::POWER), Some(1.5));
}

#[test]
fn values_the_contract_never_shows_as_null_stay_or_become_unknown() {
    let mut told = seen(DeviceKind::Hvac, Via::Poll, 1, 2);
    told.tell(hvac::DISPLAY_NAME, Some("Hall".to_owned()), None);
    told.tell(hvac::MODE, Some(hvac::HvacMode::Heat), None);
    told.tell(hvac::IS_ACTIVE, Some(true), None);
    let mut silent = seen(DeviceKind::Hvac, Via::Poll, 3, 4);
    silent.tell(hvac::DISPLAY_NAME, None::<String>, None);
    silent.tell(hvac::MODE, None::<hvac::HvacMode>, None);
    silent.tell(hvac::IS_ACTIVE, None::<bool>, None);
    let result = after(device(DeviceKind::Hvac), &[told, silent]);
    assert_eq!(
        result.document.get(hvac::DISPLAY_NAME),
        Some("Hall".to_owned())
    );
    assert_eq!(
        result.document.get(hvac::MODE),
        Some(hvac::HvacMode::Unknown)
    );
    assert_eq!(result.document.get(hvac::IS_ACTIVE), Some(false));
}

#[test]
fn the_first_event_shows_the_description_alone() {
    let mut told = level(Via::Poll, 1, 2, 50.0, None);
    told.tell(vehicle::MODEL, Some("Roadster".to_owned()), None);
    let found = discover(new_device(DeviceKind::Vehicle, Scope::ALL), &told);
    assert_eq!(found.version, 1);
    assert_eq!(
        found.document.get(vehicle::MODEL),
        Some("Roadster".to_owned())
    );
    assert_eq!(battery_level(&found), None);
    let merged = merge(&found, &told, Part::Everything);
    assert_eq!(merged.device.version, 2);
    assert!(
        merged
            .updated_fields
            .contains(&"chargeState.batteryLevel".to_owned())
    );
}

/// Observations of a few fields, at times that overlap, collide and run backwards.
fn any_observation() -> impl Strategy<Value = Observation> {
    let keys: &[Key<f64>] = &[vehicle::BATTERY_LEVEL, vehicle::RANGE, vehicle::LATITUDE];
    let fact = (select(keys), option::of(0..4_i64), option::of(0..60_i64));
    let via = select(&[Via::Poll, Via::Push, Via::Retained, Via::CommandEcho][..]);
    let presence = select(&[Presence::Online, Presence::Asleep, Presence::Offline][..]);
    let power = option::of(select(
        &[
            VehiclePowerDeliveryState::Charging,
            VehiclePowerDeliveryState::Unplugged,
        ][..],
    ));
    (
        vec(fact, 0..4),
        via,
        presence,
        power,
        0..60_i64,
        0..10_i64,
        any::<bool>(),
    )
        .prop_map(
            |(facts, via, presence, power, started, took, is_complete)| {
                let mut told = seen(DeviceKind::Vehicle, via, started, started + took);
                told.presence = presence;
                if is_complete {
                    told.completeness = Completeness::Complete;
                }
                // One source says one thing of a field at a time.
                let mut named: Vec<&str> = Vec::new();
                for (key, value, time) in facts {
                    if !named.contains(&key.field().path()) {
                        named.push(key.field().path());
                        told.tell(key, value.map(|v| v as f64), time.map(at));
                    }
                }
                if let Some(power) = power {
                    told.tell(vehicle::POWER_DELIVERY_STATE, Some(power), None);
                }
                told
            },
        )
}

proptest! {
    #[test]
    fn last_seen_never_moves_back(told in vec(any_observation(), 1..20)) {
        let mut device = device(DeviceKind::Vehicle);
        for seen in &told {
            let next = merge(&device, seen, Part::Everything).device;
            prop_assert!(next.last_seen >= device.last_seen);
            device = next;
        }
    }

    #[test]
    fn saying_it_again_changes_nothing(told in vec(any_observation(), 1..12), again in any::<prop::sample::Index>()) {
        let device = after(device(DeviceKind::Vehicle), &told);
        let merged = merge(&device, &told[told.len() - 1], Part::Everything);
        prop_assert_eq!(&merged.device, &device, "the newest");
        // An older one may only be refused or repeat what stands.
        let old = &told[again.index(told.len())];
        let twice = after(device, &[old.clone(), old.clone()]);
        let once = after(after(self::device(DeviceKind::Vehicle), &told), std::slice::from_ref(old));
        prop_assert_eq!(twice, once);
    }

    #[test]
    fn an_older_vendor_time_never_wins(told in vec(any_observation(), 1..20)) {
        let mut device = device(DeviceKind::Vehicle);
        for seen in &told {
            let next = merge(&device, seen, Part::Everything).device;
            for field in Field::all(DeviceKind::Vehicle) {
                let before = device.stamps.get(field).and_then(|stamp| stamp.observed_at);
                let now = next.stamps.get(field).and_then(|stamp| stamp.observed_at);
                if let (Some(before), Some(now)) = (before, now) {
                    prop_assert!(now >= before, "{}", field.path());
                }
            }
            device = next;
        }
    }

    #[test]
    fn updated_fields_are_the_difference_to_the_previous_event(told in vec(any_observation(), 1..20)) {
        let entropy = SeededEntropy::new(9);
        let mut device = discover(new_device(DeviceKind::Vehicle, Scope::ALL), &told[0]);
        let maker = EventMaker { now: at(0), entropy: &entropy };
        let body = |event: crate::event::Event| -> Value { serde_json::from_str(&event.body).unwrap() };
        let mut previous = body(maker.discovered(&device));
        for seen in &told {
            let merged = merge(&device, seen, Part::Everything);
            let is_event = !merged.updated_fields.is_empty();
            prop_assert_eq!(merged.device.version, device.version + u64::from(is_event));
            if is_event {
                let event = body(maker.updated(&merged.device, &merged.updated_fields));
                let of = |event: &Value| event["vehicle"].as_object().unwrap().clone();
                let difference = changed_paths(&of(&previous), &of(&event));
                prop_assert_eq!(&Value::from(difference), &event["updatedFields"]);
                prop_assert!(merged.updated_fields.iter().any(|path| !is_time_only(path)));
                previous = event;
            } else {
                prop_assert_eq!(&merged.device.document, &device.document);
            }
            device = merged.device;
        }
    }

    #[test]
    fn a_document_always_reads_back_as_its_kind(told in vec(any_observation(), 1..12)) {
        let device = after(device(DeviceKind::Vehicle), &told);
        let json = Value::Object(device.current_document().as_map().clone());
        let read: Result<vehicle::Vehicle, _> = serde_json::from_value(json);
        prop_assert!(read.is_ok(), "{read:?}");
    }
}

#[test]
fn a_day_of_silence_is_no_event() {
    let told = level(Via::Poll, 1, 2, 50.0, None);
    let known = after(device(DeviceKind::Vehicle), std::slice::from_ref(&told));
    let day = SignedDuration::from_hours(24);
    let mut later = told;
    later.started_at = later.started_at.checked_add(day).unwrap();
    later.received_at = later.received_at.checked_add(day).unwrap();
    let merged = merge(&known, &later, Part::Everything);
    assert!(merged.updated_fields.is_empty());
    assert_eq!(merged.device.last_seen, later.received_at);
    assert_eq!(merged.device.document, known.document);
}

fn positioned(kind: DeviceKind, started: i64, metres_north: f64) -> Observation {
    let mut observation = seen(kind, Via::Poll, started, started + 1);
    let latitude = 59.0 + metres_north / 111_195.0;
    observation.tell(vehicle::LATITUDE, Some(latitude), None);
    observation.tell(vehicle::LONGITUDE, Some(10.0), None);
    observation
}

#[test]
fn the_location_follows_the_position_in_the_same_event() {
    let location = crate::location::Location {
        id: crate::id::LocationId(uuid::Uuid::from_u128(7)),
        client_id: ClientId(uuid::Uuid::nil()),
        user_id: "user-1".parse().unwrap(),
        name: "Home".to_owned(),
        position: crate::location::Position {
            latitude: 59.0,
            longitude: 10.0,
        },
        zone: crate::zone::Zone::UTC,
        created_at: at(0),
    };
    let (here, nowhere) = (Places::of([&location]), Places::default());
    let step = |device: &Device, seen: &Observation, places| {
        let surroundings = Surroundings {
            places: Some(places),
            ..Surroundings::default()
        };
        merge_among(device, seen, Part::Everything, surroundings)
    };
    let id = Some(&Value::String(location.id.to_string()));
    for kind in [DeviceKind::Vehicle, DeviceKind::Inverter, DeviceKind::Meter] {
        let come = step(&device(kind), &positioned(kind, 1, 100.0), &here);
        assert_eq!(come.device.document.path("location.id"), id);
        let fields = ["location.id", "location.latitude"];
        let told = |field: &&str| come.updated_fields.iter().any(|path| path == field);
        assert!(fields.iter().all(told), "{:?}", come.updated_fields);
        assert_eq!(come.device.version, 1, "one event tells both");
        let same = step(&come.device, &positioned(kind, 2, 100.0), &here);
        assert_eq!(same.updated_fields, Vec::<String>::new());
        let near = step(&come.device, &positioned(kind, 3, 290.0), &here);
        assert_eq!(near.device.document.path("location.id"), id);
        let gone = step(&near.device, &positioned(kind, 4, 310.0), &here);
        assert_eq!(gone.device.document.path("location.id"), Some(&Value::Null));
        let as_it_was = merge(&near.device, &positioned(kind, 5, 900.0), Part::Everything);
        assert_eq!(as_it_was.device.document.path("location.id"), id);
        let silent = Observation {
            completeness: Completeness::Complete,
            ..seen(kind, Via::Poll, 6, 7)
        };
        let lost = step(&come.device, &silent, &here).device.document;
        assert_eq!(lost.path("location.id"), Some(&Value::Null), "no position");
    }

    let charger = crate::location::assign(&device(DeviceKind::Charger), Some(location.id), at(9));
    assert_eq!(
        charger.updated_fields,
        ["location.id", "location.lastUpdated"]
    );
    let seen_again = seen(DeviceKind::Charger, Via::Poll, 10, 11);
    let kept = step(&charger.device, &seen_again, &here);
    assert_eq!(kept.device.document.path("location.id"), id);
    let orphan = step(&charger.device, &seen_again, &nowhere);
    assert_eq!(orphan.updated_fields, ["lastSeen", "location.id"]);
    let again = crate::location::assign(&charger.device, Some(location.id), at(12));
    assert!(again.updated_fields.is_empty(), "it is there already");
}
