//! Bodies, bounded in size and time.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, Request},
    http::StatusCode,
};

use super::fields::{Fields, Payload};
use crate::{
    error::{ApiError, ApiResult},
    state::ApiState,
};

/// Longest time that a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read_body(mut request: Request, limit: usize) -> ApiResult<Bytes> {
    DefaultBodyLimit::max(limit).apply(&mut request);
    match tokio::time::timeout(PATIENCE, Bytes::from_request(request, &())).await {
        Err(_) => Err(ApiError::BodyTooSlow),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(refused)) if refused.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(ApiError::BodyTooLarge)
        }
        Ok(Err(_)) => Err(ApiError::Unreadable(
            "The body ended before its time.".to_owned(),
        )),
    }
}

/// A JSON body with the fields of `T` and no others.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: Payload> FromRequest<ApiState> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Self::Rejection> {
        let bytes = read_body(request, state.options().body_limit).await?;
        Fields::parse(&bytes)
            .map(Self)
            .map_err(|issues| T::refused(issues).into())
    }
}

/// A JSON body that is an array of objects with the fields of `T` and no others.
#[derive(Debug)]
pub(crate) struct JsonListBody<T>(pub(crate) Vec<T>);

impl<T: Payload> FromRequest<ApiState> for JsonListBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Self::Rejection> {
        let bytes = read_body(request, state.options().body_limit).await?;
        Fields::parse_list(&bytes)
            .map(Self)
            .map_err(|issues| T::refused(issues).into())
    }
}
