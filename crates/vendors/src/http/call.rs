//! A request being made, and its exchange for an answer.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::BytesMut;
use jiff::Timestamp;
use livewatt_domain::id::AccountId;
use reqwest::{Method, header};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use url::Url;

use super::{CallError, HttpPool, Priority, Response, SMALL_BODY, parse_retry_after};
use crate::secret::Secret;

/// The way out for one account or one sign-in. Clones count their calls together.
#[derive(Debug, Clone)]
pub struct Caller {
    pub(super) pool: HttpPool,
    pub(super) integration: &'static str,
    pub(super) account: Option<AccountId>,
    pub(super) priority: Priority,
    pub(super) calls: Arc<AtomicU32>,
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
