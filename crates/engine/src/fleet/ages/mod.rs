//! The age of every block of every device, kept up as things happen.
//!
//! A device carries its [`DeviceAges`]; what comes of them gathers in the [`Ledger`]: sums by the
//! hour, and breaches. Whatever changes a device (a confirmation, another activity, cadence or
//! reach) first counts the time until then as things stood, by `Books::advance`.
//!
//! Invariants:
//! - All time of a device from its first confirmation on is counted once: within the promise,
//!   beyond it, or as unreachable.
//! - A breach is open in the ledger exactly while its block says so ([`BlockAge::is_open`]).
//! - The fleet's lock is taken before the ledger's.
//!
//! `ledger` takes in what happens, `books` counts it, `sums` and `breaches` are the counted hours
//! and the broken promises on their way to the store.

use livewatt_domain::{
    Timestamp,
    account::AttemptOutcome,
    age::{BlockAge, Breach, BreachReason, Grace, Second, second},
    id::ClientId,
};
use livewatt_vendors::ReadShape;

use super::slot::{AccountSlot, DeviceSlot};
pub(crate) use ledger::Ledger;
use promise::Promise;
pub(in crate::fleet) use sums::Pending;

mod books;
mod breaches;
mod confirmation;
mod ledger;
mod promise;
mod sums;

/// The ages of a device's blocks, in the order of `Field::blocks`.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeviceAges {
    blocks: Box<[BlockAge]>,
    /// Time is counted up to here.
    until: Second,
    vendor: u16,
    is_unreachable: bool,
}

impl DeviceAges {
    /// Its time is counted up to there.
    pub(in crate::fleet) fn counted_until(&mut self, until: Second) {
        self.until = self.until.max(until);
    }
}

/// What an account says about the ages of its devices.
#[derive(Debug, Clone)]
pub(crate) struct AccountFacts {
    client: ClientId,
    partition: u16,
    is_push_only: bool,
    /// The last attempt, unless it went well.
    trouble: Option<(BreachReason, AttemptOutcome)>,
    asked_at: Option<Second>,
    due_at: Option<Second>,
    not_before: Option<Second>,
    is_running: bool,
}

/// The age of a block at a moment, for people to read.
#[derive(Debug, Clone)]
pub(crate) struct BlockView {
    pub confirmed_at: Option<Timestamp>,
    pub breach: Option<Breach>,
}

impl AccountSlot {
    pub(crate) fn facts(&self) -> AccountFacts {
        let last = self.attempts.last();
        AccountFacts {
            client: self.client,
            partition: self.partition,
            is_push_only: self.shape == ReadShape::PushOnly,
            trouble: last.and_then(|(_, outcome)| {
                BreachReason::of_outcome(outcome).map(|reason| (reason, outcome))
            }),
            asked_at: last.map(|(at, _)| second(at.into())),
            due_at: self.due_at.map(|at| second(at.into())),
            not_before: self.not_before.map(|at| second(at.into())),
            is_running: self.is_running,
        }
    }

    /// When a block of it becomes too old, if nothing happens.
    pub(in crate::fleet) fn next_look(&self) -> Option<Second> {
        let reachable = self.devices.iter().filter(|d| !d.ages.is_unreachable);
        let deadlines = reachable.flat_map(|device| &device.ages.blocks);
        let first = deadlines.filter_map(|block| block.deadline()).min()?;
        Some(first.saturating_add(1))
    }
}

impl AccountFacts {
    /// Why a device of it cannot be reached.
    fn unreachable(&self) -> BreachReason {
        self.trouble
            .as_ref()
            .map_or(BreachReason::DeviceOffline, |(reason, _)| *reason)
    }

    /// The seconds that the fetch under way has taken so far.
    fn polling(&self, now: Second) -> Grace {
        let began = self.due_at.filter(|_| self.is_running);
        Grace(began.map_or(0, |due| now.saturating_sub(due)))
    }
}

/// How a device stood before a change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before(Promise);

impl DeviceSlot {
    pub(in crate::fleet) fn promise(&self) -> Promise {
        Promise::of(self.kind(), self.activity, self.interval(), self.reason)
    }

    /// What was confirmed before it came in must be confirmed again within its promise.
    pub(crate) fn set_deadlines(&mut self) {
        let allowed = self.promise().allowed;
        for block in &mut self.ages.blocks {
            if let Some(at) = block.confirmed() {
                *block = BlockAge::confirmed_at(at, allowed);
            }
        }
    }

    /// How it stands, to be handed to the ledger after a change.
    pub(crate) fn before(&self) -> Before {
        Before(self.promise())
    }
}
