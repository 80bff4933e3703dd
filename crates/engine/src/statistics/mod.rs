//! What flowed, and what was charged: the history of a device, charging statistics of a user by the
//! bucket, and charging sessions. Always from what was summed up when it was told.
//!
//! Energy whose price is not known has no cost, which is not a cost of zero.

mod buckets;
mod history;
mod production;
mod sessions;

pub use buckets::{ChargingBucket, Spread};
pub use history::{DeviceEnergy, FlowHistory, HistoryBucket, HistoryQuery};
pub use production::ProductionStatistics;
pub use sessions::{Charge, ChargeReading, ContractSession, Energy};

use livewatt_domain::{
    Timestamp,
    energy::{Place, Resolution},
    id::{ClientId, DeviceId, UserId},
    kind::DeviceKind,
};
use uuid::Uuid;

use crate::{Engine, EngineError, EngineResult};

/// Which statistics of a user are asked for.
#[derive(Debug, Clone)]
pub struct ChargingQuery {
    /// The customer.
    pub client: ClientId,
    /// The user.
    pub user: UserId,
    /// The kind of device.
    pub kind: DeviceKind,
    /// This device only.
    pub device: Option<String>,
    /// Devices that are at this Location only.
    pub location: Option<Uuid>,
    /// From this moment on.
    pub from: Timestamp,
    /// Before this moment.
    pub to: Timestamp,
}

impl Engine {
    /// Charging statistics by the bucket, in the calendar of a place. Buckets in which nothing was
    /// charged are left out.
    ///
    /// # Errors
    /// [`EngineError::UserNotFound`], [`EngineError::DeviceNotFound`], or if the database fails.
    pub async fn charging_statistics(
        &self,
        query: ChargingQuery,
        resolution: Resolution,
        place: &Place,
    ) -> EngineResult<Vec<ChargingBucket>> {
        let (from, to) = (query.from, query.to);
        let devices = self.devices_asked_about(query).await?;
        let ids = devices.into_iter().map(|(id, _)| id).collect();
        let quarters = self.store.quarters(ids, from, to).await?;
        Ok(buckets::charging(&quarters, resolution, place, &no_price))
    }

    /// Fails if a client has no such user.
    ///
    /// # Errors
    /// [`EngineError::UserNotFound`], or if the database fails.
    pub async fn expect_user(&self, client: ClientId, user: &UserId) -> EngineResult<()> {
        match self.store.find_user(client, user.clone()).await? {
            Some(_) => Ok(()),
            None => Err(EngineError::UserNotFound(user.to_string())),
        }
    }

    /// The devices that a query is about, each with the Location it is at.
    async fn devices_asked_about(
        &self,
        query: ChargingQuery,
    ) -> EngineResult<Vec<(DeviceId, Option<Uuid>)>> {
        let ChargingQuery {
            client,
            user,
            kind,
            device,
            location,
            ..
        } = query;
        self.expect_user(client, &user).await?;
        let with_history = self.store.devices_with_history(client, user.clone(), kind);
        let mut ids = with_history.await?;
        if let Some(device) = device {
            let id: DeviceId = device.parse().map_err(|_| EngineError::DeviceNotFound)?;
            let has_history = ids.contains(&id);
            ids.retain(|known| *known == id);
            // One that was told nothing of yet is there all the same.
            let stored = self.store.find_device(client, id).await?;
            let is_there = stored.is_some_and(|d| d.kind() == kind && d.user_id == user);
            if !has_history && !is_there {
                return Err(EngineError::DeviceNotFound);
            }
        }
        let mut devices = Vec::with_capacity(ids.len());
        for id in ids {
            let stored = self.store.find_device(client, id).await?;
            let at = stored
                .and_then(|device| device.document.path("location.id")?.as_str()?.parse().ok());
            if location.is_none_or(|location| at == Some(location)) {
                devices.push((id, at));
            }
        }
        Ok(devices)
    }
}

/// What a kWh cost in the quarter hour that begins at a moment, where a device is; `None` if that is
/// not known.
pub(crate) type PriceAt<'a> = dyn Fn(DeviceId, Timestamp) -> Option<f64> + 'a;

/// Nothing is known of prices.
fn no_price(_device: DeviceId, _quarter: Timestamp) -> Option<f64> {
    None
}

/// To a millionth: digits beyond are noise of sums.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}
