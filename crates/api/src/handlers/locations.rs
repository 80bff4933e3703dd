//! Locations: the places of end users, and which of them chargers and HVAC units are at.

use axum::{Json, extract::State};
use livewatt_domain::{
    Timestamp,
    id::{LocationId, UserId},
    kind::DeviceKind,
    location::Location,
    time,
};
use livewatt_engine::{Issue, locations::LocationInput};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    error::ApiResult,
    extract::{Caller, Fields, FromField, JsonBody, PathArg, Payload, user_arg},
    json_text::JsonText,
    pagination::{PageArgs, Paginated},
    state::ApiState,
};

/// A Location to be made.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "describes a body, which is read into the engine's own input"
)]
pub(crate) struct LocationPayload {
    /// What it is called.
    #[schema(max_length = 256)]
    name: String,
    /// Degrees north.
    #[schema(minimum = -90, maximum = 90)]
    latitude: f64,
    /// Degrees east.
    #[schema(minimum = -180, maximum = 180)]
    longitude: f64,
    /// IANA name of its time zone; tariffs, deadlines and schedules go by it.
    #[schema(default = "UTC", nullable = false)]
    timezone_name: Option<String>,
}

/// Changes of a Location; what is absent stays.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "describes a body, which is read into the engine's own input"
)]
pub(crate) struct PartialLocation {
    /// What it is called.
    #[schema(max_length = 256, nullable = false)]
    name: Option<String>,
    /// Degrees north.
    #[schema(minimum = -90, maximum = 90, nullable = false)]
    latitude: Option<f64>,
    /// Degrees east.
    #[schema(minimum = -180, maximum = 180, nullable = false)]
    longitude: Option<f64>,
    /// IANA name of its time zone.
    #[schema(nullable = false)]
    timezone_name: Option<String>,
}

/// Where a charger is to be.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes a body, which is read field by field")]
pub(crate) struct ChargerUpdatePayload {
    /// The Location; null for none.
    #[schema(required, format = "uuid")]
    location_id: Option<String>,
}

/// Where an HVAC unit is to be.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes a body, which is read field by field")]
pub(crate) struct HvacUpdatePayload {
    /// The Location; null for none.
    #[schema(required, format = "uuid")]
    location_id: Option<String>,
}

/// A Location.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LocationResponse {
    /// Identifier.
    id: LocationId,
    /// Whose it is.
    user_id: UserId,
    /// What it is called.
    name: String,
    /// Degrees north.
    latitude: f64,
    /// Degrees east.
    longitude: f64,
    /// IANA name of its time zone.
    timezone_name: String,
    /// When it was made.
    #[serde(serialize_with = "time::serialize")]
    created_at: Timestamp,
}

impl From<Location> for LocationResponse {
    fn from(location: Location) -> Self {
        Self {
            id: location.id,
            user_id: location.user_id,
            name: location.name,
            latitude: location.position.latitude,
            longitude: location.position.longitude,
            timezone_name: location.zone.into(),
            created_at: location.created_at,
        }
    }
}

/// The body of a creation.
#[derive(Debug)]
pub(crate) struct Create(LocationInput);

/// The body of a change.
#[derive(Debug)]
pub(crate) struct Update(LocationInput);

impl Payload for Create {
    fn read(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name");
        let (latitude, longitude) = (fields.required("latitude"), fields.required("longitude"));
        let timezone_name = fields.optional("timezoneName");
        Some(Self(LocationInput {
            name: Some(name?),
            latitude: Some(latitude?),
            longitude: Some(longitude?),
            timezone_name,
        }))
    }
}

impl Payload for Update {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self(LocationInput {
            name: fields.optional("name"),
            latitude: fields.optional("latitude"),
            longitude: fields.optional("longitude"),
            timezone_name: fields.optional("timezoneName"),
        }))
    }
}

/// The body of an assignment: the Location must be said, if only as null.
#[derive(Debug)]
pub(crate) struct Assign(Option<LocationId>);

impl Payload for Assign {
    fn read(fields: &mut Fields) -> Option<Self> {
        fields.required_nullable("locationId").map(Self)
    }
}

impl FromField for LocationId {
    fn from_field(value: Value, path: &str, issues: &mut Vec<Issue>) -> Option<Self> {
        let read = value.as_str().and_then(|text| text.parse().ok());
        if read.is_none() {
            issues.push(Issue::new(path, "must be the ID of a location, or null"));
        }
        read
    }
}

/// `GET /locations`
pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    page: PageArgs,
) -> ApiResult<Json<Paginated<LocationResponse>>> {
    list_of(&state, caller, None, page).await
}

/// `GET /users/{userId}/locations`; a user nobody knows has none.
pub(crate) async fn list_of_user(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(user): PathArg,
    page: PageArgs,
) -> ApiResult<Json<Paginated<LocationResponse>>> {
    let user = user_arg(user)?;
    list_of(&state, caller, Some(user), page).await
}

async fn list_of(
    state: &ApiState,
    caller: Caller,
    user: Option<UserId>,
    page: PageArgs,
) -> ApiResult<Json<Paginated<LocationResponse>>> {
    let page = page.by_id()?;
    let locations = state.engine().list_locations(caller.client_id, user, page);
    Ok(Json(Paginated::from(
        locations.await?.map(LocationResponse::from),
    )))
}

/// `POST /users/{userId}/locations`
pub(crate) async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(user): PathArg,
    JsonBody(Create(input)): JsonBody<Create>,
) -> ApiResult<Json<LocationResponse>> {
    let user = user_arg(user)?;
    let client = caller.client_id;
    let made = state
        .to_the_end(|engine| async move { engine.create_location(client, &user, input).await })
        .await?;
    Ok(Json(made.into()))
}

/// `GET /locations/{locationId}`
pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
) -> ApiResult<Json<LocationResponse>> {
    let location = state.engine().get_location(caller.client_id, &id).await?;
    Ok(Json(location.into()))
}

/// `PUT /locations/{locationId}`
pub(crate) async fn update(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
    JsonBody(Update(input)): JsonBody<Update>,
) -> ApiResult<Json<LocationResponse>> {
    let client = caller.client_id;
    let location = state
        .to_the_end(|engine| async move { engine.update_location(client, &id, input).await })
        .await?;
    Ok(Json(location.into()))
}

/// `DELETE /locations/{locationId}`
pub(crate) async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
) -> ApiResult<Json<LocationResponse>> {
    let client = caller.client_id;
    let location = state
        .to_the_end(|engine| async move { engine.delete_location(client, &id).await })
        .await?;
    Ok(Json(location.into()))
}

/// `PUT /chargers/{chargerId}` and `PUT /hvacs/{hvacId}`
pub(crate) async fn assign(
    kind: DeviceKind,
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
    JsonBody(Assign(location)): JsonBody<Assign>,
) -> ApiResult<JsonText> {
    let client = caller.client_id;
    let document = state
        .to_the_end(
            |engine| async move { engine.assign_location(client, kind, &id, location).await },
        )
        .await?;
    Ok(JsonText(document))
}
