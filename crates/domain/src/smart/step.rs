//! From one state to the next, until a plan begins.

use jiff::Timestamp;

use super::{Consideration, PlanRecord, Power, Seen, Smart, SmartOverride, SmartState};
use crate::{
    action::{ActionState, ChargingKind},
    id::{ActionId, DeviceId, PlanId},
    kind::DeviceKind,
    plan::{Decision, Doubt, Inputs, Plan, plan},
};

/// What takes less is not worth a plan, s.
const SHORTEST_CHARGE: i64 = 60 * 60;

/// What takes less is not worth a plan, % of the capacity.
const LEAST_CHARGE: f64 = 5.0;

/// What is to be done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    /// The action to make now, on behalf of the plan.
    pub command: Option<ChargingKind>,
    /// Whether the plan's pending action is to be cancelled (before the new one is made).
    pub withdraw: bool,
    /// When to step again, if nothing happens before.
    pub look_again_at: Option<Timestamp>,
}

/// No override is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no smart override is active")]
pub struct NoOverride;

impl Smart {
    /// An override begins, with an action to start; one that is active goes on. Step afterwards.
    pub fn begin_override(
        &mut self,
        (kind, device): (DeviceKind, DeviceId),
        action: Option<ActionId>,
        now: Timestamp,
    ) -> SmartOverride {
        if let Some(active) = self.smart_override.filter(SmartOverride::is_active) {
            return active;
        }
        let begun = SmartOverride {
            created_at: now,
            ended_at: None,
            target_type: kind,
            target_id: device,
            vendor_action_id: action,
        };
        self.smart_override = Some(begun);
        begun
    }

    /// The active override ends. Step afterwards.
    ///
    /// # Errors
    /// If none is active.
    pub fn end_override(&mut self, now: Timestamp) -> Result<SmartOverride, NoOverride> {
        let active = self.smart_override.as_mut().filter(|one| one.is_active());
        let active = active.ok_or(NoOverride)?;
        active.ended_at = Some(now);
        Ok(*active)
    }

    /// Looks at how things stand. `inputs` is what a plan would go by now, if it is known where the
    /// vehicle is; `new_plan` is the identifier of the plan, if one begins.
    pub fn step(
        &mut self,
        vehicle: DeviceId,
        seen: &Seen,
        inputs: Option<Inputs>,
        new_plan: PlanId,
        now: Timestamp,
    ) -> Wish {
        let before = self.state;
        if seen.power == Power::Unplugged {
            self.is_left_alone = false;
        }
        self.watch_override(seen, now);
        let inputs = inputs.map(|inputs| Inputs {
            now,
            is_charging: seen.power == Power::Charging,
            ..inputs
        });
        let wish = match self.plan.take() {
            Some(mut plan) if plan.is_active() => {
                let wish = self.execute(vehicle, &mut plan, seen, inputs, now);
                self.plan = Some(plan);
                wish
            }
            ended => {
                self.plan = ended;
                self.consider(seen, inputs, new_plan, now)
            }
        };
        self.updated_at = now;
        if self.state != before {
            self.state_changed_at = now;
        }
        wish
    }

    /// An override ends as soon as charging stops, or if it could not begin.
    fn watch_override(&mut self, seen: &Seen, now: Timestamp) {
        let Some(active) = self.smart_override.filter(SmartOverride::is_active) else {
            return;
        };
        let is_begun = active.vendor_action_id.is_none()
            || seen.override_action == Some(ActionState::Confirmed);
        let has_failed = matches!(
            seen.override_action,
            Some(ActionState::Failed | ActionState::Cancelled)
        );
        let is_over = match seen.power {
            Power::Unplugged | Power::Full => true,
            Power::Idle => is_begun || has_failed,
            // An action that was needless leaves a vehicle that charges.
            Power::Charging => false,
            Power::Unclear => has_failed,
        };
        if is_over {
            let _ = self.end_override(now);
        }
    }

    pub(super) fn is_overridden(&self) -> bool {
        self.smart_override.is_some_and(|one| one.is_active())
    }

    /// No plan is being executed.
    fn consider(
        &mut self,
        seen: &Seen,
        inputs: Option<Inputs>,
        new_plan: PlanId,
        now: Timestamp,
    ) -> Wish {
        if !self.policy.is_enabled {
            self.state = SmartState::Disabled;
            return Wish::default();
        }
        let is_plugged_in = !matches!(seen.power, Power::Unplugged | Power::Unclear);
        let is_still_ended = match self.state {
            SmartState::Finished => {
                is_plugged_in && (seen.is_full || seen.power != Power::Charging)
            }
            SmartState::Failed => seen.power != Power::Unplugged,
            SmartState::Unplugged => !is_plugged_in,
            _ => false,
        };
        if is_still_ended {
            return Wish::default();
        }
        let has_no_prices = seen.location_id.is_some() && !seen.has_prices;
        if !seen.is_capable || has_no_prices {
            self.state = SmartState::Unknown;
            return Wish::default();
        }
        if seen.is_full {
            self.state = SmartState::FullyCharged;
            return Wish::default();
        }
        self.state = SmartState::Considering;
        let made = inputs.as_ref().map(plan);
        let has_time_estimate = made.as_ref().is_some_and(|made| {
            let unknown = [Doubt::NoEstimate, Doubt::NoLevel].map(Decision::ChargeNow);
            !unknown.contains(&made.decision)
        });
        self.consideration = Consideration {
            is_plugged_in,
            is_charging: seen.power == Power::Charging,
            at_charging_location: seen.location_id.is_some(),
            has_time_estimate,
        };
        let can_begin = self.consideration.is_met() && !self.is_overridden() && !self.is_left_alone;
        let Some((inputs, made)) = inputs.zip(made).filter(|_| can_begin) else {
            return Wish::default();
        };
        self.decide(seen, inputs, made, new_plan, now)
    }

    /// All considerations hold: begins a plan, if there is one and it is time to stop.
    fn decide(
        &mut self,
        seen: &Seen,
        inputs: Inputs,
        made: Plan,
        new_plan: PlanId,
        now: Timestamp,
    ) -> Wish {
        let look_again_at = match made.decision {
            Decision::Shift | Decision::Await => made.stop_at.filter(|at| *at > now),
            Decision::ChargeNow(Doubt::DeadlineInfeasible | Doubt::DeadlineNear) => {
                // After this deadline it is not stopped for the next one.
                self.is_left_alone = true;
                return Wish::default();
            }
            Decision::ChargeNow(_) | Decision::Full => {
                return Wish {
                    look_again_at: made.replan_at,
                    ..Wish::default()
                };
            }
        };
        if look_again_at.is_some() {
            return Wish {
                look_again_at,
                ..Wish::default()
            };
        }
        let begun = PlanRecord::begin(new_plan, seen, inputs, made).filter(is_worthwhile);
        let Some(begun) = begun else {
            return Wish::default();
        };
        let look_again_at = begun.next_change(now);
        self.plan = Some(begun);
        self.state = SmartState::Stopping;
        Wish {
            command: Some(ChargingKind::Stop),
            withdraw: false,
            look_again_at,
        }
    }
}

/// Whether there is enough to charge for a plan.
fn is_worthwhile(record: &PlanRecord) -> bool {
    let inputs = &record.inputs;
    let missing = inputs.level.map(|level| inputs.limit - level);
    let secs = record.made.charge_secs;
    missing.is_none_or(|missing| missing > LEAST_CHARGE)
        && secs.is_some_and(|secs| secs > SHORTEST_CHARGE)
}

impl PlanRecord {
    fn begin(id: PlanId, seen: &Seen, inputs: Inputs, made: Plan) -> Option<Self> {
        Some(Self {
            id,
            location_id: seen.location_id,
            deadline: inputs.deadline,
            due_at: made.due_at?,
            currency: made.currency,
            non_smart_cost: made.non_smart_cost?,
            smart_cost: made.smart_cost,
            stop_at: made.stop_at?,
            start_at: made.start_at,
            estimated_finish_at: made.finish_at?,
            stop_confirmed_at: None,
            start_confirmed_at: None,
            ended_at: None,
            final_state: None,
            failure_condition: None,
            action_id: None,
            inputs,
            made,
        })
    }
}
