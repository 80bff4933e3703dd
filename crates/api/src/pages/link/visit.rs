//! A visit of a browser: which session it is about, and whether it is that session's browser.

use std::collections::BTreeMap;

use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use livewatt_domain::link::{LinkSession, LinkState};
use livewatt_engine::{EngineError, error::LinkSessionProblem, link::LinkChoice};
use sha2::Sha256;

use super::{
    templates::{Frame, NoticePage},
    texts::{Language, Texts},
};
use crate::{
    error::{ApiError, LinkTrouble},
    extract::{PathArg, read_body},
    pages::{Loads, page},
    state::ApiState,
};

/// Name of the cookie that ties a session to a browser.
const COOKIE: &str = "livewatt_link";
/// Longest token that can be one of ours.
const MAX_TOKEN: usize = 128;

/// A visit of a browser to a session's pages.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    pub(super) state: ApiState,
    pub(super) token: String,
    cookie: Option<String>,
    accept_language: Option<String>,
}

impl FromRequestParts<ApiState> for Visit {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &ApiState,
    ) -> Result<Self, Self::Rejection> {
        let PathArg(token) = PathArg::from_request_parts(parts, state).await?;
        Ok(Self::new(state, &parts.headers, token))
    }
}

impl Visit {
    fn new(state: &ApiState, headers: &HeaderMap, token: String) -> Self {
        let accept_language = headers
            .get(header::ACCEPT_LANGUAGE)
            .and_then(|v| v.to_str().ok());
        Self {
            state: state.clone(),
            token,
            cookie: cookie(headers),
            accept_language: accept_language.map(str::to_owned),
        }
    }

    /// The visit of a browser that a vendor sent back: its cookie says which session it is about.
    pub(super) fn of_callback(state: &ApiState, headers: &HeaderMap) -> Self {
        Self::new(state, headers, cookie(headers).unwrap_or_default())
    }

    /// The texts while no session is known.
    pub(super) fn texts(&self) -> &'static Texts {
        Language::choose("browser", self.accept_language.as_deref()).texts()
    }

    /// The texts that a session wants.
    pub(super) fn texts_of(&self, session: &LinkSession) -> &'static Texts {
        Language::choose(&session.language, self.accept_language.as_deref()).texts()
    }

    /// Whether the browser has opened this session's link last.
    pub(super) fn is_known_browser(&self) -> bool {
        let cookie = self.cookie.as_deref().unwrap_or_default();
        // The same bytes and in the same time, whatever they are.
        !self.token.is_empty() && code(cookie, "cookie") == code(&self.token, "cookie")
    }

    /// The session, if it can still be used.
    pub(super) async fn session(&self) -> Result<LinkSession, Stop> {
        if self.token.len() > MAX_TOKEN {
            return Err(self.stop(LinkTrouble::Unknown));
        }
        self.state
            .engine()
            .link_session(&self.token)
            .await
            .map_err(|error| self.failed(error))
    }

    /// The session, for a page that only its browser may see; sends others to the beginning.
    pub(super) async fn session_here(&self) -> Result<LinkSession, Stop> {
        let session = self.session().await?;
        match self.is_known_browser() {
            true => Ok(session),
            false => Err(self.go("")),
        }
    }

    /// The session whatever its state.
    pub(super) async fn any_session(&self) -> Result<LinkSession, Stop> {
        if self.token.len() > MAX_TOKEN {
            return Err(self.stop(LinkTrouble::Unknown));
        }
        self.state
            .engine()
            .any_link_session(&self.token)
            .await
            .map_err(|error| self.failed(error))
    }

    /// Address of a page of this session.
    pub(super) fn address(&self, page: &str) -> String {
        format!("{}/link/{}{page}", self.state.base(), self.token)
    }

    /// Sends the browser to another page of this session.
    pub(super) fn go(&self, page: &str) -> Stop {
        Stop(Box::new(unstored(
            Redirect::to(&self.address(page)).into_response(),
        )))
    }

    /// The hidden code of a form.
    pub(super) fn form_code(&self, purpose: &str) -> String {
        code(&self.token, purpose)
    }

    /// Reads a form, if it is from a page of ours in this session's browser.
    pub(super) async fn form(
        &self,
        request: Request,
        purpose: &str,
    ) -> Result<BTreeMap<String, String>, Stop> {
        let bytes = read_body(request, self.state.options().body_limit)
            .await
            .map_err(|_| self.stop(LinkTrouble::Unreadable))?;
        let mut fields: BTreeMap<String, String> =
            url::form_urlencoded::parse(&bytes).into_owned().collect();
        let given = fields.remove("code").unwrap_or_default();
        let is_ours = self.is_known_browser() && is_code(&self.token, purpose, &given);
        if is_ours {
            Ok(fields)
        } else {
            Err(self.stop(LinkTrouble::OtherBrowser))
        }
    }

    /// What every page shows around its own content.
    pub(super) async fn frame(
        &self,
        session: &LinkSession,
        title: &'static str,
    ) -> Result<Frame, Stop> {
        let name = self.state.engine().link_client_name(session).await;
        let app = name.map_err(|error| self.failed(error))?;
        let t = self.texts_of(session);
        // A client may have no name; "the app" would need a case in every sentence.
        let app = if app.trim().is_empty() {
            "App".to_owned()
        } else {
            app
        };
        let brand = self
            .chosen(session)
            .map(|choice| choice.display_name)
            .unwrap_or_default();
        Ok(Frame {
            t,
            base: self.state.base().to_owned(),
            here: self.address(""),
            scheme: scheme(&session.color_scheme),
            title,
            app,
            brand,
            refresh: None,
        })
    }

    /// The brand chosen in a session.
    pub(super) fn chosen(&self, session: &LinkSession) -> Option<LinkChoice> {
        let progress = &session.progress;
        let integration = progress.integration.as_deref()?;
        let vendor = progress.vendor.as_ref().or(session.vendor.as_ref());
        self.state
            .engine()
            .link_choices(session)
            .into_iter()
            .find(|choice| {
                choice.integration == integration
                    && vendor.is_none_or(|vendor| vendor.as_str() == choice.vendor)
            })
    }

    /// A page that says what is in the way.
    pub(super) fn stop(&self, trouble: LinkTrouble) -> Stop {
        let t = self.texts();
        let (title, text) = t.trouble(trouble);
        let start = matches!(trouble, LinkTrouble::OtherBrowser | LinkTrouble::Unreadable)
            && !self.token.is_empty();
        let notice = NoticePage {
            t,
            base: self.state.base(),
            title,
            text,
            start: start.then(|| self.address("")),
        };
        Stop(Box::new(page(trouble.status(), &notice, Loads::Styles)))
    }

    /// A page for what a use case refused or failed at.
    pub(super) fn failed(&self, error: EngineError) -> Stop {
        let trouble = match &error {
            EngineError::LinkSession(LinkSessionProblem::Unknown) => LinkTrouble::Unknown,
            EngineError::LinkSession(LinkSessionProblem::Expired) => LinkTrouble::Expired,
            EngineError::LinkSession(LinkSessionProblem::Used) => LinkTrouble::Used,
            EngineError::ConnectionLimit => LinkTrouble::Full,
            // A step was left out, as by a page kept open for long: the beginning leads on.
            EngineError::Invalid(_) | EngineError::Precondition { .. } => return self.go(""),
            EngineError::InvalidWebhook(_)
            | EngineError::UserNotFound(_)
            | EngineError::DeviceNotFound
            | EngineError::ActionNotFound(_)
            | EngineError::ScheduleNotFound(_)
            | EngineError::PlanNotFound(_)
            | EngineError::NoOverride
            | EngineError::ScopeMissing(_)
            | EngineError::ActionRefused { .. }
            | EngineError::InterventionNotFound(_)
            | EngineError::LocationNotFound(_)
            | EngineError::TariffNotFound(_)
            | EngineError::StatisticsNotAvailable
            | EngineError::VendorUnavailable { .. }
            | EngineError::WebhookNotFound(_)
            | EngineError::Internal { .. } => LinkTrouble::Internal,
        };
        ApiError::from(error).log();
        self.stop(trouble)
    }

    /// The header that ties this session to the browser, or unties it.
    pub(super) fn set_cookie(&self, is_tied: bool) -> HeaderValue {
        let (value, age) = if is_tied {
            (self.token.as_str(), 86_400)
        } else {
            ("", 0)
        };
        let secure = if self.state.is_secure() {
            "; Secure"
        } else {
            ""
        };
        let base = self.state.base();
        let text = format!(
            "{COOKIE}={value}; Path={base}/link; Max-Age={age}; HttpOnly; SameSite=Lax{secure}"
        );
        // A token that is no header value found no session before.
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
    }
}

/// Why a page is not shown: what is shown in its stead.
#[derive(Debug)]
pub(super) struct Stop(Box<Response>);

impl IntoResponse for Stop {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// Marks an answer as nothing to keep, and our address as nothing to tell.
pub(super) fn unstored(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    response
}

/// Whether a session has done its work, or has left the rest to a device.
pub(super) fn has_account(session: &LinkSession) -> bool {
    matches!(
        session.state,
        LinkState::Done { .. } | LinkState::Waiting { .. }
    )
}

fn scheme(name: &str) -> &'static str {
    match name {
        "light" => "light",
        "dark" => "dark",
        _ => "system",
    }
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, value)| *name == COOKIE && !value.is_empty() && value.len() <= MAX_TOKEN)
        .map(|(_, value)| value.to_owned())
}

fn mac(token: &str, purpose: &str) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(b"livewatt link form: ");
    mac.update(purpose.as_bytes());
    mac
}

fn code(token: &str, purpose: &str) -> String {
    hex::encode(mac(token, purpose).finalize().into_bytes())
}

fn is_code(token: &str, purpose: &str, given: &str) -> bool {
    hex::decode(given).is_ok_and(|given| mac(token, purpose).verify_slice(&given).is_ok())
}

/// A form or page request of which the body is read by the handler.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) visit: Visit,
    pub(super) request: Request,
}

impl FromRequest<ApiState> for Posted {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Self::Rejection> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, state).await?;
        Ok(Self {
            visit,
            request: Request::from_parts(parts, body),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_hold_for_one_session_and_purpose() {
        let good = code("token", "consent");
        assert!(is_code("token", "consent", &good));
        assert!(!is_code("token", "vendor", &good));
        assert!(!is_code("other", "consent", &good));
        assert!(!is_code("token", "consent", ""));
        assert!(!is_code("token", "consent", "zz"));
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let headers = HeaderMap::from_iter([(
            header::COOKIE,
            "a=b; livewatt_link=abc; livewatt_link_2=x".parse().unwrap(),
        )]);
        assert_eq!(cookie(&headers).as_deref(), Some("abc"));
        assert_eq!(cookie(&HeaderMap::new()), None);
    }
}
