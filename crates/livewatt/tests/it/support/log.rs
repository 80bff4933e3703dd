//! What must be true of any log of events.

use std::collections::HashMap;

use livewatt_domain::{diff::changed_paths, event::ENERGY_RESTATED, kind::DeviceKind};
use serde_json::{Value, json};

/// The kind and the document of the device that an event is about.
pub fn device_of(event: &Value) -> Option<(DeviceKind, &Value)> {
    DeviceKind::ALL
        .into_iter()
        .find_map(|kind| Some((kind, event.get(kind.name())?)))
}

/// Whether a webhook for all events gets it: those beside the contract must be asked for by name.
pub fn is_for_all(event: &Value) -> bool {
    event["event"] != ENERGY_RESTATED
}

/// Each event tells the true difference to the one before about its device, and no device is seen
/// earlier than before. Returns the last document of each device by its ID.
pub fn check_differences(events: &[Value]) -> HashMap<String, Value> {
    let mut last: HashMap<String, Value> = HashMap::new();
    for event in events {
        let name = event["event"].as_str().unwrap();
        let Some((_, device)) = device_of(event) else {
            continue;
        };
        let id = device["id"].as_str().unwrap().to_owned();
        let before = last.insert(id.clone(), device.clone());
        if let Some(before) = before {
            assert!(name.ends_with(":updated"), "{name}");
            let of = |value: &Value| value.as_object().unwrap().clone();
            let difference = changed_paths(&of(&before), &of(device));
            assert_eq!(event["updatedFields"], json!(difference), "{id}");
            let seen = |device: &Value| device["lastSeen"].as_str().unwrap().to_owned();
            assert!(seen(&before) <= seen(device), "lastSeen moved back");
        } else {
            assert!(
                name.ends_with(":updated") || name.ends_with(":discovered"),
                "{name}"
            );
        }
    }
    last
}
