//! Linking: the pages on which an end user connects a vendor account.
//!
//! The user comes by `/link/{token}`, agrees to what is asked for, chooses a brand, signs in (in a
//! form, at the vendor's own page, or by setting up a device) and returns to the app. Opening the
//! link ties the session to the browser by a cookie; every form carries a code made of it. Leaving
//! is possible from every page and changes nothing: the link works until it has linked an account
//! or its time is over.
//!
//! Nothing here needs scripts. Pages that lead to other sites do it by a plain link, so that forms
//! can be confined to this server.

mod choose;
mod consent;
mod leave;
mod sign_in;
mod templates;
mod texts;
mod visit;

use axum::{
    Router,
    routing::{get, post},
};

use crate::state::ApiState;

/// The pages of linking.
pub(crate) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/link/callback", get(sign_in::callback))
        .route("/link/{token}", get(consent::show))
        .route("/link/{token}/consent", post(consent::agree))
        .route(
            "/link/{token}/vendor",
            get(choose::show).post(choose::choose),
        )
        .route(
            "/link/{token}/sign-in",
            get(sign_in::begin).post(sign_in::submit),
        )
        .route("/link/{token}/done", get(leave::done))
        .route("/link/{token}/return", get(leave::to_app))
        .route("/link/{token}/cancel", get(leave::cancel))
        .route("/link/{token}/give-up", get(leave::give_up))
}
