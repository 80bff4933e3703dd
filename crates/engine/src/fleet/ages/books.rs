//! The books behind the ledger's lock: time counted as it stood, breaches opened and ended.

use std::collections::HashMap;

use livewatt_domain::{
    Timestamp,
    age::{BlockAge, Breach, BreachReason, Grace, Second, moment, second},
    fact::Field,
    id::{AccountId, DeviceId},
    kind::DeviceKind,
    vendor::VendorName,
};

use super::{
    AccountFacts,
    breaches::Breaches,
    promise::Promise,
    sums::{Parked, Rows, Stretch, count},
};
use crate::fleet::slot::DeviceSlot;

/// Fetches that fell due while the server was down are made within this time of its start; what
/// is missed until then is the standstill's doing.
const CATCHING_UP: Second = 61;

/// What the ledger holds.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) vendors: Vec<VendorName>,
    pub(super) rows: Rows,
    pub(super) breaches: Breaches,
    pub(super) parked: HashMap<AccountId, Parked>,
    /// The last time that nobody watched each partition.
    pub(super) standstills: HashMap<u16, Standstill>,
    /// Everything is counted at least up to here.
    pub(super) counted_until: Second,
    pub(super) is_count_written: bool,
    /// Accounts are being put in for the first time.
    pub(super) is_starting: bool,
}

/// A time during which nobody watched.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standstill {
    /// When the server, or the node, of before last counted.
    pub(super) from: Second,
    /// When this one took over.
    pub(super) to: Second,
}

/// A change of a device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// What was promised until then.
    pub(super) before: Promise,
    /// Whether it cannot be reached from then on.
    pub(super) is_unreachable: bool,
    pub(super) now: Second,
}

impl Step {
    pub(super) fn still(slot: &DeviceSlot, now: Timestamp) -> Self {
        Self::plain(slot, second(now))
    }

    pub(super) fn plain(slot: &DeviceSlot, now: Second) -> Self {
        Self {
            before: slot.promise(),
            is_unreachable: slot.ages.is_unreachable,
            now,
        }
    }
}

impl Books {
    /// The short number of a vendor: names are few, devices are many.
    pub(super) fn vendor(&mut self, name: &VendorName) -> u16 {
        let index = self.vendors.iter().position(|known| known == name);
        let index = index.unwrap_or_else(|| {
            self.vendors.push(name.clone());
            self.vendors.len() - 1
        });
        u16::try_from(index).unwrap_or(u16::MAX)
    }

    /// Counts a device's time until now as it stood, then lets stand what it is now.
    pub(super) fn advance<'b>(
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

    pub(super) fn open(
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
        self.breaches.begin(index, breach);
    }

    pub(super) fn close(&mut self, device: DeviceId, index: u8, ended: Second) {
        self.breaches.end(device, index, moment(ended));
    }

    fn standstill(&self, partition: u16) -> Standstill {
        self.standstills
            .get(&partition)
            .copied()
            .unwrap_or_default()
    }

    /// Until when the time of an account was counted when its partition was taken over.
    pub(super) fn counted_at_start(&self, account: AccountId) -> Second {
        self.standstill(account.partition()).from
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
        let standstill = self.standstill(account.partition);
        let caught_up = standstill.to.saturating_add(CATCHING_UP);
        let is_unasked = account.asked_at.is_none_or(|at| at < standstill.to);
        if standstill.from < standstill.to
            && is_unasked
            && (standstill.from..=caught_up).contains(&began)
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

/// Where a block stands among those of its kind.
pub(super) fn index_of(kind: DeviceKind, block: &str) -> Option<u8> {
    Field::blocks(kind)
        .position(|known| known == block)
        .and_then(|index| index.try_into().ok())
}
