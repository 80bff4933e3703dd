//! How a schedule was carried out so far, and one look at it: what is kept from look to look, so that
//! whoever looks next, after a restart or at another node, goes on from there.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Attempt, ChargeSituation, ChargeStatus, Judged, Program, RETRY_EVERY, Schedule, ScheduleState,
    TemperatureSituation, TemperatureStatus, judge_charge, judge_temperature,
};
use crate::{
    action::{Action, Target},
    device::Device,
    id::{ActionId, LocationId},
    kind::DeviceKind,
    smart::SmartOverride,
    zone::Zone,
};

/// How a device stands to its schedule, of either kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ScheduleStatus {
    /// Of a charge schedule.
    Charge(ChargeStatus),
    /// Of a temperature schedule.
    Temperature(TemperatureStatus),
}

impl ScheduleStatus {
    /// Whether the device does what is wanted.
    pub const fn state(&self) -> ScheduleState {
        match self {
            Self::Charge(status) => status.state,
            Self::Temperature(status) => status.state,
        }
    }

    const fn state_mut(&mut self) -> &mut ScheduleState {
        match self {
            Self::Charge(status) => &mut status.state,
            Self::Temperature(status) => &mut status.state,
        }
    }

    const fn changed_at_mut(&mut self) -> &mut Timestamp {
        match self {
            Self::Charge(status) => &mut status.changed_at,
            Self::Temperature(status) => &mut status.changed_at,
        }
    }

    const fn changed_at(&self) -> Timestamp {
        match self {
            Self::Charge(status) => status.changed_at,
            Self::Temperature(status) => status.changed_at,
        }
    }

    /// It as the contract prints it.
    pub fn members(&self) -> Map<String, Value> {
        match json!(self) {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }

    /// It, dated by what it was before: now, unless nothing of it changed.
    fn dated(mut self, before: Option<&Self>, now: Timestamp) -> Self {
        *self.changed_at_mut() = before.map_or(now, Self::changed_at);
        if before.is_some_and(|before| *before != self) {
            *self.changed_at_mut() = now;
        }
        self
    }
}

/// How a schedule was carried out so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Execution {
    /// What was told last; `None` before the first look.
    pub status: Option<ScheduleStatus>,
    /// Its newest action.
    pub last_action: Option<ActionId>,
    /// What that was like when it was last looked at: actions are forgotten after a while.
    pub last: Option<Attempt>,
    /// Whether the cable was plugged in, when that was last known.
    pub was_plugged_in: Option<bool>,
    /// Whether the device could be reached.
    pub was_reachable: Option<bool>,
    /// When the cable was last plugged in, or the schedule last took over: what was done before, by
    /// whomever, does not count.
    pub fresh_since: Option<Timestamp>,
    /// When the device last became reachable again.
    pub reachable_since: Option<Timestamp>,
}

/// What is known when a schedule is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// The device.
    pub device: &'a Device,
    /// The Location it is at.
    pub location_id: Option<LocationId>,
    /// The last smart override of the device.
    pub smart_override: Option<SmartOverride>,
    /// The newest action of the schedule, unless it is forgotten.
    pub action: Option<&'a Action>,
    /// By whose clock the schedule goes.
    pub zone: &'a Zone,
    /// Whether an action can be made at all: the device is linked, and none was refused just now.
    pub may_act: bool,
    /// The moment.
    pub now: Timestamp,
}

/// What comes of a look.
#[derive(Debug, Clone, PartialEq)]
pub struct Looked {
    /// How the schedule was carried out by now.
    pub execution: Execution,
    /// The action to make now.
    pub act: Option<Target>,
    /// Whether the schedule's pending action is no longer wanted.
    pub withdraw: bool,
    /// When to look again, if nothing happens before.
    pub look_again_at: Option<Timestamp>,
}

impl Execution {
    /// It from now on, when the schedule has become another.
    pub fn renewed(self, now: Timestamp) -> Self {
        Self {
            fresh_since: Some(now),
            ..self
        }
    }

    /// An action was made for it.
    pub fn acted(&mut self, action: &Action) {
        self.last_action = Some(action.id);
        self.last = Some(Attempt::from(action));
    }

    /// Notes how the device is, and since when.
    fn note(&mut self, device: &Device, now: Timestamp) {
        let plugged = device.document.path("chargeState.isPluggedIn");
        let is_plugged_in = plugged.and_then(Value::as_bool);
        if self.was_plugged_in == Some(false) && is_plugged_in == Some(true) {
            self.fresh_since = Some(now);
        }
        self.was_plugged_in = is_plugged_in.or(self.was_plugged_in);
        let is_reachable = device.is_reachable();
        if self.was_reachable == Some(false) && is_reachable == Some(true) {
            self.reachable_since = Some(now);
        }
        self.was_reachable = is_reachable.or(self.was_reachable);
    }
}

impl Schedule {
    /// Looks at it: how its device stands, and what is to be done. `before` is what came of the last
    /// look.
    pub fn look(&self, before: &Execution, look: &Look<'_>) -> Looked {
        let now = look.now;
        let mut execution = before.clone();
        execution.note(look.device, now);
        if let Some(action) = look.action {
            execution.last = Some(Attempt::from(action));
        }
        let mut judged = self.judge(&execution, look);
        if self.takes_over(before.status.as_ref(), judged.status.state()) {
            execution.fresh_since = Some(now);
            judged = self.judge(&execution, look);
        }
        if judged.act.is_some() && !look.may_act {
            let again = now.saturating_add(RETRY_EVERY).unwrap_or(Timestamp::MAX);
            *judged.status.state_mut() = ScheduleState::Misaligned;
            judged.act = None;
            let times = [judged.look_again_at, Some(again)];
            judged.look_again_at = times.into_iter().flatten().min();
        }
        let status = judged.status.dated(before.status.as_ref(), now);
        execution.status = Some(status);
        Looked {
            execution,
            act: judged.act,
            withdraw: judged.withdraw,
            look_again_at: judged.look_again_at,
        }
    }

    /// Whether it takes over by this look: what was done while it was switched off, or overridden,
    /// does not bind it. A vehicle may come and go as its position wavers, which changes nothing.
    fn takes_over(&self, before: Option<&ScheduleStatus>, state: ScheduleState) -> bool {
        if state.is_inactive() {
            return false;
        }
        match before.map(ScheduleStatus::state) {
            Some(ScheduleState::Disabled | ScheduleState::Overridden) => true,
            Some(ScheduleState::Away) => self.program.target_type() == DeviceKind::Charger,
            _ => false,
        }
    }

    fn judge(&self, execution: &Execution, look: &Look<'_>) -> Judged<ScheduleStatus> {
        let Execution {
            last,
            fresh_since,
            reachable_since,
            ..
        } = *execution;
        let (device, zone, now) = (look.device, look.zone, look.now);
        match &self.program {
            Program::Charge(program) => {
                let situation = ChargeSituation {
                    device,
                    location_id: look.location_id,
                    fresh_since,
                    reachable_since,
                    smart_override: look.smart_override,
                    last,
                };
                judge_charge(self, program, &situation, zone, None, now).map(ScheduleStatus::Charge)
            }
            Program::Temperature(program) => {
                let situation = TemperatureSituation {
                    device,
                    fresh_since,
                    reachable_since,
                    last,
                };
                judge_temperature(self, program, &situation, zone, None, now)
                    .map(ScheduleStatus::Temperature)
            }
        }
    }

    /// The Location that it is bound to; no temperature schedule is.
    pub const fn location_id(&self) -> Option<LocationId> {
        match &self.program {
            Program::Charge(program) => program.location_id,
            Program::Temperature(_) => None,
        }
    }
}

impl<S> Judged<S> {
    fn map<T>(self, change: impl FnOnce(S) -> T) -> Judged<T> {
        Judged {
            status: change(self.status),
            act: self.act,
            withdraw: self.withdraw,
            look_again_at: self.look_again_at,
        }
    }
}
