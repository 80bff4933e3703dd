use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::{
    device::{NewDevice, Via, inverter, meter},
    energy::FlowSum,
    entropy::SeededEntropy,
    fact::{Completeness, Observation},
    merge::{Part, Surroundings, merge_among},
    production::Period,
    scope::Scope,
};

/// Seven in the evening in Oslo.
fn at(minutes: i64) -> Timestamp {
    let start: Timestamp = "2026-03-02T18:00:00Z".parse().unwrap();
    start + SignedDuration::from_mins(minutes)
}

fn oslo() -> Zone {
    "Europe/Oslo".parse().unwrap()
}

fn device(kind: DeviceKind, scopes: &[Scope]) -> Device {
    let entropy = SeededEntropy::new(kind as u64);
    let name = VendorDevice {
        kind,
        id: "v1".to_owned(),
    };
    let device = Device::new(NewDevice {
        id: DeviceId::new(at(0), &entropy),
        client_id: ClientId::new(at(0), &entropy),
        user_id: "user-1".parse().unwrap(),
        account_id: AccountId::new(at(0), &entropy),
        vendor_device: name.clone(),
        vendor: "SMA".parse().unwrap(),
        brand: "Sma".to_owned(),
        scopes: scopes.to_vec(),
        found_at: at(0),
    });
    let mut seen = Observation::new(name, Completeness::Partial, Via::Poll, at(1), at(1));
    if kind == DeviceKind::Inverter {
        seen.tell(inverter::LATITUDE, Some(59.9), None);
        seen.tell(inverter::LONGITUDE, Some(10.7), None);
    } else {
        seen.tell(meter::LATITUDE, Some(59.9), None);
        seen.tell(meter::LONGITUDE, Some(10.7), None);
    }
    let surroundings = Surroundings::default();
    merge_among(&device, &seen, Part::Everything, surroundings).device
}

fn told() -> SiteTold {
    SiteTold {
        id: "s1".to_owned(),
        name: Some("Home".to_owned()),
        zone: Some(oslo()),
        installed_at: Some("2021-05-14T00:00:00Z".parse().unwrap()),
        address: Some("Storgata 1".to_owned()),
        devices: Vec::new(),
        today: Flows::default(),
        at: at(1),
    }
}

fn found(told: &SiteTold, members: &[&Device]) -> HemSystem {
    let entropy = SeededEntropy::new(9);
    let new = NewHemSystem {
        id: HemSystemId::new(at(0), &entropy),
        client_id: ClientId::new(at(0), &entropy),
        user_id: "user-1".parse().unwrap(),
        account_id: AccountId::new(at(0), &entropy),
        vendor: "SMA".parse().unwrap(),
        brand: "Sma".to_owned(),
        found_at: at(0),
    };
    HemSystem::discover(new, told, members)
}

fn view<'a>(members: &'a [&'a Device], now: Timestamp) -> View<'a> {
    View {
        told: None,
        members,
        today: None,
        now,
    }
}

const IMPORTED: Flows = Flows {
    generation: None,
    consumption: None,
    charge: None,
    discharge: None,
    import: Some(1.5),
    export: None,
};

#[test]
fn is_found_with_its_description_and_then_seen() {
    let meter = device(DeviceKind::Meter, Scope::ALL);
    let members = [&meter];
    let system = found(&told(), &members);
    assert_eq!(
        json!(system.document),
        json!({
            "id": system.id, "userId": "user-1", "locationId": null,
            "information": {
                "vendor": "SMA", "name": "Home", "installationDate": "2021-05-14T00:00:00.000Z",
                "latitude": 59.9, "longitude": 10.7, "address": "Storgata 1",
                "timezone": "Europe/Oslo", "lastUpdated": "2026-03-02T18:00:00.000Z",
            },
            "status": { "lastSeen": null, "energy": { "today": {
                "generation": null, "consumption": null, "charge": null, "discharge": null,
                "import": null, "export": null, "unit": "kWh", "lastUpdated": null,
            }}},
        })
    );
    let seen = View {
        today: Some((IMPORTED, at(1))),
        ..view(&members, at(2))
    };
    let (second, fields) = system.seen(&seen);
    let expected = [
        "status.lastSeen",
        "status.energy.today.import",
        "status.energy.today.lastUpdated",
    ];
    let mut sorted = fields.clone();
    sorted.sort_unstable();
    let mut wanted = expected.map(str::to_owned);
    wanted.sort_unstable();
    assert_eq!(sorted, wanted);
    assert_eq!(second.version, 2);
    assert_eq!(second.document.status.last_seen, Some(at(1)));
    // The same again is no news, whenever it is told.
    let again = View {
        today: Some((IMPORTED, at(7))),
        ..view(&members, at(8))
    };
    assert_eq!(second.seen(&again), (second.clone(), Vec::new()));
    let read = serde_json::from_value::<HemSystemDocument>(json!(second.document));
    assert_eq!(read.unwrap(), second.document);
}

#[test]
fn shows_a_position_only_if_a_device_may() {
    let silent = device(DeviceKind::Meter, &[Scope::MeterReadData]);
    let members = [&silent];
    let system = found(&told(), &members);
    let information = &system.document.information;
    assert_eq!((information.latitude, information.longitude), (None, None));
    assert_eq!(information.address, None);
    let open = device(DeviceKind::Inverter, Scope::ALL);
    let members = [&silent, &open];
    let told = told();
    let seen = View {
        told: Some(&told),
        ..view(&members, at(2))
    };
    let (system, fields) = system.seen(&seen);
    assert_eq!(system.document.information.latitude, Some(59.9));
    assert!(
        fields.contains(&"information.address".to_owned()),
        "{fields:?}"
    );
    assert_eq!(system.members.len(), 2);
    assert!(system.members.is_sorted());
}

/// What flowed yesterday is not told as of today, and the same amounts anew are news.
#[test]
fn a_day_ends_at_local_midnight() {
    let meter = device(DeviceKind::Meter, Scope::ALL);
    let members = [&meter];
    let seen = View {
        today: Some((IMPORTED, at(1))),
        ..view(&members, at(2))
    };
    let system = found(&told(), &members).seen(&seen).0;
    let midnight: Timestamp = "2026-03-02T23:00:00Z".parse().unwrap();
    assert_eq!(system.midnight(at(5 * 60)), midnight);
    let import = |now| {
        let today = system.current(None, now).status.energy.today;
        (today.flows.import, today.last_updated.is_some())
    };
    let second = SignedDuration::from_secs(1);
    assert_eq!(import(midnight - second), (Some(1.5), true));
    assert_eq!(import(midnight), (None, false));
    let seen = View {
        today: Some((IMPORTED, midnight + second)),
        ..view(&members, midnight + second)
    };
    let (next, fields) = system.seen(&seen);
    assert_eq!(fields, ["status.energy.today.lastUpdated"]);
    // The vendor's moment is still yesterday's.
    let late = View {
        today: Some((IMPORTED, midnight - second)),
        ..seen
    };
    let unknown = system.seen(&late).0.document.status.energy.today;
    assert_eq!(
        (unknown.flows.is_any_known(), unknown.last_updated),
        (false, None)
    );
    assert_eq!(next.version, system.version + 1);
    let last_seen = Some(midnight + second);
    assert_eq!(
        next.current(last_seen, midnight).status.last_seen,
        last_seen
    );
}

fn quarter(kwh: f64, minutes: i64) -> FlowSum {
    FlowSum {
        kwh,
        counter_ms: minutes * 60_000,
        ..FlowSum::default()
    }
}

#[test]
fn what_flowed_is_known_if_all_of_it_is() {
    let midnight = at(0);
    let whole = |minutes| (at(minutes), quarter(0.25, 15));
    let now = at(37);
    let sum = |quarters: &[(Timestamp, FlowSum)]| {
        flowed_since(midnight, now, &quarters.iter().copied().collect())
    };
    let running = (at(30), quarter(0.1, 6));
    assert_eq!(sum(&[whole(0), whole(15), running]), Some(0.6));
    assert_eq!(sum(&[]), None, "nothing is known, which is not zero");
    assert_eq!(sum(&[whole(15), running]), None, "linked at a quarter past");
    assert_eq!(sum(&[whole(0), running]), None, "a gap");
    let torn = (at(15), quarter(0.25, 13));
    assert_eq!(sum(&[whole(0), torn, running]), None, "a smaller gap");
    let silent = (at(15), FlowSum::default());
    assert_eq!(sum(&[whole(0), silent]), Some(0.25), "told 22 minutes ago");
    let long_ago = flowed_since(midnight, at(46), &[whole(0)].into_iter().collect());
    assert_eq!(long_ago, None, "told too long ago");
    // What was before midnight is another day's.
    assert_eq!(sum(&[whole(-15), whole(0), whole(15), running]), Some(0.6));
}

#[test]
fn consumption_is_what_came_in_less_what_went_out() {
    let flows = Flows {
        generation: Some(5.0),
        import: Some(1.0),
        export: Some(2.0),
        charge: Some(1.5),
        discharge: Some(0.5),
        consumption: None,
    };
    assert_eq!(flows.balance(true, true), Some(3.0));
    let unknown = Flows {
        charge: None,
        ..flows
    };
    assert_eq!(unknown.balance(true, true), None);
    assert_eq!(unknown.balance(true, false), Some(4.0));
    assert_eq!(Flows::default().balance(false, false), None, "no meter");
    let absurd = Flows {
        import: Some(-1.0),
        export: Some(f64::NAN),
        ..flows
    };
    let fit = absurd.rounded();
    assert_eq!(
        (fit.import, fit.export, fit.charge),
        (None, None, Some(1.5))
    );
}

fn history(of: &str, series: Series, values: Vec<Option<f64>>, now: &str) -> SiteHistory {
    let installed = "2021-05-14T00:00:00Z".parse().unwrap();
    let told = BTreeMap::from([(series, values)]);
    SiteHistory::told(
        of.parse().unwrap(),
        oslo(),
        told,
        now.parse().unwrap(),
        installed,
    )
}

#[test]
fn a_day_is_told_by_mean_power_and_a_month_by_energy() {
    let values = vec![Some(0.25); 92];
    let day = history("2026-03-29", Series::Import, values, "2026-03-29T10:07:00Z");
    let json = json!(day.statistics(|_| None));
    let series = json["timeseries"].as_object().unwrap();
    assert_eq!(series.len(), 7);
    let import = &series["import"];
    assert_eq!(import["isAvailable"], true);
    assert_eq!(
        (&import["unit"], &import["unitType"]),
        (&json!("kW"), &json!("Power"))
    );
    assert_eq!(
        import["sampling"],
        json!({ "mode": "bucketed", "resolution": "PT15M" })
    );
    let data = import["data"].as_array().unwrap();
    assert_eq!(data.len(), 92, "clocks go forward that night");
    assert_eq!(
        data[0],
        json!({ "t": "2026-03-29T00:00:00+01:00", "v": 1.0 })
    );
    assert_eq!(data[8]["t"], "2026-03-29T03:00:00+02:00");
    // Until ten o'clock in UTC is over, not the quarter hour that goes on.
    assert_eq!(
        (&data[43]["v"], &data[44]["v"]),
        (&json!(1.0), &json!(null))
    );
    let generation = &series["generation"];
    assert_eq!(generation["isAvailable"], false);
    assert!(!generation["reason"].as_str().unwrap().is_empty());
    assert!(!day.is_final);

    let mut values = vec![Some(8.0); 31];
    values[3] = None;
    let month = history("2026-03", Series::Import, values, "2026-04-08T10:00:00Z");
    assert!(month.is_final, "gaps are old");
    let json = json!(month.statistics(|_| None));
    let import = &json["timeseries"]["import"];
    assert_eq!(
        (&import["unit"], &import["unitType"]),
        (&json!("kWh"), &json!("Energy"))
    );
    assert_eq!(import["sampling"]["resolution"], "P1D");
    let last = json!({ "t": "2026-03-31T00:00:00+02:00", "v": 8.0 });
    assert_eq!(import["data"][30], last);
    assert_eq!(import["data"][3]["v"], json!(null));
    let hidden = month.statistics(|series| (series == Series::Import).then_some("none of yours"));
    assert!(!hidden.is_any_available());
}

#[test]
fn levels_are_told_of_days_alone_and_absurd_values_never() {
    let levels = vec![Some(50.0), Some(101.0), Some(-1.0), Some(f64::NAN)];
    let day = history(
        "2026-03-02",
        Series::BatteryLevel,
        levels,
        "2026-03-20T00:00:00Z",
    );
    assert!(!day.is_final, "what was odd may be put right");
    let told = &day.series[&Series::BatteryLevel];
    assert_eq!(
        (told[0], told[1], told[2], told[3]),
        (Some(50.0), None, None, None)
    );
    let json = json!(day.statistics(|_| None));
    assert_eq!(json["timeseries"]["batteryLevel"]["unitType"], "SoC");
    let month = history(
        "2026-02",
        Series::BatteryLevel,
        vec![Some(50.0)],
        "2026-03-20T00:00:00Z",
    );
    assert!(!month.statistics(|_| None).is_any_available());
    let nothing = history(
        "2026-02",
        Series::Import,
        vec![None; 28],
        "2026-03-20T00:00:00Z",
    );
    assert!(nothing.series.is_empty() && nothing.is_final);
}

#[test]
fn what_may_change_is_asked_for_again() {
    let told = |of, now| history(of, Series::Import, vec![Some(0.1); 96], now);
    let fresh = |told: &SiteHistory, now: &str| told.is_fresh(now.parse().unwrap());
    let running = told("2026-03-02", "2026-03-02T12:00:00Z");
    assert!(fresh(&running, "2026-03-02T12:04:59Z"));
    assert!(!fresh(&running, "2026-03-02T12:05:00Z"));
    assert!(
        !fresh(&running, "2026-03-02T09:00:00Z"),
        "the clock went back"
    );
    let over = told("2026-03-02", "2026-03-03T00:50:00Z");
    assert!(!over.is_final && fresh(&over, "2026-03-03T00:59:00Z"));
    assert!(!fresh(&over, "2026-03-03T01:01:00Z"), "settled since");
    let settled = told("2026-03-02", "2026-03-03T01:01:00Z");
    assert!(settled.is_final && fresh(&settled, "2027-01-01T00:00:00Z"));
    assert_eq!(settled.period, Period::of(2026, 3, Some(2)).unwrap());
}
