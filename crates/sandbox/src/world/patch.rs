//! Changes that the control API makes to a device by its own hand.

use crate::{
    ControlError,
    clock::Seconds,
    clouds::Cloud,
    control::types::DevicePatch,
    world::{
        Locator, World,
        account::{PartKind, Remote},
        habits::Place,
        vehicle::Vehicle,
    },
};

impl World {
    /// Applies a patch; nothing is changed if any of it is out of range or out of place.
    pub(crate) fn patch_device(
        &mut self,
        id: &str,
        patch: &DevicePatch,
    ) -> Result<(), ControlError> {
        check_ranges(patch)?;
        let tick = self.tick;
        let (account, locator) = self.locate(id).ok_or(ControlError::NotFound("device"))?;
        let owner = account.id.clone();
        check_openness(account.cloud, locator, patch)?;
        match locator {
            Locator::Vehicle(index) => {
                only_for_a_vehicle(patch)?;
                patch_vehicle(&mut account.vehicles[index].live, patch, tick)?;
                if let Some(fault) = patch.fault {
                    account.vehicles[index].live.faulty = fault;
                }
                let meta = &mut account.vehicles[index].meta;
                meta.remote = patch.remote.unwrap_or(meta.remote);
                meta.private = patch.private.unwrap_or(meta.private);
            }
            Locator::Wallbox(index) => {
                let wallbox = &mut account.wallboxes[index].live;
                wallbox.limit_amps = patch.max_amps.unwrap_or(wallbox.limit_amps);
                wallbox.faulty = patch.fault.unwrap_or(wallbox.faulty);
                let meta = &mut account.wallboxes[index].meta;
                meta.remote = patch.remote.unwrap_or(meta.remote);
            }
            Locator::Part(index, part) => {
                let meta = &mut account.households[index].parts[part as usize];
                meta.remote = patch.remote.unwrap_or(meta.remote);
                let site = &mut account.households[index].site.live;
                site.pinned_load = patch.load_w.unwrap_or(site.pinned_load);
                site.pinned_clouds = patch.cloud_cover.unwrap_or(site.pinned_clouds);
                match part {
                    PartKind::Battery => site.level = patch.level_percent.unwrap_or(site.level),
                    PartKind::HeatPump => {
                        let room = &mut site.heat_pump.room_temp;
                        *room = patch.room_temp.unwrap_or(*room);
                    }
                    PartKind::Charger => {
                        site.charger_limit = patch.max_amps.unwrap_or(site.charger_limit);
                        site.charger_faulty = patch.fault.unwrap_or(site.charger_faulty);
                        let was_plugged = site.car.plugged;
                        let car = DevicePatch {
                            max_amps: None,
                            ..patch.clone()
                        };
                        patch_vehicle(&mut site.car, &car, tick)?;
                        if site.car.plugged && !was_plugged {
                            site.energy.session = 0;
                        }
                    }
                    PartKind::Inverter | PartKind::Meter => {}
                }
            }
        }
        self.settle_account(&owner);
        Ok(())
    }
}

fn patch_vehicle(
    vehicle: &mut Vehicle,
    patch: &DevicePatch,
    tick: Seconds,
) -> Result<(), ControlError> {
    let will_be_plugged = patch.plugged.unwrap_or(vehicle.plugged);
    if patch.charging == Some(true) && !will_be_plugged {
        return Err(ControlError::conflict("the vehicle is not plugged in"));
    }
    vehicle.habits = patch.habits.unwrap_or(vehicle.habits);
    match patch.place.as_deref() {
        None => {}
        Some("home") => vehicle.stand(Place::Home, tick),
        Some(_) => {
            vehicle.unplug(tick);
            vehicle.stand(Place::Work, tick);
        }
    }
    match patch.plugged {
        Some(true) => vehicle.plug_in(tick),
        Some(false) => vehicle.unplug(tick),
        None => {}
    }
    vehicle.level = patch.level_percent.unwrap_or(vehicle.level);
    vehicle.limit = patch.limit_percent.unwrap_or(vehicle.limit);
    vehicle.max_amps = patch.max_amps.unwrap_or(vehicle.max_amps);
    if let Some(charging) = patch.charging {
        vehicle.stopped = !charging;
    }
    Ok(())
}

/// Refuses states of remote access and privacy that a device cannot be in.
fn check_openness(cloud: Cloud, locator: Locator, patch: &DevicePatch) -> Result<(), ControlError> {
    let is_car = matches!(locator, Locator::Vehicle(_));
    let takes_commands = !matches!(
        locator,
        Locator::Part(_, PartKind::Inverter | PartKind::Meter)
    );
    let is_possible = |remote: Remote| match remote {
        Remote::Allowed => true,
        Remote::SwitchedOff => cloud != Cloud::Rivoli && takes_commands,
        Remote::NoKey => cloud == Cloud::Volta && is_car,
        Remote::Expired => cloud == Cloud::Rivoli,
        Remote::InstallerOnly => cloud == Cloud::Helios && takes_commands,
    };
    if !patch.remote.is_none_or(is_possible) {
        return Err(ControlError::invalid("remote: not of this device"));
    }
    if patch.private.is_some() && !(cloud == Cloud::Rivoli && is_car) {
        return Err(ControlError::invalid("private: cars of rivoli only"));
    }
    Ok(())
}

fn only_for_a_vehicle(patch: &DevicePatch) -> Result<(), ControlError> {
    if patch.room_temp.is_some() || patch.load_w.is_some() || patch.cloud_cover.is_some() {
        return Err(ControlError::invalid("a vehicle has no such state"));
    }
    Ok(())
}

fn check_ranges(patch: &DevicePatch) -> Result<(), ControlError> {
    let known = ["home", "work"];
    let wrong = [
        (
            patch.place.as_deref().is_some_and(|v| !known.contains(&v)),
            "place: home or work",
        ),
        (
            patch
                .level_percent
                .is_some_and(|v| !(0.0..=100.0).contains(&v)),
            "level_percent: 0 to 100",
        ),
        (
            patch
                .limit_percent
                .is_some_and(|v| !(50..=100).contains(&v)),
            "limit_percent: 50 to 100",
        ),
        (
            patch.max_amps.is_some_and(|v| !(6..=32).contains(&v)),
            "max_amps: 6 to 32",
        ),
        (
            patch.room_temp.is_some_and(|v| !(0.0..=40.0).contains(&v)),
            "room_temp: 0 to 40",
        ),
        (
            patch
                .load_w
                .flatten()
                .is_some_and(|v| !(0..=50_000).contains(&v)),
            "load_w: 0 to 50000",
        ),
        (
            patch
                .cloud_cover
                .flatten()
                .is_some_and(|v| !(0.0..=1.0).contains(&v)),
            "cloud_cover: 0 to 1",
        ),
    ];
    match wrong.iter().find(|(wrong, _)| *wrong) {
        Some((_, why)) => Err(ControlError::invalid(*why)),
        None => Ok(()),
    }
}
