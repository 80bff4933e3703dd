//! The control API: thin routes over `operations`, which the in-process `Sandbox` calls too.

pub(crate) mod operations;
pub(crate) mod types;

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;

use crate::{
    clouds::Cloud,
    control::types::{AccountSpec, DeviceKind},
    faults::{FaultSpec, ScriptEntry},
    server::Shared,
};

/// Why the control API did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// A value is out of range or a body is not what it should be.
    #[error("{0}")]
    Invalid(String),
    /// There is no such account, device or fault.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// It does not fit what is there.
    #[error("{0}")]
    Conflict(String),
}

impl ControlError {
    pub(crate) fn invalid(why: impl Into<String>) -> Self {
        Self::Invalid(why.into())
    }

    pub(crate) fn conflict(why: impl Into<String>) -> Self {
        Self::Conflict(why.into())
    }
}

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        let status = match self {
            ControlError::Invalid(_) => StatusCode::BAD_REQUEST,
            ControlError::NotFound(_) => StatusCode::NOT_FOUND,
            ControlError::Conflict(_) => StatusCode::CONFLICT,
        };
        (status, Json(json!({"error": self.to_string()}))).into_response()
    }
}

type Shares = State<Arc<Shared>>;
type Answer<T> = Result<Json<T>, ControlError>;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/clock", get(get_clock).put(set_clock))
        .route("/advance", post(advance))
        .route("/accounts", get(list_all_accounts))
        .route(
            "/devices/{device}",
            get(get_device).patch(patch_device).delete(remove_device),
        )
        .route("/faults", get(list_faults).delete(drop_all_faults))
        .route("/faults/{id}", axum::routing::delete(drop_fault))
        .route("/script", post(add_script))
        .route("/truth", get(get_truth))
        .route("/truth/devices/{device}", get(get_device))
        .route("/truth/{cloud}", get(get_cloud_truth))
        .route("/truth/{cloud}/{account}", get(get_account_truth))
        .route("/{cloud}/accounts", get(list_accounts).post(create_account))
        .route(
            "/{cloud}/accounts/{account}",
            get(get_account).delete(delete_account),
        )
        .route("/{cloud}/accounts/{account}/password", put(set_password))
        .route("/{cloud}/accounts/{account}/forbid", post(forbid_commands))
        .route("/{cloud}/accounts/{account}/revoke", post(revoke_tokens))
        .route("/{cloud}/accounts/{account}/expire", post(expire_tokens))
        .route("/{cloud}/accounts/{account}/grant", post(grant_tokens))
        .route("/{cloud}/accounts/{account}/devices", post(add_device))
        .route("/{cloud}/faults", post(add_fault))
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, ControlError> {
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| ControlError::invalid(error.to_string()))
}

fn made<T: Serialize>(thing: T) -> Response {
    (StatusCode::CREATED, Json(thing)).into_response()
}

async fn get_clock(State(shared): Shares) -> Response {
    Json(shared.clock()).into_response()
}

#[derive(Deserialize)]
struct ClockBody {
    now: Option<Timestamp>,
    speed: Option<f64>,
}

async fn set_clock(State(shared): Shares, body: Bytes) -> Result<Response, ControlError> {
    let body: ClockBody = parse(&body)?;
    if let Some(speed) = body.speed {
        shared.set_speed(speed)?;
    }
    if let Some(now) = body.now {
        shared.set_now(now).await?;
    }
    Ok(Json(shared.clock()).into_response())
}

#[derive(Deserialize)]
struct AdvanceBody {
    seconds: f64,
}

async fn advance(State(shared): Shares, body: Bytes) -> Result<Response, ControlError> {
    shared
        .advance_seconds(parse::<AdvanceBody>(&body)?.seconds)
        .await?;
    Ok(Json(shared.clock()).into_response())
}

async fn list_all_accounts(State(shared): Shares) -> Response {
    Json(shared.accounts(None)).into_response()
}

async fn list_accounts(State(shared): Shares, Path(cloud): Path<Cloud>) -> Response {
    Json(shared.accounts(Some(cloud))).into_response()
}

async fn create_account(
    State(shared): Shares,
    Path(cloud): Path<Cloud>,
    body: Bytes,
) -> Result<Response, ControlError> {
    Ok(made(
        shared.create_account(cloud, parse::<AccountSpec>(&body)?)?,
    ))
}

async fn get_account(
    State(shared): Shares,
    Path((cloud, account)): Path<(Cloud, String)>,
) -> Answer<types::AccountInfo> {
    shared.account(cloud, &account).map(Json)
}

async fn delete_account(
    State(shared): Shares,
    Path((cloud, account)): Path<(Cloud, String)>,
) -> Result<StatusCode, ControlError> {
    shared
        .delete_account(cloud, &account)
        .map(|()| StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct PasswordBody {
    password: String,
}

async fn set_password(
    State(shared): Shares,
    Path((cloud, account)): Path<(Cloud, String)>,
    body: Bytes,
) -> Result<StatusCode, ControlError> {
    let PasswordBody { password } = parse(&body)?;
    shared
        .set_password(cloud, &account, &password)
        .map(|()| StatusCode::NO_CONTENT)
}

async fn forbid_commands(
    State(shared): Shares,
    Path((cloud, account)): Path<(Cloud, String)>,
) -> Result<StatusCode, ControlError> {
    shared
        .forbid_commands(cloud, &account)
        .map(|()| StatusCode::NO_CONTENT)
}

async fn revoke_tokens(
    State(shared): Shares,
    Path((cloud, account)): Path<(Cloud, String)>,
) -> Result<StatusCode, ControlError> {
    shared
        .revoke_tokens(cloud, &account)
        .map(|()| StatusCode::NO_CONTENT)
}

async fn expire_tokens(
    State(shared): Shares,
    Path((cloud, account)): Path<(Cloud, String)>,
) -> Result<StatusCode, ControlError> {
    shared
        .expire_tokens(cloud, &account)
        .map(|()| StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct GrantBody {
    client_id: Option<String>,
}

async fn grant_tokens(
    State(shared): Shares,
    Path((cloud, account)): Path<(Cloud, String)>,
    body: Bytes,
) -> Answer<serde_json::Value> {
    let GrantBody { client_id } = parse(&body)?;
    let tokens = shared.grant_tokens(cloud, &account, client_id.as_deref())?;
    Ok(Json(match cloud {
        Cloud::Volta => json!({
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token,
            "token_type": "Bearer",
            "expires_in": tokens.expires_in,
            "account_id": shared.account(cloud, &account)?.id,
        }),
        Cloud::Rivoli => json!({"token": tokens.access_token, "expires_in": tokens.expires_in}),
        Cloud::Helios => json!({
            "access": tokens.access_token,
            "access_ttl": tokens.expires_in,
            "refresh": tokens.refresh_token,
        }),
    }))
}

#[derive(Deserialize)]
struct DeviceBody {
    kind: DeviceKind,
}

async fn add_device(
    State(shared): Shares,
    Path((cloud, account)): Path<(Cloud, String)>,
    body: Bytes,
) -> Result<Response, ControlError> {
    let DeviceBody { kind } = parse(&body)?;
    Ok(made(shared.add_device(cloud, &account, kind).await?))
}

async fn get_device(
    State(shared): Shares,
    Path(device): Path<String>,
) -> Answer<serde_json::Value> {
    shared.device_truth(&device).map(Json)
}

async fn patch_device(
    State(shared): Shares,
    Path(device): Path<String>,
    body: Bytes,
) -> Answer<serde_json::Value> {
    shared.patch_device(&device, &parse(&body)?).await.map(Json)
}

async fn remove_device(
    State(shared): Shares,
    Path(device): Path<String>,
) -> Result<StatusCode, ControlError> {
    shared
        .remove_device(&device)
        .await
        .map(|()| StatusCode::NO_CONTENT)
}

async fn add_fault(
    State(shared): Shares,
    Path(cloud): Path<Cloud>,
    body: Bytes,
) -> Result<Response, ControlError> {
    let fault: FaultSpec = parse(&body)?;
    Ok(made(shared.add_fault(cloud, fault).await?))
}

async fn list_faults(State(shared): Shares) -> Response {
    Json(shared.faults()).into_response()
}

async fn drop_fault(
    State(shared): Shares,
    Path(id): Path<String>,
) -> Result<StatusCode, ControlError> {
    shared
        .drop_fault(&id)
        .await
        .map(|()| StatusCode::NO_CONTENT)
}

async fn drop_all_faults(State(shared): Shares) -> StatusCode {
    shared.drop_all_faults().await;
    StatusCode::NO_CONTENT
}

async fn add_script(State(shared): Shares, body: Bytes) -> Result<Response, ControlError> {
    let script: Vec<ScriptEntry> = parse(&body)?;
    Ok(made(shared.add_script(script).await?))
}

async fn get_truth(State(shared): Shares) -> Answer<serde_json::Value> {
    shared.world().truth(None, None).map(Json)
}

async fn get_cloud_truth(
    State(shared): Shares,
    Path(cloud): Path<Cloud>,
) -> Answer<serde_json::Value> {
    shared.world().truth(Some(cloud), None).map(Json)
}

async fn get_account_truth(
    State(shared): Shares,
    Path((cloud, account)): Path<(Cloud, String)>,
) -> Answer<serde_json::Value> {
    shared.world().truth(Some(cloud), Some(&account)).map(Json)
}
