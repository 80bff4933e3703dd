//! Where accounts live: five towns with their coordinates, time zones and climates.

use jiff::{Timestamp, tz::TimeZone};

use crate::clock::Seconds;

const DAY: i64 = 86_400;

#[derive(Debug)]
pub(crate) struct Town {
    pub(crate) name: &'static str,
    pub(crate) street: &'static str,
    pub(crate) timezone: &'static str,
    pub(crate) lat: f64,
    pub(crate) lon: f64,
    /// Yearly mean of the outdoor temperature, °C.
    pub(crate) mean_temp: f64,
}

pub(crate) const TOWNS: [Town; 5] = [
    Town {
        name: "utrecht",
        street: "Oudegracht",
        timezone: "Europe/Amsterdam",
        lat: 52.0907,
        lon: 5.1214,
        mean_temp: 10.5,
    },
    Town {
        name: "muenchen",
        street: "Lindenweg",
        timezone: "Europe/Berlin",
        lat: 48.137,
        lon: 11.575,
        mean_temp: 9.0,
    },
    Town {
        name: "lyon",
        street: "Rue Mercière",
        timezone: "Europe/Paris",
        lat: 45.764,
        lon: 4.8357,
        mean_temp: 12.5,
    },
    Town {
        name: "oslo",
        street: "Storgata",
        timezone: "Europe/Oslo",
        lat: 59.9139,
        lon: 10.7522,
        mean_temp: 6.5,
    },
    Town {
        name: "lisboa",
        street: "Rua Augusta",
        timezone: "Europe/Lisbon",
        lat: 38.7223,
        lon: -9.1393,
        mean_temp: 17.0,
    },
];

impl Town {
    /// What the clock on the wall says there.
    pub(crate) fn local(&self, tick: Seconds) -> Local {
        let zone = TimeZone::get(self.timezone).unwrap_or(TimeZone::UTC);
        let moment = Timestamp::from_second(tick).unwrap_or(Timestamp::MAX);
        Local::ahead(i64::from(zone.to_offset(moment).seconds()), tick)
    }
}

/// The index of a town by name.
pub(crate) fn find(name: &str) -> Option<usize> {
    TOWNS.iter().position(|town| town.name == name)
}

/// What the clock on the wall says in a town.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Local {
    /// Days since 1970 in local time.
    pub(crate) day: i64,
    /// Seconds since local midnight (by the offset now in force).
    pub(crate) second: i64,
    /// The virtual time of that midnight.
    pub(crate) midnight: Seconds,
}

impl Local {
    /// That of a place so many seconds ahead of UTC.
    fn ahead(offset: i64, tick: Seconds) -> Self {
        let second = (tick + offset).rem_euclid(DAY);
        Self {
            day: (tick + offset).div_euclid(DAY),
            second,
            midnight: tick - second,
        }
    }

    pub(crate) fn is_weekend(self) -> bool {
        // 1970-01-01 was a Thursday.
        (self.day + 3).rem_euclid(7) >= 5
    }

    pub(crate) fn hour(self) -> f64 {
        self.second as f64 / 3600.0
    }
}

/// Local times of all towns at one tick. Offsets are looked up once each quarter of an hour, the
/// finest grain at which zones change.
#[derive(Debug)]
pub(crate) struct WallClocks {
    zones: Vec<TimeZone>,
    offsets: [i64; TOWNS.len()],
    quarter: i64,
}

impl WallClocks {
    pub(crate) fn new() -> Self {
        let zones = TOWNS
            .iter()
            .map(|town| TimeZone::get(town.timezone).unwrap_or(TimeZone::UTC))
            .collect();
        Self {
            zones,
            offsets: [0; TOWNS.len()],
            quarter: i64::MIN,
        }
    }

    pub(crate) fn read(&mut self, tick: Seconds) -> [Local; TOWNS.len()] {
        let quarter = tick.div_euclid(900);
        if quarter != self.quarter {
            self.quarter = quarter;
            let moment = Timestamp::from_second(tick).unwrap_or(Timestamp::MAX);
            for (offset, zone) in self.offsets.iter_mut().zip(&self.zones) {
                *offset = i64::from(zone.to_offset(moment).seconds());
            }
        }
        self.offsets.map(|offset| Local::ahead(offset, tick))
    }
}
