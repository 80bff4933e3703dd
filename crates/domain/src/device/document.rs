//! The contract's JSON of a device, addressed by dotted paths and typed keys.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{NewDevice, battery, charger, hvac, inverter, meter, vehicle};
use crate::{fact::Key, kind::DeviceKind};

/// A device as the contract prints it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Document(Map<String, Value>);

impl Document {
    /// The document of a device of which nothing but its identity is known.
    pub fn initial(new: &NewDevice) -> Self {
        let value = match new.vendor_device.kind {
            DeviceKind::Vehicle => serde_json::to_value(vehicle::Vehicle::initial(new)),
            DeviceKind::Charger => serde_json::to_value(charger::Charger::initial(new)),
            DeviceKind::Hvac => serde_json::to_value(hvac::Hvac::initial(new)),
            DeviceKind::Inverter => serde_json::to_value(inverter::Inverter::initial(new)),
            DeviceKind::Battery => serde_json::to_value(battery::Battery::initial(new)),
            DeviceKind::Meter => serde_json::to_value(meter::Meter::initial(new)),
        };
        match value {
            Ok(Value::Object(map)) => Self(map),
            // Unreachable: the six types are structs with string keys and no fallible serializer.
            _ => Self(Map::new()),
        }
    }

    /// The value of a typed field; `None` if null, absent or of another type.
    pub fn get<T: DeserializeOwned>(&self, key: Key<T>) -> Option<T> {
        self.path(key.field().path())
            .and_then(|value| T::deserialize(value).ok())
    }

    /// The value at a dotted path.
    pub fn path(&self, path: &str) -> Option<&Value> {
        let (mut map, mut rest) = (&self.0, path);
        while let Some((head, tail)) = rest.split_once('.') {
            map = map.get(head)?.as_object()?;
            rest = tail;
        }
        map.get(rest)
    }

    /// Replaces the value at a dotted path whose objects all exist; returns whether it differed.
    pub fn set_path(&mut self, path: &str, value: Value) -> bool {
        let (mut map, mut rest) = (&mut self.0, path);
        while let Some((head, tail)) = rest.split_once('.') {
            let Some(inner) = map.get_mut(head).and_then(Value::as_object_mut) else {
                return false;
            };
            map = inner;
            rest = tail;
        }
        match map.get_mut(rest) {
            Some(slot) if *slot == value => false,
            Some(slot) => {
                *slot = value;
                true
            }
            None => {
                map.insert(rest.to_owned(), value);
                true
            }
        }
    }

    /// The document as JSON members.
    pub const fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}
