//! The only vendor knowledge of Livewatt.
//!
//! An adapter implements [`Vendor`]: it turns a vendor's JSON into observations (facts with times)
//! and a vendor's refusals into the words of [`AccountOutcome`], so that the engine decides without
//! knowing any vendor. Facts about a vendor (brands, kinds, quotas, cadence) are data, in its
//! [`Manifest`]. Each adapter is a folder of four files: `mod` (identity and the trait), `api` (the
//! calls), `wire` (the vendor's JSON), `convert` (its meaning).
//!
//! An adapter's only way out is the [`Caller`] it is handed: pooled per host, bounded in time and
//! size, drawing on budgets, and never logging a secret.

pub mod budget;
pub mod catalogue;
pub mod command;
pub mod harvest;
pub mod helios;
pub mod http;
pub mod interventions;
mod lenient;
pub mod link;
pub mod manifest;
pub mod ocpp;
pub mod push;
pub mod registry;
pub mod rivoli;
pub mod secret;
mod session;
#[cfg(test)]
mod testing;
pub mod vendor;
pub mod volta;

pub use budget::{BudgetScope, BudgetSpec, Budgets, OverBudget, Spent};
pub use command::CommandOutcome;
pub use harvest::{
    AccountOutcome, DeviceTrouble, Harvest, Inventory, ProductionTold, SiteHistoryTold,
};
pub use http::{CallError, Caller, HttpOptions, HttpPool, HttpSetupError, Priority, Response};
pub use link::{
    Credentials, FormField, FormFieldKind, LinkInput, LinkOutcome, LinkProblem, LinkedAccount,
};
pub use manifest::{Brand, Manifest, ReadShape};
pub use push::{PushBatch, PushError, PushIntake};
pub use registry::Registry;
pub use secret::Secret;
pub use vendor::{AccountContext, LinkContext, RefreshOutcome, Vendor, Wanted};
