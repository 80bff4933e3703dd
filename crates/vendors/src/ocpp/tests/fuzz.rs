//! Whatever comes, a session stands and answers once.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Bench, ID};

fn frames() -> impl Strategy<Value = String> {
    let action = prop::sample::select(vec![
        "BootNotification",
        "StatusNotification",
        "MeterValues",
        "StartTransaction",
        "StopTransaction",
        "Heartbeat",
        "DataTransfer",
        "Reset",
        "Dance",
    ]);
    let value = prop_oneof![
        Just(json!(null)),
        Just(json!([])),
        Just(json!({})),
        Just(json!("Charging")),
        Just(json!("2026-03-01T10:00:00Z")),
        any::<f64>().prop_map(|n| json!(n)),
        (-3..70i64).prop_map(|n| json!(n)),
        ".{0,8}".prop_map(|text| json!(text)),
        (any::<f64>(), "(W|kW|Wh|A|.)").prop_map(|(n, unit)| json!([{
            "timestamp": "2026-03-01T10:00:00Z",
            "sampledValue": [{ "value": n.to_string(), "unit": unit }],
        }])),
    ];
    let name = prop::sample::select(vec![
        "connectorId",
        "status",
        "timestamp",
        "transactionId",
        "meterValue",
        "meterStart",
        "chargePointVendor",
        "chargePointModel",
        "idTag",
    ]);
    let payload = prop::collection::vec((name, value), 0..6)
        .prop_map(|fields| Value::Object(fields.into_iter().map(|(n, v)| (n.into(), v)).collect()));
    (2..5u8, "[a-c]{1,2}", action, payload)
        .prop_map(|(kind, id, action, payload)| json!([kind, id, action, payload]).to_string())
}

/// The answers among the frames sent, which are those that are no calls of ours.
fn answers(replies: &[String]) -> usize {
    replies
        .iter()
        .filter(|reply| !reply.starts_with("[2,"))
        .count()
}

proptest! {
    #[test]
    fn whatever_comes_the_session_stands(
        frames in prop::collection::vec(prop_oneof![any::<String>(), frames()], 0..20),
        cut in any::<prop::sample::Index>(),
        junk in any::<char>(),
    ) {
        let mut bench = Bench::unopened();
        bench.session.opened(bench.now);
        for frame in frames {
            let mut mutated: Vec<char> = frame.chars().collect();
            if !mutated.is_empty() {
                let place = cut.index(mutated.len());
                mutated[place] = junk;
            }
            for text in [mutated.into_iter().collect(), frame] {
                let step = bench.receive(&text);
                prop_assert!(step.observations.iter().any(|seen| seen.device.id == ID));
                let asked: Option<(f64, Value)> = serde_json::from_str::<Vec<Value>>(&text)
                    .ok()
                    .and_then(|items| Some((items.first()?.as_f64()?, items.get(1)?.clone())));
                match asked {
                    Some((2.0, id @ (Value::String(_) | Value::Number(_)))) => {
                        prop_assert_eq!(answers(&step.replies), 1);
                        let reply: Value = serde_json::from_str(&step.replies[0]).unwrap();
                        prop_assert_eq!(&reply[1], &id);
                    }
                    Some(_) => prop_assert_eq!(answers(&step.replies), 0),
                    None => prop_assert!(answers(&step.replies) <= 1),
                }
            }
        }
        bench.session.tick(bench.now);
        bench.session.closed(bench.now);
    }
}
