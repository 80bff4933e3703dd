//! Access tokens: OAuth 2.0 client credentials (RFC 6749, section 4.4).

use std::net::IpAddr;

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use livewatt_engine::clients::IssuedToken;
use livewatt_vendors::Secret;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    attempts::{Door, address_in},
    error::{ApiResult, TokenError},
    extract::{basic_credentials, read_body},
    state::ApiState,
};

/// An access token.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenResponse {
    /// For the header `Authorization: Bearer …`.
    access_token: String,
    /// Seconds until it ceases to work.
    #[schema(minimum = 1)]
    expires_in: i64,
    /// Always empty: a token opens everything inside of its client.
    scope: &'static str,
    /// Always `bearer`.
    token_type: &'static str,
}

/// What is asked for; the client proves itself by `Basic` authorization or in the body.
#[derive(Debug, Default, ToSchema)]
#[expect(dead_code, reason = "describes a form, which is read by name")]
pub(crate) struct TokenRequest {
    /// Must be `client_credentials`.
    grant_type: String,
    /// The client's ID, unless given by `Basic` authorization.
    client_id: Option<String>,
    /// The client's secret, unless given by `Basic` authorization.
    client_secret: Option<String>,
}

/// `POST /oauth2/token`
pub(crate) async fn issue(
    State(state): State<ApiState>,
    request: Request,
) -> Result<Response, TokenError> {
    let headers = request.headers().clone();
    let address = address_in(request.extensions());
    let body = read_body(request, state.options().body_limit)
        .await
        .map_err(TokenError::Other)?;
    let form = read_form(&headers, &body)?;
    match form.one("grant_type")? {
        None => return Err(TokenError::InvalidRequest("grant_type is required")),
        Some(grant) if grant != "client_credentials" => {
            return Err(TokenError::UnsupportedGrantType);
        }
        Some(_) => {}
    }
    let (id, secret) = credentials(&headers, &form)?;
    let issued = check(&state, id, secret, address)
        .await
        .map_err(TokenError::Other)?
        .ok_or(TokenError::InvalidClient)?;
    let body = TokenResponse {
        access_token: issued.token.reveal().to_owned(),
        expires_in: issued.expires_in,
        scope: "",
        token_type: "bearer",
    };
    let unstored = [
        (header::CACHE_CONTROL, "no-store"),
        (header::PRAGMA, "no-cache"),
    ];
    Ok((unstored, Json(body)).into_response())
}

/// Checks a secret when its turn comes; `None` if it does not fit.
async fn check(
    state: &ApiState,
    id: String,
    secret: String,
    address: IpAddr,
) -> ApiResult<Option<IssuedToken>> {
    let attempts = state.attempts();
    let admission = attempts
        .admit(attempts.claim(Door::Token, &id, &secret, address), || {
            state.engine().now()
        })
        .await?;
    // To the end, so that it holds its place as long as its thread works: a caller who hangs up
    // must not make room for another check beside it.
    state
        .to_the_end(|engine| async move {
            let issued = engine.issue_token(&id, Secret::new(secret)).await;
            match &issued {
                Ok(Some(_)) => admission.was_right(),
                Ok(None) => admission.was_wrong(engine.now()),
                Err(_) => admission.was_unknown(),
            }
            issued
        })
        .await
}

struct Form(Vec<(String, String)>);

impl Form {
    fn one(&self, name: &str) -> Result<Option<&str>, TokenError> {
        let mut values = self.0.iter().filter(|(key, _)| key == name);
        let first = values.next().map(|(_, value)| value.as_str());
        match values.next() {
            None => Ok(first),
            Some(_) => Err(TokenError::InvalidRequest("a parameter is given twice")),
        }
    }
}

fn read_form(headers: &HeaderMap, body: &[u8]) -> Result<Form, TokenError> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = content_type
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    if !essence.is_some_and(|e| e.eq_ignore_ascii_case("application/x-www-form-urlencoded")) {
        return Err(TokenError::InvalidRequest(
            "the body must be of type application/x-www-form-urlencoded",
        ));
    }
    let pairs = url::form_urlencoded::parse(body);
    Ok(Form(
        pairs
            .map(|(key, value)| (key.into_owned(), value.into_owned()))
            .collect(),
    ))
}

fn credentials(headers: &HeaderMap, form: &Form) -> Result<(String, String), TokenError> {
    let in_body = (form.one("client_id")?, form.one("client_secret")?);
    if !headers.contains_key(header::AUTHORIZATION) {
        return match in_body {
            (Some(id), Some(secret)) => Ok((id.to_owned(), secret.to_owned())),
            _ => Err(TokenError::InvalidClient),
        };
    }
    let (id, secret) = basic_credentials(headers).ok_or(TokenError::InvalidClient)?;
    let (id, secret) = (form_decoded(&id), form_decoded(&secret));
    if in_body.1.is_some() || in_body.0.is_some_and(|other| other != id) {
        return Err(TokenError::InvalidRequest(
            "the client must be named in one way only",
        ));
    }
    Ok((id, secret))
}

/// Both halves of `Basic` are form-encoded first (RFC 6749, section 2.3.1).
fn form_decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " "))
        .decode_utf8_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_STANDARD};

    use super::*;

    fn form(text: &str) -> Form {
        let headers = HeaderMap::from_iter([(
            header::CONTENT_TYPE,
            "application/x-www-form-urlencoded; charset=utf-8"
                .parse()
                .unwrap(),
        )]);
        read_form(&headers, text.as_bytes()).unwrap()
    }

    fn basic(text: &str) -> HeaderMap {
        let value = format!("Basic {}", BASE64_STANDARD.encode(text));
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn clients_are_named_in_one_way() {
        let given = credentials(&basic("id:a%3Ab"), &form("grant_type=x")).unwrap();
        assert_eq!(given, ("id".to_owned(), "a:b".to_owned()));
        let given = credentials(&HeaderMap::new(), &form("client_id=id&client_secret=s")).unwrap();
        assert_eq!(given, ("id".to_owned(), "s".to_owned()));
        assert!(matches!(
            credentials(&basic("id:s"), &form("client_secret=s")),
            Err(TokenError::InvalidRequest(_))
        ));
        assert!(matches!(
            credentials(&HeaderMap::new(), &form("client_id=id")),
            Err(TokenError::InvalidClient)
        ));
        assert!(read_form(&HeaderMap::new(), b"a=b").is_err());
    }
}
