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
            }
        }
        found
    }

    /// Fetches that went well.
    pub(super) fn polls(&self) -> u64 {
        self.polls.get("ok").copied().unwrap_or(0)
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
    fn polls_are_told_by_outcome() {
        let text = "# TYPE livewatt_polls_total counter\n\
                    livewatt_polls_total{integration=\"volta\",outcome=\"ok\"} 7\n\
                    livewatt_polls_total{integration=\"volta\",outcome=\"malformed\"} 2\n\
                    livewatt_freshness_breaches_total{reason=\"late\"} 4\n\
                    livewatt_freshness_breaches_total{reason=\"backoff\"} 1\n\
                    livewatt_events_total 3\n";
        let counters = Counters::parse(text);
        assert_eq!((counters.polls(), counters.events), (7, 3));
        assert_eq!(counters.breaches, 5);
        assert!(counters.check_since(&counters.clone()).is_ok());
        assert!(counters.check_since(&Counters::default()).is_err());
    }
}
