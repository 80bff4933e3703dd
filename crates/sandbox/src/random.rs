//! Seeded randomness: a small generator for one-off choices, and noise that is a pure function of
//! (seed, time), so that the same moment looks the same however the clock got there.

/// SplitMix64: tiny, fast, good enough for habits and clouds in the sky. Not for secrets.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number in `0.0..1.0`.
    pub(crate) fn unit(&mut self) -> f64 {
        to_unit(self.next())
    }

    /// A number in `low..high`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A hex string of `2 * words * 8` characters, for tokens.
    pub(crate) fn hex(&mut self, words: usize) -> String {
        (0..words)
            .map(|_| format!("{:016x}", self.next()))
            .collect()
    }
}

/// A seed made of a seed and a number, for independent streams.
pub(crate) fn fork(seed: u64, stream: u64) -> u64 {
    mix(seed ^ mix(stream.wrapping_add(0xA076_1D64_78BD_642F)))
}

/// White noise in `0.0..1.0` at one place of one stream.
pub(crate) fn at(seed: u64, place: i64) -> f64 {
    to_unit(fork(seed, place.cast_unsigned()))
}

/// Smooth noise in `0.0..1.0`: a new value each `period` seconds, eased in between.
pub(crate) fn smooth(seed: u64, time: i64, period: i64) -> f64 {
    let cell = time.div_euclid(period);
    let within = time.rem_euclid(period) as f64 / period as f64;
    let eased = within * within * (3.0 - 2.0 * within);
    let (from, to) = (at(seed, cell), at(seed, cell + 1));
    from + (to - from) * eased
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn to_unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smooth_noise_is_pure_and_continuous() {
        let mut previous = smooth(7, 0, 600);
        for time in 1..10_000 {
            let value = smooth(7, time, 600);
            assert!((0.0..1.0).contains(&value));
            assert!((value - previous).abs() < 0.01);
            assert_eq!(value, smooth(7, time, 600));
            previous = value;
        }
    }
}
