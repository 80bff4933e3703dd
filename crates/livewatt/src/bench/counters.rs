//! The engine's own metrics, as a scrape tells them.

use std::collections::BTreeMap;

use anyhow::ensure;
use metrics_exporter_prometheus::PrometheusHandle;

/// What was counted by some moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Counters {
    /// Fetches by outcome.
    polls: BTreeMap<String, u64>,
    /// Events committed.
    pub(super) events: u64,
    /// Promises broken, by block.
    pub(super) breaches: u64,
    /// Partitions that this node owns.
    pub(super) partitions: u64,
    /// Transactions, and the seconds that they took together.
    pub(super) commits: u64,
    pub(super) commit_secs: f64,
    /// Transactions that took no longer than so many seconds; ascending, the last without a bound.
    commits_within: Vec<(f64, u64)>,
}

impl Counters {
    pub(super) fn read(metrics: &PrometheusHandle) -> Self {
        Self::parse(&metrics.render())
    }

    fn parse(text: &str) -> Self {
        let mut found = Self::default();
        for line in text.lines() {
            let Some((name, value)) = line.rsplit_once(' ') else {
                continue;
            };
            if name == "livewatt_store_commit_seconds_sum" {
                found.commit_secs = value.parse().unwrap_or(0.0);
            }
            let value = value.parse().unwrap_or(0);
            if let Some(labels) = name.strip_prefix("livewatt_polls_total{") {
                let outcome = labels
                    .split_once("outcome=\"")
                    .and_then(|(_, rest)| rest.split('"').next());
                *found
                    .polls
                    .entry(outcome.unwrap_or("?").to_owned())
                    .or_default() += value;
            } else if name.starts_with("livewatt_freshness_breaches_total{") {
                found.breaches += value;
            } else if name == "livewatt_events_total" {
                found.events += value;
            } else if name == "livewatt_partitions_owned" {
                found.partitions = value;
            } else if name == "livewatt_store_commit_seconds_count" {
                found.commits = value;
            } else if let Some(label) = name.strip_prefix("livewatt_store_commit_seconds_bucket{") {
                let bound = label.trim_start_matches("le=\"").trim_end_matches("\"}");
                let bound = bound.parse().unwrap_or(f64::INFINITY);
                found.commits_within.push((bound, value));
            }
        }
        found
    }

    /// Fetches that went well.
    pub(super) fn polls(&self) -> u64 {
        self.polls.get("ok").copied().unwrap_or(0)
    }

    /// Mean time of a transaction since `before`, ms; none if there was none.
    pub(super) fn commit_mean_ms(&self, before: &Self) -> f64 {
        let commits = self.commits - before.commits;
        (self.commit_secs - before.commit_secs) * 1e3 / commits.max(1) as f64
    }

    /// The bound below which so large a share of the transactions since `before` stayed, ms; as fine
    /// as the buckets of the metric.
    pub(super) fn commit_quantile_ms(&self, before: &Self, share: f64) -> f64 {
        let wanted = (self.commits - before.commits) as f64 * share;
        let within = |counters: &Self, bound: f64| {
            let mut buckets = counters.commits_within.iter();
            buckets
                .find(|(at, _)| *at == bound)
                .map_or(0, |(_, count)| *count)
        };
        let mut bounds = self.commits_within.iter().map(|(bound, _)| *bound);
        let reached =
            bounds.find(|bound| (within(self, *bound) - within(before, *bound)) as f64 >= wanted);
        reached.unwrap_or(0.0) * 1e3
    }

    /// Fails if a fetch went wrong since `before`: then something else was measured.
    pub(super) fn check_since(&self, before: &Self) -> anyhow::Result<()> {
        for (outcome, count) in &self.polls {
            let new = count - before.polls.get(outcome).copied().unwrap_or(0);
            ensure!(
                outcome == "ok" || new == 0,
                "{new} fetches ended as {outcome}: the figures would mean nothing"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_is_understood() {
        let text = "# TYPE livewatt_polls_total counter\n\
                    livewatt_polls_total{integration=\"volta\",outcome=\"ok\"} 7\n\
                    livewatt_polls_total{integration=\"volta\",outcome=\"malformed\"} 2\n\
                    livewatt_freshness_breaches_total{reason=\"late\"} 4\n\
                    livewatt_freshness_breaches_total{reason=\"backoff\"} 1\n\
                    livewatt_store_commit_seconds_bucket{le=\"0.001\"} 8\n\
                    livewatt_store_commit_seconds_bucket{le=\"0.01\"} 10\n\
                    livewatt_store_commit_seconds_bucket{le=\"+Inf\"} 10\n\
                    livewatt_store_commit_seconds_sum 0.02\n\
                    livewatt_store_commit_seconds_count 10\n\
                    livewatt_events_total 3\n";
        let counters = Counters::parse(text);
        assert_eq!((counters.polls(), counters.events), (7, 3));
        assert_eq!(counters.breaches, 5);
        assert!(counters.check_since(&counters.clone()).is_ok());
        assert!(counters.check_since(&Counters::default()).is_err());
        let nothing = Counters::default();
        assert_eq!(counters.commit_mean_ms(&nothing), 2.0);
        assert_eq!(counters.commit_quantile_ms(&nothing, 0.5), 1.0);
        assert_eq!(counters.commit_quantile_ms(&nothing, 0.99), 10.0);
        assert_eq!(counters.commit_mean_ms(&counters), 0.0);
    }
}
