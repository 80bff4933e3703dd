use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::{
    device::{Device, NewDevice, Stamp, VendorDevice, Via, battery::OperationMode},
    fact::Field,
    id::AccountId,
    temperature::{Hold, TemperatureTarget},
};

const START: Target = Target::Charging(ChargingKind::Start);
const STOP: Target = Target::Charging(ChargingKind::Stop);
const POWER: &str = "chargeState.powerDeliveryState";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_750_000_000 + second).unwrap()
}

fn device(kind: DeviceKind) -> Device {
    let mut device = Device::new(NewDevice {
        id: DeviceId(Uuid::from_u128(7)),
        client_id: ClientId(Uuid::from_u128(1)),
        user_id: "user".parse().unwrap(),
        account_id: AccountId(Uuid::from_u128(2)),
        vendor_device: VendorDevice {
            kind,
            id: "d".to_owned(),
        },
        vendor: "ACME".parse().unwrap(),
        brand: "Acme".to_owned(),
        scopes: Vec::new(),
        found_at: at(-1000),
    });
    let names: &[&str] = match kind {
        DeviceKind::Hvac => &["setFollowSchedule", "setPermanentHold"],
        DeviceKind::Battery => &[
            "exportFocus",
            "importFocus",
            "timeOfUse",
            "selfReliance",
            "idle",
        ],
        _ => &["startCharging", "stopCharging", "setMaxCurrent"],
    };
    for name in names {
        let capable = json!({"isCapable": true, "interventionIds": []});
        device
            .document
            .set_path(&format!("capabilities.{name}"), capable);
    }
    device
}

/// The device tells a value, asked for at `second`.
fn tell(device: &mut Device, path: &str, value: Value, second: i64) {
    tell_via(device, path, value, second, Via::Poll, None);
}

fn tell_via(
    device: &mut Device,
    path: &str,
    value: Value,
    second: i64,
    via: Via,
    observed: Option<i64>,
) {
    device.document.set_path(path, value);
    let stamp = Stamp {
        observed_at: observed.map(at),
        started_at: at(second),
        received_at: at(second),
        changed_at: None,
        via,
    };
    device.stamps.set(Field::named(path).unwrap(), stamp);
}

fn wish(target: Target) -> NewAction {
    NewAction {
        id: ActionId(Uuid::from_u128(100)),
        target,
        owner: Owner::Caller,
    }
}

fn new_action(target: Target, device: &Device, second: i64) -> Action {
    let timing = Timing::default();
    match create(wish(target), device, None, None, &timing, at(second)).unwrap() {
        Created::New { action, replaced } => {
            assert_eq!(replaced, None);
            *action
        }
        Created::Reused => unreachable!("nothing was pending"),
    }
}

fn stopped_vehicle() -> Device {
    let mut vehicle = device(DeviceKind::Vehicle);
    tell(&mut vehicle, POWER, json!("PLUGGED_IN:STOPPED"), -10);
    vehicle
}

fn reason(action: &Action) -> Option<FailureType> {
    action.failure_reason.as_ref().map(|reason| reason.kind)
}

#[test]
fn commands_are_repeated_until_the_device_shows_the_wanted_state() {
    let timing = Timing::default();
    let mut vehicle = stopped_vehicle();
    let mut action = new_action(START, &vehicle, 0);
    let mut sent = Vec::new();
    let mut now = 0;
    while sent.len() < 4 {
        match action.next(&timing, at(now)) {
            Next::Send => {
                sent.push(now);
                assert!(action.sending(at(now)));
                let until = at(now + 60);
                assert_eq!(
                    action.next(&timing, at(now)),
                    Next::Wait(until.max(match sent.len() {
                        1 => at(30),
                        2 => at(90),
                        3 => at(180),
                        _ => at(360),
                    }))
                );
                assert!(action.answered(SendOutcome::Accepted, at(now + 1)));
            }
            Next::Wait(until) => now = until.as_second() - at(0).as_second(),
            other => panic!("{other:?}"),
        }
        assert!(!action.observed(&vehicle, at(now)));
    }
    assert_eq!(sent, [0, 30, 90, 180]);
    tell(&mut vehicle, POWER, json!("PLUGGED_IN:CHARGING"), 190);
    assert!(action.observed(&vehicle, at(191)));
    assert_eq!(action.state, ActionState::Confirmed);
    assert_eq!(
        (action.completed_at, reason(&action)),
        (Some(at(191)), None)
    );
    assert_eq!(action.next(&timing, at(191)), Next::Over);
    assert!(!action.answered(SendOutcome::Accepted, at(192)));
    assert!(!action.sending(at(192)) && !action.close(None, at(5000)));
    assert_eq!(action.cancel(Withdrawn::ByOwner, at(193)), Err(Resolved));
}

#[test]
fn only_what_is_measured_after_the_command_proves_anything() {
    let charging = || json!("PLUGGED_IN:CHARGING");
    // How it is told, and whether that confirms a start sent at 5.
    let cases = [
        (4, Via::Poll, None, false),
        (5, Via::Poll, None, true),
        (6, Via::CommandEcho, None, false),
        (6, Via::Retained, None, false),
        (6, Via::Retained, Some(6), true),
        (6, Via::Push, Some(-50), true),
        (6, Via::Push, Some(-60), false),
        (6, Via::Push, None, true),
    ];
    for (second, via, observed, is_proof) in cases {
        let mut vehicle = stopped_vehicle();
        let mut action = new_action(START, &vehicle, 0);
        action.sending(at(5));
        action.answered(SendOutcome::Accepted, at(6));
        tell_via(&mut vehicle, POWER, charging(), second, via, observed);
        let label = format!("{second} {via:?} {observed:?}");
        assert_eq!(action.observed(&vehicle, at(7)), is_proof, "{label}");
        assert_eq!(action.state == ActionState::Confirmed, is_proof, "{label}");
        // What is never proven but still so at the end needed no command.
        let mut unproven = action.clone();
        assert_eq!(
            unproven.close(Some(&vehicle), unproven.closes_at),
            !is_proof
        );
        let expected = (!is_proof).then_some(FailureType::Unnecessary);
        assert_eq!(reason(&unproven), expected, "{label}");
    }
}

#[test]
fn a_wanted_state_that_came_without_a_command_is_needless() {
    let mut vehicle = stopped_vehicle();
    let mut action = new_action(START, &vehicle, 0);
    tell(&mut vehicle, POWER, json!("PLUGGED_IN:CHARGING"), 1);
    assert!(action.observed(&vehicle, at(2)));
    assert_eq!(reason(&action), Some(FailureType::Unnecessary));
    assert_eq!(action.state, ActionState::Cancelled);

    let mut action = new_action(START, &stopped_vehicle(), 0);
    action.sending(at(0));
    action.answered(SendOutcome::AlreadySo, at(0));
    assert!(action.is_pending(), "the word of a vendor proves nothing");
    assert!(action.observed(&vehicle, at(2)));
    assert_eq!(reason(&action), Some(FailureType::Unnecessary));
}

#[test]
fn what_a_start_takes_may_vanish() {
    let mut vehicle = stopped_vehicle();
    for (state, target, is_over) in [
        ("UNPLUGGED", START, true),
        ("UNPLUGGED", STOP, true),
        ("PLUGGED_IN:COMPLETE", START, true),
        ("PLUGGED_IN:NO_POWER", START, false),
        ("PLUGGED_IN:FAULT", START, false),
        ("PLUGGED_IN:INITIALIZING", START, false),
        ("UNKNOWN", START, false),
        ("PLUGGED_IN:DISCHARGING", STOP, false),
    ] {
        let before = if target == STOP {
            "CHARGING"
        } else {
            "STOPPED"
        };
        tell(
            &mut vehicle,
            POWER,
            json!(format!("PLUGGED_IN:{before}")),
            -10,
        );
        let mut action = new_action(target, &vehicle, 0);
        action.sending(at(0));
        action.answered(SendOutcome::Accepted, at(1));
        tell(&mut vehicle, POWER, json!(state), 2);
        assert_eq!(action.observed(&vehicle, at(3)), is_over, "{state}");
        let expected = is_over.then_some(FailureType::FailedPrecondition);
        assert_eq!(reason(&action), expected, "{state}");
    }
    // Old news are none.
    tell(&mut vehicle, POWER, json!("PLUGGED_IN:STOPPED"), -10);
    let mut action = new_action(START, &vehicle, 0);
    tell(&mut vehicle, POWER, json!("UNPLUGGED"), -1);
    assert!(!action.observed(&vehicle, at(3)));
    // A refusal of the vendor ends it too.
    action.sending(at(4));
    assert!(action.answered(SendOutcome::Refused("no cable".into()), at(5)));
    assert_eq!(reason(&action), Some(FailureType::FailedPrecondition));
}

#[test]
fn a_closed_window_says_why() {
    let close = |outcome: Option<SendOutcome>, power: &str, is_reachable: bool| {
        let mut vehicle = stopped_vehicle();
        let mut action = new_action(START, &vehicle, 0);
        assert_eq!(action.closes_at, at(1800));
        action.sending(at(0));
        if let Some(outcome) = outcome {
            action.answered(outcome, at(1));
        }
        assert_eq!(action.next(&Timing::default(), at(1800)), Next::Close);
        tell(&mut vehicle, POWER, json!(power), 1700);
        vehicle
            .document
            .set_path("isReachable", json!(is_reachable));
        assert!(action.close(Some(&vehicle), at(1800)));
        (reason(&action).unwrap(), action.state)
    };
    let stopped = "PLUGGED_IN:STOPPED";
    let unanswered = (FailureType::NoResponse, ActionState::Failed);
    let missing = (FailureType::FailedPrecondition, ActionState::Cancelled);
    let accepted = || Some(SendOutcome::Accepted);
    assert_eq!(close(accepted(), stopped, true), unanswered);
    assert_eq!(close(None, stopped, true), unanswered);
    assert_eq!(
        close(Some(SendOutcome::Failed("502".into())), stopped, true),
        unanswered
    );
    assert_eq!(
        close(Some(SendOutcome::Throttled(at(60))), stopped, true),
        unanswered
    );
    assert_eq!(
        close(
            Some(SendOutcome::Unreachable("asleep".into())),
            stopped,
            true
        ),
        missing
    );
    assert_eq!(close(accepted(), stopped, false), missing);
    assert_eq!(close(accepted(), "PLUGGED_IN:NO_POWER", true), missing);
    let mut gone = new_action(START, &stopped_vehicle(), 0);
    assert!(gone.close(None, at(1800)));
    assert_eq!(reason(&gone), Some(FailureType::NotFound));
}

#[test]
fn a_lost_answer_and_a_standstill_make_no_burst() {
    let timing = Timing::default();
    let mut action = new_action(START, &stopped_vehicle(), 0);
    action.sending(at(0));
    // Never answered: the command at 30 waits for a minute.
    assert_eq!(action.next(&timing, at(31)), Next::Wait(at(60)));
    assert_eq!(action.next(&timing, at(60)), Next::Send);
    // The process stood still until 700: one command, and the next by its gap.
    action.sending(at(700));
    action.answered(SendOutcome::Accepted, at(701));
    assert_eq!(action.next(&timing, at(701)), Next::Wait(at(760)));
    action.answered(SendOutcome::Throttled(at(900)), at(702));
    assert_eq!(action.next(&timing, at(800)), Next::Wait(at(900)));
    assert_eq!(action.next(&timing, at(900)), Next::Send);
    action.answered(SendOutcome::Throttled(at(9000)), at(702));
    assert_eq!(action.next(&timing, at(900)), Next::Wait(at(1800)));
}

#[test]
fn a_vehicles_equal_action_is_used_again_and_any_other_takes_over() {
    let timing = Timing::default();
    let vehicle = stopped_vehicle();
    let mut charger = device(DeviceKind::Charger);
    tell(&mut charger, POWER, json!("PLUGGED_IN:STOPPED"), -10);
    let by = |owner, target| NewAction {
        owner,
        ..wish(target)
    };
    let plan = Owner::Plan(PlanId(Uuid::nil()));
    let cases = [
        (&vehicle, wish(START), true),
        (&vehicle, wish(STOP), false),
        (&vehicle, wish(Target::MaxCurrent(10.0)), false),
        (&vehicle, by(plan, START), false),
        (&charger, wish(START), false),
    ];
    for (device, new, is_reused) in cases {
        let mut pending = new_action(START, device, 0);
        pending.sending(at(0));
        match create(new, device, Some(&pending), None, &timing, at(10)).unwrap() {
            Created::Reused => assert!(is_reused, "{new:?}"),
            Created::New {
                mut action,
                replaced,
            } => {
                assert!(!is_reused, "{new:?}");
                let replaced = replaced.unwrap();
                assert_eq!(reason(&replaced), Some(FailureType::Conflict));
                assert_eq!(replaced.completed_at, Some(at(10)));
                // It waits for the command that is under way.
                assert_eq!(action.next(&timing, at(10)), Next::Wait(at(60)));
                action.released();
                assert_eq!(action.next(&timing, at(11)), Next::Send);
            }
        }
    }
    // One that is over is neither used again nor cancelled.
    let mut over = new_action(START, &vehicle, 0);
    over.cancel(Withdrawn::ByOwner, at(1)).unwrap();
    let created = create(wish(START), &vehicle, Some(&over), None, &timing, at(10)).unwrap();
    assert!(matches!(created, Created::New { replaced: None, .. }));
}

#[test]
fn what_cannot_come_true_is_refused() {
    let timing = Timing::default();
    let refuse = |target, device: &Device, controller| {
        create(wish(target), device, None, controller, &timing, at(0)).err()
    };
    let mut vehicle = stopped_vehicle();
    assert_eq!(refuse(STOP, &vehicle, None), Some(Refusal::AlreadyStopped));
    assert_eq!(refuse(START, &vehicle, None), None);
    let controlled = refuse(START, &vehicle, Some(Controller::Plan)).unwrap();
    assert!(controlled.is_controlled());
    let current = Target::MaxCurrent(16.0);
    assert_eq!(refuse(current, &vehicle, Some(Controller::Plan)), None);
    for amperes in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let refusal = refuse(Target::MaxCurrent(amperes), &vehicle, None).unwrap();
        assert_eq!(refusal.field(), Some("maxCurrent"));
    }
    for (power, start, stop) in [
        (
            "UNPLUGGED",
            Some(Refusal::Unplugged),
            Some(Refusal::Unplugged),
        ),
        ("PLUGGED_IN:CHARGING", Some(Refusal::AlreadyCharging), None),
        (
            "PLUGGED_IN:COMPLETE",
            Some(Refusal::FullyCharged),
            Some(Refusal::AlreadyStopped),
        ),
        ("PLUGGED_IN:INITIALIZING", None, None),
        ("PLUGGED_IN:FAULT", None, None),
        ("UNKNOWN", None, None),
    ] {
        tell(&mut vehicle, POWER, json!(power), -5);
        assert_eq!(refuse(START, &vehicle, None), start, "{power}");
        assert_eq!(refuse(STOP, &vehicle, None), stop, "{power}");
    }
    let blocked = json!({"isCapable": false, "interventionIds": [Uuid::from_u128(5)]});
    vehicle
        .document
        .set_path("capabilities.startCharging", blocked);
    let refusal = refuse(START, &vehicle, Some(Controller::Plan)).unwrap();
    assert!(
        matches!(refusal, Refusal::NotCapable { intervention_ids, .. } if intervention_ids.len() == 1)
    );

    let battery = device(DeviceKind::Battery);
    assert_eq!(
        refuse(START, &battery, None),
        Some(Refusal::WrongKind(DeviceKind::Battery))
    );
    assert_eq!(
        refuse(Target::OperationMode(OperationMode::Idle), &battery, None),
        None
    );
    let unknown = Target::OperationMode(OperationMode::Unknown);
    assert_eq!(
        refuse(unknown, &battery, None),
        Some(Refusal::OperationMode)
    );

    let hvac = device(DeviceKind::Hvac);
    let auto = |heat_setpoint, cool_setpoint| {
        Target::Temperature(TemperatureTarget::Permanent(Hold::Auto {
            heat_setpoint,
            cool_setpoint,
        }))
    };
    assert_eq!(refuse(auto(20.0, 24.0), &hvac, None), None);
    assert_eq!(
        refuse(auto(24.0, 20.0), &hvac, None).unwrap().field(),
        Some("coolSetpoint")
    );
    let refusal = refuse(auto(20.0, 24.0), &hvac, Some(Controller::Schedule));
    assert_eq!(refusal, Some(Refusal::Controlled(Controller::Schedule)));
}

#[test]
fn hvacs_batteries_and_currents_are_confirmed_by_their_fields() {
    let mut hvac = device(DeviceKind::Hvac);
    let hold = Hold::Heat {
        heat_setpoint: 21.0,
    };
    let mut action = new_action(
        Target::Temperature(TemperatureTarget::Permanent(hold)),
        &hvac,
        0,
    );
    action.sending(at(0));
    action.answered(SendOutcome::Accepted, at(1));
    tell(&mut hvac, "thermostatState.mode", json!("HEAT"), 2);
    tell(&mut hvac, "thermostatState.heatSetpoint", json!(21.1), -2);
    assert!(!action.observed(&hvac, at(3)), "the setpoint is old news");
    tell(&mut hvac, "thermostatState.heatSetpoint", json!(21.1), 2);
    assert!(action.observed(&hvac, at(3)));
    assert_eq!(action.state, ActionState::Confirmed);

    let mut battery = device(DeviceKind::Battery);
    let mut action = new_action(Target::OperationMode(OperationMode::Idle), &battery, 0);
    action.sending(at(0));
    tell(
        &mut battery,
        "config.operationMode",
        json!("TIME_OF_USE"),
        2,
    );
    assert!(!action.observed(&battery, at(3)));
    tell(&mut battery, "config.operationMode", json!("IDLE"), 4);
    assert!(action.observed(&battery, at(5)));
    assert_eq!(
        action.state,
        ActionState::Confirmed,
        "before the vendor answered"
    );

    let mut charger = device(DeviceKind::Charger);
    let mut action = new_action(Target::MaxCurrent(15.6), &charger, 0);
    action.sending(at(0));
    tell(&mut charger, "chargeState.maxCurrent", json!(15), 2);
    assert!(!action.observed(&charger, at(3)));
    tell(&mut charger, "chargeState.maxCurrent", json!(16), 4);
    assert!(action.observed(&charger, at(5)));
}

#[test]
fn actions_are_printed_as_the_contract_does() {
    let print = |action: &Action| serde_json::to_value(action.document()).unwrap();
    let mut action = new_action(START, &stopped_vehicle(), 0);
    let mut expected = json!({
        "id": "00000000-0000-0000-0000-000000000064",
        "userId": "user",
        "createdAt": "2025-06-15T15:06:40.000Z",
        "updatedAt": "2025-06-15T15:06:40.000Z",
        "completedAt": null,
        "state": "PENDING",
        "targetId": "00000000-0000-0000-0000-000000000007",
        "targetType": "vehicle",
        "failureReason": null,
        "kind": "START",
    });
    assert_eq!(print(&action), expected);
    action.cancel(Withdrawn::ByOwner, at(1)).unwrap();
    expected["state"] = json!("CANCELLED");
    expected["updatedAt"] = json!("2025-06-15T15:06:41.000Z");
    expected["completedAt"] = json!("2025-06-15T15:06:41.000Z");
    expected["failureReason"] =
        json!({"type": "REQUESTED_CANCELLATION", "detail": "it is no longer wanted"});
    assert_eq!(print(&action), expected);

    let current = new_action(Target::MaxCurrent(16.0), &device(DeviceKind::Charger), 0);
    assert_eq!(print(&current)["targetState"], json!({"maxCurrent": 16.0}));
    let scheduled = Target::Temperature(TemperatureTarget::Scheduled {});
    let scheduled = new_action(scheduled, &device(DeviceKind::Hvac), 0);
    assert_eq!(
        print(&scheduled)["target"],
        json!({"holdType": "SCHEDULED"})
    );
    let idle = Target::OperationMode(OperationMode::Idle);
    let idle = new_action(idle, &device(DeviceKind::Battery), 0);
    assert_eq!(
        print(&idle)["targetState"],
        json!({"operationMode": "IDLE"})
    );
    for action in [action, current, scheduled, idle] {
        let stored = serde_json::to_string(&action).unwrap();
        assert_eq!(serde_json::from_str::<Action>(&stored).unwrap(), action);
    }
}

#[test]
fn timings_are_checked() {
    assert_eq!(Timing::default().check(), Ok(()));
    assert_eq!(Timing::slow().check(), Ok(()));
    let with = |send_at_secs: &[u32]| {
        let send_at_secs = send_at_secs.to_vec();
        Timing {
            send_at_secs,
            ..Timing::default()
        }
        .check()
    };
    assert_eq!(with(&[]), Err(BadTiming::NotAtOnce));
    assert_eq!(with(&[5]), Err(BadTiming::NotAtOnce));
    assert_eq!(with(&[0, 0]), Err(BadTiming::NotRising));
    assert_eq!(with(&[0, 1800]), Err(BadTiming::AfterTheEnd));
    let timing = Timing {
        read_every_secs: 0,
        ..Timing::default()
    };
    assert_eq!(timing.check(), Err(BadTiming::Reading));
}

/// What can happen to an action.
#[derive(Debug, Clone)]
enum Happening {
    Pass(i64),
    Answer(SendOutcome),
    Tell(&'static str, Via),
    Cancel,
}

fn happening() -> impl Strategy<Value = Happening> {
    let outcome = prop_oneof![
        4 => Just(SendOutcome::Accepted),
        1 => Just(SendOutcome::AlreadySo),
        1 => Just(SendOutcome::Unreachable("asleep".into())),
        1 => (0..2000_i64).prop_map(|second| SendOutcome::Throttled(at(second))),
        1 => Just(SendOutcome::Failed("502".into())),
    ];
    let states = prop::sample::select(vec![
        "UNKNOWN",
        "PLUGGED_IN:STOPPED",
        "PLUGGED_IN:CHARGING",
        "PLUGGED_IN:NO_POWER",
        "PLUGGED_IN:INITIALIZING",
        "UNPLUGGED",
    ]);
    let via = prop::sample::select(vec![Via::Poll, Via::Push, Via::Retained, Via::CommandEcho]);
    prop_oneof![
        8 => (0..120_i64).prop_map(Happening::Pass),
        4 => outcome.prop_map(Happening::Answer),
        2 => (states, via).prop_map(|(state, via)| Happening::Tell(state, via)),
        1 => Just(Happening::Cancel),
    ]
}

proptest! {
    /// Whatever happens: an action ends by the end of its window and never changes again, commands
    /// do not overlap, and it is confirmed only by a measurement.
    #[test]
    fn an_action_keeps_its_rules(script in prop::collection::vec(happening(), 1..60)) {
        let timing = Timing::default();
        let mut vehicle = stopped_vehicle();
        let mut action = new_action(START, &vehicle, 0);
        let mut now = 0;
        let mut last: Option<(i64, bool)> = None;
        let mut is_proven = false;
        for happening in script {
            let before = action.clone();
            match happening {
                Happening::Pass(seconds) => now += seconds,
                Happening::Answer(outcome) if action.sends.is_under_way => {
                    last = last.map(|(second, _)| (second, true));
                    action.answered(outcome, at(now));
                }
                Happening::Answer(_) => {}
                Happening::Tell(state, via) => {
                    tell_via(&mut vehicle, POWER, json!(state), now, via, None);
                    is_proven = state == "PLUGGED_IN:CHARGING" && matches!(via, Via::Poll | Via::Push);
                    action.observed(&vehicle, at(now));
                }
                Happening::Cancel => {
                    let is_pending = action.is_pending();
                    prop_assert_eq!(action.cancel(Withdrawn::ByOwner, at(now)).is_ok(), is_pending);
                }
            }
            match action.next(&timing, at(now)) {
                Next::Send => {
                    if let Some((second, is_answered)) = last {
                        prop_assert!(is_answered || now >= second + 60);
                    }
                    prop_assert!(action.sending(at(now)));
                    last = Some((now, false));
                }
                Next::Wait(until) => {
                    prop_assert!(until > at(now) && until <= action.closes_at);
                }
                Next::Close => {
                    prop_assert!(action.close(Some(&vehicle), at(now)));
                    prop_assert!(!action.is_pending());
                }
                Next::Over => prop_assert!(!action.is_pending()),
            }
            if !before.is_pending() {
                // A late answer is noted, and nothing else.
                let is_under_way = action.sends.is_under_way;
                prop_assert!(before.sends.is_under_way || !is_under_way);
                let mut same = before.clone();
                same.sends.is_under_way = is_under_way;
                prop_assert_eq!(&same, &action);
            }
            if action.state == ActionState::Confirmed && before.is_pending() {
                prop_assert!(is_proven && action.sends.count > 0);
            }
            prop_assert!(!action.is_pending() || at(now) < action.closes_at);
            prop_assert_eq!(action.is_pending(), action.completed_at.is_none());
            let is_failed = matches!(action.state, ActionState::Failed | ActionState::Cancelled);
            prop_assert_eq!(is_failed, action.failure_reason.is_some());
        }
        prop_assert!(action.sends.count <= 7);
        prop_assert!(action.closes_at == at(0) + SignedDuration::from_mins(30));
    }
}

#[test]
fn what_replaces_a_command_that_was_sent_is_sent_in_any_case() {
    let timing = Timing::default();
    let mut vehicle = device(DeviceKind::Vehicle);
    tell(&mut vehicle, POWER, json!("PLUGGED_IN:CHARGING"), -10);
    let mut stop = new_action(STOP, &vehicle, 0);
    assert!(stop.sending(at(0)));
    assert!(stop.answered(SendOutcome::Accepted, at(1)));
    let next = |target, last: &Action, second| {
        let made = create(
            wish(target),
            &vehicle,
            Some(last),
            None,
            &timing,
            at(second),
        );
        match made.unwrap() {
            Created::New { action, .. } => *action,
            Created::Reused => unreachable!("it wants something else"),
        }
    };
    let start = next(START, &stop, 2);
    let mut current = next(Target::MaxCurrent(9.0), &start, 3);
    let mut start = start;
    // The car has not obeyed yet: it charges, but will not for long.
    tell(&mut vehicle, POWER, json!("PLUGGED_IN:CHARGING"), 4);
    tell(&mut vehicle, "chargeState.maxCurrent", json!(9.0), 4);
    assert!(!start.observed(&vehicle, at(5)));
    assert_eq!(start.next(&timing, at(5)), Next::Send);
    assert!(
        !current.observed(&vehicle, at(5)),
        "nor after one that was not sent"
    );
}

#[test]
fn what_comes_after_a_command_under_way_waits_for_its_answer() {
    let timing = Timing::default();
    let mut vehicle = device(DeviceKind::Vehicle);
    tell(&mut vehicle, POWER, json!("PLUGGED_IN:CHARGING"), -10);
    let mut first = new_action(Target::MaxCurrent(8.0), &vehicle, 0);
    assert!(first.sending(at(0)));
    assert_eq!(first.cancel(Withdrawn::ByOwner, at(1)), Ok(()));
    let next = |last: &Action, second| {
        let wish = wish(Target::MaxCurrent(9.0));
        match create(wish, &vehicle, Some(last), None, &timing, at(second)).unwrap() {
            Created::New { action, .. } => *action,
            Created::Reused => unreachable!("it wants something else"),
        }
    };
    let second = next(&first, 2);
    assert_eq!(second.next(&timing, at(2)), Next::Wait(at(60)));
    // One that replaces it waits for the same, though it was not sent itself.
    let third = next(&second, 3);
    assert_eq!(third.next(&timing, at(3)), Next::Wait(at(60)));
    // Once the first is answered, nobody has to wait.
    assert!(first.answered(SendOutcome::Accepted, at(4)));
    assert!(
        !first.answered(SendOutcome::Accepted, at(4)),
        "it is noted once"
    );
    assert_eq!(first.state, ActionState::Cancelled);
    assert_eq!(next(&first, 5).next(&timing, at(5)), Next::Send);
    let mut third = third;
    third.released();
    assert_eq!(third.next(&timing, at(5)), Next::Send);
}
