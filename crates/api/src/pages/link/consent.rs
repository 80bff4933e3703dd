//! The first page: who asks, for what, and the user's consent.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use livewatt_domain::link::LinkState;

use super::{
    templates::{Asked, ConsentPage},
    visit::{Posted, Stop, Visit},
};
use crate::pages::{Loads, page};

/// `GET /link/{token}`: ties the session to the browser.
pub(super) async fn show(visit: Visit) -> Result<Response, Stop> {
    let session = visit.session().await?;
    let t = visit.texts_of(&session);
    let title = if session.relink.is_some() {
        t.relink_title
    } else {
        t.intro_title
    };
    let mut response = match session.state {
        // The account exists: what is left to do is at the device.
        LinkState::Waiting { .. } => visit.go("/sign-in").into_response(),
        _ => {
            let kinds = Asked::of(&session.kinds(), &session.scopes);
            let frame = visit.frame(&session, title).await?;
            let consent = ConsentPage {
                f: frame,
                code: visit.form_code("consent"),
                kinds,
            };
            page(StatusCode::OK, &consent, Loads::Styles)
        }
    };
    response
        .headers_mut()
        .insert(header::SET_COOKIE, visit.set_cookie(true));
    Ok(response)
}

/// `POST /link/{token}/consent`
pub(super) async fn agree(Posted { visit, request }: Posted) -> Result<Response, Stop> {
    visit.form(request, "consent").await?;
    let engine = visit.state.engine();
    engine
        .link_consent(&visit.token)
        .await
        .map_err(|error| visit.failed(error))?;
    Err(visit.go("/vendor"))
}
