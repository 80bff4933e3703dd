//! The list of integrations of this installation.

use std::sync::Arc;

use livewatt_vendors::{
    Registry,
    helios::{Helios, HeliosOptions},
    ocpp::Ocpp,
    rivoli::{Rivoli, RivoliOptions},
    vendor::SharedVendor,
    volta::{Volta, VoltaOptions},
};

use crate::config::Settings;

/// The integrations that the settings switch on.
///
/// # Errors
/// If a setting of one is not valid.
pub fn registry(settings: &Settings) -> anyhow::Result<Registry> {
    let mut vendors: Vec<SharedVendor> = Vec::new();
    if settings.ocpp.enabled {
        vendors.push(Arc::new(Ocpp));
    }
    if let Some(base_url) = settings.sandbox_url()? {
        let app = &settings.sandbox;
        let cloud = |name: &str| base_url.join(&format!("/{name}"));
        vendors.push(Arc::new(Volta::new(VoltaOptions {
            base_url: cloud("volta")?,
            client_id: app.client_id.clone(),
            client_secret: app.client_secret.clone(),
        })));
        vendors.push(Arc::new(Rivoli::new(RivoliOptions {
            base_url: cloud("rivoli")?,
        })));
        vendors.push(Arc::new(Helios::new(HeliosOptions {
            base_url: cloud("helios")?,
        })));
    }
    Ok(Registry::new(vendors))
}
