//! Each fault does what it says, to whom it says, and is over when it is over.

use futures::FutureExt;
use jiff::Timestamp;
use livewatt_sandbox::{
    AccountInfo, Cloud, DevicePatch, FaultKind, FaultSpec, Garbage, SandboxConfig, ScriptEntry,
};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::bench::{Bench, bench, bench_with};

const ACCOUNT: &str = "/volta/v1/account";

async fn volta() -> (Bench, AccountInfo, String) {
    let bench = bench().await;
    let account = bench.quiet(Cloud::Volta);
    let token = bench.token(&account);
    (bench, account, token)
}

async fn under(bench: &Bench, kind: FaultKind, token: &str) -> Response {
    let fault = bench
        .sandbox
        .add_fault(Cloud::Volta, FaultSpec::new(kind))
        .await
        .unwrap();
    let response = bench.get(ACCOUNT, token).await;
    bench.sandbox.drop_fault(&fault.id).await.unwrap();
    response
}

async fn garbage(bench: &Bench, variant: Garbage, token: &str) -> String {
    let response = under(bench, FaultKind::Garbage { variant }, token).await;
    assert_eq!(response.status(), 200);
    response.text().await.unwrap()
}

#[tokio::test]
async fn refusals() {
    let (bench, _, token) = volta().await;
    let limited = under(
        &bench,
        FaultKind::RateLimited {
            retry_after_seconds: 7,
        },
        &token,
    )
    .await;
    assert_eq!(limited.status(), 429);
    assert_eq!(limited.headers()["retry-after"], "7");
    let broken = under(&bench, FaultKind::ServerError { status: 502 }, &token).await;
    assert_eq!(broken.status(), 502);
    let dead = under(&bench, FaultKind::DeadToken, &token).await;
    assert_eq!(dead.status(), 401);
    assert_eq!(bench.get(ACCOUNT, &token).await.status(), 200, "all over");
    let truth = bench.sandbox.truth(None, None).unwrap();
    assert_eq!(truth["stats"]["rate_limited"], 1);
    assert_eq!(truth["stats"]["quota_exceeded"], 0, "not for a real quota");
    assert_eq!(truth["accounts"][0]["stats"]["unauthorized"], 1);
}

#[tokio::test]
async fn a_dead_token_cannot_be_refreshed_while_it_lasts() {
    let (bench, account, _) = volta().await;
    let tokens = bench
        .sandbox
        .grant_tokens(Cloud::Volta, &account.id, None)
        .unwrap();
    let refresh = async || {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", "livewatt-sandbox"),
            ("client_secret", "sandbox-secret"),
            ("refresh_token", tokens.refresh_token.as_deref().unwrap()),
        ];
        bench
            .http
            .post(bench.url("/volta/oauth/token"))
            .form(&form)
            .send()
            .await
            .unwrap()
            .status()
    };
    let spec = FaultSpec::new(FaultKind::DeadToken).account(&account.username);
    let fault = bench.sandbox.add_fault(Cloud::Volta, spec).await.unwrap();
    assert_eq!(refresh().await, 400);
    bench.sandbox.drop_fault(&fault.id).await.unwrap();
    assert_eq!(refresh().await, 200);
}

#[tokio::test]
async fn a_hang_ends_when_it_is_dropped() {
    let (bench, _, token) = volta().await;
    let hang = FaultSpec::new(FaultKind::Hang { seconds: None });
    let fault = bench.sandbox.add_fault(Cloud::Volta, hang).await.unwrap();
    let mut request = Box::pin(bench.get(ACCOUNT, &token));
    // The request is on its way once the fault has struck.
    while bench.sandbox.faults()[0].hits == 0 {
        assert!(request.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    assert!(request.as_mut().now_or_never().is_none());
    bench.sandbox.drop_fault(&fault.id).await.unwrap();
    assert_eq!(request.await.status(), 200);
    assert_eq!(
        under(&bench, FaultKind::Slow { latency_ms: 1 }, &token)
            .await
            .status(),
        200
    );
}

#[tokio::test]
async fn a_hang_does_not_hold_up_the_shutdown() {
    let (bench, _, token) = volta().await;
    let hang = FaultSpec::new(FaultKind::Hang { seconds: None });
    bench.sandbox.add_fault(Cloud::Volta, hang).await.unwrap();
    let request = bench
        .http
        .get(bench.url(ACCOUNT))
        .bearer_auth(&token)
        .send();
    let request = tokio::spawn(request);
    while bench.sandbox.faults()[0].hits == 0 {
        tokio::task::yield_now().await;
    }
    bench.sandbox.shutdown().await;
    request.await.unwrap().unwrap();
}

#[tokio::test]
async fn garbage_of_each_kind() {
    let (bench, account, token) = volta().await;
    let vin = json!(account.devices[0].id);
    let cut = garbage(&bench, Garbage::CutJson, &token).await;
    assert!(cut.starts_with('{') && serde_json::from_str::<Value>(&cut).is_err());
    assert!(
        garbage(&bench, Garbage::Html, &token)
            .await
            .starts_with("<!doctype html>")
    );
    assert_eq!(garbage(&bench, Garbage::Empty, &token).await, "");
    assert!(garbage(&bench, Garbage::HugeBody, &token).await.len() > 50_000_000);

    let json = async |variant| {
        serde_json::from_str::<Value>(&garbage(&bench, variant, &token).await).unwrap()
    };
    let wrong = json(Garbage::WrongTypes).await;
    assert_eq!(wrong["vehicles"][0]["vin"], vin);
    assert!(wrong["vehicles"][0]["charge"]["level_percent"].is_string());
    assert!(wrong["vehicles"][0]["charge"]["status"].is_object());
    let absurd = json(Garbage::AbsurdNumbers).await;
    assert!(
        absurd["vehicles"][0]["charge"]["level_percent"]
            .as_f64()
            .unwrap()
            < -1e9
    );
    let future = json(Garbage::FarFuture).await;
    let at: Timestamp = future["vehicles"][0]["charge"]["at"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(at.as_second() > bench.sandbox.now().as_second() + 9 * 365 * 86_400);
    let skewed = under(&bench, FaultKind::ClockSkew { seconds: -60 }, &token).await;
    let skewed: Value = skewed.json().await.unwrap();
    let time: Timestamp = skewed["time"].as_str().unwrap().parse().unwrap();
    assert_eq!(time.as_second(), bench.sandbox.now().as_second() - 60);
}

#[tokio::test]
async fn stale_data_is_frozen() {
    let (bench, account, token) = volta().await;
    let before = bench.get_json(ACCOUNT, &token).await;
    let stale = FaultSpec::new(FaultKind::Stale).account(&account.id);
    let fault = bench.sandbox.add_fault(Cloud::Volta, stale).await.unwrap();
    let plug = DevicePatch {
        plugged: Some(true),
        ..Default::default()
    };
    bench
        .sandbox
        .patch_device(&account.devices[0].id, &plug)
        .await
        .unwrap();
    bench.advance(600).await;
    let during = bench.get_json(ACCOUNT, &token).await;
    assert_eq!(during["vehicles"], before["vehicles"]);
    bench.sandbox.drop_fault(&fault.id).await.unwrap();
    let after = bench.get_json(ACCOUNT, &token).await;
    assert_eq!(after["vehicles"][0]["charge"]["plugged"], true);
}

#[tokio::test]
async fn a_device_is_missing_from_one_listing() {
    let (bench, account, token) = volta().await;
    let spec = FaultSpec::new(FaultKind::ListingWithoutDevice).device(&account.devices[0].id);
    bench.sandbox.add_fault(Cloud::Volta, spec).await.unwrap();
    assert_eq!(bench.get_json(ACCOUNT, &token).await["vehicles"], json!([]));
    assert_eq!(
        bench.get_json(ACCOUNT, &token).await["vehicles"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn offline_looks_different_in_each_cloud() {
    let (bench, account, token) = volta().await;
    let spec = |account: &AccountInfo, index: usize| {
        FaultSpec::new(FaultKind::Offline).device(&account.devices[index].id)
    };
    bench
        .sandbox
        .add_fault(Cloud::Volta, spec(&account, 0))
        .await
        .unwrap();
    let body = bench.get_json(ACCOUNT, &token).await;
    assert_eq!(body["vehicles"][0]["online"], false);
    assert_eq!(body["wallboxes"][0]["online"], true);

    let account = bench.quiet(Cloud::Rivoli);
    let token = bench.token(&account);
    bench
        .sandbox
        .add_fault(Cloud::Rivoli, spec(&account, 0))
        .await
        .unwrap();
    let path = format!("/rivoli/v2/cars/{}", account.devices[0].id);
    assert_eq!(bench.get(&path, &token).await.status(), 408);
    assert_eq!(bench.get("/rivoli/v2/cars", &token).await.status(), 200);

    let account = bench.quiet(Cloud::Helios);
    let token = bench.token(&account);
    let path = format!("/helios/api/sites/{}/live", account.sites[0]);
    bench
        .sandbox
        .add_fault(Cloud::Helios, spec(&account, 1))
        .await
        .unwrap();
    let body = bench.get_json(&path, &token).await;
    assert_eq!(
        body["battery"],
        json!({"id": account.devices[1].id, "connected": false})
    );
    assert_eq!(body["inverter"]["connected"], true);
    bench.sandbox.drop_all_faults().await;
    bench
        .sandbox
        .add_fault(Cloud::Helios, FaultSpec::new(FaultKind::Offline))
        .await
        .unwrap();
    bench.advance(600).await;
    let body = bench.get_json(&path, &token).await;
    assert_eq!(body["gateway"], "offline");
    assert!(body["ts"].as_i64().unwrap() <= bench.sandbox.now().as_millisecond() - 600_000);
}

#[tokio::test]
async fn commands_are_ignored_or_late() {
    let (bench, account, token) = volta().await;
    let vin = &account.devices[0].id;
    let path = format!("/volta/v1/vehicles/{vin}/commands");
    let set_limit = async |percent: u8| {
        let body = json!({"command": "set_limit", "limit_percent": percent});
        bench.send(Method::POST, &path, &token, body).await
    };
    let limit = || bench.sandbox.device_truth(vin).unwrap()["state"]["limit_percent"].clone();
    let ignored = FaultSpec::new(FaultKind::CommandIgnored).times(1);
    bench
        .sandbox
        .add_fault(Cloud::Volta, ignored)
        .await
        .unwrap();
    assert_eq!(set_limit(60).await.status(), 202);
    bench.advance(600).await;
    assert_eq!(limit(), 80);
    bench.sandbox.drop_all_faults().await;
    let lied = FaultSpec::new(FaultKind::CommandLied).times(1);
    bench.sandbox.add_fault(Cloud::Volta, lied).await.unwrap();
    let said: serde_json::Value = set_limit(60).await.json().await.unwrap();
    assert_eq!(said["state"], "done");
    bench.advance(600).await;
    assert_eq!(limit(), 80);
    let path = format!(
        "/volta/v1/commands/{}",
        said["command_id"].as_str().unwrap()
    );
    assert_eq!(bench.get_json(&path, &token).await["state"], "done");
    bench.sandbox.drop_all_faults().await;
    let slow = FaultSpec::new(FaultKind::CommandSlow { seconds: 120 });
    bench.sandbox.add_fault(Cloud::Volta, slow).await.unwrap();
    set_limit(70).await;
    bench.advance(120).await;
    assert_eq!(limit(), 80);
    bench.advance(10).await;
    assert_eq!(limit(), 70);
}

#[tokio::test]
async fn a_fault_strikes_only_its_scope() {
    let (bench, account, token) = volta().await;
    let other = bench.quiet(Cloud::Volta);
    let other_token = bench.token(&other);
    let kind = FaultKind::ServerError { status: 500 };
    let spec = FaultSpec::new(kind.clone())
        .account(&account.id)
        .endpoints(&["account"])
        .times(2);
    bench.sandbox.add_fault(Cloud::Volta, spec).await.unwrap();
    assert_eq!(bench.get(ACCOUNT, &other_token).await.status(), 200);
    assert_eq!(
        bench.get("/volta/v1/subscription", &token).await.status(),
        404
    );
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(bench.get(ACCOUNT, &token).await.status().as_u16());
    }
    assert_eq!(statuses, [500, 500, 200]);

    let car = bench.quiet(Cloud::Rivoli);
    let token = bench.token(&car);
    let spec = FaultSpec::new(kind).device(&car.devices[0].id);
    bench.sandbox.add_fault(Cloud::Rivoli, spec).await.unwrap();
    let path = format!("/rivoli/v2/cars/{}", car.devices[0].id);
    assert_eq!(bench.get(&path, &token).await.status(), 500);
    assert_eq!(bench.get("/rivoli/v2/cars", &token).await.status(), 200);
}

#[tokio::test]
async fn a_script_plays_in_virtual_time() {
    let script: Vec<ScriptEntry> = serde_json::from_value(json!([
        {"cloud": "volta", "kind": "server_error", "after_seconds": 60, "for_seconds": 60}
    ]))
    .unwrap();
    let bench = bench_with(SandboxConfig {
        script,
        ..Default::default()
    })
    .await;
    let token = bench.token(&bench.quiet(Cloud::Volta));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(bench.get(ACCOUNT, &token).await.status().as_u16());
        bench.advance(60).await;
    }
    assert_eq!(statuses, [200, 503, 200]);
}

#[tokio::test]
async fn faults_by_http() {
    let bench = bench().await;
    let (status, fault) = bench
        .control(Method::POST, "/volta/faults", json!({"kind": "stale"}))
        .await;
    assert_eq!(
        (status, &fault["active"], &fault["kind"]),
        (201, &json!(true), &json!("stale"))
    );
    let (_, all) = bench.control(Method::GET, "/faults", Value::Null).await;
    assert_eq!(all.as_array().unwrap().len(), 1);
    let path = format!("/faults/{}", fault["id"].as_str().unwrap());
    assert_eq!(
        bench.control(Method::DELETE, &path, Value::Null).await.0,
        204
    );
    assert_eq!(
        bench.control(Method::DELETE, &path, Value::Null).await.0,
        404
    );
    for bad in [
        json!({"kind": "boredom"}),
        json!({"kind": "server_error", "status": 200}),
        json!({"kind": "listing_without_device"}),
    ] {
        assert_eq!(
            bench.control(Method::POST, "/volta/faults", bad).await.0,
            400
        );
    }
}
