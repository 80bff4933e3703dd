//! What vendors tell us without being asked.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
};
use livewatt_engine::push::PushReceipt;

use crate::{
    error::{ApiError, ApiResult},
    extract::{PathArg, read_body},
    state::ApiState,
};

/// `POST /vendors/{integration}/push`. Acknowledged once it is stored.
pub(crate) async fn receive(
    State(state): State<ApiState>,
    PathArg(integration): PathArg,
    request: Request,
) -> ApiResult<StatusCode> {
    let headers: HeaderMap = request.headers().clone();
    let body = read_body(request, state.options().push_body_limit).await?;
    let receipt = state
        .to_the_end(|engine| async move {
            let header = |name: &str| {
                headers
                    .get(name)
                    .and_then(|v| v.to_str().ok())
                    .map(str::to_owned)
            };
            engine.receive_push(&integration, &header, &body).await
        })
        .await?;
    match receipt {
        PushReceipt::Taken => Ok(StatusCode::NO_CONTENT),
        PushReceipt::UnknownIntegration => Err(ApiError::IntegrationNotFound),
        PushReceipt::Unverified => Err(ApiError::PushUnverified),
        PushReceipt::Malformed => Err(ApiError::PushMalformed),
    }
}
