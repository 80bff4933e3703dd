//! What helios's JSON means.

use jiff::{Timestamp, civil::Date};
use livewatt_domain::{
    device::{
        Capability, VendorDevice, Via,
        battery::{self, BatteryStatus, OperationMode},
        charger::{self, ChargerPowerDeliveryState},
        hvac::{self, HoldType, HvacCategory, HvacMode, Range},
        inverter, meter,
    },
    energy::Flow,
    fact::{Completeness, Key, Observation, Presence},
    hem::{self, Flows, Series, SeriesValues},
    kind::DeviceKind,
    production::Period,
    zone::Zone,
};
use uuid::Uuid;

use super::{Site, wire};
use crate::{
    http::Response,
    interventions::{
        EVBOX_CHARGER_INSTALLER, EVBOX_CHARGER_PANEL, NIBE_HVAC_INSTALLER, NIBE_HVAC_PANEL,
        SOLAREDGE_BATTERY_INSTALLER, SOLAREDGE_BATTERY_PANEL,
    },
    lenient::{Drift, EpochMillis, List, Number, Teller, Told},
};

/// A battery that moves less power than this rests, in W.
const RESTING_W: f64 = 10.0;

/// What is fixed about a site; `None` if it has no ID.
pub(super) fn site(told: Told<wire::Site>, drift: &mut Drift) -> Option<Site> {
    let told = told.take("sites[]", drift)?;
    let id = told.id.identifier().take("site.id", drift)?;
    let timezone = told
        .timezone
        .take("site.timezone", drift)
        .filter(|name| !name.is_empty());
    let zone = timezone
        .as_deref()
        .and_then(|name| name.parse::<Zone>().ok());
    if timezone.is_some() && zone.is_none() {
        drift.note("site.timezone", "(unknown zone)");
    }
    // A date is a day of the site's own calendar; without a zone it is taken in UTC.
    let installed_at = told
        .installed_on
        .and_then("(no date)", |text| text.parse::<Date>().ok())
        .take("site.installed_on", drift)
        .and_then(|date| {
            date.to_zoned(zone.unwrap_or(Zone::UTC).rules().clone())
                .ok()
        })
        .map(|midnight| midnight.timestamp());
    Some(Site {
        id,
        name: told
            .name
            .take("site.name", drift)
            .filter(|name| !name.is_empty()),
        timezone,
        installed_at,
        longitude: told.lon.take("site.lon", drift).map(|Number(east)| east),
        latitude: told.lat.take("site.lat", drift).map(|Number(north)| north),
        address: told
            .address
            .take("site.address", drift)
            .filter(|address| !address.is_empty()),
    })
}

/// What an answer says of the production in a period; `None` if it is about another.
pub(super) fn production(
    told: wire::Production,
    zone: &Zone,
    period: Period,
    drift: &mut Drift,
) -> Option<(Zone, Vec<Option<f64>>)> {
    let named = told
        .timezone
        .and_then("(unknown zone)", |name| name.parse().ok())
        .take("production.timezone", drift);
    let zone = named.unwrap_or_else(|| zone.clone());
    let from = told.from.take("production.from", drift);
    if !is_about(period, &zone, &told.step, from) {
        return None;
    }
    let list = told.wh.take("production.wh", drift)?;
    let kwh = values(list, Told::kilo, "production.wh[]", drift);
    Some((zone, kwh))
}

/// Whether an answer with this step and this beginning is about a period.
fn is_about(period: Period, zone: &Zone, step: &Told<String>, from: Option<EpochMillis>) -> bool {
    let expected = match period {
        Period::Day(_) => "quarter",
        Period::Month(_) => "day",
    };
    step.as_value().is_some_and(|word| word == expected)
        && from.is_some_and(|EpochMillis(from)| from == period.begin(zone))
}

fn values(
    list: List<Number>,
    unit: fn(Told<Number>) -> Told<Number>,
    name: &str,
    drift: &mut Drift,
) -> Vec<Option<f64>> {
    let values = list.into_iter().map(|value| {
        let number = unit(value).take(name, drift);
        number.map(|Number(number)| number)
    });
    values.collect()
}

/// What an answer says of the flows in a period; `None` if it is about another.
pub(super) fn flows(
    told: wire::Flows,
    zone: &Zone,
    period: Period,
    drift: &mut Drift,
) -> Option<(Zone, SeriesValues)> {
    let named = told
        .timezone
        .and_then("(unknown zone)", |name| name.parse().ok())
        .take("flows.timezone", drift);
    let zone = named.unwrap_or_else(|| zone.clone());
    let from = told.from.take("flows.from", drift);
    if !is_about(period, &zone, &told.step, from) {
        return None;
    }
    let mut series = SeriesValues::new();
    for (of, name, list) in [
        (Series::Generation, "flows.solar_wh", told.solar_wh),
        (Series::Consumption, "flows.load_wh", told.load_wh),
        (Series::Import, "flows.import_wh", told.import_wh),
        (Series::Export, "flows.export_wh", told.export_wh),
        (Series::Charge, "flows.charged_wh", told.charged_wh),
        (Series::Discharge, "flows.discharged_wh", told.discharged_wh),
        (Series::BatteryLevel, "flows.soc", told.soc),
    ] {
        let unit: fn(Told<Number>) -> Told<Number> = match of {
            Series::BatteryLevel => |percent| percent,
            _ => Told::kilo,
        };
        if let Some(list) = list.take(name, drift) {
            series.insert(of, values(list, unit, name, drift));
        }
    }
    Some((zone, series))
}

/// What a site told of its devices.
pub(super) struct SiteTold {
    pub(super) observations: Vec<Observation>,
    pub(super) site: hem::SiteTold,
    /// Whether these are all of its devices.
    pub(super) is_complete: bool,
}

/// What a site's answer says of its devices.
pub(super) fn live(
    told: wire::Live,
    site: &Site,
    response: &Response,
    drift: &mut Drift,
) -> SiteTold {
    let is_lost = match told.gateway.take("gateway", drift).as_deref() {
        Some("online") | None => false,
        Some("offline") => true,
        Some(word) => {
            drift.note("gateway", word);
            false
        }
    };
    let at = told.ts.take("ts", drift).map(|EpochMillis(at)| at);
    let today = told
        .inverter
        .as_value()
        .map(|inverter| inverter.today_wh.clone());
    let generation = today
        .unwrap_or_default()
        .kilo()
        .take("inverter.today_wh", drift);
    let today = Flows {
        generation: generation.map(|Number(kwh)| kwh),
        ..Flows::default()
    };
    let told_site = hem::SiteTold {
        id: site.id.clone(),
        name: site.name.clone(),
        zone: site.timezone.as_deref().and_then(|name| name.parse().ok()),
        installed_at: site.installed_at,
        address: site.address.clone(),
        devices: Vec::new(),
        today,
        at: at.map_or(response.received_at, |at| at.min(response.received_at)),
    };
    let mut reader = Reader {
        site,
        response,
        drift,
        at,
        is_lost,
        told: SiteTold {
            observations: Vec::new(),
            site: told_site,
            is_complete: true,
        },
    };
    reader.device(DeviceKind::Inverter, "inverter", told.inverter, inverter);
    reader.device(DeviceKind::Battery, "battery", told.battery, battery);
    reader.device(DeviceKind::Meter, "meter", told.meter, meter);
    reader.device(DeviceKind::Hvac, "heatpump", told.heatpump, heatpump);
    reader.device(DeviceKind::Charger, "charger", told.charger, charger);
    let mut told = reader.told;
    let devices = told.observations.iter().map(|seen| seen.device.clone());
    told.site.devices = devices.collect();
    told
}

/// A block of a site's answer: a device.
trait Block {
    fn take_id(&mut self) -> Told<String>;
    fn take_connected(&mut self) -> Told<bool>;
}

macro_rules! blocks {
    ($($name:ident)*) => {$(
        impl Block for wire::$name {
            fn take_id(&mut self) -> Told<String> {
                std::mem::take(&mut self.id)
            }

            fn take_connected(&mut self) -> Told<bool> {
                std::mem::take(&mut self.connected)
            }
        }
    )*};
}
blocks! { Inverter Battery Meter Heatpump Charger }

/// Reads the blocks of one site one after the other.
struct Reader<'a> {
    site: &'a Site,
    response: &'a Response,
    drift: &'a mut Drift,
    at: Option<Timestamp>,
    is_lost: bool,
    told: SiteTold,
}

impl Reader<'_> {
    fn device<B: Block>(
        &mut self,
        kind: DeviceKind,
        name: &'static str,
        block: Told<B>,
        tell: fn(B, &Site, &mut Teller<'_>),
    ) {
        // A device that was removed has no block.
        if matches!(block, Told::Absent | Told::Null) {
            return;
        }
        let block = block.take(name, self.drift).and_then(|mut block| {
            let id = block.take_id().identifier();
            let id = id.take(&format!("{name}.id"), self.drift)?;
            Some((block, id))
        });
        let Some((mut block, id)) = block else {
            self.told.is_complete = false;
            return;
        };
        let connected = block
            .take_connected()
            .take(&format!("{name}.connected"), self.drift);
        let is_connected = connected != Some(false);
        // Of a device that is lost nothing is told, which does not make its last values untrue.
        let completeness = if is_connected {
            Completeness::Complete
        } else {
            Completeness::Partial
        };
        let (started_at, received_at) = (self.response.started_at, self.response.received_at);
        let device = VendorDevice { kind, id };
        let mut seen = Observation::new(device, completeness, Via::Poll, started_at, received_at);
        if self.is_lost || !is_connected {
            seen.presence = Presence::Offline;
        }
        let mut teller = Teller {
            seen: &mut seen,
            drift: self.drift,
            block: name,
            at: self.at,
            completeness,
        };
        if is_connected {
            tell(block, self.site, &mut teller);
        }
        self.told.observations.push(seen);
    }
}

fn inverter(told: wire::Inverter, site: &Site, teller: &mut Teller<'_>) {
    teller.tell(inverter::MODEL, "model", told.model);
    teller.number(inverter::PRODUCTION_RATE, "power", told.power.kilo());
    teller.number(
        inverter::TOTAL_LIFETIME_PRODUCTION,
        "total_wh",
        told.total_wh.kilo(),
    );
    teller.seen.tell(
        inverter::PRODUCTION_STATISTICS,
        Some(Capability::of(true)),
        None,
    );
    let seen = &mut *teller.seen;
    seen.tell(inverter::TIMEZONE, site.timezone.clone(), None);
    tell_site(seen, site, inverter::SITE_NAME, inverter::INSTALLATION_DATE);
    tell_position(seen, site, inverter::LONGITUDE, inverter::LATITUDE);
}

fn battery(told: wire::Battery, site: &Site, teller: &mut Teller<'_>) {
    let status = told.power.clone().and_then("(number)", |Number(watts)| {
        Some(match watts {
            watts if watts > RESTING_W => BatteryStatus::Charging,
            watts if watts < -RESTING_W => BatteryStatus::Discharging,
            _ => BatteryStatus::Idle,
        })
    });
    teller.tell(battery::MODEL, "model", told.model);
    teller.number(
        battery::BATTERY_CAPACITY,
        "capacity_wh",
        told.capacity_wh.kilo(),
    );
    teller.number(battery::BATTERY_LEVEL, "soc", told.soc);
    teller.number(battery::CHARGE_RATE, "power", told.power.kilo());
    teller.tell(battery::STATUS, "power", without_oddity(status));
    teller.count(Flow::Taken, "charged_wh", told.charged_wh.kilo());
    teller.count(Flow::Given, "discharged_wh", told.discharged_wh.kilo());
    let unplaced = OperationMode::Unknown;
    teller.word_or(
        battery::OPERATION_MODE,
        "mode",
        told.mode,
        unplaced,
        |word| {
            Some(match word {
                "self_use" => OperationMode::SelfReliance,
                "backup" => OperationMode::ImportFocus,
                "idle" => OperationMode::Idle,
                _ => return None,
            })
        },
    );
    let ids = (SOLAREDGE_BATTERY_PANEL, SOLAREDGE_BATTERY_INSTALLER);
    let possible = Capability::unless(obstacle(told.control, ids, teller));
    let seen = &mut *teller.seen;
    for (key, capability) in [
        (battery::IMPORT_FOCUS, possible.clone()),
        (battery::SELF_RELIANCE, possible.clone()),
        (battery::IDLE, possible),
        (battery::EXPORT_FOCUS, Capability::of(false)),
        (battery::TIME_OF_USE, Capability::of(false)),
    ] {
        seen.tell(key, Some(capability), None);
    }
    tell_site(seen, site, battery::SITE_NAME, battery::INSTALLATION_DATE);
    tell_position(seen, site, battery::LONGITUDE, battery::LATITUDE);
}

fn meter(told: wire::Meter, site: &Site, teller: &mut Teller<'_>) {
    teller.tell(meter::MODEL, "model", told.model);
    teller.number(meter::POWER, "power", told.power.kilo());
    teller.count(Flow::Taken, "import_wh", told.import_wh.kilo());
    teller.count(Flow::Given, "export_wh", told.export_wh.kilo());
    let seen = &mut *teller.seen;
    seen.tell(
        meter::MEASURES_CONSUMPTION,
        Some(Capability::of(true)),
        None,
    );
    seen.tell(meter::MEASURES_PRODUCTION, Some(Capability::of(true)), None);
    tell_site(seen, site, meter::SITE_NAME, meter::INSTALLATION_DATE);
    tell_position(seen, site, meter::LONGITUDE, meter::LATITUDE);
}

fn heatpump(told: wire::Heatpump, _site: &Site, teller: &mut Teller<'_>) {
    teller.tell(hvac::MODEL, "model", told.model);
    teller
        .seen
        .tell(hvac::CATEGORY, Some(HvacCategory::HeatPump), None);
    teller.number(hvac::CONSUMPTION_RATE, "power", told.power.kilo());
    teller.count(Flow::Taken, "consumed_wh", told.consumed_wh.kilo());
    teller.number(hvac::CURRENT_TEMPERATURE, "room_temp", told.room_temp);
    teller.word(
        hvac::IS_ACTIVE,
        "activity",
        told.activity,
        |word| match word {
            "heating" | "cooling" => Some(true),
            "idle" | "off" => Some(false),
            _ => None,
        },
    );
    teller.word(hvac::MODE, "mode", told.mode, |word| {
        Some(match word {
            "heating" => HvacMode::Heat,
            "cooling" => HvacMode::Cool,
            "auto" => HvacMode::Auto,
            "standby" => HvacMode::Off,
            _ => return None,
        })
    });
    teller.number(hvac::HEAT_SETPOINT, "heat_to", told.heat_to);
    teller.number(hvac::COOL_SETPOINT, "cool_to", told.cool_to);
    // A hold that ends by itself is a hold all the same: the program is not followed.
    teller.word(
        hvac::HOLD_TYPE,
        "program",
        told.program,
        |word| match word {
            "schedule" => Some(HoldType::Scheduled),
            "hold" => Some(HoldType::Permanent),
            _ => None,
        },
    );
    let modes = vec![
        HvacMode::Off,
        HvacMode::Auto,
        HvacMode::Cool,
        HvacMode::Heat,
    ];
    let range = |min, max| Some(Range { min, max });
    let ids = (NIBE_HVAC_PANEL, NIBE_HVAC_INSTALLER);
    let possible = Capability::unless(obstacle(told.control, ids, teller));
    let seen = &mut *teller.seen;
    seen.tell(hvac::CAPABLE_MODES, Some(modes), None);
    seen.tell(
        hvac::HEAT_SETPOINT_RANGE,
        range(Some(10.0), Some(28.0)),
        None,
    );
    seen.tell(
        hvac::COOL_SETPOINT_RANGE,
        range(Some(18.0), Some(32.0)),
        None,
    );
    seen.tell(
        hvac::SETPOINT_DIFFERENCE_RANGE,
        range(Some(1.0), None),
        None,
    );
    seen.tell(hvac::SET_FOLLOW_SCHEDULE, Some(possible.clone()), None);
    seen.tell(hvac::SET_PERMANENT_HOLD, Some(possible), None);
}

fn charger(told: wire::Charger, _site: &Site, teller: &mut Teller<'_>) {
    let is_charging = told
        .state
        .as_value()
        .is_some_and(|state| state == "charging");
    teller.tell(charger::MODEL, "model", told.model);
    // Power is told as 0 when none flows; the contract tells it only while charging.
    teller.number(
        charger::CHARGE_RATE,
        "power",
        told.power.kilo().only_if(is_charging),
    );
    teller.number(charger::MAX_CURRENT, "limit_a", told.limit_a);
    teller.count(Flow::Taken, "total_wh", told.total_wh.kilo());
    teller.word(charger::POWER_DELIVERY_STATE, "state", told.state, |word| {
        use ChargerPowerDeliveryState as State;
        Some(match word {
            "free" => State::Unplugged,
            "charging" => State::Charging,
            "stopped" | "done" => State::Stopped,
            // Plugged, but nothing flows, for want of a start or of power.
            "occupied" => State::NoPower,
            "error" => State::Fault,
            _ => return None,
        })
    });
    let ids = (EVBOX_CHARGER_PANEL, EVBOX_CHARGER_INSTALLER);
    let possible = Capability::unless(obstacle(told.control, ids, teller));
    for key in [
        charger::START_CHARGING,
        charger::STOP_CHARGING,
        charger::SET_MAX_CURRENT,
    ] {
        teller.seen.tell(key, Some(possible.clone()), None);
    }
}

/// What stands in the way of commands to a device.
fn obstacle(
    control: Told<String>,
    (panel, installer): (Uuid, Uuid),
    teller: &mut Teller<'_>,
) -> Option<Uuid> {
    let name = format!("{}.control", teller.block);
    match control.take(&name, teller.drift).as_deref() {
        None | Some("app") => None,
        Some("panel") => Some(panel),
        Some("installer") => Some(installer),
        Some(word) => {
            teller.drift.note(&name, word);
            None
        }
    }
}

/// What is odd about a number was noted where the number itself was told.
fn without_oddity<T>(told: Told<T>) -> Told<T> {
    match told {
        Told::Odd(_) => Told::Null,
        told => told,
    }
}

fn tell_site(seen: &mut Observation, site: &Site, name: Key<String>, installed: Key<Timestamp>) {
    if let Some(site_name) = &site.name {
        seen.tell(name, Some(site_name.clone()), None);
    }
    if let Some(installed_at) = site.installed_at {
        seen.tell(installed, Some(installed_at), None);
    }
}

fn tell_position(seen: &mut Observation, site: &Site, longitude: Key<f64>, latitude: Key<f64>) {
    let (east, north) = match (site.longitude, site.latitude) {
        (Some(east), Some(north)) => (Some(east), Some(north)),
        _ => (None, None),
    };
    seen.tell(longitude, east, None);
    seen.tell(latitude, north, None);
}

#[cfg(test)]
mod tests;
