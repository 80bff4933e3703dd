//! A wall charger at a home: what it lets through to the car that hangs on it.

use crate::world::vehicle::{Charge, Supply, Vehicle};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BoxStatus {
    Available,
    Preparing,
    Charging,
    Paused,
    Finished,
    Fault,
}

impl BoxStatus {
    pub(crate) fn word(self) -> &'static str {
        match self {
            BoxStatus::Available => "available",
            BoxStatus::Preparing => "preparing",
            BoxStatus::Charging => "charging",
            BoxStatus::Paused => "paused",
            BoxStatus::Finished => "finished",
            BoxStatus::Fault => "fault",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Wallbox {
    /// Amps per phase it offers, 6–32.
    pub(crate) limit_amps: u8,
    pub(crate) faulty: bool,
    pub(crate) status: BoxStatus,
    /// Power to the car, kW.
    pub(crate) power_kw: f64,
    /// VIN of the car that is plugged.
    pub(crate) vehicle: Option<String>,
}

impl Wallbox {
    pub(crate) fn new() -> Self {
        Self {
            limit_amps: 16,
            faulty: false,
            status: BoxStatus::Available,
            power_kw: 0.0,
            vehicle: None,
        }
    }

    pub(crate) fn supply(&self) -> Supply {
        if self.faulty { 0 } else { self.limit_amps }
    }

    /// Follows the car that hangs on it.
    pub(crate) fn follow(&mut self, plugged: Option<(&str, &Vehicle)>) {
        let plugged = plugged.filter(|(_, car)| car.plugged);
        if self.vehicle.as_deref() != plugged.map(|(vin, _)| vin) {
            self.vehicle = plugged.map(|(vin, _)| vin.to_owned());
        }
        self.power_kw = plugged.map_or(0.0, |(_, car)| car.power_kw);
        self.status = match plugged.map(|(_, car)| car.charge) {
            _ if self.faulty => BoxStatus::Fault,
            None | Some(Charge::Disconnected) => BoxStatus::Available,
            Some(Charge::Starting | Charge::NoPower | Charge::Fault) => BoxStatus::Preparing,
            Some(Charge::Charging) => BoxStatus::Charging,
            Some(Charge::Paused) => BoxStatus::Paused,
            Some(Charge::Complete) => BoxStatus::Finished,
        };
    }
}
