//! What real stations do, and what nobody should.

use serde_json::{Value, json};

use super::{Bench, ID, is_online, said};

const RATE: &str = "chargeState.chargeRate";

#[test]
fn power_in_all_its_spellings() {
    let mut bench = Bench::new();
    for (samples, rate) in [
        (
            json!([{ "value": "7.36", "measurand": "Power.Active.Import", "unit": "kW" }]),
            7.36,
        ),
        (
            json!([{ "value": 7360, "measurand": "power.active.import", "unit": "w" }]),
            7.36,
        ),
        (
            json!([{ "value": "7,36", "measurand": "Power.Active.Import", "unit": "kW" }]),
            7.36,
        ),
        (
            json!([{ "value": "1380", "measurand": "Power.Active.Import" }]),
            1.38,
        ),
        (
            json!({ "value": "0", "measurand": "Power.Active.Import" }),
            0.0,
        ),
        (
            json!([{ "value": "-3.5", "measurand": "Power.Active.Import" }]),
            0.0,
        ),
        (
            json!([
                { "value": "3600", "measurand": "Power.Active.Import", "phase": "L1" },
                { "value": "3500", "measurand": "Power.Active.Import", "phase": "L2" },
                { "value": "3400", "measurand": "Power.Active.Import", "phase": "L3" },
            ]),
            10.5,
        ),
        (
            json!([
                { "value": "9999", "measurand": "Power.Active.Import", "location": "Inlet" },
                { "value": "3500", "measurand": "Power.Active.Import", "phase": "L1-N" },
                { "value": "7000", "measurand": "Power.Active.Import", "location": "Outlet" },
            ]),
            7.0,
        ),
    ] {
        bench.wait(60);
        assert_eq!(
            bench.samples(samples.clone()),
            json!({ RATE: rate }),
            "{samples}"
        );
    }
}

#[test]
fn power_by_the_slope_of_the_register() {
    let mut bench = Bench::new();
    assert_eq!(
        bench.samples(json!([{ "value": "1000" }])),
        json!({}),
        "no transaction"
    );
    bench.start(1000);
    bench.wait(60);
    // No measurand means the register, no unit means Wh.
    assert_eq!(
        bench.samples(json!([{ "value": "1120" }])),
        json!({ RATE: 7.2 })
    );
    bench.wait(5);
    assert_eq!(
        bench.samples(json!([{ "value": "1130" }])),
        json!({}),
        "too soon to tell"
    );
    bench.wait(55);
    let kwh = json!([{ "value": "1.180", "unit": "kWh", "context": "Sample.Periodic" }]);
    assert_eq!(bench.samples(kwh), json!({ RATE: 3.6 }));
    bench.wait(60);
    assert_eq!(
        bench.samples(json!([{ "value": "10" }])),
        json!({}),
        "the register was reset"
    );
    bench.wait(60);
    assert_eq!(
        bench.samples(json!([{ "value": "10" }])),
        json!({ RATE: 0.0 })
    );
    // Measured power ends the guessing.
    bench.wait(60);
    let power = json!([{ "value": "500", "measurand": "Power.Active.Import" }]);
    assert_eq!(bench.samples(power), json!({ RATE: 0.5 }));
    bench.wait(60);
    assert_eq!(bench.samples(json!([{ "value": "40" }])), json!({}));
}

#[test]
fn power_by_volts_and_amperes() {
    let mut bench = Bench::new();
    let volts = |value, phase| json!({ "value": value, "measurand": "Voltage", "phase": phase });
    let amperes =
        |value, phase| json!({ "value": value, "measurand": "Current.Import", "phase": phase });
    let none = Value::Null;
    for (samples, rate) in [
        (
            json!([volts("230", json!("L1-N")), amperes("16", json!("L1"))]),
            3.68,
        ),
        (
            json!([
                volts("230", none.clone()),
                amperes("10", json!("L1")),
                amperes("10", json!("L2")),
                amperes("5", json!("L3")),
            ]),
            5.75,
        ),
        (
            json!([volts("230", json!("L1")), amperes("10", none.clone())]),
            2.3,
        ),
    ] {
        bench.wait(60);
        assert_eq!(
            bench.samples(samples.clone()),
            json!({ RATE: rate }),
            "{samples}"
        );
    }
}

#[test]
fn odd_meter_values_are_answered_and_say_nothing() {
    let mut bench = Bench::new();
    for samples in [
        json!([]),
        json!(null),
        json!("7360"),
        json!([null, 3, []]),
        json!([{}]),
        json!([{ "value": "", "measurand": "Power.Active.Import" }]),
        json!([{ "value": "NaN", "measurand": "Power.Active.Import" }]),
        json!([{ "value": "1e999", "measurand": "Power.Active.Import" }]),
        json!([{ "value": "7360", "measurand": "Power.Active.Import", "unit": "horses" }]),
        json!([{ "value": "7360", "measurand": "Power.Active.Import", "format": "SignedData" }]),
        json!([{ "value": "50", "measurand": "SoC", "unit": "Percent" }]),
    ] {
        assert_eq!(bench.samples(samples.clone()), json!({}), "{samples}");
    }
    for values in [
        json!([]),
        json!({}),
        json!(null),
        json!(7),
        json!([{ "timestamp": 5 }]),
    ] {
        let payload = json!({ "connectorId": "1", "meterValue": values, "unheard": { "of": 1 } });
        assert_eq!(bench.tell("MeterValues", payload), json!({}));
    }
}

#[test]
fn an_absurd_power_is_refused() {
    let mut bench = Bench::new();
    let power = json!([{ "value": "9e9", "measurand": "Power.Active.Import", "unit": "kW" }]);
    assert_eq!(bench.samples(power), json!({ RATE: null }));
}

#[test]
fn values_kept_while_offline_say_nothing_about_now() {
    let mut bench = Bench::new();
    bench.status("Charging");
    let power = |watts| json!([{ "value": watts, "measurand": "Power.Active.Import" }]);
    assert_eq!(bench.samples(power(7000)), json!({ RATE: 7.0 }));
    for seconds in [-3600, -30] {
        let values = json!([{ "timestamp": bench.time(seconds), "sampledValue": power(500) }]);
        let payload = json!({ "connectorId": 1, "meterValue": values });
        assert_eq!(bench.tell("MeterValues", payload), json!({}), "{seconds}");
    }
    // Of several in one frame, in whatever order, the newest counts.
    bench.wait(60);
    let values = json!([
        { "timestamp": bench.time(0), "sampledValue": power(6000) },
        { "timestamp": bench.time(-30), "sampledValue": power(5000) },
    ]);
    let payload = json!({ "connectorId": 1, "meterValue": values });
    assert_eq!(bench.tell("MeterValues", payload), json!({ RATE: 6.0 }));
}

#[test]
fn a_transaction_is_learnt_from_its_meter_values() {
    let mut bench = Bench::new();
    let values = |id: Value| json!({ "connectorId": 1, "transactionId": id, "meterValue": [] });
    bench.tell("MeterValues", values(json!("815")));
    assert_eq!(bench.session.transaction(1), Some(815));
    let by_transaction = json!({ "transactionId": 815, "meterValue": [] });
    bench.tell("MeterValues", by_transaction);
    bench.ask("StopTransaction", json!({ "transactionId": 815 }));
    bench.tell("MeterValues", values(json!(815)));
    assert_eq!(
        bench.session.transaction(1),
        None,
        "what is over stays over"
    );
}

#[test]
fn transaction_messages_are_always_answered_with_a_result() {
    let mut bench = Bench::new();
    for payload in [
        json!({}),
        json!([]),
        json!(null),
        json!("?"),
        json!({ "connectorId": -1 }),
    ] {
        for action in ["StartTransaction", "StopTransaction", "stoptransaction"] {
            let (_, answer) = bench.ask(action, payload.clone());
            assert_eq!(
                answer["idTagInfo"]["status"], "Accepted",
                "{action} {payload}"
            );
        }
    }
    let without_payload = bench.receive(r#"[2,"a","StopTransaction"]"#);
    assert!(without_payload.replies[0].starts_with(r#"[3,"a","#));
    let cut = bench.receive(r#"[2,"b","StartTransaction",{"connectorId":1,"idT"#);
    assert!(cut.replies[0].starts_with(r#"[3,"b",{"transactionId":"#));
    let long = json!([2, "c", "StopTransaction", { "transactionData": "x".repeat(70_000) }]);
    let step = bench.receive(&long.to_string());
    assert!(step.replies[0].starts_with(r#"[3,"c","#));
    assert_eq!(step.drift, ["frame=tooLong"]);
}

#[test]
fn a_repeated_frame_is_answered_the_same_and_acted_on_once() {
    let mut bench = Bench::new();
    let start = r#"[2,"7","StartTransaction",{"connectorId":1,"idTag":"A","meterStart":0,"timestamp":"2026-03-01T10:00:00Z"}]"#;
    let first = bench.receive(start);
    bench.wait(30);
    let second = bench.receive(start);
    assert_eq!(first.replies, second.replies);
    assert!(is_online(&second));
    // The same start in another frame is the same transaction.
    let third = bench.receive(&start.replace(r#""7""#, r#""8""#));
    assert_eq!(
        third.replies[0].replace(r#""8""#, r#""7""#),
        first.replies[0]
    );
    // The next one is another.
    let fourth = bench.receive(
        &start
            .replace(r#""7""#, r#""9""#)
            .replace("10:00:00", "10:05:00"),
    );
    assert_ne!(
        fourth.replies[0].replace(r#""9""#, r#""7""#),
        first.replies[0]
    );

    let status = |id: &str, word: &str| {
        json!([2, id, "StatusNotification", { "connectorId": 1, "status": word }]).to_string()
    };
    assert_eq!(
        said(&bench.receive(&status("s1", "Charging")).observations[0])
            .as_object()
            .unwrap()
            .len(),
        1
    );
    bench.receive(&status("s2", "Finishing"));
    let late = bench.receive(&status("s1", "Charging"));
    assert_eq!(
        said(&late.observations[0]),
        json!({}),
        "a repetition must not undo what is newer"
    );
}

#[test]
fn one_id_for_everything_is_no_repetition() {
    let mut bench = Bench::new();
    let status = |word: &str| {
        json!([2, "1", "StatusNotification", { "connectorId": 1, "status": word }]).to_string()
    };
    for word in ["Charging", "Finishing", "Charging"] {
        let step = bench.receive(&status(word));
        assert_eq!(
            said(&step.observations[0]).as_object().unwrap().len(),
            1,
            "{word}"
        );
    }
    let first = bench.receive(r#"[2,"1","Heartbeat",{}]"#);
    bench.wait(300);
    assert_ne!(
        bench.receive(r#"[2,"1","Heartbeat",{}]"#).replies,
        first.replies
    );
}

#[test]
fn what_cannot_be_taken_is_refused_with_the_right_code() {
    let mut bench = Bench::new();
    for (action, payload, code) in [
        ("MakeCoffee", json!({}), "NotImplemented"),
        ("Reset", json!({ "type": "Soft" }), "NotSupported"),
        ("BootNotification", json!([]), "FormationViolation"),
        ("Heartbeat", json!("now"), "FormationViolation"),
        (
            "StatusNotification",
            json!({ "status": "Available" }),
            "OccurenceConstraintViolation",
        ),
        (
            "StatusNotification",
            json!({ "connectorId": 1 }),
            "OccurenceConstraintViolation",
        ),
        (
            "StatusNotification",
            json!({ "connectorId": [1] }),
            "TypeConstraintViolation",
        ),
        (
            "StatusNotification",
            json!({ "connectorId": 1, "status": {} }),
            "TypeConstraintViolation",
        ),
        (
            "StatusNotification",
            json!({ "connectorId": -1 }),
            "PropertyConstraintViolation",
        ),
        (
            "MeterValues",
            json!({ "connectorId": 1e9 }),
            "PropertyConstraintViolation",
        ),
        ("MeterValues", json!({}), "OccurenceConstraintViolation"),
    ] {
        let (step, answer) = bench.ask(action, payload.clone());
        assert_eq!(answer, code, "{action} {payload}");
        assert!(is_online(&step));
    }
    for (frame, code) in [
        (r#"[2,"a"]"#, "FormationViolation"),
        (r#"[2,"a",5,{}]"#, "FormationViolation"),
        (r#"[2,"a","Heartbeat",{"#, "FormationViolation"),
        (r#"[2,"a","MakeCoffee",{"#, "NotImplemented"),
    ] {
        let step = bench.receive(frame);
        let reply: Value = serde_json::from_str(&step.replies[0]).unwrap();
        assert_eq!(
            (&reply[0], &reply[1], &reply[2]),
            (&json!(4), &json!("a"), &json!(code))
        );
    }
}

#[test]
fn lenience_with_frames() {
    let mut bench = Bench::new();
    for (frame, start) in [
        (r#"[2,"a","Heartbeat"]"#, r#"[3,"a",{"currentTime""#),
        (
            r#"[2,"b","heartbeat",null,"more"]"#,
            r#"[3,"b",{"currentTime""#,
        ),
        (r#"["2",17,"Heartbeat",{}]"#, r#"[3,17,{"currentTime""#),
        (
            r#" [2.0 , "c" , "DataTransfer" , {"vendorId":"x"}] "#,
            r#"[3,"c",{"status""#,
        ),
        (
            r#"[2,"d","SecurityEventNotification",{"type":"x"}]"#,
            r#"[3,"d",{}"#,
        ),
        (
            r#"[2,"e","FirmwareStatusNotification",{"status":"Idle"}]"#,
            r#"[3,"e",{}"#,
        ),
        (
            r#"[2,"f","SignCertificate",{"csr":"x"}]"#,
            r#"[3,"f",{"status":"Rejected"}"#,
        ),
    ] {
        let step = bench.receive(frame);
        assert!(
            step.replies[0].starts_with(start),
            "{frame} {:?}",
            step.replies
        );
    }
    let boot =
        json!({ "chargePointModel": 7, "chargePointVendor": "", "chargeBoxSerialNumber": 5 });
    let description = said(&bench.ask("BootNotification", boot).0.observations[0]);
    assert_eq!(description["information.model"], "7");
    assert_eq!(description["information.serialNumber"], "5");
    assert_eq!(description.as_object().unwrap().len(), 2);
    let nothing = said(&bench.ask("BootNotification", json!({})).0.observations[0]);
    assert_eq!(
        nothing,
        json!({ "information.serialNumber": "5" }),
        "what was known is kept"
    );
}

#[test]
fn unknown_words_are_noted() {
    let mut bench = Bench::new();
    let status = json!({ "connectorId": "1", "status": "Occupied" });
    let (step, answer) = bench.ask("StatusNotification", status);
    assert_eq!(answer, json!({}));
    assert_eq!(step.drift, ["status=Occupied"]);
    let unknown = json!({ "chargeState.powerDeliveryState": null });
    assert_eq!(said(&step.observations[0]), unknown);
}

#[test]
fn nonsense_is_ignored_but_heard() {
    let mut bench = Bench::new();
    let deep = "[".repeat(5000);
    let long = "x".repeat(70_000);
    for frame in [
        "",
        "hello",
        "{}",
        "[]",
        "[2]",
        "[2,null,\"Heartbeat\",{}]",
        "[9,\"a\",{}]",
        "null",
        "[3,\"a\",{}]",
        "[4,\"a\"]",
        "[2,",
        "[2,\"a",
        "\u{0}",
        "[2,\"a\"",
        &deep,
        &long,
    ] {
        let step = bench.receive(frame);
        assert_eq!(step.replies.len(), 0, "{frame}");
        assert_eq!(step.drift.len(), 1, "{frame}");
        assert!(is_online(&step));
        assert_eq!(step.observations[0].device.id, ID);
    }
}
