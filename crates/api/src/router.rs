//! The router: the table of operations, the pages, and what every request passes.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn, from_fn_with_state},
};
use livewatt_engine::Engine;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    error::ApiError,
    extract::speak_version,
    observe::{limit_headers, limit_time, observe, panicked},
    operations::{Auth, operations},
    pages,
    state::{ApiOptions, ApiState},
};

/// Everything that is served over HTTP.
pub fn router(engine: Arc<Engine>, options: ApiOptions) -> Router {
    let state = ApiState::new(engine, options);
    let mut api = Router::new();
    for operation in operations() {
        let handler = match operation.auth {
            Auth::Bearer | Auth::Optional | Auth::None => {
                operation.handler.layer(from_fn(speak_version))
            }
            Auth::Basic | Auth::Signature => operation.handler,
        };
        if let Some(path) = operation.also_at {
            api = api.route(path, handler.clone());
        }
        api = api.route(&operation.path, handler);
    }
    let api = api.merge(pages::routes(state.options()));
    let patience = state.options().request_timeout;
    let api = api.layer(from_fn(move |request: Request, next: Next| {
        limit_time(patience, request, next)
    }));
    let patience = state.options().link_timeout;
    let link = pages::link::routes().layer(from_fn(move |request: Request, next: Next| {
        limit_time(patience, request, next)
    }));
    let every = ServiceBuilder::new()
        .layer(from_fn_with_state(state.clone(), observe))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(state.clone(), limit_headers));
    api.merge(link)
        .fallback(async || ApiError::RouteNotFound)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(every)
        .with_state(state)
}
