//! The helios cloud: login and refresh, balanced flows, commands.

use livewatt_sandbox::{AccountSpec, Cloud, DevicePatch};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bench::{Bench, bench};

fn number(value: &Value) -> i64 {
    value
        .as_i64()
        .unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
}

async fn live(bench: &Bench, site: &str, token: &str) -> Value {
    bench
        .get_json(&format!("/helios/api/sites/{site}/live"), token)
        .await
}

#[tokio::test]
async fn a_refresh_token_lasts() {
    let bench = bench().await;
    let account = bench.quiet(Cloud::Helios);
    let body = json!({"username": account.username, "password": account.password});
    let login: Value = bench
        .send(Method::POST, "/helios/api/login", "", body)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(login["access_ttl"], 900);
    bench.advance(900).await;
    let access = login["access"].as_str().unwrap();
    assert_eq!(bench.get("/helios/api/sites", access).await.status(), 401);
    let refresh = json!({"refresh": login["refresh"]});
    for _ in 0..2 {
        let answer = bench
            .send(Method::POST, "/helios/api/refresh", "", refresh.clone())
            .await;
        let fresh: Value = answer.json().await.unwrap();
        let access = fresh["access"].as_str().unwrap();
        let sites = bench.get_json("/helios/api/sites", access).await;
        assert_eq!(sites["sites"][0]["timezone"], "Europe/Amsterdam");
    }
    bench
        .sandbox
        .set_password(Cloud::Helios, &account.id, "new")
        .unwrap();
    let answer = bench
        .send(Method::POST, "/helios/api/refresh", "", refresh)
        .await;
    assert_eq!(answer.status(), 401);
}

#[tokio::test]
async fn flows_on_the_wire_balance_all_day() {
    let bench = bench().await;
    let account = bench
        .sandbox
        .create_account(Cloud::Helios, AccountSpec::default())
        .unwrap();
    let (mut stamp, mut sunny) = (0, false);
    for _ in 0..96 {
        bench.advance(900).await;
        let token = bench.token(&account);
        let live = live(&bench, &account.sites[0], &token).await;
        let power = |part: &str| number(&live[part]["power"]);
        assert_eq!(
            power("meter") + power("inverter"),
            number(&live["house"]["load_w"])
                + power("battery")
                + power("charger")
                + power("heatpump"),
        );
        assert_eq!(live["ts"], json!(bench.sandbox.now().as_millisecond()));
        assert!(number(&live["ts"]) > stamp);
        stamp = number(&live["ts"]);
        sunny |= power("inverter") > 500;
    }
    assert!(sunny);
}

#[tokio::test]
async fn the_heat_pump_obeys() {
    let bench = bench().await;
    let account = bench.quiet(Cloud::Helios);
    let token = bench.token(&account);
    let site = &account.sites[0];
    let put = async |what: &str, body: Value| {
        let path = format!("/helios/api/sites/{site}/{what}");
        bench
            .send(Method::PUT, &path, &token, body)
            .await
            .status()
            .as_u16()
    };
    let until = bench.sandbox.now().as_millisecond() + 600_000;
    assert_eq!(
        put("heatpump", json!({"heat_to": 24.0, "hold_until": until})).await,
        202
    );
    bench.advance(30).await;
    let pump = live(&bench, site, &token).await["heatpump"].clone();
    assert_eq!(pump["program"], "hold");
    assert_eq!(pump["heat_to"], "24.0");
    assert_eq!(pump["activity"], "heating");
    assert_eq!(pump["hold_until"], json!(until));
    bench.advance(600).await;
    assert_eq!(
        live(&bench, site, &token).await["heatpump"]["program"],
        "schedule"
    );

    assert_eq!(put("heatpump", json!({"mode": "standby"})).await, 202);
    assert_eq!(put("battery", json!({"mode": "idle"})).await, 202);
    bench.advance(30).await;
    let now = live(&bench, site, &token).await;
    assert_eq!(now["heatpump"]["activity"], "off");
    assert_eq!(now["battery"]["power"], 0);
    for (what, body) in [
        ("heatpump", json!({"heat_to": 40})),
        ("heatpump", json!({"heat_to": 25.0, "cool_to": 25.5})),
        ("battery", json!({"mode": "sell"})),
        ("charger", json!({"limit_a": 3})),
    ] {
        assert_eq!(put(what, body).await, 400, "{what}");
    }
}

#[tokio::test]
async fn the_charger_charges_a_car_and_a_pinned_world_stays_put() {
    let bench = bench().await;
    let account = bench.quiet(Cloud::Helios);
    let token = bench.token(&account);
    let id = |kind: &str| {
        account
            .devices
            .iter()
            .find(|d| d.kind == kind)
            .unwrap()
            .id
            .clone()
    };
    let plug = DevicePatch {
        plugged: Some(true),
        level_percent: Some(30.0),
        ..Default::default()
    };
    bench
        .sandbox
        .patch_device(&id("charger"), &plug)
        .await
        .unwrap();
    let pin = DevicePatch {
        load_w: Some(Some(777)),
        ..Default::default()
    };
    bench
        .sandbox
        .patch_device(&id("meter"), &pin)
        .await
        .unwrap();
    bench.advance(600).await;
    let now = live(&bench, &account.sites[0], &token).await;
    assert_eq!(now["charger"]["state"], "charging");
    assert!(number(&now["charger"]["session_wh"]) > 1_000);
    assert_eq!(now["house"]["load_w"], 777);
}

fn series(answer: &Value) -> Vec<Option<i64>> {
    let values = answer["wh"].as_array().unwrap().iter();
    values
        .map(|value| (!value.is_null()).then(|| number(value)))
        .collect()
}

/// The record has what the counter counted, the past before it, and nothing of the future.
#[tokio::test]
async fn the_record_of_an_inverter_is_what_it_gave() {
    let bench = bench().await;
    let account = bench.quiet(Cloud::Helios);
    let site = &account.sites[0];
    let token = bench.token(&account);
    let first = live(&bench, site, &token).await;
    let inverter = first["inverter"]["id"].as_str().unwrap().to_owned();
    let path = format!("/helios/api/inverters/{inverter}/production");
    let before = number(&first["inverter"]["total_wh"]);
    let date = |at: jiff::Timestamp| at.in_tz("Europe/Amsterdam").unwrap().date();
    let today = date(bench.sandbox.now());
    bench.advance(10 * 3600).await;
    let token = bench.token(&account);
    let get = async |query: String| bench.get_json(&format!("{path}?{query}"), &token).await;
    let after = number(&live(&bench, site, &token).await["inverter"]["total_wh"]);
    let day = get(format!("day={today}")).await;
    assert_eq!(
        (&day["inverter"], &day["step"]),
        (&json!(inverter), &json!("quarter"))
    );
    let midnight = today.in_tz("Europe/Amsterdam").unwrap().timestamp();
    assert_eq!(day["from"], midnight.as_millisecond());
    let quarters = series(&day);
    assert_eq!(quarters.len(), 96);
    let begun = bench.sandbox.now().duration_since(midnight).as_secs() / 900;
    let known = quarters.iter().filter(|value| value.is_some()).count();
    assert_eq!(known as i64, begun);
    let sum: i64 = quarters.iter().flatten().sum();
    assert!(after - before > 500, "{before} {after}");
    // Before the bench began it was night.
    assert!(
        (sum - (after - before)).abs() <= 2,
        "{sum} {before} {after}"
    );

    let month = get(format!("month={}", today.strftime("%Y-%m"))).await;
    let days = series(&month);
    assert_eq!(days.len(), usize::try_from(today.days_in_month()).unwrap());
    let place = usize::try_from(today.day()).unwrap() - 1;
    assert!((days[place].unwrap() - sum).abs() <= 1);
    assert!(days[..place].iter().all(Option::is_some));
    assert!(days[place + 1..].iter().all(Option::is_none));
    let yesterday = series(&get(format!("day={}", today.yesterday().unwrap())).await);
    let whole: i64 = yesterday.iter().map(|value| value.unwrap()).sum();
    if place > 0 {
        assert!((days[place - 1].unwrap() - whole).abs() <= 1);
    }
    assert!(whole > 500, "{whole}");
    assert_eq!(series(&get("day=2026-03-29".to_owned()).await).len(), 92);
    let long_ago = series(&get("day=2010-10-31".to_owned()).await);
    assert_eq!(long_ago, vec![None; 100]);

    for query in [
        "",
        "day=2026-02-30",
        "month=2026-13",
        "day=2026-03-02&month=2026-03",
    ] {
        let answer = bench.get(&format!("{path}?{query}"), &token).await;
        assert_eq!(answer.status(), 400, "{query}");
    }
    let nobody = "/helios/api/inverters/hx_inv_999999/production?month=2026-03";
    assert_eq!(bench.get(nobody, &token).await.status(), 404);
}

fn watt_hours(told: &Value, key: &str) -> Vec<Option<i64>> {
    let values = told[key].as_array().unwrap().iter();
    values
        .map(|wh| wh.as_str().map(|wh| wh.parse().unwrap()))
        .collect()
}

/// Each quarter hour balances, the counters agree, and of what is not there nothing is told.
#[tokio::test]
async fn the_record_of_a_site_is_what_flowed() {
    let bench = bench().await;
    let account = bench.quiet(Cloud::Helios);
    let site = &account.sites[0];
    let path = format!("/helios/api/sites/{site}/flows");
    let today = bench
        .sandbox
        .now()
        .in_tz("Europe/Amsterdam")
        .unwrap()
        .date();
    let first = live(&bench, site, &bench.token(&account)).await;
    bench.advance(12 * 3600).await;
    let token = bench.token(&account);
    let last = live(&bench, site, &token).await;
    let get = async |query: String| bench.get_json(&format!("{path}?{query}"), &token).await;
    let day = get(format!("day={today}")).await;
    let keys = [
        ("solar_wh", "inverter", "total_wh"),
        ("import_wh", "meter", "import_wh"),
        ("export_wh", "meter", "export_wh"),
        ("charged_wh", "battery", "charged_wh"),
        ("discharged_wh", "battery", "discharged_wh"),
    ];
    let mut flowed = 0;
    for (key, part, counter) in keys {
        let counted = number(&last[part][counter]) - number(&first[part][counter]);
        let told: i64 = watt_hours(&day, key).into_iter().flatten().sum();
        assert!((told - counted).abs() <= 2, "{key}: {told} {counted}");
        flowed += counted;
    }
    assert!(flowed > 2_000, "{flowed}");
    let of = |key| watt_hours(&day, key);
    let (solar, load) = (of("solar_wh"), of("load_wh"));
    let mut known = 0;
    for quarter in 0..96 {
        let Some(used) = load[quarter] else { continue };
        known += 1;
        let at = |key| of(key)[quarter].unwrap();
        let came = solar[quarter].unwrap() + at("import_wh") + at("discharged_wh");
        let went = used + at("export_wh") + at("charged_wh");
        assert!((came - went).abs() <= 6, "{quarter}: {came} {went}");
    }
    assert!((48..=49).contains(&known), "{known}");
    // Of the time before, the sky is all that is known.
    assert!(solar.iter().flatten().count() > known);
    let soc = day["soc"].as_array().unwrap().iter();
    let levels: Vec<f64> = soc
        .filter_map(|level| level.as_str())
        .map(|level| level.parse().unwrap())
        .collect();
    assert_eq!(levels.len(), known);
    assert_eq!(
        json!(format!("{:.1}", levels.last().unwrap())),
        last["battery"]["soc"]
    );
    let of_sun = number(&last["inverter"]["today_wh"]);
    assert!((of_sun - solar.iter().flatten().sum::<i64>()).abs() <= 1);

    let month = get(format!("month={}", today.strftime("%Y-%m"))).await;
    let place = usize::try_from(today.day()).unwrap() - 1;
    let imported: i64 = of("import_wh").iter().flatten().sum();
    let told = watt_hours(&month, "import_wh");
    assert!((told[place].unwrap() - imported).abs() <= 1);
    assert_eq!(
        (month["soc"].is_null(), &month["step"]),
        (true, &json!("day"))
    );
    let battery = last["battery"]["id"].as_str().unwrap();
    bench.sandbox.remove_device(battery).await.unwrap();
    let without = get(format!("day={today}")).await;
    for key in ["charged_wh", "discharged_wh", "soc"] {
        assert!(without[key].is_null(), "{key}");
    }
    assert_eq!(bench.get(&path, &token).await.status(), 400);
    let nobody = "/helios/api/sites/hs_999999/flows?month=2026-03";
    assert_eq!(bench.get(nobody, &token).await.status(), 404);
}

/// A gateway that was lost tells later what it missed.
#[tokio::test]
async fn the_record_of_a_lost_site_is_filled_in_when_it_is_back() {
    let bench = bench().await;
    let account = bench.quiet(Cloud::Helios);
    let site = &account.sites[0];
    let token = bench.token(&account);
    let first = live(&bench, site, &token).await;
    let inverter = first["inverter"]["id"].as_str().unwrap();
    let today = bench
        .sandbox
        .now()
        .in_tz("Europe/Amsterdam")
        .unwrap()
        .date();
    let path = format!("/helios/api/inverters/{inverter}/production?day={today}");
    let known = async || {
        let token = bench.token(&account);
        let quarters = series(&bench.get_json(&path, &token).await);
        quarters.into_iter().flatten().count()
    };
    let before = known().await;
    let spec = livewatt_sandbox::FaultSpec {
        account: Some(account.id.clone()),
        ..livewatt_sandbox::FaultSpec::new(livewatt_sandbox::FaultKind::Offline)
    };
    let fault = bench.sandbox.add_fault(Cloud::Helios, spec).await.unwrap();
    bench.advance(6 * 3600).await;
    assert_eq!(known().await, before);
    bench.sandbox.drop_fault(&fault.id).await.unwrap();
    bench.advance(10).await;
    assert_eq!(known().await, before + 25);
}
