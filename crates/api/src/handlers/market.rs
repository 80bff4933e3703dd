//! Prices of markets: uploaded in files, and told as they are believed.

use axum::{
    Json,
    extract::{Request, State},
    http::{StatusCode, header},
};
use livewatt_domain::{Timestamp, tariff::MarketPrice, time};
use livewatt_engine::market::{PriceFormat, UPLOAD};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    error::{ApiError, ApiResult},
    extract::{Caller, PathArg, QueryArgs, range_args, read_body},
    state::ApiState,
};

/// A price of a market.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MarketPriceEntry {
    /// From when.
    #[serde(serialize_with = "time::serialize")]
    from: Timestamp,
    /// Until when.
    #[serde(serialize_with = "time::serialize")]
    to: Timestamp,
    /// What a kWh costs, as a decimal number.
    price: String,
    /// ISO 4217 code.
    currency: String,
    /// Who says so.
    source: String,
    /// When that was said.
    #[serde(serialize_with = "time::serialize")]
    received_at: Timestamp,
}

impl From<MarketPrice> for MarketPriceEntry {
    fn from(price: MarketPrice) -> Self {
        Self {
            from: price.from,
            to: price.to,
            price: price.per_kwh.normalize().to_string(),
            currency: price.currency.into(),
            source: price.source,
            received_at: price.received_at,
        }
    }
}

/// `PUT /market-prices/{area}`: CSV, or a publication document.
pub(crate) async fn upload(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(area): PathArg,
    request: Request,
) -> ApiResult<StatusCode> {
    let args = QueryArgs::of_uri(request.uri());
    let source = args.one("source")?.unwrap_or_else(|| UPLOAD.to_owned());
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let format = match content_type
        .and_then(|text| text.split(';').next())
        .map(str::trim)
    {
        Some("text/csv") => PriceFormat::Csv,
        Some("application/xml" | "text/xml") => PriceFormat::PublicationDocument,
        _ => {
            return Err(ApiError::Unreadable(
                "The header Content-Type must be text/csv or application/xml.".to_owned(),
            ));
        }
    };
    let body = read_body(request, state.options().push_body_limit).await?;
    let text = std::str::from_utf8(&body)
        .map_err(|_| ApiError::invalid("", "must be text in UTF-8"))?
        .to_owned();
    let client = caller.client_id;
    state
        .to_the_end(|engine| async move {
            let prices = engine.upload_market_prices(client, &area, &source, format, &text);
            prices.await
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /market-prices/{area}`
pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(area): PathArg,
    args: QueryArgs,
) -> ApiResult<Json<Vec<MarketPriceEntry>>> {
    let range = range_args(&args)?;
    let prices = state
        .engine()
        .market_list(caller.client_id, &area, range)
        .await?;
    Ok(Json(prices.into_iter().map(Into::into).collect()))
}
