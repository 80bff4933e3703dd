//! What every request passes on its way in and out: an ID, a line in the log, a count, the limits.
//!
//! The log names the template of the path, never the path itself, for tokens of link sessions are
//! part of it; nor queries, headers or bodies.

use std::{any::Any, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use livewatt_domain::id::uuid_v7;
use livewatt_engine::SystemEntropy;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::{error::ApiError, extract::CallerSlot, state::ApiState};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The route of requests that no route fits.
const UNMATCHED: &str = "unmatched";

/// Gives the request an ID, and writes down how it was answered.
pub(crate) async fn observe(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let id = request_id(&state, &request);
    let method = request.method().as_str().to_owned();
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or(UNMATCHED, MatchedPath::as_str).to_owned();
    let slot = CallerSlot::default();
    request.extensions_mut().insert(slot.clone());
    let span = tracing::info_span!("request", request.id = id.to_str().unwrap_or_default());
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    let elapsed = began.elapsed();
    let client = slot.0.get().map(ToString::to_string);
    span.in_scope(|| {
        tracing::info!(
            http.method = %method,
            http.route = %route,
            http.status = status.as_u16(),
            duration_ms = elapsed.as_millis() as u64,
            client.id = client,
            "request answered"
        );
    });
    metrics::histogram!(
        "livewatt_http_request_duration_seconds",
        "method" => method.clone(), "route" => route.clone(),
    )
    .record(elapsed.as_secs_f64());
    metrics::counter!(
        "livewatt_http_requests_total",
        "method" => method, "route" => route, "status" => status.as_u16().to_string(),
    )
    .increment(1);
    response.headers_mut().insert(REQUEST_ID, id);
    response
        .headers_mut()
        .entry(header::X_CONTENT_TYPE_OPTIONS)
        .or_insert(HeaderValue::from_static("nosniff"));
    response
}

/// The ID that a proxy gave, if it is one; else a new one.
fn request_id(state: &ApiState, request: &Request) -> HeaderValue {
    let is_good = |value: &&HeaderValue| {
        (1..=64).contains(&value.len())
            && value
                .as_bytes()
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
    };
    request
        .headers()
        .get(REQUEST_ID)
        .filter(is_good)
        .cloned()
        .unwrap_or_else(|| {
            let id = uuid_v7(state.engine().now(), &SystemEntropy).to_string();
            HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("-"))
        })
}

/// Refuses requests with headers beyond the limit.
pub(crate) async fn limit_headers(
    State(state): State<ApiState>,
    request: Request,
    next: Next,
) -> Response {
    let line = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
    let size: usize = request.headers().iter().map(line).sum();
    let uri = request.uri();
    let size = size + uri.path().len() + uri.query().map_or(0, str::len);
    match size > state.options().header_limit {
        true => ApiError::HeadersTooLarge.into_response(),
        false => next.run(request).await,
    }
}

/// Answers for a handler that takes longer than permitted.
pub(crate) async fn limit_time(limit: Duration, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::Timeout.into_response(),
    }
}

/// Answers for a handler that panicked; the panic itself is logged by the hook of the process.
pub(crate) fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    ApiError::Panicked.into_response()
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, http::StatusCode, middleware::from_fn, routing::get};
    use tower::ServiceExt as _;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    #[tokio::test]
    async fn handlers_that_hang_or_panic_are_answered_for() {
        let patience = Duration::from_millis(20);
        let router: Router = Router::new()
            .route("/hangs", get(std::future::pending::<()>))
            .route("/panics", get(async || -> () { panic!("a test") }))
            .layer(from_fn(move |request: Request, next: Next| {
                limit_time(patience, request, next)
            }))
            .layer(CatchPanicLayer::custom(panicked));
        for (path, status) in [
            ("/hangs", StatusCode::SERVICE_UNAVAILABLE),
            ("/panics", StatusCode::INTERNAL_SERVER_ERROR),
        ] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        }
    }
}
