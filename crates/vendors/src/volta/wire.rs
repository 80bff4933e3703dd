//! The JSON of volta. Units: kW, kWh, km, %, A; moments in RFC 3339.

use crate::lenient::{List, Moment, Number, RawObject, wire};

wire! {
    /// Answer of the token endpoint.
    Tokens {
        access_token: String,
        refresh_token: String,
        expires_in: Number,
        account_id: String,
    }

    /// Refusal of the token endpoint.
    OauthError {
        error: String,
    }

    /// A whole account.
    Account {
        /// What the user lets our app do; all of it, if that is not told.
        permissions: List<String>,
        vehicles: List<Vehicle>,
        wallboxes: List<Wallbox>,
    }

    /// A vehicle.
    Vehicle {
        vin: String,
        name: String,
        model: String,
        year: Number,
        online: bool,
        /// Whether it lets itself be commanded.
        remote_access: String,
        charge: VehicleCharge,
        odometer: Odometer,
        position: Position,
    }

    /// Battery and charging of a vehicle. In a push only what changed, and `at`.
    VehicleCharge {
        level_percent: Number,
        range_km: Number,
        status: String,
        /// 0 unless charging.
        power_kw: Number,
        limit_percent: Number,
        capacity_kwh: Number,
        minutes_to_full: Number,
        max_amps: Number,
        at: Moment,
    }

    /// Distance driven.
    Odometer {
        km: Number,
        at: Moment,
    }

    /// Where a vehicle is.
    Position {
        lat: Number,
        lon: Number,
        at: Moment,
    }

    /// A wall charger.
    Wallbox {
        serial: String,
        model: String,
        year: Number,
        online: bool,
        /// Whether it lets itself be commanded.
        remote_access: String,
        charge: WallboxCharge,
    }

    /// Charging of a wall charger. In a push only what changed, and `at`.
    WallboxCharge {
        status: String,
        /// 0 unless charging.
        power_kw: Number,
        current_limit_amps: Number,
        at: Moment,
    }

    /// A push.
    Delivery {
        account_id: String,
        changes: List<Change>,
    }

    /// What a push says of one device.
    Change {
        r#type: String,
        vin: String,
        serial: String,
        /// A [`VehicleCharge`] or a [`WallboxCharge`].
        charge: RawObject,
    }
}
