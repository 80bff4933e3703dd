//! Query parameters.

use std::{borrow::Cow, convert::Infallible};

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::error::ApiError;

/// The query parameters of a request. Those that nobody asks for are of no consequence.
#[derive(Debug, Clone)]
pub(crate) struct QueryArgs(Vec<(String, String)>);

impl QueryArgs {
    /// Those of a request.
    pub(crate) fn of(parts: &Parts) -> Self {
        let query = parts.uri.query().unwrap_or_default();
        Self(
            url::form_urlencoded::parse(query.as_bytes())
                .map(owned)
                .collect(),
        )
    }

    /// The value of a parameter that may be given once.
    pub(crate) fn one(&self, name: &'static str) -> Result<Option<String>, ApiError> {
        let mut values = self
            .0
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value);
        let first = values.next().cloned();
        match values.next() {
            None => Ok(first),
            Some(_) => Err(ApiError::invalid(name, "must not be given twice")),
        }
    }

    /// All parameters, the last of each name.
    pub(crate) fn into_map(self) -> std::collections::BTreeMap<String, String> {
        self.0.into_iter().collect()
    }
}

fn owned((key, value): (Cow<'_, str>, Cow<'_, str>)) -> (String, String) {
    (key.into_owned(), value.into_owned())
}

impl<S: Send + Sync> FromRequestParts<S> for QueryArgs {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(parts))
    }
}
