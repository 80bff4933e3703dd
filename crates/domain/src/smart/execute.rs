//! A plan being executed: what it does next, and how it ends.

use jiff::{SignedDuration, Timestamp};

use super::{FailureCondition, PlanRecord, Power, Seen, Smart, SmartState, Wish};
use crate::{
    action::{ActionState, ChargingKind, FailureType, Target},
    id::DeviceId,
    kind::DeviceKind,
    plan::{Decision, Doubt, Inputs, Style, plan},
    schedule::Attempt,
};

/// A start that failed is tried again so often.
pub const RETRY_START_EVERY: SignedDuration = SignedDuration::from_mins(5);

/// So long after its deadline a vehicle that could not be started is tried again.
const STARTS_AFTER_DUE: SignedDuration = SignedDuration::from_hours(6);

/// A plan that runs over by more than so many percent of its time is late.
const LATE_PERCENT: i32 = 15;

const START: Target = Target::Charging(ChargingKind::Start);
const STOP: Target = Target::Charging(ChargingKind::Stop);

impl Smart {
    /// A plan is being executed.
    pub(super) fn execute(
        &mut self,
        vehicle: DeviceId,
        plan: &mut PlanRecord,
        seen: &Seen,
        inputs: Option<Inputs>,
        now: Timestamp,
    ) -> Wish {
        if let Some((ended, condition)) = self.ending(plan, seen, now) {
            return self.end(plan, ended, condition, seen, now);
        }
        if seen.power == Power::Idle {
            plan.stop_confirmed_at.get_or_insert(now);
        }
        if seen.power == Power::Charging && plan.stop_confirmed_at.is_some() {
            plan.start_confirmed_at.get_or_insert(now);
        }
        let is_paused = matches!(self.state, SmartState::Stopped | SmartState::AwaitingPrices);
        if is_paused && seen.power == Power::Charging && !self.is_overridden() {
            // Nobody ordered that here: whoever did wants it to charge.
            self.begin_override((DeviceKind::Vehicle, vehicle), None, now);
        }
        if self.is_overridden() {
            self.state = SmartState::Overridden;
            return Wish {
                withdraw: seen.last.is_some_and(|last| last.is_pending()),
                ..Wish::default()
            };
        }
        let is_between = is_paused && seen.power == Power::Idle;
        let is_within = plan.inputs.style == Style::Several && self.state == SmartState::Started;
        if is_between || (is_within && seen.power == Power::Charging) {
            replan(plan, inputs, now);
        }
        let command = self.advance(plan, seen, now);
        let pending = seen.last.filter(Attempt::is_pending);
        let is_undoing = pending.is_some_and(|last| match self.state {
            SmartState::Stopping
            | SmartState::StopFailed
            | SmartState::Stopped
            | SmartState::AwaitingPrices => last.target == START,
            _ => last.target == STOP,
        });
        let retry_at = match (self.state, seen.last) {
            (SmartState::StartFailed, Some(last)) => retry_at(&last),
            _ => None,
        };
        Wish {
            command,
            withdraw: is_undoing,
            look_again_at: [plan.next_change(now), retry_at]
                .into_iter()
                .flatten()
                .min(),
        }
    }

    /// Whether the plan is over, and how.
    fn ending(
        &self,
        plan: &PlanRecord,
        seen: &Seen,
        now: Timestamp,
    ) -> Option<(SmartState, Option<FailureCondition>)> {
        let failed = |condition| Some((SmartState::Failed, Some(condition)));
        if seen.power == Power::Unplugged || seen.location_id != plan.location_id {
            return Some((SmartState::Unplugged, None));
        }
        if !self.policy.is_enabled {
            return Some((SmartState::EndedByDisabling, None));
        }
        if self.policy.deadline != Some(plan.deadline) {
            return Some((SmartState::DeadlineChanged, None));
        }
        if seen.is_full {
            let late = plan.is_late(now).then_some(FailureCondition::FinishedLate);
            return Some((SmartState::Finished, late));
        }
        if !seen.is_capable {
            return failed(FailureCondition::Unknown);
        }
        if now < plan.due_at {
            let is_moot = self.state == SmartState::StopFailed
                && seen.power == Power::Charging
                && plan.wants_charge(now);
            return is_moot.then_some((SmartState::Failed, Some(FailureCondition::StopFailed)));
        }
        match self.state {
            SmartState::Starting | SmartState::StartFailed if seen.power != Power::Charging => {
                let last = plan.due_at.saturating_add(STARTS_AFTER_DUE);
                let is_given_up = last.is_ok_and(|last| now >= last);
                is_given_up.then_some((SmartState::Failed, Some(FailureCondition::StartFailed)))
            }
            SmartState::Stopping | SmartState::StopFailed => failed(FailureCondition::StopFailed),
            SmartState::ChargeInterrupted if seen.power != Power::Charging => {
                failed(FailureCondition::ChargeInterrupted)
            }
            _ => None,
        }
    }

    /// Ends the plan. What it stopped it starts, unless somebody else did or stopped it again.
    fn end(
        &mut self,
        plan: &mut PlanRecord,
        state: SmartState,
        condition: Option<FailureCondition>,
        seen: &Seen,
        now: Timestamp,
    ) -> Wish {
        plan.ended_at = Some(now);
        plan.final_state = Some(state);
        plan.failure_condition = condition;
        let pending = seen.last.filter(Attempt::is_pending);
        let is_stopping = pending.is_some_and(|last| last.target == STOP);
        let is_starting = pending.is_some_and(|last| last.target == START);
        let is_held = matches!(
            self.state,
            SmartState::Stopping
                | SmartState::StopFailed
                | SmartState::Stopped
                | SmartState::AwaitingPrices
                | SmartState::Starting
                | SmartState::StartFailed
        );
        let needs_start = match seen.power {
            Power::Unplugged | Power::Full => false,
            Power::Idle | Power::Unclear => is_held && !is_starting,
            // A stop that the vendor took may still take effect.
            Power::Charging => is_stopping,
        };
        let can_start = needs_start && !seen.is_full && !self.is_overridden();
        self.is_left_alone |= state == SmartState::Failed;
        self.state = state;
        Wish {
            command: can_start.then_some(ChargingKind::Start),
            withdraw: pending.is_some() && !is_starting || (is_starting && seen.is_full),
            look_again_at: Some(now.saturating_add(RETRY_START_EVERY).unwrap_or(now)),
        }
    }

    /// Goes on with the plan, as far as what is seen allows; returns the command it takes.
    fn advance(
        &mut self,
        plan: &mut PlanRecord,
        seen: &Seen,
        now: Timestamp,
    ) -> Option<ChargingKind> {
        let is_wanted = plan.wants_charge(now);
        let paused = if plan.start_at.is_some() {
            SmartState::Stopped
        } else {
            SmartState::AwaitingPrices
        };
        let of_phase = |target: Target, since: Timestamp| {
            seen.last
                .filter(|last| last.target == target && last.created_at >= since)
        };
        match (self.state, seen.power) {
            (_, Power::Charging) if is_wanted => {
                self.state = SmartState::Started;
                None
            }
            (SmartState::Stopping | SmartState::StopFailed, Power::Charging | Power::Unclear) => {
                let is_told = self.state == SmartState::Stopping;
                let last = of_phase(STOP, self.state_changed_at).filter(|_| is_told);
                match last.map(|last| (last.state, last.reason)) {
                    None if is_told => Some(ChargingKind::Stop),
                    Some((ActionState::Cancelled, Some(FailureType::Conflict))) => {
                        Some(ChargingKind::Stop)
                    }
                    Some((ActionState::Failed | ActionState::Cancelled, _)) => {
                        self.state = SmartState::StopFailed;
                        None
                    }
                    _ => None,
                }
            }
            // A stretch is over, or an override.
            (_, Power::Charging) => {
                self.state = SmartState::Stopping;
                Some(ChargingKind::Stop)
            }
            (SmartState::ChargeInterrupted, _) => None,
            // It charged, and nobody here stopped it.
            (SmartState::Started, Power::Idle) if is_wanted => {
                self.state = SmartState::ChargeInterrupted;
                None
            }
            (SmartState::Starting | SmartState::StartFailed, _) if is_wanted => {
                self.go_on_starting(of_phase(START, plan.begun_starting_at(now)), now)
            }
            (SmartState::Started, Power::Unclear) if is_wanted => None,
            _ if is_wanted => {
                plan.start_at = plan.start_at.or(Some(now));
                self.state = SmartState::Starting;
                Some(ChargingKind::Start)
            }
            _ => {
                self.state = paused;
                None
            }
        }
    }

    /// A start was wanted and it does not charge yet.
    fn go_on_starting(&mut self, last: Option<Attempt>, now: Timestamp) -> Option<ChargingKind> {
        let Some(last) = last else {
            self.state = SmartState::Starting;
            return Some(ChargingKind::Start);
        };
        match last.state {
            ActionState::Pending => None,
            // It charged, and somebody stopped it.
            ActionState::Confirmed => {
                self.state = SmartState::ChargeInterrupted;
                None
            }
            ActionState::Failed | ActionState::Cancelled => {
                let is_replaced = last.reason == Some(FailureType::Conflict);
                let is_due = retry_at(&last).is_none_or(|at| now >= at);
                if is_replaced || is_due {
                    self.state = SmartState::Starting;
                    return Some(ChargingKind::Start);
                }
                self.state = SmartState::StartFailed;
                None
            }
        }
    }
}

fn retry_at(last: &Attempt) -> Option<Timestamp> {
    last.completed_at?.saturating_add(RETRY_START_EVERY).ok()
}

/// Plans anew while it is paused: prices, the level or the limit may have changed.
fn replan(record: &mut PlanRecord, inputs: Option<Inputs>, now: Timestamp) {
    let Some(inputs) = inputs else { return };
    let made = plan(&inputs);
    let has_start = record.start_at.is_some();
    let is_better = match made.decision {
        Decision::Shift => true,
        Decision::Await => !has_start,
        // What was planned when it was known stays good.
        Decision::ChargeNow(Doubt::NoEstimate | Doubt::NoLevel | Doubt::NoPrice) => !has_start,
        Decision::ChargeNow(_) => true,
        Decision::Full => false,
    };
    if !is_better {
        return;
    }
    record.start_at = match made.decision {
        Decision::ChargeNow(_) => Some(now),
        _ => made.start_at,
    };
    record.estimated_finish_at = made.finish_at.unwrap_or(record.estimated_finish_at);
    if inputs.style == Style::Once {
        // Nothing was charged since it was stopped, so this is all that it costs.
        record.smart_cost = made.smart_cost;
    }
    record.inputs = inputs;
    record.made = made;
}

impl PlanRecord {
    /// Actions to start that are older belong to an earlier stretch.
    fn begun_starting_at(&self, now: Timestamp) -> Timestamp {
        let begun = self.made.charge.iter().map(|one| one.from);
        let latest = self.made.latest_start_at;
        let begun = begun.chain(latest).filter(|from| *from <= now);
        begun
            .max()
            .unwrap_or(self.stop_at)
            .min(self.start_at.unwrap_or(now))
    }

    fn is_late(&self, now: Timestamp) -> bool {
        let begun = self.start_at.unwrap_or(self.stop_at);
        let time = self.estimated_finish_at.duration_since(begun);
        let late = time / 100 * LATE_PERCENT;
        self.estimated_finish_at
            .saturating_add(late)
            .is_ok_and(|late| now > late)
    }
}
