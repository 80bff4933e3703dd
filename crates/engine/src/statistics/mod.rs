//! What flowed, what was charged and what was produced: the history of a device, statistics of a user
//! by the bucket, and charging sessions. Always from what was summed up when it was told.
//!
//! Prices are joined to it here, and nowhere before. Energy whose price is not known has no cost,
//! which is not a cost of zero.

mod buckets;
mod costs;
mod earnings;
mod history;
mod prices;
mod production;
mod sessions;

pub use buckets::{Charged, ChargingBucket, ContractCost, Spread};
pub use costs::{CostSource, EnergyCost, PriceSpread};
pub use earnings::EarningsBucket;
pub use history::{DeviceEnergy, FlowHistory, HistoryBucket, HistoryQuery};
pub use production::ProductionStatistics;
pub use sessions::{Charge, ChargeReading, ContractSession, Energy};

use livewatt_domain::{
    Timestamp,
    energy::{Flow, Place, Resolution},
    id::{ClientId, DeviceId, LocationId, UserId},
    kind::DeviceKind,
};

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
    /// What flowed at this Location only.
    pub location: Option<LocationId>,
    /// From this moment on.
    pub from: Timestamp,
    /// Before this moment.
    pub to: Timestamp,
}

impl Engine {
    /// Charging statistics by the bucket, in the calendar of a place. Buckets in which nothing was
    /// charged that has a price are left out.
    ///
    /// # Errors
    /// [`EngineError::UserNotFound`], [`EngineError::DeviceNotFound`], or if the database fails.
    pub async fn charging_statistics(
        &self,
        query: ChargingQuery,
        resolution: Resolution,
        place: &Place,
    ) -> EngineResult<Charged<ChargingBucket>> {
        let ChargingQuery {
            client,
            location,
            from,
            to,
            ..
        } = query;
        let devices = self.devices_asked_about(query).await?;
        let quarters = self.store.quarters(devices, from, to).await?;
        let mut priced = self.priced(client, quarters, Flow::Taken).await?;
        priced.retain(|quarter| location.is_none() || quarter.location == location);
        Ok(buckets::charging(&priced, resolution, place))
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

    /// The devices that a query is about, wherever they were.
    async fn devices_asked_about(&self, query: ChargingQuery) -> EngineResult<Vec<DeviceId>> {
        let ChargingQuery {
            client,
            user,
            kind,
            device,
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
        Ok(ids)
    }
}

/// To a millionth: digits beyond are noise of sums.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests;
