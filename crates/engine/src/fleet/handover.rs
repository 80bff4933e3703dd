//! Accounts that come and go with their partitions.

use livewatt_domain::{Timestamp, id::AccountId, partition::Partitions};

use super::{AccountSlot, Fleet, State};

impl Fleet {
    /// Nothing new is begun for the accounts of partitions; what is under way may end.
    pub(crate) fn begin_leaving(&self, partitions: &Partitions) {
        let mut state = self.state();
        for partition in partitions.iter() {
            state.leaving.insert(partition);
        }
    }

    /// The accounts of partitions are here and may be fetched.
    pub(crate) fn arrive(&self, partitions: &Partitions) {
        let mut state = self.state();
        for partition in partitions.iter() {
            state.leaving.remove(partition);
        }
    }

    /// Whether an account of partitions is being fetched.
    pub(crate) fn is_busy(&self, partitions: &Partitions) -> bool {
        let state = self.state();
        let mut accounts = state.accounts.iter();
        accounts.any(|(id, slot)| slot.is_running && partitions.contains(id.partition()))
    }

    /// Counts the time of the accounts of partitions up to `now`, and forgets them: another node
    /// goes on from there.
    pub(crate) fn hand_over(&self, partitions: &Partitions, now: Timestamp) {
        let mut state = self.state();
        for mut slot in state.take_out(partitions) {
            let facts = slot.facts();
            for device in &mut slot.devices {
                self.ages.settle(&facts, device, now);
                self.ages.let_go(device);
            }
        }
        self.ages.hand_over_parked(partitions, now);
    }

    /// Forgets the accounts of partitions that another node has by now.
    pub(crate) fn drop_partitions(&self, partitions: &Partitions) {
        let mut state = self.state();
        for slot in state.take_out(partitions) {
            for device in &slot.devices {
                self.ages.let_go(device);
            }
        }
        self.ages.drop_parked(partitions);
    }
}

impl State {
    fn take_out(&mut self, partitions: &Partitions) -> Vec<AccountSlot> {
        let ids: Vec<AccountId> = self
            .accounts
            .keys()
            .filter(|id| partitions.contains(id.partition()))
            .copied()
            .collect();
        let mut out = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(slot) = self.accounts.remove(&id) {
                self.uncount(&slot);
                out.push(*slot);
            }
        }
        out
    }
}
