//! Users, and the four ways of undoing what they linked.

use axum::{Json, extract::State, http::StatusCode};
use livewatt_domain::{Timestamp, id::UserId, kind::DeviceKind, time, vendor::VendorName};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    error::ApiResult,
    extract::{Caller, PathArg, PathArgs, kind_arg, user_arg, vendor_arg},
    pagination::{PageArgs, Paginated},
    state::ApiState,
};

/// A user in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UsersListEntry {
    /// The customer's name for the user.
    id: UserId,
    /// When the first link session was made.
    #[serde(serialize_with = "time::serialize")]
    created_at: Timestamp,
    /// Of no meaning any more; scopes are those of each device.
    #[schema(deprecated)]
    scopes: [&'static str; 1],
}

/// A user and what they linked.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserResponse {
    /// The customer's name for the user.
    id: UserId,
    /// What they linked.
    linked_vendors: Vec<LinkedVendorEntry>,
}

/// A kind of device linked under a vendor's name.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LinkedVendorEntry {
    /// The vendor.
    vendor: VendorName,
    /// The kind of device.
    vendor_type: DeviceKind,
    /// False if the credentials stopped working: the user must relink.
    is_valid: bool,
}

/// `GET /users`
pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    PageArgs(page): PageArgs,
) -> ApiResult<Json<Paginated<UsersListEntry>>> {
    let users = state.engine().list_users(caller.client_id, page).await?;
    Ok(Json(Paginated::from(users.map(|user| UsersListEntry {
        id: user.id,
        created_at: user.created_at,
        scopes: ["all"],
    }))))
}

/// `GET /users/{userId}`
pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(user): PathArg,
) -> ApiResult<Json<UserResponse>> {
    let (user, linked) = state
        .engine()
        .get_user(caller.client_id, &user_arg(user)?)
        .await?;
    let linked_vendors = linked.into_iter().map(|row| LinkedVendorEntry {
        vendor: row.vendor,
        vendor_type: row.kind,
        is_valid: row.is_valid,
    });
    Ok(Json(UserResponse {
        id: user.id,
        linked_vendors: linked_vendors.collect(),
    }))
}

/// `DELETE /users/{userId}`
pub(crate) async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(user): PathArg,
) -> ApiResult<StatusCode> {
    let user = user_arg(user)?;
    let client = caller.client_id;
    state
        .to_the_end(|engine| async move { engine.delete_user(client, &user).await })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /users/{userId}/authorization`
pub(crate) async fn deauthorize(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(user): PathArg,
) -> ApiResult<StatusCode> {
    let user = user_arg(user)?;
    let client = caller.client_id;
    state
        .to_the_end(|engine| async move { engine.deauthorize_user(client, &user).await })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /users/{userId}/vendors/{vendor}`
pub(crate) async fn disconnect_vendor(
    state: State<ApiState>,
    caller: Caller,
    PathArgs([user, vendor]): PathArgs<2>,
) -> ApiResult<StatusCode> {
    disconnect(state, caller, user, vendor, None).await
}

/// `DELETE /users/{userId}/vendors/{vendor}/{vendorType}`
pub(crate) async fn disconnect_vendor_kind(
    state: State<ApiState>,
    caller: Caller,
    PathArgs([user, vendor, kind]): PathArgs<3>,
) -> ApiResult<StatusCode> {
    let kind = kind_arg(&kind)?;
    disconnect(state, caller, user, vendor, Some(kind)).await
}

async fn disconnect(
    State(state): State<ApiState>,
    caller: Caller,
    user: String,
    vendor: String,
    kind: Option<DeviceKind>,
) -> ApiResult<StatusCode> {
    let (user, vendor) = (user_arg(user)?, vendor_arg(vendor)?);
    let client = caller.client_id;
    let work = |engine: std::sync::Arc<livewatt_engine::Engine>| async move {
        engine.disconnect_vendor(client, &user, &vendor, kind).await
    };
    state.to_the_end(work).await?;
    Ok(StatusCode::NO_CONTENT)
}
