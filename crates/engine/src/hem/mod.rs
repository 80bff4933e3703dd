//! HEM systems: how they come, change and go with their devices (`changes`), what they show, and what
//! their vendors recorded of them (`history`).

mod changes;
mod history;

use livewatt_domain::{
    hem::{HemStatistics, HemSystem, HemSystemDocument},
    id::{ClientId, DeviceId, HemSystemId, UserId},
    kind::DeviceKind,
    production::Period,
};
use livewatt_store::{Page, PageRequest};

pub(crate) use self::{changes::Systems, history::Questions};
use crate::{Engine, EngineError, EngineResult};

impl Engine {
    /// A client's HEM systems, most recently found first; of one user if given.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_hem_systems(
        &self,
        client: ClientId,
        user: Option<UserId>,
        page: PageRequest,
    ) -> EngineResult<Page<HemSystemDocument>> {
        let page = self.store.list_hem_systems(client, user, page).await?;
        let documents = self.show(&page.items).await?;
        Ok(Page {
            items: documents,
            older: page.older,
            newer: page.newer,
        })
    }

    /// A HEM system of a client.
    ///
    /// # Errors
    /// [`EngineError::DeviceNotFound`], or if the database fails.
    pub async fn get_hem_system(
        &self,
        client: ClientId,
        id: &str,
    ) -> EngineResult<HemSystemDocument> {
        let system = self.find_hem_system(client, id).await?;
        let shown = self.show(std::slice::from_ref(&system)).await?;
        shown.into_iter().next().ok_or(EngineError::DeviceNotFound)
    }

    /// What flowed at a HEM system in a day or a month, as its vendor recorded it.
    ///
    /// # Errors
    /// [`EngineError::DeviceNotFound`], [`EngineError::Invalid`] for the future,
    /// [`EngineError::Precondition`] for what was before the system,
    /// [`EngineError::StatisticsNotAvailable`] if there is nothing to be told,
    /// [`EngineError::VendorUnavailable`] if the vendor does not tell now, or if the database fails.
    pub async fn hem_statistics(
        &self,
        client: ClientId,
        id: &str,
        period: Period,
    ) -> EngineResult<HemStatistics> {
        let system = self.find_hem_system(client, id).await?;
        let zone = system.zone();
        if period.begin(&zone) > self.now() {
            return Err(EngineError::invalid(
                "interval",
                "must not be in the future",
            ));
        }
        let installed_at = system.document.information.installation_date;
        if period.end(&zone) <= installed_at {
            return Err(EngineError::Precondition {
                detail: format!(
                    "Request Interval {period} is before the installation of the HEM system \
                     {installed_at}"
                ),
            });
        }
        let history = self.site_history(&system, period).await?;
        let devices = self.store.devices_of_account(system.account_id).await?;
        let members = devices.iter().filter(|d| system.members.contains(&d.id));
        let kinds: Vec<DeviceKind> = members.map(|device| device.kind()).collect();
        let statistics = history.statistics(|series| {
            let of = series.device_kind();
            (!kinds.contains(&of)).then(|| without(of))
        });
        match statistics.is_any_available() {
            true => Ok(statistics),
            false => Err(EngineError::StatisticsNotAvailable),
        }
    }

    async fn find_hem_system(&self, client: ClientId, id: &str) -> EngineResult<HemSystem> {
        let id: HemSystemId = id.parse().map_err(|_| EngineError::DeviceNotFound)?;
        let found = self.store.find_hem_system(client, id).await?;
        found.ok_or(EngineError::DeviceNotFound)
    }

    /// Systems as they are now.
    async fn show(&self, systems: &[HemSystem]) -> EngineResult<Vec<HemSystemDocument>> {
        let members = systems.iter().flat_map(|system| &system.members);
        let members: Vec<DeviceId> = members.copied().collect();
        let stored = match members.is_empty() {
            true => Vec::new(),
            false => self.store.last_seen(members).await?,
        };
        let now = self.now();
        let shown = systems.iter().map(|system| {
            let of = |device: &DeviceId| {
                let stored = stored.iter().find(|(known, _)| known == device);
                let stored = stored.map(|(_, at)| *at);
                stored.max(self.presence.last_seen(*device))
            };
            let last_seen = system.members.iter().filter_map(of).max();
            system.current(last_seen, now)
        });
        Ok(shown.collect())
    }
}

/// Why nothing is told that is known by devices of a kind.
const fn without(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Inverter => "The system has no inverter",
        DeviceKind::Battery => "The system has no battery",
        _ => "The system has no meter",
    }
}
