//! Query parameters.

use std::{borrow::Cow, convert::Infallible, ops::Range};

use axum::{
    extract::FromRequestParts,
    http::{Uri, request::Parts},
};
use livewatt_domain::Timestamp;

use crate::error::{ApiError, ApiResult};

/// The query parameters of a request. Those that nobody asks for are of no consequence.
#[derive(Debug, Clone)]
pub(crate) struct QueryArgs(Vec<(String, String)>);

impl QueryArgs {
    /// Those of a request.
    pub(crate) fn of(parts: &Parts) -> Self {
        Self::of_uri(&parts.uri)
    }

    /// Those of an address.
    pub(crate) fn of_uri(uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default();
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

/// A parameter that is a moment, if it is given.
pub(crate) fn moment_arg(args: &QueryArgs, name: &'static str) -> ApiResult<Option<Timestamp>> {
    let read = args.one(name)?.map(|text| {
        text.parse()
            .map_err(|_| ApiError::invalid(name, "must be a moment like 2026-03-02T06:00:00.000Z"))
    });
    read.transpose()
}

/// The range of time from `from` to `to`, which both must be given.
pub(crate) fn range_args(args: &QueryArgs) -> ApiResult<Range<Timestamp>> {
    let required =
        |name| moment_arg(args, name)?.ok_or_else(|| ApiError::invalid(name, "is required"));
    Ok(required("from")?..required("to")?)
}

impl<S: Send + Sync> FromRequestParts<S> for QueryArgs {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(parts))
    }
}
