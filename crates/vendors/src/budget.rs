//! Budgets: what a vendor permits, and what was spent of it.
//!
//! Invariant: within any window of the vendor's length, never more calls are drawn than its limit,
//! whatever the bucketing, and also across restarts, however the server ended.
//!
//! A window is kept as a ring of slots (`ring`). Before a call is sent, it is covered by what is
//! stored (`ledger`): by a *lease*, a few calls that were written down before they were made. What
//! was spent since the last write is never more than the lease, and after a crash the whole lease
//! counts as spent at that moment. So a crash costs a few calls; it never yields one.
//!
//! Where several nodes share a budget of the app, it is cut into shares that each belong to a
//! partition and are budgets of their own (`share`): whoever owns the partition spends them, so that
//! all nodes together never spend more than the whole.

mod ledger;
mod ring;
mod share;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use livewatt_domain::{id::AccountId, partition::Partitions};

use self::{
    ring::{Ring, SLOTS, slot_millis},
    share::{LEASE, Part},
};
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
    /// The partition it goes with.
    pub partition: u16,
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
    /// Whether nodes share the budgets of the app.
    is_shared: bool,
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
    /// The partitions whose shares may be spent.
    owned: Partitions,
    /// The share that was last drawn from: the next draw begins there.
    drawn_last: HashMap<&'static str, u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct RingKey {
    integration: &'static str,
    budget: &'static str,
    account: Option<AccountId>,
    /// The share of a budget of the app; 0 of one that nobody shares, or of an account's.
    share: u16,
}

/// A call that was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Drawn {
    /// Whether what is stored covers it; else it must be written down first.
    is_covered: bool,
    /// The share of the app's budgets that it was drawn from.
    share: u16,
}

/// Who calls: what decides which budgets a call concerns.
#[derive(Debug, Clone, Copy)]
struct Payer<'a> {
    integration: &'a str,
    account: Option<AccountId>,
    share: u16,
}

/// Calls that can wait are made only while less than this part of a budget is spent, by whomever.
const SPARE_PART: u32 = 4;

/// How long a node waits for shares when it owns none.
const NO_SHARE: SignedDuration = SignedDuration::from_secs(10);

impl Budgets {
    /// Budgets that are stored.
    pub fn stored_by(ledger: Arc<dyn Ledger>) -> Self {
        Self {
            ledger: Some(ledger),
            ..Self::default()
        }
    }

    /// The same where several nodes share the budgets of the app. Nothing can be spent of them until
    /// partitions are taken.
    pub fn shared(self) -> Self {
        Self {
            is_shared: true,
            ..self
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
        let payer = |share| Payer {
            integration,
            account,
            share,
        };
        let known = inner.specs.get_key_value(integration);
        let known = known.filter(|(_, specs)| self.is_shared && share::has_app(specs));
        let Some((name, count)) = known.map(|(name, specs)| (*name, share::count(specs))) else {
            return self.draw_as(&mut inner, payer(0), priority, now);
        };
        let owned: Vec<u16> = share::owned(&inner.owned, count).collect();
        // From where there was room last: looking at full ones costs time.
        let last = inner.drawn_last.get(name).copied().unwrap_or(0);
        let start = owned.iter().position(|share| *share == last).unwrap_or(0);
        let mut soonest: Option<Timestamp> = None;
        for share in owned.iter().cycle().skip(start).take(owned.len()) {
            match self.draw_as(&mut inner, payer(*share), priority, now) {
                Ok(drawn) => {
                    inner.drawn_last.insert(name, *share);
                    return Ok(drawn);
                }
                Err(over) => soonest = Some(soonest.map_or(over.until, |at| at.min(over.until))),
            }
        }
        let until = soonest.or_else(|| now.saturating_add(NO_SHARE).ok());
        Err(OverBudget {
            until: until.unwrap_or(now),
        })
    }

    /// Draws from one share of the budgets of the app, and from the account's own.
    fn draw_as(
        &self,
        inner: &mut Inner,
        payer: Payer<'_>,
        priority: Priority,
        now: Timestamp,
    ) -> Result<Drawn, OverBudget> {
        let Inner {
            specs,
            rings,
            changed,
            ..
        } = inner;
        let concerned = self.concerned(specs, payer);
        let mut until: Option<Timestamp> = None;
        for (key, spec) in &concerned {
            let ring = rings.entry(*key).or_insert_with(|| Ring::new(spec));
            ring.move_to(now);
            ring.queue(*key, changed);
            let permitted = match priority {
                Priority::Spare => spec.limit.saturating_sub(spec.reserve) / SPARE_PART,
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
        let mut drawn = Drawn {
            is_covered: true,
            share: payer.share,
        };
        for (key, _) in &concerned {
            if let Some(ring) = rings.get_mut(key) {
                ring.draw();
                ring.queue(*key, changed);
                drawn.is_covered &= ring.is_covered();
            }
        }
        Ok(drawn)
    }

    /// Whether what is stored covers all that was drawn from the budgets of a call.
    fn is_covered(&self, payer: Payer<'_>) -> bool {
        let inner = self.lock();
        self.concerned(&inner.specs, payer)
            .into_iter()
            .filter_map(|(key, _)| inner.rings.get(&key))
            .all(Ring::is_covered)
    }

    /// Notes that a call drawn at `started_at` was over at `ended_at`: the vendor may have counted
    /// it as late as that, so from now on it counts as spent then.
    fn settle(&self, payer: Payer<'_>, started_at: Timestamp, ended_at: Timestamp) {
        let mut inner = self.lock();
        let Inner {
            specs,
            rings,
            changed,
            ..
        } = &mut *inner;
        for (key, _) in self.concerned(specs, payer) {
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
        let specs = inner.specs.get(integration)?;
        specs
            .iter()
            .filter(|spec| spec.scope == BudgetScope::App || account.is_some())
            .map(|spec| {
                let accounts = match spec.scope {
                    BudgetScope::App => accounts_sharing.max(1),
                    BudgetScope::Account => 1,
                };
                let calls = i128::from(calls_per_poll) * i128::from(accounts);
                // What this node may spend of it.
                let (owned, shares) = match (self.is_shared, spec.scope) {
                    (true, BudgetScope::App) => {
                        let count = share::count(specs);
                        (share::owned(&inner.owned, count).count(), count)
                    }
                    _ => (1, 1),
                };
                let permitted = i128::from(spec.limit.saturating_sub(spec.reserve).max(1));
                let permitted = permitted * owned.max(1) as i128 / i128::from(shares);
                let permitted = permitted.max(1);
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
            specs,
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
                let partition = self.partition_of(specs, &key);
                let change = ring.take_changes(*is_closing);
                rows.extend(change.slots.into_iter().map(|slot| Spent {
                    partition,
                    key: self.format_slot_key(key, slot_millis, slot.index),
                    window_start: slot.start,
                    spent: slot.spent.into(),
                }));
                rows.extend(change.lease.map(|lease| Spent {
                    partition,
                    key: self.format_key(key, LEASE),
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
            let Some((key, part)) = self.parse_key(specs, &row.key) else {
                continue;
            };
            let Some(spec) = self.spec_of(specs, &key) else {
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
            let ring = rings.entry(key).or_insert_with(|| Ring::new(&spec));
            ring.recall(at, spent);
        }
        // After the slots: whatever of a lease was called may have been called just now.
        for (key, lease) in leases.into_iter().filter(|(_, lease)| *lease > 0) {
            if let Some(spec) = self.spec_of(specs, &key) {
                let ring = rings.entry(key).or_insert_with(|| Ring::new(&spec));
                ring.recall_lease(lease, now);
                ring.queue(key, changed);
            }
        }
    }

    /// Shares of these partitions may be spent from now on.
    pub fn take_partitions(&self, partitions: &Partitions) {
        let mut inner = self.lock();
        partitions.iter().for_each(|p| inner.owned.insert(p));
    }

    /// Nothing more is spent of the shares of partitions, and their leases are given back with the
    /// next write, as those of their accounts are.
    pub fn close_for(&self, partitions: &Partitions) {
        let mut inner = self.lock();
        partitions.iter().for_each(|p| inner.owned.remove(p));
        let Inner {
            specs,
            rings,
            changed,
            ..
        } = &mut *inner;
        for (key, ring) in rings {
            if partitions.contains(self.partition_of(specs, key)) {
                ring.give_back();
                ring.queue(*key, changed);
            }
        }
    }

    /// Forgets what was spent in partitions: another node goes on from what is stored.
    pub fn forget_partitions(&self, partitions: &Partitions) {
        let mut inner = self.lock();
        partitions.iter().for_each(|p| inner.owned.remove(p));
        let Inner {
            specs,
            rings,
            changed,
            leaving,
            ..
        } = &mut *inner;
        let stays = |key: &RingKey| !partitions.contains(self.partition_of(specs, key));
        rings.retain(|key, _| stays(key));
        changed.retain(stays);
        leaving.retain(stays);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
