//! The devices that are seen to here, in memory: those with a pending action, and in other lists
//! those with schedules and those that are charged smartly. It says when each is to be seen to next;
//! what is stored decides.
//!
//! Invariant: a device is seen to by at most one task of a list at a time, which is what keeps a second
//! command from being sent while one is under way.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use livewatt_domain::{
    Timestamp,
    id::{AccountId, DeviceId},
    partition::Partitions,
};
use tokio::sync::Notify;

/// The devices that are seen to here.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    state: Mutex<State>,
    /// There may be something to do.
    pub(crate) wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    accounts: HashMap<AccountId, Vec<Watch>>,
    /// Partitions where nothing new is begun: they are being handed over.
    leaving: Partitions,
}

/// What is known of a device that is seen to.
#[derive(Debug, Clone, Copy)]
struct Watch {
    device: DeviceId,
    due_at: Timestamp,
    /// When the device is to be read, to see what became of a command.
    look_at: Option<Timestamp>,
    is_running: bool,
    /// Something happened while it was seen to: it is seen to again at once.
    is_told: bool,
}

/// When a device is to be seen to again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Again {
    /// When at the latest.
    pub at: Timestamp,
    /// When it is to be read, if that is before or then.
    pub look_at: Option<Timestamp>,
}

impl Watches {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happened to a device: it is to be seen to at `now`.
    pub(crate) fn tell(&self, account: AccountId, device: DeviceId, now: Timestamp) {
        let mut state = self.state();
        let watches = state.accounts.entry(account).or_default();
        match watches.iter_mut().find(|watch| watch.device == device) {
            Some(watch) => {
                watch.due_at = watch.due_at.min(now);
                watch.is_told |= watch.is_running;
            }
            None => watches.push(Watch {
                device,
                due_at: now,
                look_at: None,
                is_running: false,
                is_told: false,
            }),
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Something happened to a device: it is to be seen to at `now`, if it is one of those here.
    pub(crate) fn remind(&self, account: AccountId, device: DeviceId, now: Timestamp) {
        self.remind_some(now, |state| {
            let watches = state.accounts.get_mut(&account).into_iter().flatten();
            watches.filter(|watch| watch.device == device).collect()
        });
    }

    /// The same for all devices of an account.
    pub(crate) fn remind_account(&self, account: AccountId, now: Timestamp) {
        self.remind_some(now, |state| {
            let watches = state.accounts.get_mut(&account).into_iter().flatten();
            watches.collect()
        });
    }

    /// The same for all devices.
    pub(crate) fn remind_all(&self, now: Timestamp) {
        self.remind_some(now, |state| state.accounts.values_mut().flatten().collect());
    }

    fn remind_some(&self, now: Timestamp, which: impl FnOnce(&mut State) -> Vec<&mut Watch>) {
        let mut state = self.state();
        let some = which(&mut state);
        if some.is_empty() {
            return;
        }
        for watch in some {
            watch.due_at = watch.due_at.min(now);
            watch.is_told |= watch.is_running;
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Whether a device of an account may have to be seen to.
    pub(crate) fn concern(&self, account: AccountId) -> bool {
        self.state().accounts.contains_key(&account)
    }

    /// The devices that are to be seen to, each with whether it is to be read; they count as being
    /// seen to from now on.
    pub(crate) fn take_due(&self, now: Timestamp) -> Vec<(AccountId, DeviceId, bool)> {
        let mut state = self.state();
        let State { accounts, leaving } = &mut *state;
        let mut due = Vec::new();
        for (account, watches) in accounts {
            if leaving.contains(account.partition()) {
                continue;
            }
            for watch in watches.iter_mut() {
                if !watch.is_running && watch.due_at <= now {
                    watch.is_running = true;
                    let is_look = watch.look_at.is_some_and(|at| at <= now);
                    due.push((*account, watch.device, is_look));
                }
            }
        }
        due
    }

    /// When the next device is to be seen to.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let state = self.state();
        let all = state.accounts.values().flatten();
        all.filter(|watch| !watch.is_running)
            .map(|watch| watch.due_at)
            .min()
    }

    /// A device was seen to; `None` if it need not be any more.
    pub(crate) fn finish(
        &self,
        account: AccountId,
        device: DeviceId,
        again: Option<Again>,
        now: Timestamp,
    ) {
        let mut state = self.state();
        let Some(watches) = state.accounts.get_mut(&account) else {
            return;
        };
        watches.retain_mut(|watch| {
            if watch.device != device {
                return true;
            }
            watch.is_running = false;
            let is_told = std::mem::take(&mut watch.is_told);
            let again = again.or(is_told.then_some(Again {
                at: now,
                look_at: None,
            }));
            let Some(again) = again else {
                return false;
            };
            watch.due_at = if is_told { now } else { again.at };
            watch.look_at = again.look_at;
            true
        });
        if watches.is_empty() {
            state.accounts.remove(&account);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Nothing new is begun for the devices of partitions.
    pub(crate) fn begin_leaving(&self, partitions: &Partitions) {
        let mut state = self.state();
        for partition in partitions.iter() {
            state.leaving.insert(partition);
        }
    }

    /// The devices of partitions are seen to here.
    pub(crate) fn arrive(&self, partitions: &Partitions) {
        let mut state = self.state();
        for partition in partitions.iter() {
            state.leaving.remove(partition);
        }
    }

    /// Whether a device of partitions is being seen to.
    pub(crate) fn is_busy(&self, partitions: &Partitions) -> bool {
        let state = self.state();
        let mut accounts = state.accounts.iter();
        accounts.any(|(id, watches)| {
            partitions.contains(id.partition()) && watches.iter().any(|watch| watch.is_running)
        })
    }

    /// Forgets the devices of partitions: another node sees to them.
    pub(crate) fn drop_partitions(&self, partitions: &Partitions) {
        let accounts = &mut self.state().accounts;
        accounts.retain(|id, _| !partitions.contains(id.partition()));
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const ACCOUNT: AccountId = AccountId(Uuid::from_u128(1));
    const DEVICE: DeviceId = DeviceId(Uuid::from_u128(2));

    fn at(second: i64) -> Timestamp {
        Timestamp::constant(second, 0)
    }

    fn again(due: i64, look: Option<i64>) -> Option<Again> {
        let look_at = look.map(at);
        Some(Again {
            at: at(due),
            look_at,
        })
    }

    #[test]
    fn a_device_is_seen_to_by_one_at_a_time() {
        let actions = Watches::default();
        assert!(!actions.concern(ACCOUNT));
        actions.tell(ACCOUNT, DEVICE, at(5));
        assert!(actions.concern(ACCOUNT));
        assert_eq!(actions.take_due(at(4)), []);
        assert_eq!(actions.take_due(at(5)), [(ACCOUNT, DEVICE, false)]);
        // While that goes on, a newer action is made.
        actions.tell(ACCOUNT, DEVICE, at(6));
        assert_eq!(actions.take_due(at(7)), []);
        actions.finish(ACCOUNT, DEVICE, None, at(8));
        assert_eq!(actions.take_due(at(8)), [(ACCOUNT, DEVICE, false)]);
        actions.finish(ACCOUNT, DEVICE, again(60, Some(11)), at(8));
        assert_eq!(actions.next_due(), Some(at(60)));
        actions.tell(ACCOUNT, DEVICE, at(12));
        assert_eq!(actions.take_due(at(12)), [(ACCOUNT, DEVICE, true)]);
        actions.remind(ACCOUNT, DeviceId(Uuid::from_u128(3)), at(12));
        actions.finish(ACCOUNT, DEVICE, None, at(12));
        assert!(!actions.concern(ACCOUNT));
        actions.remind(ACCOUNT, DEVICE, at(13));
        actions.remind_account(ACCOUNT, at(13));
        assert_eq!(actions.next_due(), None);
    }

    #[test]
    fn nothing_is_begun_in_partitions_that_leave() {
        let actions = Watches::default();
        let own: Partitions = [ACCOUNT.partition()].into_iter().collect();
        actions.tell(ACCOUNT, DEVICE, at(5));
        actions.begin_leaving(&own);
        assert_eq!(actions.take_due(at(9)), []);
        actions.arrive(&own);
        assert_eq!(actions.take_due(at(9)).len(), 1);
        assert!(actions.is_busy(&own));
        actions.drop_partitions(&own);
        assert!(!actions.is_busy(&own));
        // Its task ends after that, and finds nothing to note.
        actions.finish(ACCOUNT, DEVICE, again(20, None), at(10));
        assert_eq!(actions.next_due(), None);
    }
}
