//! The way out to vendors: one pooled client, bounded in time and size, drawing on budgets.
//!
//! A request is made with [`Caller::get`] and its siblings and sent with [`Call::send`]. Nothing of
//! a request or an answer is ever logged or put into an error but host, path and status: bodies,
//! tokens and query strings are the user's.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use jiff::{SignedDuration, Timestamp};
use livewatt_domain::{clock::Clock, id::AccountId};
use reqwest::{Method, header, redirect};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use crate::{
    budget::{Budgets, OverBudget},
    harvest::AccountOutcome,
    secret::Secret,
};

/// Limits of calls to vendors.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Longest wait for a connection.
    pub connect_timeout: SignedDuration,
    /// Longest wait for a whole answer.
    pub total_timeout: SignedDuration,
    /// Largest accepted body, bytes.
    pub body_limit: usize,
}

/// How urgent a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// The scheduler's own: leaves the reserve of budgets alone.
    Routine,
    /// Asked for by the customer or the user.
    Asked,
}

/// The client could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be set up")]
pub struct HttpSetupError(#[source] reqwest::Error);

/// The shared client; connections are kept per host.
#[derive(Debug, Clone)]
pub struct HttpPool {
    client: reqwest::Client,
    options: HttpOptions,
    budgets: Arc<Budgets>,
    clock: Arc<dyn Clock>,
    large_bodies: Arc<LargeBodies>,
}

/// Room for bodies that are not small, by integration: however many calls are under way, and
/// whatever a vendor sends, memory stays bounded.
#[derive(Debug, Default)]
struct LargeBodies(Mutex<HashMap<&'static str, Arc<Semaphore>>>);

/// A body up to this size, bytes, needs no room of its own.
const SMALL_BODY: usize = 64 * 1024;

/// Larger bodies of one integration held at the same time.
const LARGE_BODIES: usize = 8;

impl LargeBodies {
    /// Waits for room.
    async fn enter(&self, integration: &'static str) -> Option<Arc<OwnedSemaphorePermit>> {
        let room = {
            let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || Arc::new(Semaphore::new(LARGE_BODIES));
            rooms.entry(integration).or_insert_with(new).clone()
        };
        room.acquire_owned().await.ok().map(Arc::new)
    }
}

/// Unused connections are kept for longer than the longest interval between two polls: a new TLS
/// connection costs as much as fifteen polls.
const POOL_IDLE: Duration = Duration::from_secs(35 * 60);

/// Unused connections kept per host.
const POOL_SIZE: usize = 512;

impl HttpPool {
    /// A client within these limits.
    ///
    /// # Errors
    /// If the system has no usable TLS set-up.
    pub fn new(
        options: HttpOptions,
        clock: Arc<dyn Clock>,
        budgets: Arc<Budgets>,
    ) -> Result<Self, HttpSetupError> {
        let client = client(&options)?;
        Ok(Self {
            client,
            options,
            budgets,
            clock,
            large_bodies: Arc::default(),
        })
    }

    /// The way out for an account, or (`None`) for somebody who is signing in.
    pub fn caller(
        &self,
        integration: &'static str,
        account: Option<AccountId>,
        priority: Priority,
    ) -> Caller {
        Caller {
            pool: self.clone(),
            integration,
            account,
            priority,
            calls: Arc::default(),
        }
    }
}

/// The HTTP client of a pool: also what the pool's own cost is measured against.
///
/// # Errors
/// If the system has no usable TLS set-up.
pub fn client(options: &HttpOptions) -> Result<reqwest::Client, HttpSetupError> {
    reqwest::Client::builder()
        .user_agent(concat!("livewatt/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .referer(false)
        .tcp_nodelay(true)
        .gzip(true)
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(POOL_SIZE)
        .connect_timeout(options.connect_timeout.unsigned_abs())
        .timeout(options.total_timeout.unsigned_abs())
        .build()
        .map_err(HttpSetupError)
}

/// The way out for one account or one sign-in. Clones count their calls together.
#[derive(Debug, Clone)]
pub struct Caller {
    pool: HttpPool,
    integration: &'static str,
    account: Option<AccountId>,
    priority: Priority,
    calls: Arc<AtomicU32>,
}

impl Caller {
    /// A GET request.
    pub fn get(&self, url: Url) -> Call<'_> {
        self.call(Method::GET, url)
    }

    /// A POST request.
    pub fn post(&self, url: Url) -> Call<'_> {
        self.call(Method::POST, url)
    }

    /// A PUT request.
    pub fn put(&self, url: Url) -> Call<'_> {
        self.call(Method::PUT, url)
    }

    /// A DELETE request.
    pub fn delete(&self, url: Url) -> Call<'_> {
        self.call(Method::DELETE, url)
    }

    /// Number of requests sent so far, counted by the vendor or not.
    pub fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    fn call(&self, method: Method, url: Url) -> Call<'_> {
        let place = format!("{}{}", url.host_str().unwrap_or_default(), url.path());
        let request = self.pool.client.request(method, url);
        Call {
            caller: self,
            request,
            place,
            is_counted: true,
        }
    }
}

/// A request being made.
#[must_use = "a call does nothing until it is sent"]
pub struct Call<'a> {
    caller: &'a Caller,
    request: reqwest::RequestBuilder,
    place: String,
    is_counted: bool,
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Call<'_> {
    /// Authorises with a bearer token.
    pub fn bearer(mut self, token: &Secret) -> Self {
        self.request = self.request.bearer_auth(token.reveal());
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Sends this as JSON.
    pub fn json<T: Serialize>(mut self, body: &T) -> Self {
        self.request = self.request.json(body);
        self
    }

    /// Sends this as a form.
    pub fn form<T: Serialize>(mut self, body: &T) -> Self {
        self.request = self.request.form(body);
        self
    }

    /// Draws on no budget: for calls that the vendor does not count, as logins often are.
    pub fn uncounted(mut self) -> Self {
        self.is_counted = false;
        self
    }

    /// Sends the request and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// If a budget is used up, or there is no answer within the limits.
    pub async fn send(self) -> Result<Response, CallError> {
        let Self {
            caller,
            request,
            place,
            is_counted,
        } = self;
        let Caller {
            pool,
            integration,
            account,
            priority,
            calls,
        } = caller;
        let request = request
            .build()
            .map_err(|_| CallError::Unreachable(format!("{place}: the request cannot be made")))?;
        // Held until the answer is here, or this is given up.
        let _open = match is_counted {
            true => Some(
                pool.budgets
                    .open(integration, *account, *priority, &pool.clock)
                    .await?,
            ),
            false => None,
        };
        calls.fetch_add(1, Ordering::Relaxed);
        let started_at = pool.clock.now();
        pool.exchange(integration, request, place, started_at).await
    }
}

impl HttpPool {
    async fn room(
        &self,
        integration: &'static str,
        place: &str,
    ) -> Result<Option<Arc<OwnedSemaphorePermit>>, CallError> {
        let limit = self.options.total_timeout.unsigned_abs();
        tokio::time::timeout(limit, self.large_bodies.enter(integration))
            .await
            .map_err(|_| {
                CallError::Unreachable(format!("{place}: too many large answers at a time"))
            })
    }

    async fn exchange(
        &self,
        integration: &'static str,
        request: reqwest::Request,
        place: String,
        started_at: Timestamp,
    ) -> Result<Response, CallError> {
        let unreachable = |error: &reqwest::Error| {
            CallError::Unreachable(format!("{place}: {}", describe(error)))
        };
        let mut answer = self
            .client
            .execute(request)
            .await
            .map_err(|error| unreachable(&error))?;
        let limit = self.options.body_limit;
        if answer
            .content_length()
            .is_some_and(|length| length > limit as u64)
        {
            return Err(CallError::TooLarge);
        }
        let mut body = BytesMut::new();
        let mut room = None;
        while let Some(chunk) = answer.chunk().await.map_err(|error| unreachable(&error))? {
            let length = body.len() + chunk.len();
            if length > limit {
                return Err(CallError::TooLarge);
            }
            if length > SMALL_BODY && room.is_none() {
                room = self.room(integration, &place).await?;
            }
            body.extend_from_slice(&chunk);
        }
        let received_at = self.clock.now();
        Ok(Response {
            status: answer.status().as_u16(),
            retry_after: answer
                .headers()
                .get(header::RETRY_AFTER)
                .and_then(|value| parse_retry_after(value.to_str().ok()?, received_at)),
            body: body.freeze(),
            started_at,
            received_at,
            place,
            room,
        })
    }
}

/// What went wrong, without the address: it may hold secrets.
fn describe(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_body() || error.is_decode() {
        "the answer broke off"
    } else {
        "the exchange failed"
    }
}

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

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nothing was sent: a budget is used up.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// No connection, no answer in time, or a broken one.
    #[error("no answer: {0}")]
    Unreachable(String),
    /// The answer is larger than permitted.
    #[error("the answer is larger than permitted")]
    TooLarge,
}

impl From<CallError> for AccountOutcome {
    fn from(error: CallError) -> Self {
        match error {
            CallError::OverBudget(OverBudget { until }) => Self::OverBudget { until },
            CallError::Unreachable(what) => Self::Unreachable(what),
            CallError::TooLarge => Self::Malformed(error.to_string()),
        }
    }
}

/// The address below `base` that these path segments name. Segments are escaped, so that an
/// identifier of a vendor cannot name another path.
pub fn address(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url.set_query(None);
    url.set_fragment(None);
    url
}

#[cfg(test)]
mod tests;
