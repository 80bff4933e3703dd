//! What goes wrong, and how each is answered: the only place that knows status codes of failures.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use livewatt_domain::{API_VERSION, id::ClientId};
use livewatt_engine::{
    EngineError, Issue,
    error::{LinkSessionProblem, chain},
};
use serde::Serialize;
use utoipa::ToSchema;

/// Result of a handler.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

/// Why a request was not done.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// A use case refused or failed.
    Engine(EngineError),
    /// The client may not link more accounts.
    ConnectionLimit(ClientId),
    /// The bearer token is missing, unknown or expired.
    Unauthorized,
    /// A charging station did not prove who it is.
    StationUnauthorized,
    /// A vendor's push is not signed as it should be.
    PushUnverified,
    /// A vendor's push makes no sense.
    PushMalformed,
    /// There is no such integration, or it does not push.
    IntegrationNotFound,
    /// The request cannot be understood; what is wrong, in words.
    Unreadable(String),
    /// The request names an API version that is not served.
    UnknownVersion,
    /// The events after the cursor are no longer kept.
    EventsGone,
    /// There is nothing at this address.
    RouteNotFound,
    /// There is something at this address, but not by this method.
    MethodNotAllowed,
    /// The body has more bytes than permitted.
    BodyTooLarge,
    /// The headers have more bytes than permitted.
    HeadersTooLarge,
    /// The body did not arrive in time.
    BodyTooSlow,
    /// The answer was not ready in time.
    Timeout,
    /// Too many attempts failed; how long to wait.
    TooManyAttempts(Duration),
    /// The client has as many event streams open as it may.
    TooManyStreams(usize),
    /// The server is stopping.
    Stopping,
    /// A handler panicked.
    Panicked,
}

impl ApiError {
    /// A parameter or field that is wrong.
    pub(crate) fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Engine(EngineError::invalid(path, message))
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// A problem document, the body of every refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Identifies the sort of problem.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The sort of problem, in words.
    pub(crate) title: String,
    /// This occurrence, in words.
    pub(crate) detail: String,
    /// What is wrong with the input, field by field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) issues: Vec<ProblemIssue>,
}

/// One thing that is wrong with an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ProblemIssue {
    /// Dotted path of the field; empty if it is the whole body.
    pub(crate) path: String,
    /// What is wrong with it.
    pub(crate) message: String,
}

/// Where the sorts of problems are described.
const PROBLEMS: &str = "https://developers.enode.com/api/problems/";

/// A row of the table: status, slug, title, detail.
struct Row(StatusCode, &'static str, &'static str, String);

impl ApiError {
    fn row(&self) -> Row {
        const BAD: (StatusCode, &str) = (StatusCode::BAD_REQUEST, "bad-request");
        const NOT_FOUND: (StatusCode, &str) = (StatusCode::NOT_FOUND, "not-found");
        const FORBIDDEN: (StatusCode, &str) = (StatusCode::FORBIDDEN, "forbidden");
        const TOO_MANY: (StatusCode, &str) = (StatusCode::TOO_MANY_REQUESTS, "too-many-requests");
        let row = |(status, slug): (StatusCode, &'static str), title, detail: &str| {
            Row(status, slug, title, detail.to_owned())
        };
        match self {
            Self::Engine(error) => match error {
                EngineError::Invalid(issues) => row(BAD, "Bad Request", &in_words(issues)),
                EngineError::InvalidWebhook(_) => row(
                    BAD,
                    "Webhook input is not valid.",
                    "The webhook input is not valid.",
                ),
                EngineError::Precondition { detail } => row(BAD, "Bad Request", detail),
                EngineError::UserNotFound(id) => row(
                    NOT_FOUND,
                    "User does not exist",
                    &format!("Could not find user with ID {id}"),
                ),
                EngineError::DeviceNotFound => {
                    row(NOT_FOUND, "Not Found", "The requested asset wasn't found.")
                }
                EngineError::ActionNotFound(id) => row(
                    NOT_FOUND,
                    "Action not found",
                    &format!("Could not find action {id}"),
                ),
                EngineError::ScheduleNotFound(id) => row(
                    NOT_FOUND,
                    "Schedule not found",
                    &format!("Could not find schedule {id}"),
                ),
                EngineError::PlanNotFound(id) => row(
                    NOT_FOUND,
                    "Smart charging plan not found",
                    &format!("Could not find smart charging plan {id}"),
                ),
                EngineError::NoOverride => row(
                    NOT_FOUND,
                    "Smart override not found",
                    "No smart override is active.",
                ),
                EngineError::ScopeMissing(Some(scope)) => row(
                    FORBIDDEN,
                    "Forbidden",
                    &format!("The user has not granted {scope} for this device."),
                ),
                EngineError::ScopeMissing(None) => row(
                    FORBIDDEN,
                    "Forbidden",
                    "Nothing can be told to devices of this kind.",
                ),
                EngineError::ActionRefused { refusal, .. } if refusal.is_controlled() => row(
                    (StatusCode::UNPROCESSABLE_ENTITY, "unprocessable-entity"),
                    "Unprocessable Entity",
                    &sentence(&refusal.to_string()),
                ),
                EngineError::ActionRefused { refusal, issues } => row(
                    BAD,
                    "Bad Request",
                    &match issues.is_empty() {
                        true => sentence(&refusal.to_string()),
                        false => in_words(issues),
                    },
                ),
                EngineError::LocationNotFound(id) => row(
                    NOT_FOUND,
                    "Location not found",
                    &format!("Could not find location {id}"),
                ),
                EngineError::InterventionNotFound(id) => row(
                    NOT_FOUND,
                    "Intervention not found",
                    &format!("Could not find intervention {id}"),
                ),
                EngineError::TariffNotFound(id) => row(
                    NOT_FOUND,
                    "Tariff not found",
                    &format!("Could not find tariff {id}"),
                ),
                EngineError::WebhookNotFound(id) => row(
                    NOT_FOUND,
                    "Webhook not found",
                    &format!("Could not find webhook {id}"),
                ),
                EngineError::StatisticsNotAvailable => row(
                    (
                        StatusCode::UNPROCESSABLE_ENTITY,
                        "hem-system-statistics-not-available",
                    ),
                    "HEM System Statistics Not Available",
                    "Statistics are not available for this HEM System at the requested interval",
                ),
                EngineError::VendorUnavailable { .. } => row(
                    (
                        StatusCode::SERVICE_UNAVAILABLE,
                        "vendor-temporarily-unavailable",
                    ),
                    "Vendor Temporarily Unavailable",
                    "Vendor timed out. Please try again later.",
                ),
                EngineError::ConnectionLimit => row(
                    FORBIDDEN,
                    "Connections limit reached.",
                    "Unable to create more connections.",
                ),
                EngineError::LinkSession(LinkSessionProblem::Unknown) => row(
                    NOT_FOUND,
                    "Link session not found",
                    "There is no such link session.",
                ),
                EngineError::LinkSession(
                    LinkSessionProblem::Expired | LinkSessionProblem::Used,
                ) => row(
                    (StatusCode::GONE, "gone"),
                    "Link session is over",
                    "The link session has expired or was used.",
                ),
                error @ EngineError::Internal { .. } if error.is_of_store() => UNAVAILABLE.into(),
                EngineError::Internal { .. } => INTERNAL.into(),
            },
            Self::ConnectionLimit(client) => row(
                FORBIDDEN,
                "Connections limit reached.",
                &format!("Unable to create more connections for ClientID: {client}"),
            ),
            Self::Unauthorized => row(
                (StatusCode::UNAUTHORIZED, "unauthorized"),
                "Unauthorized",
                "Unauthorized for resource",
            ),
            Self::StationUnauthorized => row(
                (StatusCode::UNAUTHORIZED, "unauthorized"),
                "Unauthorized",
                "The station ID and the password do not fit.",
            ),
            Self::PushUnverified => row(
                (StatusCode::UNAUTHORIZED, "unauthorized"),
                "Unauthorized",
                "The signature is missing, wrong or too old.",
            ),
            Self::PushMalformed => row(BAD, "Bad Request", "The payload was not understood."),
            Self::IntegrationNotFound => {
                row(NOT_FOUND, "Not Found", "There is no such integration.")
            }
            Self::Unreadable(detail) => row(BAD, "Bad Request", detail),
            Self::UnknownVersion => row(
                BAD,
                "Bad Request",
                &format!("Enode-Version must be {API_VERSION}, the only version served."),
            ),
            Self::EventsGone => row(
                (StatusCode::GONE, "gone"),
                "Events are no longer kept",
                "Events after this cursor were dropped, for they were too old. Begin again without \
                 a cursor, and read the devices anew.",
            ),
            Self::RouteNotFound => row(NOT_FOUND, "Not Found", "There is nothing at this address."),
            Self::MethodNotAllowed => row(
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"),
                "Method Not Allowed",
                "This address does not answer to this method; see the header Allow.",
            ),
            Self::BodyTooLarge => row(
                (StatusCode::PAYLOAD_TOO_LARGE, "payload-too-large"),
                "Payload Too Large",
                "The body is larger than permitted.",
            ),
            Self::HeadersTooLarge => row(
                (
                    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                    "headers-too-large",
                ),
                "Request Header Fields Too Large",
                "The headers are larger than permitted.",
            ),
            Self::BodyTooSlow => row(
                (StatusCode::REQUEST_TIMEOUT, "request-timeout"),
                "Request Timeout",
                "The body did not arrive in time.",
            ),
            Self::Timeout => row(
                (StatusCode::SERVICE_UNAVAILABLE, "service-unavailable"),
                "Service Unavailable",
                "The answer was not ready in time. Please try again later.",
            ),
            Self::TooManyAttempts(_) => row(
                TOO_MANY,
                "Too Many Requests",
                "Too many attempts have failed. Please wait as long as the header Retry-After says.",
            ),
            Self::TooManyStreams(most) => row(
                TOO_MANY,
                "Too Many Requests",
                &format!(
                    "There are {most} event streams open already, the most a client may have."
                ),
            ),
            Self::Stopping => row(
                (StatusCode::SERVICE_UNAVAILABLE, "service-unavailable"),
                "Service Unavailable",
                "The server is stopping. Please try again.",
            ),
            Self::Panicked => INTERNAL.into(),
        }
    }

    fn issues(&self) -> &[Issue] {
        match self {
            Self::Engine(
                EngineError::Invalid(issues)
                | EngineError::InvalidWebhook(issues)
                | EngineError::ActionRefused { issues, .. },
            ) => issues,
            _ => &[],
        }
    }

    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Unauthorized => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
            }
            Self::StationUnauthorized => Some((
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"station\", charset=\"UTF-8\""),
            )),
            Self::Timeout | Self::Stopping | Self::TooManyStreams(_) => Some(SOON),
            Self::Engine(error) if error.is_of_store() => Some(SOON),
            Self::Engine(EngineError::VendorUnavailable { retry_after }) => {
                let seconds = retry_after.as_secs().max(1).unsigned_abs();
                Some((header::RETRY_AFTER, seconds.into()))
            }
            Self::TooManyAttempts(wait) => {
                let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
                Some((header::RETRY_AFTER, seconds.into()))
            }
            _ => None,
        }
    }

    /// The status and the problem document.
    pub(crate) fn problem(&self) -> (StatusCode, Problem) {
        let Row(status, slug, title, detail) = self.row();
        let issues = self.issues().iter().map(|issue| ProblemIssue {
            path: issue.path.clone(),
            message: issue.message.clone(),
        });
        let problem = Problem {
            kind: format!("{PROBLEMS}{slug}"),
            title: title.to_owned(),
            detail,
            issues: issues.collect(),
        };
        (status, problem)
    }

    /// Logs what is ours to mend; what the caller did wrong is in the answer alone.
    pub(crate) fn log(&self) {
        if let Self::Engine(error @ EngineError::Internal { .. }) = self {
            tracing::error!(error = %chain(error), "request failed");
        }
    }
}

/// When it may be tried again.
const SOON: (HeaderName, HeaderValue) = (header::RETRY_AFTER, HeaderValue::from_static("5"));

/// What it looks like from outside when the database cannot be used.
const UNAVAILABLE: (StatusCode, &str, &str, &str) = (
    StatusCode::SERVICE_UNAVAILABLE,
    "service-unavailable",
    "Service Unavailable",
    "Nothing can be read or kept at the moment. Please try again later.",
);

/// What a failure of ours looks like from outside.
const INTERNAL: (StatusCode, &str, &str, &str) = (
    StatusCode::INTERNAL_SERVER_ERROR,
    "internal-server-error",
    "Internal Server Error",
    "Something went wrong on our side.",
);

impl From<(StatusCode, &'static str, &'static str, &'static str)> for Row {
    fn from(
        (status, slug, title, detail): (StatusCode, &'static str, &'static str, &'static str),
    ) -> Self {
        Self(status, slug, title, detail.to_owned())
    }
}

/// Words of ours as a sentence for callers.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters
        .next()
        .map(|letter| letter.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

fn in_words(issues: &[Issue]) -> String {
    let mut words: Vec<String> = issues
        .iter()
        .take(5)
        .map(|issue| match issue.path.as_str() {
            "" => format!("the body {}", issue.message),
            path => format!("{path} {}", issue.message),
        })
        .collect();
    if issues.len() > 5 {
        words.push(format!("and {} more", issues.len() - 5));
    }
    words.join("; ")
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.log();
        let (status, problem) = self.problem();
        let mut response = (status, Json(problem)).into_response();
        if let Some((name, value)) = self.header() {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// A refusal whose problem document says that it is one: the contract has that for statistics of
/// inverters and of HEM systems alone.
#[derive(Debug)]
pub(crate) struct ProblemJson(pub(crate) ApiError);

impl From<ApiError> for ProblemJson {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl IntoResponse for ProblemJson {
    fn into_response(self) -> Response {
        let is_of_vendor = matches!(
            self.0,
            ApiError::Engine(EngineError::VendorUnavailable { .. })
        );
        let mut response = self.0.into_response();
        let is_of_request = matches!(
            response.status(),
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY
        );
        if is_of_request || is_of_vendor {
            let problem = HeaderValue::from_static("application/problem+json");
            response.headers_mut().insert(header::CONTENT_TYPE, problem);
        }
        response
    }
}

/// Why no access token was issued (RFC 6749, section 5.2).
#[derive(Debug)]
pub(crate) enum TokenError {
    /// The request is not one; what is wrong, in words.
    InvalidRequest(&'static str),
    /// The ID and the secret do not fit.
    InvalidClient,
    /// Another grant than `client_credentials`.
    UnsupportedGrantType,
    /// Anything that is not about the grant.
    Other(ApiError),
}

/// The body of a refused token request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenErrorResponse {
    /// The sort of error, as RFC 6749 names it.
    pub(crate) error: &'static str,
    /// In words.
    pub(crate) error_description: &'static str,
}

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        let (status, error, error_description) = match self {
            Self::InvalidRequest(what) => (StatusCode::BAD_REQUEST, "invalid_request", what),
            Self::InvalidClient => (
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                "the client ID and the secret do not fit",
            ),
            Self::UnsupportedGrantType => (
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "grant_type must be client_credentials",
            ),
            Self::Other(error) => return error.into_response(),
        };
        let body = Json(TokenErrorResponse {
            error,
            error_description,
        });
        let mut response = (status, body).into_response();
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"token\", charset=\"UTF-8\""),
            );
        }
        response
    }
}

/// What stops a person on the pages of linking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkTrouble {
    /// There is no such session.
    Unknown,
    /// It is too old.
    Expired,
    /// It has done its work.
    Used,
    /// The browser did not send our cookie, or another session's.
    OtherBrowser,
    /// The client may not link more accounts.
    Full,
    /// The form was not understood.
    Unreadable,
    /// Something of ours failed.
    Internal,
}

impl LinkTrouble {
    /// How a page that tells about it is answered.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::Expired | Self::Used => StatusCode::GONE,
            Self::OtherBrowser | Self::Full => StatusCode::FORBIDDEN,
            Self::Unreadable => StatusCode::BAD_REQUEST,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(error: ApiError) -> (u16, serde_json::Value) {
        let (status, problem) = error.problem();
        (status.as_u16(), serde_json::to_value(problem).unwrap())
    }

    #[test]
    fn problems_read_as_the_contract_prints_them() {
        let (status, user) = body(EngineError::UserNotFound("u-1".to_owned()).into());
        assert_eq!(status, 404);
        assert_eq!(
            user,
            serde_json::json!({
                "type": "https://developers.enode.com/api/problems/not-found",
                "title": "User does not exist",
                "detail": "Could not find user with ID u-1",
            })
        );
        let (status, webhook) =
            body(EngineError::InvalidWebhook(vec![Issue::new("url", "is required")]).into());
        assert_eq!(status, 400);
        assert_eq!(webhook["title"], "Webhook input is not valid.");
        assert_eq!(webhook["issues"][0]["path"], "url");
    }

    #[test]
    fn internal_causes_stay_inside() {
        let error = EngineError::internal("the database operation failed", "disk full at /var");
        let (status, problem) = body(error.into());
        assert_eq!(status, 500);
        assert!(!problem.to_string().contains("disk"));
        assert!(!problem.to_string().contains("database"));
    }

    #[test]
    fn a_database_that_is_away_is_told_as_passing() {
        let error = ApiError::from(EngineError::from(livewatt_store::StoreError::DiskFull));
        let retry = error.header().map(|(name, _)| name);
        assert_eq!(retry, Some(header::RETRY_AFTER));
        let (status, problem) = body(error);
        assert_eq!(status, 503);
        assert!(!problem.to_string().contains("disk"));
    }

    #[test]
    fn an_invalid_field_is_named_in_the_detail_too() {
        let (_, problem) = body(ApiError::invalid("pageSize", "must be a number"));
        assert_eq!(problem["detail"], "pageSize must be a number");
    }
}
