//! Many nights of vehicles that obey late, or not at all, and of people who meddle.

use super::*;
use crate::entropy::{Entropy as _, SeededEntropy};

/// A vehicle that obeys its plan's actions after a while, or not at all.
struct World<'e> {
    entropy: &'e SeededEntropy,
    smart: Smart,
    inputs: Inputs,
    now: Timestamp,
    level: f64,
    is_charging: bool,
    /// How many of a hundred commands are not obeyed.
    disobeys: u64,
    /// The newest action, and when the vehicle obeys it.
    action: Option<(Attempt, Option<Timestamp>)>,
    commands: Vec<(Timestamp, ChargingKind)>,
}

const TICK: i64 = 5 * 60;

impl<'e> World<'e> {
    fn new(entropy: &'e SeededEntropy, style: Style) -> Self {
        let pick = |count: u64| entropy.next_u64() % count;
        let now = at("2026-06-01T16:00Z") + SignedDuration::from_mins(pick(300) as i64);
        let prices: Vec<_> = (0..24).map(|_| pick(60) as i64 - 5).collect();
        let level = pick(90) as f64;
        let mut smart = Smart::new(now);
        smart.policy = enabled();
        let inputs = Inputs {
            now,
            minimum: [0.0, 30.0][pick(2) as usize],
            margin: Margin::default(),
            style,
            prices: hourly(at("2026-06-01T16:00Z"), &prices),
            ..inputs(level)
        };
        Self {
            entropy,
            smart,
            inputs,
            now,
            level,
            is_charging: true,
            disobeys: 0,
            action: None,
            commands: Vec::new(),
        }
    }

    fn tick(&mut self) {
        let pick = |count: u64| self.entropy.next_u64() % count;
        if let Some((attempt, obeyed)) = &mut self.action
            && attempt.is_pending()
        {
            if obeyed.is_some_and(|obeyed| obeyed <= self.now) {
                self.is_charging = attempt.target == Target::Charging(ChargingKind::Start);
                attempt.state = ActionState::Confirmed;
                attempt.completed_at = Some(self.now);
            } else if attempt.created_at + SignedDuration::from_mins(30) <= self.now {
                attempt.state = ActionState::Failed;
                attempt.completed_at = Some(self.now);
            }
        }
        let power = if self.level >= 100.0 {
            Power::Full
        } else if self.is_charging {
            Power::Charging
        } else {
            Power::Idle
        };
        let seen = Seen {
            power,
            is_full: power == Power::Full,
            last: self.action.map(|(attempt, _)| attempt),
            ..Seen::of(&vehicle(), Some(PLACE), true)
        };
        let inputs = Inputs {
            level: Some(self.level),
            ..self.inputs.clone()
        };
        let wish = self.smart.step(
            VEHICLE,
            &seen,
            Some(inputs),
            PlanId(Uuid::from_u128(5)),
            self.now,
        );
        self.check(&wish);
        if wish.withdraw
            && let Some((attempt, _)) = &mut self.action
        {
            attempt.state = ActionState::Cancelled;
            attempt.reason = Some(FailureType::RequestedCancellation);
            attempt.completed_at = Some(self.now);
        }
        if let Some(kind) = wish.command {
            let is_obeyed = pick(100) >= self.disobeys;
            let delay = SignedDuration::from_secs(pick(3) as i64 * TICK);
            let attempt = Attempt {
                target: Target::Charging(kind),
                state: ActionState::Pending,
                reason: None,
                created_at: self.now,
                completed_at: None,
            };
            self.commands.push((self.now, kind));
            self.action = Some((attempt, is_obeyed.then_some(self.now + delay)));
        }
        if self.is_charging && self.level < 100.0 {
            // 10 kW into 50 kWh.
            self.level = (self.level + 20.0 * TICK as f64 / 3600.0).min(100.0);
        }
        self.now += SignedDuration::from_secs(TICK);
    }

    /// What must be so after each step.
    fn check(&self, wish: &Wish) {
        let smart = &self.smart;
        let is_active = smart.plan.as_ref().is_some_and(PlanRecord::is_active);
        let is_executing = matches!(
            smart.state,
            SmartState::Stopping
                | SmartState::StopFailed
                | SmartState::Stopped
                | SmartState::AwaitingPrices
                | SmartState::Starting
                | SmartState::StartFailed
                | SmartState::Started
                | SmartState::ChargeInterrupted
                | SmartState::Overridden
        );
        assert_eq!(is_active, is_executing, "{:?}", smart.state);
        if let Some(plan) = &smart.plan {
            assert_eq!(plan.ended_at.is_some(), plan.final_state.is_some());
            let is_awaiting = smart.state == SmartState::AwaitingPrices;
            assert_eq!(is_awaiting, is_awaiting && plan.start_at.is_none());
        }
        if smart.state == SmartState::Overridden {
            assert_eq!(wish.command, None);
        }
        assert!(wish.look_again_at.is_none_or(|at| at > self.now));
    }

    fn due(&self) -> Timestamp {
        at("2026-06-02T07:00Z")
    }

    /// Whether it would be full in time if it just charged.
    fn would_be_full(&self) -> bool {
        let hours = (100.0 - self.level) / 20.0;
        self.now + SignedDuration::from_secs_f64(hours * 3600.0 + TICK as f64) <= self.due()
    }
}

#[test]
fn a_vehicle_that_obeys_is_full_in_time_and_costs_less() {
    let entropy = SeededEntropy::new(47);
    let (mut planned, mut finished) = (0, 0);
    for night in 0..1_000 {
        let style = if night % 3 == 0 {
            Style::Several
        } else {
            Style::Once
        };
        let mut world = World::new(&entropy, style);
        let would_be = world.would_be_full();
        while world.now < world.due() {
            world.tick();
        }
        assert!(!would_be || world.level >= 100.0, "{:?}", world.inputs);
        let starts = world
            .commands
            .iter()
            .filter(|(_, kind)| *kind == ChargingKind::Start)
            .count();
        if style == Style::Once {
            assert!(
                starts <= 1 && world.commands.len() <= 2,
                "{:?}",
                world.commands
            );
        }
        let Some(plan) = &world.smart.plan else {
            continue;
        };
        planned += 1;
        finished += usize::from(plan.final_state == Some(SmartState::Finished));
        assert!(plan.smart_cost < Some(plan.non_smart_cost));
        assert!(world.smart.smart_override.is_none(), "nobody meddled");
        assert_ne!(
            plan.failure_condition,
            Some(FailureCondition::ChargeInterrupted)
        );
    }
    assert!(planned > 500 && finished > 450, "{planned} {finished}");
}

#[test]
fn one_that_does_not_obey_is_told_again_and_never_left_standing() {
    let entropy = SeededEntropy::new(53);
    let mut failed = 0;
    for night in 0..1_000 {
        let mut world = World::new(&entropy, Style::Once);
        world.disobeys = 20 + night % 60;
        while world.now < world.due() {
            world.tick();
        }
        // From then on it obeys: whatever became of the plan, it charges.
        world.disobeys = 0;
        for _ in 0..24 {
            world.tick();
        }
        let plan = world.smart.plan.as_ref();
        failed +=
            usize::from(plan.is_some_and(|plan| plan.final_state == Some(SmartState::Failed)));
        assert!(
            world.is_charging || world.level >= 100.0,
            "{:?}",
            world.commands
        );
    }
    assert!(failed > 5, "{failed}");
}

#[test]
fn people_who_meddle_are_left_alone() {
    let entropy = SeededEntropy::new(59);
    let (mut started, mut stopped) = (0, 0);
    for _ in 0..1_000 {
        let mut world = World::new(&entropy, Style::Once);
        while world.now < world.due() && world.level < 100.0 {
            world.tick();
            let is_quiet = world
                .action
                .is_none_or(|(attempt, _)| !attempt.is_pending());
            if !is_quiet || !entropy.next_u64().is_multiple_of(30) {
                continue;
            }
            match world.smart.state {
                SmartState::Stopped => {
                    let commands = world.commands.len();
                    world.is_charging = true;
                    started += 1;
                    // Until it is full, whatever the plan wants.
                    while world.level < 100.0 {
                        world.tick();
                        assert_eq!(world.smart.state, SmartState::Overridden);
                    }
                    assert_eq!(world.commands.len(), commands);
                }
                SmartState::Started => {
                    let commands = world.commands.len();
                    world.is_charging = false;
                    stopped += 1;
                    for _ in 0..300 {
                        world.tick();
                    }
                    assert_eq!(world.commands.len(), commands);
                    assert!(!world.is_charging);
                    break;
                }
                _ => {}
            }
        }
    }
    assert!(started > 100 && stopped > 50, "{started} {stopped}");
}
