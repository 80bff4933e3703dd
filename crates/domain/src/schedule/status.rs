//! How a device stands to its schedule, and what is to be done about it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ChargeProgram, MOST_TRANSITIONS, Schedule, TemperatureProgram, Timeline};
use crate::{
    action::{Action, ActionState, ChargingKind, FailureType, Target},
    device::{
        Device, charger,
        vehicle::{self, VehiclePowerDeliveryState},
    },
    id::ScheduleId,
    kind::DeviceKind,
    scope::{Ability, Scope},
    smart::SmartOverride,
    temperature::TemperatureTarget,
    zone::Zone,
};

/// What failed is tried again so often.
pub const RETRY_EVERY: SignedDuration = SignedDuration::from_mins(30);

/// Whether a device does what its schedule wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum ScheduleState {
    /// It does.
    #[serde(rename = "ALIGNED")]
    Aligned,
    /// It does not, and nothing is under way.
    #[serde(rename = "MISALIGNED")]
    Misaligned,
    /// An action to bring it in line is under way.
    #[serde(rename = "PENDING")]
    Pending,
    /// A smart override is active.
    #[serde(rename = "INACTIVE:OVERRIDDEN")]
    Overridden,
    /// The schedule is disabled.
    #[serde(rename = "INACTIVE:DISABLED")]
    Disabled,
    /// The device is elsewhere.
    #[serde(rename = "INACTIVE:AWAY")]
    Away,
    /// The device cannot do what the schedule wants.
    #[serde(rename = "INACTIVE:INCAPABLE")]
    Incapable,
}

impl ScheduleState {
    /// Whether the schedule does nothing for now.
    pub const fn is_inactive(self) -> bool {
        matches!(
            self,
            Self::Overridden | Self::Disabled | Self::Away | Self::Incapable
        )
    }
}

/// What a schedule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ScheduleType {
    /// Charging.
    Charge,
    /// Temperature.
    Temperature,
}

/// What must be so for a device to be expected to charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChargeParts {
    /// It is not full.
    pub needs_charge: bool,
    /// The cable is plugged in.
    pub is_plugged_in: bool,
    /// The schedule wants it.
    pub should_charge: bool,
}

/// From a moment on the schedule wants something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChargeTransition {
    /// From when on.
    #[serde(serialize_with = "crate::time::serialize")]
    pub at: Timestamp,
    /// Whether it should charge then.
    pub should_charge: bool,
}

/// From a moment on the schedule wants something else.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TemperatureTransition {
    /// From when on.
    #[serde(serialize_with = "crate::time::serialize")]
    pub at: Timestamp,
    /// What the unit is to be set to then.
    pub target: TemperatureTarget,
}

/// How a vehicle or a charger stands to its schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChargeStatus {
    /// The schedule.
    pub schedule_id: ScheduleId,
    /// `CHARGE`.
    pub schedule_type: ScheduleType,
    /// When anything of this last changed.
    #[serde(serialize_with = "crate::time::serialize")]
    pub changed_at: Timestamp,
    /// Whether the device does what is wanted.
    pub state: ScheduleState,
    /// Whether it charges.
    pub is_charging: bool,
    /// Whether it is expected to: all parts are so.
    pub is_charging_expected: bool,
    /// Why it is expected to, or not.
    pub is_charging_expected_parts: ChargeParts,
    /// The next changes of what is wanted, at most two.
    pub upcoming_transitions: Vec<ChargeTransition>,
    /// The last smart override.
    pub smart_override: Option<SmartOverride>,
}

/// How an HVAC unit stands to its schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemperatureStatus {
    /// The schedule.
    pub schedule_id: ScheduleId,
    /// `TEMPERATURE`.
    pub schedule_type: ScheduleType,
    /// When anything of this last changed.
    #[serde(serialize_with = "crate::time::serialize")]
    pub changed_at: Timestamp,
    /// Whether the unit does what is wanted.
    pub state: ScheduleState,
    /// What it is set to, if that is known.
    pub current: Option<TemperatureTarget>,
    /// What it is to be set to.
    pub expected: TemperatureTarget,
    /// The next changes of what is wanted, at most two.
    pub upcoming_transitions: Vec<TemperatureTransition>,
}

/// The newest action of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// What it was for.
    pub target: Target,
    /// How far it came.
    pub state: ActionState,
    /// Why it did not come true.
    pub reason: Option<FailureType>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it left `PENDING`.
    pub completed_at: Option<Timestamp>,
}

impl From<&Action> for Attempt {
    fn from(action: &Action) -> Self {
        Self {
            target: action.target,
            state: action.state,
            reason: action.failure_reason.as_ref().map(|reason| reason.kind),
            created_at: action.created_at,
            completed_at: action.completed_at,
        }
    }
}

impl Attempt {
    /// Whether it may still come true.
    pub const fn is_pending(&self) -> bool {
        matches!(self.state, ActionState::Pending)
    }

    /// What is to be done about a device that is not in line: an action, or nothing yet. `since` is
    /// from when on what is wanted is wanted, or was wanted anew; `reachable_since` is when the device
    /// last became reachable again, which gives a failure another chance.
    fn next(
        last: Option<&Self>,
        wanted: Target,
        since: Option<Timestamp>,
        reachable_since: Option<Timestamp>,
        now: Timestamp,
    ) -> Step {
        let Some(last) = last.filter(|last| last.target == wanted) else {
            return Step::Act;
        };
        match (last.state, last.completed_at) {
            (ActionState::Pending, _) | (_, None) => Step::Wait,
            _ if since.is_some_and(|since| last.created_at < since) => Step::Act,
            // It was so, and somebody undid it.
            (ActionState::Confirmed, _) => Step::LeaveAlone,
            (ActionState::Failed | ActionState::Cancelled, Some(ended)) => {
                if reachable_since.is_some_and(|since| since > ended) {
                    return Step::Act;
                }
                let again = ended.saturating_add(RETRY_EVERY).unwrap_or(Timestamp::MAX);
                if now >= again {
                    Step::Act
                } else {
                    Step::TryAt(again)
                }
            }
        }
    }
}

enum Step {
    Act,
    Wait,
    LeaveAlone,
    TryAt(Timestamp),
}

/// What is known of a vehicle or a charger and its schedule.
#[derive(Debug, Clone, Copy)]
pub struct ChargeSituation<'a> {
    /// The device.
    pub device: &'a Device,
    /// The Location it is at: its own, or that of the charger it is plugged into.
    pub location_id: Option<crate::id::LocationId>,
    /// When the cable was last plugged in, or the schedule last took over.
    pub fresh_since: Option<Timestamp>,
    /// When the device last became reachable again.
    pub reachable_since: Option<Timestamp>,
    /// The last smart override.
    pub smart_override: Option<SmartOverride>,
    /// The newest action of the schedule.
    pub last: Option<Attempt>,
}

/// What is known of an HVAC unit and its schedule.
#[derive(Debug, Clone, Copy)]
pub struct TemperatureSituation<'a> {
    /// The unit.
    pub device: &'a Device,
    /// When the schedule last took over.
    pub fresh_since: Option<Timestamp>,
    /// When the unit last became reachable again.
    pub reachable_since: Option<Timestamp>,
    /// The newest action of the schedule.
    pub last: Option<Attempt>,
}

/// What comes of looking at a schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged<S> {
    /// How the device stands to it.
    pub status: S,
    /// The action to make now.
    pub act: Option<Target>,
    /// Whether the schedule's pending action is no longer wanted.
    pub withdraw: bool,
    /// When to look again, if nothing happens before.
    pub look_again_at: Option<Timestamp>,
}

/// Looks at a charge schedule at a moment. `zone` is that of its Location; `previous` is what its
/// status was before.
pub fn judge_charge(
    schedule: &Schedule,
    program: &ChargeProgram,
    situation: &ChargeSituation<'_>,
    zone: &Zone,
    previous: Option<&ChargeStatus>,
    now: Timestamp,
) -> Judged<ChargeStatus> {
    let timeline = Timeline {
        default: program.default_should_charge,
        rules: &program.rules,
        zone,
    };
    let device = situation.device;
    let power = Power::of(device);
    let parts = ChargeParts {
        needs_charge: power.needs_charge,
        is_plugged_in: power.is_plugged_in,
        should_charge: timeline.at(now),
    };
    let is_expected = parts.needs_charge && parts.is_plugged_in && parts.should_charge;
    let kind = if is_expected {
        ChargingKind::Start
    } else {
        ChargingKind::Stop
    };
    let wanted = Target::Charging(kind);
    let is_away = match (program.target_type, program.location_id) {
        (_, Some(place)) => situation.location_id != Some(place),
        (DeviceKind::Charger, None) => false,
        (_, None) => true,
    };
    let is_overridden = situation.smart_override.is_some_and(|one| one.is_active());
    let inactive = if !schedule.is_enabled {
        Some(ScheduleState::Disabled)
    } else if is_away {
        Some(ScheduleState::Away)
    } else if ![ChargingKind::Start, ChargingKind::Stop]
        .iter()
        .all(|kind| is_capable(device, Target::Charging(*kind)))
    {
        Some(ScheduleState::Incapable)
    } else if is_overridden {
        Some(ScheduleState::Overridden)
    } else {
        None
    };
    let is_met = power.is_known && power.is_charging == is_expected;
    let since = timeline.since(now).max(situation.fresh_since);
    let last = situation.last.as_ref();
    let standing = Standing {
        inactive,
        is_met,
        is_known: power.is_known,
        since,
        reachable_since: situation.reachable_since,
    };
    let decided = decide(&standing, last, wanted, now);
    let transitions = timeline.upcoming(now, MOST_TRANSITIONS);
    let look_again_at = transitions.first().map(|next| next.at);
    let mut status = ChargeStatus {
        schedule_id: schedule.id,
        schedule_type: ScheduleType::Charge,
        changed_at: now,
        state: decided.state,
        is_charging: power.is_charging,
        is_charging_expected: is_expected,
        is_charging_expected_parts: parts,
        upcoming_transitions: transitions
            .into_iter()
            .map(|next| ChargeTransition {
                at: next.at,
                should_charge: next.wanted,
            })
            .collect(),
        smart_override: situation.smart_override,
    };
    if let Some(previous) = previous {
        status.changed_at = previous.changed_at;
        if status != *previous {
            status.changed_at = now;
        }
    }
    decided.judged(status, look_again_at)
}

/// Looks at a temperature schedule at a moment, likewise.
pub fn judge_temperature(
    schedule: &Schedule,
    program: &TemperatureProgram,
    situation: &TemperatureSituation<'_>,
    zone: &Zone,
    previous: Option<&TemperatureStatus>,
    now: Timestamp,
) -> Judged<TemperatureStatus> {
    let timeline = Timeline {
        default: program.default_target_state,
        rules: &program.rules,
        zone,
    };
    let device = situation.device;
    let expected = timeline.at(now);
    let wanted = Target::Temperature(expected);
    let current = TemperatureTarget::of(&device.document);
    let is_able = is_capable(device, wanted) && expected.fits(&device.document).is_ok();
    let inactive = if !schedule.is_enabled {
        Some(ScheduleState::Disabled)
    } else if !is_able {
        Some(ScheduleState::Incapable)
    } else {
        None
    };
    let is_met = expected.is_met_by(&device.document);
    let since = timeline.since(now).max(situation.fresh_since);
    let last = situation.last.as_ref();
    // A unit whose setting is not known is set.
    let standing = Standing {
        inactive,
        is_met,
        is_known: true,
        since,
        reachable_since: situation.reachable_since,
    };
    let decided = decide(&standing, last, wanted, now);
    let transitions = timeline.upcoming(now, MOST_TRANSITIONS);
    let look_again_at = transitions.first().map(|next| next.at);
    let mut status = TemperatureStatus {
        schedule_id: schedule.id,
        schedule_type: ScheduleType::Temperature,
        changed_at: now,
        state: decided.state,
        current,
        expected,
        upcoming_transitions: transitions
            .into_iter()
            .map(|next| TemperatureTransition {
                at: next.at,
                target: next.wanted,
            })
            .collect(),
    };
    if let Some(previous) = previous {
        status.changed_at = previous.changed_at;
        if status != *previous {
            status.changed_at = now;
        }
    }
    decided.judged(status, look_again_at)
}

/// How a device stands, and what follows.
struct Decided {
    state: ScheduleState,
    act: Option<Target>,
    withdraw: bool,
    try_at: Option<Timestamp>,
}

impl Decided {
    fn judged<S>(self, status: S, next_transition: Option<Timestamp>) -> Judged<S> {
        let times = [self.try_at, next_transition];
        Judged {
            status,
            act: self.act,
            withdraw: self.withdraw,
            look_again_at: times.into_iter().flatten().min(),
        }
    }
}

/// How a device stands to what is wanted of it.
struct Standing {
    /// Why the schedule does nothing, if it does not.
    inactive: Option<ScheduleState>,
    is_met: bool,
    is_known: bool,
    /// From when on what is wanted is wanted, or was wanted anew.
    since: Option<Timestamp>,
    reachable_since: Option<Timestamp>,
}

fn decide(standing: &Standing, last: Option<&Attempt>, wanted: Target, now: Timestamp) -> Decided {
    let Standing {
        inactive,
        is_met,
        is_known,
        since,
        reachable_since,
    } = *standing;
    let is_pending = last.is_some_and(|last| last.state == ActionState::Pending);
    let is_same = last.is_some_and(|last| last.target == wanted);
    let none = |state| Decided {
        state,
        act: None,
        withdraw: false,
        try_at: None,
    };
    if let Some(state) = inactive {
        return Decided {
            withdraw: is_pending,
            ..none(state)
        };
    }
    if is_met {
        // One for the same confirms itself; one for something else would undo it.
        return Decided {
            withdraw: is_pending && !is_same,
            ..none(ScheduleState::Aligned)
        };
    }
    if !is_known {
        let state = if is_pending {
            ScheduleState::Pending
        } else {
            ScheduleState::Misaligned
        };
        return none(state);
    }
    match Attempt::next(last, wanted, since, reachable_since, now) {
        Step::Act => Decided {
            act: Some(wanted),
            ..none(ScheduleState::Pending)
        },
        Step::Wait => none(ScheduleState::Pending),
        Step::LeaveAlone => none(ScheduleState::Misaligned),
        Step::TryAt(at) => Decided {
            try_at: Some(at),
            ..none(ScheduleState::Misaligned)
        },
    }
}

/// Whether a device has the ability that a target takes, and its user has granted control of it.
fn is_capable(device: &Device, target: Target) -> bool {
    if !is_granted(device) {
        return false;
    }
    let key = target.capability(device.kind());
    let capability = key.and_then(|key| device.document.get(key));
    capability.is_some_and(|capability| capability.is_capable)
}

/// Whether a device's user has granted control of it.
fn is_granted(device: &Device) -> bool {
    let granted = device.document.path("scopes");
    let granted = granted.and_then(serde_json::Value::as_array);
    let mut control = Scope::of_kind(device.kind()).filter(|s| s.ability() == Ability::Control);
    control.any(|scope| {
        granted.is_some_and(|granted| granted.iter().any(|name| name == scope.as_str()))
    })
}

/// How a vehicle or a charger stands.
struct Power {
    is_known: bool,
    is_charging: bool,
    is_plugged_in: bool,
    needs_charge: bool,
}

impl Power {
    fn of(device: &Device) -> Self {
        let document = &device.document;
        let flag = |path| document.path(path).and_then(serde_json::Value::as_bool);
        let is_charging = flag("chargeState.isCharging");
        let is_known = match device.kind() {
            DeviceKind::Charger => document
                .get(charger::POWER_DELIVERY_STATE)
                .is_some_and(|state| state != charger::ChargerPowerDeliveryState::Unknown),
            _ => document
                .get(vehicle::POWER_DELIVERY_STATE)
                .is_some_and(|state| state != VehiclePowerDeliveryState::Unknown),
        };
        // A charger cannot know it, and a vehicle that does not tell may need it.
        let is_full = flag("chargeState.isFullyCharged");
        Self {
            is_known: is_known && is_charging.is_some(),
            is_charging: is_charging.unwrap_or(false),
            is_plugged_in: flag("chargeState.isPluggedIn")
                .or(is_charging)
                .unwrap_or(false),
            needs_charge: is_full != Some(true),
        }
    }
}
