//! Settings of an engine. Their defaults are what the commented default configuration shows.

use std::sync::Arc;

use livewatt_domain::{
    SignedDuration,
    retry::{Backoff, RetrySchedule},
};
use livewatt_vendors::http::HttpOptions;
use url::Url;

use crate::{
    cluster::ClusterOptions, egress::EgressPolicy, export::EventSink, market::MarketOptions,
};

/// Settings of an engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Address under which browsers, vendors and devices reach this server.
    pub public_url: Url,
    /// Limits of calls to vendors.
    pub http: HttpOptions,
    /// Accounts of one integration fetched at the same time.
    pub parallel_per_vendor: usize,
    /// Waits after failures of an account.
    pub backoff: Backoff,
    /// Waits after an integration as a whole stopped answering.
    pub breaker: Backoff,
    /// Failures in a row, over all accounts of an integration, that open its breaker.
    pub breaker_threshold: u32,
    /// How often the devices of an account are listed where a fetch does not do it anyway.
    pub listing_interval: SignedDuration,
    /// A push feed counts as working so long after its last push.
    pub push_health: SignedDuration,
    /// Refresh hints of a device closer together than this fetch once.
    pub hint_coalesce: SignedDuration,
    /// When deliveries are tried again.
    pub retry: RetrySchedule,
    /// Longest wait for a receiver.
    pub delivery_timeout: SignedDuration,
    /// Events in one delivery.
    pub delivery_batch: u32,
    /// Lanes of a new webhook.
    pub webhook_lanes: u16,
    /// Time between two heartbeats of a webhook.
    pub heartbeat_interval: SignedDuration,
    /// Which receivers may be called.
    pub egress: EgressPolicy,
    /// How long events are kept.
    pub event_retention: SignedDuration,
    /// How long samples are kept, and so how late one can come.
    pub sample_retention: SignedDuration,
    /// Life time of access tokens.
    pub token_lifetime: SignedDuration,
    /// How prices of markets are chosen.
    pub market: MarketOptions,
    /// Where the event log is exported to; `None` for nowhere.
    pub export: Option<Arc<dyn EventSink>>,
    /// This node among others; without effect if no other program can use the database.
    pub cluster: ClusterOptions,
}

impl EngineOptions {
    /// The defaults, for a server reached at `public_url`.
    pub fn new(public_url: Url) -> Self {
        Self {
            public_url,
            http: HttpOptions {
                connect_timeout: SignedDuration::from_secs(5),
                total_timeout: SignedDuration::from_secs(30),
                body_limit: 4 * 1024 * 1024,
            },
            parallel_per_vendor: 512,
            backoff: Backoff {
                first: SignedDuration::from_secs(30),
                longest: SignedDuration::from_mins(15),
            },
            breaker: Backoff {
                first: SignedDuration::from_secs(10),
                longest: SignedDuration::from_mins(2),
            },
            breaker_threshold: 20,
            listing_interval: SignedDuration::from_hours(6),
            push_health: SignedDuration::from_hours(2),
            hint_coalesce: SignedDuration::from_secs(60),
            retry: RetrySchedule::default(),
            delivery_timeout: SignedDuration::from_secs(5),
            delivery_batch: 100,
            webhook_lanes: 4,
            heartbeat_interval: SignedDuration::from_mins(10),
            egress: EgressPolicy::default(),
            event_retention: SignedDuration::from_hours(30 * 24),
            sample_retention: SignedDuration::from_hours(30 * 24),
            token_lifetime: SignedDuration::from_hours(1),
            market: MarketOptions::default(),
            export: None,
            cluster: ClusterOptions::default(),
        }
    }
}
