//! What inverters produced, with what that was worth: at the price of a kWh at the Location where it
//! was produced, as charging there would have cost.
//!
//! The same quarter hours as those of charging statistics. Here all that was produced is told, so what
//! has no price has no earnings, which are not earnings of zero.

use std::collections::BTreeMap;

use livewatt_domain::{
    Timestamp,
    energy::{Flow, FlowSum, Place, Resolution},
    kind::DeviceKind,
    money::Currency,
    tariff::Cost,
    time,
};
use serde::Serialize;

use super::{ChargingQuery, Spread, costs, prices::PricedQuarter, rounded};
use crate::{Engine, EngineError, EngineResult};

/// What was produced in a bucket.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EarningsBucket {
    /// When it begins.
    #[serde(serialize_with = "time::serialize")]
    pub date: Timestamp,
    /// Power while producing, kW.
    pub kw: Spread,
    /// Energy, kWh.
    pub kwh_sum: f64,
    /// Price of a kWh; null if a part of the energy has none, or another currency than the rest.
    pub price: Spread,
    /// What it was worth; null likewise.
    pub earnings_sum: Option<f64>,
    /// ISO 4217 code; null without earnings, or if nobody said.
    pub currency: Option<Currency>,
    /// Energy without a price, kWh.
    pub unpriced_kwh: f64,
}

impl Engine {
    /// What a user's inverters produced, by the bucket, in the calendar of a place. Buckets in which
    /// nothing was produced are left out.
    ///
    /// # Errors
    /// [`EngineError::UserNotFound`], [`EngineError::DeviceNotFound`],
    /// [`EngineError::LocationNotFound`], or if the database fails.
    pub async fn production_earnings(
        &self,
        query: ChargingQuery,
        resolution: Resolution,
        place: &Place,
    ) -> EngineResult<Vec<EarningsBucket>> {
        let ChargingQuery {
            client,
            location,
            from,
            to,
            ..
        } = query;
        let query = ChargingQuery {
            kind: DeviceKind::Inverter,
            ..query
        };
        let user = query.user.clone();
        let devices = self.devices_asked_about(query).await?;
        if let Some(location) = location {
            let found = self.store.find_location(client, location).await?;
            if found.is_none_or(|found| found.user_id != user) {
                return Err(EngineError::LocationNotFound(location.to_string()));
            }
        }
        let quarters = self.store.quarters(devices, from, to).await?;
        let mut priced = self.priced(client, quarters, Flow::Given).await?;
        priced.retain(|quarter| location.is_none() || quarter.location == location);
        Ok(earnings(&priced, resolution, place))
    }
}

/// The buckets of what was produced.
pub(super) fn earnings(
    quarters: &[PricedQuarter],
    resolution: Resolution,
    place: &Place,
) -> Vec<EarningsBucket> {
    let produced = quarters.iter().filter(|quarter| quarter.has(Flow::Given));
    let mut buckets: BTreeMap<Timestamp, (FlowSum, Cost)> = BTreeMap::new();
    for PricedQuarter { quarter, price, .. } in produced {
        let start = resolution.start(quarter.start, place);
        let (sum, worth) = buckets.entry(start).or_default();
        sum.add(&quarter.sum);
        worth.add(quarter.sum.kwh, price.as_ref());
    }
    let told = buckets.into_iter().map(|(date, (sum, worth))| {
        let total = worth.total();
        EarningsBucket {
            date,
            kw: Spread::of_power(&sum),
            kwh_sum: rounded(sum.kwh),
            price: total
                .map(|total| Spread::of_price(&total))
                .unwrap_or_default(),
            earnings_sum: total.map(|total| costs::amount(total.amount)),
            currency: total.and_then(|total| total.currency),
            unpriced_kwh: costs::amount(worth.unpriced_kwh()),
        }
    });
    told.collect()
}
