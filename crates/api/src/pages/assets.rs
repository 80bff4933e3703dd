//! Styles and scripts, part of the program.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

use crate::{
    error::{ApiError, ApiResult},
    extract::PathArg,
};

/// `GET /assets/{name}`
pub(super) async fn serve(PathArg(name): PathArg) -> ApiResult<Response> {
    const CSS: &str = "text/css; charset=utf-8";
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    let (kind, text) = match name.as_str() {
        "link.css" => (CSS, include_str!("../../assets/link.css")),
        "docs.css" => (CSS, include_str!("../../assets/docs.css")),
        "live.css" => (CSS, include_str!("../../assets/live.css")),
        "live.js" => (SCRIPT, include_str!("../../assets/live.js")),
        _ => return Err(ApiError::RouteNotFound),
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "public, max-age=300"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, text).into_response())
}
