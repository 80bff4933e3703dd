//! Pages for people: rendered here, styled by our own assets, working without any other host.

mod assets;
mod docs;
pub(crate) mod link;
mod live;

use askama::Template;
use axum::{
    Router,
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use livewatt_engine::EngineError;

use crate::{
    error::ApiError,
    state::{ApiOptions, ApiState},
};

/// The pages beside those of linking.
pub(crate) fn routes(options: &ApiOptions) -> Router<ApiState> {
    let pages = Router::new()
        .route("/", get(docs::index))
        .route("/docs", get(docs::reference))
        .route("/assets/{name}", get(assets::serve));
    match (options.show_live_page, options.live_client) {
        (true, Some(client)) => pages.merge(live::routes(client)),
        _ => pages,
    }
}

/// What a page may load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loads {
    /// Our styles.
    Styles,
    /// Our styles and scripts.
    Scripts,
}

/// A page with the headers that keep it to itself.
fn page(status: StatusCode, template: &impl Template, loads: Loads) -> Response {
    let html = match template.render() {
        Ok(html) => html,
        Err(error) => {
            let error = EngineError::internal("a page could not be rendered", error);
            return ApiError::from(error).into_response();
        }
    };
    let mut response = (status, Html(html)).into_response();
    let policy = match loads {
        Loads::Styles => {
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
             frame-ancestors 'none'; base-uri 'none'"
        }
        Loads::Scripts => {
            "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; \
             connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
        }
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
