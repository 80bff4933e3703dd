//! What is laid over capabilities comes off again without a trace.

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::json;

use super::*;
use crate::{
    device::{Device, NewDevice, VendorDevice, Via},
    entropy::SeededEntropy,
    fact::{Completeness, Observation},
    id::{AccountId, ClientId, DeviceId},
    merge::{Part, Surroundings, discover, lose_login, merge, merge_among, regrant},
};

const OTHER: Uuid = Uuid::from_u128(7);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn seen(kind: DeviceKind, second: i64) -> Observation {
    let device = VendorDevice {
        kind,
        id: "v1".to_owned(),
    };
    Observation::new(
        device,
        Completeness::Complete,
        Via::Poll,
        at(second),
        at(second),
    )
}

fn device(kind: DeviceKind, scopes: &[Scope], seen: &Observation) -> Device {
    let entropy = SeededEntropy::new(1);
    let new = NewDevice {
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
    };
    discover(new, seen)
}

fn charger(start: Capability) -> Observation {
    let mut seen = seen(DeviceKind::Charger, 1);
    seen.tell(charger::START_CHARGING, Some(start), None);
    seen.tell(charger::STOP_CHARGING, Some(Capability::of(true)), None);
    seen.tell(charger::SET_MAX_CURRENT, Some(Capability::of(false)), None);
    seen
}

fn told(device: &Device, name: &str) -> Value {
    let path = format!("capabilities.{name}");
    device.document.path(&path).unwrap().clone()
}

#[test]
fn what_is_not_granted_stands_in_the_way_until_it_is() {
    let few = [Scope::ChargerReadData];
    let found = device(DeviceKind::Charger, &few, &charger(Capability::of(true)));
    let blocked = json!({ "isCapable": false, "interventionIds": [CONSENT] });
    assert_eq!(told(&found, "startCharging"), blocked);
    assert_eq!(told(&found, "stopCharging"), blocked);
    let missing = json!({ "isCapable": false, "interventionIds": [] });
    assert_eq!(told(&found, "setMaxCurrent"), missing, "for good");
    let there = json!({ "isCapable": true, "interventionIds": [] });
    assert_eq!(told(&found, "chargeState"), there);
    let scope = Scope::ChargerControlCharging;
    assert_eq!(
        missing_scopes(DeviceKind::Charger, &found.document),
        [scope]
    );
    let same = merge(&found, &charger(Capability::of(true)), Part::Everything).device;
    assert_eq!(told(&same, "startCharging"), blocked);

    let granted = regrant(&same, Scope::ALL);
    assert_eq!(told(&granted.device, "startCharging"), there);
    assert_eq!(told(&granted.device, "setMaxCurrent"), missing);
    assert_eq!(standing(&granted.device.document), Vec::<Uuid>::new());
    assert!(
        granted
            .updated_fields
            .contains(&"capabilities.startCharging.isCapable".to_owned())
    );
    let again = regrant(&granted.device, Scope::ALL);
    assert_eq!(again.updated_fields, Vec::<String>::new());
}

#[test]
fn what_a_vendor_says_is_told_beside_what_the_user_has_not_granted() {
    let few = [Scope::ChargerReadData];
    let locked = charger(Capability::blocked_by(OTHER));
    let found = device(DeviceKind::Charger, &few, &locked);
    let both = json!({ "isCapable": false, "interventionIds": [OTHER, CONSENT] });
    assert_eq!(told(&found, "startCharging"), both);
    assert_eq!(standing(&found.document), [OTHER, CONSENT]);
    let granted = regrant(&found, Scope::ALL).device;
    let one = json!({ "isCapable": false, "interventionIds": [OTHER] });
    assert_eq!(told(&granted, "startCharging"), one);
    let mut open = charger(Capability::of(true));
    (open.started_at, open.received_at) = (at(2), at(2));
    let open = merge(&granted, &open, Part::Everything);
    let there = json!({ "isCapable": true, "interventionIds": [] });
    assert_eq!(told(&open.device, "startCharging"), there);
}

#[test]
fn positions_come_with_the_scope_in_the_same_event() {
    let mut seen = seen(DeviceKind::Vehicle, 1);
    seen.tell(
        vehicle::LOCATION_CAPABILITY,
        Some(Capability::of(true)),
        None,
    );
    seen.tell(vehicle::LONGITUDE, Some(10.0), None);
    seen.tell(vehicle::LATITUDE, Some(59.0), None);
    let few = [Scope::VehicleReadData];
    let found = device(DeviceKind::Vehicle, &few, &seen);
    let known = merge(&found, &seen, Part::Everything).device;
    assert_eq!(known.document.path("location.latitude"), Some(&Value::Null));
    let surroundings = Surroundings {
        granted: Some(Scope::ALL),
        ..Surroundings::default()
    };
    let granted = merge_among(&known, &seen, Part::Everything, surroundings).device;
    assert_eq!(
        granted.document.path("location.latitude"),
        Some(&json!(59.0))
    );
    assert!(told(&granted, "location")["isCapable"] == true);
}

proptest! {
    #[test]
    fn a_login_lost_and_found_leaves_no_trace(
        kind in select(DeviceKind::ALL.to_vec()),
        few in vec(select(Scope::ALL.to_vec()), 0..6),
    ) {
        let before = device(kind, &few, &seen(kind, 1));
        let scopes: Vec<Scope> = Scope::of_kind(kind).filter(|s| few.contains(s)).collect();
        let before = regrant(&before, &scopes).device;
        let lost = lose_login(&before).device;
        for path in capability_paths(&lost.document) {
            let capability = capability_at(&lost.document, &path).unwrap();
            prop_assert!(!capability.is_capable, "{path}");
        }
        let again = lose_login(&lost);
        prop_assert!(again.updated_fields.is_empty());
        let found = regrant(&lost, &scopes).device;
        for path in capability_paths(&before.document) {
            prop_assert_eq!(found.document.path(&path), before.document.path(&path));
        }
    }
}

#[test]
fn general_entries_are_there_in_every_language() {
    for entry in &GENERAL {
        assert_eq!(entry.of, None);
        let texts = ["en-US", "de-DE", "nb-NO"].map(|tag| entry.texts.in_language(tag));
        assert!(texts[0] != texts[1] && texts[1] != texts[2] && texts[0] != texts[2]);
        assert_eq!(entry.texts.in_language("fr-FR"), texts[0]);
    }
}
