//! What a user must do before a device can do a named thing: the catalogue.

use axum::{Json, extract::State};
use livewatt_domain::{
    Timestamp,
    intervention::{Access, Agent, Intervention as Entry, InterventionDomain, Remedy},
    kind::DeviceKind,
    time,
};
use livewatt_engine::interventions::InterventionsWanted;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    error::{ApiError, ApiResult},
    extract::{Caller, PathArg, QueryArgs},
    state::ApiState,
};

/// What a user must do before a device can do a named thing.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Intervention {
    /// Identifier, as capabilities of devices name it.
    id: String,
    /// Whose devices it is about; null if it is not tied to one vendor.
    vendor: Option<&'static str>,
    /// What kind of devices it is about; null likewise.
    vendor_type: Option<DeviceKind>,
    /// The brand as people spell it; null likewise.
    brand: Option<&'static str>,
    /// When it was added to the catalogue.
    #[serde(serialize_with = "time::serialize")]
    introduced_at: Timestamp,
    /// Where the obstacle is.
    domain: InterventionDomain,
    /// How it is removed.
    resolution: Resolution,
}

/// How an obstacle is removed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InterventionResolution)]
pub(crate) struct Resolution {
    /// A few words for the user.
    title: &'static str,
    /// What to do, in Markdown.
    description: &'static str,
    /// Where.
    access: Access,
    /// By whom.
    agent: Agent,
    /// What the app does for it: `Link` is a relink session; null if nothing.
    action: Option<Remedy>,
}

impl Intervention {
    fn of(entry: &Entry, language: &str) -> Self {
        let text = entry.texts.in_language(language);
        Self {
            id: entry.id.to_string(),
            vendor: entry.of.map(|of| of.vendor),
            vendor_type: entry.of.map(|of| of.kind),
            brand: entry.of.map(|of| of.brand),
            introduced_at: entry.introduced_at,
            domain: entry.domain,
            resolution: Resolution {
                title: text.title,
                description: text.description,
                access: entry.access,
                agent: entry.agent,
                action: entry.action,
            },
        }
    }
}

/// A language for which there is no text is answered in English.
fn wanted(args: &QueryArgs) -> ApiResult<(InterventionsWanted, String)> {
    let kind = args.one("vendorType")?.map(|name| {
        name.parse()
            .map_err(|_| ApiError::invalid("vendorType", "is not a type of device"))
    });
    let wanted = InterventionsWanted {
        vendor: args.one("vendor")?,
        kind: kind.transpose()?,
    };
    Ok((wanted, args.one("language")?.unwrap_or_default()))
}

/// `GET /interventions`
pub(crate) async fn list(
    State(state): State<ApiState>,
    _caller: Caller,
    args: QueryArgs,
) -> ApiResult<Json<Vec<Intervention>>> {
    let (wanted, language) = wanted(&args)?;
    let entries = state.engine().list_interventions(&wanted)?;
    let shown = entries
        .into_iter()
        .map(|entry| Intervention::of(entry, &language));
    Ok(Json(shown.collect()))
}

/// `GET /interventions/{interventionId}`
pub(crate) async fn get(
    State(state): State<ApiState>,
    _caller: Caller,
    PathArg(id): PathArg,
    args: QueryArgs,
) -> ApiResult<Json<Intervention>> {
    let (wanted, language) = wanted(&args)?;
    let entry = state.engine().get_intervention(&id, &wanted)?;
    Ok(Json(Intervention::of(entry, &language)))
}
