//! How HEM systems come, change and go: within the commits of what happens to their devices.

use std::collections::{BTreeMap, HashMap};

use livewatt_domain::{
    Timestamp,
    account::Account,
    device::{Device, VendorDevice},
    energy::{Flow, FlowSum},
    event::Event,
    hem::{
        Flows, HemSystem, NewHemSystem, SiteTold, VENDORS, View, flowed_since, is_part_of_systems,
        of_document,
    },
    id::{DeviceId, HemSystemId},
    kind::DeviceKind,
    production::Period,
};
use livewatt_store::{DeviceHistory, HemChange};

use crate::{Engine, EngineResult};

/// The HEM systems of an account while a message about its sites is taken.
#[derive(Debug, Default)]
pub(crate) struct Systems<'a> {
    /// Those there are.
    known: Vec<HemSystem>,
    /// What was told of which system, known or not.
    told: Vec<(HemSystemId, &'a SiteTold)>,
    devices: HashMap<&'a VendorDevice, HemSystemId>,
}

impl Systems<'_> {
    /// The system that a device is thereby part of.
    pub(crate) fn of(&self, device: &VendorDevice) -> Option<HemSystemId> {
        self.devices.get(device).copied()
    }
}

impl Engine {
    /// Begins to take what was told of sites. A site is a system if a device of it can be part of one
    /// and is linked, under a vendor of which there are systems.
    pub(crate) async fn begin_systems<'a>(
        &self,
        account: &Account,
        sites: &'a [SiteTold],
    ) -> EngineResult<Systems<'a>> {
        let mut systems = Systems {
            known: self.store.hem_systems_of_account(account.id).await?,
            ..Systems::default()
        };
        for site in sites {
            let is_member = |device: &&VendorDevice| {
                is_part_of_systems(device.kind) && vendor_of(account, device.kind).is_some()
            };
            let members: Vec<_> = site.devices.iter().filter(is_member).collect();
            if members.is_empty() {
                continue;
            }
            let known = systems.known.iter().find(|system| system.site == site.id);
            let id = match known {
                Some(system) => system.id,
                None => HemSystemId::new(self.now(), self.entropy.as_ref()),
            };
            systems.told.push((id, site));
            systems
                .devices
                .extend(members.into_iter().map(|device| (device, id)));
        }
        Ok(systems)
    }

    /// What becomes of the systems of an account by what its devices have become: those that are left,
    /// with their histories. `systems` is what was begun with; `None` if no site was told of. Events
    /// of new systems come first: devices refer to them.
    pub(crate) async fn settle_systems(
        &self,
        account: &Account,
        systems: Option<Systems<'_>>,
        devices: &[&Device],
        histories: &[DeviceHistory],
        events: &mut Vec<Event>,
    ) -> EngineResult<Vec<HemChange>> {
        let systems = match systems {
            Some(systems) => systems,
            None => self.begin_systems(account, &[]).await?,
        };
        let mut changes = Vec::new();
        for known in &systems.known {
            let members = members(devices, known.id);
            let from_version = known.version;
            if members.is_empty() {
                tracing::info!(hem_system.id = %known.id, "HEM system removed with its last device");
                events.push(self.event_maker(self.now()).hem_deleted(known));
                let id = known.id;
                changes.push(HemChange::Delete { id, from_version });
                continue;
            }
            let told = systems.told.iter().find(|(id, _)| *id == known.id);
            let told = told.map(|(_, told)| *told);
            let system = self
                .see_system(known, told, &members, histories, events)
                .await?;
            if system != *known {
                changes.push(HemChange::Update {
                    system,
                    from_version,
                });
            }
        }
        for (id, told) in &systems.told {
            let members = members(devices, *id);
            let is_known = systems.known.iter().any(|system| system.id == *id);
            if is_known || members.is_empty() {
                continue;
            }
            let Some(found) = self.discover_system(account, *id, told, &members) else {
                continue;
            };
            tracing::info!(hem_system.id = %id, account.id = %account.id, "HEM system discovered");
            let maker = self.event_maker(self.now());
            events.insert(0, maker.hem_discovered(&found));
            let system = self
                .see_system(&found, Some(told), &members, histories, events)
                .await?;
            changes.push(HemChange::Insert(system));
        }
        Ok(changes)
    }

    fn discover_system(
        &self,
        account: &Account,
        id: HemSystemId,
        told: &SiteTold,
        members: &[&Device],
    ) -> Option<HemSystem> {
        let vendor = members.first()?.vendor.clone();
        let brand = self
            .vendors
            .get(&account.integration)
            .and_then(|v| v.manifest().brand(vendor.as_str()).cloned());
        let new = NewHemSystem {
            id,
            client_id: account.client_id,
            user_id: account.user_id.clone(),
            account_id: account.id,
            brand: brand.map_or_else(|| vendor.to_string(), |brand| brand.display_name),
            vendor,
            found_at: self.now(),
        };
        Some(HemSystem::discover(new, told, members))
    }

    /// What a system becomes, with its event if it is worth one.
    async fn see_system(
        &self,
        system: &HemSystem,
        told: Option<&SiteTold>,
        members: &[&Device],
        histories: &[DeviceHistory],
        events: &mut Vec<Event>,
    ) -> EngineResult<HemSystem> {
        let now = self.now();
        let today = match told {
            Some(told) => Some(self.today(system, told, members, histories).await?),
            None => None,
        };
        let view = View {
            told,
            members,
            today,
            now,
        };
        let (system, updated_fields) = system.seen(&view);
        if !updated_fields.is_empty() {
            let maker = self.event_maker(now);
            events.push(maker.hem_updated(&system, &updated_fields));
        }
        Ok(system)
    }

    /// What flowed since local midnight, and until when: by the vendor's word where it gives it, else
    /// by what its devices told.
    async fn today(
        &self,
        system: &HemSystem,
        told: &SiteTold,
        members: &[&Device],
        histories: &[DeviceHistory],
    ) -> EngineResult<(Flows, Timestamp)> {
        let now = self.now();
        let zone = told.zone.clone().unwrap_or_else(|| system.zone());
        let midnight = Period::day_at(now, &zone).begin(&zone);
        let of_vendor = match told.at >= midnight {
            true => told.today,
            false => Flows::default(),
        };
        let ids = members.iter().map(|device| device.id).collect();
        let stored = self.store.quarters(ids, midnight, now).await?;
        let mut sums: BTreeMap<(DeviceId, Flow), BTreeMap<Timestamp, FlowSum>> = BTreeMap::new();
        for quarter in stored {
            let of = sums.entry((quarter.device_id, quarter.flow)).or_default();
            of.insert(quarter.start, quarter.sum);
        }
        // What is only just becoming known is not stored yet.
        for history in histories {
            for bucket in &history.change.buckets {
                let of = sums.entry((history.device_id, bucket.flow)).or_default();
                of.insert(bucket.start, bucket.sum);
            }
        }
        let flowed = |kind: DeviceKind, flow: Flow| {
            let of_kind = members.iter().filter(|device| device.kind() == kind);
            let each = of_kind.map(|device| {
                let quarters = sums.get(&(device.id, flow))?;
                flowed_since(midnight, now, quarters)
            });
            // None of a kind that is not there: that is not known to be zero.
            each.reduce(|one, other| Some(one? + other?)).flatten()
        };
        let mut flows = Flows {
            generation: (of_vendor.generation)
                .or_else(|| flowed(DeviceKind::Inverter, Flow::Given)),
            charge: (of_vendor.charge).or_else(|| flowed(DeviceKind::Battery, Flow::Taken)),
            discharge: (of_vendor.discharge).or_else(|| flowed(DeviceKind::Battery, Flow::Given)),
            import: (of_vendor.import).or_else(|| flowed(DeviceKind::Meter, Flow::Taken)),
            export: (of_vendor.export).or_else(|| flowed(DeviceKind::Meter, Flow::Given)),
            consumption: of_vendor.consumption,
        };
        let has = |kind| told.devices.iter().any(|device| device.kind == kind);
        flows.consumption = flows
            .consumption
            .or_else(|| flows.balance(has(DeviceKind::Inverter), has(DeviceKind::Battery)));
        Ok((flows.rounded(), told.at.min(now)))
    }
}

/// The name under which systems of an account are shown by its devices of a kind.
fn vendor_of(account: &Account, kind: DeviceKind) -> Option<&str> {
    let vendor = account.vendor_of(kind)?.as_str();
    VENDORS.contains(&vendor).then_some(vendor)
}

/// The devices of a system, inverters first.
fn members<'d>(devices: &[&'d Device], system: HemSystemId) -> Vec<&'d Device> {
    let is_of = |device: &&&Device| of_document(&device.document) == Some(system);
    let mut members: Vec<_> = devices.iter().filter(is_of).copied().collect();
    members.sort_by_key(|device| (device.kind(), device.id));
    members
}
