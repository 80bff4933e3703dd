//! Tariffs, where they hang, and what energy costs at a Location.

use axum::{Json, extract::State, http::StatusCode};
use livewatt_domain::{
    Timestamp,
    money::Currency,
    tariff::{Price, PriceOrigin, Rate},
    time,
};
use livewatt_engine::{
    Issue,
    tariffs::{IntervalInput, LocationTariffInput, RateInput, ScheduleRow},
};
use livewatt_store::LocationPricing;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    error::ApiResult,
    extract::{
        Caller, Fields, FromField, JsonBody, JsonListBody, Nested, PathArg, Payload, QueryArgs,
        range_args,
    },
    state::ApiState,
};

/// A rate of a tariff.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TariffRate {
    /// Its name, unique within the tariff.
    #[schema(max_length = 256)]
    name: String,
    /// What a kWh costs, as a decimal number; may be negative.
    #[schema(pattern = r"^[+-]?(\d{1,9}([.]\d{0,9})?|[.]\d{1,9})$")]
    cost: String,
}

impl From<Rate> for TariffRate {
    fn from(rate: Rate) -> Self {
        Self {
            name: rate.name,
            cost: rate.cost.to_string(),
        }
    }
}

/// Which tariff hangs at a Location.
#[derive(Debug, ToSchema)]
#[schema(
    rename_all = "camelCase",
    examples(json!({
        "tariffId": "home",
        "tariffIntervals": [{ "name": "all", "from": "00:00", "to": "24:00" }],
    }))
)]
#[expect(
    dead_code,
    reason = "describes a body, which is read into the engine's own input"
)]
pub(crate) struct LocationTariffInterval {
    /// The tariff.
    #[schema(pattern = r"^[\w-]+$", max_length = 36)]
    tariff_id: String,
    /// When its rates hold, by the wall clock of the Location; no two at the same time.
    tariff_intervals: Vec<TariffRateInterval>,
}

/// When a rate holds.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "describes a body, which is read into the engine's own input"
)]
pub(crate) struct TariffRateInterval {
    /// Name of the rate.
    name: String,
    /// The beginning, inclusive.
    #[schema(pattern = r"^(((?:[01]\d|2[0-3]):[0-5]\d)|24:00)$")]
    from: String,
    /// The end, exclusive; after the beginning.
    #[schema(pattern = r"^(((?:[01]\d|2[0-3]):[0-5]\d)|24:00)$")]
    to: String,
    /// Days of the week, 0 (Monday) to 6; all of them if absent.
    #[schema(nullable = false)]
    weekdays: Option<Vec<u8>>,
}

/// A rate at a Location on a day of the week, by the Location's wall clock.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LocationTariffScheduleEntry {
    /// The day, 0 (Monday) to 6.
    weekday: u8,
    /// The beginning, inclusive.
    from_hour_minute: String,
    /// The end, exclusive.
    to_hour_minute: String,
    /// The tariff.
    tariff_id: String,
    /// Name of the rate.
    tariff_name: String,
}

impl From<ScheduleRow> for LocationTariffScheduleEntry {
    fn from(row: ScheduleRow) -> Self {
        Self {
            weekday: row.weekday,
            from_hour_minute: row.from.to_string(),
            to_hour_minute: row.to.to_string(),
            tariff_id: row.tariff_id.into(),
            tariff_name: row.name,
        }
    }
}

/// The currency of a client's tariffs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClientPricing {
    /// ISO 4217 code; null if nobody said.
    #[schema(pattern = "^[A-Z]{3}$", required)]
    currency: Option<String>,
}

/// What is settled about prices at a Location, beside its tariff.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LocationPricingSettings {
    /// ISO 4217 code of the currency of its tariff; null for the client's.
    #[schema(pattern = "^[A-Z]{3}$", required)]
    currency: Option<String>,
    /// The market area whose prices count where the tariff says nothing; null for none.
    #[schema(pattern = r"^[\w-]+$", max_length = 36, required)]
    price_area: Option<String>,
}

/// What energy costs at a Location, quarter hour by quarter hour.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LocationPriceList {
    /// IANA name of the zone by whose wall clock the tariff goes.
    timezone_name: String,
    /// The quarter hours, in order.
    prices: Vec<QuarterHourPrice>,
}

/// What energy costs in a quarter hour.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QuarterHourPrice {
    /// When it begins.
    #[serde(serialize_with = "time::serialize")]
    start: Timestamp,
    /// What a kWh costs, as a decimal number; null if there is no price.
    price: Option<String>,
    /// ISO 4217 code; null if there is no price, or nobody said its currency.
    currency: Option<String>,
    /// Who says so; null if there is no price.
    source: Option<PriceOrigin>,
}

impl QuarterHourPrice {
    fn new(start: Timestamp, price: Option<Price>) -> Self {
        let Some(price) = price else {
            return Self {
                start,
                price: None,
                currency: None,
                source: None,
            };
        };
        Self {
            start,
            price: Some(price.per_kwh.normalize().to_string()),
            currency: price.currency.map(Into::into),
            source: Some(price.source.into()),
        }
    }
}

impl Payload for RateInput {
    fn read(fields: &mut Fields) -> Option<Self> {
        let (name, cost) = (fields.required("name"), fields.required("cost"));
        Some(Self {
            name: name?,
            cost: cost?,
        })
    }
}

impl Payload for IntervalInput {
    fn read(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name");
        let weekdays = fields.optional::<Vec<Weekday>>("weekdays");
        let (from, to) = (fields.required("from"), fields.required("to"));
        Some(Self {
            name: name?,
            from: from?,
            to: to?,
            weekdays: weekdays.map(|days| days.into_iter().map(|day| day.0).collect()),
        })
    }
}

/// A day of the week, 0 (Monday) to 6.
#[derive(Debug)]
struct Weekday(u8);

impl FromField for Weekday {
    fn from_field(value: Value, path: &str, issues: &mut Vec<Issue>) -> Option<Self> {
        let read = value.as_u64().filter(|day| *day < 7);
        if read.is_none() {
            let message = "must be a day of the week, 0 (Monday) to 6 (Sunday)";
            issues.push(Issue::new(path, message));
        }
        read.map(|day| Self(day as u8))
    }
}

impl FromField for Currency {
    fn from_field(value: Value, path: &str, issues: &mut Vec<Issue>) -> Option<Self> {
        let read = value.as_str().and_then(|text| text.parse().ok());
        if read.is_none() {
            let message = "must be the code of a currency: three capital letters, such as EUR";
            issues.push(Issue::new(path, message));
        }
        read
    }
}

/// The name of a market's area.
#[derive(Debug)]
pub(crate) struct Area(pub(crate) String);

impl FromField for Area {
    fn from_field(value: Value, path: &str, issues: &mut Vec<Issue>) -> Option<Self> {
        let read = value.as_str().filter(|text| is_area(text));
        if read.is_none() {
            issues.push(Issue::new(path, AREA_RULE));
        }
        read.map(|text| Self(text.to_owned()))
    }
}

const AREA_RULE: &str = "must be 1 to 36 letters, digits, hyphens and underscores";

fn is_area(text: &str) -> bool {
    text.parse::<livewatt_domain::tariff::TariffId>().is_ok()
}

/// The body that hangs a tariff at a Location.
#[derive(Debug)]
pub(crate) struct Hang(LocationTariffInput);

impl Payload for Hang {
    fn read(fields: &mut Fields) -> Option<Self> {
        let tariff_id = fields.required("tariffId");
        let intervals = fields.required::<Vec<Nested<IntervalInput>>>("tariffIntervals");
        Some(Self(LocationTariffInput {
            tariff_id: tariff_id?,
            intervals: intervals?.into_iter().map(|nested| nested.0).collect(),
        }))
    }
}

/// The body that sets a client's currency.
#[derive(Debug)]
pub(crate) struct SetClientPricing(Option<Currency>);

impl Payload for SetClientPricing {
    fn read(fields: &mut Fields) -> Option<Self> {
        fields.required_nullable("currency").map(Self)
    }
}

/// The body that sets a Location's currency and area.
#[derive(Debug)]
pub(crate) struct SetLocationPricing(LocationPricing);

impl Payload for SetLocationPricing {
    fn read(fields: &mut Fields) -> Option<Self> {
        let currency = fields.required_nullable("currency");
        let area = fields.required_nullable::<Area>("priceArea");
        Some(Self(LocationPricing {
            currency: currency?,
            price_area: area?.map(|area| area.0),
        }))
    }
}

/// `GET /tariffs/{tariffId}`
pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
) -> ApiResult<Json<Vec<TariffRate>>> {
    let tariff = state.engine().get_tariff(caller.client_id, &id).await?;
    Ok(Json(tariff.rates.into_iter().map(Into::into).collect()))
}

/// `PUT /tariffs/{tariffId}`
pub(crate) async fn put(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
    JsonListBody(rates): JsonListBody<RateInput>,
) -> ApiResult<StatusCode> {
    state
        .engine()
        .put_tariff(caller.client_id, &id, rates)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /locations/{locationId}/tariff`
pub(crate) async fn schedule(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
) -> ApiResult<Json<Vec<LocationTariffScheduleEntry>>> {
    let rows = state.engine().location_schedule(caller.client_id, &id);
    Ok(Json(rows.await?.into_iter().map(Into::into).collect()))
}

/// `PUT /locations/{locationId}/tariff`
pub(crate) async fn hang(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
    JsonBody(Hang(input)): JsonBody<Hang>,
) -> ApiResult<StatusCode> {
    state
        .engine()
        .hang_tariff(caller.client_id, &id, input)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /pricing`
pub(crate) async fn client_pricing(
    State(state): State<ApiState>,
    caller: Caller,
) -> ApiResult<Json<ClientPricing>> {
    let currency = state.engine().client_currency(caller.client_id).await?;
    let currency = currency.map(Into::into);
    Ok(Json(ClientPricing { currency }))
}

/// `PUT /pricing`
pub(crate) async fn set_client_pricing(
    State(state): State<ApiState>,
    caller: Caller,
    JsonBody(SetClientPricing(currency)): JsonBody<SetClientPricing>,
) -> ApiResult<StatusCode> {
    let set = state
        .engine()
        .set_client_currency(caller.client_id, currency);
    set.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /locations/{locationId}/pricing`
pub(crate) async fn location_pricing(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
) -> ApiResult<Json<LocationPricingSettings>> {
    let pricing = state.engine().location_pricing(caller.client_id, &id);
    let pricing = pricing.await?;
    Ok(Json(LocationPricingSettings {
        currency: pricing.currency.map(Into::into),
        price_area: pricing.price_area,
    }))
}

/// `PUT /locations/{locationId}/pricing`
pub(crate) async fn set_location_pricing(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
    JsonBody(SetLocationPricing(pricing)): JsonBody<SetLocationPricing>,
) -> ApiResult<StatusCode> {
    let set = state
        .engine()
        .set_location_pricing(caller.client_id, &id, pricing);
    set.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /locations/{locationId}/prices`
pub(crate) async fn location_prices(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
    args: QueryArgs,
) -> ApiResult<Json<LocationPriceList>> {
    let range = range_args(&args)?;
    let list = state
        .engine()
        .price_list(caller.client_id, &id, range)
        .await?;
    let prices = list.prices.into_iter();
    Ok(Json(LocationPriceList {
        timezone_name: list.zone.into(),
        prices: prices
            .map(|(start, price)| QuarterHourPrice::new(start, price))
            .collect(),
    }))
}
