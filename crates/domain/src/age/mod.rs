//! The age of data, counted: for every block of every device how long ago its vendor last confirmed
//! it, weighed by time, against the interval that was promised.
//!
//! The question answered is an operator's: *what age would I see if I looked at a random moment?*
//! Between two confirmations an age grows from 0 to the gap `G`, so a gap contributes `G` seconds,
//! one for each age from 0 to `G`. Long gaps weigh as much as they hurt; peaks alone would not.
//!
//! Rules:
//! - The *standard* is [`crate::cadence::target`]. The *promise* is the interval in force, which a
//!   vendor's policy, a budget or a working push feed may make longer; then the time is counted
//!   as slower than the standard as well, under that reason, and never as a breach.
//! - "One poll" on top of the promise is [`allowed`]: the jitter of due times, a second of rounding
//!   on the timer wheel, and the time that the confirming poll itself took.
//! - A promise that becomes tighter binds from the moment that we learned why: data must then be
//!   confirmed within the new promise from that moment, or within the old one if that ends earlier.
//! - Time during which a device cannot be reached is counted apart and breaks no promise.
//!
//! Everything is in whole seconds since 1970: differences of moments that are all rounded down, so
//! that sums are exact however often they are taken.

mod block;
mod breach;
mod tally;
#[cfg(test)]
mod tests;

pub use block::{BlockAge, Grace};
pub use breach::{Breach, BreachReason, UnknownReason};
pub use tally::{AgeTally, BIN_BOUNDS, Slowed, Span, hour_of, hours};

use jiff::{SignedDuration, Timestamp};

use crate::cadence::Cadence;

/// Moments as ages count them: seconds since 1970, rounded down.
pub type Second = u32;

/// A moment in whole seconds.
pub fn second(at: Timestamp) -> Second {
    at.as_millisecond()
        .div_euclid(1000)
        .try_into()
        .unwrap_or(if at < Timestamp::UNIX_EPOCH {
            0
        } else {
            Second::MAX
        })
}

/// The moment at which a second begins.
pub fn moment(second: Second) -> Timestamp {
    Timestamp::from_second(second.into()).unwrap_or(Timestamp::MAX)
}

/// Seconds of rounding of due times on the timer wheel.
const WHEEL_ROUNDING: Second = 1;

/// The age up to which a promised interval counts as kept, seconds, before the duration of the
/// confirming poll: the interval, its jitter, and the rounding of the wheel.
pub fn allowed(interval: SignedDuration) -> Second {
    let with_jitter = interval.as_secs_f64().max(0.0) * (1.0 + Cadence::JITTER);
    // Of a product like 420 × 1.1, only the noise of the multiplication is cut off.
    let whole = (with_jitter - 1e-6).ceil();
    (whole as Second).saturating_add(WHEEL_ROUNDING)
}
