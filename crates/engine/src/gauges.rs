//! Figures that are not counted where things happen but looked up now and then: how many there are
//! of this and that, and how far behind the slowest is.
//!
//! Looking must stay cheap however large the fleet: it costs as much as there are integrations,
//! lanes of webhooks and accounts in trouble, and never goes through accounts or devices. What the
//! metrics mean stands in the table of the binary's telemetry.

use livewatt_domain::{SignedDuration, account::AccountStatus};
use livewatt_store::StoreFigures;

use crate::{Engine, EngineResult, deliver::DeliveryFigures, error::chain};

/// Events that a webhook has not got yet are counted up to this.
const MOST_EVENTS: u32 = 10_000;

/// How an engine is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// Its integrations.
    pub integrations: Vec<IntegrationFigures>,
    /// Devices of all accounts that are fetched.
    pub devices: usize,
    /// How long the account has been due that waits longest to be fetched; zero if none waits.
    pub oldest_overdue: SignedDuration,
    /// Charge points connected.
    pub stations: usize,
    /// Webhooks whose deliveries are taken.
    pub active_webhooks: usize,
    /// Webhooks whose deliveries fail and are tried again.
    pub failing_webhooks: usize,
    /// How long the webhook has failed that fails longest; zero if none fails.
    pub longest_failure: SignedDuration,
    /// Live streams of events that are open.
    pub event_streams: usize,
    /// What the store counts; `None` if it could not be read.
    pub store: Option<StoreFigures>,
    /// Whether no other program can use the database: there are no nodes then.
    pub is_alone: bool,
    /// Age of the oldest event that this node has still to export; zero if none is.
    pub export_lag: SignedDuration,
    /// Whether what is to carry wake-ups between nodes can; so does the database, if nothing else is
    /// to.
    pub wakes_are_carried: bool,
}

/// How an integration is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntegrationFigures {
    /// Its name.
    pub integration: &'static str,
    /// Accounts that are fetched.
    pub accounts: usize,
    /// Fetches under way.
    pub under_way: usize,
    /// Fetches that wait for a place.
    pub waiting: usize,
    /// Whether its vendor does not answer, so that calls to it pause.
    pub is_paused: bool,
}

impl Engine {
    /// How it is doing now.
    pub async fn figures(&self) -> Figures {
        let store = match self.store.figures().await {
            Ok(figures) => Some(figures),
            Err(error) => {
                tracing::warn!(error = %chain(&error), "the store cannot be counted");
                None
            }
        };
        let integrations = self.vendors.all().map(|vendor| {
            let integration = vendor.manifest().id;
            let (is_paused, under_way) = self.breakers.figures(integration);
            IntegrationFigures {
                integration,
                accounts: self.fleet.accounts_of(integration),
                under_way,
                waiting: self.waiting.count(integration),
                is_paused,
            }
        });
        let now = self.now();
        let since = |at| now.duration_since(at).max(SignedDuration::ZERO);
        let oldest = self.waiting.oldest().into_iter().chain(self.next_poll_at());
        let DeliveryFigures {
            active,
            failing,
            failing_since,
        } = self.deliveries.figures();
        Figures {
            integrations: integrations.collect(),
            devices: self.fleet.size().1,
            oldest_overdue: oldest.min().map_or(SignedDuration::ZERO, since),
            stations: self.stations.count(),
            active_webhooks: active,
            failing_webhooks: failing,
            longest_failure: failing_since.map_or(SignedDuration::ZERO, since),
            event_streams: self.listeners(),
            is_alone: self.membership.is_none(),
            export_lag: self
                .export_figures()
                .map(|export| export.lag)
                .unwrap_or_default(),
            wakes_are_carried: self.bus_is_connected() != Some(false),
            store,
        }
    }

    /// Integrations that do not answer, so that calls to them pause.
    pub fn paused_vendors(&self) -> Vec<String> {
        self.breakers.open()
    }

    /// Events that the webhook furthest behind has not got yet, counted up to ten thousand. Not
    /// among the figures: it reads the log.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn events_behind(&self) -> EngineResult<u32> {
        let mut furthest = 0;
        for (client, cursor) in self.deliveries.cursors() {
            let behind = self.store.count_events_after(client, cursor, MOST_EVENTS);
            furthest = furthest.max(behind.await?);
        }
        Ok(furthest)
    }
}

impl Figures {
    /// Sets the gauges to these figures.
    pub fn publish(&self) {
        for figures in &self.integrations {
            figures.publish(self.store.as_ref());
        }
        metrics::gauge!("livewatt_devices").set(self.devices as f64);
        metrics::gauge!("livewatt_oldest_overdue_seconds").set(self.oldest_overdue.as_secs_f64());
        metrics::gauge!("livewatt_stations_connected").set(self.stations as f64);
        let webhooks = |state| metrics::gauge!("livewatt_webhooks", "state" => state);
        webhooks("active").set(self.active_webhooks as f64);
        webhooks("failing").set(self.failing_webhooks as f64);
        metrics::gauge!("livewatt_webhook_failing_seconds").set(self.longest_failure.as_secs_f64());
        metrics::gauge!("livewatt_event_streams").set(self.event_streams as f64);
        if self.is_alone {
            crate::cluster::publish_nothing();
        }
        metrics::gauge!("livewatt_export_lag_seconds").set(self.export_lag.as_secs_f64());
        metrics::counter!("livewatt_export_events_total").increment(0);
        metrics::gauge!("livewatt_bus_connected").set(f64::from(u8::from(self.wakes_are_carried)));
        if let Some(store) = &self.store {
            webhooks("inactive").set(store.inactive_webhooks as f64);
            let bytes = |file| metrics::gauge!("livewatt_store_bytes", "file" => file);
            bytes("database").set(store.database_bytes as f64);
            bytes("wal").set(store.wal_bytes as f64);
            metrics::gauge!("livewatt_store_free_bytes").set(store.free_bytes as f64);
        }
    }
}

impl IntegrationFigures {
    fn publish(&self, store: Option<&StoreFigures>) {
        let integration = self.integration;
        metrics::gauge!("livewatt_polls_under_way", "integration" => integration)
            .set(self.under_way as f64);
        metrics::gauge!("livewatt_polls_waiting", "integration" => integration)
            .set(self.waiting as f64);
        metrics::gauge!("livewatt_breaker_open", "integration" => integration)
            .set(f64::from(u8::from(self.is_paused)));
        let accounts = |status| {
            metrics::gauge!(
                "livewatt_accounts", "integration" => integration, "status" => status,
            )
        };
        accounts("active").set(self.accounts as f64);
        let Some(store) = store else { return };
        for (status, word) in [
            (AccountStatus::Invalidated, "invalidated"),
            (AccountStatus::Deauthorized, "deauthorized"),
        ] {
            let mut rows = store.troubled.iter();
            let row = rows.find(|row| row.0 == integration && row.1 == status);
            // Told also when there is none any more.
            accounts(word).set(row.map_or(0, |row| row.2) as f64);
        }
    }
}
