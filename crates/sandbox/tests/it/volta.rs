//! The volta cloud: login, one call, commands.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use livewatt_sandbox::{Cloud, DeviceKind, DevicePatch, Remote, SandboxConfig};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use crate::bench::{Bench, bench, bench_with};

const REDIRECT: &str = "http://localhost:9/back";
const VERIFIER: &str = "a-verifier-that-is-long-enough-to-be-one-0123456";

fn ask() -> Vec<(&'static str, String)> {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    vec![
        ("response_type", "code".into()),
        ("client_id", "livewatt-sandbox".into()),
        ("redirect_uri", REDIRECT.into()),
        ("state", "s t&te".into()),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256".into()),
    ]
}

async fn decide(bench: &Bench, password: &str, decision: &str) -> Response {
    let mut form = ask();
    form.push(("email", "demo@volta.example".into()));
    form.push(("password", password.into()));
    form.push(("decision", decision.into()));
    bench
        .http
        .post(bench.url("/volta/oauth/authorize"))
        .form(&form)
        .send()
        .await
        .unwrap()
}

fn back(response: &Response) -> Vec<(String, String)> {
    assert_eq!(response.status(), 303);
    let location = Url::parse(response.headers()["location"].to_str().unwrap()).unwrap();
    assert!(location.as_str().starts_with(REDIRECT));
    location
        .query_pairs()
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}

async fn code(bench: &Bench) -> String {
    let pairs = back(&decide(bench, "demo", "allow").await);
    assert_eq!(pairs[1], ("state".into(), "s t&te".into()));
    assert_eq!(pairs[0].0, "code");
    pairs[0].1.clone()
}

async fn token(bench: &Bench, form: &[(&str, &str)]) -> (u16, Value) {
    let mut form = form.to_vec();
    form.extend([
        ("client_id", "livewatt-sandbox"),
        ("client_secret", "sandbox-secret"),
    ]);
    let request = bench.http.post(bench.url("/volta/oauth/token")).form(&form);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn redeem(bench: &Bench, code: &str, verifier: &str) -> (u16, Value) {
    let grant = ("grant_type", "authorization_code");
    let rest = [
        grant,
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", verifier),
    ];
    token(bench, &rest).await
}

async fn demo() -> Bench {
    bench_with(SandboxConfig {
        demo_accounts: true,
        ..SandboxConfig::default()
    })
    .await
}

#[tokio::test]
async fn the_login_page_names_the_app_and_the_users() {
    let bench = demo().await;
    let request = bench
        .http
        .get(bench.url("/volta/oauth/authorize"))
        .query(&ask());
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let page = response.text().await.unwrap();
    for part in ["Livewatt", "demo@volta.example", "s t&amp;te", "viewport"] {
        assert!(page.contains(part), "{part}");
    }
}

#[tokio::test]
async fn a_stranger_is_never_sent_anywhere() {
    let bench = demo().await;
    for (key, value) in [
        ("client_id", "nobody"),
        ("redirect_uri", "https://evil.example/"),
    ] {
        let mut ask = ask();
        ask.iter_mut().find(|(name, _)| *name == key).unwrap().1 = value.into();
        let request = bench
            .http
            .get(bench.url("/volta/oauth/authorize"))
            .query(&ask);
        assert_eq!(request.send().await.unwrap().status(), 400);
    }
    let mut ask = ask();
    ask.retain(|(name, _)| *name != "code_challenge");
    let request = bench
        .http
        .get(bench.url("/volta/oauth/authorize"))
        .query(&ask);
    assert_eq!(back(&request.send().await.unwrap())[0].1, "invalid_request");
}

#[tokio::test]
async fn the_user_may_deny_or_mistype() {
    let bench = demo().await;
    let denied = back(&decide(&bench, "demo", "deny").await);
    assert_eq!(denied[0], ("error".into(), "access_denied".into()));
    assert_eq!(decide(&bench, "wrong", "allow").await.status(), 401);
}

#[tokio::test]
async fn a_code_works_once_and_only_with_its_verifier() {
    let bench = demo().await;
    let spoilt = code(&bench).await;
    let (status, body) = redeem(&bench, &spoilt, "another-verifier").await;
    assert_eq!((status, &body["error"]), (400, &json!("invalid_grant")));
    let (status, _) = redeem(&bench, &spoilt, VERIFIER).await;
    assert_eq!(status, 400, "a spoilt code is dead");

    let good = code(&bench).await;
    let (status, body) = redeem(&bench, &good, VERIFIER).await;
    assert_eq!((status, &body["expires_in"]), (200, &json!(1800)));
    let account = bench
        .get_json("/volta/v1/account", body["access_token"].as_str().unwrap())
        .await;
    assert_eq!(account["vehicles"].as_array().unwrap().len(), 2);
    assert_eq!(redeem(&bench, &good, VERIFIER).await.0, 400);
}

#[tokio::test]
async fn refresh_tokens_rotate_and_access_tokens_expire() {
    let bench = demo().await;
    let (_, first) = redeem(&bench, &code(&bench).await, VERIFIER).await;
    let refresh = |token_text: Value| {
        let bench = &bench;
        async move {
            let text = token_text.as_str().unwrap().to_owned();
            token(
                bench,
                &[("grant_type", "refresh_token"), ("refresh_token", &text)],
            )
            .await
        }
    };
    let (status, second) = refresh(first["refresh_token"].clone()).await;
    assert_eq!(status, 200);
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_eq!(refresh(first["refresh_token"].clone()).await.0, 400);

    let access = second["access_token"].as_str().unwrap();
    bench.advance(1799).await;
    assert_eq!(bench.get("/volta/v1/account", access).await.status(), 200);
    bench.advance(1).await;
    assert_eq!(bench.get("/volta/v1/account", access).await.status(), 401);
    let (status, third) = refresh(second["refresh_token"].clone()).await;
    assert_eq!(status, 200);

    bench
        .sandbox
        .revoke_tokens(Cloud::Volta, "demo@volta.example")
        .unwrap();
    let access = third["access_token"].as_str().unwrap();
    assert_eq!(bench.get("/volta/v1/account", access).await.status(), 401);
    assert_eq!(refresh(third["refresh_token"].clone()).await.0, 400);
    let bad_client = [("grant_type", "refresh_token"), ("client_id", "x")];
    let request = bench
        .http
        .post(bench.url("/volta/oauth/token"))
        .form(&bad_client);
    assert_eq!(request.send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_time_stamp_moves_only_with_its_block() {
    let bench = bench().await;
    let account = bench.quiet(Cloud::Volta);
    let token = bench.token(&account);
    let vin = &account.devices[0].id;
    let before = bench.get_json("/volta/v1/account", &token).await;
    let plug = DevicePatch {
        plugged: Some(true),
        level_percent: Some(50.0),
        ..Default::default()
    };
    bench.sandbox.patch_device(vin, &plug).await.unwrap();
    bench.advance(300).await;
    let after = bench.get_json("/volta/v1/account", &token).await;
    let (old, new) = (&before["vehicles"][0], &after["vehicles"][0]);
    assert_eq!(new["charge"]["status"], "charging");
    assert!(new["charge"]["power_kw"].as_f64().unwrap() > 10.0);
    assert!(new["charge"]["level_percent"].as_f64().unwrap() > 50.5);
    assert!(new["charge"]["at"].as_str() > old["charge"]["at"].as_str());
    assert_eq!(new["odometer"], old["odometer"]);
    assert_eq!(new["position"], old["position"]);
    assert_eq!(after["wallboxes"][0]["charge"]["vehicle_vin"], json!(vin));
    assert_eq!(after["wallboxes"][0]["charge"]["status"], "charging");
}

#[tokio::test]
async fn commands_are_refused_where_they_are_not_wanted() {
    let bench = demo().await;
    let account = bench
        .sandbox
        .account(Cloud::Volta, "demo@volta.example")
        .unwrap();
    let token = bench.token(&account);
    let vin = &account.devices[0].id;
    let path = format!("/volta/v1/vehicles/{vin}/commands");
    let stop = async || {
        let command = json!({"command": "charge_stop"});
        let response = bench.send(Method::POST, &path, &token, command).await;
        let status = response.status().as_u16();
        (
            status,
            response.json::<Value>().await.unwrap()["error"].clone(),
        )
    };
    let shown = async || bench.get_json("/volta/v1/account", &token).await;
    for (remote, word, error) in [
        (Remote::SwitchedOff, "switched_off", "remote_access_off"),
        (Remote::NoKey, "no_key", "no_key"),
    ] {
        let patch = DevicePatch {
            remote: Some(remote),
            ..Default::default()
        };
        bench.sandbox.patch_device(vin, &patch).await.unwrap();
        assert_eq!(shown().await["vehicles"][0]["remote_access"], word);
        assert_eq!(stop().await, (403, json!(error)));
    }
    let patch = |remote| DevicePatch {
        remote: Some(remote),
        ..Default::default()
    };
    let allowed = patch(Remote::Allowed);
    bench.sandbox.patch_device(vin, &allowed).await.unwrap();
    assert_eq!(stop().await.0, 202);
    let expired = patch(Remote::Expired);
    assert!(bench.sandbox.patch_device(vin, &expired).await.is_err());

    // The owner takes the leave back, and gives it again by signing in.
    bench
        .sandbox
        .forbid_commands(Cloud::Volta, &account.id)
        .unwrap();
    assert_eq!(shown().await["permissions"], json!(["read", "location"]));
    assert_eq!(stop().await, (403, json!("missing_permission")));
    code(&bench).await;
    assert_eq!(stop().await.0, 202);
    let all = json!(["read", "location", "commands"]);
    assert_eq!(shown().await["permissions"], all);
}

#[tokio::test]
async fn commands_are_obeyed_a_little_later() {
    let bench = bench().await;
    let account = bench.quiet(Cloud::Volta);
    let token = bench.token(&account);
    let vin = &account.devices[0].id;
    let path = format!("/volta/v1/vehicles/{vin}/commands");
    let command = async |body: Value| {
        let response = bench.send(Method::POST, &path, &token, body).await;
        let status = response.status().as_u16();
        (status, response.json::<Value>().await.unwrap())
    };
    let state = async |made: &Value| {
        let id = made["command_id"].as_str().unwrap();
        bench
            .get_json(&format!("/volta/v1/commands/{id}"), &token)
            .await
    };

    let (status, failing) = command(json!({"command": "charge_stop"})).await;
    assert_eq!(status, 202);
    bench.advance(10).await;
    assert_eq!(state(&failing).await["reason"], "not_plugged");

    let plug = DevicePatch {
        plugged: Some(true),
        level_percent: Some(50.0),
        ..Default::default()
    };
    bench.sandbox.patch_device(vin, &plug).await.unwrap();
    bench.advance(60).await;
    let (_, stopping) = command(json!({"command": "charge_stop"})).await;
    assert_eq!(state(&stopping).await["state"], "accepted");
    bench.advance(10).await;
    assert_eq!(state(&stopping).await["state"], "done");
    assert_eq!(
        bench.sandbox.device_truth(vin).unwrap()["state"]["status"],
        "paused"
    );

    command(json!({"command": "set_limit", "limit_percent": 90})).await;
    command(json!({"command": "charge_start"})).await;
    bench.advance(60).await;
    let truth = bench.sandbox.device_truth(vin).unwrap();
    assert_eq!(truth["state"]["status"], "charging");
    assert_eq!(truth["state"]["limit_percent"], 90);
    for bad in [
        json!({"command": "set_limit", "limit_percent": 20}),
        json!({"command": "fly"}),
    ] {
        assert_eq!(command(bad).await.0, 400);
    }
}

#[tokio::test]
async fn devices_come_and_go() {
    let bench = bench().await;
    let account = bench.quiet(Cloud::Volta);
    let token = bench.token(&account);
    let added = bench
        .sandbox
        .add_device(Cloud::Volta, &account.id, DeviceKind::Vehicle)
        .await
        .unwrap();
    assert_eq!(added.len(), 1);
    let count = async || {
        let body = bench.get_json("/volta/v1/account", &token).await;
        body["vehicles"].as_array().unwrap().len()
    };
    assert_eq!(count().await, 2);
    bench.sandbox.remove_device(&added[0].id).await.unwrap();
    assert_eq!(count().await, 1);
    assert!(bench.sandbox.device_truth(&added[0].id).unwrap()["removed_at"].is_string());
}
