//! Budgets: what a vendor permits, and what was spent of it.
//!
//! Invariant: within any window of the vendor's length, never more calls are drawn than its limit,
//! whatever the bucketing, and also across restarts, however the server ended.
//!
//! A window is kept as a ring of slots (`ring`). Before a call is sent, it is covered by what is
//! stored (`ledger`): by a *lease*, a few calls that were written down before they were made. What
//! was spent since the last write is never more than the lease, and after a crash the whole lease
//! counts as spent at that moment. So a crash costs a few calls; it never yields one.

mod ledger;
mod ring;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use livewatt_domain::id::AccountId;

use self::ring::{Ring, SLOTS, slot_millis};
use crate::http::Priority;

pub use self::ledger::{Ledger, NotWritten, OpenCall};

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
pub struct Budgets {
    inner: Mutex<Inner>,
    /// Where they are stored; without one nothing outlives a restart.
    ledger: Option<Arc<dyn Ledger>>,
    /// One write at a time, so that an older state never overwrites a newer one.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Inner {
    specs: HashMap<&'static str, Vec<BudgetSpec>>,
    rings: HashMap<RingKey, Ring>,
    /// Rings with something to write.
    changed: Vec<RingKey>,
    /// Rings of the write under way, or of one that failed or was cut off.
    leaving: Vec<RingKey>,
    /// The server stops: leases are given back.
    is_closing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct RingKey {
    integration: &'static str,
    budget: &'static str,
    account: Option<AccountId>,
}

/// A call that was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drawn {
    /// What is stored covers it.
    Covered,
    /// It must be written down first.
    Uncovered,
}

impl Budgets {
    /// Budgets that are stored.
    pub fn stored_by(ledger: Arc<dyn Ledger>) -> Self {
        Self {
            ledger: Some(ledger),
            ..Self::default()
        }
    }

    /// Makes the quotas of an integration known; calls of integrations without quotas are free.
    /// Comes before [`Budgets::restore`].
    pub fn register(&self, integration: &'static str, specs: &[BudgetSpec]) {
        self.lock().specs.insert(integration, specs.to_vec());
    }

    /// Draws one call from every budget it concerns, or from none. A call without an account
    /// concerns the budgets of the app only. Fails if one of them has no room; the moment is when
    /// all of them have.
    fn draw(
        &self,
        integration: &str,
        account: Option<AccountId>,
        priority: Priority,
        now: Timestamp,
    ) -> Result<Drawn, OverBudget> {
        let mut inner = self.lock();
        let Inner {
            specs,
            rings,
            changed,
            ..
        } = &mut *inner;
        let concerned = concerned(specs, integration, account);
        let mut until: Option<Timestamp> = None;
        for (key, spec) in &concerned {
            let ring = rings.entry(*key).or_insert_with(|| Ring::new(spec));
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
        let mut drawn = Drawn::Covered;
        for (key, _) in &concerned {
            if let Some(ring) = rings.get_mut(key) {
                ring.draw();
                ring.queue(*key, changed);
                if !ring.is_covered() {
                    drawn = Drawn::Uncovered;
                }
            }
        }
        Ok(drawn)
    }

    /// Whether what is stored covers all that was drawn from the budgets of a call.
    fn is_covered(&self, integration: &str, account: Option<AccountId>) -> bool {
        let inner = self.lock();
        concerned(&inner.specs, integration, account)
            .into_iter()
            .filter_map(|(key, _)| inner.rings.get(&key))
            .all(Ring::is_covered)
    }

    /// Notes that a call drawn at `started_at` was over at `ended_at`: the vendor may have counted
    /// it as late as that, so from now on it counts as spent then.
    fn settle(
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
            ..
        } = &mut *inner;
        for (key, _) in concerned(specs, integration, account) {
            if let Some(ring) = rings.get_mut(&key) {
                ring.settle(started_at, ended_at);
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

    /// The rows to write now. They count as written once [`Self::confirm`] is called; if it is not,
    /// they come again.
    fn take_changes(&self, now: Timestamp) -> Vec<Spent> {
        let mut inner = self.lock();
        let Inner {
            rings,
            changed,
            leaving,
            is_closing,
            ..
        } = &mut *inner;
        for key in leaving.drain(..) {
            if let Some(ring) = rings.get_mut(&key) {
                ring.take_back();
                ring.queue(key, changed);
            }
        }
        let mut rows = Vec::new();
        for key in changed.drain(..) {
            if let Some(ring) = rings.get_mut(&key) {
                let slot_millis = ring.slot_millis();
                let change = ring.take_changes(*is_closing);
                rows.extend(change.slots.into_iter().map(|slot| Spent {
                    key: format_slot_key(key, slot_millis, slot.index),
                    window_start: slot.start,
                    spent: slot.spent.into(),
                }));
                rows.extend(change.lease.map(|lease| Spent {
                    key: format_key(key, LEASE),
                    window_start: now,
                    spent: lease.into(),
                }));
                leaving.push(key);
            }
        }
        rows
    }

    /// What [`Self::take_changes`] gave is stored.
    fn confirm(&self) {
        let mut inner = self.lock();
        let Inner { rings, leaving, .. } = &mut *inner;
        for key in leaving.drain(..) {
            if let Some(ring) = rings.get_mut(&key) {
                ring.confirm();
            }
        }
    }

    /// Gives leases back with the next write: a server that ends in good order has no calls under
    /// way that it does not know of.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.is_closing = true;
        let Inner { rings, changed, .. } = &mut *inner;
        for (key, ring) in rings {
            ring.give_back();
            ring.queue(*key, changed);
        }
    }

    /// Remembers at a start (`now`) what was spent before. Rows of budgets that no longer exist are
    /// ignored, and it does not matter in which order the rows come.
    pub fn restore(&self, rows: impl IntoIterator<Item = Spent>, now: Timestamp) {
        let mut inner = self.lock();
        let Inner {
            specs,
            rings,
            changed,
            ..
        } = &mut *inner;
        let mut leases = Vec::new();
        for row in rows {
            let Some((key, part)) = parse_key(specs, &row.key) else {
                continue;
            };
            let Some(spec) = spec_of(specs, &key) else {
                continue;
            };
            let spent = u32::try_from(row.spent).unwrap_or(u32::MAX);
            let slot_millis = match part {
                Part::Lease => {
                    leases.push((key, spent));
                    continue;
                }
                Part::Slot(millis) => millis,
            };
            // A row of another slot length counts when its last call may have been made.
            let last = SignedDuration::from_millis(slot_millis - 1);
            let at = row
                .window_start
                .saturating_add(last)
                .unwrap_or(row.window_start);
            let ring = rings.entry(key).or_insert_with(|| Ring::new(spec));
            ring.recall(at, spent);
        }
        // After the slots: whatever of a lease was called may have been called just now.
        for (key, lease) in leases.into_iter().filter(|(_, lease)| *lease > 0) {
            if let Some(spec) = spec_of(specs, &key) {
                let ring = rings.entry(key).or_insert_with(|| Ring::new(spec));
                ring.recall_lease(lease, now);
                ring.queue(key, changed);
            }
        }
    }

    /// Forgets an account that was given up for good.
    pub fn forget(&self, account: AccountId) {
        let mut inner = self.lock();
        inner.rings.retain(|key, _| key.account != Some(account));
        inner.changed.retain(|key| key.account != Some(account));
        inner.leaving.retain(|key| key.account != Some(account));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
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

/// What a row of a budget is about.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// A slot of so many milliseconds.
    Slot(i64),
    /// The lease.
    Lease,
}

/// The last part of a lease's key.
const LEASE: &str = "lease";

fn format_key(key: RingKey, part: &str) -> String {
    let RingKey {
        integration,
        budget,
        account,
    } = key;
    let account = account.map_or_else(|| "app".to_owned(), |account| account.to_string());
    format!("{integration}/{budget}/{account}/{part}")
}

fn format_slot_key(key: RingKey, slot_millis: i64, index: usize) -> String {
    format_key(key, &format!("{slot_millis}/{index}"))
}

fn parse_key(
    specs: &HashMap<&'static str, Vec<BudgetSpec>>,
    text: &str,
) -> Option<(RingKey, Part)> {
    let parts = text.split('/').collect::<Vec<_>>();
    let (integration, budget, account, part) = match parts[..] {
        [integration, budget, account, LEASE] => (integration, budget, account, Part::Lease),
        [integration, budget, account, slot_millis, _] => {
            let millis = slot_millis.parse().ok().filter(|millis| *millis > 0)?;
            (integration, budget, account, Part::Slot(millis))
        }
        _ => return None,
    };
    let (integration, specs) = specs.get_key_value(integration)?;
    let spec = specs.iter().find(|spec| spec.id == budget)?;
    let account = match spec.scope {
        BudgetScope::App => None,
        BudgetScope::Account => Some(account.parse().ok()?),
    };
    let key = RingKey {
        integration,
        budget: spec.id,
        account,
    };
    Some((key, part))
}

#[cfg(test)]
mod tests;
