//! Why a device is as fresh as it is.

use axum::{Json, extract::State};
use livewatt_domain::kind::DeviceKind;
use livewatt_engine::freshness::Freshness;

use crate::{
    error::ApiResult,
    extract::{Caller, PathArg},
    state::ApiState,
};

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
