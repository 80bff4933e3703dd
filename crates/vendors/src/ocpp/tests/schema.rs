//! What OCPP 1.6 permits a central system to send, stated by hand.

use serde_json::{Map, Value};

/// Panics unless `reply` is a frame that may follow upon `frame`.
pub(super) fn check(frame: &str, reply: &str) {
    let reply: Vec<Value> = serde_json::from_str(reply).expect("a reply is a JSON array");
    match reply[0].as_u64() {
        Some(2) => check_call(&reply),
        Some(3) => {
            assert_eq!(reply.len(), 3);
            let asked = serde_json::from_str::<Vec<Value>>(frame).ok();
            let action = asked.as_ref().and_then(|asked| asked.get(2)?.as_str());
            if let Some(action) = action {
                check_result(
                    action,
                    reply[2].as_object().expect("a payload is an object"),
                );
            }
        }
        Some(4) => {
            assert_eq!(reply.len(), 5);
            const CODES: [&str; 10] = [
                "NotImplemented",
                "NotSupported",
                "InternalError",
                "ProtocolError",
                "SecurityError",
                "FormationViolation",
                "PropertyConstraintViolation",
                "OccurenceConstraintViolation",
                "TypeConstraintViolation",
                "GenericError",
            ];
            assert!(CODES.contains(&reply[2].as_str().unwrap()));
            assert!(reply[3].as_str().unwrap().len() <= 255);
            assert!(reply[4].is_object());
        }
        _ => panic!("no message type: {reply:?}"),
    }
}

fn check_call(call: &[Value]) {
    assert_eq!(call.len(), 4);
    assert!((1..=36).contains(&call[1].as_str().unwrap().len()));
    if call[2] == "TriggerMessage" {
        let payload = call[3].as_object().unwrap();
        assert!(
            payload
                .keys()
                .all(|key| key == "requestedMessage" || key == "connectorId")
        );
        const MESSAGES: [&str; 6] = [
            "BootNotification",
            "DiagnosticsStatusNotification",
            "FirmwareStatusNotification",
            "Heartbeat",
            "MeterValues",
            "StatusNotification",
        ];
        assert!(MESSAGES.contains(&payload["requestedMessage"].as_str().unwrap()));
    }
}

fn check_result(action: &str, payload: &Map<String, Value>) {
    let has_exactly = |names: &[&str]| {
        assert_eq!(payload.len(), names.len(), "{action}: {payload:?}");
        assert!(
            names.iter().all(|name| payload.contains_key(*name)),
            "{action}: {payload:?}"
        );
    };
    match action.to_ascii_lowercase().as_str() {
        "bootnotification" => {
            has_exactly(&["status", "currentTime", "interval"]);
            assert!(is_one_of(
                &payload["status"],
                &["Accepted", "Pending", "Rejected"]
            ));
            assert!(is_date_time(&payload["currentTime"]));
            assert!(payload["interval"].is_u64());
        }
        "heartbeat" => {
            has_exactly(&["currentTime"]);
            assert!(is_date_time(&payload["currentTime"]));
        }
        "authorize" | "stoptransaction" => {
            has_exactly(&["idTagInfo"]);
            check_tag(&payload["idTagInfo"]);
        }
        "starttransaction" => {
            has_exactly(&["idTagInfo", "transactionId"]);
            check_tag(&payload["idTagInfo"]);
            let id = payload["transactionId"].as_i64().unwrap();
            assert!((1..=i64::from(i32::MAX)).contains(&id));
        }
        "datatransfer" => {
            has_exactly(&["status"]);
            let words = [
                "Accepted",
                "Rejected",
                "UnknownMessageId",
                "UnknownVendorId",
            ];
            assert!(is_one_of(&payload["status"], &words));
        }
        "signcertificate" => {
            has_exactly(&["status"]);
            assert!(is_one_of(&payload["status"], &["Accepted", "Rejected"]));
        }
        _ => has_exactly(&[]),
    }
}

fn check_tag(info: &Value) {
    assert_eq!(info.as_object().unwrap().len(), 1);
    let words = ["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"];
    assert!(is_one_of(&info["status"], &words));
}

fn is_one_of(value: &Value, words: &[&str]) -> bool {
    value.as_str().is_some_and(|word| words.contains(&word))
}

fn is_date_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| {
        text.len() == "2026-03-01T10:00:00.000Z".len()
            && text.ends_with('Z')
            && text.parse::<jiff::Timestamp>().is_ok()
    })
}
