//! The server about itself: its description and its numbers.

use std::sync::OnceLock;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use crate::{error::ApiError, state::ApiState};

/// `GET /openapi.json`
pub(crate) async fn openapi() -> Response {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    let text = DOCUMENT
        .get_or_init(|| serde_json::to_string_pretty(&crate::openapi()).unwrap_or_default());
    ([(header::CONTENT_TYPE, "application/json")], text.as_str()).into_response()
}

/// `GET /metrics`
pub(crate) async fn metrics(State(state): State<ApiState>) -> Response {
    match &state.options().metrics {
        Some(render) => (
            [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
            render(),
        )
            .into_response(),
        None => ApiError::RouteNotFound.into_response(),
    }
}
