//! What came of asking a vendor: never a bare error, for what succeeded is kept.

use jiff::Timestamp;
use livewatt_domain::{
    account::AttemptOutcome,
    device::VendorDevice,
    fact::Observation,
    hem::{SeriesValues, SiteTold},
    zone::Zone,
};

/// Which devices the account holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inventory {
    /// Exactly these: a listing that was complete.
    Complete(Vec<VendorDevice>),
    /// At least these; silence about a device means nothing.
    Partial(Vec<VendorDevice>),
}

/// What is the matter with one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceTrouble {
    /// The vendor says it does not exist (any more): evidence of removal.
    Gone,
    /// The vendor cannot reach it.
    Offline,
    /// Its answer made no sense.
    Malformed(String),
}

/// How the account as a whole stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountOutcome {
    /// All that was asked was answered.
    Ok,
    /// The access token is no longer accepted: refresh once and ask again.
    LoginExpired,
    /// The vendor told us to wait.
    RateLimited {
        /// Until when.
        until: Timestamp,
        /// Whether the vendor said so itself, or it is our guess.
        stated_by_vendor: bool,
    },
    /// A budget of ours is used up; nothing was sent.
    OverBudget {
        /// When there is room again.
        until: Timestamp,
    },
    /// No answer, or an answer that the vendor is not well (5xx).
    Unreachable(String),
    /// An answer that makes no sense: cut JSON, HTML, another shape.
    Malformed(String),
    /// The vendor refuses for a reason that is not the user's (unknown app, suspended).
    Refused(String),
}

impl AccountOutcome {
    /// The same without its details, as attempts are remembered.
    pub const fn kind(&self) -> AttemptOutcome {
        match self {
            Self::Ok => AttemptOutcome::Ok,
            Self::LoginExpired => AttemptOutcome::LoginExpired,
            Self::RateLimited { .. } => AttemptOutcome::RateLimited,
            Self::OverBudget { .. } => AttemptOutcome::OverBudget,
            Self::Unreachable(_) => AttemptOutcome::Unreachable,
            Self::Malformed(_) => AttemptOutcome::Malformed,
            Self::Refused(_) => AttemptOutcome::Refused,
        }
    }
}

/// What a vendor recorded of the production of an inverter in a day or a month.
#[derive(Debug, Clone, PartialEq)]
pub struct ProductionTold {
    /// The zone by whose calendar the period is one.
    pub zone: Zone,
    /// kWh of each bucket from the period's beginning on, `None` where nothing is recorded; `None` as
    /// a whole if the vendor has no record of the inverter.
    pub kwh: Option<Vec<Option<f64>>>,
    /// Refused values met on the way, as `field=word`.
    pub drift: Vec<String>,
}

/// What a vendor recorded of a site in a day or a month.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteHistoryTold {
    /// The zone by whose calendar the period is one.
    pub zone: Zone,
    /// By what is recorded, of each bucket from the period's beginning on: energy, kWh, or the level
    /// at its end, %; `None` where it is not known. `None` as a whole if the vendor has no record of
    /// the site.
    pub series: Option<SeriesValues>,
    /// Refused values met on the way, as `field=word`.
    pub drift: Vec<String>,
}

/// What came of asking a vendor about an account.
#[derive(Debug, Clone, PartialEq)]
pub struct Harvest {
    /// What was said about devices.
    pub observations: Vec<Observation>,
    /// Which devices there are; `None` if that was not asked.
    pub inventory: Option<Inventory>,
    /// What was said of the sites that devices are of, by vendors that know such.
    pub sites: Vec<SiteTold>,
    /// Devices that were asked about and did not answer well.
    pub troubled: Vec<(VendorDevice, DeviceTrouble)>,
    /// How the account stands.
    pub account: AccountOutcome,
    /// Unmapped words and refused values met on the way, as `field=word`.
    pub drift: Vec<String>,
}

impl Harvest {
    /// A harvest that yielded nothing but a verdict about the account.
    pub const fn barren(account: AccountOutcome) -> Self {
        Self {
            observations: Vec::new(),
            inventory: None,
            sites: Vec::new(),
            troubled: Vec::new(),
            account,
            drift: Vec::new(),
        }
    }
}
