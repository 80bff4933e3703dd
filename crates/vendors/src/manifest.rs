//! What is fixed about an integration, as data.

use livewatt_domain::{action::Timing, cadence::CadencePolicy, kind::DeviceKind, scope::Scope};

use crate::budget::BudgetSpec;

/// A brand under which devices of an integration appear on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brand {
    /// The contract's vendor name.
    pub vendor: &'static str,
    /// The brand as people spell it.
    pub display_name: String,
    /// Where the end user signs in.
    pub portal_name: String,
    /// The kinds of device that appear under it.
    pub kinds: Vec<DeviceKind>,
}

/// How an account is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadShape {
    /// One call answers for all devices, so they share one due time.
    WholeAccount,
    /// One call a device, so each has a due time of its own.
    PerDevice,
    /// Devices come to us; nothing is ever asked.
    PushOnly,
}

/// What is fixed about an integration.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Its name inside of Livewatt; also a segment of push addresses.
    pub id: &'static str,
    /// The brands it serves.
    pub brands: Vec<Brand>,
    /// True if one account is of exactly one of the brands (the one chosen when linking), false if
    /// it may hold devices of all of them.
    pub is_one_brand_per_account: bool,
    /// How an account is read.
    pub reads: ReadShape,
    /// How often the vendor may or need be asked.
    pub cadence: CadencePolicy,
    /// How long its devices may take to do what they are told, and when they are told again.
    pub actions: Timing,
    /// The vendor's quotas.
    pub budgets: Vec<BudgetSpec>,
    /// The scopes it can serve.
    pub scopes: Vec<Scope>,
}

impl Manifest {
    /// The brand of a vendor name.
    pub fn brand(&self, vendor: &str) -> Option<&Brand> {
        self.brands.iter().find(|brand| brand.vendor == vendor)
    }
}
