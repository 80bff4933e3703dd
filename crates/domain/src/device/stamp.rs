//! Where the value of a field came from: what decides whether a later fact may replace it.

use std::fmt;

use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor},
};

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
        Self {
            observed_at: observed.map(moment),
            started_at: moment(started),
            received_at: moment(received),
            changed_at: changed.map(moment),
            via,
        }
    }
}

/// The stamps of a device's fields, sorted by the fields' dotted paths. Stored as an object of
/// them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stamps(Vec<(Field, Stamp)>);

impl Stamps {
    /// The stamp of a field; `None` while no fact about it was ever taken.
    pub fn get(&self, field: Field) -> Option<&Stamp> {
        let index = self.find(field).ok()?;
        self.0.get(index).map(|(_, stamp)| stamp)
    }

    /// Records where the value of a field came from.
    pub fn set(&mut self, field: Field, stamp: Stamp) {
        match self.find(field) {
            Ok(index) => self.0[index] = (field, stamp),
            Err(index) => self.0.insert(index, (field, stamp)),
        }
    }

    fn find(&self, field: Field) -> Result<usize, usize> {
        self.0
            .binary_search_by(|(known, _)| known.path().cmp(field.path()))
    }

    /// The `lastUpdated` of every block that has one, as [`Stamps::block_updated`] tells it.
    pub fn updated_blocks(&self, kind: DeviceKind) -> Vec<(&'static str, Timestamp)> {
        let mut updated: Vec<(&'static str, Timestamp)> = Vec::with_capacity(4);
        for (field, stamp) in &self.0 {
            let Some((block, at)) = field.block().zip(updated_at(kind, stamp)) else {
                continue;
            };
            // Sorted by path, the fields of a block follow each other.
            match updated.last_mut() {
                Some((last, newest)) if *last == block => *newest = at.max(*newest),
                _ => updated.push((block, at)),
            }
        }
        updated
    }

    /// When a fact about each block was last received, as [`Stamps::block_confirmed`] tells it.
    pub fn told_blocks(&self) -> Vec<(&'static str, Timestamp)> {
        let mut told: Vec<(&'static str, Timestamp)> = Vec::with_capacity(4);
        for (field, stamp) in &self.0 {
            let Some(block) = field.block() else { continue };
            match told.last_mut() {
                Some((last, newest)) if *last == block => *newest = stamp.received_at.max(*newest),
                _ => told.push((block, stamp.received_at)),
            }
        }
        told
    }

    /// A block's `lastUpdated`: the vendor's own time where given, else when we saw a change; for
    /// HVACs whichever is newer.
    pub fn block_updated(&self, kind: DeviceKind, block: &str) -> Option<Timestamp> {
        self.of_block(kind, block)
            .filter_map(|stamp| updated_at(kind, stamp))
            .max()
    }

    /// When a fact about the block was last received, whether it changed anything or not.
    pub fn block_confirmed(&self, kind: DeviceKind, block: &str) -> Option<Timestamp> {
        self.block_newest(kind, block)
            .map(|stamp| stamp.received_at)
    }

    /// The stamp of the fact about the block that was received last.
    pub fn block_newest(&self, kind: DeviceKind, block: &str) -> Option<&Stamp> {
        self.of_block(kind, block)
            .max_by_key(|stamp| stamp.received_at)
    }

    fn of_block(&self, kind: DeviceKind, block: &str) -> impl Iterator<Item = &Stamp> {
        Field::all(kind)
            .filter(move |field| field.block() == Some(block))
            .filter_map(|field| self.get(field))
    }
}

fn updated_at(kind: DeviceKind, stamp: &Stamp) -> Option<Timestamp> {
    updated(kind, stamp.observed_at, stamp.changed_at)
}

fn updated<T: Ord>(kind: DeviceKind, observed_at: Option<T>, changed_at: Option<T>) -> Option<T> {
    match kind {
        DeviceKind::Hvac => observed_at.max(changed_at),
        _ => observed_at.or(changed_at),
    }
}

/// The `lastUpdated` of every block that has one, as [`Stamps::updated_blocks`] tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdatedBlocks(pub Vec<(&'static str, Timestamp)>);

impl UpdatedBlocks {
    /// Those of stamps as they are stored, without making [`Stamps`] of them.
    ///
    /// # Errors
    /// If the text is none of stamps.
    pub fn read(kind: DeviceKind, stamps: &str) -> Result<Self, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(stamps);
        let updated = json.deserialize_map(UpdatedVisitor(kind))?;
        json.end()?;
        Ok(updated)
    }
}

struct UpdatedVisitor(DeviceKind);

impl<'de> Visitor<'de> for UpdatedVisitor {
    type Value = UpdatedBlocks;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stamps by path")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UpdatedBlocks, A::Error> {
        /// A [`Row`] of which only two times are looked at.
        #[derive(Deserialize)]
        struct Times(
            Option<i64>,
            de::IgnoredAny,
            de::IgnoredAny,
            Option<i64>,
            de::IgnoredAny,
        );

        let mut updated_blocks: Vec<(&'static str, i64)> = Vec::with_capacity(4);
        while let Some((KnownField(field), times)) = map.next_entry::<_, Times>()? {
            let block = field.and_then(Field::block);
            let Some((block, at)) = block.zip(updated(self.0, times.0, times.3)) else {
                continue;
            };
            match updated_blocks.iter_mut().find(|(known, _)| *known == block) {
                Some((_, newest)) => *newest = at.max(*newest),
                None => updated_blocks.push((block, at)),
            }
        }
        let moments = updated_blocks.into_iter();
        Ok(UpdatedBlocks(
            moments.map(|(block, at)| (block, moment(at))).collect(),
        ))
    }
}

fn moment(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

impl Serialize for Stamps {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(field, stamp)| (field.path(), stamp)))
    }
}

impl<'de> Deserialize<'de> for Stamps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(StampsVisitor)
    }
}

struct StampsVisitor;

impl<'de> Visitor<'de> for StampsVisitor {
    type Value = Stamps;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stamps by path")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Stamps, A::Error> {
        let mut stamps = Stamps(Vec::with_capacity(map.size_hint().unwrap_or(32)));
        while let Some((KnownField(field), stamp)) = map.next_entry()? {
            // A field that is no more has no need of its stamp.
            if let Some(field) = field {
                stamps.set(field, stamp);
            }
        }
        Ok(stamps)
    }
}

/// A field by its path; read without making a string of it.
struct KnownField(Option<Field>);

impl<'de> Deserialize<'de> for KnownField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PathVisitor;

        impl Visitor<'_> for PathVisitor {
            type Value = KnownField;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the path of a field")
            }

            fn visit_str<E: de::Error>(self, path: &str) -> Result<KnownField, E> {
                Ok(KnownField(Field::named(path)))
            }
        }

        deserializer.deserialize_str(PathVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::vehicle;

    #[test]
    fn are_stored_by_path_and_come_back() {
        let stamp = |second| Stamp {
            observed_at: None,
            started_at: Timestamp::constant(second, 0),
            received_at: Timestamp::constant(second + 1, 0),
            changed_at: Some(Timestamp::constant(second, 0)),
            via: Via::Poll,
        };
        let mut stamps = Stamps::default();
        stamps.set(vehicle::ODOMETER.field(), stamp(1));
        stamps.set(vehicle::BATTERY_LEVEL.field(), stamp(2));
        stamps.set(vehicle::ODOMETER.field(), stamp(3));
        let text = serde_json::to_string(&stamps).unwrap();
        assert!(text.starts_with("{\"chargeState.batteryLevel\":"), "{text}");
        let again: Stamps = serde_json::from_str(&text).unwrap();
        assert_eq!(again, stamps);
        assert_eq!(
            again.get(vehicle::ODOMETER.field()).map(|s| s.started_at),
            Some(Timestamp::constant(3, 0))
        );
        let foreign = text.replace("batteryLevel", "noSuchField");
        let fewer: Stamps = serde_json::from_str(&foreign).unwrap();
        assert_eq!(fewer.get(vehicle::BATTERY_LEVEL.field()), None);
        let kind = DeviceKind::Vehicle;
        let blocks: Vec<_> = Field::blocks(kind)
            .filter_map(|block| Some((block, stamps.block_updated(kind, block)?)))
            .collect();
        assert_eq!(stamps.updated_blocks(kind), blocks);
        for kind in DeviceKind::ALL {
            let read = UpdatedBlocks::read(kind, &text).unwrap();
            assert_eq!(read.0, stamps.updated_blocks(kind));
        }
        assert!(UpdatedBlocks::read(kind, "{").is_err());
    }
}
