//! Which vendors can be linked, and how they are.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use livewatt_domain::{kind::DeviceKind, scope::Scope};
use livewatt_engine::{Engine, link::LinkingStatus};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    error::{ApiError, ApiResult},
    extract::QueryArgs,
    state::ApiState,
};

/// How well a vendor works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum VendorStatus {
    /// It works.
    Ready,
    /// Some of what serves it does not answer, or linking may fail.
    ElevatedErrorRate,
    /// It does not answer; what was known last stays.
    Outage,
}

/// A vendor, over all kinds of device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Integration {
    /// The vendor.
    vendor: String,
    /// The brand as people spell it.
    display_name: String,
    /// Where the end user signs in.
    portal_name: String,
    /// The kinds of device that can be linked.
    asset_types: Vec<DeviceKind>,
    /// The scopes that can be served.
    scopes: Vec<Scope>,
    /// How well it works.
    status: VendorStatus,
    /// How well linking works.
    linking_status: VendorStatus,
}

/// A vendor of one kind of device.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VendorHealth {
    /// The vendor.
    vendor: String,
    /// The brand as people spell it.
    display_name: String,
    /// How well it works.
    status: VendorStatus,
    /// Where the end user signs in.
    portal_name: String,
    /// How well linking works.
    linking_status: VendorStatus,
}

/// `GET /integrations`
pub(crate) async fn integrations(
    State(state): State<ApiState>,
    args: QueryArgs,
) -> ApiResult<Json<Vec<Integration>>> {
    let kinds = match args.one("assetTypes")? {
        None => DeviceKind::ALL.to_vec(),
        Some(text) => asset_types(&text)?,
    };
    Ok(Json(rows(state.engine(), &kinds)))
}

/// `GET /health/{kinds}`
pub(crate) fn of_kind(kind: DeviceKind, State(state): State<ApiState>) -> Json<Vec<VendorHealth>> {
    let rows = rows(state.engine(), &[kind])
        .into_iter()
        .map(|row| VendorHealth {
            vendor: row.vendor,
            display_name: row.display_name,
            status: row.status,
            portal_name: row.portal_name,
            linking_status: row.linking_status,
        });
    Json(rows.collect())
}

/// Whoever asks whether this server is ready wants to know now: a database that has not answered by
/// then is as good as none.
const PATIENCE: Duration = Duration::from_secs(3);

/// `GET /health/ready`
pub(crate) async fn ready(State(state): State<ApiState>) -> StatusCode {
    match tokio::time::timeout(PATIENCE, state.engine().check()).await {
        Ok(Ok(())) => StatusCode::NO_CONTENT,
        Ok(Err(error)) => {
            ApiError::from(error).log();
            StatusCode::SERVICE_UNAVAILABLE
        }
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn asset_types(text: &str) -> ApiResult<Vec<DeviceKind>> {
    text.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| {
            name.parse().map_err(|_| {
                ApiError::invalid(
                    "assetTypes",
                    "must be names out of vehicle,charger,hvac,inverter,battery,meter",
                )
            })
        })
        .collect()
}

/// One row a vendor name, whatever number of integrations serve it.
fn rows(engine: &Engine, kinds: &[DeviceKind]) -> Vec<Integration> {
    let mut rows: Vec<Integration> = Vec::new();
    let paused = engine.paused_vendors();
    for manifest in engine.vendors().all().map(|vendor| vendor.manifest()) {
        let attempts = match engine.linking_status(manifest.id) {
            LinkingStatus::Ready => VendorStatus::Ready,
            LinkingStatus::ElevatedErrorRate => VendorStatus::ElevatedErrorRate,
            LinkingStatus::Outage => VendorStatus::Outage,
        };
        let (status, linking_status) = match paused.iter().any(|id| id == manifest.id) {
            // Linking is worth a try, also to find out that the vendor is back.
            true => (
                VendorStatus::Outage,
                attempts.max(VendorStatus::ElevatedErrorRate),
            ),
            false => (VendorStatus::Ready, attempts),
        };
        for brand in &manifest.brands {
            let served: Vec<DeviceKind> = brand
                .kinds
                .iter()
                .copied()
                .filter(|kind| kinds.contains(kind))
                .collect();
            if served.is_empty() {
                continue;
            }
            let index = rows.iter().position(|row| row.vendor == brand.vendor);
            let index = index.unwrap_or_else(|| {
                rows.push(Integration {
                    vendor: brand.vendor.to_owned(),
                    display_name: brand.display_name.clone(),
                    portal_name: brand.portal_name.clone(),
                    asset_types: Vec::new(),
                    scopes: Vec::new(),
                    status,
                    linking_status,
                });
                rows.len() - 1
            });
            let row = &mut rows[index];
            // Another way to the same brand may fare otherwise.
            if row.status != status {
                row.status = VendorStatus::ElevatedErrorRate;
            }
            if row.linking_status != linking_status {
                row.linking_status = VendorStatus::ElevatedErrorRate;
            }
            let scopes = manifest
                .scopes
                .iter()
                .filter(|scope| served.contains(&scope.kind()));
            row.asset_types.extend(&served);
            row.scopes.extend(scopes);
            row.asset_types.sort_unstable();
            row.asset_types.dedup();
            row.scopes.sort_unstable();
            row.scopes.dedup();
        }
    }
    rows.sort_unstable_by(|one, other| one.vendor.cmp(&other.vendor));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asset_types_are_a_list_of_known_names() {
        assert_eq!(
            asset_types("vehicle,hvac").unwrap(),
            [DeviceKind::Vehicle, DeviceKind::Hvac]
        );
        assert_eq!(asset_types("").unwrap(), []);
        assert!(asset_types("vehicles").is_err());
    }
}
