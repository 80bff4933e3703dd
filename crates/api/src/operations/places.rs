//! The rows of Locations, tariffs and prices.

use axum::{
    http::Method,
    routing::{delete, get, post, put},
};

use super::{
    BAD_INPUT, Content, NO_CONTENT, NO_LOCATION, NO_USER, Operation, PAGE, PRICES, SOURCE, ok,
    refusal,
};
use crate::handlers::{locations, market, tariffs};

const ONE: &str = "/locations/{locationId}";

pub(super) fn location_rows() -> Vec<Operation> {
    use Method as M;
    vec![
        Operation::new(
            "getLocations",
            M::GET,
            "/locations",
            "List locations",
            get(locations::list),
        )
        .query(PAGE)
        .answers([ok("PaginatedLocationList")]),
        Operation::new(
            "getUserlocations",
            M::GET,
            "/users/{userId}/locations",
            "List locations of a user",
            get(locations::list_of_user),
        )
        .query(PAGE)
        .answers([ok("PaginatedLocationList")]),
        Operation::new(
            "createLocation",
            M::POST,
            "/users/{userId}/locations",
            "Create a location; devices that stand there follow",
            post(locations::create),
        )
        .body(Content::Json("LocationPayload"))
        .answers([ok("LocationResponse"), BAD_INPUT, NO_USER]),
        Operation::new(
            "getLocation",
            M::GET,
            ONE,
            "Get a location",
            get(locations::get),
        )
        .answers([ok("LocationResponse"), NO_LOCATION]),
        Operation::new(
            "updateLocation",
            M::PUT,
            ONE,
            "Change a location; devices follow if it moved",
            put(locations::update),
        )
        .body(Content::Json("PartialLocation"))
        .answers([ok("LocationResponse"), BAD_INPUT, NO_LOCATION]),
        Operation::new(
            "deleteLocation",
            M::DELETE,
            ONE,
            "Delete a location, and return it as it was",
            delete(locations::delete),
        )
        .answers([ok("LocationResponse"), NO_LOCATION]),
    ]
}

pub(super) fn tariff_rows() -> Vec<Operation> {
    const ONE_TARIFF: &str = "/tariffs/{tariffId}";
    const OF_LOCATION: &str = "/locations/{locationId}/tariff";
    use Method as M;
    vec![
        Operation::new(
            "getTariffInformation",
            M::GET,
            ONE_TARIFF,
            "Get the rates of a tariff",
            get(tariffs::get),
        )
        .answers([ok("Tariff"), refusal(404, "Tariff not found")]),
        Operation::new(
            "sendTariffInformation",
            M::PUT,
            ONE_TARIFF,
            "Put the rates of a tariff, from now on",
            put(tariffs::put),
        )
        .body(Content::Json("Tariff"))
        .answers([NO_CONTENT, BAD_INPUT]),
        Operation::new(
            "getUserLocationTariff",
            M::GET,
            OF_LOCATION,
            "Get the week of the tariff at a location",
            get(tariffs::schedule),
        )
        .answers([ok("LocationTariffSchedule"), NO_LOCATION]),
        Operation::new(
            "associateUserLocationWithTariff",
            M::PUT,
            OF_LOCATION,
            "Hang a tariff at a location, from now on",
            put(tariffs::hang),
        )
        .body(Content::Json("LocationTariffInterval"))
        .answers([
            NO_CONTENT,
            refusal(400, "The input is not valid, or intervals overlap"),
            refusal(404, "Location or tariff not found"),
        ]),
    ]
}

/// Prices of a market, as they are uploaded.
const MARKET_PRICES: &str = "\
from,to,price,currency
2026-03-02T00:00:00Z,2026-03-02T01:00:00Z,0.5,NOK
";

pub(super) fn pricing_rows() -> Vec<Operation> {
    const OF_LOCATION: &str = "/locations/{locationId}/pricing";
    const MARKET: &str = "/market-prices/{area}";
    use Method as M;
    let mut rows = vec![
        Operation::new(
            "getPricing",
            M::GET,
            "/pricing",
            "Get the currency of all tariffs",
            get(tariffs::client_pricing),
        )
        .answers([ok("ClientPricing")]),
        Operation::new(
            "updatePricing",
            M::PUT,
            "/pricing",
            "Set the currency of all tariffs",
            put(tariffs::set_client_pricing),
        )
        .body(Content::Json("ClientPricing"))
        .answers([NO_CONTENT, BAD_INPUT]),
        Operation::new(
            "getLocationPricing",
            M::GET,
            OF_LOCATION,
            "Get the currency and the price area of a location",
            get(tariffs::location_pricing),
        )
        .answers([ok("LocationPricingSettings"), NO_LOCATION]),
        Operation::new(
            "updateLocationPricing",
            M::PUT,
            OF_LOCATION,
            "Set the currency and the price area of a location",
            put(tariffs::set_location_pricing),
        )
        .body(Content::Json("LocationPricingSettings"))
        .answers([NO_CONTENT, BAD_INPUT, NO_LOCATION]),
        Operation::new(
            "getLocationPrices",
            M::GET,
            "/locations/{locationId}/prices",
            "What energy costs at a location, quarter hour by quarter hour, and who says so",
            get(tariffs::location_prices),
        )
        .query(PRICES)
        .answers([ok("LocationPriceList"), BAD_INPUT, NO_LOCATION]),
        Operation::new(
            "uploadMarketPrices",
            M::PUT,
            MARKET,
            "Upload prices of a market: CSV, or a publication document in XML",
            put(market::upload),
        )
        .query(SOURCE)
        .body(Content::Csv(MARKET_PRICES))
        .answers([NO_CONTENT, BAD_INPUT]),
        Operation::new(
            "getMarketPrices",
            M::GET,
            MARKET,
            "The prices of a market as they are believed, each with its source",
            get(market::list),
        )
        .query(PRICES)
        .answers([ok("MarketPriceList"), BAD_INPUT]),
    ];
    for row in &mut rows {
        row.is_contract = false;
    }
    rows
}
