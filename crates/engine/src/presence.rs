//! Quiet writes, gathered: what moves at every fetch without being worth an event (`lastSeen`,
//! stamps, due times) is written in groups, at most two seconds behind. Budgets are written with
//! them, and before a call where that would be too late.
//!
//! Invariant: a reader who lays [`Presence::overlay`] over a stored row sees the present, also
//! while a group is on its way to the store.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use livewatt_domain::{
    Timestamp,
    account::AccountSchedule,
    age::Breach,
    device::{Device, DeviceText, UpdatedBlocks},
    id::{AccountId, DeviceId},
};
use livewatt_store::{AgeHour, BudgetUsage, DevicePresence, PresenceFlush, Store};
use livewatt_vendors::budget::{Ledger, NotWritten, Spent};

use crate::{Engine, EngineError, EngineResult, cluster::Ownership};

/// Quiet writes waiting for their group.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    groups: Mutex<Groups>,
    /// One group at a time is on its way.
    flushing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Groups {
    gathering: Group,
    /// On its way to the store; still part of the overlay.
    leaving: Group,
}

#[derive(Debug, Default, Clone)]
struct Group {
    quiet: HashMap<DeviceId, DevicePresence>,
    seen: HashMap<DeviceId, Timestamp>,
    schedules: HashMap<AccountId, AccountSchedule>,
    listed: HashMap<AccountId, Timestamp>,
    ages: Vec<AgeHour>,
    breaches: Vec<Breach>,
    counted_until: Option<Timestamp>,
}

impl Presence {
    fn groups(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A device whose quiet part moved.
    pub(crate) fn note_device(&self, device: &Device) {
        let quiet = DevicePresence {
            id: device.id,
            version: device.version,
            last_seen: device.last_seen,
            stamps: device.stamps.clone(),
            is_asleep: device.is_asleep,
            missed_listings: device.missed_listings,
        };
        self.groups().gathering.quiet.insert(device.id, quiet);
    }

    /// A device that was reached and said nothing new.
    pub(crate) fn note_seen(&self, id: DeviceId, at: Timestamp) {
        let mut groups = self.groups();
        let seen = groups.gathering.seen.entry(id).or_insert(at);
        *seen = (*seen).max(at);
    }

    /// An account whose schedule moved.
    pub(crate) fn note_schedule(&self, id: AccountId, schedule: AccountSchedule) {
        self.groups().gathering.schedules.insert(id, schedule);
    }

    /// An account whose devices were listed.
    pub(crate) fn note_listed(&self, id: AccountId, at: Timestamp) {
        self.groups().gathering.listed.insert(id, at);
    }

    /// A device written whole, or deleted: what was gathered of it is void.
    pub(crate) fn forget(&self, id: DeviceId) {
        let mut groups = self.groups();
        groups.gathering.quiet.remove(&id);
        groups.leaving.quiet.remove(&id);
    }

    /// The present state of a stored device.
    pub(crate) fn overlay(&self, mut device: Device) -> Device {
        let groups = self.groups();
        for group in [&groups.leaving, &groups.gathering] {
            if let Some(quiet) = group.quiet.get(&device.id)
                && quiet.version == device.version
            {
                device.last_seen = device.last_seen.max(quiet.last_seen);
                device.stamps = quiet.stamps.clone();
                device.is_asleep = quiet.is_asleep;
                device.missed_listings = quiet.missed_listings;
            }
            if let Some(at) = group.seen.get(&device.id) {
                device.last_seen = device.last_seen.max(*at);
            }
        }
        device
    }

    /// When a device was last seen, if that is not stored yet.
    pub(crate) fn last_seen(&self, id: DeviceId) -> Option<Timestamp> {
        let groups = self.groups();
        let of = |group: &Group| {
            let quiet = group.quiet.get(&id).map(|quiet| quiet.last_seen);
            quiet.max(group.seen.get(&id).copied())
        };
        of(&groups.leaving).max(of(&groups.gathering))
    }

    /// The same of a device that is read to be served.
    pub(crate) fn overlay_text(&self, mut device: DeviceText) -> DeviceText {
        let groups = self.groups();
        for group in [&groups.leaving, &groups.gathering] {
            if let Some(quiet) = group.quiet.get(&device.id)
                && quiet.version == device.version
            {
                device.last_seen = device.last_seen.max(quiet.last_seen);
                device.updated = UpdatedBlocks(quiet.stamps.updated_blocks(device.kind));
            }
            if let Some(at) = group.seen.get(&device.id) {
                device.last_seen = device.last_seen.max(*at);
            }
        }
        device
    }
}

impl Engine {
    /// Writes what has gathered; returns the number of rows. After a failure the same is tried
    /// again with the next group.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn flush_presence(&self) -> EngineResult<usize> {
        let _flushing = self.presence.flushing.lock().await;
        // Without a right that holds, nothing would be written: it gathers on.
        if !self.ownership.is_valid() {
            return Ok(0);
        }
        let mut flush = {
            let mut groups = self.presence.groups();
            let mut group = std::mem::take(&mut groups.gathering);
            let ages = self.fleet.ages.take();
            group.ages.extend(ages.rows);
            group.breaches.extend(ages.breaches);
            group.counted_until = ages.counted_until.or(group.counted_until);
            groups.leaving = group;
            groups.leaving.as_flush()
        };
        flush.fences = self.ownership.fences();
        let rows = flush.devices.len() + flush.seen.len() + flush.schedules.len();
        let quiet = async {
            match flush.is_empty() {
                true => Ok(()),
                false => self.store.flush_presence(flush).await,
            }
        };
        // Side by side: the store commits them together.
        let (result, budgets) =
            futures::future::join(quiet, self.budgets.write_down(self.now())).await;
        let mut groups = self.presence.groups();
        let left = std::mem::take(&mut groups.leaving);
        if let Err(error) = result {
            // What gathered meanwhile is newer and wins.
            let newer = std::mem::replace(&mut groups.gathering, left);
            groups.gathering.absorb(newer);
            return Err(error.into());
        }
        drop(groups);
        let budgets = budgets
            .map_err(|error| EngineError::internal("budgets cannot be written down", error))?;
        Ok(rows + budgets)
    }
}

impl Group {
    fn as_flush(&self) -> PresenceFlush {
        PresenceFlush {
            devices: self.quiet.values().cloned().collect(),
            seen: self.seen.iter().map(|(id, at)| (*id, *at)).collect(),
            schedules: self
                .schedules
                .iter()
                .map(|(id, row)| (*id, row.clone()))
                .collect(),
            listed: self.listed.iter().map(|(id, at)| (*id, *at)).collect(),
            budgets: Vec::new(),
            ages: self.ages.clone(),
            breaches: self.breaches.clone(),
            counted_until: self.counted_until,
            fences: None,
        }
    }

    fn absorb(&mut self, newer: Self) {
        self.quiet.extend(newer.quiet);
        self.seen.extend(newer.seen);
        self.schedules.extend(newer.schedules);
        self.listed.extend(newer.listed);
        self.ages.extend(newer.ages);
        self.breaches.extend(newer.breaches);
        self.counted_until = newer.counted_until.or(self.counted_until);
    }
}

/// Budgets in the store.
#[derive(Debug)]
pub(crate) struct StoredBudgets {
    pub store: Arc<dyn Store>,
    pub ownership: Arc<Ownership>,
}

#[async_trait]
impl Ledger for StoredBudgets {
    async fn write(&self, rows: Vec<Spent>) -> Result<(), NotWritten> {
        let flush = PresenceFlush {
            fences: self.ownership.fences(),
            budgets: rows.into_iter().map(usage_of).collect(),
            ..PresenceFlush::default()
        };
        let written = self.store.flush_presence(flush).await;
        written.map_err(|error| NotWritten(Box::new(error)))
    }
}

fn usage_of(spent: Spent) -> BudgetUsage {
    BudgetUsage {
        key: spent.key,
        partition: spent.partition,
        window_start: spent.window_start,
        spent: spent.spent,
    }
}

/// What was spent, as the budgets take it.
pub(crate) fn spent_from(usage: Vec<BudgetUsage>) -> Vec<Spent> {
    usage
        .into_iter()
        .map(|row| Spent {
            key: row.key,
            partition: row.partition,
            window_start: row.window_start,
            spent: row.spent,
        })
        .collect()
}
