//! What flowed at a site, by the quarter hour: the history that its cloud has of it.

use crate::{
    clock::Seconds,
    world::{STEP, sun},
};

/// Seconds of a quarter hour.
pub(crate) const QUARTER: Seconds = 900;
/// How often the sky of the past is looked at, seconds.
const GLANCE: Seconds = 300;

/// What flowed in a quarter hour, watt-seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quarter {
    pub(crate) solar: u32,
    pub(crate) bought: u32,
    pub(crate) sold: u32,
    pub(crate) charged: u32,
    pub(crate) discharged: u32,
    /// Level of the battery at its end, tenths of a percent.
    pub(crate) level: u16,
}

impl Quarter {
    /// What all that is there used, by the balance.
    pub(crate) fn used(self) -> i64 {
        let came = [self.solar, self.bought, self.discharged].map(i64::from);
        let went = [self.sold, self.charged].map(i64::from);
        came.iter().sum::<i64>() - went.iter().sum::<i64>()
    }
}

/// The quarter hours since a site was first lived, counted from 1970.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    first: i64,
    quarters: Vec<Quarter>,
}

impl Record {
    pub(crate) fn new(tick: Seconds) -> Self {
        Self {
            first: tick.div_euclid(QUARTER),
            quarters: Vec::new(),
        }
    }

    /// The number of the first quarter hour.
    pub(crate) fn first(&self) -> i64 {
        self.first
    }

    /// Adds what flowed in the step that begins at a moment, and the level after it.
    pub(crate) fn add(&mut self, from: Seconds, step: Quarter) {
        let Ok(place) = usize::try_from(from.div_euclid(QUARTER) - self.first) else {
            return;
        };
        if self.quarters.len() <= place {
            self.quarters.resize(place + 1, Quarter::default());
        }
        let sum = &mut self.quarters[place];
        sum.solar += step.solar;
        sum.bought += step.bought;
        sum.sold += step.sold;
        sum.charged += step.charged;
        sum.discharged += step.discharged;
        sum.level = step.level;
    }

    /// What flowed in a quarter hour; `None` if none of it was lived.
    pub(crate) fn of(&self, quarter: i64) -> Option<Quarter> {
        let place = usize::try_from(quarter - self.first).ok()?;
        self.quarters.get(place).copied()
    }
}

/// What a roof gave in a quarter hour of which there is no record, watt-seconds.
pub(crate) fn from_the_sky(seed: u64, lat: f64, lon: f64, peak_w: i64, quarter: i64) -> i64 {
    let begin = quarter * QUARTER;
    let glances = (begin + STEP..=begin + QUARTER).step_by(GLANCE as usize);
    let given = glances.map(|tick| {
        // By night nobody looks at clouds.
        if sun::roof_share(lat, lon, tick, 0.0) == 0.0 {
            return 0;
        }
        let clouds = sun::cloud_cover(seed, tick);
        let watts = sun::roof_share(lat, lon, tick, clouds) * peak_w as f64;
        watts.round() as i64 * GLANCE
    });
    given.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: u64 = 7;
    const PEAK_W: i64 = 8_000;

    /// The sky tells of the past what a roof that lived then would have recorded, about.
    #[test]
    fn the_past_is_like_the_present() {
        let start = 1_782_000_000;
        let mut record = Record::new(start);
        let (lat, lon) = (48.1, 11.6);
        for tick in (start + STEP..=start + 86_400).step_by(STEP as usize) {
            let clouds = sun::cloud_cover(SEED, tick);
            let watts = (sun::roof_share(lat, lon, tick, clouds) * PEAK_W as f64).round();
            let solar = (watts as i64 * STEP) as u32;
            let step = Quarter {
                solar,
                ..Quarter::default()
            };
            record.add(tick - STEP, step);
        }
        let first = start / QUARTER;
        assert_eq!(record.of(first - 1), None);
        let kwh = |watt_seconds: i64| watt_seconds as f64 / 3_600_000.0;
        let recorded: i64 = (first..first + 96)
            .filter_map(|q| record.of(q))
            .map(|q| i64::from(q.solar))
            .sum();
        let seen: i64 = (first..first + 96)
            .map(|q| from_the_sky(SEED, lat, lon, PEAK_W, q))
            .sum();
        assert!(kwh(recorded) > 5.0, "{}", kwh(recorded));
        let off = (kwh(seen) - kwh(recorded)).abs() / kwh(recorded);
        assert!(off < 0.03, "{} {}", kwh(seen), kwh(recorded));
        assert_eq!(
            from_the_sky(SEED, lat, lon, PEAK_W, 1_782_082_800 / QUARTER),
            0
        );
    }
}
