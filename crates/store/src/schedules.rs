//! Values of schedules.

use livewatt_domain::schedule::{Execution, Schedule};

/// A schedule as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSchedule {
    /// The schedule.
    pub schedule: Schedule,
    /// How far it was carried out.
    pub execution: Execution,
    /// Rises with each change, from 1.
    pub revision: u64,
}

/// What happens to a schedule in a unit of work. A device has one that is enabled at most: another one
/// fails with [`StoreError::Duplicate`](crate::StoreError::Duplicate). In one unit, changes come
/// before what is new.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "written at once; never kept in number"
)]
pub enum ScheduleChange {
    /// A new one. Fails with [`StoreError::Conflict`](crate::StoreError::Conflict) if its device or
    /// its user is gone.
    Insert(Schedule),
    /// The one at `from_revision` becomes this.
    Update {
        /// The schedule as it is to be.
        schedule: Schedule,
        /// How far it was carried out.
        execution: Execution,
        /// The revision it was read at.
        from_revision: u64,
    },
    /// The one at `from_revision` goes.
    Delete {
        /// The schedule as it was.
        schedule: Schedule,
        /// The revision it was read at.
        from_revision: u64,
    },
}

impl ScheduleChange {
    /// The schedule as it is to be, or was.
    pub const fn schedule(&self) -> &Schedule {
        match self {
            Self::Insert(schedule)
            | Self::Update { schedule, .. }
            | Self::Delete { schedule, .. } => schedule,
        }
    }
}
