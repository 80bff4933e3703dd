//! The sums of ages by the hour, and the accounts that are not fetched: theirs is time as well.

use std::collections::HashMap;

use livewatt_domain::{
    Timestamp,
    age::{
        AgeTally, BIN_BOUNDS, Breach, BreachReason, Grace, Second, Span, hour_of, hours, moment,
        second,
    },
    fact::Field,
    id::{AccountId, ClientId},
    kind::DeviceKind,
    partition::Partitions,
};
use livewatt_store::{AgeHour, LostDevice};

use super::{
    AccountFacts, Ledger,
    books::{Books, index_of},
    promise::Promise,
};
use crate::fleet::slot::{AccountSlot, DeviceSlot};

/// A row of sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RowKey {
    client: ClientId,
    hour: Second,
    vendor: u16,
    kind: DeviceKind,
    block: u8,
}

pub(super) type Rows = HashMap<RowKey, AgeTally>;

/// An account that is not fetched because its credentials are dead.
#[derive(Debug)]
pub(super) struct Parked {
    client: ClientId,
    until: Second,
    /// Vendor, kind and block of each age that nobody can renew.
    blocks: Vec<(u16, DeviceKind, u8)>,
}

/// What is to be written.
#[derive(Debug, Default)]
pub(crate) struct AgeGroup {
    pub rows: Vec<AgeHour>,
    pub breaches: Vec<Breach>,
    pub counted_until: Option<Timestamp>,
}

/// Rows that are not in the ledger yet.
#[derive(Debug, Default)]
pub(in crate::fleet) struct Pending(Rows);

#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub(super) from: Second,
    pub(super) to: Second,
    pub(super) grace: Grace,
}

impl Ledger {
    /// An account whose credentials are dead: its devices cannot be reached until it is linked
    /// again.
    pub(in crate::fleet) fn park(&self, id: AccountId, slot: &AccountSlot, now: Timestamp) {
        let known = slot.devices.iter().flat_map(|device| {
            let kind = device.kind();
            let vendor = device.ages.vendor;
            let known = device.ages.blocks.iter().enumerate();
            known
                .filter(|(_, block)| block.confirmed().is_some())
                .map(move |(index, _)| (vendor, kind, index as u8))
        });
        let parked = Parked {
            client: slot.client,
            until: second(now),
            blocks: known.collect(),
        };
        self.books().parked.insert(id, parked);
    }

    /// The same, as it is stored.
    pub(crate) fn park_stored(
        &self,
        id: AccountId,
        client: ClientId,
        devices: &[LostDevice],
        now: Timestamp,
    ) {
        let mut books = self.books();
        let mut blocks = Vec::new();
        for device in devices {
            let vendor = books.vendor(&device.vendor);
            for (block, _) in &device.told {
                let index = index_of(device.kind, block);
                blocks.extend(index.map(|index| (vendor, device.kind, index)));
            }
        }
        let until = match books.is_starting {
            true => books.counted_at_start(id),
            false => second(now),
        };
        let parked = books.parked.entry(id).or_insert(Parked {
            client,
            until,
            blocks: Vec::new(),
        });
        parked.blocks.extend(blocks);
    }

    /// Counts the time of the parked accounts of partitions, and forgets them.
    pub(in crate::fleet) fn hand_over_parked(&self, partitions: &Partitions, now: Timestamp) {
        let mut books = self.books();
        let Books { parked, rows, .. } = &mut *books;
        parked.retain(|id, account| {
            let stays = !partitions.contains(id.partition());
            if !stays {
                account.count(rows, second(now));
            }
            stays
        });
    }

    /// Forgets the parked accounts of partitions.
    pub(in crate::fleet) fn drop_parked(&self, partitions: &Partitions) {
        let mut books = self.books();
        books
            .parked
            .retain(|id, _| !partitions.contains(id.partition()));
    }

    /// Takes a parked account back, or forgets it; whether it was one.
    pub(in crate::fleet) fn unpark(&self, id: AccountId, now: Timestamp) -> bool {
        let mut books = self.books();
        let parked = books.parked.remove(&id);
        if let Some(parked) = &parked {
            parked.count(&mut books.rows, second(now));
        }
        parked.is_some()
    }

    /// Everything is counted up to `now`, by [`Ledger::settle`] for all accounts.
    pub(in crate::fleet) fn note_counted(&self, now: Timestamp) {
        let mut books = self.books();
        let Books { parked, rows, .. } = &mut *books;
        for account in parked.values_mut() {
            account.count(rows, second(now));
            account.until = account.until.max(second(now));
        }
        books.counted_until = second(now);
        books.is_count_written = false;
    }

    /// When everything was last counted.
    pub(in crate::fleet) fn counted_until(&self) -> Timestamp {
        moment(self.books().counted_until)
    }

    /// What gathered since it was last asked, to be written.
    pub(crate) fn take(&self) -> AgeGroup {
        let mut books = self.books();
        let breaches = books.breaches.take();
        for (block, breach) in &breaches.counted {
            let key = RowKey {
                client: breach.client,
                hour: hour_of(second(breach.began)),
                vendor: books.vendor(&breach.vendor),
                kind: breach.kind,
                block: *block,
            };
            let tally = books.rows.entry(key).or_default();
            tally.add_breach(breach.reason);
        }
        let rows = std::mem::take(&mut books.rows);
        let counted = (!std::mem::replace(&mut books.is_count_written, true))
            .then(|| moment(books.counted_until));
        let rows: Vec<AgeHour> = rows
            .into_iter()
            .filter_map(|row| books.named(row))
            .collect();
        drop(books);
        rows.iter().for_each(publish);
        AgeGroup {
            rows,
            breaches: breaches.rows,
            counted_until: counted,
        }
    }

    /// What is to be counted of parked accounts up to now.
    pub(in crate::fleet) fn pending_parked(
        &self,
        client: Option<ClientId>,
        now: Timestamp,
        pending: &mut Pending,
    ) {
        for account in self.books().parked.values() {
            if client.is_none_or(|client| client == account.client) {
                account.count(&mut pending.0, second(now));
            }
        }
    }

    /// What is to be counted of a device up to now.
    pub(in crate::fleet) fn pending(
        &self,
        account: &AccountFacts,
        slot: &DeviceSlot,
        now: Timestamp,
        pending: &mut Pending,
    ) {
        for index in 0..slot.ages.blocks.len() {
            let (from, to) = (slot.ages.until, second(now));
            let stretch = Stretch {
                from,
                to,
                grace: Grace(0),
            };
            count(
                &mut pending.0,
                account,
                slot,
                &slot.promise(),
                index,
                stretch,
            );
        }
    }

    /// Rows by the names of their vendors.
    pub(in crate::fleet) fn name(&self, pending: Pending) -> Vec<AgeHour> {
        let books = self.books();
        let rows = pending.0.into_iter();
        rows.filter_map(|row| books.named(row)).collect()
    }
}

/// Counts a stretch of a block's time as it stands.
pub(super) fn count(
    rows: &mut Rows,
    account: &AccountFacts,
    slot: &DeviceSlot,
    promise: &Promise,
    index: usize,
    stretch: Stretch,
) {
    let block = slot.ages.blocks[index];
    let Some(span) = block.span(stretch.from, stretch.to, stretch.grace) else {
        return;
    };
    for (hour, from, to) in hours(span.from, span.to) {
        let key = RowKey {
            client: account.client,
            hour,
            vendor: slot.ages.vendor,
            kind: slot.kind(),
            block: index as u8,
        };
        let tally = rows.entry(key).or_default();
        if slot.ages.is_unreachable {
            tally.add_unreachable(to - from, account.unreachable());
        } else {
            let part = Span { from, to, ..span };
            tally.add(part, promise.slowed, promise.standard);
        }
    }
}

impl Parked {
    fn count(&self, rows: &mut Rows, now: Second) {
        for (vendor, kind, block) in &self.blocks {
            for (hour, from, to) in hours(self.until, now) {
                let key = RowKey {
                    client: self.client,
                    hour,
                    vendor: *vendor,
                    kind: *kind,
                    block: *block,
                };
                let tally = rows.entry(key).or_default();
                tally.add_unreachable(to - from, BreachReason::CredentialsInvalid);
            }
        }
    }
}

impl Books {
    fn named(&self, (key, tally): (RowKey, AgeTally)) -> Option<AgeHour> {
        Some(AgeHour {
            client_id: key.client,
            hour: moment(key.hour),
            vendor: self.vendors.get(usize::from(key.vendor))?.clone(),
            kind: key.kind,
            block: Field::blocks(key.kind).nth(usize::from(key.block))?,
            tally,
        })
    }
}

/// Adds a row to the metrics: a histogram of ages weighed by time.
fn publish(row: &AgeHour) {
    let mut total = 0;
    let bounds = BIN_BOUNDS;
    for (bin, time) in row.tally.bins().enumerate() {
        total += time;
        let bound = match bounds.get(bin) {
            Some(bound) if PUBLISHED_BOUNDS.contains(bound) => bound.to_string(),
            Some(_) => continue,
            None => "+Inf".to_owned(),
        };
        metrics::counter!(
            "livewatt_freshness_age_seconds_bucket",
            "vendor" => row.vendor.to_string(), "kind" => row.kind.name(), "block" => row.block,
            "le" => bound,
        )
        .increment(total);
    }
    for (kept, time) in [("true", row.tally.within), ("false", row.tally.beyond)] {
        metrics::counter!(
            "livewatt_freshness_seconds_total",
            "vendor" => row.vendor.to_string(), "kind" => row.kind.name(), "block" => row.block,
            "within" => kept,
        )
        .increment(time);
    }
}

/// The bounds of ages in the metrics, seconds: the allowed ages, and what comes after.
const PUBLISHED_BOUNDS: [Second; 8] = [67, 133, 463, 1_321, 3_600, 10_800, 43_200, 172_800];
