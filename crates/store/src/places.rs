//! Values of Locations and of what energy costs there.

use livewatt_domain::{
    id::{ClientId, LocationId, UserId},
    location::Location,
    money::Currency,
    tariff::{LocationTariff, MarketPrice, Tariff},
    zone::Zone,
};

/// No price of a market holds for longer, in milliseconds: so far back must be looked for one that
/// holds at a moment.
pub const LONGEST_PRICE: i64 = 24 * 60 * 60 * 1_000;

/// Changes of a Location; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LocationPatch {
    /// What it is called.
    pub name: Option<String>,
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
    /// Its time zone.
    pub zone: Option<Zone>,
}

/// A Location that came, moved, went or changed its zone: devices have to be placed anew, and what goes
/// by its clock judged anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocationChange {
    /// Rises from change to change of a Location.
    pub number: i64,
    /// Whose it is.
    pub client_id: ClientId,
    /// The user.
    pub user_id: UserId,
    /// The Location.
    pub location_id: LocationId,
}

/// What was settled about prices at a Location, beside its tariff.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocationPricing {
    /// Its currency; the client's if absent.
    pub currency: Option<Currency>,
    /// The area of the market whose prices count where no tariff does; none if absent.
    pub price_area: Option<String>,
}

/// All that decides what energy costs at a Location.
#[derive(Debug, Clone, PartialEq)]
pub struct LocationPrices {
    /// The Location.
    pub location: Location,
    /// What was settled for it.
    pub pricing: LocationPricing,
    /// The currency of the client.
    pub client_currency: Option<Currency>,
    /// All tariffs that hung there, oldest first.
    pub hung: Vec<LocationTariff>,
    /// All versions of those tariffs, oldest first.
    pub tariffs: Vec<Tariff>,
}

/// Prices of a market that were received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketUpload {
    /// Whose.
    pub client_id: ClientId,
    /// The area of the market.
    pub area: String,
    /// The prices, no two at the same time; all of one source.
    pub prices: Vec<MarketPrice>,
}
