//! What goes into a store and comes out of it, beside the domain's own values.

use jiff::Timestamp;
use livewatt_domain::{
    account::{Account, AccountSchedule, AccountStatus},
    age::{AgeTally, Breach, BreachReason},
    device::{Device, Stamps, VendorDevice},
    energy::{Flow, FlowSum},
    event::Event,
    history::HistoryChange,
    id::{AccountId, ClientId, DeviceId, LinkSessionId, PARTITIONS, UserId, WebhookId},
    kind::DeviceKind,
    production::Production,
    vendor::VendorName,
    webhook::{DeliveryAttempt, Lane, Position},
};

use crate::{
    actions::ActionChange,
    cluster::Letter,
    hem::{HemChange, HemRecord},
    schedules::ScheduleChange,
    smart::SmartChange,
};

/// An access token as it is kept: only its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredToken {
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// Whose it is.
    pub client_id: ClientId,
    /// When it ceases to work.
    pub expires_at: Timestamp,
}

/// An end user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The customer's name for the user.
    pub id: UserId,
    /// When the first link session was made.
    pub created_at: Timestamp,
}

/// Where a page begins or ends: the creation time and ID of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageKey {
    /// Creation time of the row.
    pub at: Timestamp,
    /// ID of the row, as text.
    pub id: String,
}

/// From where a page is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PageFrom {
    /// The newest rows.
    #[default]
    Start,
    /// Rows older than the key.
    After(PageKey),
    /// Rows newer than the key, those nearest to it.
    Before(PageKey),
}

/// Which page is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// From where.
    pub from: PageFrom,
    /// At most so many rows; at least 1.
    pub size: u32,
}

/// A page of rows, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Continue here for older rows; `None` if there are none.
    pub older: Option<PageKey>,
    /// Continue here for newer rows; `None` if there are none.
    pub newer: Option<PageKey>,
}

impl<T> Page<T> {
    /// The same page with other rows.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(change).collect(),
            older: self.older,
            newer: self.newer,
        }
    }
}

/// Which accounts are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountsOf {
    /// All of the installation.
    Everyone,
    /// Those of a client.
    Client(ClientId),
    /// Those of a user.
    User(ClientId, UserId),
}

/// What a server holds in memory of an active account.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetAccount {
    /// The account.
    pub id: AccountId,
    /// Its client.
    pub client_id: ClientId,
    /// Its integration.
    pub integration: String,
    /// When its devices were last listed.
    pub listed_at: Option<Timestamp>,
    /// What was written down of its schedule.
    pub schedule: Option<AccountSchedule>,
}

/// What a server holds in memory of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetDevice {
    /// The device.
    pub id: DeviceId,
    /// The account it is part of.
    pub account_id: AccountId,
    /// What its vendor calls it.
    pub vendor_device: VendorDevice,
    /// Its vendor.
    pub vendor: VendorName,
    /// When its blocks were last told (see `Stamps::told_blocks`); `None` if that was written down
    /// before it was asked.
    pub told: Option<Vec<(&'static str, Timestamp)>>,
    /// Whether live data can be had.
    pub is_reachable: Option<bool>,
    /// Last successful contact.
    pub last_seen: Timestamp,
    /// When it was last fetched; a push does not count, since it need not tell everything.
    pub fetched_at: Option<Timestamp>,
    /// It takes or gives noticeable power.
    pub is_active: bool,
    /// The vendor says it sleeps.
    pub is_asleep: bool,
    /// Complete listings in a row that did not contain it.
    pub missed_listings: u8,
}

/// A device that cannot be reached, since the credentials of its account are dead.
#[derive(Debug, Clone, PartialEq)]
pub struct LostDevice {
    /// The account it is part of.
    pub account_id: AccountId,
    /// Whose it is.
    pub client_id: ClientId,
    /// Its vendor.
    pub vendor: VendorName,
    /// Its kind.
    pub kind: DeviceKind,
    /// When its blocks were last told.
    pub told: Vec<(&'static str, Timestamp)>,
}

/// Credentials as they are stored.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedCredentials {
    /// Encrypted by the engine's vault.
    pub sealed: Vec<u8>,
    /// Rises with each change.
    pub version: u64,
}

impl std::fmt::Debug for SealedCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedCredentials")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// The fences of all partitions, by partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fences(pub Vec<u64>);

impl Fences {
    /// The fence to write with in a partition.
    pub fn of(&self, partition: u16) -> Fence {
        Fence {
            partition,
            number: self.0.get(usize::from(partition)).copied().unwrap_or(0),
        }
    }
}

impl Default for Fences {
    fn default() -> Self {
        Self(vec![0; usize::from(PARTITIONS)])
    }
}

/// The right to write for a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The partition.
    pub partition: u16,
    /// The number under which the right was taken.
    pub number: u64,
}

/// What happens to an account in a unit of work.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "a unit holds one or two, nearly all of them saves"
)]
pub enum AccountChange {
    /// Inserted, or replaced unless its credentials were replaced since it was read.
    Save {
        /// The account as it is to be.
        account: Account,
        /// The `credentials_version` it was read with; `None` if it is new.
        from_credentials: Option<u64>,
        /// What happens to its credentials.
        credentials: CredentialsChange,
        /// Its schedule, if that changes too.
        schedule: Option<AccountSchedule>,
    },
    /// Deleted, with credentials and whatever devices it still has.
    Delete(AccountId),
}

/// What happens to stored credentials.
#[derive(Clone)]
pub enum CredentialsChange {
    /// They stay.
    Keep,
    /// They are replaced; the account's `credentials_version` says their version.
    Replace(Vec<u8>),
    /// They are erased.
    Erase,
}

impl std::fmt::Debug for CredentialsChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Keep => "Keep",
            Self::Replace(_) => "Replace(…)",
            Self::Erase => "Erase",
        })
    }
}

/// What happens to a device in a unit of work.
#[derive(Debug, Clone)]
pub enum DeviceChange {
    /// A new row.
    Insert(Device),
    /// The row at `from_version` becomes this.
    Update {
        /// The device as it is to be.
        device: Device,
        /// The version it was read at.
        from_version: u64,
    },
    /// The row at `from_version` goes.
    Delete {
        /// The device.
        id: DeviceId,
        /// The version it was read at.
        from_version: u64,
        /// When it went.
        at: Timestamp,
    },
}

/// What is written together.
#[derive(Debug, Clone)]
pub struct UnitOfWork {
    /// The right to write as the owner of the account's partition. `None` if another node writes,
    /// for a user who links or unlinks there: then the versions that were read decide alone.
    pub fence: Option<Fence>,
    /// Accounts.
    pub accounts: Vec<AccountChange>,
    /// Devices.
    pub devices: Vec<DeviceChange>,
    /// Actions.
    pub actions: Vec<ActionChange>,
    /// Schedules.
    pub schedules: Vec<ScheduleChange>,
    /// Smart charging.
    pub smart: Vec<SmartChange>,
    /// HEM systems.
    pub hem_systems: Vec<HemChange>,
    /// What vendors told of their past.
    pub hem_records: Vec<HemRecord>,
    /// Events, in the order in which they are to be read.
    pub events: Vec<Event>,
    /// A link session that thereby reaches this state.
    pub link_session: Option<(LinkSessionId, livewatt_domain::link::LinkState)>,
    /// What was told of energy, and what follows from it.
    pub histories: Vec<DeviceHistory>,
    /// What was asked about the production of inverters, and when to ask again.
    pub productions: Vec<ProductionVisit>,
    /// What the owner of the account is thereby told. Only stores with a cluster have owners to
    /// tell.
    pub letter: Option<Letter>,
}

impl UnitOfWork {
    /// A unit that changes nothing yet.
    pub const fn new(fence: Option<Fence>) -> Self {
        Self {
            fence,
            accounts: Vec::new(),
            devices: Vec::new(),
            actions: Vec::new(),
            schedules: Vec::new(),
            smart: Vec::new(),
            hem_systems: Vec::new(),
            hem_records: Vec::new(),
            events: Vec::new(),
            link_session: None,
            histories: Vec::new(),
            productions: Vec::new(),
            letter: None,
        }
    }

    /// Whether there is nothing to write.
    pub const fn is_empty(&self) -> bool {
        self.accounts.is_empty()
            && self.devices.is_empty()
            && self.actions.is_empty()
            && self.schedules.is_empty()
            && self.smart.is_empty()
            && self.hem_systems.is_empty()
            && self.hem_records.is_empty()
            && self.events.is_empty()
            && self.link_session.is_none()
            && self.histories.is_empty()
            && self.productions.is_empty()
            && self.letter.is_none()
    }
}

/// What becomes other in the history of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceHistory {
    /// The device.
    pub device_id: DeviceId,
    /// What becomes other.
    pub change: HistoryChange,
}

/// What came of asking about the production of an inverter, and when to ask again.
#[derive(Debug, Clone, PartialEq)]
pub struct ProductionVisit {
    /// The inverter.
    pub device_id: DeviceId,
    /// What was told, if anything was.
    pub told: Option<Production>,
    /// When to ask again.
    pub next_at: Timestamp,
    /// How often it failed since it last succeeded.
    pub failures: u32,
}

/// An inverter that is to be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProductionDue {
    /// The inverter.
    pub device_id: DeviceId,
    /// Its account.
    pub account_id: AccountId,
    /// When it was to be asked about.
    pub next_at: Timestamp,
    /// How often that failed since it last succeeded.
    pub failures: u32,
}

/// What flowed to or from a device in a quarter hour, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Quarter {
    /// The device.
    pub device_id: DeviceId,
    /// The direction.
    pub flow: Flow,
    /// When the quarter hour begins.
    pub start: Timestamp,
    /// Rises when it turns out otherwise after it was over.
    pub version: u64,
    /// Why it last did.
    pub restated: Option<String>,
    /// What flowed.
    pub sum: FlowSum,
}

/// The quiet part of a device: what moves without an event.
#[derive(Debug, Clone, PartialEq)]
pub struct DevicePresence {
    /// The device.
    pub id: DeviceId,
    /// The version it has; otherwise the row is passed over.
    pub version: u64,
    /// Last successful contact; never moves the stored one back.
    pub last_seen: Timestamp,
    /// Where the values came from.
    pub stamps: Stamps,
    /// Whether it sleeps.
    pub is_asleep: bool,
    /// Complete listings in a row without it.
    pub missed_listings: u8,
}

/// What was spent of one budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetUsage {
    /// Which budget, of whom.
    pub key: String,
    /// The partition it goes with.
    pub partition: u16,
    /// When the window began that the number is about.
    pub window_start: Timestamp,
    /// What was spent in it.
    pub spent: u64,
}

/// A group of quiet writes.
#[derive(Debug, Clone, Default)]
pub struct PresenceFlush {
    /// Devices.
    pub devices: Vec<DevicePresence>,
    /// Devices that were fetched: moves `last_seen` (never back), whatever their version.
    pub seen: Vec<(DeviceId, Timestamp)>,
    /// Schedules of accounts.
    pub schedules: Vec<(AccountId, AccountSchedule)>,
    /// When accounts' devices were last listed.
    pub listed: Vec<(AccountId, Timestamp)>,
    /// Budgets.
    pub budgets: Vec<BudgetUsage>,
    /// Sums of ages, to be added to those stored. Those of a client that is gone are passed over.
    pub ages: Vec<AgeHour>,
    /// Breaches that began or ended. New ones of a device that is gone are passed over.
    pub breaches: Vec<Breach>,
    /// Until when all time is counted, if that moved.
    pub counted_until: Option<Timestamp>,
    /// The partitions that this node owns; rows of others are passed over. `None` where only one
    /// program can use the database.
    pub fences: Option<Vec<Fence>>,
}

/// What is stored of ages, for who takes partitions over.
#[derive(Debug, Clone, PartialEq)]
pub struct AgeState {
    /// Until when all time is counted, by partition; `None` if it never was.
    pub counted_until: Vec<Option<Timestamp>>,
    /// The breaches that are open.
    pub open: Vec<Breach>,
}

/// Ages of one block of all devices of a kind and vendor, within an hour.
#[derive(Debug, Clone, PartialEq)]
pub struct AgeHour {
    /// Whose devices.
    pub client_id: ClientId,
    /// When the hour begins.
    pub hour: Timestamp,
    /// Their vendor.
    pub vendor: VendorName,
    /// Their kind.
    pub kind: DeviceKind,
    /// The block.
    pub block: &'static str,
    /// The sums.
    pub tally: AgeTally,
}

/// Which ages are asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgeQuery {
    /// Whose; of the whole installation if absent.
    pub client_id: Option<ClientId>,
    /// From this moment on.
    pub from: Timestamp,
    /// Before this moment.
    pub to: Timestamp,
    /// Of this kind only.
    pub kind: Option<DeviceKind>,
    /// Of this vendor only.
    pub vendor: Option<VendorName>,
}

impl AgeQuery {
    /// Whether it asks about such devices.
    pub fn is_about(&self, kind: DeviceKind, vendor: &VendorName) -> bool {
        self.kind.is_none_or(|asked| asked == kind)
            && self.vendor.as_ref().is_none_or(|asked| asked == vendor)
    }
}

/// A breach as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreachRecord {
    /// The user whose device it was about.
    pub user_id: UserId,
    /// The breach.
    pub breach: Breach,
}

/// Number of breaches of a vendor, kind, block and reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreachCount {
    /// The vendor.
    pub vendor: VendorName,
    /// The kind.
    pub kind: DeviceKind,
    /// The block.
    pub block: &'static str,
    /// The reason.
    pub reason: BreachReason,
    /// How many.
    pub count: u64,
    /// How many of them are open.
    pub open: u64,
}

/// Breaches of a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreachList {
    /// The newest, newest first.
    pub newest: Vec<BreachRecord>,
    /// All of them, counted.
    pub counts: Vec<BreachCount>,
}

impl PresenceFlush {
    /// Whether there is nothing to write.
    pub const fn is_empty(&self) -> bool {
        self.devices.is_empty()
            && self.seen.is_empty()
            && self.schedules.is_empty()
            && self.listed.is_empty()
            && self.budgets.is_empty()
            && self.ages.is_empty()
            && self.breaches.is_empty()
            && self.counted_until.is_none()
    }
}

/// Which events are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// Whose.
    pub client_id: ClientId,
    /// After this position.
    pub after: Position,
    /// Not after this one, if given.
    pub until: Option<Position>,
    /// Only those of lane `.0` of `.1` (see `livewatt_domain::webhook::lane_hash`).
    pub lane: Option<(u16, u16)>,
    /// At most so many.
    pub limit: u32,
}

/// An event and where it stands in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedEvent {
    /// Its position.
    pub position: Position,
    /// The event.
    pub event: Event,
}

/// The gap that [`crate::Store::skip_positions`] leaves: thirty years of a thousand events a second.
/// The range of positions has room for eight million of them.
pub(crate) const POSITIONS_SKIPPED: i64 = 1 << 40;

/// A piece of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogPage {
    /// The events, in order.
    pub events: Vec<LoggedEvent>,
    /// Up to here nothing was left out: the position of the last event if the limit was reached,
    /// else the newest position of the client.
    pub read_until: Position,
    /// Events before this position were dropped by retention (0 if none ever were).
    pub kept_from: Position,
}

/// A step of a webhook's lane, written whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneStep {
    /// The lane as it is to be.
    pub lane: Lane,
    /// The attempt that led to it.
    pub attempt: Option<DeliveryAttempt>,
    /// Sets the webhook's last success.
    pub succeeded_at: Option<Timestamp>,
    /// Switches the webhook off: its retry window ran out.
    pub deactivate: bool,
    /// The webhook, for the attempt's sake.
    pub webhook_id: WebhookId,
    /// Its revision, as the lane was read: what was changed since is not overwritten.
    pub revision: u64,
    /// The right to deliver, as the owner of the webhook's partition; `None` where only one
    /// program can use the database.
    pub fence: Option<Fence>,
}

/// A log that is not exported to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportBehind {
    /// Whose it is.
    pub client_id: ClientId,
    /// What comes after this is still to be exported.
    pub cursor: Position,
}

/// How far a log is exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportStep {
    /// To where.
    pub sink: String,
    /// Whose log.
    pub client_id: ClientId,
    /// All up to here is there. A cursor never moves back.
    pub cursor: Position,
    /// The right to export, as the owner of the client's partition; `None` where only one program
    /// can use the database.
    pub fence: Option<Fence>,
}

/// Numbers to watch an installation by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreFigures {
    /// Accounts that are not active: number by integration and status.
    pub troubled: Vec<(String, AccountStatus, u64)>,
    /// Webhooks that are switched off.
    pub inactive_webhooks: u64,
    /// Size of the database without what has not reached it yet, bytes.
    pub database_bytes: u64,
    /// Size of what is written but not in its place in the database yet, bytes; 0 where a backend
    /// has no such thing.
    pub wal_bytes: u64,
    /// Room in the database that is free for what comes next, bytes.
    pub free_bytes: u64,
}
