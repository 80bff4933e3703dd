//! Charging sessions: as the contract tells them, and with the evidence.

use livewatt_domain::{
    Timestamp,
    energy::{Flow, FlowSum, quarter_of},
    id::{ChargingSessionId, ClientId, DeviceId, UserId},
    kind::DeviceKind,
    session::{ChargingSession, Closed, Gap, Opened, pair},
    time,
};
use livewatt_store::Quarter;
use serde::Serialize;
use uuid::Uuid;

use super::{ChargingQuery, Spread, buckets::Cost, no_price, rounded};
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
    /// The Location that the device is at.
    pub location_id: Option<Uuid>,
    /// Power while charging, kW.
    pub kw: Spread,
    /// Energy, kWh.
    pub kwh_sum: f64,
    /// Price of a kWh; null if not all of it is known.
    pub price: Spread,
    /// Cost; null likewise.
    pub cost_sum: Option<f64>,
    /// Price had smart charging not shifted anything; null if it did not.
    pub non_smart_price: Spread,
    /// What smart charging saved; null if it shifted nothing.
    pub estimated_savings: Option<f64>,
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
}

impl ChargeReading {
    fn of(device_id: DeviceId, kind: DeviceKind, s: &ChargingSession, now: Timestamp) -> Self {
        Self {
            device_id,
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
        }
    }
}

impl Engine {
    /// The sessions that a query touches, whole, by device and time.
    ///
    /// # Errors
    /// [`EngineError::UserNotFound`](crate::EngineError::UserNotFound),
    /// [`EngineError::DeviceNotFound`](crate::EngineError::DeviceNotFound), or if the database
    /// fails.
    pub async fn charging_sessions(
        &self,
        query: ChargingQuery,
    ) -> EngineResult<Vec<ContractSession>> {
        let (from, to) = (query.from, query.to);
        let devices = self.devices_asked_about(query).await?;
        let ids: Vec<_> = devices.iter().map(|(id, _)| *id).collect();
        let mut told = Vec::new();
        for (device, session) in self.sessions_of(ids, from, to).await? {
            // What power there was cannot be told of one whose energy is not known.
            if session.sum.kwh <= 0.0 {
                continue;
            }
            let of_device = devices.iter().find(|(id, _)| *id == device);
            let start = quarter_of(session.from);
            let quarters = self.store.quarters(vec![device], start, session.to).await?;
            let (price, cost_sum) = cost(&session, &quarters).told();
            told.push(ContractSession {
                from: session.from,
                to: session.to,
                id: device,
                location_id: of_device.and_then(|(_, at)| *at),
                kw: Spread::of_power(&session.sum),
                kwh_sum: rounded(session.sum.kwh),
                price,
                cost_sum,
                non_smart_price: Spread::default(),
                estimated_savings: None,
            });
        }
        Ok(told)
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
            let ids = devices.into_iter().map(|(id, _)| id).collect();
            self.sessions_of(ids, from, to).await
        };
        let vehicles = of_kind(DeviceKind::Vehicle).await?;
        let chargers = of_kind(DeviceKind::Charger).await?;
        let mut charges = charges(&vehicles, &chargers, self.now());
        charges.sort_by_key(|charge| (charge.from, charge.id));
        Ok(charges)
    }

    async fn sessions_of(
        &self,
        devices: Vec<DeviceId>,
        from: Timestamp,
        to: Timestamp,
    ) -> EngineResult<Vec<(DeviceId, ChargingSession)>> {
        let mut sessions = self.store.charging_sessions(devices, from, to).await?;
        sessions.retain(|(_, session)| session.is_confirmed() && session.to >= from);
        Ok(sessions)
    }
}

/// What a session cost, as if it was the share of its quarter hours that it has of their energy.
fn cost(session: &ChargingSession, quarters: &[Quarter]) -> Cost {
    let mut cost = Cost::default();
    let charged = |quarter: &&Quarter| quarter.flow == Flow::Taken && quarter.sum.kwh > 0.0;
    let all: f64 = quarters.iter().filter(charged).map(|q| q.sum.kwh).sum();
    for quarter in quarters.iter().filter(charged) {
        let kwh = session.sum.kwh * quarter.sum.kwh / all;
        cost.add(kwh, no_price(quarter.device_id, quarter.start));
    }
    cost
}

/// The charges that sessions of vehicles and chargers are readings of.
fn charges(
    vehicles: &[(DeviceId, ChargingSession)],
    chargers: &[(DeviceId, ChargingSession)],
    now: Timestamp,
) -> Vec<Charge> {
    let only = |all: &[(DeviceId, ChargingSession)]| -> Vec<ChargingSession> {
        all.iter().map(|(_, session)| session.clone()).collect()
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
    vehicle: Option<&(DeviceId, ChargingSession)>,
    charger: Option<&(DeviceId, ChargingSession)>,
    now: Timestamp,
) -> Option<Charge> {
    let both = || {
        vehicle
            .into_iter()
            .chain(charger)
            .map(|(_, session)| session)
    };
    // The charger's, being that of the meter, unless it knows nothing.
    let better = charger
        .or(vehicle)
        .filter(|(_, session)| session.sum.kwh > 0.0);
    let (_, better) = better.or(vehicle).or(charger)?;
    let kwh = |reading: Option<&(DeviceId, ChargingSession)>| Some(reading?.1.sum.kwh);
    let difference = charger.and_then(|_| Some(kwh(charger)? - kwh(vehicle)?));
    let told = |reading: Option<&(DeviceId, ChargingSession)>, kind| {
        let (device, session) = reading?;
        Some(ChargeReading::of(*device, kind, session, now))
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
        kwh: rounded(better.sum.kwh),
        difference_kwh: difference.map(rounded),
        readings: readings.into_iter().flatten().collect(),
    })
}
