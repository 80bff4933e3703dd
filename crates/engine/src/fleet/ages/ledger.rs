//! What happens to devices, as the ages of their blocks see it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use livewatt_domain::{
    Timestamp,
    age::{BlockAge, Grace, moment, second},
    device::Device,
    fact::{Completeness, Field, Observation, Presence},
    id::DeviceId,
    partition::Partitions,
};
use livewatt_store::{AgeState, FleetDevice};

use super::{
    AccountFacts, Before, BlockView, DeviceAges,
    books::{Books, Standstill, Step, index_of},
    confirmation::{confirmation, duration, stored_confirmation},
};
use crate::fleet::slot::{AccountSlot, DeviceSlot};

/// Sums and breaches on their way to the store.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Books>);

impl Ledger {
    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what was stored of partitions: until when time was counted there, and the breaches
    /// still open.
    pub(crate) fn restore(&self, now: Timestamp, of: &Partitions, stored: AgeState) {
        let mut books = self.books();
        let now = second(now);
        for partition in of.iter() {
            let until = stored.counted_until.get(usize::from(partition)).copied();
            let from = until.flatten().map_or(now, second).min(now);
            books
                .standstills
                .insert(partition, Standstill { from, to: now });
        }
        if books.counted_until == 0 {
            books.counted_until = books
                .standstills
                .values()
                .map(|s| s.from)
                .min()
                .unwrap_or(now);
        }
        books.is_starting = true;
        for breach in stored.open {
            if let Some(index) = index_of(breach.kind, breach.block) {
                books.breaches.restore(index, breach);
            }
        }
    }

    /// Ends the breaches of devices that are no more.
    pub(in crate::fleet) fn end_orphans(
        &self,
        now: Timestamp,
        is_known: impl Fn(DeviceId) -> bool,
    ) {
        let mut books = self.books();
        books.is_starting = false;
        let orphans: Vec<_> = books.breaches.blocks().collect();
        for (device, block) in orphans.into_iter().filter(|(id, _)| !is_known(*id)) {
            books.close(device, block, second(now));
        }
    }

    /// The ages of a device as it is stored, still without deadlines.
    pub(crate) fn load(&self, device: &FleetDevice, is_push_only: bool) -> DeviceAges {
        let mut books = self.books();
        let blocks = Field::blocks(device.vendor_device.kind).map(|block| {
            stored_confirmation(device, block, is_push_only)
                .map_or_else(BlockAge::default, |at| BlockAge::confirmed_at(at, 0))
        });
        DeviceAges {
            blocks: blocks.collect(),
            until: books
                .counted_at_start(device.account_id)
                .max(second(device.last_seen)),
            vendor: books.vendor(&device.vendor),
            is_unreachable: device.is_reachable == Some(false),
        }
    }

    /// A device that comes in goes on with the breaches that are open of it.
    pub(in crate::fleet) fn resume(&self, slot: &mut DeviceSlot) {
        let mut books = self.books();
        for (index, block) in slot.ages.blocks.iter_mut().enumerate() {
            let key = (slot.id, index as u8);
            let open = books.breaches.of(key.0, key.1);
            let since = open.map(|open| second(open.confirmed_at));
            match (since, block.confirmed()) {
                (None, _) => {}
                (Some(since), Some(confirmed)) if confirmed <= since => block.open(),
                // Confirmed, and the server died before it wrote that the breach was over.
                (Some(_), confirmed) => books.close(slot.id, key.1, confirmed.unwrap_or_default()),
            }
        }
    }

    /// A device after it was merged: its blocks were confirmed as their stamps say.
    pub(crate) fn note_merged(
        &self,
        account: &AccountFacts,
        slot: &mut DeviceSlot,
        before: Before,
        device: &Device,
        now: Timestamp,
    ) {
        let mut books = self.books();
        slot.ages.vendor = books.vendor(&device.vendor);
        if slot.ages.blocks.is_empty() {
            slot.ages.until = second(now);
            slot.ages.blocks = Field::blocks(device.kind())
                .map(|_| BlockAge::default())
                .collect();
        }
        let is_unreachable = device.is_reachable() == Some(false);
        let step = Step {
            before: before.0,
            is_unreachable,
            now: second(now),
        };
        books.advance(account, slot, &step, |block| {
            confirmation(device, block, account.is_push_only).filter(|_| !is_unreachable)
        });
    }

    /// A device whose vendor repeated what it had said before.
    pub(crate) fn note_repeated(
        &self,
        account: &AccountFacts,
        slot: &mut DeviceSlot,
        seen: &Observation,
        now: Timestamp,
    ) {
        let step = Step::still(slot, now);
        let confirmed = (
            second(seen.received_at),
            Grace(duration(seen.started_at, seen.received_at)),
        );
        let is_about_all =
            seen.completeness == Completeness::Complete || seen.presence == Presence::Asleep;
        self.books().advance(account, slot, &step, |block| {
            let tells = || seen.facts.iter().any(|f| f.field.block() == Some(block));
            (is_about_all || tells()).then_some(confirmed)
        });
    }

    /// A station that was found connected: silence of it confirms what is known.
    pub(crate) fn note_connected(
        &self,
        account: &AccountFacts,
        slot: &mut DeviceSlot,
        now: Timestamp,
    ) {
        let step = Step::still(slot, now);
        let confirmed = (!slot.ages.is_unreachable).then_some((step.now, Grace(0)));
        self.books().advance(account, slot, &step, |_| confirmed);
    }

    /// Counts the time until now.
    pub(in crate::fleet) fn settle(
        &self,
        account: &AccountFacts,
        slot: &mut DeviceSlot,
        now: Timestamp,
    ) {
        let step = Step::still(slot, now);
        self.books().advance(account, slot, &step, |_| None);
    }

    /// Opens the breaches of an account whose time has come; returns how many.
    pub(in crate::fleet) fn look(&self, slot: &mut AccountSlot, now: Timestamp) -> usize {
        let facts = slot.facts();
        let mut books = self.books();
        let now = second(now);
        let mut opened = 0;
        for device in slot.devices.iter_mut().filter(|d| !d.ages.is_unreachable) {
            let promise = device.promise();
            for index in 0..device.ages.blocks.len() {
                let block = device.ages.blocks[index];
                if let Some(began) = block.overdue(now, Grace(0)) {
                    books.open(&facts, device, &promise, index as u8, block, began);
                    opened += 1;
                    // Counted as it stood, before the block forgets where its limit was.
                    books.advance(&facts, device, &Step::plain(device, now), |_| None);
                    device.ages.blocks[index].open();
                }
            }
        }
        opened
    }

    /// A device that is no longer watched.
    pub(crate) fn leave(&self, account: &AccountFacts, slot: &mut DeviceSlot, now: Timestamp) {
        self.settle(account, slot, now);
        let mut books = self.books();
        for block in 0..slot.ages.blocks.len() {
            books.close(slot.id, block as u8, second(now));
        }
    }

    /// A device that another node watches from now on: what is open of it stays open.
    pub(in crate::fleet) fn let_go(&self, slot: &DeviceSlot) {
        let mut books = self.books();
        for block in 0..slot.ages.blocks.len() {
            books.breaches.forget(slot.id, block as u8);
        }
    }

    /// The ages of a device's blocks, for people to read.
    pub(in crate::fleet) fn view(&self, slot: &DeviceSlot) -> Vec<BlockView> {
        let books = self.books();
        let blocks = slot.ages.blocks.iter().enumerate();
        blocks
            .map(|(index, block)| BlockView {
                confirmed_at: block.confirmed().map(moment),
                breach: books.breaches.of(slot.id, index as u8).cloned(),
            })
            .collect()
    }
}
