//! Charging sessions: as the contract tells them, and with the evidence.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use livewatt_domain::{
    Timestamp,
    energy::{Flow, FlowSum, quarter_end, quarter_of},
    id::{ChargingSessionId, ClientId, DeviceId, LocationId, UserId},
    kind::DeviceKind,
    session::{ChargingSession, Closed, Gap, Opened, pair},
    tariff::Cost,
    time,
};
use serde::Serialize;

use super::{
    Charged, ChargingQuery, ContractCost, EnergyCost, Spread, prices::PricedQuarter, rounded,
};
use crate::{Engine, EngineResult};

/// Energy, and how much of it is known in which way.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Energy {
    /// All of it, kWh.
    pub kwh: f64,
    /// By a counter of the vendor, kWh.
    pub counter_kwh: f64,
    /// By power and time, kWh.
    pub rate_kwh: f64,
    /// By the level of the battery, kWh.
    pub state_of_charge_kwh: f64,
}

impl Energy {
    pub(super) fn of(sum: &FlowSum) -> Self {
        Self {
            kwh: rounded(sum.kwh),
            counter_kwh: rounded(sum.counter_kwh),
            rate_kwh: rounded(sum.rate_kwh()),
            state_of_charge_kwh: rounded(sum.level_kwh),
        }
    }
}

/// A session, as the contract has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContractSession {
    /// When it began.
    #[serde(serialize_with = "time::serialize")]
    pub from: Timestamp,
    /// When it ended, or was last seen to go on.
    #[serde(serialize_with = "time::serialize")]
    pub to: Timestamp,
    /// The device.
    pub id: DeviceId,
    /// The Location that the device was at.
    pub location_id: Option<LocationId>,
    /// Power while charging, kW.
    pub kw: Spread,
    /// Energy, kWh.
    pub kwh_sum: f64,
    /// What that cost.
    #[serde(flatten)]
    pub cost: ContractCost,
}

/// A charge, by one or two readings: that of the vehicle and that of the charger.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Charge {
    /// Its identifier, which stays when more becomes known.
    pub id: ChargingSessionId,
    /// When it began.
    #[serde(serialize_with = "time::serialize")]
    pub from: Timestamp,
    /// When it ended, or was last seen to go on.
    #[serde(serialize_with = "time::serialize")]
    pub to: Timestamp,
    /// It goes on.
    pub is_ongoing: bool,
    /// Energy by the better reading, kWh.
    pub kwh: f64,
    /// What the charger counted more than the vehicle, kWh; null without both.
    pub difference_kwh: Option<f64>,
    /// Where it was, by the reading that says what it cost; null if that is not known.
    pub location_id: Option<LocationId>,
    /// What it cost, by the better reading of those of which most is priced; null if its energy is
    /// not known.
    pub cost: Option<EnergyCost>,
    /// What each device told.
    pub readings: Vec<ChargeReading>,
}

/// What one device told of a charge.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChargeReading {
    /// The device.
    pub device_id: DeviceId,
    /// Its kind.
    pub kind: DeviceKind,
    /// When it began, by this device.
    #[serde(serialize_with = "time::serialize")]
    pub from: Timestamp,
    /// When it ended.
    #[serde(serialize_with = "time::serialize")]
    pub to: Timestamp,
    /// Why it was opened.
    pub opened: Opened,
    /// Why it was closed; null while it goes on.
    pub closed: Option<Closed>,
    /// Readings that said that it charges.
    pub readings: u32,
    /// Times of more than a quarter of an hour in which nothing was told.
    pub gaps: Vec<Gap>,
    /// Energy, and how it is known.
    pub energy: Energy,
    /// Power while charging, kW.
    pub kw: Spread,
    /// State of charge at the beginning, %.
    pub level_from: Option<f64>,
    /// State of charge at the end, %.
    pub level_to: Option<f64>,
    /// Where the device was; null if that is not known.
    pub location_id: Option<LocationId>,
    /// What it cost there; null if its energy is not known.
    pub cost: Option<EnergyCost>,
}

/// A session of a device, with where it was and what it cost.
#[derive(Debug, Clone)]
pub(super) struct PricedSession {
    device: DeviceId,
    session: ChargingSession,
    pub(super) location: Option<LocationId>,
    pub(super) cost: Cost,
}

impl PricedSession {
    fn has_energy(&self) -> bool {
        self.session.sum.kwh > 0.0
    }

    fn told_cost(&self) -> Option<EnergyCost> {
        self.has_energy().then(|| EnergyCost::from(&self.cost))
    }
}

impl ChargeReading {
    fn of(priced: &PricedSession, kind: DeviceKind, now: Timestamp) -> Self {
        let s = &priced.session;
        Self {
            device_id: priced.device,
            kind,
            from: s.from,
            to: s.to,
            opened: s.opened,
            closed: s.closed_by(now),
            readings: s.readings,
            gaps: s.gaps.clone(),
            energy: Energy::of(&s.sum),
            kw: Spread::of_power(&s.sum),
            level_from: s.level_from,
            level_to: s.level_to,
            location_id: priced.location,
            cost: priced.told_cost(),
        }
    }
}

impl Engine {
    /// The sessions that a query touches, whole, by device and time. One that is not priced
    /// throughout, in one currency, is left out.
    ///
    /// # Errors
    /// [`EngineError::UserNotFound`](crate::EngineError::UserNotFound),
    /// [`EngineError::DeviceNotFound`](crate::EngineError::DeviceNotFound), or if the database
    /// fails.
    pub async fn charging_sessions(
        &self,
        query: ChargingQuery,
    ) -> EngineResult<Charged<ContractSession>> {
        let ChargingQuery {
            client,
            location,
            from,
            to,
            ..
        } = query;
        let devices = self.devices_asked_about(query).await?;
        let mut sessions = self.sessions_of(client, devices, from, to).await?;
        sessions.retain(|priced| location.is_none() || priced.location == location);
        let (mut rows, mut currencies) = (Vec::new(), BTreeSet::new());
        let mut left_out_kwh = 0.0;
        // What power there was cannot be told of one whose energy is not known.
        for priced in sessions.iter().filter(|priced| priced.has_energy()) {
            let session = &priced.session;
            let Some(total) = priced.cost.total() else {
                left_out_kwh += session.sum.kwh;
                continue;
            };
            currencies.insert(total.currency);
            rows.push(ContractSession {
                from: session.from,
                to: session.to,
                id: priced.device,
                location_id: priced.location,
                kw: Spread::of_power(&session.sum),
                kwh_sum: rounded(session.sum.kwh),
                cost: total.into(),
            });
        }
        let currency = currencies.first().copied().flatten();
        Ok(Charged {
            rows,
            currency: currency.filter(|_| currencies.len() == 1),
            left_out_kwh: rounded(left_out_kwh),
        })
    }

    /// The charges of a user's vehicles and chargers that touch a time, the oldest first: where both
    /// told of one, it is one.
    ///
    /// # Errors
    /// [`EngineError::UserNotFound`](crate::EngineError::UserNotFound), or if the database fails.
    pub async fn list_charges(
        &self,
        client: ClientId,
        user: UserId,
        from: Timestamp,
        to: Timestamp,
    ) -> EngineResult<Vec<Charge>> {
        let of_kind = async |kind| {
            let query = ChargingQuery {
                client,
                user: user.clone(),
                kind,
                device: None,
                location: None,
                from,
                to,
            };
            let devices = self.devices_asked_about(query).await?;
            self.sessions_of(client, devices, from, to).await
        };
        let vehicles = of_kind(DeviceKind::Vehicle).await?;
        let chargers = of_kind(DeviceKind::Charger).await?;
        let mut charges = charges(&vehicles, &chargers, self.now());
        charges.sort_by_key(|charge| (charge.from, charge.id));
        Ok(charges)
    }

    async fn sessions_of(
        &self,
        client: ClientId,
        devices: Vec<DeviceId>,
        from: Timestamp,
        to: Timestamp,
    ) -> EngineResult<Vec<PricedSession>> {
        let of_devices = self.store.charging_sessions(devices.clone(), from, to);
        let mut sessions = of_devices.await?;
        sessions.retain(|(_, session)| session.is_confirmed() && session.to >= from);
        let first = sessions.iter().map(|(_, session)| session.from).min();
        let last = sessions.iter().map(|(_, session)| session.to).max();
        let quarters = match first.zip(last) {
            Some((first, last)) => {
                let first = quarter_of(first);
                self.store.quarters(devices, first, last).await?
            }
            None => Vec::new(),
        };
        let mut by_device: HashMap<DeviceId, Vec<PricedQuarter>> = HashMap::new();
        for priced in self.priced(client, quarters, Flow::Taken).await? {
            if priced.is_paid() {
                let of_device = by_device.entry(priced.quarter.device_id).or_default();
                of_device.push(priced);
            }
        }
        let sessions = sessions.into_iter().map(|(device, session)| {
            let quarters = by_device.get(&device).map_or(&[][..], Vec::as_slice);
            priced_session(device, session, quarters)
        });
        Ok(sessions.collect())
    }
}

/// What a session cost and where it was: its energy is spread as that of the device was over the
/// time that they have in common. The Location is that of most of it.
pub(super) fn priced_session(
    device: DeviceId,
    session: ChargingSession,
    quarters: &[PricedQuarter],
) -> PricedSession {
    let mut parts: Vec<(&PricedQuarter, f64)> = Vec::new();
    let first = quarters.partition_point(|of| quarter_end(of.quarter.start) <= session.from);
    for priced in quarters.iter().skip(first) {
        let quarter = &priced.quarter;
        if quarter.start >= session.to {
            break;
        }
        let from = quarter.start.max(session.from).as_millisecond();
        let to = quarter_end(quarter.start).min(session.to).as_millisecond();
        // Of a quarter hour with the end of one session and the beginning of another, each has its
        // share.
        let share = (to - from) as f64 / quarter.sum.active_ms.max(1) as f64;
        parts.push((priced, quarter.sum.kwh * share.min(1.0)));
    }
    let all: f64 = parts.iter().map(|(_, kwh)| kwh).sum();
    let mut cost = Cost::default();
    let mut by_location: BTreeMap<Option<LocationId>, f64> = BTreeMap::new();
    if all > 0.0 {
        for (priced, kwh) in &parts {
            let kwh = session.sum.kwh * kwh / all;
            cost.add(kwh, priced.price.as_ref());
            *by_location.entry(priced.location).or_default() += kwh;
        }
    } else {
        cost.add(session.sum.kwh, None);
    }
    let most = by_location
        .iter()
        .max_by(|(_, one), (_, other)| one.total_cmp(other));
    PricedSession {
        device,
        session,
        location: most.and_then(|(location, _)| *location),
        cost,
    }
}

/// The charges that sessions of vehicles and chargers are readings of.
fn charges(vehicles: &[PricedSession], chargers: &[PricedSession], now: Timestamp) -> Vec<Charge> {
    let only = |all: &[PricedSession]| -> Vec<ChargingSession> {
        all.iter().map(|priced| priced.session.clone()).collect()
    };
    let pairs = pair(&only(vehicles), &only(chargers));
    let mut charges = Vec::new();
    for (vehicle, charger) in &pairs {
        charges.push(charge(
            Some(&vehicles[*vehicle]),
            Some(&chargers[*charger]),
            now,
        ));
    }
    for (place, vehicle) in vehicles.iter().enumerate() {
        if !pairs.iter().any(|(paired, _)| *paired == place) {
            charges.push(charge(Some(vehicle), None, now));
        }
    }
    for (place, charger) in chargers.iter().enumerate() {
        if !pairs.iter().any(|(_, paired)| *paired == place) {
            charges.push(charge(None, Some(charger), now));
        }
    }
    charges.into_iter().flatten().collect()
}

fn charge(
    vehicle: Option<&PricedSession>,
    charger: Option<&PricedSession>,
    now: Timestamp,
) -> Option<Charge> {
    let both = || {
        vehicle
            .into_iter()
            .chain(charger)
            .map(|priced| &priced.session)
    };
    // The charger's, being that of the meter, unless it knows nothing.
    let better = charger.or(vehicle).filter(|priced| priced.has_energy());
    let better = better.or(vehicle).or(charger)?;
    // A charger stands nowhere until the customer says where; the vehicle knows by itself.
    let readings = [Some(better), charger, vehicle];
    let known = readings.into_iter().flatten();
    let known = known.filter(|priced| priced.has_energy());
    let paid = known.min_by_key(|priced| priced.cost.unpriced_kwh());
    let paid = paid.unwrap_or(better);
    let kwh = |reading: Option<&PricedSession>| Some(reading?.session.sum.kwh);
    let difference = charger.and_then(|_| Some(kwh(charger)? - kwh(vehicle)?));
    let told = |reading: Option<&PricedSession>, kind| {
        reading.map(|priced| ChargeReading::of(priced, kind, now))
    };
    let readings = [
        told(vehicle, DeviceKind::Vehicle),
        told(charger, DeviceKind::Charger),
    ];
    Some(Charge {
        // The one that was known first, so that the other coming to be known changes nothing.
        id: both().map(|session| session.id).min()?,
        from: both().map(|session| session.from).min()?,
        to: both().map(|session| session.to).max()?,
        is_ongoing: both().any(|session| session.closed_by(now).is_none()),
        kwh: rounded(better.session.sum.kwh),
        difference_kwh: difference.map(rounded),
        location_id: paid.location,
        cost: paid.told_cost(),
        readings: readings.into_iter().flatten().collect(),
    })
}
