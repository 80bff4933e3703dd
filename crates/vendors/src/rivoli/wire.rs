//! The JSON of rivoli. Units: miles, A, V, %; no times anywhere.

use crate::lenient::{Number, wire};

wire! {
    /// Answer to a sign-in.
    Session {
        token: String,
        expires_in: Number,
    }

    /// A car in the list of cars.
    ListedCar {
        id: String,
    }

    /// A car.
    Car {
        name: String,
        vin: String,
        model: String,
        model_year: Number,
        asleep: bool,
        /// `active`, or `expired`: then it takes no commands.
        services: String,
        /// Keeps its position to itself.
        private: bool,
        battery: Battery,
        charge_state: String,
        charger: Charger,
        target_percent: Number,
        minutes_left: Number,
        odometer_miles: Number,
        /// `null` while driving.
        location: Location,
    }

    /// The battery of a car.
    Battery {
        percent: Number,
        range_miles: Number,
        capacity_kwh: Number,
    }

    /// What flows into a car now, measured at the wall.
    Charger {
        amps: Number,
        volts: Number,
        phases: Number,
        amps_limit: Number,
    }

    /// Where a car is.
    Location {
        lat: Number,
        lon: Number,
    }
}
