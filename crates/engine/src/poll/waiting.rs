//! Fetches that are due and wait for a place among those of their integration: who waits, how many
//! and since when. Where a vendor is slow or a fleet too large for it, this is what grows first.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use livewatt_domain::{Timestamp, id::AccountId};

use crate::fleet::Moment;

/// The fetches that wait.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Those that are due, by due time: the oldest is first.
    due: BTreeSet<(Moment, AccountId)>,
    counts: HashMap<&'static str, usize>,
}

impl Waiting {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An account begins to wait; it ceases to when the result is dropped.
    pub(crate) fn begin(
        &self,
        account: AccountId,
        integration: &'static str,
        due_at: Option<Moment>,
    ) -> Wait<'_> {
        let mut state = self.state();
        *state.counts.entry(integration).or_default() += 1;
        state.due.extend(due_at.map(|at| (at, account)));
        Wait {
            waiting: self,
            account,
            integration,
            due_at,
        }
    }

    /// Since when the one that waits longest is due.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.state().due.first().map(|(at, _)| Timestamp::from(*at))
    }

    /// Number of those of an integration.
    pub(crate) fn count(&self, integration: &str) -> usize {
        self.state().counts.get(integration).copied().unwrap_or(0)
    }
}

/// An account that waits.
#[derive(Debug)]
pub(crate) struct Wait<'a> {
    waiting: &'a Waiting,
    account: AccountId,
    integration: &'static str,
    due_at: Option<Moment>,
}

impl Wait<'_> {
    /// The account is taken up at `now`: it was late by the time since it was due.
    pub(crate) fn end(self, now: Timestamp) {
        // What somebody asked for before its time is not late.
        let late = self.due_at.map(|at| Moment::from(now).since(at));
        if let Some(late) = late.filter(|late| !late.is_negative()) {
            metrics::histogram!(
                "livewatt_poll_lateness_seconds", "integration" => self.integration,
            )
            .record(late.as_secs_f64());
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut state = self.waiting.state();
        if let Some(at) = self.due_at {
            state.due.remove(&(at, self.account));
        }
        if let Some(count) = state.counts.get_mut(self.integration) {
            *count = count.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_known_until_it_is_taken_up() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let account = |number| AccountId(uuid::Uuid::from_u128(number));
        let waiting = Waiting::default();
        let late = waiting.begin(account(1), "v", Some(at(20).into()));
        let later = waiting.begin(account(2), "v", Some(at(10).into()));
        let asked_for = waiting.begin(account(3), "w", None);
        assert_eq!(waiting.oldest(), Some(at(10)));
        assert_eq!((waiting.count("v"), waiting.count("w")), (2, 1));
        later.end(at(25));
        assert_eq!(waiting.oldest(), Some(at(20)));
        // Cut off, as by a shutdown.
        drop((late, asked_for));
        assert_eq!(waiting.oldest(), None);
        assert_eq!((waiting.count("v"), waiting.count("w")), (0, 0));
    }
}
