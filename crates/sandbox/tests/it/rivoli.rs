//! The rivoli cloud: sessions, one call per car, quotas, sleep, late obedience.

use livewatt_sandbox::{AccountSpec, Cloud, DevicePatch, SandboxConfig};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bench::{bench, bench_with};

#[tokio::test]
async fn a_password_buys_an_hour() {
    let bench = bench().await;
    let account = bench.quiet(Cloud::Rivoli);
    let log_in = async |password: &str| {
        let body = json!({"username": account.username, "password": password});
        bench
            .send(Method::POST, "/rivoli/v2/sessions", "", body)
            .await
    };
    assert_eq!(log_in("wrong").await.status(), 401);
    let session: Value = log_in(&account.password).await.json().await.unwrap();
    assert_eq!(session["expires_in"], 3600);
    let token = session["token"].as_str().unwrap();
    let cars = bench.get_json("/rivoli/v2/cars", token).await;
    assert_eq!(cars[0]["id"], json!(account.devices[0].id));
    bench.advance(3600).await;
    assert_eq!(bench.get("/rivoli/v2/cars", token).await.status(), 401);
    bench
        .sandbox
        .set_password(Cloud::Rivoli, &account.id, "new")
        .unwrap();
    assert_eq!(log_in(&account.password).await.status(), 401);
    assert_eq!(log_in("new").await.status(), 201);
}

#[tokio::test]
async fn a_call_without_an_app_is_refused() {
    let bench = bench().await;
    let account = bench.quiet(Cloud::Rivoli);
    let request = bench
        .http
        .get(bench.url("/rivoli/v2/cars"))
        .bearer_auth(bench.token(&account));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(
        response.json::<Value>().await.unwrap()["error"]["code"],
        "missing_app"
    );
}

#[tokio::test]
async fn the_forty_first_call_waits() {
    let bench = bench().await;
    let account = bench.quiet(Cloud::Rivoli);
    let token = bench.token(&account);
    for _ in 0..40 {
        assert_eq!(bench.get("/rivoli/v2/cars", &token).await.status(), 200);
        bench.advance(1).await;
    }
    let refused = bench.get("/rivoli/v2/cars", &token).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "560");
    let truth = bench
        .sandbox
        .truth(Some(Cloud::Rivoli), Some(&account.id))
        .unwrap();
    assert_eq!(truth["accounts"][0]["stats"]["quota_exceeded"], 1);
    assert_eq!(truth["accounts"][0]["stats"]["calls"]["cars"], 41);
    bench.advance(559).await;
    assert_eq!(bench.get("/rivoli/v2/cars", &token).await.status(), 429);
    bench.advance(1).await;
    assert_eq!(bench.get("/rivoli/v2/cars", &token).await.status(), 200);
}

#[tokio::test]
async fn an_app_shares_its_quota_over_accounts() {
    let bench = bench_with(SandboxConfig {
        rivoli_app_quota: 3,
        ..Default::default()
    })
    .await;
    let tokens = [bench.quiet(Cloud::Rivoli), bench.quiet(Cloud::Rivoli)].map(|a| bench.token(&a));
    let mut statuses = Vec::new();
    for token in [&tokens[0], &tokens[1], &tokens[0], &tokens[1]] {
        statuses.push(bench.get("/rivoli/v2/cars", token).await.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
    let truth = bench.sandbox.truth(None, None).unwrap();
    assert_eq!(truth["apps"][0]["quota_exceeded"], 1);
    assert_eq!(truth["stats"]["quota_exceeded"], 1);
}

#[tokio::test]
async fn a_car_sleeps_and_obeys_late() {
    let bench = bench().await;
    let account = bench.quiet(Cloud::Rivoli);
    let token = bench.token(&account);
    let id = &account.devices[0].id;
    let path = format!("/rivoli/v2/cars/{id}");
    assert_eq!(bench.get_json(&path, &token).await["asleep"], false);
    bench.advance(1200).await;
    assert_eq!(bench.get_json(&path, &token).await["asleep"], true);

    let plug = DevicePatch {
        plugged: Some(true),
        level_percent: Some(40.0),
        ..Default::default()
    };
    bench.sandbox.patch_device(id, &plug).await.unwrap();
    bench.advance(60).await;
    let car = bench.get_json(&path, &token).await;
    assert_eq!(
        (&car["charge_state"], &car["plug"]),
        (&json!("CHARGING"), &json!("in"))
    );
    let flow = |key: &str| car["charger"][key].as_f64().unwrap();
    let watts = flow("amps") * flow("volts") * flow("phases");
    assert!((10_000.0..11_200.0).contains(&watts), "{watts}");

    let stop = json!({"action": "stop"});
    let answer = bench
        .send(Method::POST, &format!("{path}/charge"), &token, stop)
        .await;
    assert_eq!(answer.status(), 200);
    bench.advance(40).await;
    assert_eq!(
        bench.get_json(&path, &token).await["charge_state"],
        "CHARGING"
    );
    bench.advance(10).await;
    assert_eq!(
        bench.get_json(&path, &token).await["charge_state"],
        "STOPPED"
    );
}

#[tokio::test]
async fn cars_of_others_are_not_there() {
    let bench = bench().await;
    let mine = bench.quiet(Cloud::Rivoli);
    let spec = AccountSpec {
        vehicles: Some(2),
        ..AccountSpec::default()
    };
    let other = bench.sandbox.create_account(Cloud::Rivoli, spec).unwrap();
    assert_eq!(other.devices.len(), 2);
    let path = format!("/rivoli/v2/cars/{}", other.devices[0].id);
    assert_eq!(bench.get(&path, &bench.token(&mine)).await.status(), 404);
}
