//! Devices as they were: what both engines find of them, made into what was told then.

use std::collections::BTreeMap;

use jiff::Timestamp;
use livewatt_domain::{
    id::{DeviceId, UserId},
    kind::DeviceKind,
};
use serde_json::value::RawValue;

use crate::{error::StoreResult, types::PageKey, values::unreadable};

/// A device as it was at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastDevice {
    /// The device.
    pub id: DeviceId,
    /// Its kind.
    pub kind: DeviceKind,
    /// Its JSON, as the newest event of then carried it; `None` if that event is no longer kept, and
    /// the device changed since.
    pub document: Option<String>,
}

/// A device that was there at a moment.
#[derive(Debug)]
pub(crate) struct Presence {
    pub(crate) id: DeviceId,
    pub(crate) user: UserId,
    pub(crate) kind: DeviceKind,
    pub(crate) linked_at: Timestamp,
    /// As it is now, or was when it went.
    pub(crate) last: String,
}

/// The event that decides how a device was at a moment.
#[derive(Debug)]
pub(crate) struct Witness {
    pub(crate) version: u64,
    pub(crate) name: String,
    pub(crate) body: String,
}

impl Presence {
    pub(crate) fn key(&self) -> PageKey {
        PageKey {
            at: self.linked_at,
            id: self.id.to_string(),
        }
    }

    /// How the device was, by its last event until then; without one by its first after that.
    pub(crate) fn shown_by(
        self,
        until: Option<Witness>,
        after: Option<Witness>,
    ) -> StoreResult<PastDevice> {
        let document = match (until, after) {
            (Some(event), _) => Some(event.document(self.kind)?),
            (None, None) => Some(self.last),
            // It was found within this very moment, or did not change until it went.
            (None, Some(event)) if event.version == 1 || event.is_end() => {
                Some(event.document(self.kind)?)
            }
            (None, Some(_)) => None,
        };
        Ok(PastDevice {
            id: self.id,
            kind: self.kind,
            document,
        })
    }
}

impl Witness {
    fn is_end(&self) -> bool {
        self.name.ends_with(":deleted")
    }

    /// The document that an event about a device carries.
    fn document(self, kind: DeviceKind) -> StoreResult<String> {
        let mut members: BTreeMap<&str, &RawValue> =
            serde_json::from_str(&self.body).map_err(unreadable("event"))?;
        let document = members
            .remove(kind.name())
            .ok_or("it has no device")
            .map_err(unreadable("event"))?;
        Ok(document.get().to_owned())
    }
}
