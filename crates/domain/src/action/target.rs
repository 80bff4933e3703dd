//! What a device is to do, and whether it shows that it does.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    device::{
        Capability, Device, Document, Stamp, Via, battery,
        battery::OperationMode,
        charger::{self, ChargerPowerDeliveryState},
        hvac,
        vehicle::{self, VehiclePowerDeliveryState},
    },
    fact::{Field, Key},
    kind::DeviceKind,
    temperature::TemperatureTarget,
};

/// A vendor's clock may be behind ours by so much.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// A current is reached when it is this near, A: devices round to whole amperes.
const NEAR_CURRENT: f64 = 0.5;

/// Start or stop charging.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ChargingKind {
    /// Begin to charge.
    Start,
    /// Cease to charge.
    Stop,
}

/// What a device is to do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// A vehicle or a charger starts or stops charging.
    Charging(ChargingKind),
    /// A vehicle or a charger draws no more than this, A.
    MaxCurrent(f64),
    /// An HVAC unit holds a setting, or follows its vendor's program.
    Temperature(TemperatureTarget),
    /// A battery pursues this aim.
    OperationMode(OperationMode),
}

/// What charging is about, for a vehicle or a charger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    Unplugged,
    Charging,
    Stopped,
    Full,
    Troubled,
    Other,
}

/// Whether a device shows what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// It shows something else, or nothing.
    No,
    /// It does, by the word of someone who may not know of the command.
    Unproven,
    /// It does, read or pushed after the command.
    Proven,
}

impl Target {
    /// Whether a kind of device has such a target at all.
    pub const fn is_for(&self, kind: DeviceKind) -> bool {
        match self {
            Self::Charging(_) | Self::MaxCurrent(_) => {
                matches!(kind, DeviceKind::Vehicle | DeviceKind::Charger)
            }
            Self::Temperature(_) => matches!(kind, DeviceKind::Hvac),
            Self::OperationMode(_) => matches!(kind, DeviceKind::Battery),
        }
    }

    /// The ability that it takes; `None` for a kind of device that has no such target.
    pub const fn capability(&self, kind: DeviceKind) -> Option<Key<Capability>> {
        use DeviceKind::{Battery, Charger, Hvac, Vehicle};
        use TemperatureTarget::{Permanent, Scheduled};
        Some(match (self, kind) {
            (Self::Charging(ChargingKind::Start), Vehicle) => vehicle::START_CHARGING,
            (Self::Charging(ChargingKind::Start), Charger) => charger::START_CHARGING,
            (Self::Charging(ChargingKind::Stop), Vehicle) => vehicle::STOP_CHARGING,
            (Self::Charging(ChargingKind::Stop), Charger) => charger::STOP_CHARGING,
            (Self::MaxCurrent(_), Vehicle) => vehicle::SET_MAX_CURRENT,
            (Self::MaxCurrent(_), Charger) => charger::SET_MAX_CURRENT,
            (Self::Temperature(Permanent(_)), Hvac) => hvac::SET_PERMANENT_HOLD,
            (Self::Temperature(Scheduled {}), Hvac) => hvac::SET_FOLLOW_SCHEDULE,
            (Self::OperationMode(mode), Battery) => match mode {
                OperationMode::ExportFocus => battery::EXPORT_FOCUS,
                OperationMode::ImportFocus => battery::IMPORT_FOCUS,
                OperationMode::TimeOfUse => battery::TIME_OF_USE,
                OperationMode::SelfReliance => battery::SELF_RELIANCE,
                OperationMode::Idle => battery::IDLE,
                OperationMode::Unknown => return None,
            },
            _ => return None,
        })
    }

    /// Whether a device shows that it does so.
    pub fn is_met_by(&self, kind: DeviceKind, document: &Document) -> bool {
        match self {
            Self::Charging(wanted) => match (wanted, power(kind, document)) {
                (ChargingKind::Start, power) => power == Power::Charging,
                (ChargingKind::Stop, power) => matches!(power, Power::Stopped | Power::Full),
            },
            Self::MaxCurrent(wanted) => {
                let key = match kind {
                    DeviceKind::Charger => charger::MAX_CURRENT,
                    _ => vehicle::MAX_CURRENT,
                };
                let is = document.get(key);
                is.is_some_and(|is| (is - wanted).abs() <= NEAR_CURRENT)
            }
            Self::Temperature(wanted) => wanted.is_met_by(document),
            Self::OperationMode(wanted) => document.get(battery::OPERATION_MODE) == Some(*wanted),
        }
    }

    /// The fields by which a device shows it.
    fn fields(&self, kind: DeviceKind) -> Vec<Field> {
        match (self, kind) {
            (Self::Charging(_), DeviceKind::Charger) => {
                vec![charger::POWER_DELIVERY_STATE.field()]
            }
            (Self::Charging(_), _) => vec![vehicle::POWER_DELIVERY_STATE.field()],
            (Self::MaxCurrent(_), DeviceKind::Charger) => vec![charger::MAX_CURRENT.field()],
            (Self::MaxCurrent(_), _) => vec![vehicle::MAX_CURRENT.field()],
            (Self::Temperature(TemperatureTarget::Scheduled {}), _) => {
                vec![hvac::HOLD_TYPE.field()]
            }
            (Self::Temperature(TemperatureTarget::Permanent(hold)), _) => {
                let heat = hold.heat_setpoint().map(|_| hvac::HEAT_SETPOINT.field());
                let cool = hold.cool_setpoint().map(|_| hvac::COOL_SETPOINT.field());
                let mode = Some(hvac::MODE.field());
                [mode, heat, cool].into_iter().flatten().collect()
            }
            (Self::OperationMode(_), _) => vec![battery::OPERATION_MODE.field()],
        }
    }

    /// Whether a device shows it, and whether that can be the work of a command begun at `since`.
    pub(super) fn shown(&self, device: &Device, since: Timestamp) -> Shown {
        if !self.is_met_by(device.kind(), &device.document) {
            return Shown::No;
        }
        let fields = self.fields(device.kind());
        let is_later = |field: &Field| {
            let stamp = device.stamps.get(*field);
            stamp.is_some_and(|stamp| is_after(stamp, since))
        };
        if fields.iter().all(is_later) {
            Shown::Proven
        } else {
            Shown::Unproven
        }
    }

    /// What is known of how power flows since `since`, if it is about charging.
    pub(super) fn power_since(&self, device: &Device, since: Timestamp) -> Option<Power> {
        let fields = matches!(self, Self::Charging(_)).then(|| self.fields(device.kind()))?;
        let stamp = device.stamps.get(*fields.first()?)?;
        is_after(stamp, since).then(|| power(device.kind(), &device.document))
    }
}

/// Whether what a stamp is of was so after a moment: asked or told later, and not older by the
/// vendor's own clock. An echo of a command is no measurement, and what a broker keeps is of any age.
fn is_after(stamp: &Stamp, since: Timestamp) -> bool {
    let is_measured = match stamp.via {
        Via::Poll | Via::Push => true,
        Via::Retained => stamp.observed_at.is_some(),
        Via::CommandEcho => false,
    };
    let is_recent = |at: Timestamp| at.saturating_add(SKEW).is_ok_and(|at| at >= since);
    is_measured && stamp.started_at >= since && stamp.observed_at.is_none_or(is_recent)
}

/// How power flows to a vehicle or from a charger.
pub(super) fn power(kind: DeviceKind, document: &Document) -> Power {
    if kind == DeviceKind::Charger {
        use ChargerPowerDeliveryState as State;
        return match document.get(charger::POWER_DELIVERY_STATE) {
            Some(State::Unplugged) => Power::Unplugged,
            Some(State::Charging) => Power::Charging,
            Some(State::Stopped) => Power::Stopped,
            Some(State::NoPower | State::Fault) => Power::Troubled,
            Some(State::Unknown | State::Initializing | State::Discharging) | None => Power::Other,
        };
    }
    use VehiclePowerDeliveryState as State;
    match document.get(vehicle::POWER_DELIVERY_STATE) {
        Some(State::Unplugged) => Power::Unplugged,
        Some(State::Charging) => Power::Charging,
        Some(State::Stopped) => Power::Stopped,
        Some(State::Complete) => Power::Full,
        Some(State::NoPower | State::Fault) => Power::Troubled,
        Some(State::Unknown | State::Initializing | State::Discharging) | None => Power::Other,
    }
}
