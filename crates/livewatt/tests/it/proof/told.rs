//! What an answer of a sandbox cloud tells of its devices, read without any adapter.

use livewatt_domain::{SignedDuration, Timestamp};
use livewatt_sandbox::{Answer, Cloud};
use serde_json::Value;

/// What a device does, by its cloud's own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doing {
    Active,
    Regular,
    Asleep,
}

/// Six kinds of device, in the contract's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Vehicle,
    Charger,
    Hvac,
    Inverter,
    Battery,
    Meter,
}

impl Kind {
    pub const ALL: [Self; 6] = [
        Self::Vehicle,
        Self::Charger,
        Self::Hvac,
        Self::Inverter,
        Self::Battery,
        Self::Meter,
    ];

    /// Its name in an event.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vehicle => "vehicle",
            Self::Charger => "charger",
            Self::Hvac => "hvac",
            Self::Inverter => "inverter",
            Self::Battery => "battery",
            Self::Meter => "meter",
        }
    }

    /// Its name in a path.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Vehicle => "vehicles",
            Self::Charger => "chargers",
            Self::Hvac => "hvacs",
            Self::Inverter => "inverters",
            Self::Battery => "batteries",
            Self::Meter => "meters",
        }
    }

    /// Where the figure that is followed stands in the device's JSON.
    pub fn figure_pointer(self) -> &'static str {
        match self {
            Self::Vehicle | Self::Battery => "/chargeState/batteryLevel",
            Self::Charger => "/chargeState/chargeRate",
            Self::Hvac => "/temperatureState/currentTemperature",
            Self::Inverter => "/productionState/productionRate",
            Self::Meter => "/energyState/power",
        }
    }

    /// The promise: the time between two polls.
    pub fn cadence(self, doing: Doing) -> SignedDuration {
        SignedDuration::from_mins(match (self, doing) {
            (Self::Hvac, Doing::Active) => 1,
            (Self::Hvac, _) | (_, Doing::Active) => 2,
            (_, Doing::Regular) => 7,
            (_, Doing::Asleep) => 20,
        })
    }
}

/// One device in an answer.
#[derive(Debug, Clone)]
pub struct Told {
    pub device: String,
    pub kind: Kind,
    /// `None`: the answer says it is there, but nothing that can be true about it.
    pub news: Option<News>,
    /// Whether its cloud has a connection to it.
    pub is_online: bool,
}

/// What a push shows of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// It is there.
    Made,
    /// It is there and does this.
    Does(Doing),
    /// It is not there.
    Lost,
}

/// What is new about a device.
#[derive(Debug, Clone, Copy)]
pub struct News {
    pub doing: Doing,
    /// The figure that is followed, in the contract's unit; `None`: it has none now.
    pub figure: Option<f64>,
    /// The vendor's time of it.
    pub at: Option<Timestamp>,
}

/// The devices that an answer tells of.
pub fn devices(answer: &Answer) -> Vec<Told> {
    let body = &answer.body;
    match (answer.cloud, answer.endpoint) {
        (Cloud::Volta, "account") => {
            let vehicles = list(&body["vehicles"])
                .map(|seen| told(seen, "vin", Kind::Vehicle, volta_vehicle(seen)));
            let boxes = list(&body["wallboxes"])
                .map(|seen| told(seen, "serial", Kind::Charger, volta_wallbox(seen)));
            vehicles.chain(boxes).flatten().collect()
        }
        (Cloud::Rivoli, "car") => told(body, "id", Kind::Vehicle, rivoli_car(body))
            .into_iter()
            .collect(),
        (Cloud::Helios, "live") => helios_site(body),
        _ => Vec::new(),
    }
}

/// What a push tells of the followed figure of a device.
#[derive(Debug)]
pub struct Pushed {
    pub device: String,
    pub figure: Option<f64>,
    /// It counts only while the device has a figure: a rate without a word about the state.
    pub is_rate_alone: bool,
    pub at: Option<Timestamp>,
}

/// What a push tells of followed figures. Only what has changed is in it.
pub fn pushed(answer: &Answer) -> Vec<Pushed> {
    list(&answer.body["changes"])
        .filter_map(|change| {
            let charge = &change["charge"];
            let (level, power) = (
                charge["level_percent"].as_f64(),
                charge["power_kw"].as_f64(),
            );
            let (name, figure, is_rate_alone) = match change["vin"].as_str() {
                Some(vin) => (vin, Some(level?), false),
                None => {
                    let serial = change["serial"].as_str()?;
                    match charge["status"].as_str() {
                        Some("charging") => (serial, Some(power?), false),
                        Some(_) => (serial, None, false),
                        None => (serial, Some(power?), true),
                    }
                }
            };
            Some(Pushed {
                device: name.to_owned(),
                figure,
                is_rate_alone,
                at: time(&charge["at"]),
            })
        })
        .collect()
}

/// The devices that a push shows to be in contact, what it says of what they do, and as of when.
pub fn contacts(answer: &Answer) -> Vec<(String, Contact, Option<Timestamp>)> {
    list(&answer.body["changes"])
        .filter_map(|change| {
            let word = change["type"].as_str()?;
            let name = change["vin"].as_str().or(change["serial"].as_str())?;
            let contact = match word.rsplit('_').next() {
                Some("added" | "removed") => return None,
                Some("offline") => Contact::Lost,
                _ => match change["charge"]["status"].as_str() {
                    Some(status) => Contact::Does(busy(status == "charging")),
                    None => Contact::Made,
                },
            };
            Some((name.to_owned(), contact, time(&change["charge"]["at"])))
        })
        .collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn told(seen: &Value, id: &str, kind: Kind, news: Option<News>) -> Option<Told> {
    let device = seen[id].as_str()?.to_owned();
    let is_online = seen.get("online").or(seen.get("connected"));
    Some(Told {
        device,
        kind,
        news,
        is_online: is_online != Some(&Value::Bool(false)),
    })
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// A number that can be true.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::String(text) => text.parse().ok()?,
        value => value.as_f64()?,
    };
    (number.abs() < 1e8).then_some(number)
}

fn busy(is_active: bool) -> Doing {
    if is_active {
        Doing::Active
    } else {
        Doing::Regular
    }
}

fn volta_vehicle(seen: &Value) -> Option<News> {
    let charge = &seen["charge"];
    Some(News {
        doing: busy(charge["status"].as_str()? == "charging"),
        figure: Some(number(&charge["level_percent"])?),
        at: time(&charge["at"]),
    })
}

fn volta_wallbox(seen: &Value) -> Option<News> {
    let charge = &seen["charge"];
    let is_charging = charge["status"].as_str()? == "charging";
    let power = number(&charge["power_kw"])?;
    Some(News {
        doing: busy(is_charging),
        figure: is_charging.then_some(power),
        at: time(&charge["at"]),
    })
}

fn rivoli_car(seen: &Value) -> Option<News> {
    let doing = match (seen["asleep"].as_bool()?, seen["charge_state"].as_str()?) {
        (true, _) => Doing::Asleep,
        (false, state) => busy(state == "CHARGING"),
    };
    Some(News {
        doing,
        figure: Some(number(&seen["battery"]["percent"])?),
        at: None,
    })
}

fn helios_site(body: &Value) -> Vec<Told> {
    let parts = [
        ("inverter", Kind::Inverter),
        ("battery", Kind::Battery),
        ("meter", Kind::Meter),
        ("heatpump", Kind::Hvac),
        ("charger", Kind::Charger),
    ];
    let part = |(name, kind)| {
        let seen = body.get(name)?;
        told(seen, "id", kind, helios_part(kind, seen))
    };
    parts.into_iter().filter_map(part).collect()
}

fn helios_part(kind: Kind, seen: &Value) -> Option<News> {
    if !seen["connected"].as_bool()? {
        return None;
    }
    let watts = number(&seen["power"])?;
    let (doing, figure) = match kind {
        Kind::Inverter => (busy(watts > 0.0), Some(watts / 1000.0)),
        Kind::Battery => (busy(watts.abs() > 10.0), Some(number(&seen["soc"])?)),
        Kind::Hvac => {
            let is_active = matches!(seen["activity"].as_str()?, "heating" | "cooling");
            (busy(is_active), Some(number(&seen["room_temp"])?))
        }
        Kind::Charger => {
            let is_charging = seen["state"].as_str()? == "charging";
            (busy(is_charging), is_charging.then_some(watts / 1000.0))
        }
        Kind::Meter | Kind::Vehicle => (Doing::Regular, Some(watts / 1000.0)),
    };
    Some(News {
        doing,
        figure,
        at: None,
    })
}
