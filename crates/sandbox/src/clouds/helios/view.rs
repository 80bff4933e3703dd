//! What the helios cloud shows of a site: watts and watt-hours, some of them as strings, and one
//! time stamp.

use serde_json::{Map, Value, json};

use crate::world::{
    account::{Account, Household, PartKind, Remote},
    heatpump::Program,
    site::Site,
    town::TOWNS,
    vehicle::Charge,
};

/// An entry of `GET /api/sites`.
pub(crate) fn summary(account: &Account, house: &Household) -> Value {
    let site = &house.site;
    json!({
        "id": site.meta.id,
        "name": site.meta.name,
        "timezone": TOWNS[account.town].timezone,
        "lat": format!("{:.3}", site.live.lat),
        "lon": format!("{:.3}", site.live.lon),
        "address": format!("{}, {}", site.meta.name, TOWNS[account.town].name),
        "installed_on": format!("{}-05-14", site.meta.year),
    })
}

/// The body of `GET /api/sites/{id}/live`.
pub(crate) fn live(house: &Household) -> Value {
    let device = &house.site;
    let whole_is_frozen = device.meta.is_frozen();
    let shown = if whole_is_frozen {
        device.shown()
    } else {
        &device.live
    };
    let mut body = Map::new();
    body.insert("site".into(), json!(device.meta.id));
    body.insert("ts".into(), json!(shown.tick * 1000));
    let gateway = if device.meta.offline {
        "offline"
    } else {
        "online"
    };
    body.insert("gateway".into(), json!(gateway));
    body.insert("house".into(), json!({"load_w": shown.flows.load}));
    for kind in PartKind::ALL {
        let part = house.part(kind);
        if !part.is_present() {
            continue;
        }
        let mut block = json!({"id": part.id, "connected": true, "model": part.model});
        if part.offline && !device.meta.offline {
            block = json!({"id": part.id, "connected": false});
        } else {
            if !matches!(kind, PartKind::Inverter | PartKind::Meter) {
                block["control"] = json!(control(part.remote));
            }
            let site = if part.stale { device.shown() } else { shown };
            let values = values(kind, site);
            for (key, value) in values.as_object().into_iter().flatten() {
                block[key] = value.clone();
            }
        }
        body.insert(kind.word().into(), block);
    }
    Value::Object(body)
}

fn values(kind: PartKind, site: &Site) -> Value {
    let (flows, energy) = (&site.flows, &site.energy);
    match kind {
        PartKind::Inverter => json!({
            "peak_w": site.peak_w,
            "power": flows.solar.to_string(),
            "today_wh": energy.solar_today / 3600,
            "total_wh": watt_hours(energy.solar),
        }),
        PartKind::Battery => json!({
            "capacity_wh": site.capacity_wh.to_string(),
            "max_power_w": site.battery_max_w,
            "soc": format!("{:.1}", site.level),
            "power": flows.battery,
            "mode": site.battery_mode.word(),
            "charged_wh": watt_hours(energy.charged),
            "discharged_wh": watt_hours(energy.discharged),
        }),
        PartKind::Meter => json!({
            "power": flows.grid.to_string(),
            "import_wh": watt_hours(energy.bought),
            "export_wh": watt_hours(energy.sold),
        }),
        PartKind::HeatPump => {
            let pump = &site.heat_pump;
            let hold_until = match pump.program {
                Program::Hold(until) => until,
                Program::Schedule => None,
            };
            json!({
                "mode": pump.mode.word(),
                "activity": pump.activity.word(),
                "power": flows.heat_pump,
                "room_temp": format!("{:.1}", pump.room_temp),
                "outdoor_temp": format!("{:.1}", site.outdoor_temp),
                "heat_to": format!("{:.1}", pump.heat_to),
                "cool_to": format!("{:.1}", pump.cool_to),
                "program": pump.program.word(),
                "hold_until": hold_until,
                "consumed_wh": watt_hours(energy.heat_pump),
            })
        }
        PartKind::Charger => json!({
            "state": charger_state(site),
            "power": flows.charger,
            "limit_a": site.charger_limit.to_string(),
            "session_wh": energy.session / 3600,
            "total_wh": watt_hours(energy.charger),
        }),
    }
}

/// Who may operate a device.
fn control(remote: Remote) -> &'static str {
    match remote {
        Remote::InstallerOnly => "installer",
        Remote::SwitchedOff => "panel",
        Remote::Allowed | Remote::NoKey | Remote::Expired => "app",
    }
}

fn charger_state(site: &Site) -> &'static str {
    match site.car.charge {
        _ if site.charger_faulty => "error",
        Charge::Disconnected => "free",
        Charge::Starting | Charge::NoPower => "occupied",
        Charge::Charging => "charging",
        Charge::Paused => "stopped",
        Charge::Complete => "done",
        Charge::Fault => "error",
    }
}

fn watt_hours(watt_seconds: i64) -> String {
    (watt_seconds / 3600).to_string()
}
