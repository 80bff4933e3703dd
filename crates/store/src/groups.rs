//! What is measured and told of commits that are shared by many writes.

use std::time::{Duration, Instant};

use crate::error::StoreError;

/// Commits that fail one after the other, as on a full disk: told at once, then now and then.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    failures: u64,
    told_at: Option<Instant>,
    /// Whether it was told that writing fails, and not yet that it succeeds again.
    is_told: bool,
}

impl Trouble {
    const PAUSE: Duration = Duration::from_secs(30);

    pub(crate) fn note(&mut self, error: &StoreError) {
        self.failures += 1;
        if self.told_at.is_some_and(|at| at.elapsed() < Self::PAUSE) {
            return;
        }
        self.told_at = Some(Instant::now());
        self.is_told = true;
        let cause: &dyn std::error::Error = error;
        let reason = cause.source().map(ToString::to_string);
        tracing::error!(
            error = cause,
            reason,
            failures = self.failures,
            "nothing can be written to the database; nothing is acknowledged until it can"
        );
    }

    pub(crate) fn end(&mut self) {
        if std::mem::take(&mut self.is_told) {
            let failures = self.failures;
            tracing::info!(failures, "the database can be written to again");
        }
        // When it was told last is kept: on a nearly full disk, small writes succeed in between.
        self.failures = 0;
    }
}

/// Counts a group. Both outcomes exist from the first commit on, so that the first failure is seen
/// as a change and not as a beginning.
pub(crate) fn measure(took: Duration, jobs: u64, is_committed: bool) {
    metrics::histogram!("livewatt_store_commit_seconds").record(took.as_secs_f64());
    metrics::counter!("livewatt_store_jobs_total").increment(jobs);
    for outcome in ["ok", "failed"] {
        metrics::counter!("livewatt_store_commits_total", "outcome" => outcome)
            .increment(u64::from((outcome == "ok") == is_committed));
    }
}
