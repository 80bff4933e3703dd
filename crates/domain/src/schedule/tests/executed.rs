//! What is kept from look to look.

use uuid::Uuid;

use super::{
    judged::{PLACE, nightly, schedule, vehicle},
    *,
};
use crate::{
    action::{Action, ActionState, ChargingKind, Owner, Sends, Target},
    device::Device,
    id::ActionId,
    smart::SmartOverride,
    zone::Zone,
};

const NIGHT: &str = "2026-06-01T23:00Z";
const DAY: &str = "2026-06-01T12:00Z";
const START: Target = Target::Charging(ChargingKind::Start);
const STOP: Target = Target::Charging(ChargingKind::Stop);

/// A schedule that is looked at again and again.
struct Watched {
    schedule: Schedule,
    execution: Execution,
    action: Option<Action>,
    smart_override: Option<SmartOverride>,
    place: Option<LocationId>,
    may_act: bool,
}

impl Watched {
    fn new() -> Self {
        Self {
            schedule: schedule(Program::Charge(nightly())),
            execution: Execution::default(),
            action: None,
            smart_override: None,
            place: Some(PLACE),
            may_act: true,
        }
    }

    /// Looks at it, and makes the action that it asks for.
    fn look(&mut self, device: &Device, now: &str) -> Looked {
        let look = Look {
            device,
            location_id: self.place,
            smart_override: self.smart_override,
            action: self.action.as_ref(),
            zone: &Zone::UTC,
            may_act: self.may_act,
            now: at(now),
        };
        let looked = self.schedule.look(&self.execution, &look);
        self.execution = looked.execution.clone();
        if let Some(target) = looked.act {
            let action = action(device, target, at(now));
            self.execution.acted(&action);
            self.action = Some(action);
        }
        looked
    }

    /// Its newest action ends.
    fn ends(&mut self, state: ActionState, now: &str) {
        let action = self.action.as_mut().unwrap();
        action.state = state;
        action.completed_at = Some(at(now));
    }

    fn state(&self) -> ScheduleState {
        self.execution.status.as_ref().unwrap().state()
    }
}

fn action(device: &Device, target: Target, now: Timestamp) -> Action {
    Action {
        id: ActionId(Uuid::from_u128(5)),
        client_id: device.client_id,
        user_id: device.user_id.clone(),
        device_id: device.id,
        device_kind: device.kind(),
        target,
        owner: Owner::Schedule(ScheduleId(Uuid::from_u128(1))),
        created_at: now,
        updated_at: now,
        completed_at: None,
        state: ActionState::Pending,
        failure_reason: None,
        closes_at: now,
        sends: Sends::default(),
    }
}

#[test]
fn whoever_looks_next_goes_on_from_there() {
    let mut watched = Watched::new();
    let stopped = vehicle("PLUGGED_IN:STOPPED");
    assert_eq!(watched.look(&stopped, NIGHT).act, Some(START));
    assert_eq!(watched.state(), ScheduleState::Pending);
    // Stored, and read by another.
    let text = serde_json::to_string(&watched.execution).unwrap();
    assert_eq!(
        serde_json::from_str::<Execution>(&text).unwrap(),
        watched.execution
    );
    let looked = watched.look(&stopped, "2026-06-01T23:01Z");
    assert_eq!((looked.act, looked.withdraw), (None, false));
    // Its action came true and was forgotten after a while; then somebody stopped the car.
    watched.ends(ActionState::Confirmed, "2026-06-01T23:02Z");
    watched.look(&vehicle("PLUGGED_IN:CHARGING"), "2026-06-01T23:02Z");
    assert_eq!(watched.state(), ScheduleState::Aligned);
    watched.action = None;
    assert_eq!(watched.look(&stopped, "2026-06-01T23:30Z").act, None);
    assert_eq!(watched.state(), ScheduleState::Misaligned);
}

#[test]
fn a_cable_counts_for_all_and_a_connection_for_failures() {
    let stopped = vehicle("PLUGGED_IN:STOPPED");
    let reach = |is_reachable: bool| {
        let mut device = stopped.clone();
        device.document.set_path("isReachable", json!(is_reachable));
        device
    };
    for (state, again) in [
        (ActionState::Confirmed, None),
        (ActionState::Failed, Some(START)),
    ] {
        let mut watched = Watched::new();
        watched.look(&reach(true), NIGHT);
        watched.ends(state, "2026-06-01T23:01Z");
        assert_eq!(watched.look(&reach(false), "2026-06-01T23:02Z").act, None);
        assert_eq!(watched.state(), ScheduleState::Misaligned);
        let back = watched.look(&reach(true), "2026-06-01T23:03Z");
        assert_eq!(back.act, again, "{state:?}");
    }
    let mut watched = Watched::new();
    watched.look(&stopped, NIGHT);
    watched.ends(ActionState::Confirmed, "2026-06-01T23:01Z");
    watched.look(&vehicle("UNPLUGGED"), "2026-06-01T23:02Z");
    assert_eq!(watched.state(), ScheduleState::Aligned);
    // What is not known does not hide that it was pulled.
    let mut unknown = stopped.clone();
    unknown
        .document
        .set_path("chargeState.isPluggedIn", Value::Null);
    unknown
        .document
        .set_path("chargeState.isCharging", Value::Null);
    watched.look(&unknown, "2026-06-01T23:03Z");
    let plugged = watched.look(&stopped, "2026-06-01T23:04Z");
    assert_eq!(plugged.act, Some(START));
}

#[test]
fn a_schedule_that_takes_over_is_not_bound_by_what_was_before() {
    let charging = vehicle("PLUGGED_IN:CHARGING");
    let begin = || {
        let mut watched = Watched::new();
        assert_eq!(watched.look(&charging, DAY).act, Some(STOP));
        watched.ends(ActionState::Confirmed, "2026-06-01T12:01Z");
        assert_eq!(watched.look(&charging, "2026-06-01T12:05Z").act, None);
        assert_eq!(watched.state(), ScheduleState::Misaligned);
        watched
    };
    let mut watched = begin();
    watched.schedule.is_enabled = false;
    watched.look(&charging, "2026-06-01T12:06Z");
    assert_eq!(watched.state(), ScheduleState::Disabled);
    watched.schedule.is_enabled = true;
    assert_eq!(watched.look(&charging, "2026-06-01T12:07Z").act, Some(STOP));

    let mut watched = begin();
    let mut smart_override = SmartOverride {
        created_at: at("2026-06-01T12:06Z"),
        ended_at: None,
        target_type: DeviceKind::Vehicle,
        target_id: charging.id,
        vendor_action_id: None,
    };
    watched.smart_override = Some(smart_override);
    watched.look(&charging, "2026-06-01T12:06Z");
    assert_eq!(watched.state(), ScheduleState::Overridden);
    smart_override.ended_at = Some(at("2026-06-01T12:08Z"));
    watched.smart_override = Some(smart_override);
    assert_eq!(watched.look(&charging, "2026-06-01T12:08Z").act, Some(STOP));

    // A position that wavers is no reason.
    let mut watched = begin();
    watched.place = None;
    watched.look(&charging, "2026-06-01T12:06Z");
    assert_eq!(watched.state(), ScheduleState::Away);
    watched.place = Some(PLACE);
    assert_eq!(watched.look(&charging, "2026-06-01T12:07Z").act, None);
    // Another program is.
    let renewed = watched.execution.clone().renewed(at("2026-06-01T12:08Z"));
    watched.execution = renewed;
    assert_eq!(watched.look(&charging, "2026-06-01T12:09Z").act, Some(STOP));
}

#[test]
fn what_cannot_be_done_is_tried_again_later() {
    let mut watched = Watched::new();
    watched.may_act = false;
    let looked = watched.look(&vehicle("PLUGGED_IN:STOPPED"), NIGHT);
    assert_eq!(looked.act, None);
    assert_eq!(watched.state(), ScheduleState::Misaligned);
    assert_eq!(looked.look_again_at, Some(at("2026-06-01T23:30Z")));
}

#[test]
fn control_that_is_not_granted_is_missing() {
    let mut car = vehicle("PLUGGED_IN:STOPPED");
    car.document
        .set_path("scopes", json!(["vehicle:read:data"]));
    let mut watched = Watched::new();
    assert_eq!(watched.look(&car, NIGHT).act, None);
    assert_eq!(watched.state(), ScheduleState::Incapable);
}

#[test]
fn what_is_told_is_what_changed() {
    use crate::{entropy::SeededEntropy, event::EventMaker};
    let mut watched = Watched::new();
    let entropy = SeededEntropy::new(1);
    let maker = EventMaker {
        now: at(NIGHT),
        entropy: &entropy,
    };
    let first = watched.look(&vehicle("PLUGGED_IN:STOPPED"), DAY);
    let first = first.execution.status.unwrap();
    let same = watched.look(&vehicle("PLUGGED_IN:STOPPED"), "2026-06-01T13:00Z");
    let same = same.execution.status.unwrap();
    assert_eq!(
        maker.schedule_executed(&watched.schedule, &same, Some(&first)),
        None
    );
    let event = maker
        .schedule_executed(&watched.schedule, &first, None)
        .unwrap();
    assert_eq!(event.name, "user:schedule:execution-updated");
    let next = watched.look(&vehicle("PLUGGED_IN:CHARGING"), "2026-06-01T14:00Z");
    let next = next.execution.status.unwrap();
    let event = maker
        .schedule_executed(&watched.schedule, &next, Some(&first))
        .unwrap();
    let body: Value = serde_json::from_str(&event.body).unwrap();
    assert_eq!(
        body["updatedFields"],
        json!(["changedAt", "state", "isCharging"])
    );
    assert_eq!(body["schedule"]["targetType"], "vehicle");
    assert_eq!(body["status"]["state"], "PENDING");
}
