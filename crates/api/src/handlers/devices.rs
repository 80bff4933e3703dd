//! The six kinds of device: one handler per operation, with the kind as data.

use axum::{Json, extract::State, http::StatusCode};
use livewatt_domain::{
    device::{Device, Document},
    id::UserId,
    kind::DeviceKind,
};

use crate::{
    error::ApiResult,
    extract::{Caller, PathArg, user_arg},
    pagination::{PageArgs, Paginated},
    state::ApiState,
};

/// `GET /{kinds}`
pub(crate) async fn list(
    kind: DeviceKind,
    state: State<ApiState>,
    caller: Caller,
    page: PageArgs,
) -> ApiResult<Json<Paginated<Document>>> {
    list_of(kind, state, caller, None, page).await
}

/// `GET /users/{userId}/{kinds}`; a user nobody knows has no devices.
pub(crate) async fn list_of_user(
    kind: DeviceKind,
    state: State<ApiState>,
    caller: Caller,
    PathArg(user): PathArg,
    page: PageArgs,
) -> ApiResult<Json<Paginated<Document>>> {
    let user = user_arg(user)?;
    list_of(kind, state, caller, Some(user), page).await
}

async fn list_of(
    kind: DeviceKind,
    State(state): State<ApiState>,
    caller: Caller,
    user: Option<UserId>,
    page: PageArgs,
) -> ApiResult<Json<Paginated<Document>>> {
    let devices = state
        .engine()
        .list_devices(caller.client_id, user, kind, page.by_id()?)
        .await?;
    Ok(Json(Paginated::from(
        devices.map(Device::into_current_document),
    )))
}

/// `GET /{kinds}/{id}`
pub(crate) async fn get(
    kind: DeviceKind,
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
) -> ApiResult<Json<Document>> {
    let device = state
        .engine()
        .get_device(caller.client_id, kind, &id)
        .await?;
    Ok(Json(device.into_current_document()))
}

/// `POST /{kinds}/{id}/refresh-hint`; a body is of no consequence.
pub(crate) async fn refresh_hint(
    kind: DeviceKind,
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
) -> ApiResult<StatusCode> {
    state
        .engine()
        .refresh_hint(caller.client_id, kind, &id)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
