//! The only SQL of Livewatt.
//!
//! [`Store`] is what the rest of the system sees: reads that return domain values, and writes that
//! are each one transaction. The writes of the hot path go through [`Store::commit`], a
//! [`UnitOfWork`] that carries device rows, events and credentials together, guarded by the fence
//! of the account's partition.
//!
//! Invariants every backend keeps, and the contract suite (feature `contract`) checks:
//! - A unit of work is there whole or not at all, and once acknowledged it survives `kill -9`.
//! - Positions in the event log rise in the order in which events can be read: a reader that has
//!   seen position `p` never later finds an event at or below `p`.
//! - A device row changes only from the version its writer had read.

mod actions;
mod cluster;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod error;
mod flush;
mod groups;
mod hem;
mod inspection;
mod past;
mod places;
mod postgres;
mod schedules;
mod smart;
mod sqlite;
mod transfer;
mod types;
mod values;

pub use actions::{ActionChange, PendingOf, StoredAction};
pub use cluster::{
    Cluster, ClusterView, Lease, Letter, Node, NodeStatus, StationSocket, StoredLetter,
    UnknownWake, Wake,
};
pub use error::{BoxError, StoreError, StoreResult};
pub use hem::{HemChange, HemRecord};
pub use inspection::Inspection;
pub use past::PastDevice;
pub use places::*;
pub use postgres::{PostgresOptions, PostgresStore};
pub use schedules::{ScheduleChange, StoredSchedule};
pub use smart::{SmartChange, StoredSmart, claim_of};
pub use sqlite::{Backup, CommitStats, SqliteOptions, SqliteStore};
pub use transfer::{Beginning, TableSum, Transfer, TransferProgress, TransferredTable};
pub use types::*;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use livewatt_domain::{
    account::{Account, AccountSchedule},
    client::Client,
    device::{Device, DeviceText},
    hem::{HemSystem, SiteHistory},
    history::Piece,
    id::{
        AccountId, ActionId, ChargingSessionId, ClientId, DeviceId, HemSystemId, LocationId,
        PlanId, ScheduleId, UserId, WebhookId,
    },
    kind::DeviceKind,
    link::LinkSession,
    location::Location,
    money::Currency,
    partition::Partitions,
    production::{Known, Period, Production},
    session::ChargingSession,
    smart::PlanRecord,
    stay::Stay,
    tariff::{LocationTariff, MarketPrice, Tariff, TariffId},
    webhook::{DeliveryAttempt, Lane, Position, Webhook},
};

/// A database of Livewatt.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug + 'static {
    /// How several nodes share this database; `None` if only one program at a time can use it.
    fn cluster(&self) -> Option<Arc<dyn Cluster>> {
        None
    }

    // ---- clients and tokens -----------------------------------------------------------------

    /// Adds a client with the hash of its secret.
    async fn create_client(&self, client: Client, secret_hash: String) -> StoreResult<()>;
    /// The same, if there is no client yet; false if there is one. Of several nodes that ask at the
    /// same moment, one succeeds.
    async fn create_first_client(&self, client: Client, secret_hash: String) -> StoreResult<bool>;
    /// All clients, newest first.
    async fn list_clients(&self) -> StoreResult<Vec<Client>>;
    /// A client and the hash of its secret.
    async fn find_client(&self, id: ClientId) -> StoreResult<Option<(Client, String)>>;
    /// Replaces a client's secret and revokes its tokens. False if there is no such client.
    async fn rotate_client_secret(&self, id: ClientId, secret_hash: String) -> StoreResult<bool>;
    /// Deletes a client and everything inside of it. False if there is no such client.
    async fn delete_client(&self, id: ClientId) -> StoreResult<bool>;
    /// Stores an access token by its hash; also forgets tokens expired at `now`.
    async fn save_token(&self, token: StoredToken, now: Timestamp) -> StoreResult<()>;
    /// The client of an unexpired token.
    async fn find_token(&self, hash: [u8; 32], now: Timestamp) -> StoreResult<Option<StoredToken>>;

    // ---- users and link sessions ------------------------------------------------------------

    /// A user of a client.
    async fn find_user(&self, client: ClientId, user: UserId) -> StoreResult<Option<User>>;
    /// A client's users, newest first.
    async fn list_users(&self, client: ClientId, page: PageRequest) -> StoreResult<Page<User>>;
    /// Deletes a user with accounts, credentials, devices, link sessions and the bodies of events.
    /// False if there is no such user.
    async fn delete_user(&self, client: ClientId, user: UserId) -> StoreResult<bool>;
    /// Adds a link session, found again by the hash of its token, and its user if new.
    async fn create_link_session(
        &self,
        session: LinkSession,
        token_hash: [u8; 32],
    ) -> StoreResult<()>;
    /// A link session by the hash of its token, whatever its state.
    async fn find_link_session(&self, token_hash: [u8; 32]) -> StoreResult<Option<LinkSession>>;
    /// The newest session that waits for the device of an account.
    async fn waiting_link_session(&self, account: AccountId) -> StoreResult<Option<LinkSession>>;
    /// Stores how far a session has come: `state` and `progress`. Fails with
    /// [`StoreError::Conflict`] if the session is done already.
    async fn save_link_progress(&self, session: LinkSession) -> StoreResult<()>;

    // ---- accounts ---------------------------------------------------------------------------

    /// Accounts with their schedules, oldest first.
    async fn list_accounts(&self, of: AccountsOf) -> StoreResult<Vec<(Account, AccountSchedule)>>;
    /// An account with its schedule.
    async fn find_account(&self, id: AccountId) -> StoreResult<Option<(Account, AccountSchedule)>>;
    /// An account with its sealed credentials: what a fetch begins with.
    async fn account_to_fetch(
        &self,
        id: AccountId,
    ) -> StoreResult<Option<(Account, Option<SealedCredentials>)>>;
    /// An account with all its devices, as of one moment: what a merge begins with.
    async fn account_with_devices(
        &self,
        id: AccountId,
    ) -> StoreResult<Option<(Account, Vec<Device>)>>;
    /// The active accounts of partitions in the order of their IDs, from beyond `after`: what a
    /// server reads that takes them over, so no more of each than it holds in memory.
    async fn fleet_accounts(
        &self,
        of: Partitions,
        after: Option<AccountId>,
        limit: u32,
    ) -> StoreResult<Vec<FleetAccount>>;
    /// The devices of all accounts of partitions in the order of their IDs, likewise.
    async fn fleet_devices(
        &self,
        of: Partitions,
        after: Option<DeviceId>,
        limit: u32,
    ) -> StoreResult<Vec<FleetDevice>>;
    /// All accounts, of any client, that link the same account of a vendor.
    async fn find_accounts_of_vendor(
        &self,
        integration: String,
        vendor_account_id: String,
    ) -> StoreResult<Vec<Account>>;
    /// The sealed credentials of an account and their version.
    async fn credentials(&self, id: AccountId) -> StoreResult<Option<SealedCredentials>>;

    // ---- devices ----------------------------------------------------------------------------

    /// All devices of an account.
    async fn devices_of_account(&self, id: AccountId) -> StoreResult<Vec<Device>>;
    /// A device of a client.
    async fn find_device(&self, client: ClientId, id: DeviceId) -> StoreResult<Option<Device>>;
    /// A client's devices of a kind, most recently linked first; of one user if given.
    async fn list_devices(
        &self,
        client: ClientId,
        user: Option<UserId>,
        kind: DeviceKind,
        page: PageRequest,
    ) -> StoreResult<Page<Device>>;
    /// The same as [`Store::find_device`], to be served: the document stays text.
    async fn find_device_text(
        &self,
        client: ClientId,
        id: DeviceId,
    ) -> StoreResult<Option<DeviceText>> {
        let found = self.find_device(client, id).await?;
        found.map(device_text).transpose()
    }
    /// The same as [`Store::list_devices`], to be served: the documents stay text.
    async fn list_device_texts(
        &self,
        client: ClientId,
        user: Option<UserId>,
        kind: DeviceKind,
        page: PageRequest,
    ) -> StoreResult<Page<DeviceText>> {
        let page = self.list_devices(client, user, kind, page).await?;
        let items = page.items.into_iter().map(device_text);
        Ok(Page {
            items: items.collect::<StoreResult<_>>()?,
            older: page.older,
            newer: page.newer,
        })
    }

    /// A device of a client as it was at a moment; `None` if it was not there then.
    async fn find_past_device(
        &self,
        client: ClientId,
        id: DeviceId,
        at: Timestamp,
    ) -> StoreResult<Option<PastDevice>>;
    /// A client's devices of a kind that were there at a moment, as they were then, in the order of
    /// [`Store::list_devices`]; of one user if given.
    async fn list_past_devices(
        &self,
        client: ClientId,
        user: Option<UserId>,
        kind: DeviceKind,
        at: Timestamp,
        page: PageRequest,
    ) -> StoreResult<Page<PastDevice>>;

    // ---- actions ----------------------------------------------------------------------------

    /// An action of a client.
    async fn find_action(
        &self,
        client: ClientId,
        id: ActionId,
    ) -> StoreResult<Option<StoredAction>>;
    /// The newest action of a device, pending or not.
    async fn newest_action(&self, device: DeviceId) -> StoreResult<Option<StoredAction>>;
    /// Pending actions, oldest first.
    async fn pending_actions(&self, of: PendingOf) -> StoreResult<Vec<StoredAction>>;

    // ---- schedules --------------------------------------------------------------------------

    /// A schedule of a client.
    async fn find_schedule(
        &self,
        client: ClientId,
        id: ScheduleId,
    ) -> StoreResult<Option<StoredSchedule>>;
    /// The schedules of a user, newest first.
    async fn list_schedules(
        &self,
        client: ClientId,
        user: UserId,
        page: PageRequest,
    ) -> StoreResult<Page<StoredSchedule>>;
    /// The schedules of a device, oldest first.
    async fn schedules_of_device(&self, device: DeviceId) -> StoreResult<Vec<StoredSchedule>>;
    /// The devices of the accounts of partitions that have schedules.
    async fn scheduled_devices(&self, of: Partitions) -> StoreResult<Vec<(AccountId, DeviceId)>>;

    // ---- smart charging ---------------------------------------------------------------------

    /// The smart charging of a device, if anything is stored of it.
    async fn find_smart(&self, device: DeviceId) -> StoreResult<Option<StoredSmart>>;
    /// The devices whose smart charging or override is to be seen to.
    async fn active_smart(&self, of: Partitions) -> StoreResult<Vec<(AccountId, DeviceId)>>;
    /// Whether another device of a client has a claim.
    async fn is_claimed(
        &self,
        client: ClientId,
        claim: String,
        but_for: DeviceId,
    ) -> StoreResult<bool>;
    /// A plan of a device; without an ID its newest.
    async fn smart_plan(
        &self,
        device: DeviceId,
        id: Option<PlanId>,
    ) -> StoreResult<Option<PlanRecord>>;

    // ---- HEM systems ------------------------------------------------------------------------

    /// All HEM systems of an account.
    async fn hem_systems_of_account(&self, id: AccountId) -> StoreResult<Vec<HemSystem>>;
    /// A HEM system of a client.
    async fn find_hem_system(
        &self,
        client: ClientId,
        id: HemSystemId,
    ) -> StoreResult<Option<HemSystem>>;
    /// A client's HEM systems, most recently found first; of one user if given.
    async fn list_hem_systems(
        &self,
        client: ClientId,
        user: Option<UserId>,
        page: PageRequest,
    ) -> StoreResult<Page<HemSystem>>;
    /// When devices were last seen; those that are gone are left out.
    async fn last_seen(&self, devices: Vec<DeviceId>) -> StoreResult<Vec<(DeviceId, Timestamp)>>;
    /// What was told of a HEM system in a period.
    async fn hem_record(&self, id: HemSystemId, period: Period)
    -> StoreResult<Option<SiteHistory>>;

    // ---- locations --------------------------------------------------------------------------

    /// Adds a Location. False if its user has as many as a user can have; fails with
    /// [`StoreError::Conflict`] if there is no such user.
    async fn create_location(&self, location: Location) -> StoreResult<bool>;
    /// A Location of a client.
    async fn find_location(
        &self,
        client: ClientId,
        id: LocationId,
    ) -> StoreResult<Option<Location>>;
    /// A client's Locations, newest first; of one user if given.
    async fn list_locations(
        &self,
        client: ClientId,
        user: Option<UserId>,
        page: PageRequest,
    ) -> StoreResult<Page<Location>>;
    /// All Locations of a user, oldest first.
    async fn locations_of_user(&self, client: ClientId, user: UserId)
    -> StoreResult<Vec<Location>>;
    /// Changes a Location, and returns it as it is then; `None` if there is none.
    async fn update_location(
        &self,
        client: ClientId,
        id: LocationId,
        patch: LocationPatch,
    ) -> StoreResult<Option<Location>>;
    /// Deletes a Location, and returns it as it was; `None` if there is none.
    async fn delete_location(
        &self,
        client: ClientId,
        id: LocationId,
    ) -> StoreResult<Option<Location>>;
    /// The oldest changes of Locations in partitions, each noted together with itself: what devices
    /// have still to be placed anew by. Those of a user who is deleted go too.
    async fn location_changes(
        &self,
        of: Partitions,
        limit: u32,
    ) -> StoreResult<Vec<LocationChange>>;
    /// Forgets changes of Locations by their numbers.
    async fn forget_location_changes(&self, numbers: Vec<i64>) -> StoreResult<()>;

    // ---- tariffs and prices -----------------------------------------------------------------

    /// Puts the rates of a tariff. What they were before stays known; the same rates again change
    /// nothing, and a moment before that of the last ones counts as the one after it.
    async fn save_tariff(&self, client: ClientId, tariff: Tariff) -> StoreResult<()>;
    /// A tariff with its present rates.
    async fn find_tariff(&self, client: ClientId, id: TariffId) -> StoreResult<Option<Tariff>>;
    /// Hangs a tariff at a Location in place of the one before, by the same rules. False if the
    /// client has no such Location.
    async fn hang_tariff(&self, client: ClientId, hung: LocationTariff) -> StoreResult<bool>;
    /// What decides the prices at a Location; `None` if there is none.
    async fn location_prices(
        &self,
        client: ClientId,
        id: LocationId,
    ) -> StoreResult<Option<LocationPrices>>;
    /// Sets currency and price area of a Location. False if there is none.
    async fn set_location_pricing(
        &self,
        client: ClientId,
        id: LocationId,
        pricing: LocationPricing,
    ) -> StoreResult<bool>;
    /// The currency of a client's tariffs, if it was set.
    async fn client_currency(&self, client: ClientId) -> StoreResult<Option<Currency>>;
    /// Sets the currency of a client's tariffs, or none.
    async fn set_client_currency(
        &self,
        client: ClientId,
        currency: Option<Currency>,
    ) -> StoreResult<()>;
    /// Adds prices of a market. What the same source told before for the same time goes.
    async fn save_market_prices(&self, upload: MarketUpload) -> StoreResult<()>;
    /// The prices of a market's area that touch a time, by source and beginning.
    async fn market_prices(
        &self,
        client: ClientId,
        area: String,
        from: Timestamp,
        to: Timestamp,
    ) -> StoreResult<Vec<MarketPrice>>;

    // ---- writing what happened --------------------------------------------------------------

    /// The number of the present fence of each partition, after raising all of them: whoever held
    /// them before can no longer commit.
    async fn take_fences(&self) -> StoreResult<Fences>;
    /// Writes a unit of work; returns the position of its last event. Fails with
    /// [`StoreError::Conflict`] and writes nothing if a device, an action or a schedule is not as it
    /// was read,
    /// or with [`StoreError::Fenced`] if the partition has a newer owner.
    async fn commit(&self, unit: UnitOfWork) -> StoreResult<Option<Position>>;
    /// Writes what moved without being worth an event. Rows of devices that have moved on to
    /// another version, or are gone, are passed over.
    async fn flush_presence(&self, flush: PresenceFlush) -> StoreResult<()>;
    /// What was spent of every budget of partitions.
    async fn budget_usage(&self, of: Partitions) -> StoreResult<Vec<BudgetUsage>>;

    // ---- ages -------------------------------------------------------------------------------

    /// The devices of the accounts of partitions whose credentials are dead.
    async fn lost_devices(&self, of: Partitions) -> StoreResult<Vec<LostDevice>>;
    /// Until when time is counted in partitions, and the breaches that are open there.
    async fn age_state(&self, of: Partitions) -> StoreResult<AgeState>;
    /// Sums of ages by the hour, oldest first.
    async fn age_hours(&self, query: AgeQuery) -> StoreResult<Vec<AgeHour>>;
    /// Breaches that touch a time: the newest, at most `limit`, and all of them counted.
    async fn breaches(&self, query: AgeQuery, limit: u32) -> StoreResult<BreachList>;

    // ---- energy -----------------------------------------------------------------------------

    /// The history of a device from an hour on: what a change of it begins with.
    async fn history_piece(&self, device: DeviceId, from: Timestamp) -> StoreResult<Piece>;
    /// The devices of a user that have a history, also those that are gone; of a kind.
    async fn devices_with_history(
        &self,
        client: ClientId,
        user: UserId,
        kind: DeviceKind,
    ) -> StoreResult<Vec<DeviceId>>;
    /// The quarter hours of devices that begin in a time, by device, flow and time.
    async fn quarters(
        &self,
        devices: Vec<DeviceId>,
        from: Timestamp,
        to: Timestamp,
    ) -> StoreResult<Vec<Quarter>>;
    /// The stays of devices that touch a time, by device and time: the one that had begun before,
    /// and those that began within it. A moment before that of a device's last stay counted as the
    /// one after it when it was written.
    async fn stays(
        &self,
        devices: Vec<DeviceId>,
        from: Timestamp,
        to: Timestamp,
    ) -> StoreResult<Vec<(DeviceId, Stay)>>;
    /// The sessions of devices that were seen to go on at `from` or after it and began before
    /// `to`, by device and time.
    async fn charging_sessions(
        &self,
        devices: Vec<DeviceId>,
        from: Timestamp,
        to: Timestamp,
    ) -> StoreResult<Vec<(DeviceId, ChargingSession)>>;
    /// A session of a client, with its device.
    async fn find_charging_session(
        &self,
        client: ClientId,
        id: ChargingSessionId,
    ) -> StoreResult<Option<(DeviceId, ChargingSession)>>;
    /// The inverters of an integration, in partitions, that are to be asked about: those that have
    /// waited for longest first.
    async fn productions_due(
        &self,
        integration: String,
        of: Partitions,
        now: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<ProductionDue>>;
    /// When an inverter is to be asked about next; `None` if that was never said.
    async fn next_production(&self, device: DeviceId) -> StoreResult<Option<Timestamp>>;
    /// Of which periods production is known, from one on (by their names, so a month comes before its
    /// days).
    async fn known_productions(&self, device: DeviceId, from: Period) -> StoreResult<Vec<Known>>;
    /// What an inverter produced in a period.
    async fn production(&self, device: DeviceId, period: Period)
    -> StoreResult<Option<Production>>;
    /// Forgets samples of before a moment, by whole hours or days; what was summed up stays.
    async fn prune_samples(&self, keep_from: Timestamp) -> StoreResult<()>;

    // ---- the event log ----------------------------------------------------------------------

    /// A client's events after a position, in order.
    async fn events_after(&self, query: LogQuery) -> StoreResult<LogPage>;
    /// Position of the newest event of a client (0 if it has none).
    async fn last_position(&self, client: ClientId) -> StoreResult<Position>;
    /// Number of a client's events after a position, counted up to `limit`.
    async fn count_events_after(
        &self,
        client: ClientId,
        after: Position,
        limit: u32,
    ) -> StoreResult<u32>;
    /// When the newest event of all was made, by the clock of then; `None` if there is none.
    async fn newest_event_at(&self) -> StoreResult<Option<Timestamp>>;
    /// Drops the whole time slices of the log that ended before `keep_from`; returns how many. Also
    /// forgets delivery attempts, ended link sessions and actions, devices that are gone, sums of ages
    /// and ended breaches of before.
    /// `now` tells which slices are dated in the future, by a clock that was wrong.
    async fn prune(&self, keep_from: Timestamp, now: Timestamp) -> StoreResult<u32>;

    /// Leaves a gap in the positions of every client's log, larger than any number of events that an
    /// installation makes in its life. For a database that was put back to an older state: of the
    /// positions after that state some were given out and forgotten. A reader that holds one of them
    /// would pass over whatever is given the same position anew; beyond the gap everything comes
    /// after it.
    async fn skip_positions(&self) -> StoreResult<()>;

    // ---- webhooks ---------------------------------------------------------------------------

    /// Adds a webhook whose lanes all start at `cursor`. Fails with [`StoreError::Duplicate`] if
    /// the client has one with the same URL.
    async fn create_webhook(&self, webhook: Webhook, cursor: Position) -> StoreResult<()>;
    /// A client's webhooks, newest first.
    async fn list_webhooks(
        &self,
        client: ClientId,
        page: PageRequest,
    ) -> StoreResult<Page<Webhook>>;
    /// A webhook of a client.
    async fn find_webhook(&self, client: ClientId, id: WebhookId) -> StoreResult<Option<Webhook>>;
    /// Replaces a webhook's settings at the revision before the one it carries, else fails with
    /// [`StoreError::Conflict`]; the cursors stay, and deliveries under way are due at once with
    /// a new retry window. With another filter they are dropped: their IDs must not come again with
    /// other events. False if it is gone.
    async fn update_webhook(&self, webhook: Webhook) -> StoreResult<bool>;
    /// Deletes a webhook. False if there is none.
    async fn delete_webhook(&self, client: ClientId, id: WebhookId) -> StoreResult<bool>;
    /// All active webhooks of all clients with their lanes.
    async fn active_webhooks(&self) -> StoreResult<Vec<(Webhook, Vec<Lane>)>>;
    /// The lanes of a webhook.
    async fn lanes(&self, id: WebhookId) -> StoreResult<Vec<Lane>>;
    /// Moves a lane on, and with it what follows for its webhook. Does nothing if the webhook is
    /// gone or at another revision, and returns false then. Fails with [`StoreError::Fenced`] if
    /// another node delivers to it by now.
    async fn save_lane(&self, step: LaneStep) -> StoreResult<bool>;
    /// The newest delivery attempts of a webhook, newest first.
    async fn delivery_attempts(
        &self,
        id: WebhookId,
        limit: u32,
    ) -> StoreResult<Vec<DeliveryAttempt>>;

    // ---- exports ----------------------------------------------------------------------------

    /// The logs that are not exported to a sink to their end, in the order of their clients' IDs.
    async fn exports_behind(&self, sink: String) -> StoreResult<Vec<ExportBehind>>;
    /// Notes how far a log is exported. False if the client is gone. Fails with
    /// [`StoreError::Fenced`] if another node exports it by now.
    async fn save_export(&self, step: ExportStep) -> StoreResult<bool>;

    // ---- operation --------------------------------------------------------------------------

    /// Whether the database answers and can be written to.
    async fn check(&self) -> StoreResult<()>;
    /// Numbers to watch the installation by; costs no more than there are accounts in trouble and
    /// webhooks.
    async fn figures(&self) -> StoreResult<StoreFigures>;
    /// A number that was stored under `name`, or `value` after storing it, for settings that must
    /// survive, such as the key check of the vault.
    async fn remember(&self, name: String, value: String) -> StoreResult<String>;
}

fn device_text(device: Device) -> StoreResult<DeviceText> {
    DeviceText::of(device).map_err(|error| StoreError::Unreadable {
        what: "document",
        source: error.into(),
    })
}
