//! What every handler can reach.

use std::{fmt, future::Future, num::NonZero, sync::Arc, time::Duration};

use livewatt_domain::id::ClientId;
use livewatt_engine::{Engine, EngineError, EngineResult};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::error::ApiResult;

/// Renders the metrics of the process for `GET /metrics`.
pub type MetricsText = Arc<dyn Fn() -> String + Send + Sync>;

/// Settings of the HTTP face.
#[derive(Clone)]
pub struct ApiOptions {
    /// Largest body of a request, bytes.
    pub body_limit: usize,
    /// Largest body of a vendor's push, bytes.
    pub push_body_limit: usize,
    /// Largest sum of the header lines of a request, bytes.
    pub header_limit: usize,
    /// Longest time until a request is answered; streams count until they begin.
    pub request_timeout: Duration,
    /// Longest time until a page of linking is answered: vendors sign in slowly.
    pub link_timeout: Duration,
    /// What `GET /metrics` shows; `None` answers 404.
    pub metrics: Option<MetricsText>,
    /// Serves `/live`, which shows the devices of [`Self::live_client`] to anybody: for demos.
    pub show_live_page: bool,
    /// Whose devices `/live` shows.
    pub live_client: Option<ClientId>,
    /// Ends event streams and station connections when the server is to stop.
    pub stop: CancellationToken,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            body_limit: 64 * 1024,
            push_body_limit: 1024 * 1024,
            header_limit: 32 * 1024,
            request_timeout: Duration::from_secs(30),
            link_timeout: Duration::from_secs(100),
            metrics: None,
            show_live_page: false,
            live_client: None,
            stop: CancellationToken::new(),
        }
    }
}

impl fmt::Debug for ApiOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiOptions")
            .field("body_limit", &self.body_limit)
            .field("push_body_limit", &self.push_body_limit)
            .field("header_limit", &self.header_limit)
            .field("request_timeout", &self.request_timeout)
            .field("link_timeout", &self.link_timeout)
            .field("metrics", &self.metrics.is_some())
            .field("show_live_page", &self.show_live_page)
            .field("live_client", &self.live_client)
            .finish_non_exhaustive()
    }
}

/// What every handler can reach. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ApiState(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engine: Arc<Engine>,
    options: ApiOptions,
    base: String,
    secret_checks: Semaphore,
}

impl ApiState {
    /// The state of a server.
    pub fn new(engine: Arc<Engine>, options: ApiOptions) -> Self {
        let base = engine
            .options()
            .public_url
            .path()
            .trim_end_matches('/')
            .to_owned();
        let checks = std::thread::available_parallelism().map_or(2, NonZero::get);
        Self(Arc::new(Inner {
            engine,
            options,
            base,
            secret_checks: Semaphore::new(checks),
        }))
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }

    pub(crate) fn options(&self) -> &ApiOptions {
        &self.0.options
    }

    /// Path of the public URL, without a slash at its end: what addresses on our pages begin with.
    pub(crate) fn base(&self) -> &str {
        &self.0.base
    }

    /// Whether browsers reach us over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.0.engine.options().public_url.scheme() == "https"
    }

    /// Permits to check secrets: each check costs much memory and time on purpose.
    pub(crate) fn secret_checks(&self) -> &Semaphore {
        &self.0.secret_checks
    }

    /// Runs a use case to its end even if the caller goes away or the time is up: one that stops
    /// half way could have told a vendor what it has not stored.
    pub(crate) async fn to_the_end<T, F>(&self, work: impl FnOnce(Arc<Engine>) -> F) -> ApiResult<T>
    where
        T: Send + 'static,
        F: Future<Output = EngineResult<T>> + Send + 'static,
    {
        match tokio::spawn(work(self.0.engine.clone()).in_current_span()).await {
            Ok(result) => Ok(result?),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => Err(EngineError::internal("the work was interrupted", error).into()),
        }
    }
}
