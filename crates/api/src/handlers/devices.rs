//! The six kinds of device: one handler per operation, with the kind as data.

use axum::{extract::State, http::StatusCode};
use livewatt_domain::{id::UserId, kind::DeviceKind};

use crate::{
    error::ApiResult,
    extract::{Caller, PathArg, user_arg},
    json_text::JsonText,
    pagination::PageArgs,
    state::ApiState,
};

/// `GET /{kinds}`
pub(crate) async fn list(
    kind: DeviceKind,
    state: State<ApiState>,
    caller: Caller,
    page: PageArgs,
) -> ApiResult<JsonText> {
    list_of(kind, state, caller, None, page).await
}

/// `GET /users/{userId}/{kinds}`; a user nobody knows has no devices.
pub(crate) async fn list_of_user(
    kind: DeviceKind,
    state: State<ApiState>,
    caller: Caller,
    PathArg(user): PathArg,
    page: PageArgs,
) -> ApiResult<JsonText> {
    let user = user_arg(user)?;
    list_of(kind, state, caller, Some(user), page).await
}

async fn list_of(
    kind: DeviceKind,
    State(state): State<ApiState>,
    caller: Caller,
    user: Option<UserId>,
    page: PageArgs,
) -> ApiResult<JsonText> {
    let documents = state
        .engine()
        .list_documents(caller.client_id, user, kind, page.by_id()?)
        .await?;
    Ok(JsonText::from(documents))
}

/// `GET /{kinds}/{id}`
pub(crate) async fn get(
    kind: DeviceKind,
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
) -> ApiResult<JsonText> {
    let document = state
        .engine()
        .get_document(caller.client_id, kind, &id)
        .await?;
    Ok(JsonText(document))
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
