//! Facts: what a vendor said about one field of one device, and when.
//!
//! Every adapter speaks in facts only. A snapshot, a partial update and a push are the same thing
//! with another [`Completeness`]. Absent (no fact), unknown (`null`) and a value (zero included)
//! are three things, and a field the device can never report is a fourth.
//!
//! Values are checked here, at the edge: a number outside of the field's range, or one that is not
//! finite, becomes [`Reading::Unknown`] and is counted in [`Observation::rejected`].

use std::{
    collections::HashMap, hash::Hasher as _, marker::PhantomData, ops::RangeInclusive,
    sync::LazyLock,
};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::{
    device::{VendorDevice, Via, battery, charger, hvac, inverter, meter, vehicle},
    energy::Flow,
    kind::DeviceKind,
};

/// What is fixed about a field.
#[derive(Debug)]
pub struct FieldSpec {
    /// Dotted path in the device's JSON.
    pub path: &'static str,
    /// The block whose `lastUpdated` follows the field, if it is in one that has it.
    pub block: Option<&'static str>,
    /// Accepted numbers, in the contract's unit; `None` for what is no number.
    pub range: Option<RangeInclusive<f64>>,
}

/// A field of a kind of device, as data.
#[derive(Debug, Clone, Copy)]
pub struct Field(&'static FieldSpec);

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0) || self.0.path == other.0.path
    }
}

impl Eq for Field {}

/// By its path.
impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.path().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = String::deserialize(deserializer)?;
        Self::named(&path).ok_or_else(|| de::Error::custom(format!("no field is called {path}")))
    }
}

impl Field {
    /// Dotted path in the device's JSON, for example `chargeState.batteryLevel`.
    pub const fn path(self) -> &'static str {
        self.0.path
    }

    /// The block whose `lastUpdated` follows the field, if it is in one that has it.
    pub const fn block(self) -> Option<&'static str> {
        self.0.block
    }

    /// Whether the field is part of the static description.
    pub fn is_information(self) -> bool {
        self.0.path.starts_with("information.") || self.0.path.starts_with("capabilities.")
    }

    /// Whether the field tells a position, which needs a scope of its own.
    pub fn is_position(self) -> bool {
        matches!(self.0.path, "location.longitude" | "location.latitude")
    }

    /// The field with this path. Where several kinds have it, the paths are all that is the same.
    pub fn named(path: &str) -> Option<Self> {
        static FIELDS: LazyLock<HashMap<&'static str, Field>> = LazyLock::new(|| {
            let fields = DeviceKind::ALL.into_iter().flat_map(Field::all);
            fields.map(|field| (field.path(), field)).collect()
        });
        FIELDS.get(path).copied()
    }

    /// All fields of a kind.
    pub fn all(kind: DeviceKind) -> impl Iterator<Item = Self> {
        let specs: &'static [&'static FieldSpec] = match kind {
            DeviceKind::Vehicle => vehicle::FIELDS,
            DeviceKind::Charger => charger::FIELDS,
            DeviceKind::Hvac => hvac::FIELDS,
            DeviceKind::Inverter => inverter::FIELDS,
            DeviceKind::Battery => battery::FIELDS,
            DeviceKind::Meter => meter::FIELDS,
        };
        specs.iter().map(|spec| Self(spec))
    }

    /// A block that has a `lastUpdated`, by its name.
    pub fn block_named(name: &str) -> Option<&'static str> {
        BLOCKS.into_iter().find(|block| *block == name)
    }

    /// The blocks of a kind that carry a `lastUpdated` fed by facts.
    pub fn blocks(kind: DeviceKind) -> impl Iterator<Item = &'static str> {
        BLOCKS
            .into_iter()
            .filter(move |block| Self::all(kind).any(|field| field.block() == Some(block)))
    }
}

/// Blocks that have a `lastUpdated`.
const BLOCKS: [&str; 8] = [
    "chargeState",
    "odometer",
    "location",
    "temperatureState",
    "thermostatState",
    "productionState",
    "config",
    "energyState",
];

/// A field together with the Rust type of its value.
#[derive(Debug)]
pub struct Key<T>(Field, PhantomData<fn() -> T>);

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> Key<T> {
    /// The key of a field. Only the `keys!` tables call this, so that type and path are said once.
    pub const fn of(spec: &'static FieldSpec) -> Self {
        Self(Field(spec), PhantomData)
    }

    /// The field.
    pub const fn field(self) -> Field {
        self.0
    }
}

/// The block that a path leads into, if it has a `lastUpdated`. Fields are asked for theirs at every
/// fetch, so it is found out when they are compiled.
pub(crate) const fn block_of(path: &str) -> Option<&'static str> {
    let path = path.as_bytes();
    let mut index = 0;
    while index < BLOCKS.len() {
        let block = BLOCKS[index].as_bytes();
        let mut same = 0;
        while same < block.len() && same < path.len() && block[same] == path[same] {
            same += 1;
        }
        if same == block.len() && same < path.len() && path[same] == b'.' {
            return Some(BLOCKS[index]);
        }
        index += 1;
    }
    None
}

/// Defines the typed keys of a kind and its list of fields.
macro_rules! keys {
    ($kind:ident: $($(#[$doc:meta])* $name:ident: $type:ty = $path:literal $(, $range:expr)?;)*) => {
        $(
            $(#[$doc])*
            pub const $name: crate::fact::Key<$type> = crate::fact::Key::of({
                static SPEC: crate::fact::FieldSpec = crate::fact::FieldSpec {
                    path: $path,
                    block: crate::fact::block_of($path),
                    range: crate::fact::range!($($range)?),
                };
                &SPEC
            });
        )*

        #[doc = concat!("All fields of the kind `", stringify!($kind), "`.")]
        pub const FIELDS: &[&crate::fact::FieldSpec] = &[$($name.spec()),*];
    };
}
macro_rules! range {
    () => {
        None
    };
    ($range:expr) => {
        Some($range)
    };
}
pub(crate) use {keys, range};

impl<T> Key<T> {
    /// What is fixed about the field.
    pub const fn spec(self) -> &'static FieldSpec {
        self.0.0
    }
}

/// What was said about a field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reading {
    /// It has this value, in the contract's unit.
    Known(Value),
    /// It has no value that could be told now.
    Unknown,
    /// The device can never tell it.
    Unsupported,
}

/// What was said about one field, and by whose clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fact {
    /// The field.
    pub field: Field,
    /// What was said.
    pub reading: Reading,
    /// The vendor's own time of it, if given.
    pub observed_at: Option<Timestamp>,
}

/// What a counter of energy showed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Register {
    /// What it counts.
    pub flow: Flow,
    /// Energy since whenever it was at zero, kWh.
    pub kwh: f64,
    /// The vendor's own time of it, if given.
    pub at: Option<Timestamp>,
}

/// What a counter can show, kWh.
const MOST_COUNTED: RangeInclusive<f64> = 0.0..=1e12;

/// Whether what is not mentioned is thereby unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Completeness {
    /// A snapshot: fields not mentioned have no value now.
    Complete,
    /// An update: fields not mentioned keep their values.
    Partial,
}

/// How the device itself stands, by the vendor's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Presence {
    /// Answers.
    Online,
    /// Sleeps; the data is the last known.
    Asleep,
    /// Does not answer its vendor.
    Offline,
}

/// All that one message of a vendor said about one device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// The device.
    pub device: VendorDevice,
    /// How the device itself stands.
    pub presence: Presence,
    /// Whether silence about a field means that it is unknown.
    pub completeness: Completeness,
    /// The road it came by.
    pub via: Via,
    /// When the request that produced it began; for a push, when it arrived.
    pub started_at: Timestamp,
    /// When it arrived.
    pub received_at: Timestamp,
    /// What was said.
    pub facts: Vec<Fact>,
    /// What counters of energy showed, which is no part of the device's JSON.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registers: Vec<Register>,
    /// Values refused because they cannot be true.
    pub rejected: u32,
}

impl Observation {
    /// An observation that says nothing yet.
    pub const fn new(
        device: VendorDevice,
        completeness: Completeness,
        via: Via,
        started_at: Timestamp,
        received_at: Timestamp,
    ) -> Self {
        Self {
            device,
            presence: Presence::Online,
            completeness,
            via,
            started_at,
            received_at,
            facts: Vec::new(),
            registers: Vec::new(),
            rejected: 0,
        }
    }

    /// Says what a counter of energy showed, kWh. What cannot be true is refused.
    pub fn count(&mut self, flow: Flow, kwh: f64, at: Option<Timestamp>) {
        if !MOST_COUNTED.contains(&kwh) {
            self.rejected += 1;
            return;
        }
        let at = at.filter(|at| *at >= Timestamp::UNIX_EPOCH);
        self.registers.push(Register { flow, kwh, at });
    }

    /// Says that a field has a value, or (`None`) that its value is unknown.
    pub fn tell<T: Serialize>(&mut self, key: Key<T>, value: Option<T>, at: Option<Timestamp>) {
        let field = key.field();
        let reading = match value.map(serde_json::to_value) {
            None => Reading::Unknown,
            Some(Ok(value)) if is_acceptable(key.spec(), &value, self.received_at) => {
                Reading::Known(as_printed(field, value))
            }
            Some(_) => {
                self.rejected += 1;
                Reading::Unknown
            }
        };
        self.facts.push(Fact {
            field,
            reading,
            // A time that cannot be one is no time: the contract's moments have years of four digits.
            observed_at: at.filter(|at| *at >= Timestamp::UNIX_EPOCH),
        });
    }

    /// Says that the device can never tell a field.
    pub fn tell_unsupported<T>(&mut self, key: Key<T>) {
        let field = key.field();
        self.facts.push(Fact {
            field,
            reading: Reading::Unsupported,
            observed_at: None,
        });
    }

    /// A number that is the same for two observations exactly when they say the same, whenever
    /// they were made. Two equal answers in a row need no merge.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = Fnv::default();
        hasher.write_u8(self.presence as u8);
        for fact in &self.facts {
            hasher.write(fact.field.path().as_bytes());
            match &fact.reading {
                Reading::Known(value) => hash_value(value, &mut hasher),
                Reading::Unknown => hasher.write_u8(1),
                Reading::Unsupported => hasher.write_u8(2),
            }
            hasher.write_i64(fact.observed_at.map_or(i64::MIN, Timestamp::as_millisecond));
        }
        for register in &self.registers {
            hasher.write_u8(register.flow as u8);
            hasher.write_u64(register.kwh.to_bits());
        }
        hasher.finish()
    }
}

fn is_acceptable(spec: &FieldSpec, value: &Value, now: Timestamp) -> bool {
    match (&spec.range, value) {
        // Nothing that answers was installed after it did.
        (None, Value::String(text)) if spec.path == INSTALLATION_DATE => text
            .parse::<Timestamp>()
            .is_ok_and(|at| at >= EARLIEST_INSTALLATION && at <= now),
        // A float that is not finite serializes as null.
        (_, Value::Null) => false,
        (Some(range), value) => value.as_f64().is_some_and(|number| range.contains(&number)),
        (None, Value::String(text)) => text.len() <= MAX_TEXT_BYTES,
        (None, _) => true,
    }
}

/// The year 1900: before it nothing was installed that answers.
const EARLIEST_INSTALLATION: Timestamp = Timestamp::constant(-2_208_988_800, 0);

/// The one moment among the values.
const INSTALLATION_DATE: &str = "information.installationDate";

/// Moments as the contract prints them; everything else as it is.
fn as_printed(field: Field, value: Value) -> Value {
    match (field.path(), &value) {
        (INSTALLATION_DATE, Value::String(text)) => text
            .parse()
            .map_or(value, |at| Value::String(crate::time::wire(at))),
        _ => value,
    }
}

/// Longest accepted text of a field, in bytes.
const MAX_TEXT_BYTES: usize = 512;

fn hash_value(value: &Value, hasher: &mut Fnv) {
    match value {
        Value::Null => hasher.write_u8(3),
        Value::Bool(flag) => hasher.write_u8(4 + u8::from(*flag)),
        Value::Number(number) => hasher.write_u64(number.as_f64().unwrap_or(0.0).to_bits()),
        Value::String(text) => hasher.write(text.as_bytes()),
        Value::Array(items) => items.iter().for_each(|item| hash_value(item, hasher)),
        Value::Object(members) => members.iter().for_each(|(name, member)| {
            hasher.write(name.as_bytes());
            hash_value(member, hasher);
        }),
    }
}

/// FNV-1a, 64 bits: small, and the same in every process.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl std::hash::Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observation() -> Observation {
        let at = Timestamp::UNIX_EPOCH;
        let device = VendorDevice {
            kind: DeviceKind::Vehicle,
            id: "1".to_owned(),
        };
        Observation::new(device, Completeness::Partial, Via::Poll, at, at)
    }

    #[test]
    fn absurd_numbers_become_unknown_and_are_counted() {
        let mut seen = observation();
        seen.tell(vehicle::BATTERY_LEVEL, Some(140.0), None);
        seen.tell(vehicle::RANGE, Some(f64::NAN), None);
        seen.tell(vehicle::ODOMETER, Some(0.0), None);
        assert_eq!(seen.rejected, 2);
        assert_eq!(seen.facts[0].reading, Reading::Unknown);
        assert_eq!(seen.facts[1].reading, Reading::Unknown);
        assert_eq!(seen.facts[2].reading, Reading::Known(0.0.into()));
    }

    #[test]
    fn a_time_before_there_were_any_is_none() {
        let mut seen = observation();
        let at = Timestamp::from_millisecond(-63_000_000_000_000).ok();
        seen.tell(vehicle::BATTERY_LEVEL, Some(50.0), at);
        assert_eq!(seen.facts[0].observed_at, None);
        assert_eq!(seen.facts[0].reading, Reading::Known(50.0.into()));
    }

    #[test]
    fn nothing_was_installed_in_the_future() {
        let mut seen = observation();
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        seen.tell(inverter::INSTALLATION_DATE, Some(at(1)), None);
        seen.tell(inverter::INSTALLATION_DATE, Some(at(-1)), None);
        assert_eq!(seen.rejected, 1);
        assert_eq!(seen.facts[0].reading, Reading::Unknown);
        let known = Reading::Known("1969-12-31T23:59:59.000Z".into());
        assert_eq!(seen.facts[1].reading, known);
    }

    #[test]
    fn fingerprint_tells_zero_from_unknown() {
        let mut zero = observation();
        zero.tell(vehicle::RANGE, Some(0.0), None);
        let mut unknown = observation();
        unknown.tell(vehicle::RANGE, None, None);
        assert_ne!(zero.fingerprint(), unknown.fingerprint());
        assert_eq!(zero.fingerprint(), zero.clone().fingerprint());
    }
}
