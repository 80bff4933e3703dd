//! One thing at a time.

use super::*;

const BEGIN: &str = "2026-06-01T18:00Z";
const EVENING: &str = "2026-06-01T20:00Z";
const START: &str = "2026-06-02T01:00Z";

/// A vehicle, its smart charging, and the newest action of its plan.
struct Scene {
    smart: Smart,
    seen: Seen,
    level: f64,
    inputs: Inputs,
}

impl Scene {
    /// Charging at the place, enabled, not yet looked at.
    fn new() -> Self {
        let seen = Seen {
            power: Power::Charging,
            ..Seen::of(&vehicle(), Some(PLACE), true)
        };
        let mut smart = Smart::new(at("2026-06-01T12:00Z"));
        smart.policy = enabled();
        Self {
            smart,
            seen,
            level: 20.0,
            inputs: inputs(20.0),
        }
    }

    /// Stopped by a plan, until one o'clock.
    fn paused() -> Self {
        let mut scene = Self::new();
        assert_eq!(
            scene.see(Power::Charging, BEGIN).command,
            Some(ChargingKind::Stop)
        );
        scene.act(ChargingKind::Stop, BEGIN, ActionState::Confirmed, None);
        assert_eq!(scene.see(Power::Idle, "2026-06-01T18:05Z").command, None);
        assert_eq!(scene.state(), SmartState::Stopped);
        scene
    }

    fn state(&self) -> SmartState {
        self.smart.state
    }

    fn see(&mut self, power: Power, now: &str) -> Wish {
        let inputs = Inputs {
            level: Some(self.level),
            ..self.inputs.clone()
        };
        self.seen.power = power;
        self.seen.is_full = power == Power::Full;
        let new_plan = PlanId(Uuid::from_u128(5));
        self.smart
            .step(VEHICLE, &self.seen, Some(inputs), new_plan, at(now))
    }

    fn act(
        &mut self,
        kind: ChargingKind,
        created: &str,
        state: ActionState,
        reason: Option<FailureType>,
    ) {
        let created_at = at(created);
        let completed_at = (state != ActionState::Pending).then_some(created_at);
        let target = Target::Charging(kind);
        self.seen.last = Some(Attempt {
            target,
            state,
            reason,
            created_at,
            completed_at,
        });
    }

    fn plan(&self) -> &PlanRecord {
        self.smart.plan.as_ref().unwrap()
    }
}

#[test]
fn a_night_as_planned() {
    let mut scene = Scene::paused();
    assert!(scene.smart.is_in_control());
    let wish = scene.see(Power::Idle, EVENING);
    assert_eq!((wish.command, wish.look_again_at), (None, Some(at(START))));
    assert_eq!(
        scene.plan().stop_confirmed_at,
        Some(at("2026-06-01T18:05Z"))
    );
    assert_eq!(
        scene.see(Power::Idle, START).command,
        Some(ChargingKind::Start)
    );
    assert_eq!(scene.state(), SmartState::Starting);
    scene.act(ChargingKind::Start, START, ActionState::Pending, None);
    assert_eq!(scene.see(Power::Unclear, "2026-06-02T01:01Z").command, None);
    scene.act(ChargingKind::Start, START, ActionState::Confirmed, None);
    assert_eq!(
        scene.see(Power::Charging, "2026-06-02T01:02Z").command,
        None
    );
    assert_eq!(scene.state(), SmartState::Started);
    assert_eq!(
        scene.plan().start_confirmed_at,
        Some(at("2026-06-02T01:02Z"))
    );
    scene.see(Power::Full, "2026-06-02T05:03Z");
    assert_eq!(scene.state(), SmartState::Finished);
    assert_eq!(scene.plan().failure_condition, None);
    assert!(!scene.smart.is_in_control());
    // It stays so until the cable is pulled, and begins anew after that.
    scene.see(Power::Full, "2026-06-02T06:00Z");
    assert_eq!(scene.state(), SmartState::Finished);
    scene.see(Power::Unplugged, "2026-06-02T08:00Z");
    assert_eq!(scene.state(), SmartState::Considering);
    assert!(!scene.smart.consideration.is_plugged_in);
}

#[test]
fn a_plan_that_runs_over_is_late() {
    let mut scene = Scene::paused();
    scene.see(Power::Idle, START);
    scene.see(Power::Charging, "2026-06-02T01:01Z");
    // Four hours and fifteen percent of them.
    scene.see(Power::Full, "2026-06-02T05:37Z");
    assert_eq!(
        scene.plan().failure_condition,
        Some(FailureCondition::FinishedLate)
    );
    assert_eq!(scene.plan().final_state, Some(SmartState::Finished));
}

#[test]
fn nothing_begins_unless_all_holds() {
    let state = |change: &dyn Fn(&mut Scene)| {
        let mut scene = Scene::new();
        change(&mut scene);
        let power = scene.seen.power;
        assert_eq!(scene.see(power, BEGIN).command, None);
        (scene.state(), scene.smart.consideration)
    };
    let all = Consideration {
        is_plugged_in: true,
        is_charging: true,
        at_charging_location: true,
        has_time_estimate: true,
    };
    let considering = |consideration| (SmartState::Considering, consideration);
    let unplugged = |scene: &mut Scene| scene.seen.power = Power::Unplugged;
    let consideration = Consideration {
        is_plugged_in: false,
        is_charging: false,
        ..all
    };
    assert_eq!(state(&unplugged), considering(consideration));
    let idle = |scene: &mut Scene| scene.seen.power = Power::Idle;
    assert_eq!(
        state(&idle),
        considering(Consideration {
            is_charging: false,
            ..all
        })
    );
    let away = |scene: &mut Scene| scene.seen.location_id = None;
    assert_eq!(
        state(&away),
        considering(Consideration {
            at_charging_location: false,
            ..all
        })
    );
    let guess = |scene: &mut Scene| scene.inputs.rate_kw = None;
    assert_eq!(
        state(&guess),
        considering(Consideration {
            has_time_estimate: false,
            ..all
        })
    );
    let little = |scene: &mut Scene| scene.level = 80.0;
    assert_eq!(state(&little), considering(all), "an hour is not worth it");
    let flat = |scene: &mut Scene| scene.inputs.prices = hourly(at(BEGIN), &[20; 13]);
    assert_eq!(state(&flat), considering(all));
    let incapable = |scene: &mut Scene| scene.seen.is_capable = false;
    assert_eq!(state(&incapable).0, SmartState::Unknown);
    let unpriced = |scene: &mut Scene| scene.seen.has_prices = false;
    assert_eq!(state(&unpriced).0, SmartState::Unknown);
    let full = |scene: &mut Scene| scene.seen.power = Power::Full;
    assert_eq!(state(&full).0, SmartState::FullyCharged);
    let off = |scene: &mut Scene| scene.smart.policy.is_enabled = false;
    assert_eq!(state(&off).0, SmartState::Disabled);
    let overridden = |scene: &mut Scene| {
        scene
            .smart
            .begin_override((DeviceKind::Vehicle, VEHICLE), None, at(BEGIN));
    };
    assert_eq!(state(&overridden), considering(all));
}

#[test]
fn what_runs_past_its_deadline_is_left_alone_until_it_is_plugged_in_again() {
    let mut scene = Scene::new();
    scene.inputs.rate_kw = Some(3.0);
    assert_eq!(scene.see(Power::Charging, BEGIN).command, None);
    assert!(scene.smart.is_left_alone);
    scene.inputs.rate_kw = Some(10.0);
    scene.inputs.prices = hourly(
        at("2026-06-02T07:00Z"),
        &[30, 40, 40, 40, 20, 5, 5, 5, 5, 5],
    );
    assert_eq!(
        scene.see(Power::Charging, "2026-06-02T07:30Z").command,
        None
    );
    scene.see(Power::Unplugged, "2026-06-02T07:40Z");
    let wish = scene.see(Power::Charging, "2026-06-02T07:50Z");
    assert_eq!(wish.command, Some(ChargingKind::Stop));
}

#[test]
fn it_stops_only_when_it_is_time() {
    // The first hour is cheap: it is used, and stopped after.
    let mut scene = Scene::new();
    scene.inputs.prices[0].per_kwh = Decimal::new(1, 2);
    let wish = scene.see(Power::Charging, BEGIN);
    assert_eq!(
        (wish.command, wish.look_again_at),
        (None, Some(at("2026-06-01T19:00Z")))
    );
    assert_eq!(scene.state(), SmartState::Considering);
    scene.level = 40.0;
    let wish = scene.see(Power::Charging, "2026-06-01T19:00Z");
    assert_eq!(wish.command, Some(ChargingKind::Stop));
}

#[test]
fn a_stop_that_fails_leaves_it_charging() {
    let mut scene = Scene::new();
    scene.see(Power::Charging, BEGIN);
    scene.act(
        ChargingKind::Stop,
        BEGIN,
        ActionState::Cancelled,
        Some(FailureType::Conflict),
    );
    let wish = scene.see(Power::Charging, "2026-06-01T18:01Z");
    assert_eq!(
        wish.command,
        Some(ChargingKind::Stop),
        "another action came between"
    );
    scene.act(
        ChargingKind::Stop,
        "2026-06-01T18:01Z",
        ActionState::Pending,
        None,
    );
    assert_eq!(
        scene.see(Power::Charging, "2026-06-01T18:10Z").command,
        None
    );
    scene.act(
        ChargingKind::Stop,
        "2026-06-01T18:01Z",
        ActionState::Failed,
        Some(FailureType::NoResponse),
    );
    assert_eq!(
        scene.see(Power::Charging, "2026-06-01T18:31Z").command,
        None
    );
    assert_eq!(scene.state(), SmartState::StopFailed);
    // It may take effect late.
    let mut late = Scene {
        smart: scene.smart.clone(),
        inputs: scene.inputs.clone(),
        ..scene
    };
    late.see(Power::Idle, "2026-06-01T18:40Z");
    assert_eq!(late.state(), SmartState::Stopped);
    late.smart = scene.smart.clone();
    assert_eq!(late.see(Power::Charging, START).command, None);
    assert_eq!(late.state(), SmartState::Failed);
    assert_eq!(
        late.plan().failure_condition,
        Some(FailureCondition::StopFailed)
    );
    assert_eq!(
        late.see(Power::Charging, "2026-06-02T01:05Z"),
        Wish::default()
    );
    assert_eq!(late.state(), SmartState::Failed);
}

#[test]
fn a_start_that_fails_is_tried_again_beyond_the_deadline() {
    let mut scene = Scene::paused();
    scene.see(Power::Idle, START);
    scene.act(
        ChargingKind::Start,
        START,
        ActionState::Failed,
        Some(FailureType::NoResponse),
    );
    // It failed at once, to be tried after five minutes.
    let wish = scene.see(Power::Idle, "2026-06-02T01:01Z");
    assert_eq!(scene.state(), SmartState::StartFailed);
    assert_eq!(
        (wish.command, wish.look_again_at),
        (None, Some(at("2026-06-02T01:05Z")))
    );
    let wish = scene.see(Power::Idle, "2026-06-02T01:05Z");
    assert_eq!(wish.command, Some(ChargingKind::Start));
    assert_eq!(scene.state(), SmartState::Starting);
    scene.act(
        ChargingKind::Start,
        "2026-06-02T12:54Z",
        ActionState::Failed,
        None,
    );
    scene.see(Power::Idle, "2026-06-02T12:55Z");
    let wish = scene.see(Power::Idle, "2026-06-02T13:00Z");
    assert_eq!(wish.command, Some(ChargingKind::Start));
    assert_eq!(
        scene.plan().failure_condition,
        Some(FailureCondition::StartFailed)
    );
    assert_eq!(scene.state(), SmartState::Failed);
}

#[test]
fn a_start_that_nobody_ordered_is_an_override() {
    let mut scene = Scene::paused();
    let wish = scene.see(Power::Charging, EVENING);
    assert_eq!(wish.command, None);
    assert_eq!(scene.state(), SmartState::Overridden);
    let active = scene.smart.smart_override.unwrap();
    assert_eq!((active.vendor_action_id, active.ended_at), (None, None));
    assert_eq!(scene.plan().start_confirmed_at, Some(at(EVENING)));
    assert!(!scene.smart.is_in_control());
    // Not even when the plan would have started or is over.
    assert_eq!(scene.see(Power::Charging, START).command, None);
    // It ends as soon as charging stops; the plan takes over.
    scene.level = 60.0;
    assert_eq!(
        scene.see(Power::Idle, "2026-06-02T01:10Z").command,
        Some(ChargingKind::Start)
    );
    assert_eq!(scene.state(), SmartState::Starting);
    assert!(!scene.smart.smart_override.unwrap().is_active());
}

#[test]
fn an_override_of_ours_ends_by_the_vehicle_the_caller_or_its_failure() {
    let begin = || {
        let mut scene = Scene::paused();
        let action = Some(ActionId(Uuid::from_u128(3)));
        scene
            .smart
            .begin_override((DeviceKind::Vehicle, VEHICLE), action, at(EVENING));
        scene.seen.override_action = Some(ActionState::Pending);
        assert_eq!(scene.see(Power::Idle, EVENING).command, None);
        assert_eq!(scene.state(), SmartState::Overridden);
        // A second one is the first.
        assert_eq!(
            scene
                .smart
                .begin_override((DeviceKind::Vehicle, VEHICLE), None, at(START))
                .vendor_action_id,
            action
        );
        scene
    };
    let mut failed = begin();
    failed.seen.override_action = Some(ActionState::Failed);
    failed.see(Power::Idle, "2026-06-01T20:30Z");
    assert_eq!(failed.state(), SmartState::Stopped);
    let mut ended = begin();
    ended.seen.override_action = Some(ActionState::Confirmed);
    assert_eq!(
        ended.see(Power::Charging, "2026-06-01T20:05Z").command,
        None
    );
    assert!(ended.smart.end_override(at("2026-06-01T20:30Z")).is_ok());
    assert_eq!(
        ended.smart.end_override(at("2026-06-01T20:30Z")),
        Err(NoOverride)
    );
    assert_eq!(
        ended.see(Power::Charging, "2026-06-01T20:30Z").command,
        Some(ChargingKind::Stop)
    );
    let mut full = begin();
    full.see(Power::Full, "2026-06-01T23:30Z");
    assert_eq!(full.state(), SmartState::Finished);
    let mut unplugged = begin();
    unplugged.see(Power::Unplugged, "2026-06-01T23:30Z");
    assert_eq!(unplugged.state(), SmartState::Unplugged);
    assert!(!unplugged.smart.smart_override.unwrap().is_active());
}

#[test]
fn a_stop_that_nobody_ordered_is_left_alone() {
    let mut scene = Scene::paused();
    scene.see(Power::Idle, START);
    scene.act(ChargingKind::Start, START, ActionState::Confirmed, None);
    scene.see(Power::Charging, "2026-06-02T01:02Z");
    assert_eq!(scene.see(Power::Idle, "2026-06-02T02:00Z").command, None);
    assert_eq!(scene.state(), SmartState::ChargeInterrupted);
    assert_eq!(scene.see(Power::Idle, "2026-06-02T03:00Z").command, None);
    // They may change their mind.
    let mut resumed = Scene {
        smart: scene.smart.clone(),
        inputs: scene.inputs.clone(),
        ..scene
    };
    resumed.see(Power::Charging, "2026-06-02T03:10Z");
    assert_eq!(resumed.state(), SmartState::Started);
    resumed.smart = scene.smart;
    assert_eq!(resumed.see(Power::Idle, "2026-06-02T07:00Z").command, None);
    assert_eq!(
        resumed.plan().failure_condition,
        Some(FailureCondition::ChargeInterrupted)
    );
}

#[test]
fn what_was_stopped_is_started_when_the_plan_ends() {
    let end = |change: &dyn Fn(&mut Scene)| {
        let mut scene = Scene::paused();
        change(&mut scene);
        let power = scene.seen.power;
        let wish = scene.see(power, EVENING);
        assert_eq!(scene.plan().final_state, Some(scene.state()));
        assert_eq!(scene.plan().ended_at, Some(at(EVENING)));
        (scene.state(), wish.command)
    };
    let start = Some(ChargingKind::Start);
    let off = |scene: &mut Scene| scene.smart.policy.is_enabled = false;
    assert_eq!(end(&off), (SmartState::EndedByDisabling, start));
    let later = |scene: &mut Scene| scene.smart.policy.deadline = "08:00".parse().ok();
    assert_eq!(end(&later), (SmartState::DeadlineChanged, start));
    let incapable = |scene: &mut Scene| scene.seen.is_capable = false;
    assert_eq!(end(&incapable), (SmartState::Failed, start));
    let deleted = |scene: &mut Scene| scene.seen.location_id = None;
    assert_eq!(end(&deleted), (SmartState::Unplugged, start));
    let unplugged = |scene: &mut Scene| scene.seen.power = Power::Unplugged;
    assert_eq!(end(&unplugged), (SmartState::Unplugged, None));
    // A stop under way may still take effect: it is undone.
    let mut scene = Scene::new();
    scene.see(Power::Charging, BEGIN);
    scene.act(ChargingKind::Stop, BEGIN, ActionState::Pending, None);
    scene.smart.policy.is_enabled = false;
    let wish = scene.see(Power::Charging, "2026-06-01T18:01Z");
    assert_eq!((wish.command, wish.withdraw), (start, true));
    scene.see(Power::Charging, "2026-06-01T18:02Z");
    assert_eq!(scene.state(), SmartState::Disabled);
}

#[test]
fn prices_are_awaited_and_then_planned_with() {
    let mut scene = Scene::new();
    let all = std::mem::take(&mut scene.inputs.prices);
    scene.inputs.prices = hourly(at(BEGIN), &[20; 5]);
    scene.inputs.may_await = true;
    scene.inputs.more_prices_at = Some(at("2026-06-01T21:00Z"));
    assert_eq!(
        scene.see(Power::Charging, BEGIN).command,
        Some(ChargingKind::Stop)
    );
    scene.see(Power::Idle, "2026-06-01T18:05Z");
    assert_eq!(scene.state(), SmartState::AwaitingPrices);
    assert_eq!(
        (scene.plan().start_at, scene.plan().smart_cost),
        (None, None)
    );
    // In vain: it starts at once.
    let mut vain = Scene {
        smart: scene.smart.clone(),
        inputs: scene.inputs.clone(),
        ..scene
    };
    assert_eq!(
        vain.see(Power::Idle, "2026-06-01T21:00Z").command,
        Some(ChargingKind::Start)
    );
    assert_eq!(vain.plan().start_at, Some(at("2026-06-01T21:00Z")));
    vain.smart = scene.smart;
    vain.inputs.prices = all;
    assert_eq!(vain.see(Power::Idle, "2026-06-01T21:00Z").command, None);
    assert_eq!(vain.state(), SmartState::Stopped);
    assert_eq!(vain.plan().start_at, Some(at(START)));
    assert_eq!(vain.plan().smart_cost, Some(Decimal::from(4)));
    // What is known stays good when the vehicle tells nothing more.
    vain.inputs.rate_kw = None;
    assert_eq!(vain.see(Power::Idle, EVENING).command, None);
    assert_eq!(vain.plan().start_at, Some(at(START)));
    assert_eq!(
        vain.see(Power::Unclear, START).command,
        Some(ChargingKind::Start)
    );
}
