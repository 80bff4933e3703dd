//! The JSON of helios. Units: W, Wh, °C, %, A; some numbers are texts; one moment for a whole site,
//! in milliseconds.

use crate::lenient::{EpochMillis, List, Number, wire};

wire! {
    /// Answer to a sign-in; to a refresh, without the refresh token.
    Session {
        access: String,
        access_ttl: Number,
        refresh: String,
    }

    /// The sites of an account.
    Sites {
        sites: List<Site>,
    }

    /// What is fixed about a site.
    Site {
        id: String,
        name: String,
        timezone: String,
        lat: Number,
        lon: Number,
        address: String,
        /// A date.
        installed_on: String,
    }

    /// What an inverter produced in a day or a month.
    Production {
        timezone: String,
        /// `quarter` or `day`.
        step: String,
        /// Local midnight.
        from: EpochMillis,
        wh: List<Number>,
    }

    /// What flowed at a site in a day or a month; of what it does not have, nothing.
    Flows {
        timezone: String,
        /// `quarter` or `day`.
        step: String,
        /// Local midnight.
        from: EpochMillis,
        solar_wh: List<Number>,
        /// All that was used.
        load_wh: List<Number>,
        import_wh: List<Number>,
        export_wh: List<Number>,
        charged_wh: List<Number>,
        discharged_wh: List<Number>,
        /// At the end of each quarter hour; not told by the day.
        soc: List<Number>,
    }

    /// What a site does now.
    Live {
        ts: EpochMillis,
        /// `online` or `offline`.
        gateway: String,
        inverter: Inverter,
        battery: Battery,
        meter: Meter,
        heatpump: Heatpump,
        charger: Charger,
    }

    /// A solar inverter.
    Inverter {
        id: String,
        connected: bool,
        model: String,
        power: Number,
        /// Since local midnight.
        today_wh: Number,
        total_wh: Number,
    }

    /// A home battery.
    Battery {
        id: String,
        connected: bool,
        /// Who may operate it: `app`, `panel` or `installer`.
        control: String,
        model: String,
        capacity_wh: Number,
        soc: Number,
        /// Positive when charging.
        power: Number,
        mode: String,
        charged_wh: Number,
        discharged_wh: Number,
    }

    /// A grid meter.
    Meter {
        id: String,
        connected: bool,
        model: String,
        /// Positive when buying.
        power: Number,
        import_wh: Number,
        export_wh: Number,
    }

    /// A heat pump.
    Heatpump {
        id: String,
        connected: bool,
        /// Who may operate it: `app`, `panel` or `installer`.
        control: String,
        model: String,
        /// What was asked.
        mode: String,
        /// What it does.
        activity: String,
        power: Number,
        consumed_wh: Number,
        room_temp: Number,
        heat_to: Number,
        cool_to: Number,
        program: String,
    }

    /// A wall charger.
    Charger {
        id: String,
        connected: bool,
        /// Who may operate it: `app`, `panel` or `installer`.
        control: String,
        model: String,
        state: String,
        power: Number,
        limit_a: Number,
        total_wh: Number,
    }
}
