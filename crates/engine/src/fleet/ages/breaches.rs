//! Breaches on their way to the store, and how many get rows of their own.
//!
//! A server that cannot keep up breaks a promise with every fetch. Were each written down, the
//! writing would hold it up further. So rows are rationed: of a flood, breaches beyond the ration
//! are counted in the sums of their hour, by reason, and not listed one by one.

use std::collections::{HashMap, hash_map::Entry};

use livewatt_domain::{
    Timestamp,
    age::{Breach, BreachReason},
    id::{ClientId, DeviceId},
};
use livewatt_store::BreachCount;

use super::Ledger;

/// Breaches that may get rows at once: an outage of a fleet that is not large is listed whole.
const MOST_ROWS: usize = 10_000;
/// Rows that may be written more with every flush, so about every second.
const ROWS_PER_FLUSH: usize = 20;

/// A breach, and whether it has a row.
#[derive(Debug, Clone)]
struct Known {
    breach: Breach,
    is_written: bool,
}

/// Breaches that last, and those that are to be written.
#[derive(Debug)]
pub(super) struct Breaches {
    open: HashMap<(DeviceId, u8), Known>,
    /// Those that began or ended since they were last taken.
    changed: HashMap<(DeviceId, u8, Timestamp), Known>,
    /// Rows that may still be written.
    ration: usize,
}

impl Default for Breaches {
    fn default() -> Self {
        Self {
            open: HashMap::new(),
            changed: HashMap::new(),
            ration: MOST_ROWS,
        }
    }
}

/// Breaches that were taken to be written.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// To be rows.
    pub(super) rows: Vec<Breach>,
    /// Over, and to be counted only: the block's place among those of its kind, and the breach.
    pub(super) counted: Vec<(u8, Breach)>,
}

impl Breaches {
    /// Takes over one that is open in the store.
    pub(super) fn restore(&mut self, index: u8, breach: Breach) {
        let known = Known {
            breach,
            is_written: true,
        };
        self.open.insert((known.breach.device, index), known);
        self.tell();
    }

    pub(super) fn begin(&mut self, index: u8, breach: Breach) {
        let known = Known {
            breach,
            is_written: false,
        };
        let device = known.breach.device;
        let key = (device, index, known.breach.began);
        self.changed.insert(key, known.clone());
        self.open.insert((device, index), known);
        self.tell();
    }

    /// Ends the breach of a block, if it has one.
    pub(super) fn end(&mut self, device: DeviceId, index: u8, at: Timestamp) {
        if self.open.is_empty() {
            return;
        }
        if let Some(mut known) = self.open.remove(&(device, index)) {
            known.breach.ended = Some(at.max(known.breach.began));
            let key = (device, index, known.breach.began);
            self.changed.insert(key, known);
            self.tell();
        }
    }

    /// Lets go of the breach of a block, which another node watches on.
    pub(super) fn forget(&mut self, device: DeviceId, index: u8) {
        if self.open.remove(&(device, index)).is_some() {
            self.tell();
        }
    }

    pub(super) fn of(&self, device: DeviceId, index: u8) -> Option<&Breach> {
        self.open.get(&(device, index)).map(|known| &known.breach)
    }

    /// The blocks that have one.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (DeviceId, u8)> {
        self.open.keys().copied()
    }

    /// What changed since it was last asked.
    pub(super) fn take(&mut self) -> Taken {
        self.ration = (self.ration + ROWS_PER_FLUSH).min(MOST_ROWS);
        let mut taken = Taken::default();
        for ((device, index, _), known) in std::mem::take(&mut self.changed) {
            let is_over = known.breach.ended.is_some();
            if !known.is_written {
                if self.ration == 0 {
                    if is_over {
                        taken.counted.push((index, known.breach));
                    }
                    continue;
                }
                self.ration -= 1;
            }
            if !is_over && let Entry::Occupied(mut open) = self.open.entry((device, index)) {
                open.get_mut().is_written = true;
            }
            taken.rows.push(known.breach);
        }
        taken
    }

    fn tell(&self) {
        metrics::gauge!("livewatt_freshness_breaches_open").set(self.open.len() as f64);
    }
}

impl Ledger {
    /// The breaches that last and have no rows (yet), counted.
    pub(crate) fn unwritten_breaches(&self, client: Option<ClientId>) -> Vec<BreachCount> {
        let books = self.books();
        let mut counts: HashMap<_, u64> = HashMap::new();
        for Known { breach, .. } in books.breaches.open.values().filter(|b| !b.is_written) {
            if client.is_none_or(|client| client == breach.client) {
                let key = (&breach.vendor, breach.kind, breach.block, breach.reason);
                *counts.entry(key).or_default() += 1;
            }
        }
        let count =
            |((vendor, kind, block, reason), count): ((&_, _, _, BreachReason), _)| BreachCount {
                vendor: Clone::clone(vendor),
                kind,
                block,
                reason,
                count,
                open: count,
            };
        counts.into_iter().map(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use livewatt_domain::{age::moment, kind::DeviceKind};
    use uuid::Uuid;

    use super::*;

    fn breach(number: u128) -> Breach {
        Breach {
            device: DeviceId(Uuid::from_u128(number)),
            block: "odometer",
            client: ClientId(Uuid::from_u128(1)),
            vendor: "TESLA".parse().unwrap(),
            kind: DeviceKind::Vehicle,
            confirmed_at: moment(0),
            began: moment(500),
            ended: None,
            target_seconds: 420,
            interval_seconds: 420,
            reason: BreachReason::Late,
            outcome: None,
        }
    }

    #[test]
    fn a_flood_is_counted_and_none_of_it_is_lost() {
        let mut breaches = Breaches::default();
        let all = MOST_ROWS as u128 + 1_000;
        (0..all).for_each(|number| breaches.begin(0, breach(number)));
        let begun = breaches.take();
        assert_eq!((begun.rows.len(), begun.counted.len()), (MOST_ROWS, 0));
        let unwritten = || all as usize - MOST_ROWS;
        assert_eq!(
            breaches.open.values().filter(|b| !b.is_written).count(),
            unwritten()
        );
        (0..all).for_each(|number| breaches.end(breach(number).device, 0, moment(600)));
        let ended = breaches.take();
        // Every row that said one began says now that it ended; a few more fit the new ration.
        assert_eq!(ended.rows.len(), MOST_ROWS + ROWS_PER_FLUSH);
        assert_eq!(ended.counted.len(), unwritten() - ROWS_PER_FLUSH);
        let is_over = |b: &Breach| b.ended == Some(moment(600));
        assert!(ended.rows.iter().all(is_over));
        assert!(ended.counted.iter().all(|(_, b)| is_over(b)));
        assert_eq!(breaches.blocks().count(), 0);
    }

    #[test]
    fn one_that_begins_and_ends_between_two_flushes_is_one_row() {
        let mut breaches = Breaches::default();
        breaches.begin(0, breach(7));
        assert!(breaches.of(breach(7).device, 0).is_some());
        breaches.end(breach(7).device, 0, moment(501));
        let taken = breaches.take();
        assert_eq!((taken.rows.len(), taken.counted.len()), (1, 0));
        assert_eq!(breaches.ration, MOST_ROWS - 1);
        assert!(breaches.take().rows.is_empty());
    }
}
