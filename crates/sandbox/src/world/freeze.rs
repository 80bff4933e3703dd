//! Offline and stale faults: devices freeze when one begins, and thaw when the last one ends.

use crate::{
    clock::Millis,
    faults::{Fault, FaultKind},
    world::{
        World,
        account::{Account, Device},
        link_garage, observe,
    },
};

impl World {
    /// Brings what clouds and histories show up to date with a change of faults.
    pub(crate) fn settle_faults(&mut self) {
        self.freezing = None;
        self.refresh_freezes();
        for account in self.accounts.values_mut() {
            observe::observe(account, self.tick, &mut self.outbox);
        }
    }

    /// Brings what clouds and histories show up to date with a change of one account.
    pub(crate) fn settle_account(&mut self, id: &str) {
        let now = self.now();
        let freezers = freezers(&self.faults, now);
        if let Some(account) = self.accounts.get_mut(id) {
            freeze_account(account, &freezers);
            link_garage(&account.vehicles, &mut account.wallboxes);
            observe::observe(account, self.tick, &mut self.outbox);
        }
    }

    /// Freezes and thaws as the time of faults comes and goes.
    pub(super) fn refresh_freezes(&mut self) {
        // Within a step the clock of a running world is already ahead of the physics.
        let now = if self.clock.is_manual() {
            self.now()
        } else {
            self.tick * 1000
        };
        let freezers = freezers(&self.faults, now.max(self.tick * 1000));
        let ids: Vec<String> = freezers.iter().map(|fault| fault.id.clone()).collect();
        if self.freezing.as_ref() == Some(&ids) {
            return;
        }
        self.freezing = Some(ids);
        for account in self.accounts.values_mut() {
            freeze_account(account, &freezers);
        }
    }
}

fn freezers(faults: &[Fault], now: Millis) -> Vec<&Fault> {
    faults
        .iter()
        .filter(|fault| matches!(fault.spec.kind, FaultKind::Offline | FaultKind::Stale))
        .filter(|fault| fault.is_active(now))
        .collect()
}

fn freeze_account(account: &mut Account, faults: &[&Fault]) {
    let (cloud, id, username) = (account.cloud, &account.id, &account.username);
    let mine: Vec<&Fault> = faults
        .iter()
        .copied()
        .filter(|f| f.covers_account(cloud, id, username))
        .collect();
    let struck = |ids: &[&str], kind: FaultKind| {
        mine.iter().any(|fault| {
            fault.spec.kind == kind
                && fault
                    .spec
                    .device
                    .as_deref()
                    .is_none_or(|id| ids.contains(&id))
        })
    };
    for device in &mut account.vehicles {
        let id = device.meta.id.clone();
        freeze(
            device,
            struck(&[&id], FaultKind::Offline),
            struck(&[&id], FaultKind::Stale),
            false,
        );
    }
    for device in &mut account.wallboxes {
        let id = device.meta.id.clone();
        freeze(
            device,
            struck(&[&id], FaultKind::Offline),
            struck(&[&id], FaultKind::Stale),
            false,
        );
    }
    for house in &mut account.households {
        let id = house.site.meta.id.clone();
        for part in &mut house.parts {
            part.offline = struck(&[&id, &part.id], FaultKind::Offline);
            part.stale = struck(&[&id, &part.id], FaultKind::Stale);
        }
        let (offline, stale) = (
            struck(&[&id], FaultKind::Offline),
            struck(&[&id], FaultKind::Stale),
        );
        let keep = house.parts.iter().any(|part| part.stale);
        freeze(&mut house.site, offline, stale, keep);
    }
}

/// `keep`: a part of the device is frozen, if not the whole.
fn freeze<S: Clone>(device: &mut Device<S>, offline: bool, stale: bool, keep: bool) {
    device.meta.offline = offline;
    device.meta.stale = stale;
    if !(offline || stale || keep) {
        device.frozen = None;
    } else if device.frozen.is_none() {
        device.frozen = Some(Box::new(device.live.clone()));
    }
}
