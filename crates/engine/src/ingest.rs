//! From observations to a committed change: the only place that writes device state.
//!
//! Under the account's commit lock: read the devices, merge, and commit rows and events in one
//! transaction. What changed nothing worth an event is left to [`crate::presence`].

use std::collections::{HashMap, HashSet};

use livewatt_domain::{
    account::{Account, AccountStatus},
    action::Withdrawn,
    device::{Device, NewDevice, VendorDevice, Via},
    event::Event,
    fact::{Completeness, Observation},
    hem::{self, SiteTold},
    id::{AccountId, ClientId, DeviceId},
    kind::DeviceKind,
    merge::{Merged, Part, Surroundings, discover, merge_among, regrant, set_reachable},
    stay::{Standing, stay_of},
};
use livewatt_store::{
    ActionChange, DeviceChange, DeviceHistory, PendingOf, ProductionVisit, StoreError, UnitOfWork,
    Wake,
};
use livewatt_vendors::{DeviceTrouble, Inventory};

use crate::{
    Engine, EngineError, EngineResult,
    actions::update,
    cluster::Letter,
    energy::{Samples, note_stay},
    hem::Systems,
};

/// Complete listings in a row that must lack a device before it counts as removed.
const LISTINGS_TO_DELETE: u8 = 2;

/// What a vendor's message, or its silence, says about an account.
#[derive(Debug, Default)]
pub(crate) struct Intake<'a> {
    /// What was said about devices.
    pub observations: &'a [Observation],
    /// Which devices there are.
    pub inventory: Option<&'a Inventory>,
    /// What was said of sites.
    pub sites: &'a [SiteTold],
    /// Devices that did not answer well.
    pub troubled: &'a [(VendorDevice, DeviceTrouble)],
    /// The vendor could not be asked: no live data of any device.
    pub is_unreachable: bool,
}

/// A device while its changes gather.
struct Draft {
    device: Device,
    /// Version it was read at; `None` if it is new.
    from_version: Option<u64>,
    /// Where it stood when it was read; `None` likewise.
    stood: Option<Standing>,
    is_quiet_moved: bool,
    is_deleted: bool,
}

/// An account's devices while their changes gather, found by their vendor's names: a message may be
/// about a thousand of them.
#[derive(Default)]
struct Drafts {
    list: Vec<Draft>,
    places: HashMap<VendorDevice, usize>,
}

impl Drafts {
    fn find(&mut self, vendor_device: &VendorDevice) -> Option<&mut Draft> {
        let place = self.places.get(vendor_device)?;
        self.list.get_mut(*place)
    }

    fn add(&mut self, device: Device, from_version: Option<u64>) {
        let name = device.vendor_device.clone();
        self.places.insert(name, self.list.len());
        let stood = from_version.map(|_| Standing::of(&device));
        self.list.push(Draft {
            device,
            from_version,
            stood,
            is_quiet_moved: false,
            is_deleted: false,
        });
    }

    /// Those that are not deleted.
    fn kept(&mut self) -> impl Iterator<Item = &mut Draft> {
        self.list.iter_mut().filter(|draft| !draft.is_deleted)
    }
}

impl Engine {
    /// Merges and commits; returns the account's devices as they are now, or `None` if the account
    /// is gone or not active, in which case nothing is written.
    pub(crate) async fn ingest(
        &self,
        account: AccountId,
        intake: Intake<'_>,
    ) -> EngineResult<Option<Vec<Device>>> {
        let _guard = self.fleet.lock_for_commit(account).await;
        // The lock makes conflicts impossible on one node; elsewhere, reading again settles them.
        for _ in 0..3 {
            match self.try_ingest(account, &intake).await {
                Err(error) if error.is_conflict() => {}
                result => return result,
            }
        }
        Err(EngineError::internal(
            "a device changed again and again",
            StoreError::Conflict,
        ))
    }

    async fn try_ingest(
        &self,
        id: AccountId,
        intake: &Intake<'_>,
    ) -> EngineResult<Option<Vec<Device>>> {
        let (account, devices) = match self.store.account_with_devices(id).await? {
            Some((account, devices)) if account.status == AccountStatus::Active => {
                (account, devices)
            }
            _ => return Ok(None),
        };
        let mut drafts = Drafts::default();
        for device in devices {
            let device = self.presence.overlay(device);
            let version = device.version;
            drafts.add(device, Some(version));
        }
        let mut events = Vec::new();
        let mut samples = Samples::default();
        let systems = match intake.sites.is_empty() {
            true => None,
            false => Some(self.begin_systems(&account, intake.sites).await?),
        };
        if !intake.observations.is_empty() {
            let places = self.places_of(account.client_id, &account.user_id).await?;
            for observation in intake.observations {
                let surroundings = Surroundings {
                    places: Some(&places),
                    hem_system: systems
                        .as_ref()
                        .and_then(|systems: &Systems<'_>| systems.of(&observation.device)),
                    granted: Some(&account.scopes),
                };
                self.take_observation(
                    &account,
                    observation,
                    surroundings,
                    &mut drafts,
                    &mut samples,
                    &mut events,
                );
            }
        }
        self.take_inventory(&account, intake, &mut drafts, &mut events);
        // What was not heard of may have been granted more, or lost its login, before it is.
        for draft in drafts.kept() {
            self.adopt(draft, regrant(&draft.device, &account.scopes), &mut events);
        }
        for (vendor_device, trouble) in intake.troubled {
            if let Some(draft) = drafts.find(vendor_device) {
                if *trouble == DeviceTrouble::Gone {
                    draft.device.missed_listings = draft.device.missed_listings.max(1);
                    draft.is_quiet_moved = true;
                }
                self.adopt(draft, set_reachable(&draft.device, false), &mut events);
            }
        }
        if intake.is_unreachable {
            for draft in drafts.kept() {
                self.adopt(draft, set_reachable(&draft.device, false), &mut events);
            }
        }
        for draft in drafts.list.iter().filter(|draft| draft.is_deleted) {
            samples.forget(draft.device.id);
        }
        let actions = self.hold_against(id, &drafts, &mut events).await?;
        let mut histories = self.histories(samples).await?;
        let now = self.now();
        for draft in &drafts.list {
            let of_device = |history: &&DeviceHistory| history.device_id == draft.device.id;
            let restated: Vec<_> = histories
                .iter()
                .filter(of_device)
                .flat_map(|history| &history.change.buckets)
                .filter(|bucket| bucket.restated.is_some())
                .copied()
                .collect();
            if !restated.is_empty() {
                let maker = self.event_maker(now);
                events.push(maker.energy_restated(&draft.device, &restated));
            }
        }
        for draft in drafts.kept() {
            if let Some(stay) = stay_of(draft.stood, &draft.device, now) {
                note_stay(&mut histories, draft.device.id, stay);
            }
        }
        let is_part_changed = |draft: &Draft| {
            let is_changed = draft.is_deleted || draft.from_version != Some(draft.device.version);
            is_changed && hem::of_document(&draft.device.document).is_some()
        };
        let hem_changes = if systems.is_some() || drafts.list.iter().any(is_part_changed) {
            let kept = drafts.list.iter().filter(|draft| !draft.is_deleted);
            let kept: Vec<&Device> = kept.map(|draft| &draft.device).collect();
            self.settle_systems(&account, systems, &kept, &histories, &mut events)
                .await?
        } else {
            Vec::new()
        };
        let acted: Vec<DeviceId> = actions
            .iter()
            .map(|change| change.action().device_id)
            .collect();
        let mut unit = UnitOfWork::new(Some(self.own_fence(id)?));
        unit.events = events;
        unit.actions = actions;
        unit.histories = histories;
        unit.hem_systems = hem_changes;
        self.commit_drafts(&account, &drafts.list, unit).await?;
        for device in acted {
            self.see_to(id, device);
        }
        let is_moved = |draft: &&Draft| draft.from_version != Some(draft.device.version);
        for draft in drafts.list.iter().filter(is_moved) {
            self.schedules.remind(id, draft.device.id, now);
            self.smart.remind(id, draft.device.id, now);
        }
        let remaining = drafts.list.into_iter().filter(|draft| !draft.is_deleted);
        Ok(Some(remaining.map(|draft| draft.device).collect()))
    }

    fn take_observation(
        &self,
        account: &Account,
        observation: &Observation,
        surroundings: Surroundings<'_>,
        drafts: &mut Drafts,
        samples: &mut Samples,
        events: &mut Vec<Event>,
    ) {
        if observation.rejected > 0 {
            metrics::counter!("livewatt_facts_rejected_total", "integration" => account.integration.clone())
                .increment(u64::from(observation.rejected));
        }
        if drafts.find(&observation.device).is_none() {
            self.discover(account, observation, drafts, events);
        }
        let Some(draft) = drafts.find(&observation.device) else {
            return;
        };
        samples.take(&draft.device, observation);
        let merged = merge_among(&draft.device, observation, Part::Everything, surroundings);
        metrics::counter!("livewatt_facts_older_total", "integration" => account.integration.clone())
            .increment(u64::from(merged.older));
        self.adopt(draft, merged, events);
    }

    /// Adds a device seen for the first time, unless its kind is not linked.
    fn discover(
        &self,
        account: &Account,
        observation: &Observation,
        drafts: &mut Drafts,
        events: &mut Vec<Event>,
    ) {
        let Some(vendor) = account.vendor_of(observation.device.kind).cloned() else {
            return;
        };
        let brand = self
            .vendors
            .get(&account.integration)
            .and_then(|v| v.manifest().brand(vendor.as_str()).cloned());
        let now = self.now();
        let new = NewDevice {
            id: DeviceId::new(now, self.entropy.as_ref()),
            client_id: account.client_id,
            user_id: account.user_id.clone(),
            account_id: account.id,
            vendor_device: observation.device.clone(),
            brand: brand.map_or_else(|| vendor.to_string(), |brand| brand.display_name),
            vendor,
            scopes: account.scopes.clone(),
            found_at: now,
        };
        let device = discover(new, observation);
        tracing::info!(
            device.id = %device.id, account.id = %account.id, kind = %device.kind(),
            "device discovered"
        );
        events.push(self.event_maker(now).discovered(&device));
        drafts.add(device, None);
    }

    fn take_inventory(
        &self,
        account: &Account,
        intake: &Intake<'_>,
        drafts: &mut Drafts,
        events: &mut Vec<Event>,
    ) {
        let (listed, is_complete) = match intake.inventory {
            None => return,
            Some(Inventory::Complete(listed)) => (listed, true),
            Some(Inventory::Partial(listed)) => (listed, false),
        };
        let now = self.now();
        for vendor_device in listed {
            match drafts.find(vendor_device) {
                Some(draft) if draft.device.missed_listings > 0 => {
                    draft.device.missed_listings = 0;
                    draft.is_quiet_moved = true;
                }
                Some(_) => {}
                None => {
                    // Listed but not read yet: it is there all the same.
                    let silent = Observation::new(
                        vendor_device.clone(),
                        Completeness::Partial,
                        Via::Poll,
                        now,
                        now,
                    );
                    self.discover(account, &silent, drafts, events);
                }
            }
        }
        if !is_complete {
            return;
        }
        let listed: HashSet<&VendorDevice> = listed.iter().collect();
        for draft in &mut drafts.list {
            if listed.contains(&draft.device.vendor_device) {
                continue;
            }
            draft.device.missed_listings = draft.device.missed_listings.saturating_add(1);
            draft.is_quiet_moved = true;
            if draft.device.missed_listings >= LISTINGS_TO_DELETE {
                tracing::info!(device.id = %draft.device.id, "device removed at its vendor");
                draft.is_deleted = true;
                events.push(self.event_maker(now).deleted(&draft.device));
            }
        }
    }

    /// Takes over the outcome of a merge, with its event if it is worth one.
    fn adopt(&self, draft: &mut Draft, merged: Merged, events: &mut Vec<Event>) {
        if merged.updated_fields.is_empty() {
            draft.is_quiet_moved |= merged.device != draft.device;
        } else {
            let now = self.now();
            events.push(
                self.event_maker(now)
                    .updated(&merged.device, &merged.updated_fields),
            );
        }
        draft.device = merged.device;
    }

    /// What the pending actions of an account become by how its devices are now.
    async fn hold_against(
        &self,
        account: AccountId,
        drafts: &Drafts,
        events: &mut Vec<Event>,
    ) -> EngineResult<Vec<ActionChange>> {
        let is_any_gone = drafts.list.iter().any(|draft| draft.is_deleted);
        if !is_any_gone && !self.actions.concern(account) {
            return Ok(Vec::new());
        }
        let now = self.now();
        let mut changes = Vec::new();
        let pending = PendingOf::Account(account);
        for stored in self.store.pending_actions(pending).await? {
            let mut action = stored.action.clone();
            let is_its = |draft: &&Draft| draft.device.id == action.device_id;
            let has_ended = match drafts.list.iter().find(is_its) {
                Some(draft) if draft.is_deleted => {
                    action.cancel(Withdrawn::DeviceGone, now).is_ok()
                }
                Some(draft) => action.observed(&draft.device, now),
                None => false,
            };
            if has_ended {
                let maker = self.event_maker(now);
                events.extend(maker.action_updated(&action, Some(&stored.action)));
                changes.push(update(&stored, action));
            }
        }
        Ok(changes)
    }

    async fn commit_drafts(
        &self,
        account: &Account,
        drafts: &[Draft],
        mut unit: UnitOfWork,
    ) -> EngineResult<()> {
        for draft in drafts {
            let device = &draft.device;
            match draft.from_version {
                None if draft.is_deleted => {}
                None => {
                    if device.kind() == DeviceKind::Inverter {
                        unit.productions.push(ProductionVisit {
                            device_id: device.id,
                            told: None,
                            next_at: self.now(),
                            failures: 0,
                        });
                    }
                    unit.devices.push(DeviceChange::Insert(device.clone()));
                }
                Some(from_version) if draft.is_deleted => {
                    unit.devices.push(DeviceChange::Delete {
                        id: device.id,
                        from_version,
                        at: self.now(),
                    });
                }
                Some(from_version) if from_version != device.version => {
                    let device = device.clone();
                    unit.devices.push(DeviceChange::Update {
                        device,
                        from_version,
                    });
                }
                Some(_) => {}
            }
        }
        self.commit(account.client_id, unit).await?;
        for draft in drafts {
            let is_written = draft.from_version != Some(draft.device.version) || draft.is_deleted;
            if is_written {
                self.presence.forget(draft.device.id);
            } else if draft.is_quiet_moved {
                self.presence.note_device(&draft.device);
            }
        }
        Ok(())
    }

    /// Commits a unit of work and tells those who wait for events. An empty unit costs nothing.
    pub(crate) async fn commit(&self, client: ClientId, unit: UnitOfWork) -> EngineResult<()> {
        if unit.is_empty() {
            return Ok(());
        }
        let events = unit.events.len() as u64;
        let letter = unit.letter.as_ref().map(|letter| letter.partition);
        self.store.commit(unit).await?;
        if events > 0 {
            metrics::counter!("livewatt_events_total").increment(events);
            self.announce(client);
        }
        if let Some(partition) = letter {
            self.tell(Wake::Letter(partition));
        }
        Ok(())
    }

    /// A unit of work about an account, on whatever node: the owner's, or one that tells the owner.
    pub(crate) fn unit_about(&self, account: AccountId, news: &Letter) -> EngineResult<UnitOfWork> {
        let mut unit = UnitOfWork::new(self.ownership.fence(account.partition()));
        if unit.fence.is_none() {
            unit.letter = Some(news.seal()?);
        }
        Ok(unit)
    }

    /// The devices of an account as they are now.
    pub(crate) async fn devices_of(&self, account: AccountId) -> EngineResult<Vec<Device>> {
        let stored = self.store.devices_of_account(account).await?;
        Ok(stored
            .into_iter()
            .map(|device| self.presence.overlay(device))
            .collect())
    }
}
