//! Making accounts and devices, and taking them away.

use crate::{
    ControlError,
    clouds::{Cloud, rivoli::quota::AccountQuota, volta},
    control::types::{AccountInfo, AccountSpec, DeviceInfo, DeviceKind},
    random::fork,
    world::{
        Locator, World,
        account::{Account, Device, Household, Meta, PartKind, Remote, Stats},
        log::Log,
        site::{Present, Site},
        town::{self, TOWNS},
        vehicle::Vehicle,
        wallbox::Wallbox,
    },
};

/// The most devices of one kind made at once.
const MOST: u32 = 50;

const VOLTA_NAMES: [&str; 6] = ["Luna", "Nova", "Stella", "Vega", "Lyra", "Mira"];
const RIVOLI_NAMES: [&str; 6] = ["Rosso", "Verde", "Azzurra", "Bianca", "Nero", "Viola"];

impl World {
    pub(crate) fn create_account(
        &mut self,
        cloud: Cloud,
        spec: AccountSpec,
    ) -> Result<AccountInfo, ControlError> {
        let town = match spec.town.as_deref() {
            None => None,
            Some(name) => {
                Some(town::find(name).ok_or_else(|| ControlError::invalid("unknown town"))?)
            }
        };
        let counts = [spec.vehicles, spec.wallboxes, spec.sites];
        if counts.into_iter().flatten().any(|count| count > MOST) {
            return Err(ControlError::invalid(format!("at most {MOST} of a kind")));
        }
        if let Some(name) = &spec.username
            && self.find_account(cloud, name).is_some()
        {
            return Err(ControlError::conflict("username is taken"));
        }

        let number = self.number(cloud.account_series());
        let id = format!("{}_{number:06}", cloud.account_series());
        let seed = fork(fork(self.seed, cloud as u64), number);
        let account = Account {
            id: id.clone(),
            cloud,
            username: spec
                .username
                .unwrap_or_else(|| format!("user{number}@{cloud}.example")),
            password: spec.password.unwrap_or_else(|| format!("pw-{number}")),
            town: town.unwrap_or((number as usize - 1) % TOWNS.len()),
            habits: spec.habits.unwrap_or(true),
            seed,
            vehicles: Vec::new(),
            wallboxes: Vec::new(),
            households: Vec::new(),
            shown: volta::view::Shown::default(),
            subscriptions: Vec::new(),
            forbids_commands: false,
            quota: AccountQuota::default(),
            stats: Stats::default(),
        };
        self.accounts.insert(id.clone(), account);
        for (kind, count) in [
            (DeviceKind::Vehicle, spec.vehicles),
            (DeviceKind::Wallbox, spec.wallboxes),
            (DeviceKind::Site, spec.sites),
        ] {
            if cloud.sells(kind) {
                for _ in 0..count.unwrap_or(1) {
                    self.make_device(&id, kind);
                }
            }
        }
        self.settle_account(&id);
        self.account_info(&id)
    }

    pub(crate) fn account_info(&self, id: &str) -> Result<AccountInfo, ControlError> {
        let account = self
            .accounts
            .get(id)
            .ok_or(ControlError::NotFound("account"))?;
        let device = |(kind, meta): (&'static str, &Meta)| DeviceInfo {
            id: meta.id.clone(),
            kind: kind.into(),
            name: meta.name.clone(),
        };
        Ok(AccountInfo {
            id: account.id.clone(),
            cloud: account.cloud,
            username: account.username.clone(),
            password: account.password.clone(),
            devices: account
                .metas()
                .filter(|(_, meta)| meta.is_present())
                .map(device)
                .collect(),
            sites: account
                .households
                .iter()
                .filter(|house| house.site.meta.is_present())
                .map(|house| house.site.meta.id.clone())
                .collect(),
        })
    }

    pub(crate) fn delete_account(&mut self, id: &str) {
        self.tokens.revoke_account(id);
        self.outbox.forget(id);
        self.index.retain(|_, (account, _)| account != id);
        self.accounts.remove(id);
    }

    /// Adds what the kind means: a vehicle, a wallbox, or the five devices of a site.
    pub(crate) fn add_device(
        &mut self,
        account: &str,
        kind: DeviceKind,
    ) -> Result<Vec<DeviceInfo>, ControlError> {
        let before = self.account_info(account)?;
        if !self.accounts[account].cloud.sells(kind) {
            return Err(ControlError::invalid("this cloud has no such devices"));
        }
        self.make_device(account, kind);
        self.settle_account(account);
        let mut devices = self.account_info(account)?.devices;
        devices.retain(|device| before.devices.iter().all(|old| old.id != device.id));
        Ok(devices)
    }

    pub(crate) fn remove_device(&mut self, device: &str) -> Result<(), ControlError> {
        let tick = self.tick;
        let (account, locator) = self
            .locate(device)
            .ok_or(ControlError::NotFound("device"))?;
        let owner = account.id.clone();
        let meta = match locator {
            Locator::Vehicle(index) => &mut account.vehicles[index].meta,
            Locator::Wallbox(index) => &mut account.wallboxes[index].meta,
            Locator::Part(index, part) => &mut account.households[index].parts[part as usize],
        };
        if !meta.is_present() {
            return Err(ControlError::NotFound("device"));
        }
        meta.removed_at = Some(tick);
        if let Locator::Part(index, _) = locator {
            let house = &mut account.households[index];
            if house.parts.iter().all(|part| !part.is_present()) {
                house.site.meta.removed_at = Some(tick);
            }
        }
        self.settle_account(&owner);
        Ok(())
    }

    fn make_device(&mut self, account: &str, kind: DeviceKind) {
        let locals = self.wall.read(self.tick);
        let cloud = self.accounts[account].cloud;
        let tick = self.tick;
        let number = self.number(match (cloud, kind) {
            (Cloud::Volta, DeviceKind::Vehicle) => "volta vehicle",
            (_, DeviceKind::Vehicle) => "rivoli vehicle",
            (_, DeviceKind::Wallbox) => "wallbox",
            (_, DeviceKind::Site) => "site",
        });
        let Some(owner) = self.accounts.get_mut(account) else {
            return;
        };
        let local = locals[owner.town];
        let home = &TOWNS[owner.town];
        let seed = fork(owner.seed, 1_000 * (kind as u64 + 1) + number);
        let meta = |id: String, name: String, model, year| Meta {
            id,
            name,
            model,
            year,
            added_at: tick,
            removed_at: None,
            offline: false,
            stale: false,
            remote: Remote::default(),
            private: false,
            log: Log::default(),
        };
        let mut made = Vec::new();
        match kind {
            DeviceKind::Vehicle => {
                let names = if cloud == Cloud::Volta {
                    VOLTA_NAMES
                } else {
                    RIVOLI_NAMES
                };
                let name = names[(number as usize - 1) % names.len()];
                let (id, model) = match cloud {
                    Cloud::Volta => (format!("VLTSBX{number:011}"), "Volta One"),
                    _ => (format!("rc_{number:06}"), "Rivoli Strada"),
                };
                let mut live = Vehicle::new(seed, home, owner.habits, tick);
                let evening = local.hour() >= 19.0 || local.hour() < 6.0;
                if owner.habits && evening {
                    live.plug_in(tick);
                }
                made.push((id.clone(), Locator::Vehicle(owner.vehicles.len())));
                let meta = meta(id, name.into(), model, 2021 + (seed % 5) as i16);
                owner.vehicles.push(Device {
                    meta,
                    live,
                    frozen: None,
                });
            }
            DeviceKind::Wallbox => {
                let id = format!("WB-{number:06}");
                made.push((id.clone(), Locator::Wallbox(owner.wallboxes.len())));
                let meta = meta(id, "Wallbox".into(), "Volta Home 11", 2023);
                owner.wallboxes.push(Device {
                    meta,
                    live: Wallbox::new(),
                    frozen: None,
                });
            }
            DeviceKind::Site => {
                let part = |tag: &str, name: &str, model| {
                    meta(format!("hx_{tag}_{number:06}"), name.into(), model, 2022)
                };
                let mut live = Site::new(seed, home, owner.habits, tick);
                let parts = [
                    part("inv", "Inverter", "Helios X8"),
                    part("bat", "Battery", "Helios Cell 10"),
                    part("met", "Meter", "Helios Meter 3P"),
                    part("hp", "Heat pump", "Helios Therma 6"),
                    part("chg", "Wall charger", "Helios Plug 11"),
                ];
                let index = owner.households.len();
                for (kind, part) in PartKind::ALL.into_iter().zip(&parts) {
                    made.push((part.id.clone(), Locator::Part(index, kind)));
                }
                let name = format!("{} {}", home.street, number * 4);
                let id = format!("hs_{number:06}");
                live.step(tick, local, Present::ALL);
                let site = Device {
                    meta: meta(id, name, "", 2021),
                    live,
                    frozen: None,
                };
                owner.households.push(Household { site, parts });
            }
        }
        for (device, locator) in made {
            self.index.insert(device, (account.to_owned(), locator));
        }
    }
}
