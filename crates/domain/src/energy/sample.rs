//! What was told of a device at one moment.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    device::{
        Via, battery,
        charger::{self, ChargerPowerDeliveryState},
        hvac, inverter, meter,
        vehicle::{self, VehiclePowerDeliveryState},
    },
    fact::{Fact, Key, Observation, Presence, Reading},
    kind::DeviceKind,
    time::to_millisecond,
};

/// Whether power flows, and if not, why. The order decides between two that are told of the same
/// moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PowerState {
    /// No cable.
    #[serde(rename = "u")]
    Unplugged,
    /// None flows.
    #[serde(rename = "i")]
    Idle,
    /// None flows, for the battery has reached its limit.
    #[serde(rename = "f")]
    Full,
    /// It flows.
    #[serde(rename = "a")]
    Active,
}

/// What was told of a device at one moment; what was not is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub struct Sample {
    /// When it was so: the vendor's own time if given, else when the answer arrived.
    pub at: Timestamp,
    /// Whether power flows.
    pub state: Option<PowerState>,
    /// Power, kW; positive into the device.
    pub rate: Option<f64>,
    /// The counter of energy taken, kWh.
    pub taken: Option<f64>,
    /// The counter of energy given, kWh.
    pub given: Option<f64>,
    /// State of charge, %.
    pub level: Option<f64>,
    /// Usable capacity of the battery, kWh.
    pub capacity: Option<f64>,
}

/// A sample as it is stored: a tuple, since there are many.
#[derive(Serialize, Deserialize)]
struct Row(
    i64,
    Option<PowerState>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
);

impl From<Sample> for Row {
    fn from(sample: Sample) -> Self {
        Self(
            sample.at.as_millisecond(),
            sample.state,
            sample.rate,
            sample.taken,
            sample.given,
            sample.level,
            sample.capacity,
        )
    }
}

impl From<Row> for Sample {
    fn from(Row(at, state, rate, taken, given, level, capacity): Row) -> Self {
        Self {
            at: Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH),
            state,
            rate,
            taken,
            given,
            level,
            capacity,
        }
    }
}

impl Sample {
    /// A sample that tells nothing.
    pub const fn at(at: Timestamp) -> Self {
        Self {
            at,
            state: None,
            rate: None,
            taken: None,
            given: None,
            level: None,
            capacity: None,
        }
    }

    /// Power, also where it follows from the state: what does not charge takes nothing.
    pub fn power(&self) -> Option<f64> {
        let rests = self.state.is_some_and(|state| state != PowerState::Active);
        self.rate.or(rests.then_some(0.0))
    }

    /// Whether power flows, by the word of the device.
    pub fn is_active(&self) -> bool {
        self.state == Some(PowerState::Active)
    }

    /// Whether it tells anything that sums are made of.
    const fn is_empty(&self) -> bool {
        self.state.is_none()
            && self.rate.is_none()
            && self.taken.is_none()
            && self.given.is_none()
            && self.level.is_none()
    }

    /// Adds what was told of the same moment. Which of two came first makes no difference.
    fn add(&mut self, other: &Self) {
        self.state = self.state.max(other.state);
        for (own, other) in [
            (&mut self.rate, other.rate),
            (&mut self.taken, other.taken),
            (&mut self.given, other.given),
            (&mut self.level, other.level),
            (&mut self.capacity, other.capacity),
        ] {
            *own = match (*own, other) {
                (Some(one), Some(two)) => Some(one.max(two)),
                (one, two) => one.or(two),
            };
        }
    }
}

/// Samples in the order of their moments, one of each moment.
pub fn merge_samples(samples: impl IntoIterator<Item = Sample>) -> Vec<Sample> {
    let mut by_moment = BTreeMap::<i64, Sample>::new();
    for sample in samples {
        by_moment
            .entry(sample.at.as_millisecond())
            .and_modify(|known| known.add(&sample))
            .or_insert(sample);
    }
    by_moment.into_values().collect()
}

/// The samples in an observation, in the order of their moments.
///
/// A value is of the moment that the vendor gives. A fetch that was answered also tells that it is
/// still so: vendors give the moment of the last change, which may be long ago. A device that does
/// not answer its vendor confirms nothing.
pub fn samples_of(observation: &Observation) -> Vec<Sample> {
    if matches!(observation.via, Via::Retained | Via::CommandEcho) {
        return Vec::new();
    }
    let received = to_millisecond(observation.received_at);
    let confirms = observation.via == Via::Poll && observation.presence == Presence::Online;
    let kind = observation.device.kind;
    let mut samples = Vec::new();
    for fact in &observation.facts {
        let mut take = |at| {
            let mut sample = Sample::at(at);
            read(kind, fact, &mut sample);
            samples.push(sample);
        };
        let told = fact.observed_at.map_or(received, to_millisecond);
        take(told.min(received));
        if confirms && told < received {
            take(received);
        }
    }
    for register in &observation.registers {
        let at = register.at.map_or(received, to_millisecond).min(received);
        let mut sample = Sample::at(at);
        match register.flow {
            super::Flow::Taken => sample.taken = Some(rounded(register.kwh)),
            super::Flow::Given => sample.given = Some(rounded(register.kwh)),
        }
        samples.push(sample);
    }
    let mut merged = merge_samples(samples);
    merged.retain(|sample| !sample.is_empty());
    merged
}

/// Takes over what a fact says.
fn read(kind: DeviceKind, fact: &Fact, sample: &mut Sample) {
    match kind {
        DeviceKind::Vehicle => {
            take(fact, vehicle::CHARGE_RATE, &mut sample.rate, 1.0);
            take(fact, vehicle::BATTERY_LEVEL, &mut sample.level, 1.0);
            take(fact, vehicle::BATTERY_CAPACITY, &mut sample.capacity, 1.0);
            if let Some(state) = value(fact, vehicle::POWER_DELIVERY_STATE) {
                use VehiclePowerDeliveryState as State;
                sample.state = match state {
                    State::Unknown => None,
                    State::Unplugged => Some(PowerState::Unplugged),
                    State::Charging => Some(PowerState::Active),
                    State::Complete => Some(PowerState::Full),
                    State::Initializing
                    | State::Stopped
                    | State::NoPower
                    | State::Fault
                    | State::Discharging => Some(PowerState::Idle),
                };
            }
        }
        DeviceKind::Charger => {
            take(fact, charger::CHARGE_RATE, &mut sample.rate, 1.0);
            if let Some(state) = value(fact, charger::POWER_DELIVERY_STATE) {
                use ChargerPowerDeliveryState as State;
                sample.state = match state {
                    State::Unknown => None,
                    State::Unplugged => Some(PowerState::Unplugged),
                    State::Charging => Some(PowerState::Active),
                    _ => Some(PowerState::Idle),
                };
            }
        }
        DeviceKind::Hvac => {
            take(fact, hvac::CONSUMPTION_RATE, &mut sample.rate, 1.0);
        }
        DeviceKind::Inverter => {
            take(fact, inverter::PRODUCTION_RATE, &mut sample.rate, -1.0);
            take(
                fact,
                inverter::TOTAL_LIFETIME_PRODUCTION,
                &mut sample.given,
                1.0,
            );
        }
        DeviceKind::Battery => {
            take(fact, battery::CHARGE_RATE, &mut sample.rate, 1.0);
            take(fact, battery::BATTERY_LEVEL, &mut sample.level, 1.0);
            take(fact, battery::BATTERY_CAPACITY, &mut sample.capacity, 1.0);
        }
        DeviceKind::Meter => take(fact, meter::POWER, &mut sample.rate, 1.0),
    }
}

fn take(fact: &Fact, key: Key<f64>, slot: &mut Option<f64>, sign: f64) {
    if let Some(number) = value(fact, key) {
        *slot = Some(rounded(number * sign));
    }
}

/// To the milliwatt: so many digits come back from the store as they were.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

fn value<T: serde::de::DeserializeOwned>(fact: &Fact, key: Key<T>) -> Option<T> {
    match &fact.reading {
        Reading::Known(value) if fact.field == key.field() => T::deserialize(value).ok(),
        Reading::Known(_) | Reading::Unknown | Reading::Unsupported => None,
    }
}
