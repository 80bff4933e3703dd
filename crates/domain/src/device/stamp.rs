//! Where the value of a field came from: what decides whether a later fact may replace it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{fact::Field, kind::DeviceKind};

/// The road by which a fact reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// We asked.
    Poll,
    /// The vendor told us.
    Push,
    /// The vendor repeated a snapshot of unknown age, as message brokers do on connecting.
    Retained,
    /// The vendor's answer to a command; a claim, not a measurement.
    CommandEcho,
}

/// Where the value of one field came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub struct Stamp {
    /// The vendor's own time of the value, if it gave one.
    pub observed_at: Option<Timestamp>,
    /// When the request that produced it began; for a push, when it arrived.
    pub started_at: Timestamp,
    /// When the answer arrived.
    pub received_at: Timestamp,
    /// When we last saw the value differ; `None` while it never did.
    pub changed_at: Option<Timestamp>,
    /// The road it came by.
    pub via: Via,
}

/// A stamp as it is stored: milliseconds in a tuple, since there is one per field and device.
#[derive(Serialize, Deserialize)]
struct Row(Option<i64>, i64, i64, Option<i64>, Via);

impl From<Stamp> for Row {
    fn from(stamp: Stamp) -> Self {
        Self(
            stamp.observed_at.map(Timestamp::as_millisecond),
            stamp.started_at.as_millisecond(),
            stamp.received_at.as_millisecond(),
            stamp.changed_at.map(Timestamp::as_millisecond),
            stamp.via,
        )
    }
}

impl From<Row> for Stamp {
    fn from(Row(observed, started, received, changed, via): Row) -> Self {
        let at = |ms| Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
        Self {
            observed_at: observed.map(at),
            started_at: at(started),
            received_at: at(received),
            changed_at: changed.map(at),
            via,
        }
    }
}

/// The stamps of a device's fields, by the field's dotted path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stamps(BTreeMap<String, Stamp>);

impl Stamps {
    /// The stamp of a field; `None` while no fact about it was ever taken.
    pub fn get(&self, field: Field) -> Option<&Stamp> {
        self.0.get(field.path())
    }

    /// Records where the value of a field came from.
    pub fn set(&mut self, field: Field, stamp: Stamp) {
        match self.0.get_mut(field.path()) {
            Some(slot) => *slot = stamp,
            None => {
                self.0.insert(field.path().to_owned(), stamp);
            }
        }
    }

    /// A block's `lastUpdated`: the vendor's own time where given, else when we saw a change; for
    /// HVACs whichever is newer.
    pub fn block_updated(&self, kind: DeviceKind, block: &str) -> Option<Timestamp> {
        self.of_block(kind, block)
            .filter_map(|stamp| match kind {
                DeviceKind::Hvac => stamp.observed_at.max(stamp.changed_at),
                _ => stamp.observed_at.or(stamp.changed_at),
            })
            .max()
    }

    /// When a fact about the block was last received, whether it changed anything or not.
    pub fn block_confirmed(&self, kind: DeviceKind, block: &str) -> Option<Timestamp> {
        self.of_block(kind, block)
            .map(|stamp| stamp.received_at)
            .max()
    }

    fn of_block(&self, kind: DeviceKind, block: &str) -> impl Iterator<Item = &Stamp> {
        Field::all(kind)
            .filter(move |field| field.block() == Some(block))
            .filter_map(|field| self.get(field))
    }
}
