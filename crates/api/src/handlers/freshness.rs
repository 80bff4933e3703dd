//! How fresh data is: why a device is as it is now, and how well promises were kept over a time.

use axum::{Json, extract::State};
use livewatt_domain::{SignedDuration, kind::DeviceKind};
use livewatt_engine::freshness::{Freshness, FreshnessReport, ReportQuery};

use crate::{
    error::{ApiError, ApiResult},
    extract::{Caller, PathArg, QueryArgs, moment_arg, vendor_arg},
    state::ApiState,
};

/// A report goes back so far if nobody says how far.
const DEFAULT_REACH: SignedDuration = SignedDuration::from_hours(24);

/// `GET /{kinds}/{id}/freshness`
pub(crate) async fn get(
    kind: DeviceKind,
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
) -> ApiResult<Json<Freshness>> {
    Ok(Json(
        state
            .engine()
            .freshness(caller.client_id, kind, &id)
            .await?,
    ))
}

/// `GET /freshness`
pub(crate) async fn report(
    State(state): State<ApiState>,
    caller: Caller,
    args: QueryArgs,
) -> ApiResult<Json<FreshnessReport>> {
    let now = state.engine().now();
    let to = moment_arg(&args, "to")?.unwrap_or(now);
    let from = match moment_arg(&args, "from")? {
        Some(from) => from,
        None => to.saturating_sub(DEFAULT_REACH).unwrap_or(to),
    };
    if from > now {
        return Err(ApiError::invalid("from", "must not be in the future"));
    }
    if to <= from {
        return Err(ApiError::invalid("to", "must be after from"));
    }
    let kind = args.one("kind")?.map(|text| {
        let message = "must be vehicle, charger, hvac, inverter, battery or meter";
        text.parse().map_err(|_| ApiError::invalid("kind", message))
    });
    let query = ReportQuery {
        client: Some(caller.client_id),
        from,
        to,
        kind: kind.transpose()?,
        vendor: args.one("vendor")?.map(vendor_arg).transpose()?,
    };
    Ok(Json(state.engine().freshness_report(query).await?))
}
