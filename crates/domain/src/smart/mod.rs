//! Smart charging of a vehicle: its policy, its state, and the plan being executed.
//!
//! [`Smart`] is what is stored of a vehicle. Whenever something happens (a reading, prices, an action
//! that ended, a change of the policy, or the time it asked for) [`Smart::step`] is told how things
//! stand, and answers what is to be done. It is a function of what it is told.
//!
//! What must stay true:
//! - A plan begins from a vehicle that charges, and its first act is to stop it. Until the planner
//!   says to stop now, the vehicle just charges.
//! - Nothing here makes a vehicle worse off than without a plan: what it stopped it starts again, when
//!   the plan says so, at the latest when it must, and whenever the plan ends while it stands still.
//! - A start or stop that nobody ordered here is noticed and left alone. A start while it is paused
//!   counts as an override; a stop while it charges is [`SmartState::ChargeInterrupted`].
//! - While an override is active, nothing is sent.

mod execute;
mod policy;
mod seen;
mod step;
mod wire;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::{
    execute::RETRY_START_EVERY,
    policy::{Policy, PolicyChange, PolicyRefusal, PolicySituation},
    seen::{Power, Seen},
    step::{NoOverride, Wish},
    wire::{
        Consideration, FailureCondition, SmartChargingPlan, SmartChargingStatus, SmartOverride,
        SmartState,
    },
};
use crate::{
    id::{ActionId, LocationId, PlanId},
    money::{Currency, Decimal},
    plan::{Inputs, Plan},
    tariff::ClockTime,
};

/// What is stored of the smart charging of a vehicle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Smart {
    /// Whether and how it may charge smartly.
    pub policy: Policy,
    /// How it stands.
    pub state: SmartState,
    /// Since when.
    pub state_changed_at: Timestamp,
    /// When that was last looked at.
    pub updated_at: Timestamp,
    /// What must be so for a plan to begin.
    pub consideration: Consideration,
    /// The newest plan.
    pub plan: Option<PlanRecord>,
    /// The last override.
    pub smart_override: Option<SmartOverride>,
    /// It charges without a plan until the cable is pulled: what was begun late, or failed, or was
    /// meddled with, is not stopped.
    pub is_left_alone: bool,
}

/// A plan, what it goes by, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanRecord {
    /// Identifier.
    pub id: PlanId,
    /// Where it runs.
    pub location_id: Option<LocationId>,
    /// The time of day that it was made for.
    pub deadline: ClockTime,
    /// The deadline.
    pub due_at: Timestamp,
    /// The currency of its costs.
    pub currency: Option<Currency>,
    /// What charging at once would have cost.
    pub non_smart_cost: Decimal,
    /// What it costs; `None` while that is not known.
    pub smart_cost: Option<Decimal>,
    /// When charging is stopped.
    pub stop_at: Timestamp,
    /// When it is started again; `None` while prices are awaited.
    pub start_at: Option<Timestamp>,
    /// When the vehicle will be full.
    pub estimated_finish_at: Timestamp,
    /// When it was first seen not to charge.
    pub stop_confirmed_at: Option<Timestamp>,
    /// When it was then first seen to charge.
    pub start_confirmed_at: Option<Timestamp>,
    /// When the plan was over.
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub final_state: Option<SmartState>,
    /// What went wrong.
    pub failure_condition: Option<FailureCondition>,
    /// The newest action that was made for it.
    #[serde(default)]
    pub action_id: Option<ActionId>,
    /// By what it was made, the last time.
    pub inputs: Inputs,
    /// What was made of that.
    pub made: Plan,
}

impl PlanRecord {
    /// Whether it is being executed.
    pub const fn is_active(&self) -> bool {
        self.ended_at.is_none()
    }

    /// Whether it wants the vehicle to charge at a moment. Never later than is safe.
    pub fn wants_charge(&self, now: Timestamp) -> bool {
        if self
            .made
            .latest_start_at
            .is_some_and(|latest| now >= latest)
        {
            return true;
        }
        let last = self.made.charge.last().map(|last| last.from);
        let is_within = |from: Timestamp, to: Option<Timestamp>| {
            let is_open = Some(from) == last && self.start_at.is_some();
            from <= now && (is_open || to.is_none_or(|to| now < to))
        };
        self.made
            .charge
            .iter()
            .any(|one| is_within(one.from, one.to))
    }

    /// When it next wants something else.
    fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let edges = self
            .made
            .charge
            .iter()
            .flat_map(|one| [Some(one.from), one.to]);
        let others = [
            self.made.replan_at,
            self.made.latest_start_at,
            Some(self.due_at),
        ];
        edges.chain(others).flatten().filter(|at| *at > now).min()
    }
}

impl Smart {
    /// Smart charging as it is by default: disabled.
    pub fn new(now: Timestamp) -> Self {
        Self {
            policy: Policy::default(),
            state: SmartState::Disabled,
            state_changed_at: now,
            updated_at: now,
            consideration: Consideration::default(),
            plan: None,
            smart_override: None,
            is_left_alone: false,
        }
    }

    /// Whether it has to be seen to.
    pub fn is_busy(&self) -> bool {
        let is_overridden = self.smart_override.is_some_and(|one| one.is_active());
        let has_plan = self.plan.as_ref().is_some_and(PlanRecord::is_active);
        let is_off = self.state == SmartState::Disabled;
        self.policy.is_enabled || has_plan || is_overridden || !is_off
    }

    /// Whether a plan drives the vehicle, so that callers must not.
    pub fn is_in_control(&self) -> bool {
        let is_overridden = self.smart_override.is_some_and(|one| one.is_active());
        !is_overridden && self.plan.as_ref().is_some_and(PlanRecord::is_active)
    }
}

#[cfg(test)]
mod tests;
