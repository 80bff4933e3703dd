//! When to try again: deliveries to customers, and calls to vendors.

use jiff::{SignedDuration, Timestamp};

/// The retry schedule of a webhook: gaps that double from 5 s to 2 h, over 24 h in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetrySchedule {
    /// The first gap.
    pub first: SignedDuration,
    /// The longest gap.
    pub longest: SignedDuration,
    /// How long after the first failure the last attempt is made.
    pub window: SignedDuration,
}

impl Default for RetrySchedule {
    fn default() -> Self {
        Self {
            first: SignedDuration::from_secs(5),
            longest: SignedDuration::from_hours(2),
            window: SignedDuration::from_hours(24),
        }
    }
}

impl RetrySchedule {
    /// When to try again after `attempts` failed attempts, the newest at `now`; `None` when the
    /// window has run out. `retry_after` is the receiver's own wish; `jitter` is a factor near 1.
    /// The last attempt falls on the end of the window.
    pub fn next(
        &self,
        failing_since: Timestamp,
        attempts: u32,
        now: Timestamp,
        retry_after: Option<SignedDuration>,
        jitter: f64,
    ) -> Option<Timestamp> {
        let end = failing_since.saturating_add(self.window).ok()?;
        if now >= end {
            return None;
        }
        let gap = doubled(self.first, attempts.saturating_sub(1), self.longest);
        // Jitter must not make it come back before the receiver's time.
        let gap = scaled(gap, jitter).max(retry_after.unwrap_or_default());
        let next = now.saturating_add(gap).ok()?;
        Some(next.min(end))
    }
}

/// Growing waits after failures of a vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: SignedDuration,
    /// The longest wait.
    pub longest: SignedDuration,
}

impl Backoff {
    /// The wait after `failures` failures in a row (at least 1).
    pub fn wait(&self, failures: u32, jitter: f64) -> SignedDuration {
        scaled(
            doubled(self.first, failures.saturating_sub(1), self.longest),
            jitter,
        )
    }
}

fn doubled(first: SignedDuration, times: u32, longest: SignedDuration) -> SignedDuration {
    let factor = 2_i32.checked_pow(times).unwrap_or(i32::MAX);
    first
        .checked_mul(factor)
        .map_or(longest, |gap| gap.min(longest))
}

/// `duration` times `factor`.
pub fn scaled(duration: SignedDuration, factor: f64) -> SignedDuration {
    SignedDuration::from_millis((duration.as_millis() as f64 * factor) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_attempt_is_made_at_the_end_of_the_window_and_none_after() {
        let schedule = RetrySchedule::default();
        let start = Timestamp::UNIX_EPOCH;
        let (mut now, mut attempts) = (start, 1);
        while let Some(next) = schedule.next(start, attempts, now, None, 1.0) {
            assert!(next > now);
            now = next;
            attempts += 1;
        }
        assert_eq!(now.duration_since(start), SignedDuration::from_hours(24));
        assert!((15..30).contains(&attempts), "{attempts} attempts");
    }

    #[test]
    fn a_receivers_wish_is_honoured_if_it_is_later() {
        let schedule = RetrySchedule::default();
        let start = Timestamp::UNIX_EPOCH;
        let wish = Some(SignedDuration::from_secs(600));
        let next = schedule.next(start, 1, start, wish, 0.9).unwrap();
        assert_eq!(next.duration_since(start), SignedDuration::from_secs(600));
    }

    #[test]
    fn backoff_doubles_up_to_its_longest() {
        let backoff = Backoff {
            first: SignedDuration::from_secs(30),
            longest: SignedDuration::from_mins(15),
        };
        assert_eq!(backoff.wait(1, 1.0), SignedDuration::from_secs(30));
        assert_eq!(backoff.wait(2, 1.0), SignedDuration::from_secs(60));
        assert_eq!(backoff.wait(4000, 1.0), SignedDuration::from_mins(15));
    }
}
