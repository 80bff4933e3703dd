//! The truth: exact states, histories and statistics, whatever the clouds show.

use serde_json::{Value, json};

use crate::{
    ControlError,
    clock::timestamp,
    clouds::Cloud,
    world::{
        Locator, World,
        account::{Account, Household, Meta, PartKind, Stats},
        vehicle::Vehicle,
        wallbox::Wallbox,
    },
};

impl World {
    /// Everything, or what concerns one cloud, or one account of it.
    pub(crate) fn truth(
        &self,
        cloud: Option<Cloud>,
        account: Option<&str>,
    ) -> Result<Value, ControlError> {
        let wanted = |a: &&Account| {
            cloud.is_none_or(|cloud| a.cloud == cloud) && account.is_none_or(|name| a.is(name))
        };
        let accounts: Vec<&Account> = self.accounts.values().filter(wanted).collect();
        if account.is_some() && accounts.is_empty() {
            return Err(ControlError::NotFound("account"));
        }
        let sum =
            |pick: fn(&Stats) -> u64| -> u64 { accounts.iter().map(|a| pick(&a.stats)).sum() };
        let apps: Value = self
            .apps
            .iter()
            .filter(|_| cloud.is_none_or(|cloud| cloud == Cloud::Rivoli))
            .map(|(name, app)| {
                json!({
                    "cloud": Cloud::Rivoli,
                    "app": name,
                    "calls": app.calls,
                    "quota_exceeded": app.quota_exceeded,
                })
            })
            .collect();
        Ok(json!({
            "now": timestamp(self.now().div_euclid(1000)),
            "accounts": accounts.iter().map(|account| account_truth(account)).collect::<Value>(),
            "apps": apps,
            "stats": {
                "calls_total": sum(|stats| stats.calls.values().sum()),
                "rate_limited": sum(|stats| stats.rate_limited),
                "quota_exceeded": sum(|stats| stats.quota_exceeded),
            },
        }))
    }

    pub(crate) fn device_truth(&self, id: &str) -> Result<Value, ControlError> {
        let (account, locator) = self.place_of(id).ok_or(ControlError::NotFound("device"))?;
        let account = self
            .accounts
            .get(account)
            .ok_or(ControlError::NotFound("account"))?;
        Ok(match *locator {
            Locator::Vehicle(index) => {
                let device = &account.vehicles[index];
                device_truth("vehicle", &device.meta, vehicle_state(&device.live))
            }
            Locator::Wallbox(index) => {
                let device = &account.wallboxes[index];
                device_truth("wallbox", &device.meta, wallbox_state(&device.live))
            }
            Locator::Part(index, kind) => part_truth(&account.households[index], kind),
        })
    }
}

fn account_truth(account: &Account) -> Value {
    let vehicles = account
        .vehicles
        .iter()
        .map(|d| device_truth("vehicle", &d.meta, vehicle_state(&d.live)));
    let wallboxes = account
        .wallboxes
        .iter()
        .map(|d| device_truth("wallbox", &d.meta, wallbox_state(&d.live)));
    let parts = account
        .households
        .iter()
        .flat_map(|house| PartKind::ALL.map(|kind| part_truth(house, kind)));
    json!({
        "id": account.id,
        "cloud": account.cloud,
        "username": account.username,
        "stats": stats(&account.stats),
        "devices": vehicles.chain(wallboxes).chain(parts).collect::<Value>(),
    })
}

fn stats(stats: &Stats) -> Value {
    json!({
        "calls": stats.calls,
        "calls_total": stats.calls.values().sum::<u64>(),
        "rate_limited": stats.rate_limited,
        "quota_exceeded": stats.quota_exceeded,
        "unauthorized": stats.unauthorized,
        "logins": stats.logins,
        "failed_logins": stats.failed_logins,
        "busiest_10_minutes": stats.in_10_minutes.busiest,
        "busiest_day": stats.in_a_day.busiest,
        "pushes_made": stats.pushes_made,
        "pushes_sent": stats.pushes_sent,
        "pushes_acked": stats.pushes_acked,
        "pushes_failed": stats.pushes_failed,
        "pushes_dropped": stats.pushes_dropped,
    })
}

fn device_truth(kind: &str, meta: &Meta, state: Value) -> Value {
    json!({
        "id": meta.id,
        "kind": kind,
        "name": meta.name,
        "online": !meta.offline,
        "added_at": timestamp(meta.added_at),
        "removed_at": meta.removed_at.map(timestamp),
        "state": state,
        "history": meta.log.json(),
    })
}

fn vehicle_state(vehicle: &Vehicle) -> Value {
    json!({
        "level_percent": vehicle.level,
        "plugged": vehicle.plugged,
        "status": vehicle.charge.word(),
        "power_kw": vehicle.power_kw,
        "limit_percent": vehicle.limit,
        "max_amps": vehicle.max_amps,
        "capacity_kwh": vehicle.capacity_kwh,
        "range_km": vehicle.range_km(),
        "minutes_to_full": vehicle.minutes_to_full(),
        "odometer_km": vehicle.odometer_km,
        "lat": vehicle.lat,
        "lon": vehicle.lon,
        "place": vehicle.place.word(),
        "driving": vehicle.is_driving(),
        "asleep": vehicle.asleep,
    })
}

fn wallbox_state(wallbox: &Wallbox) -> Value {
    json!({
        "status": wallbox.status.word(),
        "power_kw": wallbox.power_kw,
        "current_limit_amps": wallbox.limit_amps,
        "vehicle": wallbox.vehicle,
    })
}

fn part_truth(house: &Household, kind: PartKind) -> Value {
    let site = &house.site.live;
    let (flows, energy) = (&site.flows, &site.energy);
    let kw = |watts: i64| watts as f64 / 1000.0;
    let kwh = |watt_seconds: i64| watt_seconds as f64 / 3_600_000.0;
    let state = match kind {
        PartKind::Inverter => json!({
            "power_kw": kw(flows.solar),
            "total_kwh": kwh(energy.solar),
            "today_kwh": kwh(energy.solar_today),
        }),
        PartKind::Battery => json!({
            "level_percent": site.level,
            "power_kw": kw(flows.battery),
            "capacity_kwh": site.capacity_wh as f64 / 1000.0,
            "mode": site.battery_mode.word(),
            "charged_kwh": kwh(energy.charged),
            "discharged_kwh": kwh(energy.discharged),
        }),
        PartKind::Meter => json!({
            "power_kw": kw(flows.grid),
            "load_kw": kw(flows.load),
            "import_kwh": kwh(energy.bought),
            "export_kwh": kwh(energy.sold),
        }),
        PartKind::HeatPump => json!({
            "mode": site.heat_pump.mode.word(),
            "activity": site.heat_pump.activity.word(),
            "program": site.heat_pump.program.word(),
            "heat_to": site.heat_pump.heat_to,
            "cool_to": site.heat_pump.cool_to,
            "room_temp": site.heat_pump.room_temp,
            "outdoor_temp": site.outdoor_temp,
            "power_kw": kw(flows.heat_pump),
            "consumed_kwh": kwh(energy.heat_pump),
        }),
        PartKind::Charger => json!({
            "plugged": site.car.plugged,
            "status": site.car.charge.word(),
            "power_kw": kw(flows.charger),
            "current_limit_amps": site.charger_limit,
            "vehicle_level_percent": site.car.level,
            "fault": site.charger_faulty,
            "session_kwh": kwh(energy.session),
            "total_kwh": kwh(energy.charger),
        }),
    };
    let mut truth = device_truth(kind.word(), house.part(kind), state);
    truth["site"] = json!(house.site.meta.id);
    truth
}
