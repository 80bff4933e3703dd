//! Dropping what retention no longer keeps, guarded against a clock that is wrong.
//!
//! Invariant: a clock that jumps ahead costs nothing that is within retention, if it is set right
//! again within [`PATIENCE`] looks. What is dropped cannot be brought back, so a jump is believed
//! only once it has lasted.

use std::sync::{Mutex, PoisonError};

use livewatt_domain::{SignedDuration, Timestamp};

use crate::{Engine, EngineResult};

/// The clock may be this much later than at the last look, for real; beyond, it has jumped. Looks
/// are ten minutes apart.
const LEAP: SignedDuration = SignedDuration::from_hours(24);

/// Looks until a jump is believed: a day of them.
const PATIENCE: u32 = 144;

/// What earlier looks at the log's age found.
#[derive(Debug, Default)]
pub(crate) struct Retention(Mutex<Looks>);

#[derive(Debug, Default)]
struct Looks {
    /// The newest time that is believed.
    believed: Option<Timestamp>,
    /// Looks since then that found the clock far ahead of it.
    doubts: u32,
}

impl Looks {
    /// Whether `now` can be believed, which is `since` after the last time that was.
    fn believe(&mut self, now: Timestamp, since: SignedDuration) -> bool {
        if since > LEAP && self.doubts < PATIENCE {
            self.doubts += 1;
            return false;
        }
        *self = Self {
            believed: Some(now),
            doubts: 0,
        };
        true
    }
}

impl Engine {
    /// Drops what retention no longer keeps; returns the number of slices of the log.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn prune(&self) -> EngineResult<u32> {
        let now = self.now();
        if !self.believes(now).await? {
            return Ok(0);
        }
        let keep_from = now
            .saturating_sub(self.options.event_retention)
            .unwrap_or(Timestamp::UNIX_EPOCH);
        let keep_samples_from = now
            .saturating_sub(self.options.sample_retention)
            .unwrap_or(Timestamp::UNIX_EPOCH);
        self.store.prune_samples(keep_samples_from).await?;
        Ok(self.store.prune(keep_from, now).await?)
    }

    async fn believes(&self, now: Timestamp) -> EngineResult<bool> {
        // After a start, the newest event tells when something ran last; what is written later may
        // bear a wrong time itself.
        let logged = self.store.newest_event_at().await?;
        let mut looks = self
            .retention
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = *looks.believed.get_or_insert(logged.unwrap_or(now));
        let since = self.clock.for_real(now.duration_since(before));
        let is_believed = looks.believe(now, since);
        if looks.doubts == 1 {
            tracing::warn!(
                %before, %now,
                "the clock is far ahead of the last time seen; nothing is dropped from the event log \
                 for a day, in case it is wrong"
            );
        }
        Ok(is_believed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_is_believed_once_it_has_lasted() {
        let mut looks = Looks::default();
        let now = Timestamp::UNIX_EPOCH;
        let days = |days: i64| SignedDuration::from_hours(24 * days);
        assert!(looks.believe(now, days(1)));
        assert!(looks.believe(now, days(-400)), "going back drops nothing");
        for _ in 0..PATIENCE {
            assert!(!looks.believe(now, days(365)));
        }
        assert!(looks.believe(now, days(365)));
        // Set right in time: nothing was dropped, and the next jump is doubted anew.
        assert!(!looks.believe(now, days(365)));
        assert!(looks.believe(now, SignedDuration::from_mins(20)));
        for _ in 0..PATIENCE {
            assert!(!looks.believe(now, days(2)));
        }
    }
}
