//! What vendors say that their adapters do not know: counted each time, logged seldom. A word that
//! a vendor adds to its answers comes with every one of them, thousands of times an hour.
//!
//! Invariant: however much is said, a word of an integration is logged once an hour at most, and no
//! more than [`MOST_WORDS`] of them are remembered.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use livewatt_domain::{SignedDuration, Timestamp};

/// The same is not logged again for so long.
const QUIET: SignedDuration = SignedDuration::from_hours(1);

/// Words remembered. While all of them are of the last hour, others are counted and not logged.
const MOST_WORDS: usize = 1_000;

/// What was logged lately.
#[derive(Debug, Default)]
pub(crate) struct Drifts(Mutex<HashMap<(&'static str, String), Logged>>);

#[derive(Debug)]
struct Logged {
    at: Timestamp,
    /// How often it was said since then.
    times: u64,
}

impl Drifts {
    /// An integration's vendor said these words at `now`.
    pub(crate) fn note(&self, integration: &'static str, words: &[String], now: Timestamp) {
        if words.is_empty() {
            return;
        }
        metrics::counter!("livewatt_vendor_drift_total", "integration" => integration)
            .increment(words.len() as u64);
        for (drift, times) in self.worth_logging(integration, words, now) {
            tracing::warn!(integration, %drift, times, "the vendor's answer has drifted");
        }
    }

    /// Those of the words that are to be logged, and how often each was said since it last was.
    fn worth_logging<'w>(
        &self,
        integration: &'static str,
        words: &'w [String],
        now: Timestamp,
    ) -> Vec<(&'w str, u64)> {
        // A clock that is set back makes nobody silent for longer.
        let is_recent = |logged: &Logged| now.duration_since(logged.at).abs() < QUIET;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut worth = Vec::new();
        for word in words {
            let key = (integration, word.clone());
            if let Some(logged) = known.get_mut(&key)
                && is_recent(logged)
            {
                logged.times += 1;
                continue;
            }
            if known.len() >= MOST_WORDS && !known.contains_key(&key) {
                known.retain(|_, logged| is_recent(logged));
                if known.len() >= MOST_WORDS {
                    continue;
                }
            }
            let before = known.insert(key, Logged { at: now, times: 0 });
            worth.push((word.as_str(), before.map_or(0, |logged| logged.times) + 1));
        }
        worth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_772_431_200 + minute * 60).unwrap()
    }

    fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
        words.map(str::to_owned).to_vec()
    }

    #[test]
    fn a_word_is_logged_once_an_hour_with_how_often_it_was_said() {
        let drifts = Drifts::default();
        let said = words(["status=new", "status=new"]);
        assert_eq!(
            drifts.worth_logging("volta", &said, at(0)),
            [("status=new", 1)]
        );
        for minute in 1..60 {
            assert_eq!(drifts.worth_logging("volta", &said[..1], at(minute)), []);
        }
        let other = drifts.worth_logging("helios", &said[..1], at(30));
        assert_eq!(other, [("status=new", 1)], "integrations are apart");
        // One at first, 59 meanwhile, and this.
        let again = drifts.worth_logging("volta", &said[..1], at(60));
        assert_eq!(again, [("status=new", 61)]);
        assert_eq!(drifts.worth_logging("volta", &said[..1], at(60)), []);
        let set_back = drifts.worth_logging("volta", &said[..1], at(-60));
        assert_eq!(set_back, [("status=new", 2)]);
    }

    #[test]
    fn a_vendor_that_says_ever_new_words_fills_neither_log_nor_memory() {
        let drifts = Drifts::default();
        let many: Vec<String> = (0..MOST_WORDS + 50).map(|n| format!("x={n}")).collect();
        let logged = drifts.worth_logging("volta", &many, at(0));
        assert_eq!(logged.len(), MOST_WORDS);
        assert_eq!(drifts.0.lock().unwrap().len(), MOST_WORDS);
        let later = drifts.worth_logging("volta", &many[MOST_WORDS..], at(61));
        assert_eq!(later.len(), 50, "the old made room");
        assert_eq!(drifts.0.lock().unwrap().len(), 50);
    }
}
