//! What people do with their cars: to work and back on weekdays, an outing at the weekend, and
//! plugging in at home in the evening. A day's plan is a pure function of (seed, local day).

use crate::{
    clock::Seconds,
    random::{Random, fork},
    world::town::Local,
};

/// Where a car stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Home,
    Work,
    Outing,
}

impl Place {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Place::Home => "home",
            Place::Work => "work",
            Place::Outing => "outing",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Trip {
    pub(crate) depart: Seconds,
    pub(crate) arrive: Seconds,
    pub(crate) from: Place,
    pub(crate) to: Place,
    pub(crate) km: f64,
}

/// The trips of one local day, in order, and how the evening ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct DayPlan {
    pub(crate) trips: Vec<Trip>,
    /// Seconds from coming home to plugging in; `None`: forgotten, unless the battery is low.
    pub(crate) plug_in_after: Option<i64>,
}

impl DayPlan {
    pub(crate) fn of(seed: u64, local: Local) -> Self {
        // The way to work is always the same; the rest differs from day to day.
        let mut person = Random::new(fork(seed, 1));
        let work_km = person.between(8.0, 45.0);
        let usual_start = person.between(6.8, 8.8);
        let mut today = Random::new(fork(seed, 1_000_000 + local.day.unsigned_abs()));

        let trips = if local.is_weekend() {
            let km = today.between(5.0, 70.0);
            let out = today.between(10.0, 13.5);
            let back = out + today.between(2.0, 5.0);
            if today.unit() < 0.65 {
                there_and_back(local, Place::Outing, km, out, back)
            } else {
                Vec::new()
            }
        } else if today.unit() < 0.88 {
            let out = usual_start + today.between(-0.25, 0.25);
            let back = out + today.between(8.2, 10.2);
            there_and_back(local, Place::Work, work_km, out, back)
        } else {
            Vec::new()
        };
        let plug_in_after = (today.unit() < 0.85).then(|| today.between(60.0, 420.0) as i64);
        Self {
            trips,
            plug_in_after,
        }
    }
}

fn there_and_back(local: Local, place: Place, km: f64, out: f64, back: f64) -> Vec<Trip> {
    let hour = |hour: f64| local.midnight + (hour * 3600.0) as i64;
    // Town speed on short ways, faster on long ones.
    let lasts = (km / (30.0 + km * 0.8) * 3600.0) as i64 + 180;
    let trip = |depart, from, to| Trip {
        depart,
        arrive: depart + lasts,
        from,
        to,
        km,
    };
    vec![
        trip(hour(out), Place::Home, place),
        trip(hour(back), place, Place::Home),
    ]
}
