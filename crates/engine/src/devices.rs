//! Reading devices, and asking for a fetch sooner. Always from stored data, never from a vendor.

use livewatt_domain::{
    device::{Device, DeviceText},
    id::{AccountId, ClientId, DeviceId, UserId},
    kind::DeviceKind,
};
use livewatt_store::{Page, PageRequest};

use crate::{Engine, EngineError, EngineResult, cluster::Letter};

impl Engine {
    /// A client's devices of a kind, most recently linked first; of one user if given.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_devices(
        &self,
        client: ClientId,
        user: Option<UserId>,
        kind: DeviceKind,
        page: PageRequest,
    ) -> EngineResult<Page<Device>> {
        let page = self.store.list_devices(client, user, kind, page).await?;
        Ok(page.map(|device| self.presence.overlay(device)))
    }

    /// A device of a client.
    ///
    /// # Errors
    /// [`EngineError::DeviceNotFound`] if there is none of this kind, or if the database fails.
    pub async fn get_device(
        &self,
        client: ClientId,
        kind: DeviceKind,
        id: &str,
    ) -> EngineResult<Device> {
        let id: DeviceId = id.parse().map_err(|_| EngineError::DeviceNotFound)?;
        match self.store.find_device(client, id).await? {
            Some(device) if device.kind() == kind => Ok(self.presence.overlay(device)),
            _ => Err(EngineError::DeviceNotFound),
        }
    }

    /// The JSON of a client's devices, as [`Engine::list_devices`] has them.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_documents(
        &self,
        client: ClientId,
        user: Option<UserId>,
        kind: DeviceKind,
        page: PageRequest,
    ) -> EngineResult<Page<String>> {
        let page = self.store.list_device_texts(client, user, kind, page);
        let Page {
            items,
            older,
            newer,
        } = page.await?;
        let items = items.into_iter().map(|device| self.render(device));
        Ok(Page {
            items: items.collect::<EngineResult<_>>()?,
            older,
            newer,
        })
    }

    /// The JSON of a device of a client.
    ///
    /// # Errors
    /// [`EngineError::DeviceNotFound`] if there is none of this kind, or if the database fails.
    pub async fn get_document(
        &self,
        client: ClientId,
        kind: DeviceKind,
        id: &str,
    ) -> EngineResult<String> {
        let id: DeviceId = id.parse().map_err(|_| EngineError::DeviceNotFound)?;
        match self.store.find_device_text(client, id).await? {
            Some(device) if device.kind == kind => self.render(device),
            _ => Err(EngineError::DeviceNotFound),
        }
    }

    fn render(&self, device: DeviceText) -> EngineResult<String> {
        let device = self.presence.overlay_text(device);
        device
            .render()
            .map_err(|error| EngineError::internal("a stored document is no JSON object", error))
    }

    /// Brings the next fetch of a device forward. Repeats within a minute count once; during
    /// back-off or with dead credentials nothing happens.
    ///
    /// # Errors
    /// [`EngineError::DeviceNotFound`], or if the database fails.
    pub async fn refresh_hint(
        &self,
        client: ClientId,
        kind: DeviceKind,
        id: &str,
    ) -> EngineResult<()> {
        let device = self.get_device(client, kind, id).await?;
        let account = device.account_id;
        if self.membership.is_some() && !self.owns(account) {
            let device = device.id;
            self.leave_letter(&Letter::Hint { account, device }).await?;
            return Ok(());
        }
        self.hint_here(account, device.id);
        Ok(())
    }

    /// The same at the owner of the device's account.
    pub(crate) fn hint_here(&self, account: AccountId, device: DeviceId) {
        let coalesce = self.options.hint_coalesce;
        let taken = self.fleet.hint(account, device, self.now(), coalesce);
        metrics::counter!("livewatt_refresh_hints_total", "taken" => taken.to_string())
            .increment(1);
        if taken {
            self.poll_wake.notify_one();
        }
    }
}
