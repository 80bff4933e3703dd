//! A home-energy site: sun on the roof, a house that uses power, a battery between them, a heat
//! pump, a wall charger with a car of its own, and the grid for the rest.
//!
//! Rule: whole watts, and they balance exactly:
//! grid + solar = load + battery + charger + heat pump.

use crate::{
    clock::Seconds,
    random::{self, Random, fork},
    world::{
        STEP,
        heatpump::HeatPump,
        record::{self, QUARTER, Quarter, Record},
        sun,
        town::{Local, Town},
        vehicle::Vehicle,
    },
};

/// Share of the energy charged that can be had back.
const BATTERY_EFFICIENCY: f64 = 0.94;
/// The level below which the battery gives nothing, %.
const RESERVE: f64 = 5.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BatteryMode {
    SelfUse,
    Backup,
    Idle,
}

impl BatteryMode {
    pub(crate) fn word(self) -> &'static str {
        match self {
            BatteryMode::SelfUse => "self_use",
            BatteryMode::Backup => "backup",
            BatteryMode::Idle => "idle",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::SelfUse, Self::Backup, Self::Idle]
            .into_iter()
            .find(|mode| mode.word() == word)
    }
}

/// Power in whole watts. Grid > 0 buys, battery > 0 charges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flows {
    pub(crate) grid: i64,
    pub(crate) solar: i64,
    pub(crate) load: i64,
    pub(crate) battery: i64,
    pub(crate) charger: i64,
    pub(crate) heat_pump: i64,
}

/// Counters in watt-seconds, so that whole watts add up without rounding.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Energy {
    pub(crate) solar: i64,
    pub(crate) solar_today: i64,
    pub(crate) bought: i64,
    pub(crate) sold: i64,
    pub(crate) charged: i64,
    pub(crate) discharged: i64,
    pub(crate) heat_pump: i64,
    pub(crate) charger: i64,
    pub(crate) session: i64,
}

/// Which parts a site still has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Present {
    pub(crate) inverter: bool,
    pub(crate) battery: bool,
    pub(crate) heat_pump: bool,
    pub(crate) charger: bool,
}

impl Present {
    pub(crate) const ALL: Self = Self {
        inverter: true,
        battery: true,
        heat_pump: true,
        charger: true,
    };
}

#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) lat: f64,
    pub(crate) lon: f64,
    pub(crate) peak_w: i64,
    pub(crate) capacity_wh: i64,
    pub(crate) battery_max_w: i64,
    /// Battery level, 0–100 %.
    pub(crate) level: f64,
    pub(crate) battery_mode: BatteryMode,
    pub(crate) heat_pump: HeatPump,
    pub(crate) car: Vehicle,
    /// Amps per phase the charger offers, 6–32.
    pub(crate) charger_limit: u8,
    pub(crate) charger_faulty: bool,
    pub(crate) outdoor_temp: f64,
    pub(crate) flows: Flows,
    pub(crate) energy: Energy,
    /// What flowed, by the quarter hour.
    pub(crate) record: Record,
    pub(crate) pinned_load: Option<i64>,
    pub(crate) pinned_clouds: Option<f64>,
    /// The grid point these values are of.
    pub(crate) tick: Seconds,
    mean_temp: f64,
    seed: u64,
    day: i64,
}

impl Site {
    pub(crate) fn new(seed: u64, town: &Town, habits: bool, tick: Seconds) -> Self {
        let mut random = Random::new(fork(seed, 4));
        let mut counter = |kwh: f64| (random.between(0.5, 1.5) * kwh * 3_600_000.0) as i64;
        let charged = counter(2_000.0);
        let energy = Energy {
            solar: counter(12_000.0),
            bought: counter(6_000.0),
            sold: counter(4_000.0),
            charged,
            discharged: (charged as f64 * BATTERY_EFFICIENCY) as i64,
            heat_pump: counter(3_000.0),
            charger: counter(2_500.0),
            ..Energy::default()
        };
        let mut car = Vehicle::new(fork(seed, 5), town, habits, tick);
        car.max_amps = 32;
        let local = town.local(tick);
        let mut site = Self {
            lat: town.lat,
            lon: town.lon,
            peak_w: [6_000, 8_000, 9_600][(random.next() % 3) as usize],
            capacity_wh: 10_240,
            battery_max_w: 5_000,
            level: random.between(20.0, 60.0).round(),
            battery_mode: BatteryMode::SelfUse,
            heat_pump: HeatPump::new(),
            car,
            charger_limit: 16,
            charger_faulty: false,
            outdoor_temp: town.mean_temp,
            flows: Flows::default(),
            energy,
            record: Record::new(tick),
            pinned_load: None,
            pinned_clouds: None,
            tick,
            mean_temp: town.mean_temp,
            seed,
            day: local.day,
        };
        // What the sky gave since midnight, as its record has it.
        let begun = local.midnight.div_euclid(QUARTER)..site.record.first();
        site.energy.solar_today = begun.map(|quarter| site.solar_in(quarter)).sum();
        site
    }

    /// Lives `STEP` seconds, up to `tick`.
    pub(crate) fn step(&mut self, tick: Seconds, local: Local, present: Present) {
        self.tick = tick;
        if local.day != self.day {
            self.day = local.day;
            self.energy.solar_today = 0;
        }
        self.outdoor_temp = sun::outdoor_temp(self.seed, self.mean_temp, tick, local.hour());
        self.step_car(tick, local, present.charger);

        let clouds = self
            .pinned_clouds
            .unwrap_or_else(|| sun::cloud_cover(self.seed, tick));
        let sunlight = if present.inverter {
            sun::roof_share(self.lat, self.lon, tick, clouds)
        } else {
            0.0
        };
        let heat_pump = if present.heat_pump {
            self.heat_pump
                .step(tick, local, self.outdoor_temp, sunlight)
        } else {
            0
        };
        let charger = if present.charger {
            (self.car.power_kw * 1000.0).round() as i64
        } else {
            0
        };
        let solar = (sunlight * self.peak_w as f64).round() as i64;
        let load = self
            .pinned_load
            .unwrap_or_else(|| house_load(self.seed, tick, local));
        let without_battery = load + charger + heat_pump - solar;
        let battery = if present.battery {
            self.step_battery(without_battery)
        } else {
            0
        };
        let grid = without_battery + battery;
        self.flows = Flows {
            grid,
            solar,
            load,
            battery,
            charger,
            heat_pump,
        };
        self.count();
    }

    fn step_car(&mut self, tick: Seconds, local: Local, charger: bool) {
        let was_plugged = self.car.plugged;
        let supply = if charger && !self.charger_faulty {
            self.charger_limit
        } else {
            0
        };
        self.car.step(tick, local, supply);
        if self.car.plugged && !was_plugged {
            self.energy.session = 0;
        }
    }

    /// Decides what the battery does about a shortage (> 0) or surplus (< 0), in watts, and does it.
    fn step_battery(&mut self, shortage: i64) -> i64 {
        let most = self.battery_max_w as f64;
        // Near full it takes less, near the reserve it gives less.
        let takes = most * ((100.0 - self.level) / 5.0).clamp(0.0, 1.0);
        let gives = most * ((self.level - RESERVE) / 5.0).clamp(0.0, 1.0);
        let wanted = match self.battery_mode {
            BatteryMode::SelfUse => -shortage as f64,
            BatteryMode::Backup => most,
            BatteryMode::Idle => 0.0,
        };
        let power = wanted.clamp(-gives, takes).trunc();
        let stored = if power > 0.0 {
            power * BATTERY_EFFICIENCY
        } else {
            power
        };
        let percent = stored * STEP as f64 / 36.0 / self.capacity_wh as f64;
        self.level = (self.level + percent).clamp(0.0, 100.0);
        power as i64
    }

    /// What the roof gave in a quarter hour, watt-seconds. Of the time before the site was lived, what
    /// the sky says.
    pub(crate) fn solar_in(&self, quarter: i64) -> i64 {
        if quarter < self.record.first() {
            return record::from_the_sky(self.seed, self.lat, self.lon, self.peak_w, quarter);
        }
        let recorded = self.record.of(quarter).unwrap_or_default();
        recorded.solar.into()
    }

    fn count(&mut self) {
        let Flows {
            grid,
            solar,
            battery,
            charger,
            heat_pump,
            ..
        } = self.flows;
        let watt_seconds = |watts: i64| u32::try_from(watts.max(0) * STEP).unwrap_or(0);
        let step = Quarter {
            solar: watt_seconds(solar),
            bought: watt_seconds(grid),
            sold: watt_seconds(-grid),
            charged: watt_seconds(battery),
            discharged: watt_seconds(-battery),
            level: (self.level * 10.0).round() as u16,
        };
        self.record.add(self.tick - STEP, step);
        let energy = &mut self.energy;
        energy.solar += solar * STEP;
        energy.solar_today += solar * STEP;
        energy.bought += grid.max(0) * STEP;
        energy.sold += (-grid).max(0) * STEP;
        energy.charged += battery.max(0) * STEP;
        energy.discharged += (-battery).max(0) * STEP;
        energy.heat_pump += heat_pump * STEP;
        energy.charger += charger * STEP;
        energy.session += charger * STEP;
    }
}

/// What the house itself uses, W: a base, mornings and evenings, a fridge, now and then a kettle.
fn house_load(seed: u64, tick: Seconds, local: Local) -> i64 {
    let hour = local.hour();
    let bump = |centre: f64, width: f64| (-((hour - centre) / width).powi(2)).exp();
    let at_home = if local.is_weekend() {
        220.0 * bump(13.0, 4.0)
    } else {
        0.0
    };
    let people = 450.0 * bump(7.5, 1.0) + 750.0 * bump(19.5, 2.2) + at_home;
    let restless = 0.6 + 0.8 * random::smooth(fork(seed, 21), tick, 300);
    let flicker = 40.0 * random::smooth(fork(seed, 22), tick, 30);
    let fridge = if random::smooth(fork(seed, 23), tick, 1500) > 0.55 {
        90.0
    } else {
        0.0
    };
    // A kettle boils for three minutes, likelier when people are about.
    let kettle_on = random::at(fork(seed, 24), tick.div_euclid(180)) < people / 20_000.0;
    let kettle = if kettle_on { 2_000.0 } else { 0.0 };
    (180.0 + people * restless + flicker + fridge + kettle).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::town::{TOWNS, WallClocks};

    fn live(site: &mut Site, from: Seconds, days: i64, mut check: impl FnMut(&Site)) {
        let mut clocks = WallClocks::new();
        for tick in (from..from + days * 86_400).step_by(STEP as usize) {
            let local = clocks.read(tick)[1];
            site.step(tick, local, Present::ALL);
            check(site);
        }
    }

    #[test]
    fn flows_balance_and_the_battery_keeps_its_limits() {
        for start in [1_772_431_200, 1_782_000_000, 1_797_800_000] {
            let mut site = Site::new(3, &TOWNS[1], true, start);
            let (mut sold, mut lowest, mut highest) = (0, 100.0_f64, 0.0_f64);
            live(&mut site, start, 4, |site| {
                let f = site.flows;
                assert_eq!(
                    f.grid + f.solar,
                    f.load + f.battery + f.charger + f.heat_pump
                );
                assert!(f.battery.abs() <= site.battery_max_w);
                assert!((0.0..=100.0).contains(&site.level));
                assert!(f.solar >= 0 && f.solar <= site.peak_w && f.load > 0);
                assert!(
                    (14.0..30.0).contains(&site.heat_pump.room_temp),
                    "{}",
                    site.heat_pump.room_temp
                );
                sold += (-f.grid).max(0);
                lowest = lowest.min(site.level);
                highest = highest.max(site.level);
            });
            assert!(highest - lowest > 10.0, "the battery was used");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_day() {
        let day = |seed| {
            let mut site = Site::new(seed, &TOWNS[1], true, 1_772_431_200);
            let mut seen = Vec::new();
            live(&mut site, 1_772_431_200, 1, |site| seen.push(site.flows));
            seen
        };
        assert_eq!(day(3), day(3));
        assert_ne!(day(3), day(4));
    }
}
