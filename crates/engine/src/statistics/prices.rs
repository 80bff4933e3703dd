//! What each quarter hour of energy cost: joined when it is read, so that nobody who polls or
//! commits has to know a price.
//!
//! Energy is priced at the Location where the device was while it flowed, by the tariff that was in
//! force there then and the Location's own clock, and by the market where that leaves a gap.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use livewatt_domain::{
    Timestamp,
    energy::{Flow, quarter_end},
    id::{ClientId, DeviceId, LocationId},
    stay::{Stay, Stays},
    tariff::{Price, Timetable, prices_of},
    zone::Zone,
};
use livewatt_store::Quarter;

use crate::{Engine, EngineResult};

/// A quarter hour of energy, with where it flowed and what a kWh cost there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PricedQuarter {
    pub(super) quarter: Quarter,
    /// `None` if the device was at no Location.
    pub(super) location: Option<LocationId>,
    /// `None` if nobody says.
    pub(super) price: Option<Price>,
}

impl PricedQuarter {
    fn new(quarter: Quarter, location: Option<LocationId>) -> Self {
        Self {
            quarter,
            location,
            price: None,
        }
    }

    /// Whether energy flowed that somebody pays for: into the device, as its tariff means it.
    pub(super) fn is_paid(&self) -> bool {
        self.has(Flow::Taken)
    }

    /// Whether energy flowed this way.
    pub(super) fn has(&self, flow: Flow) -> bool {
        self.quarter.flow == flow && self.quarter.sum.kwh > 0.0
    }
}

impl Engine {
    /// Says of each quarter hour where it flowed, and of what flowed in a direction, what a kWh cost.
    pub(super) async fn priced(
        &self,
        client: ClientId,
        quarters: Vec<Quarter>,
        flow: Flow,
    ) -> EngineResult<Vec<PricedQuarter>> {
        let first = quarters.iter().map(|quarter| quarter.start).min();
        let last = quarters.iter().map(|quarter| quarter.start).max();
        let Some((first, last)) = first.zip(last) else {
            return Ok(Vec::new());
        };
        let devices: BTreeSet<_> = quarters.iter().map(|quarter| quarter.device_id).collect();
        let devices = devices.into_iter().collect();
        let stays = self.store.stays(devices, first, quarter_end(last)).await?;
        let mut priced = located(quarters, stays);
        let mut asked: BTreeMap<LocationId, BTreeSet<Timestamp>> = BTreeMap::new();
        for quarter in priced.iter().filter(|quarter| quarter.has(flow)) {
            if let Some(location) = quarter.location {
                let starts = asked.entry(location).or_default();
                starts.insert(quarter.quarter.start);
            }
        }
        for (location, starts) in asked {
            let known = self.prices_at(client, location, starts).await?;
            for quarter in &mut priced {
                if quarter.location == Some(location) && quarter.has(flow) {
                    quarter.price = known.get(&quarter.quarter.start).cloned();
                }
            }
        }
        Ok(priced)
    }

    /// The prices of quarter hours at a Location; none where there are none, and none at all if the
    /// Location is gone.
    async fn prices_at(
        &self,
        client: ClientId,
        location: LocationId,
        starts: BTreeSet<Timestamp>,
    ) -> EngineResult<HashMap<Timestamp, Price>> {
        let Some(known) = self.store.location_prices(client, location).await? else {
            return Ok(HashMap::new());
        };
        let zone = known.location.zone;
        let currency = known.pricing.currency.or(known.client_currency);
        // The tariff goes first, so only where it says nothing do others have to be asked.
        let of_tariff = Timetable::new(
            currency,
            known.hung.clone(),
            known.tariffs.clone(),
            Vec::new(),
        );
        let (mut told, open) = told(&of_tariff, &zone, starts);
        let range = open.first().copied().zip(open.last().copied());
        if let (Some((first, last)), Some(area)) = (range, &known.pricing.price_area) {
            let market = self.market(client, area, first..quarter_end(last)).await?;
            let with_market = Timetable::new(currency, known.hung, known.tariffs, market);
            told.extend(self::told(&with_market, &zone, open).0);
        }
        Ok(told)
    }
}

/// Says of each quarter hour where it flowed.
pub(super) fn located(quarters: Vec<Quarter>, stays: Vec<(DeviceId, Stay)>) -> Vec<PricedQuarter> {
    let mut by_device: HashMap<DeviceId, Vec<Stay>> = HashMap::new();
    for (device, stay) in stays {
        by_device.entry(device).or_default().push(stay);
    }
    let stays: HashMap<_, _> = by_device
        .into_iter()
        .map(|(device, stays)| (device, Stays::new(stays)))
        .collect();
    let located = quarters.into_iter().map(|quarter| {
        let of_device = stays.get(&quarter.device_id);
        let location = of_device.and_then(|stays| stays.in_quarter(quarter.start));
        PricedQuarter::new(quarter, location)
    });
    located.collect()
}

/// The prices that a timetable tells of quarter hours, and those of which it tells none.
pub(super) fn told(
    timetable: &Timetable,
    zone: &Zone,
    starts: BTreeSet<Timestamp>,
) -> (HashMap<Timestamp, Price>, BTreeSet<Timestamp>) {
    let (mut told, mut open) = (HashMap::new(), BTreeSet::new());
    for (start, price) in prices_of(timetable, zone, starts) {
        match price {
            Some(price) => {
                told.insert(start, price);
            }
            None => {
                open.insert(start);
            }
        }
    }
    (told, open)
}
