//! The six kinds of device: one handler per operation, with the kind as data.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
};
use livewatt_domain::{id::UserId, kind::DeviceKind};

use crate::{
    error::ApiResult,
    extract::{Caller, PathArg, QueryArgs, moment_arg, user_arg},
    json_text::JsonText,
    pagination::PageArgs,
    state::ApiState,
};

/// Devices that a list of the past leaves out: how they were is not known any more.
const LEFT_OUT: HeaderName = HeaderName::from_static("livewatt-left-out-devices");

/// A page of devices, and beside it what the contract has no words for.
type Listed = (HeaderMap, JsonText);

/// `GET /{kinds}`
pub(crate) async fn list(
    kind: DeviceKind,
    state: State<ApiState>,
    caller: Caller,
    page: PageArgs,
    args: QueryArgs,
) -> ApiResult<Listed> {
    list_of(kind, state, caller, None, page, args).await
}

/// `GET /users/{userId}/{kinds}`; a user nobody knows has no devices.
pub(crate) async fn list_of_user(
    kind: DeviceKind,
    state: State<ApiState>,
    caller: Caller,
    PathArg(user): PathArg,
    page: PageArgs,
    args: QueryArgs,
) -> ApiResult<Listed> {
    let user = user_arg(user)?;
    list_of(kind, state, caller, Some(user), page, args).await
}

async fn list_of(
    kind: DeviceKind,
    State(state): State<ApiState>,
    Caller { client_id, .. }: Caller,
    user: Option<UserId>,
    page: PageArgs,
    args: QueryArgs,
) -> ApiResult<Listed> {
    let (engine, page) = (state.engine(), page.by_id()?);
    let mut headers = HeaderMap::new();
    let documents = match moment_arg(&args, "asOf")? {
        None => engine.list_documents(client_id, user, kind, page).await?,
        Some(at) => {
            let past = engine.list_past_documents(client_id, user, kind, at, page);
            let past = past.await?;
            let left_out: Vec<_> = past.left_out.iter().map(ToString::to_string).collect();
            if let Ok(ids) = HeaderValue::from_str(&left_out.join(","))
                && !left_out.is_empty()
            {
                headers.insert(LEFT_OUT, ids);
            }
            past.page
        }
    };
    Ok((headers, JsonText::from(documents)))
}

/// `GET /{kinds}/{id}`
pub(crate) async fn get(
    kind: DeviceKind,
    State(state): State<ApiState>,
    Caller { client_id, .. }: Caller,
    PathArg(id): PathArg,
    args: QueryArgs,
) -> ApiResult<JsonText> {
    let engine = state.engine();
    let document = match moment_arg(&args, "asOf")? {
        None => engine.get_document(client_id, kind, &id).await?,
        Some(at) => engine.get_past_document(client_id, kind, &id, at).await?,
    };
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
