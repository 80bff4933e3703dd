//! Budgets: what a vendor permits, and what was spent of it.
//!
//! Invariant: within any window of the vendor's length, never more calls are drawn than its limit,
//! whatever the bucketing, and also across restarts.
//!
//! A window is kept as a ring of slots that each count the calls of a sixtieth of it. A slot counts
//! in full until the last call it may hold has left the window, so a budget rather permits too
//! little (by less than one slot) than too much. A clock set back never frees anything: within the
//! length of a window the newest moment seen stands for now, beyond it all that counts is taken to
//! have been spent just now.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use livewatt_domain::id::AccountId;

use crate::http::Priority;

/// Who shares a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BudgetScope {
    /// All accounts of the integration together.
    App,
    /// Each account its own.
    Account,
}

/// A vendor's quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetSpec {
    /// Name, unique in the integration.
    pub id: &'static str,
    /// Who shares it.
    pub scope: BudgetScope,
    /// Calls permitted in any window.
    pub limit: u32,
    /// Length of the sliding window.
    pub window: SignedDuration,
    /// Calls of the limit that only refresh hints and commands may use.
    pub reserve: u32,
}

/// There is no room left in a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a budget is used up until {until}")]
pub struct OverBudget {
    /// When there is room again.
    pub until: Timestamp,
}

/// What was spent in one slot of one budget: a row to be stored under its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// Names the budget, its account and the slot. Slots are reused, so the keys of a budget are
    /// few and fixed.
    pub key: String,
    /// When the slot begins.
    pub window_start: Timestamp,
    /// Calls in it.
    pub spent: u64,
}

/// What was spent of all budgets of an installation.
#[derive(Debug, Default)]
pub struct Budgets(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    specs: HashMap<&'static str, Vec<BudgetSpec>>,
    rings: HashMap<RingKey, Ring>,
    /// Rings with slots that changed since [`Budgets::take_changes`].
    changed: Vec<RingKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct RingKey {
    integration: &'static str,
    budget: &'static str,
    account: Option<AccountId>,
}

impl Budgets {
    /// Makes the quotas of an integration known; calls of integrations without quotas are free.
    /// Comes before [`Budgets::restore`].
    pub fn register(&self, integration: &'static str, specs: &[BudgetSpec]) {
        self.lock().specs.insert(integration, specs.to_vec());
    }

    /// Draws one call from every budget it concerns, or from none. A call without an account
    /// concerns the budgets of the app only.
    ///
    /// # Errors
    /// If one of them has no room; the moment is when all of them have.
    pub fn draw(
        &self,
        integration: &str,
        account: Option<AccountId>,
        priority: Priority,
        now: Timestamp,
    ) -> Result<(), OverBudget> {
        let mut inner = self.lock();
        let Inner {
            specs,
            rings,
            changed,
        } = &mut *inner;
        let concerned = concerned(specs, integration, account);
        let mut until: Option<Timestamp> = None;
        for (key, spec) in &concerned {
            let ring = rings.entry(*key).or_insert_with(|| Ring::new(spec.window));
            ring.move_to(now);
            ring.queue(*key, changed);
            let permitted = match priority {
                Priority::Routine => spec.limit.saturating_sub(spec.reserve),
                Priority::Asked => spec.limit,
            };
            if let Some(free_at) = ring.full_until(permitted) {
                until = until.max(Some(free_at));
            }
        }
        if let Some(until) = until {
            // Where the clock was set back, room is there when it has caught up.
            return Err(OverBudget {
                until: until.max(now),
            });
        }
        for (key, _) in &concerned {
            if let Some(ring) = rings.get_mut(key) {
                ring.add_now();
                ring.queue(*key, changed);
            }
        }
        Ok(())
    }

    /// Notes that a call drawn at `started_at` was over at `ended_at`: the vendor may have counted
    /// it as late as that, so from now on it counts as spent then.
    pub fn settle(
        &self,
        integration: &str,
        account: Option<AccountId>,
        started_at: Timestamp,
        ended_at: Timestamp,
    ) {
        let mut inner = self.lock();
        let Inner {
            specs,
            rings,
            changed,
        } = &mut *inner;
        for (key, _) in concerned(specs, integration, account) {
            if let Some(ring) = rings.get_mut(&key) {
                ring.postpone(started_at, ended_at);
                ring.queue(key, changed);
            }
        }
    }

    /// The shortest interval between polls of `calls_per_poll` calls each that the quotas permit
    /// for ever, if `accounts_sharing` accounts are polled alike; `None` if there are no quotas.
    /// Without an account only the budgets of the app are looked at.
    pub fn sustainable_interval(
        &self,
        integration: &str,
        account: Option<AccountId>,
        calls_per_poll: u32,
        accounts_sharing: u32,
    ) -> Option<SignedDuration> {
        let inner = self.lock();
        concerned(&inner.specs, integration, account)
            .into_iter()
            .map(|(_, spec)| {
                let accounts = match spec.scope {
                    BudgetScope::App => accounts_sharing.max(1),
                    BudgetScope::Account => 1,
                };
                let calls = i128::from(calls_per_poll) * i128::from(accounts);
                let permitted = i128::from(spec.limit.saturating_sub(spec.reserve).max(1));
                let slot = slot_millis(spec.window);
                let span = i128::from(slot) * i128::from(SLOTS);
                let millis = (span * calls + permitted - 1) / permitted;
                SignedDuration::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
            })
            .max()
    }

    /// The slots that changed since this was last called.
    pub fn take_changes(&self) -> Vec<Spent> {
        let mut inner = self.lock();
        let Inner { rings, changed, .. } = &mut *inner;
        let mut rows = Vec::new();
        for key in changed.drain(..) {
            if let Some(ring) = rings.get_mut(&key) {
                ring.take_changes(key, &mut rows);
            }
        }
        rows
    }

    /// Remembers what was spent before a restart. Rows of budgets that no longer exist are ignored,
    /// and it does not matter in which order the rows come.
    pub fn restore(&self, rows: impl IntoIterator<Item = Spent>) {
        let mut inner = self.lock();
        let Inner { specs, rings, .. } = &mut *inner;
        for row in rows {
            let Some((key, slot_millis)) = parse_key(specs, &row.key) else {
                continue;
            };
            let Some(spec) = spec_of(specs, &key) else {
                continue;
            };
            // A row of another slot length counts when its last call may have been made.
            let last = SignedDuration::from_millis(slot_millis - 1);
            let at = row
                .window_start
                .saturating_add(last)
                .unwrap_or(row.window_start);
            let spent = u32::try_from(row.spent).unwrap_or(u32::MAX);
            let ring = rings.entry(key).or_insert_with(|| Ring::new(spec.window));
            ring.recall(at, spent);
        }
    }

    /// Forgets an account that was given up for good.
    pub fn forget(&self, account: AccountId) {
        let mut inner = self.lock();
        inner.rings.retain(|key, _| key.account != Some(account));
        inner.changed.retain(|key| key.account != Some(account));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn concerned<'a>(
    specs: &'a HashMap<&'static str, Vec<BudgetSpec>>,
    integration: &str,
    account: Option<AccountId>,
) -> Vec<(RingKey, &'a BudgetSpec)> {
    let Some((integration, specs)) = specs.get_key_value(integration) else {
        return Vec::new();
    };
    let key = |budget, account| RingKey {
        integration,
        budget,
        account,
    };
    specs
        .iter()
        .filter_map(|spec| match (spec.scope, account) {
            (BudgetScope::App, _) => Some((key(spec.id, None), spec)),
            (BudgetScope::Account, Some(_)) => Some((key(spec.id, account), spec)),
            (BudgetScope::Account, None) => None,
        })
        .collect()
}

fn spec_of<'a>(
    specs: &'a HashMap<&'static str, Vec<BudgetSpec>>,
    key: &RingKey,
) -> Option<&'a BudgetSpec> {
    specs
        .get(key.integration)?
        .iter()
        .find(|spec| spec.id == key.budget)
}

/// Slots of a ring: sixty make a window, and one more is the one being filled.
const SLOTS: u32 = 61;

/// Length of a slot. Rounded up, so that sixty slots are never shorter than the window.
fn slot_millis(window: SignedDuration) -> i64 {
    let millis = i64::try_from(window.as_millis()).unwrap_or(i64::MAX).max(1);
    let full = i64::from(SLOTS - 1);
    millis / full + i64::from(millis % full != 0)
}

/// The calls of the last window, counted by slot.
#[derive(Debug)]
struct Ring {
    slot_millis: i64,
    /// Number of the newest slot, counted from 1970; `None` while nothing was counted.
    newest: Option<i64>,
    /// Counts by slot number modulo [`SLOTS`].
    counts: Box<[u32]>,
    /// A bit for each slot that changed.
    changed: u64,
    /// Whether the ring is in the list of changed ones.
    is_queued: bool,
}

impl Ring {
    fn new(window: SignedDuration) -> Self {
        let counts = vec![0; SLOTS as usize].into_boxed_slice();
        Self {
            slot_millis: slot_millis(window),
            newest: None,
            counts,
            changed: 0,
            is_queued: false,
        }
    }

    fn slot_of(&self, at: Timestamp) -> i64 {
        at.as_millisecond().div_euclid(self.slot_millis)
    }

    fn index(slot: i64) -> usize {
        slot.rem_euclid(i64::from(SLOTS)) as usize
    }

    /// Makes `now` the newest moment, dropping what has left the window.
    fn move_to(&mut self, now: Timestamp) {
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
        }
    }

    fn total(&self) -> u32 {
        self.counts
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Whether `permitted` calls are spent, and until when.
    fn full_until(&self, permitted: u32) -> Option<Timestamp> {
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

    fn add_now(&mut self) {
        if let Some(newest) = self.newest {
            self.change(newest, self.counts[Self::index(newest)].saturating_add(1));
        }
    }

    /// Moves one call from the slot of `from` to that of `to`.
    fn postpone(&mut self, from: Timestamp, to: Timestamp) {
        let from = self.slot_of(from);
        self.move_to(to.max(self.start_of_newest()));
        let Some(newest) = self.newest else { return };
        let is_held = from < newest && newest - from < i64::from(SLOTS);
        let old = if is_held {
            self.counts[Self::index(from)]
        } else {
            0
        };
        if old > 0 {
            self.change(from, old - 1);
            self.add_now();
        } else if from != newest {
            // Its slot is not there any more; count it anew rather than lose it.
            self.add_now();
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
    fn recall(&mut self, at: Timestamp, spent: u32) {
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

    fn change(&mut self, slot: i64, count: u32) {
        let index = Self::index(slot);
        self.counts[index] = count;
        self.changed |= 1 << index;
    }

    fn queue(&mut self, key: RingKey, queue: &mut Vec<RingKey>) {
        if self.changed != 0 && !self.is_queued {
            self.is_queued = true;
            queue.push(key);
        }
    }

    fn take_changes(&mut self, key: RingKey, rows: &mut Vec<Spent>) {
        self.is_queued = false;
        let Some(newest) = self.newest else { return };
        for slot in (newest - i64::from(SLOTS - 1))..=newest {
            let index = Self::index(slot);
            if self.changed & (1 << index) != 0 {
                let start = slot.saturating_mul(self.slot_millis);
                rows.push(Spent {
                    key: format_key(key, self.slot_millis, index),
                    window_start: Timestamp::from_millisecond(start).unwrap_or(Timestamp::MIN),
                    spent: u64::from(self.counts[index]),
                });
            }
        }
        self.changed = 0;
    }
}

fn format_key(key: RingKey, slot_millis: i64, index: usize) -> String {
    let RingKey {
        integration,
        budget,
        account,
    } = key;
    let account = account.map_or_else(|| "app".to_owned(), |account| account.to_string());
    format!("{integration}/{budget}/{account}/{slot_millis}/{index}")
}

fn parse_key(specs: &HashMap<&'static str, Vec<BudgetSpec>>, text: &str) -> Option<(RingKey, i64)> {
    let parts = text.split('/').collect::<Vec<_>>();
    let [integration, budget, account, slot_millis, _] = parts[..] else {
        return None;
    };
    let (integration, specs) = specs.get_key_value(integration)?;
    let spec = specs.iter().find(|spec| spec.id == budget)?;
    let account = match spec.scope {
        BudgetScope::App => None,
        BudgetScope::Account => Some(account.parse().ok()?),
    };
    let slot_millis = slot_millis.parse().ok().filter(|millis| *millis > 0)?;
    Some((
        RingKey {
            integration,
            budget: spec.id,
            account,
        },
        slot_millis,
    ))
}

#[cfg(test)]
mod tests;
