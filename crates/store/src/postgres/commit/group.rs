//! Which units share a transaction: those that have nothing to do with each other.
//!
//! A transaction writes each table once, so no row may be named by two of its units. A unit that
//! names what one before it does waits for the next group, and so does whatever comes after it and
//! names the same: the order of what happens to a row is kept.

use std::{
    collections::{HashSet, VecDeque},
    mem,
};

use uuid::Uuid;

use super::Pending;
use crate::{
    actions::ActionChange,
    hem::HemChange,
    schedules::ScheduleChange,
    types::{AccountChange, DeviceChange, UnitOfWork},
};

/// Most units in one transaction.
const MAX_UNITS: usize = 512;
/// Most rows, so that those who wait need not wait for long.
const MAX_ROWS: usize = 4_096;

/// What units name.
#[derive(Debug, Default)]
struct Named {
    written: HashSet<Uuid>,
    /// Accounts that devices are added to, or stay in.
    used: HashSet<Uuid>,
}

impl Named {
    /// Adds what a unit names; returns whether any of it was named before by one that writes it, or
    /// is written by this one and was named before.
    fn add(&mut self, unit: &UnitOfWork) -> bool {
        let mut is_shared = false;
        for id in used(unit) {
            is_shared |= self.written.contains(&id);
        }
        let written: Vec<_> = written(unit).collect();
        for id in &written {
            is_shared |= self.used.contains(id) || self.written.contains(id);
        }
        self.written.extend(written);
        self.used.extend(used(unit));
        is_shared
    }
}

fn written(unit: &UnitOfWork) -> impl Iterator<Item = Uuid> {
    let accounts = unit.accounts.iter().map(|change| match change {
        AccountChange::Save { account, .. } => account.id.0,
        AccountChange::Delete(id) => id.0,
    });
    let devices = unit.devices.iter().map(|change| match change {
        DeviceChange::Insert(device) | DeviceChange::Update { device, .. } => device.id.0,
        DeviceChange::Delete { id, .. } => id.0,
    });
    // Two actions of one device are not written side by side: only one of them can be pending.
    let actions = unit.actions.iter().map(ActionChange::action);
    let actions = actions.flat_map(|action| [action.id.0, action.device_id.0]);
    // Nor two schedules: only one of them can be enabled.
    let schedules = unit.schedules.iter().map(ScheduleChange::schedule);
    let schedules = schedules.flat_map(|schedule| [schedule.id.0, schedule.target_id.0]);
    let session = unit.link_session.iter().map(|(id, _)| id.0);
    let histories = unit.histories.iter().map(|history| history.device_id.0);
    let productions = unit.productions.iter().map(|visit| visit.device_id.0);
    let smart = unit.smart.iter().map(|change| change.device_id.0);
    let devices = devices.chain(histories).chain(productions).chain(smart);
    let systems = unit.hem_systems.iter().map(|change| match change {
        HemChange::Insert(system) | HemChange::Update { system, .. } => system.id.0,
        HemChange::Delete { id, .. } => id.0,
    });
    let records = unit.hem_records.iter().map(|record| record.system_id.0);
    let systems = systems.chain(records);
    let rows = accounts.chain(devices).chain(actions).chain(systems);
    rows.chain(schedules).chain(session)
}

fn used(unit: &UnitOfWork) -> impl Iterator<Item = Uuid> {
    let devices = unit.devices.iter().filter_map(|change| match change {
        DeviceChange::Insert(device) | DeviceChange::Update { device, .. } => {
            Some(device.account_id.0)
        }
        DeviceChange::Delete { .. } => None,
    });
    let systems = unit.hem_systems.iter().filter_map(|change| match change {
        HemChange::Insert(system) | HemChange::Update { system, .. } => Some(system.account_id.0),
        HemChange::Delete { .. } => None,
    });
    devices.chain(systems)
}

/// Takes the next group; never an empty one if anything waits.
pub(super) fn take_group(waiting: &mut VecDeque<Pending>) -> Vec<Pending> {
    let mut named = Named::default();
    let (mut group, mut rest) = (Vec::new(), VecDeque::new());
    let mut rows = 0;
    for pending in mem::take(waiting) {
        let unit = &pending.unit;
        let size = unit.accounts.len()
            + unit.devices.len()
            + unit.actions.len()
            + unit.schedules.len()
            + unit.smart.len()
            + unit.events.len()
            + unit.hem_systems.len()
            + unit.hem_records.len()
            + unit.histories.len()
            + unit.productions.len();
        let is_full = group.len() >= MAX_UNITS || (rows + size > MAX_ROWS && !group.is_empty());
        if is_full {
            // Nothing behind it may overtake it.
            rows = usize::MAX / 2;
        }
        if is_full || named.add(unit) {
            rest.push_back(pending);
        } else {
            rows += size;
            group.push(pending);
        }
    }
    *waiting = rest;
    group
}
