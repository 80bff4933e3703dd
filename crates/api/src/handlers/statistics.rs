//! What flowed, and what was charged.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse as _, Response},
};
use livewatt_domain::{
    SignedDuration, Timestamp,
    energy::{Place, Resolution},
    id::LocationId,
    kind::DeviceKind,
    money::Currency,
    production::Period,
    time::read,
    zone::Zone,
};
use livewatt_engine::statistics::{
    Charge, Charged, ChargingBucket, ChargingQuery, ContractSession, DeviceEnergy, EarningsBucket,
    HistoryQuery,
};
use serde::Serialize;

use crate::{
    error::{ApiError, ApiResult, ProblemJson},
    extract::{Caller, PathArg, QueryArgs, user_arg},
    state::ApiState,
};

/// The currency of all that an answer of the contract tells, which has no place for it.
const CURRENCY: HeaderName = HeaderName::from_static("livewatt-currency");
/// Energy that such an answer leaves out, having no price to tell, or another currency.
const LEFT_OUT: HeaderName = HeaderName::from_static("livewatt-left-out-kwh");

/// A history goes back so far if nobody says how far.
const DEFAULT_REACH: SignedDuration = SignedDuration::from_hours(24);

/// `GET /{kinds}/{id}/history`
pub(crate) async fn history(
    kind: DeviceKind,
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
    args: QueryArgs,
) -> ApiResult<Json<DeviceEnergy>> {
    let (from, to) = time(&args, "from", "to", &state)?;
    let query = HistoryQuery {
        client: caller.client_id,
        kind,
        id,
        from,
        to,
        resolution: resolution(&args, Resolution::QuarterHour)?,
        place: zone(&args)?.unwrap_or(Place::UTC),
    };
    Ok(Json(state.engine().device_energy(query).await?))
}

/// `GET /users/{userId}/statistics/charging`
pub(crate) async fn charging(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(user): PathArg,
    args: QueryArgs,
) -> ApiResult<Told<ChargingBucket>> {
    let query = charging_query(&state, &caller, user, &args).await?;
    let resolution = resolution(&args, Resolution::Day)?;
    let offset = offset(&args)?;
    let place = zone(&args)?.or(offset).unwrap_or(Place::UTC);
    let engine = state.engine();
    let charged = engine.charging_statistics(query, resolution, &place);
    Ok(told(charged.await?))
}

/// `GET /users/{userId}/statistics/charging/sessions`
pub(crate) async fn sessions(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(user): PathArg,
    args: QueryArgs,
) -> ApiResult<Told<ContractSession>> {
    let query = charging_query(&state, &caller, user, &args).await?;
    Ok(told(state.engine().charging_sessions(query).await?))
}

/// Rows of the contract, and beside them what it has no words for.
type Told<T> = (HeaderMap, Json<Vec<T>>);

fn told<T>(charged: Charged<T>) -> Told<T> {
    let currency = charged.currency.as_ref().map(Currency::as_str);
    let values = [
        (CURRENCY, currency.map(HeaderValue::from_str)),
        (LEFT_OUT, Some(charged.left_out_kwh.to_string().parse())),
    ];
    let headers = values
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?.ok()?)));
    (headers.collect(), Json(charged.rows))
}

/// What inverters produced.
#[derive(Debug, Serialize)]
pub(crate) struct Earnings {
    data: Vec<EarningsBucket>,
}

/// `GET /users/{userId}/statistics/production`
pub(crate) async fn earnings(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(user): PathArg,
    args: QueryArgs,
) -> ApiResult<Json<Earnings>> {
    let user = user_arg(user)?;
    let engine = state.engine();
    engine.expect_user(caller.client_id, &user).await?;
    let (from, to) = time(&args, "from", "to", &state)?;
    let query = ChargingQuery {
        client: caller.client_id,
        user,
        kind: DeviceKind::Inverter,
        device: args.one("inverterId")?,
        location: location(&args)?,
        from,
        to,
    };
    let resolution = resolution(&args, Resolution::Day)?;
    let place = zone(&args)?.unwrap_or(Place::UTC);
    let data = engine.production_earnings(query, resolution, &place);
    Ok(Json(Earnings { data: data.await? }))
}

/// `GET /inverters/{inverterId}/statistics`
pub(crate) async fn production(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
    args: QueryArgs,
) -> Result<Response, ProblemJson> {
    let engine = state.engine();
    let kind = DeviceKind::Inverter;
    let inverter = engine.get_device(caller.client_id, kind, &id).await;
    let inverter = inverter.map_err(ApiError::from)?;
    let told = engine.inverter_statistics(&inverter, period(&args)?).await;
    let told = told.map_err(ApiError::from)?;
    // What will change is accepted to be so for now.
    let status = match told.retry_after {
        Some(_) => StatusCode::ACCEPTED,
        None => StatusCode::OK,
    };
    Ok((status, Json(told)).into_response())
}

/// A month, or a day of it.
fn period(args: &QueryArgs) -> ApiResult<Period> {
    let year = whole(args, "year", 1969, 2999)?;
    let year = year.ok_or_else(|| ApiError::invalid("year", "is missing"))?;
    let month = whole(args, "month", 1, 12)?;
    let month = month.ok_or_else(|| ApiError::invalid("month", "is missing"))?;
    let day = whole(args, "day", 1, 31)?;
    // Two digits fit.
    let period = Period::of(year, month as i8, day.map(|day| day as i8));
    period.ok_or_else(|| ApiError::invalid("day", "is not a day of this month"))
}

fn whole(args: &QueryArgs, name: &'static str, least: i16, most: i16) -> ApiResult<Option<i16>> {
    let Some(text) = args.one(name)? else {
        return Ok(None);
    };
    let number = text.parse().ok().filter(|n| (least..=most).contains(n));
    let message = || format!("must be a whole number from {least} to {most}");
    number
        .map(Some)
        .ok_or_else(|| ApiError::invalid(name, message()))
}

/// Charges with their evidence.
#[derive(Debug, Serialize)]
pub(crate) struct Charges {
    data: Vec<Charge>,
}

/// `GET /users/{userId}/charging-sessions`
pub(crate) async fn charges(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(user): PathArg,
    args: QueryArgs,
) -> ApiResult<Json<Charges>> {
    let user = user_arg(user)?;
    let (from, to) = time(&args, "from", "to", &state)?;
    let engine = state.engine();
    let data = engine
        .list_charges(caller.client_id, user, from, to)
        .await?;
    Ok(Json(Charges { data }))
}

/// Of a user that is not there nothing can be asked, well or badly.
async fn charging_query(
    state: &ApiState,
    caller: &Caller,
    user: String,
    args: &QueryArgs,
) -> ApiResult<ChargingQuery> {
    let user = user_arg(user)?;
    state.engine().expect_user(caller.client_id, &user).await?;
    if args.one("startDate")?.is_none() {
        return Err(ApiError::invalid("startDate", "is missing"));
    }
    let (from, to) = time(args, "startDate", "endDate", state)?;
    let kind = match args.one("type")?.as_deref() {
        Some("vehicle") => DeviceKind::Vehicle,
        Some("charger") => DeviceKind::Charger,
        Some("hvac") => DeviceKind::Hvac,
        Some(_) => {
            return Err(ApiError::invalid(
                "type",
                "must be charger, vehicle or hvac",
            ));
        }
        None => return Err(ApiError::invalid("type", "is missing")),
    };
    Ok(ChargingQuery {
        client: caller.client_id,
        user,
        kind,
        device: args.one("id")?,
        location: location(args)?,
        from,
        to,
    })
}

fn location(args: &QueryArgs) -> ApiResult<Option<LocationId>> {
    let location = args.one("locationId")?.map(|text| {
        let message = "must be the ID of a location";
        text.parse()
            .map_err(|_| ApiError::invalid("locationId", message))
    });
    location.transpose()
}

/// From when until when; without an end until now, without a beginning a day before.
fn time(
    args: &QueryArgs,
    from: &'static str,
    to: &'static str,
    state: &ApiState,
) -> ApiResult<(Timestamp, Timestamp)> {
    let now = state.engine().now();
    let end = moment(args, to)?;
    let begin = match moment(args, from)? {
        Some(begin) => begin,
        None => end
            .unwrap_or(now)
            .saturating_sub(DEFAULT_REACH)
            .unwrap_or(now),
    };
    match end {
        Some(end) if end <= begin => Err(ApiError::invalid(to, format!("must be after {from}"))),
        Some(end) => Ok((begin, end)),
        None if begin > now => Err(ApiError::invalid(from, "must not be in the future")),
        None => Ok((begin, now)),
    }
}

/// A moment; one without a zone is UTC.
fn moment(args: &QueryArgs, name: &'static str) -> ApiResult<Option<Timestamp>> {
    let read = args.one(name)?.map(|text| {
        let message = "must be a moment like 2026-03-02T06:00:00.000Z";
        read(&text).ok_or_else(|| ApiError::invalid(name, message))
    });
    read.transpose()
}

fn resolution(args: &QueryArgs, default: Resolution) -> ApiResult<Resolution> {
    let Some(name) = args.one("resolution")? else {
        return Ok(default);
    };
    Resolution::named(&name).ok_or_else(|| {
        let names = Resolution::ALL.map(Resolution::name).join(", ");
        ApiError::invalid("resolution", format!("must be one of {names}"))
    })
}

/// The zone whose calendar is meant.
fn zone(args: &QueryArgs) -> ApiResult<Option<Place>> {
    let zone = args.one("timezone")?.map(|name| {
        let zone = name.parse::<Zone>();
        zone.map_err(|unknown| ApiError::invalid("timezone", unknown.to_string()))
    });
    Ok(zone.transpose()?.map(Place::from))
}

/// The contract's old way to name a zone: hours, perhaps a fraction of them.
fn offset(args: &QueryArgs) -> ApiResult<Option<Place>> {
    let Some(text) = args.one("utcOffset")? else {
        return Ok(None);
    };
    let place = text.parse().ok().and_then(Place::ahead);
    let message = "must be a number of hours between -24 and 24";
    place
        .ok_or_else(|| ApiError::invalid("utcOffset", message))
        .map(Some)
}
