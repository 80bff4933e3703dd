use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    lenient,
    testing::{assert_told, check_sane, mutated, obstacles, of, response, times, told},
};

const SITES: &str = include_str!("../../../fixtures/helios/sites.json");
const LIVE: &str = include_str!("../../../fixtures/helios/live.json");

fn sites(body: impl Into<bytes::Bytes>) -> (Vec<Site>, Vec<String>) {
    let mut drift = Drift::default();
    let told: Result<wire::Sites, _> = lenient::object(&response(body));
    let list = told
        .ok()
        .and_then(|told| told.sites.take("sites", &mut drift))
        .unwrap_or_default();
    let sites = list
        .into_iter()
        .filter_map(|told| site(told, &mut drift))
        .collect();
    (sites, drift.into_words())
}

fn home() -> Site {
    sites(SITES).0.remove(0)
}

fn read(body: impl Into<bytes::Bytes>) -> (SiteTold, Vec<String>) {
    let response = response(body);
    let mut drift = Drift::default();
    let told = match lenient::object(&response) {
        Ok(told) => live(told, &home(), &response, &mut drift),
        Err(_) => SiteTold {
            is_complete: false,
            ..live(wire::Live::default(), &home(), &response, &mut drift)
        },
    };
    (told, drift.into_words())
}

fn with(changes: &[(&str, Value)]) -> (SiteTold, Vec<String>) {
    let mut json: Value = serde_json::from_str(LIVE).unwrap();
    for (pointer, value) in changes {
        *json.pointer_mut(pointer).unwrap() = value.clone();
    }
    read(json.to_string())
}

#[test]
fn who_may_operate_a_device_is_told() {
    for (block, id, key, panel, installer) in [
        (
            "battery",
            "hx_bat_000001",
            battery::IMPORT_FOCUS,
            SOLAREDGE_BATTERY_PANEL,
            SOLAREDGE_BATTERY_INSTALLER,
        ),
        (
            "heatpump",
            "hx_hp_000001",
            hvac::SET_FOLLOW_SCHEDULE,
            NIBE_HVAC_PANEL,
            NIBE_HVAC_INSTALLER,
        ),
        (
            "charger",
            "hx_chg_000001",
            charger::SET_MAX_CURRENT,
            EVBOX_CHARGER_PANEL,
            EVBOX_CHARGER_INSTALLER,
        ),
    ] {
        let told = |word: &str| {
            let (told, drift) = with(&[(&format!("/{block}/control"), word.into())]);
            (obstacles(of(&told.observations, id), key), drift)
        };
        assert_eq!(told("app"), (vec![], vec![]));
        assert_eq!(told("panel"), (vec![panel], vec![]));
        assert_eq!(told("installer"), (vec![installer], vec![]));
        let drift = vec![format!("{block}.control=nobody")];
        assert_eq!(told("nobody"), (vec![], drift));
    }
}

/// The moment of a fact, however it is spelt.
fn moment(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn a_recorded_site() {
    let site = home();
    assert_eq!(site.id, "hs_000001");
    assert_eq!(site.name.as_deref(), Some("Lindenweg 4"));
    assert_eq!(site.timezone.as_deref(), Some("Europe/Berlin"));
    assert_eq!(
        (site.longitude, site.latitude),
        (Some(11.575), Some(48.137))
    );
    // Midnight in Berlin, in summer.
    assert_eq!(
        site.installed_at,
        Some("2021-05-13T22:00:00Z".parse().unwrap())
    );
}

#[test]
fn a_recorded_home() {
    let (told_site, drift) = read(LIVE);
    assert_eq!(drift, Vec::<String>::new());
    assert!(told_site.is_complete);
    let site = told_site.site;
    assert_eq!(
        (site.id.as_str(), site.name.as_deref()),
        ("hs_000001", Some("Lindenweg 4"))
    );
    assert_eq!(site.address.as_deref(), Some("Lindenweg 4, muenchen"));
    assert_eq!(site.zone, "Europe/Berlin".parse().ok());
    assert_eq!(site.today.generation, Some(8.123));
    let others = Flows {
        generation: None,
        ..site.today
    };
    assert!(!others.is_any_known(), "nothing else is told");
    let seen = told_site.observations;
    assert_eq!(seen.len(), 5);
    let devices = seen.iter().map(|seen| seen.device.clone());
    assert_eq!(site.devices, devices.collect::<Vec<_>>());
    let ts = Timestamp::from_millisecond(1_772_475_610_000).unwrap();
    let installed = told(of(&seen, "hx_inv_000001"))["information.installationDate"].clone();
    assert_eq!(moment(&installed), "2021-05-13T22:00:00Z".parse().unwrap());

    assert_told(
        of(&seen, "hx_inv_000001"),
        json!({
            "information.model": "Helios X8",
            "information.siteName": "Lindenweg 4",
            "information.installationDate": installed,
            "timezone": "Europe/Berlin",
            "productionState.productionRate": 3.12,
            "productionState.totalLifetimeProduction": 12345.678,
            "location.longitude": 11.575,
            "location.latitude": 48.137,
            "capabilities.productionStatistics": true,
        }),
    );
    let battery = of(&seen, "hx_bat_000001");
    assert_eq!(battery.device.kind, DeviceKind::Battery);
    assert_told(
        battery,
        json!({
            "information.model": "Helios Cell 10",
            "information.siteName": "Lindenweg 4",
            "information.installationDate": installed,
            "chargeState.status": "DISCHARGING",
            "chargeState.batteryCapacity": 10.24,
            "chargeState.batteryLevel": 63.5,
            "chargeState.chargeRate": -1.2,
            "config.operationMode": "SELF_RELIANCE",
            "location.longitude": 11.575,
            "location.latitude": 48.137,
            "capabilities.importFocus": true,
            "capabilities.selfReliance": true,
            "capabilities.idle": true,
            "capabilities.exportFocus": false,
            "capabilities.timeOfUse": false,
        }),
    );
    assert_eq!(times(battery)["chargeState.chargeRate"], Some(ts));
    assert_eq!(times(battery)["location.latitude"], None);
    assert_told(
        of(&seen, "hx_met_000001"),
        json!({
            "information.model": "Helios Meter 3P",
            "information.siteName": "Lindenweg 4",
            "information.installationDate": installed,
            "energyState.power": 0.812,
            "location.longitude": 11.575,
            "location.latitude": 48.137,
            "capabilities.measuresConsumption": true,
            "capabilities.measuresProduction": true,
        }),
    );
    assert_told(
        of(&seen, "hx_hp_000001"),
        json!({
            "information.model": "Helios Therma 6",
            "information.category": "HEAT_PUMP",
            "consumptionRate": 1.85,
            "temperatureState.currentTemperature": 20.6,
            "temperatureState.isActive": true,
            "thermostatState.mode": "AUTO",
            "thermostatState.heatSetpoint": 20.5,
            "thermostatState.coolSetpoint": 25.0,
            "thermostatState.holdType": "SCHEDULED",
            "capabilities.capableModes": ["OFF", "AUTO", "COOL", "HEAT"],
            "capabilities.heatSetpointRange": {"min": 10.0, "max": 28.0},
            "capabilities.coolSetpointRange": {"min": 18.0, "max": 32.0},
            "capabilities.setpointDifferenceRange": {"min": 1.0, "max": null},
            "capabilities.setFollowSchedule": true,
            "capabilities.setPermanentHold": true,
        }),
    );
    assert_told(
        of(&seen, "hx_chg_000001"),
        json!({
            "information.model": "Helios Plug 11",
            "chargeState.chargeRate": 7.212,
            "chargeState.maxCurrent": 16.0,
            "chargeState.powerDeliveryState": "PLUGGED_IN:CHARGING",
            "capabilities.startCharging": true,
            "capabilities.stopCharging": true,
            "capabilities.setMaxCurrent": true,
        }),
    );
}

#[test]
fn every_word_has_its_meaning() {
    let words = [
        (
            "/battery/mode",
            "hx_bat_000001",
            "config.operationMode",
            vec![
                ("self_use", "SELF_RELIANCE".into()),
                ("backup", "IMPORT_FOCUS".into()),
                ("idle", "IDLE".into()),
                ("trading", "UNKNOWN".into()),
            ],
        ),
        (
            "/heatpump/mode",
            "hx_hp_000001",
            "thermostatState.mode",
            vec![
                ("heating", "HEAT".into()),
                ("cooling", "COOL".into()),
                ("auto", "AUTO".into()),
                ("standby", "OFF".into()),
                ("defrost", Value::Null),
            ],
        ),
        (
            "/heatpump/activity",
            "hx_hp_000001",
            "temperatureState.isActive",
            vec![
                ("heating", true.into()),
                ("cooling", true.into()),
                ("idle", false.into()),
                ("off", false.into()),
                ("humming", Value::Null),
            ],
        ),
        (
            "/heatpump/program",
            "hx_hp_000001",
            "thermostatState.holdType",
            vec![
                ("schedule", "SCHEDULED".into()),
                ("hold", "PERMANENT".into()),
                ("party", Value::Null),
            ],
        ),
        (
            "/charger/state",
            "hx_chg_000001",
            "chargeState.powerDeliveryState",
            vec![
                ("free", "UNPLUGGED".into()),
                ("occupied", "PLUGGED_IN:NO_POWER".into()),
                ("charging", "PLUGGED_IN:CHARGING".into()),
                ("stopped", "PLUGGED_IN:STOPPED".into()),
                ("done", "PLUGGED_IN:STOPPED".into()),
                ("error", "PLUGGED_IN:FAULT".into()),
                ("updating", Value::Null),
            ],
        ),
    ];
    for (pointer, id, path, meanings) in words {
        for (word, meaning) in meanings {
            let (told_site, drift) = with(&[(pointer, word.into())]);
            assert_eq!(
                told(of(&told_site.observations, id))[path],
                meaning,
                "{pointer} {word}"
            );
            let is_strange = meaning.is_null() || meaning == "UNKNOWN";
            assert_eq!(
                drift.len(),
                usize::from(is_strange),
                "{pointer} {word} {drift:?}"
            );
        }
    }
}

#[test]
fn a_battery_does_what_its_power_says() {
    for (watts, status, rate) in [
        (json!(2500), "CHARGING", 2.5),
        (json!("2500"), "CHARGING", 2.5),
        (json!(10), "IDLE", 0.01),
        (json!(0), "IDLE", 0.0),
        (json!(-10), "IDLE", -0.01),
        (json!(-11), "DISCHARGING", -0.011),
    ] {
        let (told_site, _) = with(&[("/battery/power", watts)]);
        let seen = told(of(&told_site.observations, "hx_bat_000001"));
        assert_eq!(seen["chargeState.status"], status);
        assert_eq!(seen["chargeState.chargeRate"], rate);
    }
}

#[test]
fn selling_is_negative() {
    let (told_site, _) = with(&[("/meter/power", "-4500".into())]);
    assert_eq!(
        told(of(&told_site.observations, "hx_met_000001"))["energyState.power"],
        -4.5
    );
}

#[test]
fn a_lost_site_and_a_lost_device_are_offline() {
    let (told_site, _) = with(&[("/gateway", "offline".into())]);
    assert!(
        told_site
            .observations
            .iter()
            .all(|seen| seen.presence == Presence::Offline)
    );
    assert!(told_site.is_complete);

    let lost = json!({"id": "hx_bat_000001", "connected": false});
    let (told_site, drift) = with(&[("/battery", lost)]);
    let battery = of(&told_site.observations, "hx_bat_000001");
    assert_eq!(battery.presence, Presence::Offline);
    assert_eq!(battery.completeness, Completeness::Partial);
    assert!(battery.facts.is_empty());
    assert_eq!(drift, Vec::<String>::new());
    assert_eq!(
        of(&told_site.observations, "hx_inv_000001").presence,
        Presence::Online
    );
}

#[test]
fn a_removed_device_is_not_told_but_an_unreadable_one_may_be_there() {
    let (told_site, drift) = with(&[("/charger", Value::Null)]);
    assert_eq!(told_site.observations.len(), 4);
    assert!(told_site.is_complete && drift.is_empty());
    let (told_site, drift) = with(&[("/charger", "here".into())]);
    assert_eq!(told_site.observations.len(), 4);
    assert!(!told_site.is_complete);
    assert_eq!(drift, ["charger=(text)"]);
}

#[test]
fn a_field_of_another_type_costs_that_field_only() {
    let (told_site, drift) = with(&[
        ("/battery/power", json!({})),
        ("/ts", "yesterday".into()),
        ("/heatpump/room_temp", true.into()),
    ]);
    let battery = of(&told_site.observations, "hx_bat_000001");
    assert_eq!(told(battery)["chargeState.chargeRate"], Value::Null);
    assert_eq!(told(battery)["chargeState.status"], Value::Null);
    assert_eq!(told(battery)["chargeState.batteryLevel"], 63.5);
    assert_eq!(times(battery)["chargeState.batteryLevel"], None);
    assert_eq!(
        drift,
        [
            "ts=(text)",
            "battery.power=(object)",
            "heatpump.room_temp=(flag)"
        ]
    );
}

#[test]
fn an_odd_site_is_still_a_site() {
    let (odd, drift) = sites(
        r#"{"sites": [{"id": "a", "timezone": "Mars/Olympus", "installed_on": "2021-05-14"},
                      {"id": "b", "installed_on": "long ago", "lat": [], "lon": "11"}, {"name": "c"}]}"#,
    );
    assert_eq!(odd.len(), 2);
    assert_eq!(
        odd[0].installed_at,
        Some("2021-05-14T00:00:00Z".parse().unwrap())
    );
    assert_eq!(odd[1].installed_at, None);
    assert_eq!(
        drift,
        [
            "site.timezone=(unknown zone)",
            "site.installed_on=(no date)",
            "site.lat=(list)"
        ]
    );
}

proptest! {
    #[test]
    fn no_home_makes_it_panic(body in mutated(LIVE)) {
        check_sane(&read(body).0.observations);
    }

    #[test]
    fn no_list_of_sites_makes_it_panic(body in mutated(SITES)) {
        sites(body);
    }
}
