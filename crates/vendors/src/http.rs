//! The way out to vendors: one pooled client, bounded in time and size, drawing on budgets.
//!
//! A request is made with [`Caller::get`] and its siblings and sent with [`Call::send`]. Nothing of
//! a request or an answer is ever logged or put into an error but host, path and status: bodies,
//! tokens and query strings are the user's.

mod call;
mod response;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::SignedDuration;
use livewatt_domain::{clock::Clock, id::AccountId};
use reqwest::redirect;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

pub use call::{Call, Caller};
pub use response::{Response, parse_retry_after};

use crate::{
    budget::{Budgets, OverBudget},
    harvest::AccountOutcome,
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
    /// What can wait, such as the past: draws only while most of a budget is free, so that fetches of
    /// what is new do not go short of calls.
    Spare,
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
