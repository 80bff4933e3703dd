//! What a charge point is told to do, and what it makes of it.

use livewatt_domain::action::{ChargingKind, SendOutcome, Target};
use serde_json::{Value, json};

use super::{Bench, ID, said, schema};
use crate::ocpp::{Answer, Step, told};

const START: Target = Target::Charging(ChargingKind::Start);
const STOP: Target = Target::Charging(ChargingKind::Stop);

impl Bench {
    /// Answers whatever the session asked when it opened.
    fn quiet(mut self) -> Self {
        let mut replies = self.session.tick(self.now).replies;
        self.wait(31);
        replies.extend(self.session.tick(self.now).replies);
        assert_eq!(replies, [""; 0], "a deaf station is not asked again");
        self
    }

    /// The call that an order comes to, its ID and its payload.
    fn order(
        &mut self,
        device: &str,
        target: &Target,
    ) -> Result<(String, String, Value), SendOutcome> {
        let (id, frame) = self.session.order(device, target, self.now)?;
        schema::check("", &frame);
        let mut call: Vec<Value> = serde_json::from_str(&frame).unwrap();
        assert_eq!(call[1], id);
        let payload = call.pop().unwrap();
        Ok((id, call[2].as_str().unwrap().to_owned(), payload))
    }

    /// What the answer to a call comes to.
    fn answered(&mut self, id: &str, payload: Value) -> SendOutcome {
        let step = self.receive(&json!([3, id, payload]).to_string());
        told(&step.answered.unwrap())
    }

    fn answer(&mut self, call: &str, payload: &Value) -> Step {
        let call: Value = serde_json::from_str(call).unwrap();
        self.receive(&json!([3, call[1], payload]).to_string())
    }
}

fn failed(words: &str) -> SendOutcome {
    SendOutcome::Failed(words.to_owned())
}

#[test]
fn a_charge_is_started_and_stopped_at_its_connector() {
    let mut bench = Bench::new().quiet();
    bench.status("Preparing");
    let (id, action, payload) = bench.order(ID, &START).unwrap();
    assert_eq!(action, "RemoteStartTransaction");
    assert_eq!(payload, json!({ "connectorId": 1, "idTag": "LIVEWATT" }));
    assert_eq!(
        bench.answered(&id, json!({ "status": "Accepted" })),
        SendOutcome::Accepted
    );
    let (id, _, payload) = bench.order(&format!("{ID}#2"), &START).unwrap();
    assert_eq!(payload["connectorId"], 2);
    let rejected = failed("the charge point rejected the command");
    assert_eq!(
        bench.answered(&id, json!({ "status": "Rejected" })),
        rejected
    );
    let unknown = bench.order("another", &START);
    assert!(
        matches!(unknown, Err(SendOutcome::Unreachable(_))),
        "{unknown:?}"
    );

    // Which charge to end, only the charge point can say.
    let nothing = bench.order(ID, &STOP);
    assert!(
        matches!(nothing, Err(SendOutcome::Failed(_))),
        "{nothing:?}"
    );
    let transaction = bench.start(0);
    let (id, action, payload) = bench.order(ID, &STOP).unwrap();
    assert_eq!(action, "RemoteStopTransaction");
    assert_eq!(payload, json!({ "transactionId": transaction }));
    assert_eq!(
        bench.answered(&id, json!({ "status": "accepted" })),
        SendOutcome::Accepted
    );
    assert_eq!(
        bench.answered_nothing(),
        failed("the charge point did not answer in time")
    );
}

impl Bench {
    /// What an order comes to that nobody answers.
    fn answered_nothing(&mut self) -> SendOutcome {
        self.order(ID, &START).unwrap();
        self.wait(31);
        told(&self.session.tick(self.now).answered.unwrap())
    }
}

#[test]
fn a_current_is_set_by_a_profile_and_asked_for() {
    let mut bench = Bench::new().quiet();
    bench.status("Charging");
    let (id, action, payload) = bench.order(ID, &Target::MaxCurrent(10.04)).unwrap();
    assert_eq!(action, "SetChargingProfile");
    let profile = &payload["csChargingProfiles"];
    assert_eq!(payload["connectorId"], 1);
    assert_eq!(profile["chargingProfilePurpose"], "TxDefaultProfile");
    let schedule = &profile["chargingSchedule"];
    assert_eq!(schedule["chargingRateUnit"], "A");
    let periods = json!([{ "startPeriod": 0, "limit": 10.0 }]);
    assert_eq!(schedule["chargingSchedulePeriod"], periods);
    assert_eq!(
        bench.answered(&id, json!({ "status": "Accepted" })),
        SendOutcome::Accepted
    );

    // It says what it keeps to when it is asked how it is, one question at a time.
    let first = bench.session.ask(ID, bench.now).replies;
    assert_eq!(first.len(), 1);
    assert!(first[0].contains("StatusNotification") && first[0].contains("\"connectorId\":1"));
    let accepted = json!({ "status": "Accepted" });
    let second = bench.answer(&first[0], &accepted).replies;
    assert!(second[0].contains("MeterValues"), "{second:?}");
    let third = bench.answer(&second[0], &accepted).replies;
    assert!(third[0].contains("GetCompositeSchedule"), "{third:?}");
    bench.wait(1);
    let composite = json!({
        "status": "Accepted", "connectorId": 1, "scheduleStart": bench.time(0),
        "chargingSchedule": {
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{ "startPeriod": 0, "limit": 10.0 }],
        },
    });
    let step = bench.answer(&third[0], &composite);
    assert_eq!(
        said(&step.observations[0]),
        json!({ "chargeState.maxCurrent": 10.0 })
    );
    assert_eq!(step.answered, None, "nobody waits for it");
}

#[test]
fn a_charge_point_that_cannot_is_not_asked_again() {
    let mut bench = Bench::new().quiet();
    let (id, ..) = bench.order(ID, &Target::MaxCurrent(10.0)).unwrap();
    let never = SendOutcome::Refused("the charge point has no such command".to_owned());
    assert_eq!(
        bench.answered(&id, json!({ "status": "NotSupported" })),
        never
    );
    let (id, ..) = bench.order(ID, &START).unwrap();
    let error = json!([4, id, "NotImplemented", "", {}]).to_string();
    let step = bench.receive(&error);
    assert_eq!(told(&step.answered.unwrap()), never);
    for (payload, expected) in [
        (json!({}), "the charge point's answer made no sense"),
        (
            json!({ "status": 7 }),
            "the charge point's answer made no sense",
        ),
        (
            json!({ "status": "Perhaps" }),
            "the charge point rejected the command",
        ),
    ] {
        let answer = Answer {
            id: "1".to_owned(),
            result: Ok(payload),
        };
        assert_eq!(told(&answer), failed(expected));
    }
}
