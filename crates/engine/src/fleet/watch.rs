//! Watching the ages of the fleet: who becomes too old is on a wheel of its own, so that looking
//! costs what is due and not what there is.

use livewatt_domain::{
    SignedDuration, Timestamp,
    age::{moment, second},
    id::{AccountId, ClientId, DeviceId},
};
use livewatt_store::AgeHour;

use super::{
    BlockView, Fleet, State,
    ages::Pending,
    slot::{AccountSlot, DeviceSlot},
};

/// While an account is being fetched, its ages are looked at again after so long.
const FETCH_PATIENCE: SignedDuration = SignedDuration::from_secs(2);
/// All time is counted at least this often.
const COUNT_INTERVAL: SignedDuration = SignedDuration::from_mins(5);
/// Accounts counted without letting anybody else have a turn.
const COUNT_CHUNK: usize = 1_000;

impl Fleet {
    /// After all accounts were put in: what is still open of devices that are none is over.
    pub(crate) fn end_orphaned_breaches(&self, now: Timestamp) {
        let state = self.state();
        let accounts = state.accounts.values();
        let known: std::collections::HashSet<DeviceId> = accounts
            .flat_map(|slot| slot.devices.iter().map(|device| device.id))
            .collect();
        self.ages.end_orphans(now, |id| known.contains(&id));
    }

    /// The devices of an account loaded again go on with the ages they have.
    pub(super) fn carry_ages(
        &self,
        before: &mut AccountSlot,
        slot: &mut AccountSlot,
        now: Timestamp,
    ) {
        let facts = before.facts();
        for old in &mut before.devices {
            match slot.devices.iter_mut().find(|new| new.id == old.id) {
                Some(new) => {
                    self.ages.settle(&facts, old, now);
                    new.ages = std::mem::take(&mut old.ages);
                }
                None => self.ages.leave(&facts, old, now),
            }
        }
    }

    /// An account that comes in, be it from its parking place.
    pub(super) fn welcome_ages(&self, id: AccountId, slot: &mut AccountSlot, now: Timestamp) {
        if self.ages.unpark(id, now) {
            for device in &mut slot.devices {
                device.ages.counted_until(second(now));
            }
        }
        self.resume_ages(slot);
    }

    /// An account that comes in goes on with the breaches that are open of it.
    pub(super) fn resume_ages(&self, slot: &mut AccountSlot) {
        for device in &mut slot.devices {
            self.ages.resume(device);
        }
        slot.look_at = slot.next_look();
    }

    /// Ends the watch over an account's devices.
    pub(super) fn leave_all(&self, slot: &mut AccountSlot, now: Timestamp) {
        let facts = slot.facts();
        for device in &mut slot.devices {
            self.ages.leave(&facts, device, now);
        }
    }

    /// Takes an account out whose credentials are dead: its time is counted as unreachable.
    pub(crate) fn park(&self, id: AccountId, now: Timestamp) {
        if let Some(slot) = self.remove(id, now) {
            self.ages.park(id, &slot, now);
        }
    }

    /// Opens the breaches whose time has come; returns how many. Costs what is due.
    pub(crate) fn look(&self, now: Timestamp) -> usize {
        let mut state = self.state();
        let State {
            accounts, looks, ..
        } = &mut *state;
        let mut due = Vec::new();
        looks.take_until(now, |id| due.push(id));
        let mut opened = 0;
        for id in due {
            let Some(slot) = accounts.get_mut(&id) else {
                continue;
            };
            // An entry outlives its purpose when its account's ages were renewed.
            if slot.look_at.is_none_or(|at| at > second(now)) {
                continue;
            }
            slot.look_at = if slot.is_running {
                let later = now.saturating_add(FETCH_PATIENCE);
                later.ok().map(second)
            } else {
                opened += self.ages.look(slot, now);
                slot.next_look()
            };
            if let Some(at) = slot.look_at {
                looks.insert(moment(at).into(), id);
            }
        }
        opened
    }

    /// Counts all time, if that is due.
    pub(crate) fn count_ages(&self, now: Timestamp) {
        let since = now.duration_since(self.ages.counted_until());
        if since.abs() >= COUNT_INTERVAL {
            self.count_all_ages(now);
        }
    }

    /// Counts all time up to `now`.
    pub(crate) fn count_all_ages(&self, now: Timestamp) {
        let all: Vec<AccountId> = self.state().accounts.keys().copied().collect();
        for chunk in all.chunks(COUNT_CHUNK) {
            let mut state = self.state();
            for id in chunk {
                if let Some(slot) = state.accounts.get_mut(id) {
                    let facts = slot.facts();
                    for device in &mut slot.devices {
                        self.ages.settle(&facts, device, now);
                    }
                }
            }
        }
        self.ages.note_counted(now);
    }

    /// What is to be counted of the devices of a client, or of all, up to `now`, as rows.
    pub(crate) fn pending_ages(&self, client: Option<ClientId>, now: Timestamp) -> Vec<AgeHour> {
        let mut pending = Pending::default();
        {
            let state = self.state();
            for slot in state.accounts.values() {
                if client.is_some_and(|client| client != slot.client) {
                    continue;
                }
                let facts = slot.facts();
                for device in &slot.devices {
                    self.ages.pending(&facts, device, now, &mut pending);
                }
            }
        }
        self.ages.pending_parked(client, now, &mut pending);
        self.ages.name(pending)
    }

    /// The ages of a device's blocks, in the order of `Field::blocks`; empty while it is not
    /// watched.
    pub(crate) fn ages_of(&self, account: AccountId, device: DeviceId) -> Vec<BlockView> {
        self.read(account, |slot| {
            let found = slot.devices.iter().find(|slot| slot.id == device);
            found.map(|slot: &DeviceSlot| self.ages.view(slot))
        })
        .flatten()
        .unwrap_or_default()
    }
}
