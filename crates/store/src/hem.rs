//! What goes into a store about HEM systems.

use livewatt_domain::{
    hem::{HemSystem, SiteHistory},
    id::HemSystemId,
};

/// What happens to a HEM system in a unit of work.
#[derive(Debug, Clone)]
pub enum HemChange {
    /// A new row.
    Insert(HemSystem),
    /// The row at `from_version` becomes this, perhaps without an event.
    Update {
        /// The system as it is to be.
        system: HemSystem,
        /// The version it was read at.
        from_version: u64,
    },
    /// The row at `from_version` goes.
    Delete {
        /// The system.
        id: HemSystemId,
        /// The version it was read at.
        from_version: u64,
    },
}

/// What a vendor told of a HEM system in a day or a month.
#[derive(Debug, Clone, PartialEq)]
pub struct HemRecord {
    /// The system.
    pub system_id: HemSystemId,
    /// What was told.
    pub history: SiteHistory,
}
