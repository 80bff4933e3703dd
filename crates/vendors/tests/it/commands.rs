//! What adapters make of a wish for a device, and of what their vendor says to it.

use jiff::SignedDuration;
use livewatt_domain::{
    action::{ChargingKind, SendOutcome, Target},
    device::{VendorDevice, battery::OperationMode},
    kind::DeviceKind,
};
use livewatt_vendors::{AccountOutcome, CommandOutcome, Secret};
use serde_json::{Value, json};

use crate::{
    cloud::Answer,
    conformance::{Case, helios, rivoli, volta},
    lab::Lab,
};

const START: Target = Target::Charging(ChargingKind::Start);
const STOP: Target = Target::Charging(ChargingKind::Stop);

fn device(kind: DeviceKind, id: &str) -> VendorDevice {
    VendorDevice {
        kind,
        id: id.to_owned(),
    }
}

/// A signed-in lab.
async fn lab(case: Case) -> (Lab, Secret) {
    let lab = Lab::new(case.make).await;
    let (_, credentials) = lab.sign_in(&case.sign_in).await;
    lab.cloud.script([]);
    (lab, credentials)
}

/// What is sent for a wish: method, path behind the cloud's own, and body.
async fn sent(
    lab: &Lab,
    credentials: &Secret,
    device: &VendorDevice,
    target: Target,
) -> (String, String, Value) {
    lab.cloud.script([Answer::status(202, "{}")]);
    let told = lab.command(credentials, device, &target).await;
    assert_eq!(told, CommandOutcome::Answered(SendOutcome::Accepted));
    let asked = lab.cloud.asked().remove(0);
    let bearer = asked.headers["authorization"].to_str().unwrap();
    assert!(bearer.starts_with("Bearer "));
    let body = serde_json::from_str(&asked.body).unwrap();
    (asked.method.to_string(), asked.path, body)
}

fn call(method: &str, path: &str, body: Value) -> (String, String, Value) {
    (method.to_owned(), path.to_owned(), body)
}

#[tokio::test]
async fn volta_is_told_in_its_words() {
    let (lab, credentials) = lab(volta()).await;
    let car = device(DeviceKind::Vehicle, "VIN 1");
    let wallbox = device(DeviceKind::Charger, "WB-1");
    for (device, target, path, body) in [
        (
            &car,
            START,
            "vehicles/VIN%201",
            json!({ "command": "charge_start" }),
        ),
        (
            &wallbox,
            STOP,
            "wallboxes/WB-1",
            json!({ "command": "charge_stop" }),
        ),
        (
            &car,
            Target::MaxCurrent(9.6),
            "vehicles/VIN%201",
            json!({ "command": "set_max_amps", "amps": 10 }),
        ),
        (
            &wallbox,
            Target::MaxCurrent(16.4),
            "wallboxes/WB-1",
            json!({ "command": "set_current_limit", "amps": 16 }),
        ),
    ] {
        let expected = call("POST", &format!("/v1/{path}/commands"), body);
        assert_eq!(sent(&lab, &credentials, device, target).await, expected);
    }
}

#[tokio::test]
async fn rivoli_is_told_in_its_words() {
    let (lab, credentials) = lab(rivoli()).await;
    let car = device(DeviceKind::Vehicle, "rc_000001");
    for (target, method, path, body) in [
        (START, "POST", "charge", json!({ "action": "start" })),
        (STOP, "POST", "charge", json!({ "action": "stop" })),
        (
            Target::MaxCurrent(8.0),
            "PUT",
            "settings",
            json!({ "amps_limit": 8 }),
        ),
    ] {
        let expected = call(method, &format!("/v2/cars/rc_000001/{path}"), body);
        assert_eq!(sent(&lab, &credentials, &car, target).await, expected);
    }
    lab.cloud.script([Answer::status(408, "{}")]);
    let told = lab.command(&credentials, &car, &START).await;
    assert!(
        matches!(told, CommandOutcome::Answered(SendOutcome::Unreachable(_))),
        "{told:?}"
    );
}

#[tokio::test]
async fn helios_is_told_in_its_words() {
    let (lab, credentials) = lab(helios()).await;
    let battery = device(DeviceKind::Battery, "hx_bat_000001");
    let idle = Target::OperationMode(OperationMode::Idle);
    let (method, path, body) = sent(&lab, &credentials, &battery, idle).await;
    assert_eq!(method, "PUT");
    assert!(
        path.starts_with("/api/sites/hs_") && path.ends_with("/battery"),
        "{path}"
    );
    assert_eq!(body, json!({ "mode": "idle" }));
    // Nothing is sent for what it does not do.
    lab.cloud.script([]);
    for target in [START, Target::OperationMode(OperationMode::TimeOfUse)] {
        let told = lab.command(&credentials, &battery, &target).await;
        assert!(
            matches!(told, CommandOutcome::Answered(SendOutcome::Refused(_))),
            "{told:?}"
        );
    }
    assert!(lab.cloud.asked().is_empty());
}

/// What a vendor says to a command means the same for all of them.
#[tokio::test]
async fn answers_to_commands_are_understood() {
    let cars = [
        (volta(), device(DeviceKind::Vehicle, "VIN1"), START),
        (rivoli(), device(DeviceKind::Vehicle, "rc_000001"), START),
        (helios(), device(DeviceKind::Charger, "hx_chg_000001"), STOP),
    ];
    for (case, device, target) in cars {
        let secrets = case.secrets;
        let (lab, credentials) = lab(case).await;
        let limited = Answer::status(429, "{}").with("retry-after", "120");
        for (answer, expected) in [
            (Answer::ok("{}"), "accepted"),
            (Answer::status(202, "what is this"), "accepted"),
            (Answer::status(400, "{}"), "refused"),
            (Answer::status(404, "{}"), "failed"),
            (Answer::status(409, "{}"), "unreachable"),
            (Answer::status(401, "{}"), "login"),
            (limited, "limited"),
            (Answer::status(503, "vat_ rvs_ hxa_"), "vendor"),
            (Answer::status(403, "{}"), "forbidden"),
            (Answer::Hang, "vendor"),
            (Answer::Huge, "accepted or malformed"),
        ] {
            lab.cloud.script([answer.clone()]);
            let told = lab.command(&credentials, &device, &target).await;
            let is_as_expected = match (&told, expected) {
                (CommandOutcome::Answered(told), _) => match told {
                    SendOutcome::Accepted => expected.starts_with("accepted"),
                    SendOutcome::Refused(_) => expected == "refused",
                    SendOutcome::Failed(_) => expected == "failed",
                    SendOutcome::Unreachable(_) => expected == "unreachable",
                    SendOutcome::AlreadySo | SendOutcome::Throttled(_) => false,
                },
                (CommandOutcome::Account(outcome), _) => match outcome {
                    AccountOutcome::LoginExpired => expected == "login",
                    AccountOutcome::RateLimited { until, .. } => {
                        let stated = lab.now() + SignedDuration::from_secs(120);
                        expected == "limited" && *until == stated
                    }
                    AccountOutcome::Unreachable(_) => expected == "vendor",
                    AccountOutcome::Refused(_) => expected == "forbidden",
                    AccountOutcome::Malformed(_) => expected.ends_with("malformed"),
                    AccountOutcome::Ok | AccountOutcome::OverBudget { .. } => false,
                },
            };
            assert!(is_as_expected, "{answer:?}: {told:?}");
            let shown = format!("{told:?}");
            assert!(
                secrets.iter().all(|secret| !shown.contains(secret)),
                "{shown}"
            );
        }
        lab.clock.advance(SignedDuration::from_hours(24));
        lab.cloud.script([]);
        let told = lab.command(&credentials, &device, &target).await;
        assert_eq!(told, CommandOutcome::Account(AccountOutcome::LoginExpired));
        assert!(lab.cloud.asked().is_empty(), "an old token is not shown");
    }
}
