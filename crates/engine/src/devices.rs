//! Reading devices, and asking for a fetch sooner. Always from stored data, never from a vendor.

use livewatt_domain::{
    SignedDuration, Timestamp,
    device::{Device, DeviceText},
    id::{AccountId, ClientId, DeviceId, UserId},
    kind::DeviceKind,
};
use livewatt_store::{Page, PageRequest, PastDevice};

use crate::{Engine, EngineError, EngineResult, cluster::Letter};

/// The parameter that says of which moment.
const AS_OF: &str = "asOf";

/// Devices as they were at a moment.
#[derive(Debug)]
pub struct PastDocuments {
    /// Their JSON.
    pub page: Page<String>,
    /// Devices of the page of which it is not known any more how they were.
    pub left_out: Vec<DeviceId>,
}

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

    /// The JSON of a client's devices as they were at a moment, as [`Engine::list_documents`] has
    /// them: of each what its last event until then carried.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] for a moment of which nothing is known, or if the database fails.
    pub async fn list_past_documents(
        &self,
        client: ClientId,
        user: Option<UserId>,
        kind: DeviceKind,
        at: Timestamp,
        page: PageRequest,
    ) -> EngineResult<PastDocuments> {
        self.expect_known(at)?;
        let page = self.store.list_past_devices(client, user, kind, at, page);
        let page = page.await?;
        let is_unknown = |device: &&PastDevice| device.document.is_none();
        let left_out = page.items.iter().filter(is_unknown).map(|device| device.id);
        Ok(PastDocuments {
            left_out: left_out.collect(),
            page: Page {
                items: page.items.into_iter().filter_map(|d| d.document).collect(),
                older: page.older,
                newer: page.newer,
            },
        })
    }

    /// The JSON of a device of a client as it was at a moment.
    ///
    /// # Errors
    /// [`EngineError::DeviceNotFound`] if there was none of this kind then,
    /// [`EngineError::Invalid`] for a moment of which nothing is known, or if the database fails.
    pub async fn get_past_document(
        &self,
        client: ClientId,
        kind: DeviceKind,
        id: &str,
        at: Timestamp,
    ) -> EngineResult<String> {
        self.expect_known(at)?;
        let id: DeviceId = id.parse().map_err(|_| EngineError::DeviceNotFound)?;
        match self.store.find_past_device(client, id, at).await? {
            Some(device) if device.kind == kind => device.document.ok_or_else(|| {
                EngineError::invalid(AS_OF, "is before what is still known of this device")
            }),
            _ => Err(EngineError::DeviceNotFound),
        }
    }

    /// The log tells of the past for as long as it is kept.
    fn expect_known(&self, at: Timestamp) -> EngineResult<()> {
        let (now, kept) = (self.now(), self.options.event_retention);
        if at > now {
            return Err(EngineError::invalid(AS_OF, "must not be in the future"));
        }
        if now.duration_since(at) > kept {
            let days = kept.as_secs() / SignedDuration::from_hours(24).as_secs();
            let message = format!("must not be more than {days} days ago: events are kept so long");
            return Err(EngineError::invalid(AS_OF, message));
        }
        Ok(())
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
