//! Actions: what devices are told to do, and what became of it.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use livewatt_domain::{
    action::{ActionDocument, ChargingKind, Target},
    device::battery::OperationMode,
    kind::DeviceKind,
    temperature::{Hold, TemperatureTarget},
};
use livewatt_engine::{Issue, actions::Cancellation};
use serde_json::Value;

use crate::{
    error::ApiResult,
    extract::{Caller, Fields, FromField, JsonBody, PathArg, Payload},
    state::ApiState,
};

/// Start or stop.
#[derive(Debug)]
pub(crate) struct ControlCharging(ChargingKind);

impl Payload for ControlCharging {
    fn read(fields: &mut Fields) -> Option<Self> {
        fields.required("action").map(Self)
    }
}

impl FromField for ChargingKind {
    fn from_field(value: Value, path: &str, issues: &mut Vec<Issue>) -> Option<Self> {
        match value.as_str() {
            Some("START") => Some(Self::Start),
            Some("STOP") => Some(Self::Stop),
            _ => {
                issues.push(Issue::new(path, "must be START or STOP"));
                None
            }
        }
    }
}

/// A current.
#[derive(Debug)]
pub(crate) struct MaxCurrent(f64);

impl Payload for MaxCurrent {
    fn read(fields: &mut Fields) -> Option<Self> {
        fields.required("maxCurrent").map(Self)
    }
}

/// A setting of an HVAC unit: the setpoints that its mode has, and no others.
#[derive(Debug)]
pub(crate) struct PermanentHold(Hold);

/// A mode that a unit can be held at.
#[derive(Debug, Clone, Copy)]
enum HoldMode {
    Off,
    Heat,
    Cool,
    Auto,
}

impl FromField for HoldMode {
    fn from_field(value: Value, path: &str, issues: &mut Vec<Issue>) -> Option<Self> {
        match value.as_str() {
            Some("OFF") => Some(Self::Off),
            Some("HEAT") => Some(Self::Heat),
            Some("COOL") => Some(Self::Cool),
            Some("AUTO") => Some(Self::Auto),
            _ => {
                issues.push(Issue::new(path, "must be OFF, HEAT, COOL or AUTO"));
                None
            }
        }
    }
}

impl Payload for PermanentHold {
    fn read(fields: &mut Fields) -> Option<Self> {
        read_hold(fields).map(Self)
    }
}

/// Reads a mode, and the setpoints that it has.
pub(super) fn read_hold(fields: &mut Fields) -> Option<Hold> {
    Some(match fields.required("mode")? {
        HoldMode::Off => Hold::Off {},
        HoldMode::Heat => Hold::Heat {
            heat_setpoint: fields.required("heatSetpoint")?,
        },
        HoldMode::Cool => Hold::Cool {
            cool_setpoint: fields.required("coolSetpoint")?,
        },
        HoldMode::Auto => {
            let heat = fields.required("heatSetpoint");
            let cool = fields.required("coolSetpoint");
            Hold::Auto {
                heat_setpoint: heat?,
                cool_setpoint: cool?,
            }
        }
    })
}

/// An aim for a battery.
#[derive(Debug)]
pub(crate) struct OperationModeWish(OperationMode);

impl Payload for OperationModeWish {
    fn read(fields: &mut Fields) -> Option<Self> {
        fields.required("operationMode").map(Self)
    }
}

impl FromField for OperationMode {
    fn from_field(value: Value, path: &str, issues: &mut Vec<Issue>) -> Option<Self> {
        let read = serde_json::from_value(value).ok();
        let read = read.filter(|mode| *mode != Self::Unknown);
        if read.is_none() {
            issues.push(Issue::new(
                path,
                "must be IMPORT_FOCUS, EXPORT_FOCUS, TIME_OF_USE, SELF_RELIANCE or IDLE",
            ));
        }
        read
    }
}

/// `POST /vehicles/{id}/charging` and `POST /chargers/{id}/charging`
pub(crate) async fn charging(
    kind: DeviceKind,
    state: State<ApiState>,
    caller: Caller,
    id: PathArg,
    JsonBody(ControlCharging(wish)): JsonBody<ControlCharging>,
) -> ApiResult<Json<ActionDocument>> {
    create(kind, state, caller, id, Target::Charging(wish)).await
}

/// `POST /vehicles/{id}/max-current` and `POST /chargers/{id}/max-current`
pub(crate) async fn max_current(
    kind: DeviceKind,
    state: State<ApiState>,
    caller: Caller,
    id: PathArg,
    JsonBody(MaxCurrent(amps)): JsonBody<MaxCurrent>,
) -> ApiResult<Json<ActionDocument>> {
    create(kind, state, caller, id, Target::MaxCurrent(amps)).await
}

/// `POST /hvacs/{id}/permanent-hold`
pub(crate) async fn permanent_hold(
    state: State<ApiState>,
    caller: Caller,
    id: PathArg,
    JsonBody(PermanentHold(hold)): JsonBody<PermanentHold>,
) -> ApiResult<Json<ActionDocument>> {
    let target = Target::Temperature(TemperatureTarget::Permanent(hold));
    create(DeviceKind::Hvac, state, caller, id, target).await
}

/// `POST /hvacs/{id}/follow-schedule`; a body is of no consequence.
pub(crate) async fn follow_schedule(
    state: State<ApiState>,
    caller: Caller,
    id: PathArg,
) -> ApiResult<Json<ActionDocument>> {
    let target = Target::Temperature(TemperatureTarget::Scheduled {});
    create(DeviceKind::Hvac, state, caller, id, target).await
}

/// `POST /batteries/{id}/operation-mode`
pub(crate) async fn operation_mode(
    state: State<ApiState>,
    caller: Caller,
    id: PathArg,
    JsonBody(OperationModeWish(mode)): JsonBody<OperationModeWish>,
) -> ApiResult<Json<ActionDocument>> {
    let target = Target::OperationMode(mode);
    create(DeviceKind::Battery, state, caller, id, target).await
}

async fn create(
    kind: DeviceKind,
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
    target: Target,
) -> ApiResult<Json<ActionDocument>> {
    let client = caller.client_id;
    let action = state
        .to_the_end(|engine| async move { engine.create_action(client, kind, &id, target).await })
        .await?;
    Ok(Json(action.document()))
}

/// `GET /{kinds}/actions/{actionId}`
pub(crate) async fn get(
    kind: DeviceKind,
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
) -> ApiResult<Json<ActionDocument>> {
    let found = state.engine().get_action(caller.client_id, kind, &id);
    Ok(Json(found.await?.document()))
}

/// `POST /{kinds}/actions/{actionId}/cancel`; a body is of no consequence.
pub(crate) async fn cancel(
    kind: DeviceKind,
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
) -> ApiResult<Response> {
    let client = caller.client_id;
    let done = state
        .to_the_end(|engine| async move { engine.cancel_action(client, kind, &id).await })
        .await?;
    Ok(match done {
        Cancellation::Done(action) => Json(action.document()).into_response(),
        Cancellation::Resolved(action) => {
            (StatusCode::CONFLICT, Json(action.document())).into_response()
        }
    })
}
