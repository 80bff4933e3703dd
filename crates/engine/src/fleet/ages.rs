//! The age of every block of every device, kept up as things happen.
//!
//! A device carries its [`DeviceAges`]; what comes of them gathers in the [`Ledger`]: sums by the
//! hour, and breaches. Whatever changes a device (a confirmation, another activity, cadence or
//! reach) first counts the time until then as things stood, by [`Ledger::advance`].
//!
//! Invariants:
//! - All time of a device from its first confirmation on is counted once: within the promise,
//!   beyond it, or as unreachable.
//! - A breach is open in the ledger exactly while its block says so ([`BlockAge::is_open`]).
//! - The fleet's lock is taken before the ledger's.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use livewatt_domain::{
    Timestamp,
    account::AttemptOutcome,
    age::{AgeTally, BlockAge, Breach, BreachReason, Grace, Second, hours, moment, second},
    device::{Device, Stamp},
    fact::{Completeness, Field, Observation, Presence},
    id::{AccountId, ClientId, DeviceId},
    kind::DeviceKind,
    vendor::VendorName,
};
use livewatt_store::{AgeHour, FleetDevice, LostDevice};
use livewatt_vendors::ReadShape;

use super::slot::{AccountSlot, DeviceSlot};
use promise::Promise;

mod promise;

/// Fetches that fell due while the server was down are made within this time of its start; what
/// is missed until then is the standstill's doing.
const CATCHING_UP: Second = 61;

/// The ages of a device's blocks, in the order of [`Field::blocks`].
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
    pub(super) fn counted_until(&mut self, until: Second) {
        self.until = self.until.max(until);
    }
}

/// What an account says about the ages of its devices.
#[derive(Debug, Clone)]
pub(crate) struct AccountFacts {
    client: ClientId,
    is_push_only: bool,
    /// The last attempt, unless it went well.
    trouble: Option<(BreachReason, AttemptOutcome)>,
    asked_at: Option<Second>,
    due_at: Option<Second>,
    not_before: Option<Second>,
    is_running: bool,
}

/// A row of sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct RowKey {
    client: ClientId,
    hour: Second,
    vendor: u16,
    kind: DeviceKind,
    block: u8,
}

type Rows = HashMap<RowKey, AgeTally>;

/// An account that is not fetched because its credentials are dead.
#[derive(Debug)]
struct Parked {
    client: ClientId,
    until: Second,
    /// Vendor, kind and block of each age that nobody can renew.
    blocks: Vec<(u16, DeviceKind, u8)>,
}

/// Sums and breaches on their way to the store.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Books>);

#[derive(Debug, Default)]
struct Books {
    vendors: Vec<VendorName>,
    rows: Rows,
    open: HashMap<(DeviceId, u8), Breach>,
    /// Breaches that began or ended since they were last written.
    changed: HashMap<(DeviceId, u8, Timestamp), Breach>,
    parked: HashMap<AccountId, Parked>,
    /// When this server started, and when the one before it last counted.
    started_at: Second,
    down_from: Second,
    /// Everything is counted at least up to here.
    counted_until: Second,
    is_count_written: bool,
    /// Accounts are being put in for the first time.
    is_starting: bool,
}

/// What is to be written.
#[derive(Debug, Default)]
pub(crate) struct AgeGroup {
    pub rows: Vec<AgeHour>,
    pub breaches: Vec<Breach>,
    pub counted_until: Option<Timestamp>,
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
    pub(super) fn next_look(&self) -> Option<Second> {
        let reachable = self.devices.iter().filter(|d| !d.ages.is_unreachable);
        let deadlines = reachable.flat_map(|device| &device.ages.blocks);
        let first = deadlines.filter_map(|block| block.deadline()).min()?;
        Some(first.saturating_add(1))
    }
}

/// When the vendor last confirmed a block, as the device's merged state tells, and how long that
/// took. A vehicle said to sleep stands still, and a station that is connected tells changes by
/// itself: there, contact confirms whatever is known.
fn confirmation(device: &Device, block: &str, is_push_only: bool) -> Option<(Second, Grace)> {
    let stamp = device.stamps.block_newest(device.kind(), block)?;
    let told = (second(stamp.received_at), took(stamp));
    let is_silence_enough =
        is_push_only || (device.is_asleep && device.kind() == DeviceKind::Vehicle);
    let seen = (second(device.last_seen), Grace(0));
    match is_silence_enough && seen.0 > told.0 {
        true => Some(seen),
        false => Some(told),
    }
}

fn took(stamp: &Stamp) -> Grace {
    Grace(duration(stamp.started_at, stamp.received_at))
}

/// Whole seconds that have begun between two moments.
fn duration(from: Timestamp, to: Timestamp) -> Second {
    let millis = to.duration_since(from).as_millis().max(0);
    Second::try_from((millis + 999) / 1000).unwrap_or(Second::MAX)
}

/// What a restart can still know: an answer that said nothing new moves `last_seen` alone, and
/// confirms what the answer before it had told.
fn stored_confirmation(device: &FleetDevice, block: &str, is_push_only: bool) -> Option<Second> {
    let seen = second(device.last_seen);
    let Some(told) = &device.told else {
        return Some(seen);
    };
    let last_told = told.iter().map(|(_, at)| *at).max();
    let (_, at) = told.iter().find(|(known, _)| *known == block)?;
    let is_silence_enough = is_push_only
        || (device.is_asleep && device.vendor_device.kind == DeviceKind::Vehicle)
        || Some(*at) == last_told;
    Some(match is_silence_enough {
        true => second(*at).max(seen),
        false => second(*at),
    })
}

impl DeviceSlot {
    pub(super) fn promise(&self) -> Promise {
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
}

/// How a device stood before a change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before(Promise);

impl DeviceSlot {
    /// How it stands, to be handed to the ledger after a change.
    pub(crate) fn before(&self) -> Before {
        Before(self.promise())
    }
}

impl Ledger {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what was stored: until when time was counted, and the breaches still open.
    pub(crate) fn restore(&self, now: Timestamp, until: Option<Timestamp>, open: Vec<Breach>) {
        let mut books = self.books();
        books.started_at = second(now);
        books.down_from = until.map_or(books.started_at, second).min(books.started_at);
        books.counted_until = books.down_from;
        books.is_starting = true;
        for breach in open {
            if let Some(index) = index_of(breach.kind, breach.block) {
                books.open.insert((breach.device, index), breach);
            }
        }
        books.count_open();
    }

    /// Ends the breaches of devices that are no more.
    pub(super) fn end_orphans(&self, now: Timestamp, is_known: impl Fn(DeviceId) -> bool) {
        let mut books = self.books();
        books.is_starting = false;
        let orphans: Vec<_> = books.open.keys().copied().collect();
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
            until: books.counted_until.max(second(device.last_seen)),
            vendor: books.vendor(&device.vendor),
            is_unreachable: device.is_reachable == Some(false),
        }
    }

    /// A device that comes in goes on with the breaches that are open of it.
    pub(super) fn resume(&self, slot: &mut DeviceSlot) {
        let mut books = self.books();
        for (index, block) in slot.ages.blocks.iter_mut().enumerate() {
            let key = (slot.id, index as u8);
            let since = books.open.get(&key).map(|open| second(open.confirmed_at));
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
    pub(super) fn settle(&self, account: &AccountFacts, slot: &mut DeviceSlot, now: Timestamp) {
        let step = Step::still(slot, now);
        self.books().advance(account, slot, &step, |_| None);
    }

    /// Opens the breaches of an account whose time has come; returns how many.
    pub(super) fn look(&self, slot: &mut AccountSlot, now: Timestamp) -> usize {
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

    /// An account whose credentials are dead: its devices cannot be reached until it is linked
    /// again.
    pub(super) fn park(&self, id: AccountId, slot: &AccountSlot, now: Timestamp) {
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
            true => books.counted_until,
            false => second(now),
        };
        let parked = books.parked.entry(id).or_insert(Parked {
            client,
            until,
            blocks: Vec::new(),
        });
        parked.blocks.extend(blocks);
    }

    /// Takes a parked account back, or forgets it; whether it was one.
    pub(super) fn unpark(&self, id: AccountId, now: Timestamp) -> bool {
        let mut books = self.books();
        let parked = books.parked.remove(&id);
        if let Some(parked) = &parked {
            parked.count(&mut books.rows, second(now));
        }
        parked.is_some()
    }

    /// Everything is counted up to `now`, by [`Ledger::settle`] for all accounts.
    pub(super) fn note_counted(&self, now: Timestamp) {
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
    pub(super) fn counted_until(&self) -> Timestamp {
        moment(self.books().counted_until)
    }

    /// What gathered since it was last asked, to be written.
    pub(crate) fn take(&self) -> AgeGroup {
        let mut books = self.books();
        let rows = std::mem::take(&mut books.rows);
        let breaches = std::mem::take(&mut books.changed).into_values().collect();
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
            breaches,
            counted_until: counted,
        }
    }

    /// What is to be counted of parked accounts up to now.
    pub(super) fn pending_parked(
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
    pub(super) fn pending(
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
    pub(super) fn name(&self, pending: Pending) -> Vec<AgeHour> {
        let books = self.books();
        let rows = pending.0.into_iter();
        rows.filter_map(|row| books.named(row)).collect()
    }

    /// The ages of a device's blocks, for people to read.
    pub(super) fn view(&self, slot: &DeviceSlot) -> Vec<BlockView> {
        let books = self.books();
        let blocks = slot.ages.blocks.iter().enumerate();
        blocks
            .map(|(index, block)| BlockView {
                confirmed_at: block.confirmed().map(moment),
                breach: books.open.get(&(slot.id, index as u8)).cloned(),
            })
            .collect()
    }
}

/// Rows that are not in the ledger yet.
#[derive(Debug, Default)]
pub(super) struct Pending(Rows);

/// A change of a device.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// What was promised until then.
    before: Promise,
    /// Whether it cannot be reached from then on.
    is_unreachable: bool,
    now: Second,
}

impl Step {
    fn still(slot: &DeviceSlot, now: Timestamp) -> Self {
        Self::plain(slot, second(now))
    }

    fn plain(slot: &DeviceSlot, now: Second) -> Self {
        Self {
            before: slot.promise(),
            is_unreachable: slot.ages.is_unreachable,
            now,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Stretch {
    from: Second,
    to: Second,
    grace: Grace,
}

fn index_of(kind: DeviceKind, block: &str) -> Option<u8> {
    Field::blocks(kind)
        .position(|known| known == block)
        .and_then(|index| index.try_into().ok())
}

/// Counts a stretch of a block's time as it stands.
fn count(
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
            let part = livewatt_domain::age::Span { from, to, ..span };
            tally.add(part, promise.slowed, promise.standard);
        }
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
    /// The short number of a vendor: names are few, devices are many.
    fn vendor(&mut self, name: &VendorName) -> u16 {
        let index = self.vendors.iter().position(|known| known == name);
        let index = index.unwrap_or_else(|| {
            self.vendors.push(name.clone());
            self.vendors.len() - 1
        });
        u16::try_from(index).unwrap_or(u16::MAX)
    }

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

    /// Counts a device's time until now as it stood, then lets stand what it is now.
    fn advance<'b>(
        &mut self,
        account: &AccountFacts,
        slot: &mut DeviceSlot,
        step: &Step,
        confirmed: impl Fn(&'b str) -> Option<(Second, Grace)>,
    ) {
        let Step { before, now, .. } = *step;
        let promise = slot.promise();
        if now < slot.ages.until {
            for block in &mut slot.ages.blocks {
                block.rewind(now, before.allowed);
            }
            slot.ages.until = now;
        }
        let was_unreachable = slot.ages.is_unreachable;
        let is_lost = step.is_unreachable && !was_unreachable;
        let is_back = was_unreachable && !step.is_unreachable;
        let until = slot.ages.until;
        for (index, name) in Field::blocks(slot.kind()).enumerate() {
            let Some(block) = slot.ages.blocks.get(index).copied() else {
                break;
            };
            let news = confirmed(name)
                .map(|(at, grace)| (at.min(now), grace))
                .filter(|(at, _)| block.confirmed().is_none_or(|known| *at > known));
            // A fetch that is under way and fails took its time as well.
            let grace = match news {
                Some((_, grace)) => grace,
                None if is_lost => account.polling(now),
                None => Grace(0),
            };
            let to = news.map_or(now, |(at, _)| at.max(until));
            // What was late all the same was late from its limit on.
            let is_late = block.overdue(to, grace).is_some();
            let grace = if is_late { Grace(0) } else { grace };
            let stretch = Stretch {
                from: until,
                to,
                grace,
            };
            count(&mut self.rows, account, slot, &before, index, stretch);
            if let Some((at, grace)) = news {
                if let Some(began) = block.overdue(at, grace)
                    && !was_unreachable
                {
                    self.open(account, slot, &before, index as u8, block, began);
                }
                self.close(slot.id, index as u8, at);
                slot.ages.blocks[index] = BlockAge::confirmed_at(at, promise.allowed);
                let rest = Stretch {
                    from: to,
                    to: now,
                    grace: Grace(0),
                };
                count(&mut self.rows, account, slot, &promise, index, rest);
                continue;
            }
            if is_lost {
                self.close(slot.id, index as u8, now);
            }
            let block = &mut slot.ages.blocks[index];
            if is_lost || is_back {
                block.restart(now, promise.allowed);
            } else if promise != before && block.retarget(now, promise.allowed) {
                self.close(slot.id, index as u8, now);
            }
        }
        slot.ages.until = now;
        slot.ages.is_unreachable = step.is_unreachable;
    }

    fn open(
        &mut self,
        account: &AccountFacts,
        slot: &DeviceSlot,
        promise: &Promise,
        index: u8,
        block: BlockAge,
        began: Second,
    ) {
        let (Some(name), Some(vendor), Some(confirmed)) = (
            Field::blocks(slot.kind()).nth(usize::from(index)),
            self.vendors.get(usize::from(slot.ages.vendor)),
            block.confirmed(),
        ) else {
            return;
        };
        let reason = self.reason(account, slot, began);
        let outcome = account.trouble.as_ref();
        let breach = Breach {
            device: slot.id,
            block: name,
            client: account.client,
            vendor: vendor.clone(),
            kind: slot.kind(),
            confirmed_at: moment(confirmed),
            began: moment(began),
            ended: None,
            target_seconds: promise.target,
            interval_seconds: promise.interval,
            reason,
            outcome: outcome
                .filter(|(of, _)| *of == reason)
                .map(|(_, outcome)| outcome.name().to_owned()),
        };
        metrics::counter!(
            "livewatt_freshness_breaches_total",
            "vendor" => breach.vendor.to_string(), "kind" => breach.kind.name(),
            "reason" => reason.name(),
        )
        .increment(1);
        let key = (breach.device, index, breach.began);
        self.changed.insert(key, breach.clone());
        self.open.insert((slot.id, index), breach);
        self.count_open();
    }

    fn close(&mut self, device: DeviceId, index: u8, ended: Second) {
        if let Some(mut breach) = self.open.remove(&(device, index)) {
            breach.ended = Some(moment(ended).max(breach.began));
            let key = (device, index, breach.began);
            self.changed.insert(key, breach);
            self.count_open();
        }
    }

    fn count_open(&self) {
        metrics::gauge!("livewatt_freshness_breaches_open").set(self.open.len() as f64);
    }

    /// What kept us from confirming a block of a device that can be reached.
    fn reason(&self, account: &AccountFacts, slot: &DeviceSlot, began: Second) -> BreachReason {
        let trouble = account.trouble.as_ref().map(|(reason, _)| *reason);
        let is_told_to_wait = account.not_before.is_some_and(|until| until >= began);
        if let Some(reason @ (BreachReason::RateLimited | BreachReason::OverBudget)) = trouble
            && is_told_to_wait
        {
            return reason;
        }
        let caught_up = self.started_at.saturating_add(CATCHING_UP);
        let is_unasked = account.asked_at.is_none_or(|at| at < self.started_at);
        if self.down_from < self.started_at
            && is_unasked
            && (self.down_from..=caught_up).contains(&began)
        {
            return BreachReason::ServerDown;
        }
        match trouble {
            // It was our turn, and we did not ask.
            Some(_) if account.due_at.is_some_and(|due| due + 1 < began) => BreachReason::Late,
            Some(reason) => reason,
            None if slot.due_at.is_some_and(|due| second(due.into()) > began) => {
                BreachReason::NotTold
            }
            None => BreachReason::Late,
        }
    }
}

/// Adds a row to the metrics: a histogram of ages weighed by time.
fn publish(row: &AgeHour) {
    let mut total = 0;
    let bounds = livewatt_domain::age::BIN_BOUNDS;
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
