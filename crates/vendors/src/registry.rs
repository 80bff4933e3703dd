//! The integrations of an installation: an explicit list.

use std::sync::Arc;

use crate::{
    budget::Budgets,
    manifest::Brand,
    vendor::{SharedVendor, Vendor},
};

/// The integrations of an installation.
#[derive(Debug, Clone, Default)]
pub struct Registry(Vec<SharedVendor>);

impl Registry {
    /// A registry of these integrations; their manifests' IDs differ.
    pub fn new(vendors: Vec<SharedVendor>) -> Self {
        Self(vendors)
    }

    /// The integration with this ID.
    pub fn get(&self, id: &str) -> Option<&SharedVendor> {
        self.0.iter().find(|vendor| vendor.manifest().id == id)
    }

    /// All integrations, in the order given.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn Vendor>> {
        self.0.iter()
    }

    /// All brands, each with the integration that serves it.
    pub fn brands(&self) -> impl Iterator<Item = (&SharedVendor, &Brand)> {
        self.0.iter().flat_map(|vendor| {
            vendor
                .manifest()
                .brands
                .iter()
                .map(move |brand| (vendor, brand))
        })
    }

    /// Makes the quotas of all integrations known.
    pub fn register_budgets(&self, budgets: &Budgets) {
        for vendor in &self.0 {
            let manifest = vendor.manifest();
            budgets.register(manifest.id, &manifest.budgets);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        helios::{Helios, HeliosOptions},
        rivoli::{Rivoli, RivoliOptions},
    };

    #[test]
    fn brands_lead_to_their_integrations() {
        let base_url: url::Url = "http://cloud.example".parse().unwrap();
        let registry = Registry::new(vec![
            Arc::new(Rivoli::new(RivoliOptions {
                base_url: base_url.clone(),
            })),
            Arc::new(Helios::new(HeliosOptions { base_url })),
        ]);
        assert_eq!(registry.brands().count(), 4);
        let served = |name| {
            let brands = registry.brands().filter(|(_, brand)| brand.vendor == name);
            brands.map(|(v, _)| v.manifest().id).collect::<Vec<_>>()
        };
        assert_eq!(served("RENAULT"), ["rivoli"]);
        assert_eq!(served("NIBE"), ["helios"]);
        assert_eq!(served("TESLA"), Vec::<&str>::new());
    }
}
