//! The time, injected. Nothing in Livewatt asks the operating system for the time but
//! [`SystemClock`]; a lint forbids it, so that a day of fleet time can run in seconds.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

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

    /// Takes over the time of a clock that several machines share, which showed `shared` within the
    /// last `since`. Returns how far the machine's own clock is ahead of it; `None` for a clock that
    /// goes its own way.
    fn follow(&self, shared: Timestamp, since: Duration) -> Option<SignedDuration> {
        let _ = (shared, since);
        None
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

/// The clock of a machine among several that write to one database. What two of them write about one
/// device is compared by its times, so their clocks must agree: it begins with the machine's own time,
/// goes on by the machine's steady clock, which nobody sets, and takes over a shared time from which
/// it differs.
#[derive(Debug)]
pub struct SharedClock {
    own: Arc<dyn Clock>,
    made: Instant,
    /// What it showed when it was made, by what is known now; milliseconds since 1970.
    origin: AtomicI64,
}

/// By so little two clocks may differ: machines that are set by the network's time are closer.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(1);

impl SharedClock {
    /// A clock that begins with the time of `own`.
    pub fn new(own: Arc<dyn Clock>) -> Self {
        Self {
            made: Instant::now(),
            origin: AtomicI64::new(own.now().as_millisecond()),
            own,
        }
    }
}

impl Clock for SharedClock {
    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.made.elapsed().as_millis()).unwrap_or(i64::MAX);
        let now = self.origin.load(Ordering::Relaxed).saturating_add(elapsed);
        Timestamp::from_millisecond(now).unwrap_or(Timestamp::MAX)
    }

    fn follow(&self, shared: Timestamp, since: Duration) -> Option<SignedDuration> {
        let since = SignedDuration::try_from(since).unwrap_or(SignedDuration::MAX);
        // An answer that took long tells a time that was.
        if since <= TOLERANCE {
            let ahead = self.now().duration_since(shared);
            if ahead > TOLERANCE + since || ahead < -TOLERANCE {
                let by = i64::try_from(ahead.as_millis()).unwrap_or_default();
                self.origin.fetch_sub(by, Ordering::Relaxed);
            }
        }
        Some(self.own.now().duration_since(shared))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_clock_follows_what_it_differs_from_and_nothing_else() {
        let true_time: Timestamp = "2026-03-02T06:00:00Z".parse().unwrap();
        let later = |by| true_time.checked_add(by).unwrap();
        let hour = SignedDuration::from_hours(1);
        let own = ManualClock::starting_at(later(hour));
        let clock = SharedClock::new(Arc::new(own.clone()));
        let is_near = |clock: &SharedClock, at| clock.now().duration_since(at).abs() < TOLERANCE;
        assert!(is_near(&clock, later(hour)));
        // An answer that took long is no time to go by.
        clock.follow(true_time, Duration::from_secs(5));
        assert!(is_near(&clock, later(hour)));
        assert_eq!(clock.follow(true_time, Duration::ZERO), Some(hour));
        assert!(is_near(&clock, true_time));
        // Whoever sets the machine's clock changes nothing.
        own.set(later(-hour));
        assert!(is_near(&clock, true_time));
        assert_eq!(clock.follow(true_time, Duration::ZERO), Some(-hour));
        assert!(is_near(&clock, true_time));
        // So little is the way of the answer.
        let before = clock.now();
        clock.follow(
            later(SignedDuration::from_millis(300)),
            Duration::from_millis(10),
        );
        assert!(clock.now().duration_since(before) < SignedDuration::from_millis(300));
    }
}
