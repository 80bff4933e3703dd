//! The calls of one budget in its sliding window, and the lease that covers what is not stored.
//!
//! A window is kept as a ring of slots that each count the calls of a sixtieth of it. A slot counts
//! in full until the last call it may hold has left the window, so a budget rather permits too
//! little (by less than one slot) than too much. A clock set back never frees anything: within the
//! length of a window the newest moment seen stands for now, beyond it all that counts is taken to
//! have been spent just now.

use jiff::{SignedDuration, Timestamp};

use super::{BudgetScope, BudgetSpec, RingKey};

/// Slots of a ring: sixty make a window, and one more is the one being filled.
pub(super) const SLOTS: u32 = 61;

/// Length of a slot. Rounded up, so that sixty slots are never shorter than the window.
pub(super) fn slot_millis(window: SignedDuration) -> i64 {
    let millis = i64::try_from(window.as_millis()).unwrap_or(i64::MAX).max(1);
    let full = i64::from(SLOTS - 1);
    millis / full + i64::from(millis % full != 0)
}

/// Calls that one account may make before the next write: its polls are minutes apart and writes a
/// second, so that a call seldom waits for one.
const ACCOUNT_LEASE: u32 = 2;
/// Calls that all accounts of an app together may make before the next write.
const APP_LEASE: u32 = 64;

/// The calls of the last window, counted by slot.
#[derive(Debug)]
pub(super) struct Ring {
    slot_millis: i64,
    /// Number of the newest slot, counted from 1970; `None` while nothing was counted.
    newest: Option<i64>,
    /// Counts by slot number modulo [`SLOTS`].
    counts: Box<[u32]>,
    /// A bit for each slot that changed.
    changed: u64,
    /// Whether the ring is in the list of changed ones.
    is_queued: bool,
    /// The slots in which calls are counted that are not over. They are not stored there, since
    /// they may yet move; the lease stands for them.
    open: Vec<i64>,
    /// Calls that are over and not stored yet; the lease stands for them too.
    unwritten: u32,
    /// Calls that may be open or unwritten.
    lease: u32,
    /// Calls that a new lease adds to those open.
    chunk: u32,
    /// The lease in the store, if that is certain.
    stored_lease: Option<u32>,
    /// What is being written.
    leaving: Option<Leaving>,
    /// The lease is given back with the next write.
    is_closing: bool,
}

#[derive(Debug, Clone, Copy)]
struct Leaving {
    changed: u64,
    unwritten: u32,
    lease: u32,
}

/// What is to be written of a ring.
pub(super) struct Changes {
    pub slots: Vec<SlotRow>,
    pub lease: Option<u32>,
}

/// A slot as it is to be stored.
pub(super) struct SlotRow {
    pub index: usize,
    pub start: Timestamp,
    pub spent: u32,
}

impl Ring {
    pub(super) fn new(spec: &BudgetSpec) -> Self {
        let counts = vec![0; SLOTS as usize].into_boxed_slice();
        let chunk = match spec.scope {
            BudgetScope::Account => ACCOUNT_LEASE,
            BudgetScope::App => APP_LEASE,
        };
        Self {
            slot_millis: slot_millis(spec.window),
            newest: None,
            counts,
            changed: 0,
            is_queued: false,
            open: Vec::new(),
            unwritten: 0,
            lease: 0,
            is_closing: false,
            // A crash must not cost a small budget much.
            chunk: chunk.min(spec.limit / 20).max(1),
            stored_lease: Some(0),
            leaving: None,
        }
    }

    pub(super) const fn slot_millis(&self) -> i64 {
        self.slot_millis
    }

    fn slot_of(&self, at: Timestamp) -> i64 {
        at.as_millisecond().div_euclid(self.slot_millis)
    }

    fn index(slot: i64) -> usize {
        slot.rem_euclid(i64::from(SLOTS)) as usize
    }

    /// Makes `now` the newest moment, dropping what has left the window.
    pub(super) fn move_to(&mut self, now: Timestamp) {
        let slot = self.slot_of(now);
        let Some(newest) = self.newest else {
            self.newest = Some(slot);
            return;
        };
        let slots = i64::from(SLOTS);
        if slot > newest {
            for passed in (newest + 1)..=slot.min(newest + slots) {
                // The stored row of a passed slot is left: its age tells that it counts no more.
                self.counts[Self::index(passed)] = 0;
            }
            self.newest = Some(slot);
        } else if newest - slot >= slots {
            let spent = self.total();
            self.counts.fill(0);
            self.newest = Some(slot);
            self.counts[Self::index(slot)] = spent;
            self.changed = (1 << SLOTS) - 1;
            self.open.fill(slot);
        }
    }

    fn total(&self) -> u32 {
        self.counts
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Whether `permitted` calls are spent, and until when.
    pub(super) fn full_until(&self, permitted: u32) -> Option<Timestamp> {
        let newest = self.newest?;
        let mut spent = self.total();
        if spent < permitted {
            return None;
        }
        let oldest = newest - i64::from(SLOTS - 1);
        let mut free_at = newest;
        for slot in oldest..=newest {
            spent -= self.counts[Self::index(slot)].min(spent);
            if spent < permitted {
                free_at = slot;
                break;
            }
        }
        let millis = free_at
            .saturating_add(i64::from(SLOTS))
            .saturating_mul(self.slot_millis);
        Some(Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX))
    }

    /// Counts a call that begins.
    pub(super) fn draw(&mut self) {
        if let Some(newest) = self.newest {
            let count = &mut self.counts[Self::index(newest)];
            *count = count.saturating_add(1);
            self.open.push(newest);
        }
    }

    /// Whether the lease stands for all that is not stored.
    pub(super) fn is_covered(&self) -> bool {
        self.uncertain() <= self.lease
    }

    fn uncertain(&self) -> u32 {
        u32::try_from(self.open.len())
            .unwrap_or(u32::MAX)
            .saturating_add(self.unwritten)
    }

    /// Ends a call that began at `from`: it counts as spent at `to`.
    pub(super) fn settle(&mut self, from: Timestamp, to: Timestamp) {
        let from = self.slot_of(from);
        self.move_to(to.max(self.start_of_newest()));
        let Some(newest) = self.newest else { return };
        // Where the clock was set back meanwhile, it is counted elsewhere.
        let place = self.open.iter().position(|slot| *slot == from);
        let place = place.or_else(|| (!self.open.is_empty()).then_some(0));
        let from = place.map_or(from, |place| self.open.swap_remove(place));
        self.unwritten = self.unwritten.saturating_add(1);
        let is_held = from < newest && newest - from < i64::from(SLOTS);
        let old = if is_held {
            self.counts[Self::index(from)]
        } else {
            0
        };
        let count = self.counts[Self::index(newest)];
        if old > 0 {
            self.change(from, old - 1);
            self.change(newest, count.saturating_add(1));
        } else if from != newest {
            // Its slot is not there any more; count it anew rather than lose it.
            self.change(newest, count.saturating_add(1));
        } else {
            self.change(newest, count);
        }
    }

    fn start_of_newest(&self) -> Timestamp {
        self.newest
            .and_then(|slot| {
                Timestamp::from_millisecond(slot.saturating_mul(self.slot_millis)).ok()
            })
            .unwrap_or(Timestamp::MIN)
    }

    /// Counts calls of an earlier run, in whatever order they come.
    pub(super) fn recall(&mut self, at: Timestamp, spent: u32) {
        let slot = self.slot_of(at);
        if self.newest.is_none_or(|newest| slot > newest) {
            self.move_to(at);
        }
        if self
            .newest
            .is_some_and(|newest| newest - slot < i64::from(SLOTS))
        {
            let count = &mut self.counts[Self::index(slot)];
            *count = count.saturating_add(spent);
        }
    }

    /// Counts what an earlier run may have called without writing it down. The lease stays in the
    /// store until the slot that holds it now is there.
    pub(super) fn recall_lease(&mut self, lease: u32, now: Timestamp) {
        self.move_to(now);
        self.stored_lease = Some(lease);
        if let Some(newest) = self.newest {
            let count = self.counts[Self::index(newest)];
            self.change(newest, count.saturating_add(lease));
        }
    }

    /// Wants the lease out of the store, unless calls are under way.
    pub(super) fn give_back(&mut self) {
        self.is_closing = true;
        if self.open.is_empty() && self.stored_lease != Some(0) {
            self.stored_lease = None;
        }
    }

    fn change(&mut self, slot: i64, count: u32) {
        let index = Self::index(slot);
        self.counts[index] = count;
        self.changed |= 1 << index;
    }

    /// Puts the ring into the list of those with something to write, if there is something.
    pub(super) fn queue(&mut self, key: RingKey, queue: &mut Vec<RingKey>) {
        let has_news = self.changed != 0 || !self.is_covered() || self.stored_lease.is_none();
        if has_news && !self.is_queued {
            self.is_queued = true;
            queue.push(key);
        }
    }

    /// What is to be written. Until it is confirmed, only what both the old and the new state
    /// permit may be drawn.
    pub(super) fn take_changes(&mut self, is_closing: bool) -> Changes {
        self.is_queued = false;
        let open = u32::try_from(self.open.len()).unwrap_or(u32::MAX);
        let lease = match self.uncertain() {
            _ if is_closing || self.is_closing => open,
            0 => self.lease,
            _ => open.saturating_add(self.chunk),
        };
        let mut slots = Vec::new();
        if let Some(newest) = self.newest {
            for slot in (newest - i64::from(SLOTS - 1))..=newest {
                let index = Self::index(slot);
                if self.changed & (1 << index) != 0 {
                    slots.push(self.row(slot, index));
                }
            }
        }
        let is_lease_new = self.stored_lease != Some(lease);
        self.leaving = Some(Leaving {
            changed: self.changed,
            unwritten: self.unwritten,
            lease,
        });
        self.changed = 0;
        self.lease = self.lease.min(lease);
        self.stored_lease = None;
        Changes {
            slots,
            lease: is_lease_new.then_some(lease),
        }
    }

    fn row(&self, slot: i64, index: usize) -> SlotRow {
        let open = self.open.iter().filter(|open| **open == slot).count();
        let open = u32::try_from(open).unwrap_or(u32::MAX);
        let start = slot.saturating_mul(self.slot_millis);
        SlotRow {
            index,
            start: Timestamp::from_millisecond(start).unwrap_or(Timestamp::MIN),
            spent: self.counts[index].saturating_sub(open),
        }
    }

    /// What was taken is stored.
    pub(super) fn confirm(&mut self) {
        if let Some(left) = self.leaving.take() {
            self.unwritten = self.unwritten.saturating_sub(left.unwritten);
            self.lease = left.lease;
            self.stored_lease = Some(left.lease);
        }
    }

    /// It is not known whether what was taken is stored.
    pub(super) fn take_back(&mut self) {
        if let Some(left) = self.leaving.take() {
            self.changed |= left.changed;
            self.stored_lease = None;
        }
    }
}
