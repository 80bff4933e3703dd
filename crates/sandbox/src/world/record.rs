//! What a roof gave, by the quarter hour: the history that a cloud has of a site.

use crate::{
    clock::Seconds,
    world::{STEP, sun},
};

/// Seconds of a quarter hour.
pub(crate) const QUARTER: Seconds = 900;
/// How often the sky of the past is looked at, seconds.
const GLANCE: Seconds = 300;

/// Watt-seconds of each quarter hour since a site was first lived. Quarter hours are counted from 1970.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    first: i64,
    quarters: Vec<u32>,
}

impl Record {
    pub(crate) fn new(tick: Seconds) -> Self {
        Self {
            first: tick.div_euclid(QUARTER),
            quarters: Vec::new(),
        }
    }

    /// Adds what was given in the step that begins at a moment.
    pub(crate) fn add(&mut self, from: Seconds, watt_seconds: i64) {
        let Ok(place) = usize::try_from(from.div_euclid(QUARTER) - self.first) else {
            return;
        };
        if self.quarters.len() <= place {
            self.quarters.resize(place + 1, 0);
        }
        self.quarters[place] += u32::try_from(watt_seconds).unwrap_or(0);
    }

    /// What was given in a quarter hour; `None` before the first.
    pub(crate) fn of(&self, quarter: i64) -> Option<i64> {
        let place = usize::try_from(quarter - self.first).ok()?;
        Some(
            self.quarters
                .get(place)
                .map_or(0, |given| i64::from(*given)),
        )
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
            record.add(tick - STEP, watts as i64 * STEP);
        }
        let first = start / QUARTER;
        assert_eq!(record.of(first - 1), None);
        let kwh = |watt_seconds: i64| watt_seconds as f64 / 3_600_000.0;
        let recorded: i64 = (first..first + 96).filter_map(|q| record.of(q)).sum();
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
