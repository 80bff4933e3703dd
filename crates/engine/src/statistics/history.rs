//! What flowed to and from a device, with how it is known.

use std::collections::BTreeMap;

use livewatt_domain::{
    Timestamp,
    energy::{Flow, FlowSum, Place, Resolution},
    id::{ClientId, DeviceId},
    kind::DeviceKind,
    tariff::Cost,
    time,
};
use serde::Serialize;

use super::{Energy, EnergyCost, Spread, prices::PricedQuarter, rounded};
use crate::{Engine, EngineResult};

/// Which history is asked for.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    /// The customer.
    pub client: ClientId,
    /// The kind of device.
    pub kind: DeviceKind,
    /// The device.
    pub id: String,
    /// From this moment on.
    pub from: Timestamp,
    /// Before this moment.
    pub to: Timestamp,
    /// Length of the buckets.
    pub resolution: Resolution,
    /// Whose calendar they follow.
    pub place: Place,
}

/// What flowed to and from a device.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceEnergy {
    /// The device.
    pub device_id: DeviceId,
    /// Its kind.
    pub kind: DeviceKind,
    /// Length of the buckets.
    pub resolution: Resolution,
    /// The directions that its kind has.
    pub flows: Vec<FlowHistory>,
}

/// What flowed in one direction.
#[derive(Debug, Clone, Serialize)]
pub struct FlowHistory {
    /// What it is called.
    pub flow: &'static str,
    /// The buckets of which anything is known, in order.
    pub data: Vec<HistoryBucket>,
}

/// A bucket of a history.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryBucket {
    /// When it begins.
    #[serde(serialize_with = "time::serialize")]
    pub date: Timestamp,
    /// Energy, and how it is known.
    #[serde(flatten)]
    pub energy: Energy,
    /// Power while any flowed, kW.
    pub kw: Spread,
    /// What it cost, at the prices of where it flowed; null of what flowed out of the device, and
    /// where nothing flowed.
    pub cost: Option<EnergyCost>,
    /// Share of the time of which anything is known, 0 to 1.
    pub coverage: f64,
    /// Share of the time of which only the sum is known, not how it spread.
    pub bridged: f64,
    /// It is over, and what is told in time can no longer change it.
    pub is_final: bool,
    /// Rises when it turns out otherwise after it was over.
    pub version: u64,
    /// Why it last did; null if it never did.
    pub restated: Option<String>,
}

#[derive(Default)]
struct Gathered {
    sum: FlowSum,
    cost: Cost,
    is_paid: bool,
    restatements: u64,
    restated: Option<String>,
}

impl Engine {
    /// The history of a device by the bucket.
    ///
    /// # Errors
    /// [`EngineError::DeviceNotFound`](crate::EngineError::DeviceNotFound), or if the database
    /// fails.
    pub async fn device_energy(&self, query: HistoryQuery) -> EngineResult<DeviceEnergy> {
        let HistoryQuery {
            client,
            kind,
            id,
            from,
            to,
            resolution,
            place,
        } = query;
        let device_id = self.get_device(client, kind, &id).await?.id;
        // Whole buckets, so that coverage is a share of all of each.
        let from = resolution.start(from, &place);
        let quarters = self.store.quarters(vec![device_id], from, to).await?;
        let priced = self.priced(client, quarters, Flow::Taken).await?;
        let mut buckets: BTreeMap<(Flow, Timestamp), Gathered> = BTreeMap::new();
        for priced in priced {
            let is_paid = priced.is_paid();
            let PricedQuarter { quarter, price, .. } = priced;
            let start = resolution.start(quarter.start, &place);
            let bucket = buckets.entry((quarter.flow, start)).or_default();
            bucket.sum.add(&quarter.sum);
            if is_paid {
                bucket.is_paid = true;
                bucket.cost.add(quarter.sum.kwh, price.as_ref());
            }
            bucket.restatements += quarter.version - 1;
            bucket.restated = quarter.restated.or(bucket.restated.take());
        }
        let now = self.now();
        let told = |flow: Flow| {
            let of_flow = buckets.iter().filter(move |((of, _), _)| *of == flow);
            of_flow
                .map(|((_, start), gathered)| {
                    gathered.told(*start, resolution.end(*start, &place), now)
                })
                .collect()
        };
        let flows = Flow::ALL.into_iter().filter_map(|flow| {
            Some(FlowHistory {
                flow: flow.name(kind)?,
                data: told(flow),
            })
        });
        Ok(DeviceEnergy {
            device_id,
            kind,
            resolution,
            flows: flows.collect(),
        })
    }
}

impl Gathered {
    fn told(&self, start: Timestamp, end: Timestamp, now: Timestamp) -> HistoryBucket {
        use livewatt_domain::energy::LONGEST_HOLD;
        let whole = (end.as_millisecond() - start.as_millisecond()) as f64;
        let share = |ms: i64| rounded(ms as f64 / whole);
        let sum = &self.sum;
        HistoryBucket {
            date: start,
            energy: Energy::of(sum),
            kw: Spread::of_power(sum),
            cost: self.is_paid.then(|| EnergyCost::from(&self.cost)),
            coverage: share(sum.covered_ms()),
            bridged: share(sum.bridged_ms),
            is_final: now.duration_since(end) > LONGEST_HOLD,
            version: self.restatements + 1,
            restated: self.restated.clone(),
        }
    }
}
