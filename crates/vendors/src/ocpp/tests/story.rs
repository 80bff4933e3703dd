//! A day of a charger.

use livewatt_domain::{
    device::Via,
    fact::{Completeness, Observation, Presence},
};
use serde_json::{Value, json};

use super::{Bench, ID, said};

fn id_of(frame: &str) -> String {
    let frame: Value = serde_json::from_str(frame).unwrap();
    frame[1].as_str().unwrap().to_owned()
}

fn observed_at(seen: &Observation) -> Option<String> {
    seen.facts
        .last()
        .and_then(|fact| fact.observed_at)
        .map(|at| at.to_string())
}

#[test]
fn a_charge_from_boot_to_unplugging() {
    let mut bench = Bench::unopened();
    let step = bench.session.opened(bench.now);
    assert_eq!(step.replies.len(), 1, "one question at a time");
    let trigger: Value = serde_json::from_str(&step.replies[0]).unwrap();
    assert_eq!(trigger[0], 2);
    assert_eq!(trigger[2], "TriggerMessage");
    assert_eq!(
        trigger[3],
        json!({ "requestedMessage": "BootNotification" })
    );
    assert_eq!(step.observations.len(), 1);
    assert_eq!(step.observations[0].device.id, ID);
    assert_eq!(step.observations[0].presence, Presence::Online);
    let capable = json!({ "isCapable": true, "interventionIds": [] });
    let introduction = json!({
        "capabilities.startCharging": capable,
        "capabilities.stopCharging": capable,
        "capabilities.setMaxCurrent": capable,
    });
    assert_eq!(said(&step.observations[0]), introduction);

    // The other two questions follow as the answers come.
    let mut asked = step.replies[0].clone();
    for message in ["StatusNotification", "MeterValues"] {
        let answer = json!([3, id_of(&asked), { "status": "Accepted" }]).to_string();
        let step = bench.session.receive(&answer, bench.now);
        assert!(step.answered.is_none(), "nobody waits for it");
        assert_eq!(step.replies.len(), 1);
        asked = step.replies[0].clone();
        assert!(asked.contains(message));
    }

    let boot = json!({
        "chargePointVendor": "Alfen BV", "chargePointModel": "NG910",
        "chargePointSerialNumber": "ACE0000001", "firmwareVersion": "4.10",
    });
    let (step, answer) = bench.ask("BootNotification", boot);
    let accepted = json!({
        "status": "Accepted", "currentTime": "2026-03-01T10:00:00.000Z", "interval": 300,
    });
    assert_eq!(answer, accepted);
    let description = json!({
        "information.brand": "Alfen BV",
        "information.model": "NG910",
        "information.serialNumber": "ACE0000001",
    });
    assert_eq!(said(&step.observations[0]), description);

    let state = |word: &str| json!({ "chargeState.powerDeliveryState": word });
    assert_eq!(bench.status("Available"), state("UNPLUGGED"));
    assert_eq!(bench.status("Preparing"), state("PLUGGED_IN:INITIALIZING"));
    let (_, answer) = bench.ask("Authorize", json!({ "idTag": "A" }));
    assert_eq!(answer, json!({ "idTagInfo": { "status": "Accepted" } }));

    let start = json!({
        "connectorId": 1, "idTag": "A", "meterStart": 1000, "timestamp": bench.time(0),
    });
    let (step, answer) = bench.ask("StartTransaction", start);
    let transaction = answer["transactionId"].as_i64().unwrap();
    assert!((1..=i64::from(i32::MAX)).contains(&transaction));
    assert_eq!(answer["idTagInfo"], json!({ "status": "Accepted" }));
    assert_eq!(
        said(&step.observations[0]),
        json!({}),
        "only the status tells the state"
    );
    assert_eq!(
        bench.session.transaction(1).map(i64::from),
        Some(transaction)
    );

    assert_eq!(bench.status("Charging"), state("PLUGGED_IN:CHARGING"));
    for (watts, kilowatts) in [("7360", 7.36), ("7200.4", 7.2)] {
        bench.wait(60);
        let values = json!({
            "connectorId": 1, "transactionId": transaction,
            "meterValue": [{ "timestamp": bench.time(0), "sampledValue": [
                { "value": watts, "measurand": "Power.Active.Import", "unit": "W" },
                { "value": "32", "measurand": "Current.Offered", "unit": "A" },
                { "value": "1010", "unit": "Wh" },
            ] }],
        });
        let rate = json!({ "chargeState.chargeRate": kilowatts, "chargeState.maxCurrent": 32.0 });
        assert_eq!(bench.tell("MeterValues", values), rate);
    }

    assert_eq!(bench.status("SuspendedEV"), state("PLUGGED_IN:STOPPED"));
    let stop = json!({
        "transactionId": transaction, "idTag": "A", "meterStop": 9000, "reason": "Local",
        "timestamp": bench.time(0), "transactionData": [
            { "timestamp": bench.time(-60), "sampledValue": [
                { "value": "7200", "measurand": "Power.Active.Import" } ] },
        ],
    });
    let (step, answer) = bench.ask("StopTransaction", stop);
    assert_eq!(answer, json!({ "idTagInfo": { "status": "Accepted" } }));
    assert_eq!(
        said(&step.observations[0]),
        json!({}),
        "still plugged in, and history is history"
    );
    assert_eq!(bench.session.transaction(1), None);

    assert_eq!(bench.status("Finishing"), state("PLUGGED_IN:STOPPED"));
    assert_eq!(bench.status("Available"), state("UNPLUGGED"));
    let (step, answer) = bench.ask("Heartbeat", json!({}));
    assert!(answer["currentTime"].as_str().unwrap().ends_with('Z'));
    assert_eq!(said(&step.observations[0]), json!({}));
    assert_eq!(step.observations[0].presence, Presence::Online);

    let step = bench.session.closed(bench.now);
    assert_eq!(step.replies.len(), 0);
    assert_eq!(step.observations.len(), 1);
    assert_eq!(step.observations[0].presence, Presence::Offline);
}

#[test]
fn every_state_of_a_connector() {
    let mut bench = Bench::new();
    for (word, state) in [
        ("Reserved", json!("UNPLUGGED")),
        ("SuspendedEVSE", json!("PLUGGED_IN:STOPPED")),
        ("Faulted", json!("PLUGGED_IN:FAULT")),
        ("Unavailable", Value::Null),
        ("charging", json!("PLUGGED_IN:CHARGING")),
        ("SUSPENDEDEV", json!("PLUGGED_IN:STOPPED")),
    ] {
        assert_eq!(
            bench.status(word)["chargeState.powerDeliveryState"],
            state,
            "{word}"
        );
    }
}

#[test]
fn observations_of_a_session_are_ever_later() {
    let mut bench = Bench::unopened();
    let mut seen = bench.session.opened(bench.now).observations;
    let status = json!({ "connectorId": 2, "errorCode": "NoError", "status": "Available" });
    for _ in 0..5 {
        seen.extend(
            bench
                .ask("StatusNotification", status.clone())
                .0
                .observations,
        );
    }
    bench.wait(-60);
    seen.extend(bench.ask("Heartbeat", json!({})).0.observations);
    seen.extend(bench.session.closed(bench.now).observations);
    assert!(
        seen.windows(2)
            .all(|pair| pair[0].started_at < pair[1].started_at)
    );
    for seen in &seen {
        assert_eq!(seen.started_at, seen.received_at);
        assert_eq!(seen.via, Via::Push);
        assert_eq!(seen.completeness, Completeness::Partial);
    }
}

#[test]
fn further_connectors_are_devices_of_their_own() {
    let mut bench = Bench::new();
    let boot = json!({ "chargePointVendor": "KEBA", "chargePointModel": "P40" });
    bench.ask("BootNotification", boot);
    let status = json!({ "connectorId": 2, "errorCode": "NoError", "status": "Preparing" });
    let (step, _) = bench.ask("StatusNotification", status);
    let ids = step
        .observations
        .iter()
        .map(|seen| seen.device.id.as_str())
        .collect::<Vec<_>>();
    assert_eq!(ids, [format!("{ID}#2").as_str(), ID]);
    let second = said(&step.observations[0]);
    assert_eq!(second["information.brand"], "KEBA");
    assert_eq!(second["information.serialNumber"], ID);
    assert_eq!(second["capabilities.startCharging"]["isCapable"], true);
    assert_eq!(
        second["chargeState.powerDeliveryState"],
        "PLUGGED_IN:INITIALIZING"
    );
    assert_eq!(bench.session.closed(bench.now).observations.len(), 2);
}

#[test]
fn the_station_as_a_whole_is_no_device_but_can_be_out_of_service() {
    let mut bench = Bench::new();
    let whole = |word| json!({ "connectorId": 0, "errorCode": "NoError", "status": word });
    for (word, presence) in [
        ("Unavailable", Presence::Offline),
        ("Available", Presence::Online),
        ("Faulted", Presence::Offline),
    ] {
        let (step, _) = bench.ask("StatusNotification", whole(word));
        assert_eq!(step.observations.len(), 1);
        assert_eq!(step.observations[0].presence, presence, "{word}");
    }
    let (step, _) = bench.ask("Heartbeat", json!({}));
    assert_eq!(step.observations[0].presence, Presence::Offline);
    bench.status("Charging");
    let (step, _) = bench.ask("Heartbeat", json!({}));
    assert_eq!(
        step.observations[0].presence,
        Presence::Online,
        "whoever charges is there"
    );
}

#[test]
fn a_stations_clock_is_taken_only_if_it_can_be_right() {
    let mut bench = Bench::new();
    let mut at = |timestamp: Value, wait: i64| {
        bench.wait(wait);
        let payload = json!({
            "connectorId": 1, "errorCode": "NoError", "status": "Charging",
            "timestamp": timestamp,
        });
        observed_at(&bench.ask("StatusNotification", payload).0.observations[0])
    };
    // It is 10:00:01; the first word of a session wins without a time.
    assert_eq!(at(json!("2026-03-01T10:00:01Z"), 0), None);
    assert_eq!(
        at(json!("2026-03-01T10:00:00Z"), 0),
        None,
        "earlier than what was told"
    );
    let tenth = Some("2026-03-01T10:00:10Z".to_owned());
    assert_eq!(at(json!("2026-03-01T12:00:10+02:00"), 9), tenth);
    assert_eq!(at(json!("2026-03-01T10:00:05Z"), 0), tenth, "never back");
    assert_eq!(
        at(json!("2026-03-01T10:00:12"), 2).as_deref(),
        Some("2026-03-01T10:00:12Z")
    );
    for nonsense in [
        json!("yesterday"),
        json!(""),
        json!(1_767_000_000),
        json!(null),
        json!("1970-01-01T00:00:00Z"),
        json!("2026-03-01T10:06:00Z"),
    ] {
        assert_eq!(at(nonsense, 0), None);
    }
}

#[test]
fn calls_go_one_at_a_time() {
    let mut bench = Bench::unopened();
    let opening = bench.session.opened(bench.now);
    let remote = json!({ "connectorId": 1, "idTag": "A" });
    let (first, frame) = bench
        .session
        .call("RemoteStartTransaction", remote, bench.now);
    assert_eq!(frame, "", "a question of the session is outstanding");
    let (second, frame) =
        bench
            .session
            .call("UnlockConnector", json!({ "connectorId": 1 }), bench.now);
    assert_eq!(frame, "");

    // Calls go before the session's remaining questions.
    let answer = json!([3, id_of(&opening.replies[0]), { "status": "Rejected" }]).to_string();
    let step = bench.receive_answer(&answer);
    assert_eq!(id_of(&step.replies[0]), first);

    let answer = json!([3, first, { "status": "Accepted" }]).to_string();
    let step = bench.receive_answer(&answer);
    let answered = step.answered.unwrap();
    assert_eq!(answered.id, first);
    assert_eq!(answered.result, Ok(json!({ "status": "Accepted" })));
    assert_eq!(id_of(&step.replies[0]), second);
    let again = bench.receive_answer(&answer);
    assert_eq!(again.answered, None);
    assert_eq!(again.drift, ["frame=unexpectedAnswer"]);

    let refusal = json!([4, second, "NotSupported", "no lock", {}]).to_string();
    let step = bench.receive_answer(&refusal);
    let failure = step.answered.unwrap().result.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "the charge point answered with NotSupported: no lock"
    );
    assert!(step.replies[0].contains("TriggerMessage"));
}

#[test]
fn a_call_without_an_answer_times_out() {
    let mut bench = Bench::unopened();
    bench.session.opened(bench.now);
    let (id, _) = bench
        .session
        .call("Reset", json!({ "type": "Soft" }), bench.now);
    bench.wait(29);
    assert_eq!(bench.session.tick(bench.now), super::Step::default());
    bench.wait(1);
    let step = bench.session.tick(bench.now);
    assert_eq!(step.answered, None, "that was the session's own question");
    assert_eq!(id_of(&step.replies[0]), id, "and it asks no more of them");
    bench.wait(30);
    let step = bench.session.tick(bench.now);
    let answered = step.answered.unwrap();
    assert_eq!(
        (answered.id, answered.result),
        (id, Err(super::super::CallFailure::TimedOut))
    );
    assert_eq!(step.replies.len(), 0);
}

impl Bench {
    fn receive_answer(&mut self, frame: &str) -> super::Step {
        self.session.receive(frame, self.now)
    }
}
