//! Who calls.

use std::sync::{Arc, OnceLock};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use livewatt_domain::id::ClientId;

use crate::{error::ApiError, state::ApiState};

/// A customer who has shown a valid access token. A handler without it visibly serves anybody.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    /// The customer.
    pub(crate) client_id: ClientId,
}

/// Tells the log of requests who called.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallerSlot(pub(crate) Arc<OnceLock<ClientId>>);

impl FromRequestParts<ApiState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &ApiState,
    ) -> Result<Self, Self::Rejection> {
        let token = bearer(&parts.headers).ok_or(ApiError::Unauthorized)?;
        let client_id = state
            .engine()
            .authenticate(token)
            .await?
            .ok_or(ApiError::Unauthorized)?;
        if let Some(slot) = parts.extensions.get::<CallerSlot>() {
            // Set already if two extractors ask: it is the same client.
            let _ = slot.0.set(client_id);
        }
        Ok(Self { client_id })
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    credentials(headers, "bearer").filter(|token| token.len() <= 512)
}

/// The user and the password of a `Basic` authorization.
pub(crate) fn basic_credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let encoded = credentials(headers, "basic")?;
    let decoded = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (given, rest) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn schemes_are_read_whatever_their_case() {
        assert_eq!(bearer(&with("bearer abc")), Some("abc"));
        assert_eq!(bearer(&with("BEARER  abc")), Some("abc"));
        assert_eq!(bearer(&with("Basic abc")), None);
        assert_eq!(bearer(&with("Bearer")), None);
        assert_eq!(bearer(&HeaderMap::new()), None);
        let both = basic_credentials(&with("Basic dXNlcjpwYTpzcw==")).unwrap();
        assert_eq!(both, ("user".to_owned(), "pa:ss".to_owned()));
        assert_eq!(basic_credentials(&with("Basic ?")), None);
    }
}
