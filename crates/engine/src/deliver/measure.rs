//! How deliveries fare, for those who operate an installation.

use livewatt_domain::Timestamp;
use serde::Deserialize;

use super::Deliveries;

/// How deliveries fare.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DeliveryFigures {
    /// Webhooks that take what they get, as far as was tried.
    pub active: usize,
    /// Webhooks with deliveries that failed and are tried again.
    pub failing: usize,
    /// Since when the one that fails longest does.
    pub failing_since: Option<Timestamp>,
}

impl Deliveries {
    /// How deliveries fare; costs as much as there are lanes.
    pub(crate) fn figures(&self) -> DeliveryFigures {
        let mut figures = DeliveryFigures::default();
        for webhook in self.watched().iter() {
            let lanes = webhook.lanes.iter();
            let failures = lanes.filter_map(|lane| lane.lane.pending.as_ref()?.failing_since);
            match failures.min() {
                None => figures.active += 1,
                Some(since) => {
                    figures.failing += 1;
                    let oldest = figures
                        .failing_since
                        .map_or(since, |other| other.min(since));
                    figures.failing_since = Some(oldest);
                }
            }
        }
        figures
    }
}

/// The part of an event that tells its age.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dated {
    created_at: Timestamp,
}

/// A delivery with these events was taken at `now`: how old the first of them was, which is the
/// oldest, for a delivery is in the order of the log.
pub(super) fn note_taken(bodies: &[String], now: Timestamp) {
    if let Some(age) = age_of_first(bodies, now) {
        metrics::histogram!("livewatt_delivery_lag_seconds").record(age);
    }
}

fn age_of_first(bodies: &[String], now: Timestamp) -> Option<f64> {
    let first: Dated = serde_json::from_str(bodies.first()?).ok()?;
    // A clock that was set back makes no event younger than new.
    Some(now.duration_since(first.created_at).as_secs_f64().max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_event_tells_the_age() {
        let at = |text: &str| text.parse().unwrap();
        let bodies = ["03:00:00", "03:00:09"].map(|time| {
            format!(r#"{{"event":"x","createdAt":"2026-11-23T{time}Z","version":"v"}}"#)
        });
        assert_eq!(
            age_of_first(&bodies, at("2026-11-23T03:00:12.5Z")),
            Some(12.5)
        );
        assert_eq!(age_of_first(&bodies, at("2026-11-23T02:00:00Z")), Some(0.0));
        assert_eq!(age_of_first(&[], at("2026-11-23T03:00:00Z")), None);
    }
}
