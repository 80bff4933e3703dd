//! How devices stand to their schedules, and what follows.

use uuid::Uuid;

use super::*;
use crate::{
    action::{ActionState, ChargingKind, Target},
    device::{Device, NewDevice, VendorDevice},
    id::AccountId,
    scope::Scope,
    smart::SmartOverride,
    zone::Zone,
};

pub(super) const PLACE: LocationId = LocationId(Uuid::from_u128(9));
const START: Target = Target::Charging(ChargingKind::Start);
const STOP: Target = Target::Charging(ChargingKind::Stop);

fn device(kind: DeviceKind) -> Device {
    let mut device = Device::new(NewDevice {
        id: DeviceId(Uuid::from_u128(7)),
        client_id: ClientId(Uuid::nil()),
        user_id: "user".parse().unwrap(),
        account_id: AccountId(Uuid::nil()),
        vendor_device: VendorDevice {
            kind,
            id: "d".to_owned(),
        },
        vendor: "ACME".parse().unwrap(),
        brand: "Acme".to_owned(),
        scopes: Scope::ALL.to_vec(),
        found_at: at("2026-01-01T00:00Z"),
    });
    let names: &[&str] = match kind {
        DeviceKind::Hvac => &["setFollowSchedule", "setPermanentHold"],
        _ => &["startCharging", "stopCharging"],
    };
    for name in names {
        let path = format!("capabilities.{name}.isCapable");
        device.document.set_path(&path, json!(true));
    }
    device
}

pub(super) fn vehicle(state: &str) -> Device {
    let mut vehicle = device(DeviceKind::Vehicle);
    for (field, value) in [
        ("powerDeliveryState", json!(state)),
        ("isPluggedIn", json!(state != "UNPLUGGED")),
        ("isCharging", json!(state == "PLUGGED_IN:CHARGING")),
        ("isFullyCharged", json!(state == "PLUGGED_IN:COMPLETE")),
    ] {
        vehicle
            .document
            .set_path(&format!("chargeState.{field}"), value);
    }
    vehicle
}

pub(super) fn schedule(program: Program) -> Schedule {
    Schedule {
        id: ScheduleId(Uuid::from_u128(1)),
        client_id: ClientId(Uuid::nil()),
        user_id: "user".parse().unwrap(),
        target_id: DeviceId(Uuid::from_u128(7)),
        is_enabled: true,
        program,
        created_at: at("2026-01-01T00:00Z"),
    }
}

/// Charge from 22:00 to 06:00 UTC at the place.
pub(super) fn nightly() -> ChargeProgram {
    let wire = json!({
        "targetType": "vehicle",
        "locationId": PLACE,
        "defaultShouldCharge": false,
        "rules": [{"hourMinute": {"from": "22:00", "to": "06:00"}, "shouldCharge": true}],
    });
    serde_json::from_value(wire).unwrap()
}

fn situation(device: &Device) -> ChargeSituation<'_> {
    ChargeSituation {
        device,
        location_id: Some(PLACE),
        fresh_since: None,
        reachable_since: None,
        smart_override: None,
        last: None,
    }
}

fn judge(situation: &ChargeSituation<'_>, now: &str) -> Judged<ChargeStatus> {
    let program = nightly();
    let schedule = schedule(Program::Charge(program.clone()));
    judge_charge(&schedule, &program, situation, &Zone::UTC, None, at(now))
}

fn attempt(
    target: Target,
    state: ActionState,
    created: &str,
    completed: Option<&str>,
) -> Option<Attempt> {
    let (created_at, completed_at) = (at(created), completed.map(at));
    Some(Attempt {
        target,
        state,
        reason: None,
        created_at,
        completed_at,
    })
}

const NIGHT: &str = "2026-06-01T23:00Z";
const DAY: &str = "2026-06-01T12:00Z";

#[test]
fn a_vehicle_is_brought_in_line() {
    use ScheduleState::{Aligned, Misaligned, Pending};
    for (state, now, expected, act) in [
        ("PLUGGED_IN:STOPPED", NIGHT, Pending, Some(START)),
        ("PLUGGED_IN:CHARGING", NIGHT, Aligned, None),
        ("PLUGGED_IN:COMPLETE", NIGHT, Aligned, None),
        ("UNPLUGGED", NIGHT, Aligned, None),
        ("UNKNOWN", NIGHT, Misaligned, None),
        ("PLUGGED_IN:CHARGING", DAY, Pending, Some(STOP)),
        ("PLUGGED_IN:STOPPED", DAY, Aligned, None),
        ("UNPLUGGED", DAY, Aligned, None),
    ] {
        let vehicle = vehicle(state);
        let judged = judge(&situation(&vehicle), now);
        assert_eq!(
            (judged.status.state, judged.act),
            (expected, act),
            "{state} {now}"
        );
        assert!(!judged.withdraw);
    }
    let judged = judge(&situation(&vehicle("PLUGGED_IN:STOPPED")), NIGHT);
    let expected = json!({
        "scheduleId": "00000000-0000-0000-0000-000000000001",
        "scheduleType": "CHARGE",
        "changedAt": "2026-06-01T23:00:00.000Z",
        "state": "PENDING",
        "isCharging": false,
        "isChargingExpected": true,
        "isChargingExpectedParts": {"needsCharge": true, "isPluggedIn": true, "shouldCharge": true},
        "upcomingTransitions": [
            {"at": "2026-06-02T06:00:00.000Z", "shouldCharge": false},
            {"at": "2026-06-02T22:00:00.000Z", "shouldCharge": true},
        ],
        "smartOverride": null,
    });
    assert_eq!(serde_json::to_value(&judged.status).unwrap(), expected);
    assert_eq!(judged.look_again_at, Some(at("2026-06-02T06:00Z")));
}

#[test]
fn what_is_inactive_does_nothing_and_withdraws() {
    let charging = vehicle("PLUGGED_IN:CHARGING");
    let pending = attempt(STOP, ActionState::Pending, DAY, None);
    let inactive =
        |change: &dyn Fn(&mut Schedule, &mut ChargeProgram, &mut ChargeSituation<'_>)| {
            let mut program = nightly();
            let mut schedule = schedule(Program::Charge(program.clone()));
            let mut situation = ChargeSituation {
                last: pending,
                ..situation(&charging)
            };
            change(&mut schedule, &mut program, &mut situation);
            let judged = judge_charge(&schedule, &program, &situation, &Zone::UTC, None, at(DAY));
            assert_eq!(judged.act, None);
            (judged.status.state, judged.withdraw)
        };
    assert_eq!(inactive(&|_, _, _| {}), (ScheduleState::Pending, false));
    assert_eq!(
        inactive(&|schedule, _, _| schedule.is_enabled = false),
        (ScheduleState::Disabled, true)
    );
    assert_eq!(
        inactive(&|_, _, situation| situation.location_id = None),
        (ScheduleState::Away, true)
    );
    assert_eq!(
        inactive(&|_, program, _| program.location_id = None),
        (ScheduleState::Away, true)
    );
    assert_eq!(
        inactive(&|_, _, situation| {
            situation.smart_override = Some(SmartOverride {
                created_at: at(DAY),
                ended_at: None,
                target_type: DeviceKind::Vehicle,
                target_id: DeviceId(Uuid::nil()),
                vendor_action_id: None,
            });
        }),
        (ScheduleState::Overridden, true)
    );
    // A charger without a Location is always where it is.
    let to_charger =
        |_: &mut Schedule, program: &mut ChargeProgram, _: &mut ChargeSituation<'_>| {
            program.location_id = None;
            program.target_type = DeviceKind::Charger;
        };
    assert_eq!(inactive(&to_charger), (ScheduleState::Pending, false));
    let mut incapable = charging.clone();
    incapable
        .document
        .set_path("capabilities.stopCharging.isCapable", json!(false));
    assert_eq!(
        judge(&situation(&incapable), DAY).status.state,
        ScheduleState::Incapable
    );
}

#[test]
fn a_failure_is_tried_again_and_an_intruder_is_left_alone() {
    let stopped = vehicle("PLUGGED_IN:STOPPED");
    let with = |last, fresh: Option<&str>, now| {
        let fresh_since = fresh.map(at);
        judge(
            &ChargeSituation {
                last,
                fresh_since,
                ..situation(&stopped)
            },
            now,
        )
    };
    let failed = attempt(
        START,
        ActionState::Failed,
        "2026-06-01T22:05Z",
        Some("2026-06-01T22:35Z"),
    );
    let judged = with(failed, None, NIGHT);
    assert_eq!(
        (judged.status.state, judged.act),
        (ScheduleState::Misaligned, None)
    );
    assert_eq!(judged.look_again_at, Some(at("2026-06-01T23:05Z")));
    assert_eq!(with(failed, None, "2026-06-01T23:05Z").act, Some(START));
    // It became reachable again, or was plugged in again: at once.
    assert_eq!(
        with(failed, Some("2026-06-01T22:40Z"), NIGHT).act,
        Some(START)
    );
    // The failure of last night says nothing.
    let old = attempt(
        START,
        ActionState::Failed,
        "2026-06-01T05:00Z",
        Some("2026-06-01T05:59Z"),
    );
    assert_eq!(with(old, None, "2026-06-01T22:00Z").act, Some(START));
    // It charged, and somebody stopped it: until the next night, or another plug-in.
    let confirmed = attempt(
        START,
        ActionState::Confirmed,
        "2026-06-01T22:00Z",
        Some("2026-06-01T22:01Z"),
    );
    let judged = with(confirmed, None, NIGHT);
    assert_eq!(
        (judged.status.state, judged.act),
        (ScheduleState::Misaligned, None)
    );
    assert_eq!(judged.look_again_at, Some(at("2026-06-02T06:00Z")));
    assert_eq!(
        with(confirmed, Some("2026-06-01T22:50Z"), NIGHT).act,
        Some(START)
    );
    assert_eq!(with(confirmed, None, "2026-06-02T22:00Z").act, Some(START));
    // An action that would undo what is now wanted is withdrawn.
    let stop = attempt(STOP, ActionState::Pending, "2026-06-01T21:59Z", None);
    let charging = vehicle("PLUGGED_IN:CHARGING");
    let judged = judge(
        &ChargeSituation {
            last: stop,
            ..situation(&charging)
        },
        NIGHT,
    );
    assert_eq!(
        (judged.status.state, judged.withdraw),
        (ScheduleState::Aligned, true)
    );
}

#[test]
fn a_status_changes_only_when_something_of_it_does() {
    let stopped = vehicle("PLUGGED_IN:STOPPED");
    let program = nightly();
    let schedule = schedule(Program::Charge(program.clone()));
    let judge = |previous: Option<&ChargeStatus>, now| {
        let situation = situation(&stopped);
        judge_charge(
            &schedule,
            &program,
            &situation,
            &Zone::UTC,
            previous,
            at(now),
        )
        .status
    };
    let first = judge(None, DAY);
    let same = judge(Some(&first), "2026-06-01T13:00Z");
    assert_eq!(same, first);
    let other = judge(Some(&same), "2026-06-01T22:00Z");
    assert_eq!(other.changed_at, at("2026-06-01T22:00Z"));
    assert!(other.is_charging_expected_parts.should_charge);
}

#[test]
fn a_unit_is_set_by_its_schedule() {
    let wire = json!({
        "targetType": "hvac",
        "defaultTargetState": {"holdType": "SCHEDULED"},
        "rules": [{
            "hourMinute": {"from": "08:00", "to": "16:00"},
            "weekdays": [0, 1, 2, 3, 4],
            "targetState": {"holdType": "PERMANENT", "mode": "HEAT", "heatSetpoint": 21},
        }],
    });
    let program: TemperatureProgram = serde_json::from_value(wire).unwrap();
    let schedule = schedule(Program::Temperature(program.clone()));
    let mut unit = device(DeviceKind::Hvac);
    let judge = |unit: &Device, last, now| {
        let situation = TemperatureSituation {
            device: unit,
            fresh_since: None,
            reachable_since: None,
            last,
        };
        judge_temperature(&schedule, &program, &situation, &Zone::UTC, None, at(now))
    };
    let heat = TemperatureTarget::Permanent(Hold::Heat {
        heat_setpoint: 21.0,
    });
    // A Monday. Of a unit that tells nothing, nothing is known.
    let judged = judge(&unit, None, DAY);
    assert_eq!(
        (judged.status.state, judged.status.current),
        (ScheduleState::Pending, None)
    );
    assert_eq!(judged.act, Some(Target::Temperature(heat)));
    let set = |unit: &mut Device, setpoint: f64| {
        unit.document
            .set_path("thermostatState.mode", json!("HEAT"));
        unit.document
            .set_path("thermostatState.holdType", json!("PERMANENT"));
        unit.document
            .set_path("thermostatState.heatSetpoint", json!(setpoint));
    };
    set(&mut unit, 21.0);
    let judged = judge(&unit, None, DAY);
    assert_eq!(
        (judged.status.state, judged.act),
        (ScheduleState::Aligned, None)
    );
    let wire = serde_json::to_value(&judged.status).unwrap();
    assert_eq!(wire["scheduleType"], json!("TEMPERATURE"));
    assert_eq!(
        wire["current"],
        json!({"holdType": "PERMANENT", "mode": "HEAT", "heatSetpoint": 21.0})
    );
    assert_eq!(
        wire["upcomingTransitions"][0],
        json!({"at": "2026-06-01T16:00:00.000Z", "target": {"holdType": "SCHEDULED"}})
    );
    // Somebody turns the knob: left alone until four o'clock.
    set(&mut unit, 23.0);
    let last = attempt(
        Target::Temperature(heat),
        ActionState::Confirmed,
        "2026-06-01T08:00Z",
        Some("2026-06-01T08:01Z"),
    );
    let judged = judge(&unit, last, DAY);
    assert_eq!(
        (judged.status.state, judged.act),
        (ScheduleState::Misaligned, None)
    );
    let judged = judge(&unit, last, "2026-06-01T16:00Z");
    assert_eq!(
        judged.act,
        Some(Target::Temperature(TemperatureTarget::Scheduled {}))
    );
    // A unit that cannot heat.
    unit.document
        .set_path("capabilities.capableModes", json!(["OFF", "COOL"]));
    assert_eq!(
        judge(&unit, None, DAY).status.state,
        ScheduleState::Incapable
    );
    assert_eq!(
        judge(&unit, None, "2026-06-01T16:00Z").status.state,
        ScheduleState::Pending
    );
}
