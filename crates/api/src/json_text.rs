//! An answer whose JSON is text already.

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};

/// JSON that is rendered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct JsonText(pub(crate) String);

impl IntoResponse for JsonText {
    fn into_response(self) -> Response {
        let kind = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, kind)], self.0).into_response()
    }
}
