//! Shares of the budgets of an app, and the names under which all budgets are stored.
//!
//! Invariant: the limits of the shares of a budget add up to its limit, and each share belongs to
//! one partition.

use std::collections::HashMap;

use livewatt_domain::{id::PARTITIONS, partition::Partitions};

use super::{BudgetScope, BudgetSpec, Budgets, Payer, RingKey};

/// A share is at least so many calls: smaller ones would stand in the way of bursts.
const LEAST: u32 = 8;
/// Most shares: enough that every node of a large installation gets some.
const MOST: u32 = 64;

/// What is known of all integrations.
type Specs = HashMap<&'static str, Vec<BudgetSpec>>;

/// Whether there is anything to share.
pub(super) fn has_app(specs: &[BudgetSpec]) -> bool {
    specs.iter().any(|spec| spec.scope == BudgetScope::App)
}

/// Number of shares that the budgets of an app are cut into.
pub(super) fn count(specs: &[BudgetSpec]) -> u16 {
    let of_app = specs.iter().filter(|spec| spec.scope == BudgetScope::App);
    let smallest = of_app.map(|spec| spec.limit / LEAST).min().unwrap_or(1);
    u16::try_from(smallest.clamp(1, MOST)).unwrap_or(1)
}

/// The partition that a share belongs to.
fn partition(share: u16, count: u16) -> u16 {
    share * (PARTITIONS / count.max(1))
}

/// The shares that belong to these partitions.
pub(super) fn owned(partitions: &Partitions, count: u16) -> impl Iterator<Item = u16> {
    let partitions = *partitions;
    (0..count).filter(move |share| partitions.contains(partition(*share, count)))
}

/// A budget's share; none differs from another by more than one call.
fn cut(spec: &BudgetSpec, share: u16, count: u16) -> BudgetSpec {
    let part = |whole: u32| {
        let (share, count) = (u64::from(share), u64::from(count.max(1)));
        let until = |share: u64| u64::from(whole) * share / count;
        (until(share + 1) - until(share)) as u32
    };
    BudgetSpec {
        limit: part(spec.limit),
        reserve: part(spec.reserve),
        ..spec.clone()
    }
}

/// What a row of a budget is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    /// A slot of so many milliseconds.
    Slot(i64),
    /// The lease.
    Lease,
}

/// The last part of a lease's key.
pub(super) const LEASE: &str = "lease";

impl Budgets {
    /// The budgets that a call concerns.
    pub(super) fn concerned(&self, specs: &Specs, payer: Payer<'_>) -> Vec<(RingKey, BudgetSpec)> {
        let Some((integration, specs)) = specs.get_key_value(payer.integration) else {
            return Vec::new();
        };
        let key = |budget, account, share| RingKey {
            integration,
            budget,
            account,
            share,
        };
        specs
            .iter()
            .filter_map(|spec| match (spec.scope, payer.account) {
                (BudgetScope::App, _) if self.is_shared => {
                    let cut = cut(spec, payer.share, count(specs));
                    Some((key(spec.id, None, payer.share), cut))
                }
                (BudgetScope::App, _) => Some((key(spec.id, None, 0), spec.clone())),
                (BudgetScope::Account, Some(_)) => {
                    Some((key(spec.id, payer.account, 0), spec.clone()))
                }
                (BudgetScope::Account, None) => None,
            })
            .collect()
    }

    /// The budget, or the share of it, that a ring is about.
    pub(super) fn spec_of(&self, specs: &Specs, key: &RingKey) -> Option<BudgetSpec> {
        let specs = specs.get(key.integration)?;
        let spec = specs.iter().find(|spec| spec.id == key.budget)?;
        Some(match (self.is_shared, spec.scope) {
            (true, BudgetScope::App) => cut(spec, key.share, count(specs)),
            _ => spec.clone(),
        })
    }

    /// The partition that a ring goes with.
    pub(super) fn partition_of(&self, specs: &Specs, key: &RingKey) -> u16 {
        match (key.account, specs.get(key.integration)) {
            (Some(account), _) => account.partition(),
            (None, Some(specs)) if self.is_shared => partition(key.share, count(specs)),
            (None, _) => 0,
        }
    }

    /// A ring's name in the store, and that of a part of it.
    pub(super) fn format_key(&self, key: RingKey, part: &str) -> String {
        let RingKey {
            integration,
            budget,
            account,
            share,
        } = key;
        let payer = match account {
            Some(account) => account.to_string(),
            None if self.is_shared => format!("app-{share}"),
            None => "app".to_owned(),
        };
        format!("{integration}/{budget}/{payer}/{part}")
    }

    /// The name of a slot of a ring.
    pub(super) fn format_slot_key(&self, key: RingKey, slot_millis: i64, index: usize) -> String {
        self.format_key(key, &format!("{slot_millis}/{index}"))
    }

    /// The ring and the part of it that a name is about; `None` if there is no such budget (any
    /// more).
    pub(super) fn parse_key(&self, specs: &Specs, text: &str) -> Option<(RingKey, Part)> {
        let parts = text.split('/').collect::<Vec<_>>();
        let (integration, budget, payer, part) = match parts[..] {
            [integration, budget, payer, LEASE] => (integration, budget, payer, Part::Lease),
            [integration, budget, payer, slot_millis, _] => {
                let millis = slot_millis.parse().ok().filter(|millis| *millis > 0)?;
                (integration, budget, payer, Part::Slot(millis))
            }
            _ => return None,
        };
        let (integration, specs) = specs.get_key_value(integration)?;
        let spec = specs.iter().find(|spec| spec.id == budget)?;
        let (account, share) = match (spec.scope, payer.strip_prefix("app-")) {
            (BudgetScope::App, Some(share)) if self.is_shared => {
                let share = share.parse().ok().filter(|share| *share < count(specs))?;
                (None, share)
            }
            (BudgetScope::App, _) => (None, 0),
            (BudgetScope::Account, _) => (Some(payer.parse().ok()?), 0),
        };
        let key = RingKey {
            integration,
            budget: spec.id,
            account,
            share,
        };
        Some((key, part))
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn spec(limit: u32, reserve: u32) -> BudgetSpec {
        BudgetSpec {
            id: "app",
            scope: BudgetScope::App,
            limit,
            window: SignedDuration::from_mins(10),
            reserve,
        }
    }

    #[test]
    fn shares_add_up_to_the_whole() {
        for (limit, reserve) in [(20_000, 1_000), (100, 7), (641, 0), (1, 1), (0, 0)] {
            let whole = spec(limit, reserve);
            let count = count(std::slice::from_ref(&whole));
            let shares: Vec<BudgetSpec> =
                (0..count).map(|share| cut(&whole, share, count)).collect();
            assert_eq!(shares.iter().map(|share| share.limit).sum::<u32>(), limit);
            assert_eq!(
                shares.iter().map(|share| share.reserve).sum::<u32>(),
                reserve
            );
        }
        assert_eq!(count(&[spec(20_000, 0)]), 64);
        assert_eq!(count(&[spec(100, 0)]), 12);
        assert_eq!(count(&[spec(9, 0)]), 1);
    }

    #[test]
    fn every_share_belongs_to_one_partition() {
        let all: Vec<u16> = owned(&Partitions::ALL, 64).collect();
        assert_eq!(all, (0..64).collect::<Vec<_>>());
        let half: Partitions = (0..128).collect();
        let rest = Partitions::ALL.without(&half);
        assert_eq!(owned(&half, 64).count() + owned(&rest, 64).count(), 64);
    }
}
