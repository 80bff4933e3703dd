//! What a charge point is told to do, and what its answers to that mean.
//!
//! An answer says that the charge point has understood, not that it does it: that is told by its
//! status and its meter.

use jiff::Timestamp;
use livewatt_domain::{
    action::{ChargingKind, SendOutcome, Target},
    time::wire as date_time,
};
use serde_json::{Value, json};

use super::{outbox::CallFailure, session::Answer};

/// Under which name charges are started from here; at most 20 characters.
const ID_TAG: &str = "LIVEWATT";
/// The one profile that is ever set from here; setting it again replaces it.
const PROFILE: u32 = 1;

/// The call that tells a connector what to do. `transaction` is the one under way there.
///
/// # Errors
/// What that comes to if there is nothing to send.
pub(super) fn call(
    connector: u32,
    target: &Target,
    transaction: Option<i32>,
    now: Timestamp,
) -> Result<(&'static str, Value), SendOutcome> {
    match target {
        Target::Charging(ChargingKind::Start) => {
            let payload = json!({ "connectorId": connector, "idTag": ID_TAG });
            Ok(("RemoteStartTransaction", payload))
        }
        Target::Charging(ChargingKind::Stop) => match transaction {
            Some(id) => Ok(("RemoteStopTransaction", json!({ "transactionId": id }))),
            None => Err(SendOutcome::Failed(
                "the charge point has not said which charge there is to end".to_owned(),
            )),
        },
        Target::MaxCurrent(amps) => {
            // Stations know tenths of an ampere.
            let limit = (amps * 10.0).round() / 10.0;
            let payload = json!({
                "connectorId": connector,
                "csChargingProfiles": {
                    "chargingProfileId": PROFILE,
                    "stackLevel": 0,
                    "chargingProfilePurpose": "TxDefaultProfile",
                    "chargingProfileKind": "Absolute",
                    "chargingSchedule": {
                        "startSchedule": date_time(now),
                        "chargingRateUnit": "A",
                        "chargingSchedulePeriod": [{ "startPeriod": 0, "limit": limit }],
                    },
                },
            });
            Ok(("SetChargingProfile", payload))
        }
        Target::Temperature(_) | Target::OperationMode(_) => Err(SendOutcome::Refused(
            "a charge point has no such command".to_owned(),
        )),
    }
}

/// What an answer to such a call means.
pub fn told(answer: &Answer) -> SendOutcome {
    let failed = |what: String| SendOutcome::Failed(what);
    let never = |what: &str| SendOutcome::Refused(what.to_owned());
    let payload = match &answer.result {
        Ok(payload) => payload,
        Err(CallFailure::Refused { code, .. })
            if matches!(code.as_str(), "NotImplemented" | "NotSupported") =>
        {
            return never("the charge point has no such command");
        }
        Err(CallFailure::Refused { .. }) => {
            return failed("the charge point answered with an error".to_owned());
        }
        Err(failure @ CallFailure::TimedOut) => return failed(failure.to_string()),
    };
    match payload.get("status").and_then(Value::as_str) {
        Some(word) if word.eq_ignore_ascii_case("Accepted") => SendOutcome::Accepted,
        Some(word) if word.eq_ignore_ascii_case("NotSupported") => {
            never("the charge point has no such command")
        }
        Some(_) => failed("the charge point rejected the command".to_owned()),
        None => failed("the charge point's answer made no sense".to_owned()),
    }
}

/// The current that a charge point says it keeps to now, A.
pub(super) fn limit(composite: &Value) -> Option<f64> {
    let is_accepted = composite["status"]
        .as_str()?
        .eq_ignore_ascii_case("Accepted");
    let schedule = &composite["chargingSchedule"];
    let is_current = schedule["chargingRateUnit"]
        .as_str()?
        .eq_ignore_ascii_case("A");
    let first = schedule["chargingSchedulePeriod"].get(0)?;
    let limit = first["limit"].as_f64();
    limit.filter(|_| is_accepted && is_current && first["startPeriod"] == 0)
}
