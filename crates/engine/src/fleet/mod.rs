//! The accounts in memory: when each is next fetched, and the little that must be known of every
//! device between two fetches. Documents stay in the store.
//!
//! Invariants:
//! - An account is fetched by at most one task at a time (`AccountSlot::is_running`).
//! - Whoever commits for an account holds its commit lock; locks are shared by partition, so their
//!   number is fixed.
//! - Every account that is polled has exactly one live entry on the wheel, at its due time.

mod ages;
mod handover;
mod moment;
mod slot;
mod watch;
mod wheel;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use livewatt_domain::{
    SignedDuration, Timestamp,
    account::Trigger,
    age::moment,
    device::VendorDevice,
    id::{AccountId, DeviceId, PARTITIONS},
    partition::Partitions,
};
use tokio::sync::OwnedMutexGuard;

pub(crate) use ages::BlockView;
use ages::Ledger;
pub(crate) use moment::Moment;
pub(crate) use slot::{AccountSlot, Attempts, DeviceSlot, SlotView, place_near};
use wheel::Wheel;

/// The accounts in memory.
#[derive(Debug)]
pub struct Fleet {
    state: Mutex<State>,
    commit_locks: Vec<Arc<tokio::sync::Mutex<()>>>,
    /// What comes of the ages of its devices.
    pub(crate) ages: Ledger,
}

#[derive(Debug, Default)]
struct State {
    /// Boxed, since a table that grows holds room for twice as many.
    accounts: HashMap<AccountId, Box<AccountSlot>>,
    /// Number of accounts by integration: asked at every fetch where a quota is shared.
    counts: HashMap<&'static str, usize>,
    /// Number of devices of all accounts.
    devices: usize,
    wheel: Wheel,
    /// Partitions where nothing new is begun: they are being handed over.
    leaving: Partitions,
    /// Accounts by the time at which their ages are to be looked at.
    looks: Wheel,
    /// The latest moment of a look at the wheel.
    looked_at: Option<Moment>,
}

/// A clock that is corrected by less is no clock set back.
const CORRECTION: SignedDuration = SignedDuration::from_secs(2);

impl State {
    /// A clock set back must not make anybody wait for it to catch up: what waits comes nearer by
    /// as much.
    fn follow_clock_back(&mut self, now: Moment) {
        let before = *self.looked_at.get_or_insert(now);
        let back = before.since(now);
        if back > SignedDuration::ZERO && back <= CORRECTION {
            return;
        }
        self.looked_at = Some(now);
        if back <= CORRECTION {
            return;
        }
        tracing::warn!(?back, "the clock was set back; fetches keep their pace");
        self.wheel = Wheel::default();
        for (id, slot) in &mut self.accounts {
            slot.come_nearer(back);
            if let Some(at) = slot.due_at {
                self.wheel.insert(at, *id);
            }
        }
    }

    fn count(&mut self, slot: &AccountSlot) {
        *self.counts.entry(slot.integration).or_default() += 1;
        self.devices += slot.devices.len();
    }

    fn uncount(&mut self, slot: &AccountSlot) {
        if let Some(count) = self.counts.get_mut(slot.integration) {
            *count = count.saturating_sub(1);
        }
        self.devices = self.devices.saturating_sub(slot.devices.len());
    }
}

impl Default for Fleet {
    fn default() -> Self {
        let commit_locks = (0..PARTITIONS).map(|_| Arc::default()).collect();
        Self {
            state: Mutex::default(),
            commit_locks,
            ages: Ledger::default(),
        }
    }
}

/// What a fetch is to do.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The integration.
    pub integration: &'static str,
    /// What set it off.
    pub trigger: Trigger,
    /// Since when it is due; `None`, or later than now, if it was asked for.
    pub due_at: Option<Moment>,
    /// The devices to ask about.
    pub devices: Vec<VendorDevice>,
    /// When devices were last listed.
    pub listed_at: Option<Moment>,
    /// Something hints that devices came or went.
    pub wants_listing: bool,
}

impl Fleet {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the right to commit for an account.
    pub(crate) async fn lock_for_commit(&self, account: AccountId) -> OwnedMutexGuard<()> {
        self.commit_locks[usize::from(account.partition())]
            .clone()
            .lock_owned()
            .await
    }

    /// Puts an account in at `now`, or replaces it. A fetch under way goes on.
    pub(crate) fn put(&self, id: AccountId, mut slot: AccountSlot, now: Timestamp) {
        let mut state = self.state();
        if let Some(before) = state.accounts.get_mut(&id) {
            slot.is_running = before.is_running;
            self.carry_ages(before, &mut slot, now);
        }
        self.welcome_ages(id, &mut slot, now);
        if let Some(at) = slot.look_at {
            state.looks.insert(moment(at).into(), id);
        }
        if let Some(at) = slot.due_at {
            state.wheel.insert(at, id);
        }
        state.count(&slot);
        if let Some(before) = state.accounts.insert(id, Box::new(slot)) {
            state.uncount(&before);
        }
    }

    /// Takes in the accounts of partitions that are taken over.
    pub(crate) fn fill(&self, mut slots: HashMap<AccountId, Box<AccountSlot>>) {
        let mut state = self.state();
        for (id, slot) in &mut slots {
            state.count(slot);
            if let Some(at) = slot.due_at {
                state.wheel.insert(at, *id);
            }
            self.resume_ages(slot);
            if let Some(at) = slot.look_at {
                state.looks.insert(moment(at).into(), *id);
            }
        }
        match state.accounts.is_empty() {
            // Moved whole: a table that takes in a million one by one holds room for twice as many.
            true => state.accounts = slots,
            false => state.accounts.extend(slots),
        }
    }

    /// Takes an account out at `now`: nothing is fetched for it any more.
    pub(crate) fn remove(&self, id: AccountId, now: Timestamp) -> Option<Box<AccountSlot>> {
        let mut state = self.state();
        self.ages.unpark(id, now);
        let mut before = state.accounts.remove(&id)?;
        state.uncount(&before);
        self.leave_all(&mut before, now);
        Some(before)
    }

    /// The accounts whose time has come; each counts as running from now on.
    pub(crate) fn take_due(&self, now: Timestamp) -> Vec<AccountId> {
        let mut state = self.state();
        let exactly = Moment::from(now);
        state.follow_clock_back(exactly);
        let State {
            accounts,
            wheel,
            leaving,
            ..
        } = &mut *state;
        let mut due = Vec::new();
        wheel.take_until(now, |id| {
            // An entry outlives its purpose when its account is moved or removed: the due time of
            // the slot decides.
            if let Some(slot) = accounts.get_mut(&id)
                && !slot.is_running
                && !leaving.contains(id.partition())
                && slot.due_at.is_some_and(|at| at <= exactly)
            {
                slot.is_running = true;
                due.push(id);
            }
        });
        due
    }

    /// Claims one account for a fetch; `None` if it is unknown or being fetched.
    pub(crate) fn claim(&self, id: AccountId, trigger: Trigger) -> Option<()> {
        let mut state = self.state();
        if state.leaving.contains(id.partition()) {
            return None;
        }
        let slot = state.accounts.get_mut(&id)?;
        if slot.is_running {
            return None;
        }
        slot.is_running = true;
        slot.trigger = trigger;
        Some(())
    }

    /// When the next account is due.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.state().wheel.first()
    }

    /// What the fetch of a claimed account is to do at `now`.
    pub(crate) fn plan(&self, id: AccountId, now: Timestamp) -> Option<Plan> {
        let state = self.state();
        let slot = state.accounts.get(&id)?;
        Some(Plan {
            integration: slot.integration,
            trigger: slot.trigger,
            due_at: slot.due_at,
            devices: slot.devices_to_ask(now.into()),
            listed_at: slot.listed_at,
            wants_listing: slot.wants_listing,
        })
    }

    /// Changes a slot and puts it on the wheel at its new due time. Returns what `change` does;
    /// `None` if the account is gone.
    pub(crate) fn update<T>(
        &self,
        id: AccountId,
        change: impl FnOnce(&mut AccountSlot) -> T,
    ) -> Option<T> {
        let mut state = self.state();
        let State {
            accounts,
            wheel,
            devices,
            looks,
            ..
        } = &mut *state;
        let slot = accounts.get_mut(&id)?;
        let (before, was_running) = (slot.due_at, slot.is_running);
        *devices -= slot.devices.len();
        let result = change(slot);
        *devices += slot.devices.len();
        if let Some(at) = slot.next_look()
            && slot.look_at.is_none_or(|known| at < known)
        {
            slot.look_at = Some(at);
            looks.insert(moment(at).into(), id);
        }
        if let Some(at) = slot.due_at
            && (slot.due_at != before || (was_running && !slot.is_running))
        {
            wheel.insert(at, id);
        }
        Some(result)
    }

    /// Reads a slot.
    pub(crate) fn read<T>(&self, id: AccountId, look: impl FnOnce(&AccountSlot) -> T) -> Option<T> {
        self.state().accounts.get(&id).map(|slot| look(slot))
    }

    /// Brings the next fetch of a device forward to `now`. False if that changes nothing: it was
    /// hinted just before, its account is backing off or not polled at all.
    pub(crate) fn hint(
        &self,
        account: AccountId,
        device: DeviceId,
        now: Timestamp,
        coalesce: SignedDuration,
    ) -> bool {
        self.update(account, |slot| slot.hint(device, now.into(), coalesce))
            .unwrap_or(false)
    }

    /// The same for a device that was told something, however short ago it was read. False if there is
    /// nothing to fetch, or not now.
    pub(crate) fn read_soon(&self, account: AccountId, device: DeviceId, now: Timestamp) -> bool {
        let look = |slot: &mut AccountSlot| slot.hint(device, now.into(), SignedDuration::ZERO);
        self.update(account, look).unwrap_or(false)
    }

    /// What is known of a device's schedule, for people to read.
    pub(crate) fn describe(&self, account: AccountId, device: DeviceId) -> SlotView {
        self.read(account, |slot| slot.view(device))
            .unwrap_or_default()
    }

    /// Number of accounts and of devices held.
    pub fn size(&self) -> (usize, usize) {
        let state = self.state();
        (state.accounts.len(), state.devices)
    }

    /// Number of accounts of an integration that are polled.
    pub(crate) fn accounts_of(&self, integration: &str) -> usize {
        self.state().counts.get(integration).copied().unwrap_or(0)
    }
}
