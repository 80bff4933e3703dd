//! Bulkheads and breakers: one integration's trouble stays its own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use livewatt_domain::{Timestamp, entropy::Entropy, retry::Backoff};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bulkheads and breakers of all integrations.
#[derive(Debug)]
pub(crate) struct Breakers {
    parallel: usize,
    threshold: u32,
    backoff: Backoff,
    states: Mutex<HashMap<&'static str, State>>,
}

#[derive(Debug)]
struct State {
    gate: Arc<Semaphore>,
    /// Failures in a row, over all accounts.
    failures: u32,
    /// Times it opened without a success between.
    openings: u32,
    /// Open until then; after it one fetch at a time may try.
    open_until: Option<Timestamp>,
    is_probing: bool,
}

impl Breakers {
    pub(crate) fn new(parallel: usize, threshold: u32, backoff: Backoff) -> Self {
        Self {
            parallel,
            threshold,
            backoff,
            states: Mutex::default(),
        }
    }

    fn states(&self) -> MutexGuard<'_, HashMap<&'static str, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, integration: &'static str, change: impl FnOnce(&mut State) -> T) -> T {
        let mut states = self.states();
        let state = states.entry(integration).or_insert_with(|| State {
            gate: Arc::new(Semaphore::new(self.parallel)),
            failures: 0,
            openings: 0,
            open_until: None,
            is_probing: false,
        });
        change(state)
    }

    /// If the integration must be left alone at `now`: until when. The first to come after that
    /// may go on and find out for all.
    pub(crate) fn blocked_until(
        &self,
        integration: &'static str,
        now: Timestamp,
    ) -> Option<Timestamp> {
        // Further ahead than any wait: the clock was set back meanwhile.
        let longest = self.backoff.longest * 2;
        self.with(integration, |state| match state.open_until {
            Some(until) if until.duration_since(now) > longest && !state.is_probing => {
                state.is_probing = true;
                None
            }
            Some(until) if until > now || state.is_probing => Some(until.max(now)),
            Some(_) => {
                state.is_probing = true;
                None
            }
            None => None,
        })
    }

    /// The integrations that are left alone, or being tried after that.
    pub(crate) fn open(&self) -> Vec<String> {
        let states = self.states();
        let open = states
            .iter()
            .filter(|(_, state)| state.open_until.is_some());
        let mut names: Vec<String> = open.map(|(name, _)| (*name).to_owned()).collect();
        names.sort_unstable();
        names
    }

    /// Whether an integration is left alone, or being tried after that, and the number of its
    /// fetches under way.
    pub(crate) fn figures(&self, integration: &'static str) -> (bool, usize) {
        self.with(integration, |state| {
            let free = state.gate.available_permits();
            (
                state.open_until.is_some(),
                self.parallel.saturating_sub(free),
            )
        })
    }

    /// Waits for a place among the fetches of the integration.
    pub(crate) async fn enter(&self, integration: &'static str) -> Option<OwnedSemaphorePermit> {
        let gate = self.with(integration, |state| state.gate.clone());
        gate.acquire_owned().await.ok()
    }

    /// The integration answered, be it with a refusal.
    pub(crate) fn note_answer(&self, integration: &'static str) {
        self.with(integration, |state| {
            if state.open_until.take().is_some() {
                tracing::info!(integration, "the vendor answers again");
            }
            state.failures = 0;
            state.openings = 0;
            state.is_probing = false;
        });
    }

    /// The integration did not answer.
    pub(crate) fn note_failure(
        &self,
        integration: &'static str,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) {
        self.with(integration, |state| {
            state.failures = state.failures.saturating_add(1);
            let was_probing = std::mem::take(&mut state.is_probing);
            if state.failures >= self.threshold && (state.open_until.is_none() || was_probing) {
                state.openings = state.openings.saturating_add(1);
                let wait = self.backoff.wait(state.openings, entropy.jitter(0.2));
                state.open_until = now.saturating_add(wait).ok();
                metrics::counter!("livewatt_breaker_openings_total", "integration" => integration)
                    .increment(1);
                if state.openings == 1 {
                    tracing::warn!(integration, "the vendor does not answer; calls to it pause");
                }
            }
        });
    }

    /// A fetch that entered ended without the vendor having been asked.
    pub(crate) fn note_nothing(&self, integration: &'static str) {
        self.with(integration, |state| state.is_probing = false);
    }
}

#[cfg(test)]
mod tests {
    use livewatt_domain::{SignedDuration, entropy::SeededEntropy};

    use super::*;

    #[test]
    fn opens_after_enough_failures_and_lets_one_probe_through() {
        let backoff = Backoff {
            first: SignedDuration::from_secs(10),
            longest: SignedDuration::from_secs(60),
        };
        let breakers = Breakers::new(2, 3, backoff);
        let entropy = SeededEntropy::new(1);
        let mut now = Timestamp::UNIX_EPOCH;
        for _ in 0..2 {
            breakers.note_failure("v", now, &entropy);
        }
        assert_eq!(breakers.blocked_until("v", now), None);
        breakers.note_failure("v", now, &entropy);
        let until = breakers.blocked_until("v", now).unwrap();
        assert!(until > now);
        assert_eq!(breakers.blocked_until("other", now), None);
        now = until;
        assert_eq!(breakers.blocked_until("v", now), None, "one probe");
        assert!(breakers.blocked_until("v", now).is_some(), "and no second");
        breakers.note_failure("v", now, &entropy);
        assert!(breakers.blocked_until("v", now).unwrap() > until);
        now = breakers.blocked_until("v", now).unwrap();
        assert_eq!(breakers.blocked_until("v", now), None);
        breakers.note_answer("v");
        assert_eq!(breakers.blocked_until("v", now), None);
        assert_eq!(
            breakers.blocked_until("v", now),
            None,
            "closed: everyone may go"
        );
    }
}
