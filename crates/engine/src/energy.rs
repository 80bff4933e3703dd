//! Energy: from observations to the history of devices, within the commit that they lead to.
//!
//! Histories are written under the account's commit lock, by the owner of the account alone; what
//! is needed to go on is read from the store each time, so nothing is lost with a server.

use std::collections::BTreeMap;

use livewatt_domain::{
    SignedDuration, Timestamp,
    cadence::Activity,
    device::{Device, Via, charger, vehicle},
    energy::{PowerState, Sample, samples_of},
    fact::Observation,
    history::{HistoryChange, Piece, absorb},
    id::{ChargingSessionId, DeviceId},
    kind::DeviceKind,
    stay::Stay,
};
use livewatt_store::DeviceHistory;

use crate::{Engine, EngineResult, fleet::DeviceSlot};

/// A device whose power flows is looked at anew so often, though it says what it said before: what
/// it says holds for a quarter of an hour, and the next fetch must come before that is over.
const CONFIRMATION: SignedDuration = SignedDuration::from_mins(10);

/// A device that is fetched less often than this is looked at anew at every fetch.
const RARELY: SignedDuration = SignedDuration::from_mins(5);

/// Samples of devices that gather until they are committed.
#[derive(Debug, Default)]
pub(crate) struct Samples(BTreeMap<DeviceId, (DeviceKind, Vec<Sample>)>);

impl Samples {
    /// Leaves out those of a device that is gone.
    pub(crate) fn forget(&mut self, device: DeviceId) {
        self.0.remove(&device);
    }

    /// Takes those of an observation about a device, which is as it was before.
    pub(crate) fn take(&mut self, device: &Device, seen: &Observation) {
        let mut samples = samples_of(seen);
        if let Some(first) = samples.iter().find(|sample| sample.is_active())
            && seen.via == Via::Poll
        {
            samples.extend(rest_before(device, first.at));
        }
        if !samples.is_empty() {
            let gathered = self
                .0
                .entry(device.id)
                .or_insert((device.kind(), Vec::new()));
            gathered.1.extend(samples);
        }
    }
}

/// The last moment at which a device was confirmed to rest: equal answers leave no samples, and what
/// began since did so after that. Vendors that give the moment of each change need no such help.
fn rest_before(device: &Device, at: Timestamp) -> Option<Sample> {
    let document = &device.document;
    let state = match device.kind() {
        DeviceKind::Vehicle => vehicle::POWER_DELIVERY_STATE.field(),
        DeviceKind::Charger => charger::POWER_DELIVERY_STATE.field(),
        _ => return None,
    };
    let stamp = device.stamps.get(state)?;
    let word = document.path(state.path())?.as_str()?;
    let rests = match word {
        "UNPLUGGED" => PowerState::Unplugged,
        "PLUGGED_IN:STOPPED" | "PLUGGED_IN:INITIALIZING" | "PLUGGED_IN:NO_POWER" => {
            PowerState::Idle
        }
        "PLUGGED_IN:COMPLETE" => PowerState::Full,
        _ => return None,
    };
    if stamp.observed_at.is_some() || device.last_seen >= at {
        return None;
    }
    Some(Sample {
        state: Some(rests),
        level: document.get(vehicle::BATTERY_LEVEL),
        capacity: document.get(vehicle::BATTERY_CAPACITY),
        ..Sample::at(device.last_seen)
    })
}

/// Adds to the histories that a device is elsewhere than it was.
pub(crate) fn note_stay(histories: &mut Vec<DeviceHistory>, device_id: DeviceId, stay: Stay) {
    match histories
        .iter_mut()
        .find(|history| history.device_id == device_id)
    {
        Some(history) => history.change.stay = Some(stay),
        None => histories.push(DeviceHistory {
            device_id,
            change: HistoryChange::of_stay(stay),
        }),
    }
}

/// Whether a device that says what it said when it was last looked at is to be looked at anew.
pub(crate) fn is_confirmation_due(slot: &DeviceSlot, now: Timestamp) -> bool {
    let window = |at: Timestamp| at.as_second().div_euclid(CONFIRMATION.as_secs());
    let confirmed = slot.confirmed_at.map(Timestamp::from);
    slot.activity == Activity::Active
        && (slot.interval() > RARELY
            || confirmed.is_none_or(|confirmed| window(confirmed) != window(now)))
}

impl Engine {
    /// What samples change in the histories of their devices. What is older than samples are kept
    /// is left out: there is nothing any more that it could be added to.
    pub(crate) async fn histories(&self, samples: Samples) -> EngineResult<Vec<DeviceHistory>> {
        let oldest = self
            .now()
            .saturating_sub(self.options.sample_retention)
            .and_then(|at| at.saturating_add(SignedDuration::from_hours(24)))
            .unwrap_or(Timestamp::UNIX_EPOCH);
        let mut histories = Vec::new();
        for (device_id, (kind, mut samples)) in samples.0 {
            samples.retain(|sample| sample.at >= oldest);
            samples.sort_by_key(|sample| sample.at);
            let Some(first) = samples.first() else {
                continue;
            };
            let change = self.absorb(device_id, kind, first.at, &samples).await?;
            if !change.is_empty() {
                histories.push(DeviceHistory { device_id, change });
            }
        }
        Ok(histories)
    }

    async fn absorb(
        &self,
        device: DeviceId,
        kind: DeviceKind,
        first: Timestamp,
        samples: &[Sample],
    ) -> EngineResult<HistoryChange> {
        let mut mint = |at| ChargingSessionId::new(at, self.entropy.as_ref());
        let mut from = Piece::first_reach(first);
        loop {
            let piece = self.store.history_piece(device, from).await?;
            match absorb(kind, &piece, samples, &mut mint) {
                Ok(change) => return Ok(change),
                Err(farther) => from = farther,
            }
        }
    }
}
