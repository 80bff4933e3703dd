//! What an inverter produced in a day or a month: as its vendor recorded it, or where that records
//! nothing, as it was summed up here.

use std::collections::BTreeMap;

use livewatt_domain::{
    Timestamp,
    device::Device,
    energy::{Flow, LONGEST_HOLD},
    production::{InverterStatistics, Period, Production, plan, retry_after},
    time,
};
use livewatt_store::{ProductionVisit, Quarter};
use serde::Serialize;

use super::rounded;
use crate::{Engine, EngineError, EngineResult, cluster::Letter, production::Place};

/// What an inverter produced, as the contract has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductionStatistics {
    /// The zone and the series.
    #[serde(flatten)]
    pub statistics: InverterStatistics,
    /// When more may be known; absent if nothing is expected to change.
    #[serde(
        serialize_with = "time::serialize_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub retry_after: Option<Timestamp>,
}

/// What is summed up here may be other after a quarter of an hour.
const SOON: livewatt_domain::SignedDuration = LONGEST_HOLD;

impl Engine {
    /// What an inverter produced in a period of its own calendar.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] for the future, [`EngineError::Precondition`] for what was before the
    /// inverter, or if the database fails.
    pub async fn inverter_statistics(
        &self,
        inverter: &Device,
        period: Period,
    ) -> EngineResult<ProductionStatistics> {
        let place = Place::of(inverter);
        let now = self.now();
        if period.begin(&place.zone) > now {
            let field = match period {
                Period::Day(_) => "day",
                Period::Month(_) => "month",
            };
            return Err(EngineError::invalid(field, "must not be in the future"));
        }
        if period.end(&place.zone) <= place.installed_at {
            return Err(EngineError::Precondition {
                detail: "No data available for dates before the installation date of the inverter"
                    .to_owned(),
            });
        }
        let account = self.store.find_account(inverter.account_id).await?;
        let integration = account.and_then(|(account, _)| self.vendors.get(&account.integration));
        match integration {
            Some(vendor) if vendor.keeps_production() => {
                self.recorded(inverter, &place, period).await
            }
            _ => self.summed_up(inverter, &place, period).await,
        }
    }

    /// As the vendor recorded it.
    async fn recorded(
        &self,
        inverter: &Device,
        place: &Place,
        period: Period,
    ) -> EngineResult<ProductionStatistics> {
        let next_at = match self.store.next_production(inverter.id).await? {
            Some(next_at) => next_at,
            None => self.begin_production(inverter).await?,
        };
        let now = self.now();
        let known = self.known_productions(inverter.id, place).await?;
        let ahead = plan(now, &place.zone, place.installed_at, &known);
        let told = self.store.production(inverter.id, period).await?;
        let told = told.unwrap_or_else(|| {
            let zone = place.zone.clone();
            Production::told(period, zone, None, now, place.installed_at)
        });
        Ok(ProductionStatistics {
            statistics: told.statistics(),
            retry_after: retry_after(&ahead, period, next_at, now),
        })
    }

    /// An older program, which knows nothing of this, found the inverter: begins with it now.
    async fn begin_production(&self, inverter: &Device) -> EngineResult<Timestamp> {
        let account = inverter.account_id;
        let next_at = self.now();
        let mut unit = self.unit_about(account, &Letter::Changed { account })?;
        unit.productions.push(ProductionVisit {
            device_id: inverter.id,
            told: None,
            next_at,
            failures: 0,
        });
        self.commit(inverter.client_id, unit).await?;
        Ok(next_at)
    }

    /// As it was summed up of what the inverter told.
    async fn summed_up(
        &self,
        inverter: &Device,
        place: &Place,
        period: Period,
    ) -> EngineResult<ProductionStatistics> {
        let (begin, end) = (period.begin(&place.zone), period.end(&place.zone));
        let quarters = self.store.quarters(vec![inverter.id], begin, end).await?;
        let now = self.now();
        let told = of_quarters(&quarters, period, place, now);
        let is_over = now.duration_since(end) > LONGEST_HOLD;
        Ok(ProductionStatistics {
            statistics: told.statistics(),
            retry_after: (!is_over).then(|| now.saturating_add(SOON).unwrap_or(now)),
        })
    }
}

/// The quarter hours of a period, by its buckets.
fn of_quarters(quarters: &[Quarter], period: Period, place: &Place, now: Timestamp) -> Production {
    let starts = period.buckets(&place.zone);
    let mut known: BTreeMap<usize, f64> = BTreeMap::new();
    let produced = quarters
        .iter()
        .filter(|quarter| quarter.flow == Flow::Given && quarter.sum.covered_ms() > 0);
    for quarter in produced {
        let after = starts.partition_point(|start| *start <= quarter.start);
        *known.entry(after.saturating_sub(1)).or_default() += quarter.sum.kwh;
    }
    let kwh = (0..starts.len()).map(|bucket| known.get(&bucket).copied().map(rounded));
    let kwh = (!known.is_empty()).then(|| kwh.collect());
    Production::told(period, place.zone.clone(), kwh, now, place.installed_at)
}

#[cfg(test)]
mod tests {
    use livewatt_domain::{SignedDuration, energy::FlowSum, id::DeviceId};
    use uuid::Uuid;

    use super::*;

    /// A night in which clocks change: each quarter hour is in its own bucket and day, and what is
    /// not known is not zero.
    #[test]
    fn quarter_hours_are_told_in_the_calendar_of_the_place() {
        let place = Place {
            zone: "Europe/Oslo".parse().unwrap(),
            installed_at: Timestamp::UNIX_EPOCH,
        };
        let day: Period = "2026-03-29".parse().unwrap();
        let (begin, end) = (day.begin(&place.zone), day.end(&place.zone));
        let quarter = |number: i64, flow, covered| Quarter {
            device_id: DeviceId(Uuid::nil()),
            flow,
            start: begin + SignedDuration::from_mins(15 * number),
            version: 1,
            restated: None,
            sum: FlowSum {
                kwh: number as f64,
                rate_ms: covered,
                ..FlowSum::default()
            },
        };
        let mut quarters: Vec<_> = (0..92).map(|n| quarter(n, Flow::Given, 1)).collect();
        quarters[3] = quarter(3, Flow::Given, 0);
        quarters.push(quarter(5, Flow::Taken, 1));
        let told = of_quarters(&quarters, day, &place, end);
        let kwh = told.kwh.unwrap();
        assert_eq!(kwh.len(), 92);
        assert_eq!(kwh[..5], [Some(0.0), Some(1.0), Some(2.0), None, Some(4.0)]);
        assert_eq!(kwh[91], Some(91.0));
        let month = of_quarters(&quarters, "2026-03".parse().unwrap(), &place, end);
        let days = month.kwh.unwrap();
        assert_eq!(days[27..30], [None, Some(f64::from(91 * 92 / 2 - 3)), None]);
        assert_eq!(of_quarters(&[], day, &place, end).kwh, None);
    }
}
