//! What the words and numbers of OCPP 1.6 mean in ours.
//!
//! Connector status to power delivery:
//!
//! | status | means | because |
//! |---|---|---|
//! | Available, Reserved | unplugged | no car |
//! | Preparing | initializing | plugged, about to charge |
//! | Charging | charging | |
//! | SuspendedEV, SuspendedEVSE | stopped | paused by the car or the charger; charging can resume |
//! | Finishing | stopped | the transaction is over, the plug is still in |
//! | Faulted | fault | |
//! | Unavailable | unknown | out of service: it tells nothing of the plug |
//!
//! SuspendedEV is not "no power": that would mean that the user must see to it, while a full car
//! that takes no more is the usual end of every night.

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};
use livewatt_domain::device::charger::ChargerPowerDeliveryState;

use super::wire::Fields;

/// Status of a connector, or of the station as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Available,
    Preparing,
    Charging,
    SuspendedEv,
    SuspendedEvse,
    Finishing,
    Reserved,
    Unavailable,
    Faulted,
}

impl Status {
    /// The status of a word; `None` if there is no such status.
    pub(super) fn of(word: &str) -> Option<Self> {
        const WORDS: [(&str, Status); 9] = [
            ("Available", Status::Available),
            ("Preparing", Status::Preparing),
            ("Charging", Status::Charging),
            ("SuspendedEV", Status::SuspendedEv),
            ("SuspendedEVSE", Status::SuspendedEvse),
            ("Finishing", Status::Finishing),
            ("Reserved", Status::Reserved),
            ("Unavailable", Status::Unavailable),
            ("Faulted", Status::Faulted),
        ];
        WORDS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(word))
            .map(|(_, status)| *status)
    }

    /// How power flows; `None` if that cannot be told.
    pub(super) const fn power_delivery_state(self) -> Option<ChargerPowerDeliveryState> {
        use ChargerPowerDeliveryState as State;
        Some(match self {
            Self::Available | Self::Reserved => State::Unplugged,
            Self::Preparing => State::Initializing,
            Self::Charging => State::Charging,
            Self::SuspendedEv | Self::SuspendedEvse | Self::Finishing => State::Stopped,
            Self::Faulted => State::Fault,
            Self::Unavailable => return None,
        })
    }

    /// Whether the station can be used for nothing now.
    pub(super) const fn is_out_of_service(self) -> bool {
        matches!(self, Self::Unavailable | Self::Faulted)
    }

    /// Whether a car is being served, so that the station as a whole cannot be out of service.
    pub(super) const fn is_serving(self) -> bool {
        matches!(
            self,
            Self::Preparing
                | Self::Charging
                | Self::SuspendedEv
                | Self::SuspendedEvse
                | Self::Finishing
        )
    }
}

/// A moment as stations write it; without a zone it is UTC. `None` if it is none.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().or_else(|| {
        let local = text.parse::<civil::DateTime>().ok()?;
        local
            .to_zoned(TimeZone::UTC)
            .ok()
            .map(|zoned| zoned.timestamp())
    })
}

/// What the samples of one moment say.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Measured {
    /// Power drawn, kW, as the station measured it.
    pub(super) power: Option<f64>,
    /// The register of energy drawn, Wh.
    pub(super) energy: Option<f64>,
    /// Power as the sum of volts by amperes, kW.
    pub(super) apparent: Option<f64>,
    /// Current offered to the car, A.
    pub(super) offered: Option<f64>,
}

/// A list of samples with their time.
#[derive(Debug)]
pub(super) struct Reading {
    /// As the station wrote it.
    pub(super) at: Option<Timestamp>,
    samples: Vec<Sample>,
}

/// A number with what it measures, in the base unit (W, Wh, A, V).
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    measurand: Measurand,
    phase: Option<String>,
    is_at_outlet: bool,
    value: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measurand {
    Energy,
    Power,
    Current,
    Offered,
    Voltage,
}

impl Measurand {
    fn of(word: &str) -> Option<Self> {
        const WORDS: [(&str, Measurand); 5] = [
            ("Energy.Active.Import.Register", Measurand::Energy),
            ("Power.Active.Import", Measurand::Power),
            ("Current.Import", Measurand::Current),
            ("Current.Offered", Measurand::Offered),
            ("Voltage", Measurand::Voltage),
        ];
        WORDS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(word))
            .map(|(_, m)| *m)
    }

    /// What a number in this unit is to be multiplied by. Stations mix up the spelling, so case is
    /// ignored and a missing unit is the base unit.
    fn factor(self, unit: Option<&str>) -> Option<f64> {
        let (base, thousand) = match self {
            Self::Energy => ("Wh", Some("kWh")),
            Self::Power => ("W", Some("kW")),
            Self::Current | Self::Offered => ("A", None),
            Self::Voltage => ("V", None),
        };
        let Some(unit) = unit else {
            return Some(1.0);
        };
        if unit.eq_ignore_ascii_case(base) {
            Some(1.0)
        } else {
            thousand
                .filter(|thousand| unit.eq_ignore_ascii_case(thousand))
                .map(|_| 1000.0)
        }
    }
}

/// The readings of a list of meter values, oldest first; those of one moment are one. What is not
/// understood is left out and noted in `drift`.
pub(super) fn readings<'a>(
    values: impl Iterator<Item = Fields<'a>>,
    drift: &mut Vec<String>,
) -> Vec<Reading> {
    let mut readings = Vec::<Reading>::new();
    for value in values {
        let at = value.text("timestamp").and_then(|text| moment(&text));
        let samples = value
            .list("sampledValue")
            .filter_map(|fields| sample(fields, drift));
        match readings.iter_mut().find(|reading| reading.at == at) {
            Some(reading) => reading.samples.extend(samples),
            None => readings.push(Reading {
                at,
                samples: samples.collect(),
            }),
        }
    }
    readings.sort_by_key(|reading| reading.at);
    readings
}

fn sample(fields: Fields<'_>, drift: &mut Vec<String>) -> Option<Sample> {
    let measurand = match fields.text("measurand") {
        Some(word) => Measurand::of(&word)?,
        None => Measurand::Energy,
    };
    if fields
        .text("format")
        .is_some_and(|format| format.eq_ignore_ascii_case("SignedData"))
    {
        return None;
    }
    let unit = fields.text("unit");
    let Some(factor) = measurand.factor(unit.as_deref()) else {
        drift.push(format!("unit={}", unit.unwrap_or_default()));
        return None;
    };
    let Some(value) = fields.number("value") else {
        drift.push(format!(
            "value={}",
            fields.text("value").unwrap_or_default()
        ));
        return None;
    };
    Some(Sample {
        measurand,
        phase: fields.text("phase").map(|phase| phase.to_ascii_uppercase()),
        is_at_outlet: fields
            .text("location")
            .is_none_or(|location| location.eq_ignore_ascii_case("Outlet")),
        value: value * factor,
    })
}

/// The phases, as measured by themselves and against the neutral.
const PHASES: [[&str; 2]; 3] = [["L1", "L1-N"], ["L2", "L2-N"], ["L3", "L3-N"]];

impl Reading {
    /// What the samples say together.
    pub(super) fn measured(&self) -> Measured {
        Measured {
            power: self.total(Measurand::Power).map(kilowatts),
            energy: self.total(Measurand::Energy),
            apparent: self.apparent().map(kilowatts),
            offered: self.total_or(Measurand::Offered, f64::max),
        }
    }

    /// The value for all phases, else the sum of those of single phases.
    fn total(&self, measurand: Measurand) -> Option<f64> {
        self.total_or(measurand, |a, b| a + b)
    }

    fn total_or(&self, measurand: Measurand, join: fn(f64, f64) -> f64) -> Option<f64> {
        let single = || {
            (0..3)
                .filter_map(|phase| self.of_phase(measurand, phase))
                .reduce(join)
        };
        self.of_all(measurand).or_else(single)
    }

    fn of_all(&self, measurand: Measurand) -> Option<f64> {
        self.pick(measurand, |phase| phase.is_none())
    }

    fn of_phase(&self, measurand: Measurand, phase: usize) -> Option<f64> {
        self.pick(measurand, |name| {
            name.is_some_and(|name| PHASES[phase].contains(&name))
        })
    }

    /// The newest value of a measurand; one taken at the outlet before one taken elsewhere.
    fn pick(&self, measurand: Measurand, is_phase: impl Fn(Option<&str>) -> bool) -> Option<f64> {
        let fitting = || {
            self.samples
                .iter()
                .rev()
                .filter(|sample| sample.measurand == measurand && is_phase(sample.phase.as_deref()))
        };
        let at_outlet = fitting().find(|sample| sample.is_at_outlet);
        at_outlet
            .or_else(|| fitting().next())
            .map(|sample| sample.value)
    }

    /// The sum over phases of volts by amperes, W. A voltage told for no phase is that of each.
    fn apparent(&self) -> Option<f64> {
        let volts = |phase| {
            self.of_phase(Measurand::Voltage, phase)
                .or_else(|| self.of_all(Measurand::Voltage))
        };
        let of_phase = |phase| Some(volts(phase)? * self.of_phase(Measurand::Current, phase)?);
        let sum = (0..3).filter_map(of_phase).reduce(|a, b| a + b);
        sum.or_else(|| Some(volts(0)? * self.of_all(Measurand::Current)?))
    }
}

/// Power in kW, to the watt: finer digits are noise that would make events.
fn kilowatts(watts: f64) -> f64 {
    // Meters at rest waver a little below zero.
    let watts = if (-100.0..0.0).contains(&watts) {
        0.0
    } else {
        watts
    };
    watts.round() / 1000.0
}

/// A state of the energy register.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Register {
    /// Wh.
    pub(super) energy: f64,
    /// By the station's clock, right or wrong.
    pub(super) at: Option<Timestamp>,
    /// By ours.
    pub(super) arrived_at: Timestamp,
}

impl Register {
    /// Shorter than this, the steps of the register are larger than what is measured.
    const SHORTEST: SignedDuration = SignedDuration::from_secs(10);
    /// Longer than this, a mean says nothing about now.
    const LONGEST: SignedDuration = SignedDuration::from_hours(1);

    /// Whether an earlier state is far enough away to work out a power from.
    pub(super) fn is_far_from(&self, earlier: &Self) -> bool {
        self.since(earlier).abs() >= Self::SHORTEST
    }

    fn since(&self, earlier: &Self) -> SignedDuration {
        match (earlier.at, self.at) {
            (Some(from), Some(to)) => to.duration_since(from),
            _ => self.arrived_at.duration_since(earlier.arrived_at),
        }
    }

    /// Mean power since an earlier state, kW.
    pub(super) fn slope(&self, earlier: &Self) -> Option<f64> {
        let time = self.since(earlier);
        let energy = self.energy - earlier.energy;
        let is_usable = energy >= 0.0 && (Self::SHORTEST..=Self::LONGEST).contains(&time);
        is_usable.then(|| kilowatts(energy * 3600.0 / time.as_secs_f64()))
    }
}
