//! When accounts were in touch with their vendors, as the vendors' own record has it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use livewatt_domain::{SignedDuration, Timestamp};
use livewatt_sandbox::Sandbox;

/// The longest interval between two fetches, and a tenth of it.
pub const LONGEST: SignedDuration = SignedDuration::from_mins(22);

/// The record of reads that went well.
#[derive(Debug)]
pub struct Contacts {
    sandbox: Arc<Sandbox>,
    /// By account.
    reads: Mutex<BTreeMap<String, Vec<Timestamp>>>,
}

impl Contacts {
    /// Of a sandbox that records its answers.
    pub fn of(sandbox: Arc<Sandbox>) -> Self {
        Self {
            sandbox,
            reads: Mutex::default(),
        }
    }

    /// Takes what was answered since the last time.
    fn gather(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<Timestamp>>> {
        let mut reads = self.reads.lock().unwrap();
        for answer in self.sandbox.take_answers() {
            if answer.status == 200 && matches!(answer.endpoint, "account" | "car" | "live") {
                reads.entry(answer.account).or_default().push(answer.at);
            }
        }
        reads
    }

    /// Number of reads since a time.
    pub fn since(&self, at: Timestamp) -> usize {
        let reads = self.gather();
        reads.values().flatten().filter(|read| **read >= at).count()
    }

    /// Which of these accounts were not read since a time.
    pub fn missing<'a>(&self, accounts: &'a [String], since: Timestamp) -> Vec<&'a String> {
        let reads = self.gather();
        let is_read = |account: &&String| {
            reads
                .get(*account)
                .is_some_and(|reads| reads.last().is_some_and(|at| *at >= since))
        };
        accounts
            .iter()
            .filter(|account| !is_read(account))
            .collect()
    }

    /// The first read of each account from a time on, and until when it was due at the latest: an
    /// interval and a tenth after the last read before it. The interval is the longest between two
    /// reads before then, or the longest there is.
    pub fn first_since(
        &self,
        accounts: &[String],
        at: Timestamp,
    ) -> HashMap<String, (Timestamp, Timestamp)> {
        let reads = self.gather();
        let mut firsts = HashMap::new();
        for account in accounts {
            let reads = reads.get(account).map(Vec::as_slice).unwrap_or_default();
            let split = reads.partition_point(|read| *read < at);
            let (before, after) = reads.split_at(split);
            let Some(first) = after.first() else { continue };
            let gaps = before
                .windows(2)
                .map(|pair| pair[1].duration_since(pair[0]));
            let interval = match before.len() {
                0..4 => LONGEST,
                _ => gaps.max().unwrap() * 11 / 10,
            };
            let last = before.last().copied().unwrap_or(at);
            firsts.insert(
                account.clone(),
                (*first, last.checked_add(interval.min(LONGEST)).unwrap()),
            );
        }
        firsts
    }

    /// The longest time between two reads of an account in a span.
    pub fn longest_gap(&self, from: Timestamp, to: Timestamp) -> SignedDuration {
        let reads = self.gather();
        let gaps = reads.values().flat_map(|reads| reads.windows(2));
        gaps.filter(|pair| pair[1] >= from && pair[0] <= to)
            .map(|pair| pair[1].duration_since(pair[0]))
            .max()
            .unwrap_or_default()
    }
}
