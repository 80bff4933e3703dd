//! What Livewatt does over time: fetching, merging, telling; and the use cases that the API, the
//! pages and the command line call.
//!
//! Data flows one way: a vendor's answer becomes observations, `merge` makes changes of them,
//! `ingest` commits those with their events in one transaction, and [`deliver`] reads the event
//! log. Nothing else writes device state.
//!
//! Every loop is one step that tests call directly ([`Engine::poll_due`], [`Engine::schedules_due`],
//! [`Engine::act_due`], [`Engine::deliver_due`], [`Engine::flush_presence`]) and a timer around it ([`runtime`]). Time
//! and randomness are injected, so a day of fleet time runs in seconds.

pub mod actions;
pub mod clients;
pub mod cluster;
pub mod deliver;
pub mod devices;
mod drift;
mod egress;
mod energy;
pub mod entropy;
pub mod error;
pub mod events;
pub mod export;
pub mod fleet;
pub mod freshness;
pub mod gauges;
pub mod hem;
mod ingest;
pub mod interventions;
pub mod link;
pub mod locations;
pub mod market;
pub mod options;
mod placing;
mod poll;
mod presence;
mod production;
pub mod push;
mod retention;
pub mod runtime;
pub mod schedules;
pub mod smart;
pub mod stations;
pub mod statistics;
pub mod tariffs;
mod tokens;
pub mod users;
mod vault;
pub mod webhooks;

use std::sync::Arc;

use livewatt_domain::{
    Timestamp, clock::Clock, entropy::Entropy, event::EventMaker, id::AccountId,
};
use livewatt_store::{Fence, Store, StoreError};
use livewatt_vendors::{Budgets, HttpPool, Registry};
use tokio::sync::Notify;

pub use egress::EgressPolicy;
pub use entropy::SystemEntropy;
pub use error::{EngineError, EngineResult, Issue};
pub use options::EngineOptions;
pub use vault::{Vault, VaultError};

use crate::{
    actions::Watches,
    cluster::{Membership, Ownership},
    deliver::Deliveries,
    drift::Drifts,
    events::Feed,
    export::Export,
    fleet::Fleet,
    hem::Questions,
    link::attempts::LinkAttempts,
    placing::KnownPlaces,
    poll::{breaker::Breakers, credentials::Refreshing, waiting::Waiting},
    presence::{Presence, StoredBudgets},
    production::UnderWay,
    retention::Retention,
    stations::Stations,
    tokens::KnownTokens,
};

/// Everything Livewatt is made of, wired together. Cheap to share behind an [`Arc`].
#[derive(Debug)]
pub struct Engine {
    store: Arc<dyn Store>,
    vendors: Registry,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    vault: Vault,
    http: HttpPool,
    budgets: Arc<Budgets>,
    options: EngineOptions,
    ownership: Arc<Ownership>,
    /// This node among the others; `None` if no other program can use the database.
    membership: Option<Membership>,
    fleet: Fleet,
    presence: Presence,
    deliveries: Deliveries,
    stations: Stations,
    /// Devices with a pending action.
    actions: Watches,
    /// Devices with schedules.
    schedules: Watches,
    /// The devices that are charged smartly, or overridden.
    smart: Watches,
    feed: Feed,
    /// What exports the log; `None` if nothing does.
    export: Option<Export>,
    known_tokens: KnownTokens,
    known_places: KnownPlaces,
    breakers: Breakers,
    drifts: Drifts,
    retention: Retention,
    waiting: Waiting,
    /// Inverters that are being asked about their past.
    productions: UnderWay,
    refreshing: Refreshing,
    /// Questions about the past of sites that somebody waits for.
    hem_questions: Questions,
    poll_wake: Notify,
    /// A question about the past was answered: there may be room for another.
    production_wake: Notify,
    /// Locations have changed: there are devices to be placed anew.
    place_wake: Notify,
    link_attempts: LinkAttempts,
    /// Held while an account is linked: two links at a time must not make one account twice, or
    /// one too many.
    linking: tokio::sync::Mutex<()>,
}

/// What an engine is made of.
#[derive(Debug)]
pub struct EngineParts {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The integrations.
    pub vendors: Registry,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// What encrypts credentials.
    pub vault: Vault,
    /// Settings.
    pub options: EngineOptions,
}

impl Engine {
    /// Wires an engine up and loads what it must remember: accounts with their due times, budgets,
    /// webhooks. Nothing runs yet; see [`runtime::run`].
    ///
    /// # Errors
    /// If the database cannot be read, or was encrypted with another key.
    pub async fn start(parts: EngineParts) -> EngineResult<Arc<Self>> {
        let EngineParts {
            store,
            vendors,
            clock,
            entropy,
            vault,
            options,
        } = parts;
        vault.check(store.as_ref(), entropy.as_ref()).await?;
        let membership = store.cluster().map(|cluster| {
            let options = options.cluster.clone();
            Membership::new(cluster, options, clock.now(), entropy.as_ref())
        });
        let ownership = Arc::new(match &membership {
            Some(_) => Ownership::none(),
            None => Ownership::alone(&store.take_fences().await?),
        });
        let budgets = Budgets::stored_by(Arc::new(StoredBudgets {
            store: store.clone(),
            ownership: ownership.clone(),
        }));
        let budgets = Arc::new(match &membership {
            Some(_) => budgets.shared(),
            None => budgets,
        });
        vendors.register_budgets(&budgets);
        let http = HttpPool::new(options.http.clone(), clock.clone(), budgets.clone())
            .map_err(|error| EngineError::internal("the HTTP client cannot be made", error))?;
        let deliveries = Deliveries::new(&options)?;
        let export = options.export.clone().map(Export::new);
        let breakers = Breakers::new(
            options.parallel_per_vendor,
            options.breaker_threshold,
            options.breaker,
        );
        let engine = Arc::new(Self {
            store,
            vendors,
            clock,
            entropy,
            vault,
            http,
            budgets,
            options,
            ownership,
            membership,
            fleet: Fleet::default(),
            presence: Presence::default(),
            deliveries,
            stations: Stations::default(),
            actions: Watches::default(),
            schedules: Watches::default(),
            smart: Watches::default(),
            feed: Feed::default(),
            export,
            known_tokens: KnownTokens::default(),
            known_places: KnownPlaces::default(),
            breakers,
            drifts: Drifts::default(),
            retention: Retention::default(),
            waiting: Waiting::default(),
            productions: UnderWay::default(),
            refreshing: Refreshing::default(),
            hem_questions: Questions::default(),
            poll_wake: Notify::new(),
            production_wake: Notify::new(),
            place_wake: Notify::new(),
            link_attempts: LinkAttempts::default(),
            linking: tokio::sync::Mutex::default(),
        });
        engine.join().await?;
        Ok(engine)
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Settings.
    pub const fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// The integrations.
    pub const fn vendors(&self) -> &Registry {
        &self.vendors
    }

    /// Whether the database answers and takes writes.
    ///
    /// # Errors
    /// If it does not.
    pub async fn check(&self) -> EngineResult<()> {
        Ok(self.store.check().await?)
    }

    /// The right to write as the owner of an account.
    fn own_fence(&self, account: AccountId) -> EngineResult<Fence> {
        let partition = account.partition();
        let fence = self.ownership.fence(partition);
        fence.ok_or_else(|| StoreError::Fenced { partition }.into())
    }

    fn event_maker(&self, now: Timestamp) -> EventMaker<'_> {
        EventMaker {
            now,
            entropy: self.entropy.as_ref(),
        }
    }
}
