//! Answers of vendors, and what their status means.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use tokio::sync::OwnedSemaphorePermit;

use crate::harvest::AccountOutcome;

/// Longest wait that anybody may ask for.
const LONGEST_RETRY_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// The moment named by a `Retry-After` header, in seconds or as an HTTP date; at least now, and at
/// most a day from now.
pub fn parse_retry_after(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    let latest = now.saturating_add(LONGEST_RETRY_AFTER).unwrap_or(now);
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Too many digits for a number is as good as for ever.
        let wait = text
            .parse()
            .map_or(LONGEST_RETRY_AFTER, SignedDuration::from_secs);
        let wait = wait.min(LONGEST_RETRY_AFTER);
        return Some(now.saturating_add(wait).unwrap_or(latest));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(at.clamp(now, latest))
}

/// A vendor's answer, whatever its status.
#[derive(Clone)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// The body, whole.
    pub body: Bytes,
    /// When the vendor wants to be asked again (`Retry-After`), as a moment.
    pub retry_after: Option<Timestamp>,
    /// When the request began.
    pub started_at: Timestamp,
    /// When the answer was complete.
    pub received_at: Timestamp,
    /// Host and path that were asked, for error texts.
    pub place: String,
    /// Kept for as long as the body is.
    #[expect(dead_code, reason = "it is its existence that counts")]
    pub(crate) room: Option<Arc<OwnedSemaphorePermit>>,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("place", &self.place)
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .field("retry_after", &self.retry_after)
            .finish_non_exhaustive()
    }
}

/// How long to wait after a 429 that does not say it.
const GUESSED_WAIT: SignedDuration = SignedDuration::from_secs(60);

impl Response {
    /// Whether the status says that all went well.
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// What an answer that is no success means for the account in the usual case; `None` for a
    /// success. Adapters look for what is special to their vendor first.
    pub fn refusal(&self) -> Option<AccountOutcome> {
        let Self { status, place, .. } = self;
        let outcome = match status {
            200..=299 => return None,
            401 => AccountOutcome::LoginExpired,
            429 => AccountOutcome::RateLimited {
                until: self.retry_after.unwrap_or_else(|| {
                    self.received_at
                        .saturating_add(GUESSED_WAIT)
                        .unwrap_or(self.received_at)
                }),
                stated_by_vendor: self.retry_after.is_some(),
            },
            408 | 500..=599 => AccountOutcome::Unreachable(format!("{place}: status {status}")),
            400..=499 => AccountOutcome::Refused(format!("{place}: status {status}")),
            _ => AccountOutcome::Malformed(format!("{place}: status {status}")),
        };
        Some(outcome)
    }

    /// The body as JSON. The error says where it is wrong, never what it says.
    ///
    /// # Errors
    /// [`AccountOutcome::Malformed`] if the body is no JSON, cut, or of another shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, AccountOutcome> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let what = match error.classify() {
                serde_json::error::Category::Eof => "cut off",
                serde_json::error::Category::Data => "of another shape",
                _ if self.body.trim_ascii_start().starts_with(b"<") => "HTML instead of JSON",
                _ => "no JSON",
            };
            let (line, column) = (error.line(), error.column());
            self.malformed(&format!("{what} at line {line}, column {column}"))
        })
    }

    /// The body as JSON, after a look at the status.
    ///
    /// # Errors
    /// What [`Response::refusal`] and [`Response::json`] say.
    pub fn success<T: DeserializeOwned>(&self) -> Result<T, AccountOutcome> {
        match self.refusal() {
            Some(refusal) => Err(refusal),
            None => self.json(),
        }
    }

    /// Says that the answer makes no sense.
    pub fn malformed(&self, what: &str) -> AccountOutcome {
        AccountOutcome::Malformed(format!("{}: {what}", self.place))
    }
}
