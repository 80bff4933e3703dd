//! The rows of actions: what devices are told to do, by kind. Their operation IDs follow no rule.

use axum::{
    extract::State,
    http::Method,
    routing::{MethodRouter, get, post},
};
use livewatt_domain::kind::DeviceKind;

use super::{Answer, Content, IMPOSSIBLE, NO_ACTION, NO_DEVICE, NO_SCOPE, Operation, ok, refusal};
use crate::{
    extract::{Caller, JsonBody, PathArg},
    handlers::actions::{self, ControlCharging, MaxCurrent, OperationModeWish, PermanentHold},
    state::ApiState,
};

type S = State<ApiState>;

/// What the contract calls reading and cancelling actions of a kind.
struct Names {
    get: &'static str,
    cancel: &'static str,
    schema: &'static str,
    /// Those that are over; the contract tells them apart for batteries alone.
    resolved_schema: &'static str,
}

/// Something drives the device by itself.
const CONTROLLED: Answer = refusal(
    422,
    "A schedule or smart charging is in control of the device",
);

/// A row that makes actions: its operation ID, the last segment of its path, what it does, the schemas
/// of its body and of the action, and its handler.
struct Maker(
    &'static str,
    &'static str,
    &'static str,
    Content,
    &'static str,
    MethodRouter<ApiState>,
);

/// `id` is what the contract calls the device in paths.
pub(super) fn action_rows(kind: DeviceKind, id: &str) -> Vec<Operation> {
    let Some(names) = names(kind) else {
        return Vec::new();
    };
    let plural = kind.plural();
    let mut rows = Vec::new();
    for Maker(operation, segment, summary, body, schema, handler) in makers(kind) {
        let path = format!("/{plural}/{{{id}}}/{segment}");
        rows.push(
            Operation::new(operation, Method::POST, path, summary, handler)
                .body(body)
                .answers([ok(schema), IMPOSSIBLE, NO_SCOPE, NO_DEVICE]),
        );
        if matches!(segment, "charging" | "permanent-hold" | "follow-schedule")
            && let Some(row) = rows.last_mut()
        {
            row.answers.push(CONTROLLED);
        }
    }
    let one = format!("/{plural}/actions/{{actionId}}");
    let name = kind.name();
    rows.push(
        Operation::new(
            names.get,
            Method::GET,
            one.clone(),
            format!("Get an action of a {name}"),
            get(move |s: S, c: Caller, id: PathArg| actions::get(kind, s, c, id)),
        )
        .answers([ok(names.schema), NO_ACTION]),
    );
    let resolved = Answer {
        status: 409,
        summary: "The action is over already, and is as it was",
        content: Content::Json(names.resolved_schema),
    };
    rows.push(
        Operation::new(
            names.cancel,
            Method::POST,
            format!("{one}/cancel"),
            format!("Cancel an action of a {name}; what was sent may still take effect"),
            post(move |s: S, c: Caller, id: PathArg| actions::cancel(kind, s, c, id)),
        )
        .answers([ok(names.schema), NO_ACTION, resolved]),
    );
    rows
}

const fn names(kind: DeviceKind) -> Option<Names> {
    Some(match kind {
        DeviceKind::Vehicle => Names {
            get: "getVehiclesAction",
            cancel: "cancelVehicleAction",
            schema: "VehicleAction",
            resolved_schema: "VehicleAction",
        },
        DeviceKind::Charger => Names {
            get: "getChargersAction",
            cancel: "cancelChargerAction",
            schema: "ChargerAction",
            resolved_schema: "ChargerAction",
        },
        DeviceKind::Hvac => Names {
            get: "getHvacsAction",
            cancel: "cancelHvacAction",
            schema: "HvacAction",
            resolved_schema: "HvacAction",
        },
        DeviceKind::Battery => Names {
            get: "getBatteriesAction",
            cancel: "cancelBatteryAction",
            schema: "OperationModeAction",
            resolved_schema: "OperationModeActionResolved",
        },
        DeviceKind::Inverter | DeviceKind::Meter => return None,
    })
}

fn makers(kind: DeviceKind) -> Vec<Maker> {
    let charging = |operation| {
        let handler = move |s: S, c: Caller, id: PathArg, body: JsonBody<ControlCharging>| {
            actions::charging(kind, s, c, id, body)
        };
        let body = Content::Json("ControlChargingPayload");
        let summary = "Start or stop charging";
        Maker(
            operation,
            "charging",
            summary,
            body,
            "ChargeAction",
            post(handler),
        )
    };
    let max_current = |operation| {
        let handler = move |s: S, c: Caller, id: PathArg, body: JsonBody<MaxCurrent>| {
            actions::max_current(kind, s, c, id, body)
        };
        let body = Content::Json("TargetMaxCurrent");
        let summary = "Limit the current that is drawn";
        Maker(
            operation,
            "max-current",
            summary,
            body,
            "MaxCurrentAction",
            post(handler),
        )
    };
    match kind {
        DeviceKind::Vehicle => vec![
            charging("postVehiclesVehicleidCharging"),
            max_current("postVehiclesVehicleidMaxCurrent"),
        ],
        DeviceKind::Charger => vec![
            charging("controlChargerCharging"),
            max_current("postSetChargerMaxCurrent"),
        ],
        DeviceKind::Hvac => vec![
            Maker(
                "postSetHvacPermanentHold",
                "permanent-hold",
                "Hold a mode and its setpoints until something else is wanted",
                Content::Json("HVACSetPermanentHoldPayload"),
                "HvacActionPermanentHold",
                post(
                    |s: S, c: Caller, id: PathArg, body: JsonBody<PermanentHold>| {
                        actions::permanent_hold(s, c, id, body)
                    },
                ),
            ),
            Maker(
                "postSetHvacFollowSchedule",
                "follow-schedule",
                "Follow the program that the unit has at its vendor",
                Content::Empty,
                "HvacActionFollowSchedule",
                post(actions::follow_schedule),
            ),
        ],
        DeviceKind::Battery => vec![Maker(
            "postUserSetOperationMode",
            "operation-mode",
            "Set what a battery is to pursue",
            Content::Json("SetBatteryOperationModePayload"),
            "OperationModeAction",
            post(
                |s: S, c: Caller, id: PathArg, body: JsonBody<OperationModeWish>| {
                    actions::operation_mode(s, c, id, body)
                },
            ),
        )],
        DeviceKind::Inverter | DeviceKind::Meter => Vec::new(),
    }
}
