//! Time, the control API, and days that repeat.

use livewatt_sandbox::{AccountSpec, Cloud, SandboxConfig};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bench::{Bench, bench, bench_with};

async fn town(seed: u64) -> Bench {
    let bench = bench_with(SandboxConfig {
        seed,
        ..SandboxConfig::default()
    })
    .await;
    for cloud in Cloud::ALL {
        bench
            .sandbox
            .create_account(cloud, AccountSpec::default())
            .unwrap();
    }
    bench
}

fn truth(bench: &Bench) -> Value {
    bench.sandbox.truth(None, None).unwrap()
}

#[tokio::test]
async fn the_same_seed_gives_the_same_days_however_time_is_cut() {
    let (whole, cut, other) = (town(7).await, town(7).await, town(8).await);
    whole.advance(2 * 86_400).await;
    for _ in 0..(2 * 86_400 / 7_200) {
        cut.advance(7_193).await;
        cut.advance(7).await;
    }
    other.advance(2 * 86_400).await;
    assert_eq!(truth(&whole), truth(&cut));
    assert_ne!(truth(&whole)["accounts"], truth(&other)["accounts"]);
}

#[tokio::test]
async fn two_days_have_a_history() {
    let bench = town(7).await;
    bench.advance(2 * 86_400).await;
    let truth = truth(&bench);
    for account in truth["accounts"].as_array().unwrap() {
        let changes: usize = account["devices"]
            .as_array()
            .unwrap()
            .iter()
            .map(|device| device["history"].as_array().unwrap().len())
            .sum();
        assert!(changes > 20, "{} had {changes}", account["id"]);
    }
}

#[tokio::test]
async fn the_clock_by_http() {
    let bench = bench().await;
    let (_, clock) = bench.control(Method::GET, "/clock", Value::Null).await;
    assert_eq!(clock, json!({"now": "2026-03-02T06:00:00Z", "speed": 0.0}));
    let (status, clock) = bench
        .control(Method::POST, "/advance", json!({"seconds": 90.5}))
        .await;
    assert_eq!(
        (status, &clock["now"]),
        (200, &json!("2026-03-02T06:01:30.5Z"))
    );
    let back = json!({"now": "2026-03-02T06:00:00Z"});
    assert_eq!(bench.control(Method::PUT, "/clock", back).await.0, 409);
    let on = json!({"now": "2026-03-02T07:00:00Z"});
    assert_eq!(
        bench.control(Method::PUT, "/clock", on).await.1["now"],
        "2026-03-02T07:00:00Z"
    );
    for (path, body) in [
        ("/clock", json!({"speed": 1e6})),
        ("/clock", json!({"speed": -1})),
    ] {
        assert_eq!(bench.control(Method::PUT, path, body).await.0, 400);
    }
    assert_eq!(
        bench
            .control(Method::POST, "/advance", json!({"seconds": -1}))
            .await
            .0,
        400
    );
    let (status, clock) = bench
        .control(Method::PUT, "/clock", json!({"speed": 60}))
        .await;
    assert_eq!((status, &clock["speed"]), (200, &json!(60.0)));
}

#[tokio::test]
async fn a_running_clock_runs() {
    let config = SandboxConfig {
        speed: 10_000.0,
        ..SandboxConfig::default()
    };
    let start = config.start;
    let bench = bench_with(config).await;
    let account = bench.quiet(Cloud::Helios);
    let bought = || {
        let meter = bench.sandbox.device_truth(&account.devices[2].id).unwrap();
        meter["state"]["import_kwh"].as_f64().unwrap()
    };
    let before = bought();
    while bought() <= before {
        tokio::task::yield_now().await;
    }
    assert!(bench.sandbox.now() > start);
    bench.sandbox.set_speed(0.0).unwrap();
    assert_eq!(bench.sandbox.now(), bench.sandbox.now());
}

#[tokio::test]
async fn accounts_and_devices_by_http() {
    let bench = bench().await;
    let spec = json!({"vehicles": 2, "wallboxes": 1, "username": "ann", "password": "x"});
    let (status, account) = bench
        .control(Method::POST, "/volta/accounts", spec.clone())
        .await;
    assert_eq!(status, 201);
    assert_eq!(account["devices"].as_array().unwrap().len(), 3);
    assert_eq!(
        bench.control(Method::POST, "/volta/accounts", spec).await.0,
        409
    );
    let bad = json!({"town": "atlantis"});
    assert_eq!(
        bench.control(Method::POST, "/volta/accounts", bad).await.0,
        400
    );
    assert_eq!(
        bench.control(Method::GET, "/accounts", Value::Null).await.1[0],
        account
    );

    let (_, tokens) = bench
        .control(Method::POST, "/volta/accounts/ann/grant", json!({}))
        .await;
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(bench.get("/volta/v1/account", token).await.status(), 200);
    let revoke = bench
        .control(Method::POST, "/volta/accounts/ann/revoke", json!({}))
        .await;
    assert_eq!(revoke.0, 204);
    assert_eq!(bench.get("/volta/v1/account", token).await.status(), 401);

    let device = format!("/devices/{}", account["devices"][0]["id"].as_str().unwrap());
    let (status, truth) = bench
        .control(
            Method::PATCH,
            &device,
            json!({"plugged": true, "level_percent": 12.5}),
        )
        .await;
    assert_eq!(
        (status, &truth["state"]["level_percent"]),
        (200, &json!(12.5))
    );
    assert_eq!(
        bench
            .control(Method::PATCH, &device, json!({"level_percent": 101}))
            .await
            .0,
        400
    );
    assert_eq!(
        bench
            .control(Method::PATCH, &device, json!({"wings": 2}))
            .await
            .0,
        400
    );
    assert_eq!(
        bench.control(Method::DELETE, &device, Value::Null).await.0,
        204
    );
    assert_eq!(
        bench
            .control(Method::GET, "/truth/volta/ann", Value::Null)
            .await
            .0,
        200
    );
    assert_eq!(
        bench
            .control(Method::GET, "/truth/volta/bob", Value::Null)
            .await
            .0,
        404
    );
    assert_eq!(
        bench
            .control(Method::DELETE, "/volta/accounts/ann", Value::Null)
            .await
            .0,
        204
    );
    assert_eq!(
        bench.control(Method::GET, "/accounts", Value::Null).await.1,
        json!([])
    );
}
