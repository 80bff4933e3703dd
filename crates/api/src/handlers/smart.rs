//! Smart charging of vehicles, and smart overrides of vehicles and chargers.

use axum::{Json, extract::State};
use livewatt_domain::{
    device::vehicle::VehicleSmartChargingPolicy,
    id::{PlanId, UserId},
    kind::DeviceKind,
    money::decimal,
    plan::{Inputs, Plan, PriceSpan},
    smart::{PolicyChange, SmartChargingPlan, SmartChargingStatus, SmartOverride},
    vendor::VendorName,
};
use livewatt_engine::{Issue, smart::OverrideOf};
use serde::Serialize;
use serde_json::Value;

use crate::{
    error::{ApiError, ApiResult},
    extract::{Caller, Fields, FromField, JsonBody, PathArg, PathArgs, Payload},
    state::ApiState,
};

/// Prices that a plan is made anew with are as many at most.
const MOST_PRICES: usize = 1_000;

/// Changes of a policy.
#[derive(Debug)]
pub(crate) struct ChangePolicy(PolicyChange);

impl Payload for ChangePolicy {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self(PolicyChange {
            is_enabled: fields.optional("isEnabled"),
            deadline: fields.optional("deadline").map(Some),
            minimum_charge_limit: fields.optional("minimumChargeLimit"),
            style: None,
        }))
    }
}

/// Other prices.
#[derive(Debug)]
pub(crate) struct OtherPrices(Vec<PriceSpan>);

/// What a kWh costs for a stretch of time.
#[derive(Debug)]
struct OtherPrice(PriceSpan);

impl Payload for OtherPrices {
    fn read(fields: &mut Fields) -> Option<Self> {
        let prices: Vec<OtherPrice> = fields.required("prices")?;
        Some(Self(
            prices.into_iter().map(|OtherPrice(span)| span).collect(),
        ))
    }
}

impl FromField for OtherPrice {
    fn from_field(value: Value, path: &str, issues: &mut Vec<Issue>) -> Option<Self> {
        let moment = |name: &str| value.get(name)?.as_str()?.parse().ok();
        let amount = value.get("perKwh").and_then(Value::as_str);
        let amount = amount.and_then(|text| decimal(text).ok());
        let read = moment("from").zip(moment("to")).zip(amount);
        let read = read.map(|((from, to), per_kwh)| PriceSpan { from, to, per_kwh });
        let read = read.filter(|span| span.from < span.to);
        if read.is_none() {
            issues.push(Issue::new(
                path,
                "must have from, to after that, and perKwh as a decimal number in a string",
            ));
        }
        read.map(Self)
    }
}

/// An override as it is told when it begins and ends.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SmartOverrideResponse {
    #[serde(flatten)]
    smart_override: SmartOverride,
    user_id: UserId,
    vendor: VendorName,
}

impl From<OverrideOf> for SmartOverrideResponse {
    fn from(of: OverrideOf) -> Self {
        Self {
            smart_override: of.smart_override,
            user_id: of.device.user_id,
            vendor: of.device.vendor,
        }
    }
}

/// What a plan went by, and what came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanExplanation {
    plan_id: PlanId,
    inputs: Inputs,
    plan: Plan,
}

/// `GET /vehicles/{vehicleId}/smart-charging-policy`
pub(crate) async fn policy(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
) -> ApiResult<Json<VehicleSmartChargingPolicy>> {
    let policy = state.engine().smart_policy(caller.client_id, &id).await?;
    Ok(Json(policy.into()))
}

/// `PUT /vehicles/{vehicleId}/smart-charging-policy`
pub(crate) async fn change_policy(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
    JsonBody(ChangePolicy(change)): JsonBody<ChangePolicy>,
) -> ApiResult<Json<VehicleSmartChargingPolicy>> {
    let client = caller.client_id;
    let policy = state
        .to_the_end(|engine| async move { engine.change_smart_policy(client, &id, change).await })
        .await?;
    Ok(Json(policy.into()))
}

/// `GET /vehicles/{vehicleId}/smart-charging-status`
pub(crate) async fn status(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
) -> ApiResult<Json<SmartChargingStatus>> {
    Ok(Json(
        state.engine().smart_status(caller.client_id, &id).await?,
    ))
}

/// `GET /vehicles/{vehicleId}/smart-charging-plans/{smartChargingPlanId}`
pub(crate) async fn plan(
    State(state): State<ApiState>,
    caller: Caller,
    PathArgs([vehicle, id]): PathArgs<2>,
) -> ApiResult<Json<SmartChargingPlan>> {
    let found = state.engine().smart_plan(caller.client_id, &vehicle, &id);
    let found = found.await?;
    Ok(Json(found.record.document(&found.device)))
}

/// `GET /vehicles/{vehicleId}/smart-charging-plans/{smartChargingPlanId}/explain`
pub(crate) async fn explain(
    State(state): State<ApiState>,
    caller: Caller,
    PathArgs([vehicle, id]): PathArgs<2>,
) -> ApiResult<Json<PlanExplanation>> {
    let found = state.engine().smart_plan(caller.client_id, &vehicle, &id);
    let record = found.await?.record;
    Ok(Json(PlanExplanation {
        plan_id: record.id,
        inputs: record.inputs,
        plan: record.made,
    }))
}

/// `POST /vehicles/{vehicleId}/smart-charging-plans/{smartChargingPlanId}/rerun`
pub(crate) async fn rerun(
    State(state): State<ApiState>,
    caller: Caller,
    PathArgs([vehicle, id]): PathArgs<2>,
    JsonBody(OtherPrices(prices)): JsonBody<OtherPrices>,
) -> ApiResult<Json<Plan>> {
    if prices.len() > MOST_PRICES {
        let message = format!("must have at most {MOST_PRICES} entries");
        return Err(ApiError::invalid("prices", message));
    }
    let is_in_order = prices.windows(2).all(|pair| pair[0].to <= pair[1].from);
    if !is_in_order {
        return Err(ApiError::invalid(
            "prices",
            "must be in order, without overlaps",
        ));
    }
    let anew = state
        .engine()
        .plan_anew(caller.client_id, &vehicle, &id, prices);
    Ok(Json(anew.await?))
}

/// `POST /vehicles/{vehicleId}/smart-override` and the same of chargers; a body is of no consequence.
pub(crate) async fn begin_override(
    kind: DeviceKind,
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
) -> ApiResult<Json<SmartOverrideResponse>> {
    let client = caller.client_id;
    let begun = state
        .to_the_end(|engine| async move { engine.begin_override(client, kind, &id).await })
        .await?;
    Ok(Json(begun.into()))
}

/// `DELETE /vehicles/{vehicleId}/smart-override` and the same of chargers
pub(crate) async fn end_override(
    kind: DeviceKind,
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
) -> ApiResult<Json<SmartOverrideResponse>> {
    let client = caller.client_id;
    let ended = state
        .to_the_end(|engine| async move { engine.end_override(client, kind, &id).await })
        .await?;
    Ok(Json(ended.into()))
}
