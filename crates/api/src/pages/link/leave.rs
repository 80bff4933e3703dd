//! The ways back to the app.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use livewatt_domain::link::LinkState;
use url::Url;

use super::{
    templates::DonePage,
    visit::{Stop, Visit, has_account, unstored},
};
use crate::{
    error::LinkTrouble,
    pages::{Loads, page},
};

/// Seconds until the good end leads back to the app by itself.
const LINGER: u32 = 4;

/// `GET /link/{token}/done`
pub(super) async fn done(visit: Visit) -> Result<Response, Stop> {
    let session = visit.any_session().await?;
    if !matches!(session.state, LinkState::Done { .. }) {
        return Err(visit.go(""));
    }
    if !visit.is_known_browser() {
        return Err(visit.stop(LinkTrouble::Used));
    }
    let mut frame = visit
        .frame(&session, visit.texts_of(&session).done_title)
        .await?;
    frame.refresh = Some((LINGER, "/return"));
    Ok(page(StatusCode::OK, &DonePage { f: frame }, Loads::Styles))
}

/// `GET /link/{token}/return`: with an account linked, or a device that will come.
pub(super) async fn to_app(visit: Visit) -> Result<Response, Stop> {
    let session = visit.any_session().await?;
    if !has_account(&session) {
        return cancel(visit).await;
    }
    leave(&visit, &session.redirect_uri)
}

/// `GET /link/{token}/cancel`: the user has thought better of it.
pub(super) async fn cancel(visit: Visit) -> Result<Response, Stop> {
    early(visit, "access_denied", |t| t.user_left).await
}

/// `GET /link/{token}/give-up`: the vendor did not let the user in.
pub(super) async fn give_up(visit: Visit) -> Result<Response, Stop> {
    early(visit, "server_error", |t| t.vendor_failed).await
}

async fn early(
    visit: Visit,
    error: &str,
    message: fn(&super::texts::Texts) -> &'static str,
) -> Result<Response, Stop> {
    let session = visit.any_session().await?;
    let message = message(visit.texts_of(&session));
    match with_error(&session.redirect_uri, error, message) {
        Some(uri) => leave(&visit, &uri),
        None => Err(visit.stop(LinkTrouble::Internal)),
    }
}

fn with_error(redirect_uri: &str, error: &str, message: &str) -> Option<String> {
    let mut url = Url::parse(redirect_uri).ok()?;
    url.query_pairs_mut()
        .append_pair("error", error)
        .append_pair("error_message", message);
    Some(url.into())
}

/// Sends the browser to the app, of whatever scheme its address is.
fn leave(visit: &Visit, uri: &str) -> Result<Response, Stop> {
    // As it was given if it can be a header; else as browsers would write it.
    let location = HeaderValue::from_str(uri)
        .ok()
        .or_else(|| HeaderValue::from_str(Url::parse(uri).ok()?.as_str()).ok());
    let Some(location) = location else {
        return Err(visit.stop(LinkTrouble::Internal));
    };
    let mut response = unstored(StatusCode::SEE_OTHER.into_response());
    response.headers_mut().insert(header::LOCATION, location);
    response
        .headers_mut()
        .insert(header::SET_COOKIE, visit.set_cookie(false));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_added_to_addresses_of_any_kind() {
        let with = |uri| with_error(uri, "access_denied", "The user left").unwrap();
        let tail = "error=access_denied&error_message=The+user+left";
        assert_eq!(with("myapp://done"), format!("myapp://done?{tail}"));
        assert_eq!(with("myapp:done"), format!("myapp:done?{tail}"));
        assert_eq!(
            with("https://a.example/b?c=d#e"),
            format!("https://a.example/b?c=d&{tail}#e")
        );
    }
}
