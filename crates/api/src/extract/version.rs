//! The version of the contract that a request asks for.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::{IntoResponse, Response},
};
use livewatt_domain::API_VERSION;

use crate::error::ApiError;

const VERSION: HeaderName = HeaderName::from_static("enode-version");
const USER: HeaderName = HeaderName::from_static("enode-user-id");

/// Refuses versions that are not served, and the header that chose a user before 2024; tells the
/// version used.
pub(crate) async fn speak_version(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let mut response = if headers.contains_key(USER) {
        ApiError::Unreadable(
            "The header Enode-User-Id is not supported: name the user in the path.".to_owned(),
        )
        .into_response()
    } else if headers
        .get_all(VERSION)
        .iter()
        .any(|value| value != API_VERSION)
    {
        ApiError::UnknownVersion.into_response()
    } else {
        next.run(request).await
    };
    response
        .headers_mut()
        .insert(VERSION, HeaderValue::from_static(API_VERSION));
    response
}
