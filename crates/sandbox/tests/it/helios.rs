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
