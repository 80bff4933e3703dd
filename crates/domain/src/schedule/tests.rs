use serde_json::{Value, json};

use super::*;

mod executed;
mod judged;
mod timeline;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn program(value: Value) -> Result<Program, serde_json::Error> {
    serde_json::from_value(value)
}

#[test]
fn programs_are_written_as_the_contract_does() {
    for wire in [
        json!({"targetType": "vehicle", "locationId": null, "defaultShouldCharge": true, "rules": []}),
        json!({
            "targetType": "charger",
            "locationId": "00000000-0000-0000-0000-000000000001",
            "defaultShouldCharge": false,
            "rules": [
                {"hourMinute": {"from": "22:00", "to": "06:00"}, "weekdays": [0, 6], "shouldCharge": true},
                {
                    "fromTimestamp": "2026-06-01T00:00:00.000Z",
                    "toTimestamp": "2026-06-02T00:00:00.000Z",
                    "shouldCharge": false,
                },
            ],
        }),
        json!({
            "targetType": "hvac",
            "defaultTargetState": {"holdType": "SCHEDULED"},
            "rules": [{"weekdays": [], "targetState": {"holdType": "PERMANENT", "mode": "OFF"}}],
        }),
    ] {
        let program = program(wire.clone()).unwrap();
        assert_eq!(program.check(), Ok(()));
        assert_eq!(serde_json::to_value(&program).unwrap(), wire);
        let schedule = Schedule {
            id: ScheduleId(uuid::Uuid::from_u128(1)),
            client_id: ClientId(uuid::Uuid::nil()),
            user_id: "user".parse().unwrap(),
            target_id: DeviceId(uuid::Uuid::from_u128(2)),
            is_enabled: true,
            program,
            created_at: Timestamp::UNIX_EPOCH,
        };
        let mut expected = wire;
        expected["id"] = json!("00000000-0000-0000-0000-000000000001");
        expected["targetId"] = json!("00000000-0000-0000-0000-000000000002");
        expected["isEnabled"] = json!(true);
        assert_eq!(serde_json::to_value(schedule.document()).unwrap(), expected);
    }
    for wrong in [
        json!({"hourMinute": {"from": "22:00"}, "shouldCharge": true}),
        json!({"hourMinute": {"from": "25:00", "to": "26:00"}, "shouldCharge": true}),
        json!({"weekdays": [-1], "shouldCharge": true}),
        json!({"targetState": {"holdType": "SCHEDULED"}}),
        json!({"shouldCharge": true, "other": 1}),
        json!({}),
    ] {
        assert!(
            serde_json::from_value::<ChargeRule>(wrong.clone()).is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn what_is_wrong_with_a_program_is_named() {
    let charge = |target: &str, rules: Value| json!({"targetType": target, "locationId": null, "defaultShouldCharge": true, "rules": rules});
    let temperature = |default: Value, rules: Value| json!({"targetType": "hvac", "defaultTargetState": default, "rules": rules});
    let scheduled = json!({"holdType": "SCHEDULED"});
    let wrong_way =
        json!({"holdType": "PERMANENT", "mode": "AUTO", "heatSetpoint": 24, "coolSetpoint": 20});
    let day = "2026-06-01T00:00:00Z";
    let cases = [
        (charge("hvac", json!([])), "targetType"),
        (
            charge(
                "vehicle",
                json!([{"shouldCharge": true}, {"weekdays": [1, 7], "shouldCharge": true}]),
            ),
            "rules.1.weekdays.1",
        ),
        (
            charge(
                "vehicle",
                json!([{"fromTimestamp": day, "toTimestamp": day, "shouldCharge": true}]),
            ),
            "rules.0.toTimestamp",
        ),
        (
            charge(
                "vehicle",
                json!(vec![json!({"shouldCharge": true}); MOST_RULES + 1]),
            ),
            "rules",
        ),
        (
            temperature(wrong_way.clone(), json!([])),
            "defaultTargetState.coolSetpoint",
        ),
        (
            temperature(scheduled, json!([{"targetState": wrong_way}])),
            "rules.0.targetState.coolSetpoint",
        ),
    ];
    for (wire, path) in cases {
        let (blamed, _) = program(wire).unwrap().check().unwrap_err();
        assert_eq!(blamed, path);
    }
}
