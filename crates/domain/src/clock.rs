//! The time, injected. Nothing in Livewatt asks the operating system for the time but
//! [`SystemClock`]; a lint forbids it, so that a day of fleet time can run in seconds.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::time::to_millisecond;

/// Tells the time, in whole milliseconds.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// How long a stretch of this clock's time takes for real: shorter, if the clock runs fast.
    fn for_real(&self, stretch: SignedDuration) -> SignedDuration {
        stretch
    }
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the system's clock"
    )]
    fn now(&self) -> Timestamp {
        to_millisecond(Timestamp::now())
    }
}

/// A clock that runs faster than another: for watching days go by in minutes.
#[derive(Debug)]
pub struct FastClock {
    real: Arc<dyn Clock>,
    /// When it was made, by the real clock.
    made_at: Timestamp,
    /// What it showed then.
    start: Timestamp,
    speed: f64,
}

impl FastClock {
    /// A clock that shows the time of `real` now and from then on runs `speed` times as fast.
    pub fn new(real: Arc<dyn Clock>, speed: f64) -> Self {
        let now = real.now();
        Self::starting_at(real, now, speed)
    }

    /// A clock that shows `start` now and from then on runs `speed` times as fast as `real`.
    pub fn starting_at(real: Arc<dyn Clock>, start: Timestamp, speed: f64) -> Self {
        Self {
            made_at: real.now(),
            start,
            real,
            speed: speed.max(f64::MIN_POSITIVE),
        }
    }
}

impl Clock for FastClock {
    fn now(&self) -> Timestamp {
        let elapsed = self.real.now().duration_since(self.made_at);
        let stretched = crate::retry::scaled(elapsed, self.speed);
        to_millisecond(
            self.start
                .saturating_add(stretched)
                .unwrap_or(Timestamp::MAX),
        )
    }

    fn for_real(&self, stretch: SignedDuration) -> SignedDuration {
        crate::retry::scaled(stretch, 1.0 / self.speed)
    }
}

/// A clock that stands still until it is moved; clones share the same time.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<Timestamp>>);

impl ManualClock {
    /// A clock standing at `start`.
    pub fn starting_at(start: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(to_millisecond(start))))
    }

    /// Sets the time, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = to_millisecond(now);
    }

    /// Moves the time on by `step` (or back, if negative) and returns the new time.
    pub fn advance(&self, step: SignedDuration) -> Timestamp {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = to_millisecond(now.saturating_add(step).unwrap_or(*now));
        *now
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
