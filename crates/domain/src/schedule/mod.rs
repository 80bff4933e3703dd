//! Schedules: what a device is to do by the clock of a place.
//!
//! A schedule has a default and rules; of those that hold at a moment the last one counts. Rules:
//! - Times of day and weekdays go by the wall clock of the schedule's Location, or UTC; those of a
//!   temperature schedule by that of the Location its unit is at. A time that the clock skips never
//!   comes, and one that it repeats comes twice.
//! - A window whose end is not after its beginning crosses midnight, and belongs to the weekday on
//!   which it begins.
//! - A charge schedule of a vehicle acts only while the vehicle is at the schedule's Location; without
//!   one it never acts. One of a charger without a Location always acts.
//! - What somebody does to a device after the schedule had brought it in line is left alone until the
//!   schedule wants something else, the cable was pulled, or the schedule takes over anew.
//! - What failed is tried again when the schedule wants something else, when the device can be reached
//!   again, and every half an hour.

mod execution;
mod status;
mod timeline;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::{
    execution::{Execution, Look, Looked, ScheduleStatus},
    status::{
        Attempt, ChargeParts, ChargeSituation, ChargeStatus, ChargeTransition, Judged, RETRY_EVERY,
        ScheduleState, ScheduleType, TemperatureSituation, TemperatureStatus,
        TemperatureTransition, judge_charge, judge_temperature,
    },
    timeline::{Timeline, Transition},
};
use crate::{
    id::{ClientId, DeviceId, LocationId, ScheduleId, UserId},
    kind::DeviceKind,
    tariff::ClockTime,
    temperature::{Hold, TemperatureTarget, Unfit},
};

/// Rules that a schedule can have.
pub const MOST_RULES: usize = 200;

/// Upcoming transitions that a status tells.
pub const MOST_TRANSITIONS: usize = 2;

/// A window of each day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HourMinute {
    /// The beginning, inclusive.
    pub from: ClockTime,
    /// The end, exclusive; on the next day if it is not after the beginning.
    pub to: ClockTime,
}

/// When a rule holds: all that is said must be so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct When<'r> {
    /// Within this window of the day.
    pub hour_minute: Option<HourMinute>,
    /// From then on.
    pub from: Option<Timestamp>,
    /// Before then.
    pub to: Option<Timestamp>,
    /// On these days, 0 (Monday) to 6.
    pub weekdays: Option<&'r [u8]>,
}

/// A rule: when it holds, and what is wanted then.
pub trait Rule {
    /// What can be wanted.
    type Wanted: Copy + PartialEq + std::fmt::Debug;

    /// When it holds.
    fn when(&self) -> When<'_>;

    /// What is wanted then.
    fn wanted(&self) -> Self::Wanted;
}

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident { $(#[$field_doc:meta])* $field:ident: $wanted:ty })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            /// Within this window of the day.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub hour_minute: Option<HourMinute>,
            /// From then on.
            #[serde(
                default,
                skip_serializing_if = "Option::is_none",
                serialize_with = "crate::time::serialize_option"
            )]
            pub from_timestamp: Option<Timestamp>,
            /// Before then.
            #[serde(
                default,
                skip_serializing_if = "Option::is_none",
                serialize_with = "crate::time::serialize_option"
            )]
            pub to_timestamp: Option<Timestamp>,
            /// On these days, 0 (Monday) to 6.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub weekdays: Option<Vec<u8>>,
            $(#[$field_doc])*
            pub $field: $wanted,
        }

        impl Rule for $name {
            type Wanted = $wanted;

            fn when(&self) -> When<'_> {
                When {
                    hour_minute: self.hour_minute,
                    from: self.from_timestamp,
                    to: self.to_timestamp,
                    weekdays: self.weekdays.as_deref(),
                }
            }

            fn wanted(&self) -> $wanted {
                self.$field
            }
        }
    )*};
}

rules! {
    /// A rule of a charge schedule.
    ChargeRule {
        /// Whether it should charge then.
        should_charge: bool
    }
    /// A rule of a temperature schedule.
    TemperatureRule {
        /// What the unit is to be set to then.
        target_state: TemperatureTarget
    }
}

/// When a vehicle or a charger should charge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChargeProgram {
    /// A vehicle or a charger.
    pub target_type: DeviceKind,
    /// It acts only there.
    pub location_id: Option<LocationId>,
    /// Whether it should charge where no rule holds.
    pub default_should_charge: bool,
    /// The rules.
    pub rules: Vec<ChargeRule>,
}

/// What an HVAC unit is to be set to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TemperatureProgram {
    /// An HVAC unit.
    pub target_type: DeviceKind,
    /// What it is to be set to where no rule holds.
    pub default_target_state: TemperatureTarget,
    /// The rules.
    pub rules: Vec<TemperatureRule>,
}

/// What a schedule wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Program {
    /// Of a vehicle or a charger.
    Charge(ChargeProgram),
    /// Of an HVAC unit.
    Temperature(TemperatureProgram),
}

/// A schedule of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Identifier.
    pub id: ScheduleId,
    /// The customer.
    pub client_id: ClientId,
    /// Whose device it is.
    pub user_id: UserId,
    /// The device.
    pub target_id: DeviceId,
    /// Whether it acts at all.
    pub is_enabled: bool,
    /// What it wants.
    pub program: Program,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A schedule as the contract prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleDocument<'s> {
    /// Identifier.
    pub id: ScheduleId,
    /// The device.
    pub target_id: DeviceId,
    /// Whether it acts at all.
    pub is_enabled: bool,
    /// What it wants.
    #[serde(flatten)]
    pub program: &'s Program,
}

impl Schedule {
    /// It as the contract prints it.
    pub const fn document(&self) -> ScheduleDocument<'_> {
        ScheduleDocument {
            id: self.id,
            target_id: self.target_id,
            is_enabled: self.is_enabled,
            program: &self.program,
        }
    }
}

/// What is wrong with a program.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum ProgramError {
    /// A kind of device that has no such schedule.
    #[error("must be {0}")]
    TargetType(&'static str),
    /// More than can be looked at in time.
    #[error("must have at most {MOST_RULES} rules")]
    TooManyRules,
    /// A day that no week has.
    #[error("must be 0 (Monday) to 6")]
    Weekday,
    /// A rule that would hold never.
    #[error("must be after fromTimestamp")]
    Span,
    /// The setpoints are the wrong way round.
    #[error(transparent)]
    Target(Unfit),
}

impl Program {
    /// The kind of device.
    pub const fn target_type(&self) -> DeviceKind {
        match self {
            Self::Charge(program) => program.target_type,
            Self::Temperature(program) => program.target_type,
        }
    }

    /// Whether it can be followed; tells the field that is to blame, as the wire names it.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self) -> Result<(), (String, ProgramError)> {
        match self {
            Self::Charge(program) => {
                let kind = program.target_type;
                if !matches!(kind, DeviceKind::Vehicle | DeviceKind::Charger) {
                    let error = ProgramError::TargetType("vehicle or charger");
                    return Err(("targetType".to_owned(), error));
                }
                check_rules(&program.rules)
            }
            Self::Temperature(program) => {
                if program.target_type != DeviceKind::Hvac {
                    return Err(("targetType".to_owned(), ProgramError::TargetType("hvac")));
                }
                check_target(&program.default_target_state, "defaultTargetState")?;
                for (index, rule) in program.rules.iter().enumerate() {
                    check_target(&rule.target_state, &format!("rules.{index}.targetState"))?;
                }
                check_rules(&program.rules)
            }
        }
    }
}

fn check_target(target: &TemperatureTarget, path: &str) -> Result<(), (String, ProgramError)> {
    match target {
        TemperatureTarget::Permanent(Hold::Auto {
            heat_setpoint,
            cool_setpoint,
        }) if cool_setpoint <= heat_setpoint => {
            let error = ProgramError::Target(Unfit::Order);
            Err((format!("{path}.{}", Unfit::Order.field()), error))
        }
        _ => Ok(()),
    }
}

fn check_rules<R: Rule>(rules: &[R]) -> Result<(), (String, ProgramError)> {
    if rules.len() > MOST_RULES {
        return Err(("rules".to_owned(), ProgramError::TooManyRules));
    }
    for (index, rule) in rules.iter().enumerate() {
        let when = rule.when();
        let mut days = when.weekdays.unwrap_or_default().iter();
        if let Some(wrong) = days.position(|day| *day > 6) {
            let path = format!("rules.{index}.weekdays.{wrong}");
            return Err((path, ProgramError::Weekday));
        }
        if when.from.zip(when.to).is_some_and(|(from, to)| from >= to) {
            return Err((format!("rules.{index}.toTimestamp"), ProgramError::Span));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
