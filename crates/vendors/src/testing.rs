//! What the mapping tests of the adapters have in common.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use livewatt_domain::{
    device::{Capability, VendorDevice},
    fact::{Key, Observation, Reading},
};
use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use crate::http::Response;

/// When the recorded answers were made.
pub(crate) fn now() -> Timestamp {
    "2026-03-02T18:20:14Z".parse().unwrap()
}

/// A recorded answer.
pub(crate) fn response(body: impl Into<Bytes>) -> Response {
    Response {
        status: 200,
        body: body.into(),
        retry_after: None,
        started_at: now(),
        received_at: now(),
        place: "cloud.example/read".to_owned(),
        room: None,
    }
}

/// What an observation tells, by path: a value, or `null` for unknown. Capabilities are told by
/// whether they are there.
pub(crate) fn told(seen: &Observation) -> BTreeMap<&'static str, Value> {
    let value = |reading: &Reading| match reading {
        Reading::Known(value) => value.get("isCapable").unwrap_or(value).clone(),
        Reading::Unknown | Reading::Unsupported => Value::Null,
    };
    seen.facts
        .iter()
        .map(|fact| (fact.field.path(), value(&fact.reading)))
        .collect()
}

/// The vendor's times of what an observation tells, by path.
pub(crate) fn times(seen: &Observation) -> BTreeMap<&'static str, Option<Timestamp>> {
    seen.facts
        .iter()
        .map(|fact| (fact.field.path(), fact.observed_at))
        .collect()
}

/// The observation of a device.
pub(crate) fn of<'a>(seen: &'a [Observation], id: &str) -> &'a Observation {
    seen.iter().find(|seen| seen.device.id == id).unwrap()
}

/// IDs of devices.
pub(crate) fn ids(devices: &[VendorDevice]) -> Vec<&str> {
    devices.iter().map(|device| device.id.as_str()).collect()
}

/// Asserts that a map holds exactly these.
#[track_caller]
pub(crate) fn assert_told(seen: &Observation, expected: Value) {
    let told = Value::Object(
        told(seen)
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v))
            .collect(),
    );
    let sorted = |value: &Value| {
        let object = value.as_object().unwrap();
        object
            .iter()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(sorted(&told), sorted(&expected));
}

/// What an observation says stands in the way of a capability.
pub(crate) fn obstacles(seen: &Observation, key: Key<Capability>) -> Vec<Uuid> {
    let mut facts = seen.facts.iter();
    let fact = facts.find(|fact| fact.field == key.field()).unwrap();
    let Reading::Known(value) = &fact.reading else {
        panic!("{fact:?}")
    };
    let capability: Capability = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(
        capability.is_capable,
        capability.intervention_ids.is_empty()
    );
    capability.intervention_ids
}

/// A recorded answer with some of its values replaced by anything, taken away or renamed.
pub(crate) fn mutated(json: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let json: Value = serde_json::from_str(json).unwrap();
    let places = count(&json);
    proptest::collection::vec((0..places, change()), 1..6).prop_map(move |changes| {
        let mut json = json.clone();
        for (place, change) in changes {
            apply(&mut json, &mut { place }, &change);
        }
        serde_json::to_vec(&json).unwrap()
    })
}

#[derive(Debug, Clone)]
enum Change {
    Replace(Value),
    Drop,
}

fn change() -> impl Strategy<Value = Change> {
    let odd = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,40}".prop_map(Value::from),
        "-?[0-9]{1,25}(\\.[0-9]{1,3})?".prop_map(Value::from),
        Just(serde_json::json!([])),
        Just(serde_json::json!({})),
        Just(serde_json::json!([[1, "x", null], {"id": 7}])),
        Just(serde_json::json!("9999-12-31T23:59:59Z")),
    ];
    prop_oneof![4 => odd.prop_map(Change::Replace), 1 => Just(Change::Drop)]
}

fn count(json: &Value) -> usize {
    1 + match json {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum::<usize>(),
        _ => 0,
    }
}

/// Changes the value that is `place` steps into the document.
fn apply(json: &mut Value, place: &mut usize, change: &Change) {
    if *place == 0 {
        if let Change::Replace(value) = change {
            *json = value.clone();
        }
        *place = usize::MAX;
        return;
    }
    *place -= 1;
    match json {
        Value::Array(items) => {
            for item in items {
                if *place < usize::MAX / 2 {
                    apply(item, place, change);
                }
            }
        }
        Value::Object(members) => {
            let mut dropped = None;
            for (name, member) in members.iter_mut() {
                if *place == 0 && matches!(change, Change::Drop) {
                    dropped = Some(name.clone());
                    *place = usize::MAX;
                } else if *place < usize::MAX / 2 {
                    apply(member, place, change);
                }
            }
            if let Some(name) = dropped {
                members.remove(&name);
            }
        }
        _ => {}
    }
}

/// Checks what must hold of any observation, however broken the answer was.
pub(crate) fn check_sane(observations: &[Observation]) {
    for seen in observations {
        assert!(!seen.device.id.is_empty());
        for fact in &seen.facts {
            if let Reading::Known(value) = &fact.reading {
                assert!(!value.is_null(), "{}", fact.field.path());
                if let Some(number) = value.as_f64() {
                    assert!(number.is_finite(), "{}", fact.field.path());
                }
            }
        }
    }
}
