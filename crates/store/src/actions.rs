//! Values of actions.

use livewatt_domain::{
    action::Action,
    id::{AccountId, DeviceId},
    partition::Partitions,
};

/// An action as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredAction {
    /// The action.
    pub action: Action,
    /// The account that its device is part of, whose owner sees to it.
    pub account_id: AccountId,
    /// Rises with each change, from 1.
    pub revision: u64,
}

/// What happens to an action in a unit of work. In one unit, changes come before what is new: one that
/// ends makes room for the next of its device.
#[derive(Debug, Clone, PartialEq)]
pub enum ActionChange {
    /// A new one. Fails with [`StoreError::Duplicate`](crate::StoreError::Duplicate) if it is
    /// pending and another of its device is.
    Insert {
        /// The action.
        action: Action,
        /// The account that its device is part of.
        account_id: AccountId,
    },
    /// The one at `from_revision` becomes this.
    Update {
        /// The action as it is to be.
        action: Action,
        /// The account that its device is part of.
        account_id: AccountId,
        /// The revision it was read at.
        from_revision: u64,
    },
}

impl ActionChange {
    /// The action as it is to be.
    pub const fn action(&self) -> &Action {
        match self {
            Self::Insert { action, .. } | Self::Update { action, .. } => action,
        }
    }
}

/// Which pending actions are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PendingOf {
    /// That of a device.
    Device(DeviceId),
    /// Those of an account's devices.
    Account(AccountId),
    /// Those of all accounts of partitions.
    Partitions(Partitions),
}
