//! The catalogue of interventions, as customers look it up.

use livewatt_domain::{
    device::Device,
    intervention::{self, Intervention, Remedy},
    kind::DeviceKind,
};
use livewatt_vendors::{catalogue, interventions};

use crate::{Engine, EngineError, EngineResult};

/// What a customer wants to see of the catalogue. An intervention that is not tied to a vendor may
/// stand in the way of anybody's devices, so every wish takes it in.
#[derive(Debug, Clone, Default)]
pub struct InterventionsWanted {
    /// About devices of this vendor.
    pub vendor: Option<String>,
    /// About devices of this kind.
    pub kind: Option<DeviceKind>,
}

impl InterventionsWanted {
    fn takes_in(&self, entry: &Intervention) -> bool {
        entry.of.is_none_or(|of| {
            let is_vendors = self.vendor.as_ref().is_none_or(|name| name == of.vendor);
            is_vendors && self.kind.is_none_or(|kind| kind == of.kind)
        })
    }

    fn check(&self) -> EngineResult<()> {
        match &self.vendor {
            Some(name) if !catalogue::is_known(name) => {
                Err(EngineError::invalid("vendor", "is not a known vendor"))
            }
            _ => Ok(()),
        }
    }
}

impl Engine {
    /// The catalogue, or a part of it.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] if there is no such vendor.
    pub fn list_interventions(
        &self,
        wanted: &InterventionsWanted,
    ) -> EngineResult<Vec<&'static Intervention>> {
        wanted.check()?;
        let all = interventions::all();
        Ok(all.filter(|entry| wanted.takes_in(entry)).collect())
    }

    /// An entry of the catalogue.
    ///
    /// # Errors
    /// [`EngineError::InterventionNotFound`] if there is none or it is not of the part that is wanted,
    /// [`EngineError::Invalid`] if there is no such vendor.
    pub fn get_intervention(
        &self,
        id: &str,
        wanted: &InterventionsWanted,
    ) -> EngineResult<&'static Intervention> {
        wanted.check()?;
        let found = id.parse().ok().and_then(interventions::find);
        found
            .filter(|entry| wanted.takes_in(entry))
            .ok_or_else(|| EngineError::InterventionNotFound(id.to_owned()))
    }
}

/// Whether something stands in the way of a device that goes when its account is linked again.
pub(crate) fn is_relink_due(device: &Device) -> bool {
    let standing = intervention::standing(&device.document).into_iter();
    let mut known = standing.filter_map(interventions::find);
    known.any(|entry| entry.action == Some(Remedy::Link))
}
