//! How well linking works: what came of users' latest attempts to sign in, by integration.
//!
//! Only what is the vendor's counts: a wrong password or a change of mind says nothing of it. Each
//! node counts what it saw itself, in memory: the past of a quarter hour is not worth a table.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use livewatt_domain::{SignedDuration, Timestamp};
use livewatt_vendors::LinkProblem;

/// How far back attempts count.
const WINDOW: SignedDuration = SignedDuration::from_mins(15);
/// Attempts that are kept of an integration; the oldest go first.
const MOST: usize = 1_000;
/// With fewer attempts than this, failures may be chance.
const FEWEST: usize = 3;
/// With fewer attempts than this, nobody is kept from trying.
const FEWEST_FOR_OUTAGE: usize = 10;

/// How well linking works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkingStatus {
    /// It works.
    Ready,
    /// Three of ten attempts fail, or more.
    ElevatedErrorRate,
    /// Nine of ten attempts fail, or more: there is no use in trying.
    Outage,
}

/// What came of the latest attempts.
#[derive(Debug, Default)]
pub(crate) struct LinkAttempts(Mutex<HashMap<String, VecDeque<Attempt>>>);

#[derive(Debug, Clone, Copy)]
struct Attempt {
    at: Timestamp,
    is_failed: bool,
}

impl LinkAttempts {
    /// Notes that a user signed in, or why not.
    pub(crate) fn note(&self, integration: &str, problem: Option<&LinkProblem>, now: Timestamp) {
        let is_failed = match problem {
            None => false,
            Some(LinkProblem::VendorUnavailable | LinkProblem::Unexpected(_)) => true,
            // The user's own doing.
            Some(LinkProblem::Denied | LinkProblem::Mismatch) => return,
        };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let attempts = known.entry(integration.to_owned()).or_default();
        forget(attempts, now);
        if attempts.len() == MOST {
            attempts.pop_front();
        }
        attempts.push_back(Attempt { at: now, is_failed });
    }

    /// How well linking works.
    pub(crate) fn status(&self, integration: &str, now: Timestamp) -> LinkingStatus {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(attempts) = known.get_mut(integration) else {
            return LinkingStatus::Ready;
        };
        forget(attempts, now);
        let made = attempts.len();
        let failed = attempts.iter().filter(|attempt| attempt.is_failed).count();
        let is_share = |percent: usize| failed * 100 >= made * percent;
        if made >= FEWEST_FOR_OUTAGE && is_share(90) {
            LinkingStatus::Outage
        } else if made >= FEWEST && is_share(30) {
            LinkingStatus::ElevatedErrorRate
        } else {
            LinkingStatus::Ready
        }
    }
}

fn forget(attempts: &mut VecDeque<Attempt>, now: Timestamp) {
    let is_old = |attempt: &Attempt| now.duration_since(attempt.at) > WINDOW;
    while attempts.front().is_some_and(is_old) {
        attempts.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + 60 * minute).unwrap()
    }

    #[test]
    fn failures_of_the_vendor_show_and_are_forgotten() {
        let attempts = LinkAttempts::default();
        let status = |minute| attempts.status("acme", at(minute));
        let broken = LinkProblem::VendorUnavailable;
        assert_eq!(status(0), LinkingStatus::Ready);
        attempts.note("acme", Some(&broken), at(0));
        attempts.note("acme", Some(&broken), at(0));
        assert_eq!(status(0), LinkingStatus::Ready, "chance");
        attempts.note("acme", None, at(1));
        assert_eq!(status(1), LinkingStatus::ElevatedErrorRate);
        for _ in 0..17 {
            attempts.note("acme", Some(&broken), at(2));
        }
        assert_eq!(status(2), LinkingStatus::Outage, "19 of 20");
        assert_eq!(attempts.status("other", at(2)), LinkingStatus::Ready);
        assert_eq!(status(17), LinkingStatus::Outage);
        assert_eq!(status(18), LinkingStatus::Ready);
    }

    #[test]
    fn what_users_do_is_not_the_vendors_failure() {
        let attempts = LinkAttempts::default();
        for _ in 0..20 {
            attempts.note("acme", Some(&LinkProblem::Denied), at(0));
            attempts.note("acme", Some(&LinkProblem::Mismatch), at(0));
        }
        assert_eq!(attempts.status("acme", at(0)), LinkingStatus::Ready);
        for count in 0..10 {
            let what = LinkProblem::Unexpected("HTML".to_owned());
            attempts.note("acme", (count < 2).then_some(&what), at(0));
        }
        assert_eq!(
            attempts.status("acme", at(0)),
            LinkingStatus::Ready,
            "2 of 10"
        );
    }
}
