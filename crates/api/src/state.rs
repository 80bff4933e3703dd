//! What every handler can reach.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use livewatt_domain::id::ClientId;
use livewatt_engine::{Engine, EngineError, EngineResult, SystemEntropy};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{attempts::Attempts, error::ApiResult, streams::Streams};

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
    /// Event streams that a client may have open at a time.
    pub streams_per_client: usize,
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
            streams_per_client: 20,
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
            .field("streams_per_client", &self.streams_per_client)
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
    attempts: Arc<Attempts>,
    streams: Arc<Streams>,
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
        let streams = Arc::new(Streams::new(options.streams_per_client));
        Self(Arc::new(Inner {
            engine,
            options,
            base,
            attempts: Arc::new(Attempts::new(&SystemEntropy)),
            streams,
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

    /// The book of those who try to prove who they are.
    pub(crate) fn attempts(&self) -> &Arc<Attempts> {
        &self.0.attempts
    }

    /// The event streams that are open.
    pub(crate) fn streams(&self) -> &Arc<Streams> {
        &self.0.streams
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
