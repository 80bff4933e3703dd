//! A car: its battery and charge curve, its plug, its trips. Actors: the driver (`habits`), the
//! charger it hangs on (`Supply`), and orders from the cloud or the control API.
//!
//! Rules: the level stays within 0 and 100, charging never carries it past the limit, power never
//! exceeds what car, cable and charger allow, and above 80 % the battery takes less and less.

use crate::{
    clock::Seconds,
    random::{self, Random, fork},
    world::{
        STEP,
        habits::{DayPlan, Place, Trip},
        town::{Local, Town},
    },
};

/// Seconds between plugging in and current.
const HANDSHAKE: i64 = 20;
/// Seconds of standing unplugged after which a car sleeps.
const DOZE: i64 = 20 * 60;
/// Share of the energy from the wall that reaches the battery.
const CHARGE_EFFICIENCY: f64 = 0.92;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charge {
    Disconnected,
    Starting,
    Charging,
    Paused,
    Complete,
    NoPower,
    Fault,
}

impl Charge {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Charge::Disconnected => "disconnected",
            Charge::Starting => "starting",
            Charge::Charging => "charging",
            Charge::Paused => "paused",
            Charge::Complete => "complete",
            Charge::NoPower => "no_power",
            Charge::Fault => "fault",
        }
    }
}

/// What the charger offers: amps on each of three phases; 0: nothing.
pub(crate) type Supply = u8;

#[derive(Clone, Debug)]
pub(crate) struct Vehicle {
    pub(crate) capacity_kwh: f64,
    /// The most the car's own charger takes from the wall, kW.
    pub(crate) onboard_kw: f64,
    pub(crate) kwh_per_km: f64,
    /// State of charge, 0–100 %.
    pub(crate) level: f64,
    /// Charge limit, 50–100 %.
    pub(crate) limit: u8,
    /// Most amps per phase to draw, 6–32.
    pub(crate) max_amps: u8,
    pub(crate) plugged: bool,
    pub(crate) charge: Charge,
    /// Power at the wall, kW.
    pub(crate) power_kw: f64,
    /// Mains voltage now, V.
    pub(crate) volts: f64,
    pub(crate) odometer_km: f64,
    pub(crate) lat: f64,
    pub(crate) lon: f64,
    pub(crate) place: Place,
    pub(crate) asleep: bool,
    pub(crate) faulty: bool,
    pub(crate) stopped: bool,
    pub(crate) habits: bool,
    trip: Option<Trip>,
    home: (f64, f64),
    work: (f64, f64),
    seed: u64,
    plan: DayPlan,
    plan_day: i64,
    plug_in_at: Option<Seconds>,
    current_from: Seconds,
    still_since: Seconds,
}

impl Vehicle {
    /// A car of a household, at home, as it is found at `tick`.
    pub(crate) fn new(seed: u64, town: &Town, habits: bool, tick: Seconds) -> Self {
        let mut random = Random::new(fork(seed, 2));
        let home = nearby(&mut random, (town.lat, town.lon), 0.02);
        let work = nearby(&mut random, home, 0.25);
        let capacity_kwh = [52.0, 64.0, 75.0, 82.0][(random.next() % 4) as usize];
        Self {
            capacity_kwh,
            onboard_kw: 11.0,
            kwh_per_km: random.between(0.155, 0.195),
            level: (random.between(35.0, 75.0) * 10.0).round() / 10.0,
            limit: 80,
            max_amps: 16,
            plugged: false,
            charge: Charge::Disconnected,
            power_kw: 0.0,
            volts: 230.0,
            odometer_km: random.between(2_000.0, 60_000.0).round(),
            lat: home.0,
            lon: home.1,
            place: Place::Home,
            asleep: false,
            faulty: false,
            stopped: false,
            habits,
            trip: None,
            home,
            work,
            seed,
            plan: DayPlan::default(),
            plan_day: i64::MIN,
            plug_in_at: None,
            current_from: tick,
            still_since: tick,
        }
    }

    pub(crate) fn is_driving(&self) -> bool {
        self.trip.is_some()
    }

    pub(crate) fn range_km(&self) -> f64 {
        self.level / 100.0 * self.capacity_kwh / self.kwh_per_km
    }

    /// Minutes until the limit is reached, `None` unless charging.
    pub(crate) fn minutes_to_full(&self) -> Option<i64> {
        if self.charge != Charge::Charging || self.power_kw < 0.05 {
            return None;
        }
        let limit = f64::from(self.limit);
        let full_power = self.power_kw / taper(self.level);
        // Above the knee the mean of the taper on the way stands for it.
        let plain = (limit.min(KNEE) - self.level).max(0.0);
        let tapered_from = self.level.max(KNEE);
        let tapered = (limit - tapered_from).max(0.0);
        let mean_taper = f64::midpoint(taper(tapered_from), taper(limit));
        let percent_per_hour = 100.0 * full_power * CHARGE_EFFICIENCY / self.capacity_kwh;
        let hours = (plain + tapered / mean_taper) / percent_per_hour;
        Some((hours * 60.0).ceil() as i64)
    }

    /// Lives `STEP` seconds, up to `tick`.
    pub(crate) fn step(&mut self, tick: Seconds, local: Local, supply: Supply) {
        if self.habits {
            self.follow_habits(tick, local);
        }
        if let Some(trip) = self.trip {
            self.drive(trip, tick, local);
        }
        self.charge(tick, supply);
        self.asleep = !self.plugged && !self.is_driving() && tick - self.still_since >= DOZE;
    }

    /// Puts the plug in; a driving car is home at once.
    pub(crate) fn plug_in(&mut self, tick: Seconds) {
        if self.is_driving() {
            self.stand(Place::Home, tick);
        }
        if !self.plugged {
            self.plugged = true;
            self.stopped = false;
            self.plug_in_at = None;
            self.charge = Charge::Starting;
            self.current_from = tick + HANDSHAKE;
            self.wake(tick);
        }
    }

    pub(crate) fn unplug(&mut self, tick: Seconds) {
        if self.plugged {
            self.plugged = false;
            self.stopped = false;
            self.charge = Charge::Disconnected;
            self.power_kw = 0.0;
            self.wake(tick);
        }
    }

    pub(crate) fn wake(&mut self, tick: Seconds) {
        self.still_since = tick;
        self.asleep = false;
    }

    /// Ends any trip and stands at a place.
    pub(crate) fn stand(&mut self, place: Place, tick: Seconds) {
        self.trip = None;
        self.place = place;
        if let Place::Home | Place::Work = place {
            (self.lat, self.lon) = self.spot(place, 0);
        }
        self.wake(tick);
    }

    fn follow_habits(&mut self, tick: Seconds, local: Local) {
        if local.day != self.plan_day {
            self.plan = DayPlan::of(self.seed, local);
            self.plan.trips.retain(|trip| trip.depart >= tick - STEP);
            self.plan_day = local.day;
        }
        if self.plug_in_at.is_some_and(|at| tick >= at) {
            self.plug_in_at = None;
            if self.place == Place::Home && !self.is_driving() {
                self.plug_in(tick);
            }
        }
        let due = self
            .plan
            .trips
            .first()
            .is_some_and(|trip| tick >= trip.depart);
        if due && !self.is_driving() {
            let trip = self.plan.trips.remove(0);
            let enough = self.level > self.need(trip.km) * 2.0 + 8.0;
            if trip.from == self.place && (enough || self.place != Place::Home) {
                self.unplug(tick);
                self.plug_in_at = None;
                self.trip = Some(trip);
            }
        }
    }

    fn drive(&mut self, trip: Trip, tick: Seconds, local: Local) {
        let lasts = (trip.arrive - trip.depart).max(STEP) as f64;
        let left = (trip.arrive - (tick - STEP)).clamp(0, STEP) as f64;
        let km = trip.km * left / lasts;
        self.odometer_km += km;
        self.level = (self.level - self.need(km)).max(1.0);
        let (from, to) = (
            self.spot(trip.from, local.day),
            self.spot(trip.to, local.day),
        );
        let way = ((tick - trip.depart) as f64 / lasts).clamp(0.0, 1.0);
        self.lat = from.0 + (to.0 - from.0) * way;
        self.lon = from.1 + (to.1 - from.1) * way;
        if tick >= trip.arrive {
            self.trip = None;
            self.place = trip.to;
            self.wake(tick);
            if trip.to == Place::Home {
                let after = self
                    .plan
                    .plug_in_after
                    .or((self.level < 45.0).then_some(90));
                self.plug_in_at = after.map(|seconds| tick + seconds);
            }
        }
    }

    fn charge(&mut self, tick: Seconds, supply: Supply) {
        let before = self.charge;
        let full = self.level >= f64::from(self.limit) - 1e-9;
        self.charge = if !self.plugged {
            Charge::Disconnected
        } else if self.faulty {
            Charge::Fault
        } else if self.stopped {
            Charge::Paused
        } else if full {
            Charge::Complete
        } else if supply == 0 {
            Charge::NoPower
        } else {
            match before {
                Charge::Charging => Charge::Charging,
                Charge::Starting if tick >= self.current_from => Charge::Charging,
                Charge::Starting => Charge::Starting,
                _ => {
                    self.current_from = tick + HANDSHAKE;
                    Charge::Starting
                }
            }
        };
        self.power_kw = 0.0;
        if self.charge != Charge::Charging {
            return;
        }
        self.volts = (228.0 + 5.0 * random::smooth(fork(self.seed, 3), tick, 90)).round();
        let amps = f64::from(self.max_amps.min(supply));
        let wall = (amps * 3.0 * self.volts / 1000.0).min(self.onboard_kw);
        self.power_kw = wall * taper(self.level);
        let percent = self.power_kw * CHARGE_EFFICIENCY * STEP as f64 / 36.0 / self.capacity_kwh;
        self.level = (self.level + percent).min(f64::from(self.limit));
    }

    /// Percent of the battery that a way costs.
    fn need(&self, km: f64) -> f64 {
        km * self.kwh_per_km / self.capacity_kwh * 100.0
    }

    fn spot(&self, place: Place, day: i64) -> (f64, f64) {
        match place {
            Place::Home => self.home,
            Place::Work => self.work,
            Place::Outing => nearby(
                &mut Random::new(fork(self.seed, day.unsigned_abs())),
                self.home,
                0.4,
            ),
        }
    }
}

/// The level above which the battery takes less, %.
const KNEE: f64 = 80.0;

/// Share of full power the battery takes at a level: all up to the knee, a fifth when full.
fn taper(level: f64) -> f64 {
    if level <= KNEE {
        1.0
    } else {
        1.0 - 0.8 * (level - KNEE) / (100.0 - KNEE)
    }
}

fn nearby(random: &mut Random, (lat, lon): (f64, f64), degrees: f64) -> (f64, f64) {
    (
        lat + random.between(-degrees, degrees),
        lon + random.between(-degrees, degrees),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::town::{TOWNS, WallClocks};

    const MONDAY: Seconds = 1_772_431_200;

    fn live(vehicle: &mut Vehicle, from: Seconds, seconds: i64, mut check: impl FnMut(&Vehicle)) {
        let mut clocks = WallClocks::new();
        for tick in (from..from + seconds).step_by(STEP as usize) {
            let local = clocks.read(tick)[0];
            vehicle.step(tick, local, 16);
            check(vehicle);
        }
    }

    #[test]
    fn charging_tapers_and_ends_exactly_at_the_limit() {
        let mut vehicle = Vehicle::new(5, &TOWNS[0], false, MONDAY);
        vehicle.level = 70.0;
        vehicle.limit = 100;
        vehicle.plug_in(MONDAY);
        let (mut peak, mut last) = (0.0_f64, 0.0);
        live(&mut vehicle, MONDAY, 12 * 3600, |vehicle| {
            assert!(vehicle.level <= f64::from(vehicle.limit));
            assert!(vehicle.power_kw <= vehicle.onboard_kw);
            peak = peak.max(vehicle.power_kw);
            if vehicle.power_kw > 0.0 {
                last = vehicle.power_kw;
            }
        });
        assert_eq!(vehicle.charge, Charge::Complete);
        assert_eq!(vehicle.level, 100.0);
        assert!(peak > 10.0 && last < peak * 0.3, "{peak} {last}");
    }

    #[test]
    fn a_month_of_commuting_stays_sane() {
        for seed in 0..20 {
            let mut vehicle = Vehicle::new(seed, &TOWNS[0], true, MONDAY);
            let odometer = vehicle.odometer_km;
            let (mut drove, mut charged) = (false, false);
            live(&mut vehicle, MONDAY, 30 * 86_400, |vehicle| {
                assert!((1.0..=100.0).contains(&vehicle.level));
                assert!(!(vehicle.is_driving() && vehicle.plugged));
                assert_eq!(vehicle.plugged, vehicle.charge != Charge::Disconnected);
                drove |= vehicle.is_driving();
                charged |= vehicle.charge == Charge::Charging;
            });
            assert!(drove && charged, "seed {seed}");
            let km = vehicle.odometer_km - odometer;
            assert!((100.0..4_000.0).contains(&km), "seed {seed} drove {km}");
        }
    }

    #[test]
    fn an_idle_unplugged_car_falls_asleep() {
        let mut vehicle = Vehicle::new(5, &TOWNS[0], false, MONDAY);
        live(&mut vehicle, MONDAY, 19 * 60, |vehicle| {
            assert!(!vehicle.asleep)
        });
        live(&mut vehicle, MONDAY + 20 * 60, 60, |_| {});
        assert!(vehicle.asleep);
    }
}
