//! Calls of customers.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::StreamExt as _;
use livewatt_api::ApiOptions;
use livewatt_domain::SignedDuration;
use serde_json::{Value, json};

use crate::fixture::{Answer, Api, Browser, PASSWORD};

/// Links the made-up account of a user through the pages.
pub(crate) async fn link(api: &Api, user: &str) {
    let body = json!({
        "scopes": ["vehicle:read:data"], "language": "en-US", "redirectUri": "myapp://done",
        "vendor": "TESLA",
    });
    let started = api.post(&format!("/users/{user}/link"), body).await.json();
    let mut browser = Browser::of(api);
    let page = browser.open(started["linkUrl"].as_str().unwrap()).await;
    let page = browser.submit(&page, "consent", &[]).await;
    let fields = [("email", user), ("password", PASSWORD)];
    let page = browser.submit(&page, "sign-in", &fields).await;
    assert!(page.body.contains("Connected"), "{page:?}");
}

async fn token(api: &Api, authorization: Option<String>, form: &str) -> Answer {
    let mut request = Request::post("/oauth2/token")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some(value) = authorization {
        request = request.header(header::AUTHORIZATION, value);
    }
    api.send(request.body(Body::from(form.to_owned())).unwrap())
        .await
}

#[tokio::test]
async fn tokens_are_issued_as_oauth_says() {
    let api = Api::start().await;
    let basic = |secret: &str| {
        let pair = format!("{}:{secret}", api.client);
        Some(format!("Basic {}", BASE64_STANDARD.encode(pair)))
    };
    let grant = "grant_type=client_credentials";
    let good = token(&api, basic(api.secret.reveal()), grant).await;
    assert_eq!(good.status, 200);
    assert_eq!(good.header("cache-control"), "no-store");
    let body = good.json();
    assert_eq!(
        (&body["token_type"], &body["scope"]),
        (&json!("bearer"), &json!(""))
    );
    assert_eq!(body["expires_in"], 3600);
    let in_body = format!(
        "{grant}&client_id={}&client_secret={}",
        api.client,
        api.secret.reveal()
    );
    assert_eq!(token(&api, None, &in_body).await.status, 200);

    let wrong = token(&api, basic("wrong"), grant).await;
    assert_eq!(
        (wrong.status, wrong.json()["error"].clone()),
        (StatusCode::UNAUTHORIZED, json!("invalid_client"))
    );
    assert!(wrong.header("www-authenticate").starts_with("Basic"));
    let other = token(&api, basic(api.secret.reveal()), "grant_type=password").await;
    assert_eq!(
        (other.status, other.json()["error"].clone()),
        (StatusCode::BAD_REQUEST, json!("unsupported_grant_type"))
    );
    let none = token(&api, basic(api.secret.reveal()), "").await;
    assert_eq!(none.json()["error"], "invalid_request");
}

#[tokio::test]
async fn tokens_end_after_their_time() {
    let api = Api::start().await;
    assert_eq!(api.get("/users").await.status, 200);
    api.clock.advance(SignedDuration::from_mins(61));
    let answer = api.get("/users").await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.json()["title"], "Unauthorized");
    assert_eq!(answer.json()["detail"], "Unauthorized for resource");
}

#[tokio::test]
async fn versions_and_old_headers_are_refused() {
    let api = Api::start().await;
    let with = |name: &'static str, value: &'static str| {
        api.send(
            Request::get("/integrations")
                .header(name, value)
                .body(Body::empty())
                .unwrap(),
        )
    };
    let good = with("enode-version", "2024-10-01").await;
    assert_eq!(
        (good.status, good.header("enode-version")),
        (StatusCode::OK, "2024-10-01")
    );
    let bad = with("enode-version", "2023-08-01").await;
    assert_eq!(bad.status, 400);
    assert!(
        bad.json()["detail"]
            .as_str()
            .unwrap()
            .contains("2024-10-01")
    );
    let old = with("enode-user-id", "u").await;
    assert_eq!(old.status, 400);
    assert!(!good.header("x-request-id").is_empty());
}

#[tokio::test]
async fn bad_requests_get_problems_that_name_the_field() {
    let api = Api::start().await;
    for (path, field) in [
        ("/users?pageSize=0", "pageSize"),
        ("/vehicles?after=x", "after"),
        ("/events?after=x", "after"),
        ("/events?before=x", "before"),
        ("/integrations?assetTypes=car", "assetTypes"),
        ("/users/%07", "userId"),
    ] {
        let answer = api.get(path).await;
        assert_eq!(answer.status, 400, "{path}");
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.json()["issues"][0]["path"], field, "{path}");
    }
    let answer = api
        .post("/users/u/link", json!({"scopes": ["a"], "x": 1}))
        .await;
    let issues = answer.json()["issues"].clone();
    let paths: Vec<&str> = issues
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|issue| issue["path"].as_str())
        .collect();
    assert_eq!(paths, ["scopes.0", "language", "redirectUri", "x"]);
    assert_eq!(api.get("/users/%ff").await.status, 400);
    assert_eq!(api.get("/nowhere").await.json()["title"], "Not Found");
    let huge = json!({"scopes": ["x".repeat(70_000)]});
    assert_eq!(api.post("/users/u/link", huge).await.status, 413);
    let long = Request::get("/users").header("x-long", "a".repeat(40_000));
    assert_eq!(
        api.send(long.body(Body::empty()).unwrap()).await.status,
        431
    );
}

/// What is sent has exactly the keys that the OpenAPI document says are always there.
#[track_caller]
fn assert_described(schema: &str, sent: &Value) {
    let document = serde_json::to_value(livewatt_api::openapi()).unwrap();
    let described = &document["components"]["schemas"][schema]["required"];
    let mut described: Vec<&str> = described
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let mut keys: Vec<&str> = sent
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    described.sort_unstable();
    keys.sort_unstable();
    assert_eq!(keys, described, "{schema}");
}

#[tokio::test]
async fn users_and_devices_come_and_go() {
    let api = Api::start().await;
    assert_eq!(
        api.get("/users/nobody").await.json()["title"],
        "User does not exist"
    );
    assert_eq!(
        api.get("/users/nobody/vehicles").await.json()["data"],
        json!([])
    );
    link(&api, "ann").await;
    api.clock.advance(SignedDuration::from_secs(1));
    link(&api, "bob").await;

    let user = api.get("/users/ann").await.json();
    assert_eq!(
        user,
        json!({"id": "ann", "linkedVendors": [
            {"vendor": "TESLA", "vendorType": "vehicle", "isValid": true},
        ]})
    );
    let page = api.get("/users?pageSize=1").await.json();
    assert_eq!(page["data"][0]["id"], "bob");
    assert_eq!(page["data"][0]["scopes"], json!(["all"]));
    assert_eq!(page["pagination"]["before"], json!(null));
    let after = page["pagination"]["after"].as_str().unwrap();
    let page = api
        .get(&format!("/users?pageSize=1&after={after}"))
        .await
        .json();
    assert_eq!(page["data"][0]["id"], "ann");
    assert_eq!(page["pagination"]["after"], json!(null));

    let vehicles = api.get("/users/ann/vehicles").await.json();
    let vehicle = &vehicles["data"][0];
    assert_eq!(vehicle["chargeState"]["batteryLevel"], 61.0);
    assert_described("PaginatedVehicleList", &vehicles);
    assert_described("Vehicle", vehicle);
    assert_described("VehicleChargeState", &vehicle["chargeState"]);
    let id = vehicle["id"].as_str().unwrap();
    assert_eq!(&api.get(&format!("/vehicles/{id}")).await.json(), vehicle);
    assert_eq!(api.get(&format!("/chargers/{id}")).await.status, 404);
    let freshness = api.get(&format!("/vehicles/{id}/freshness")).await.json();
    assert_eq!(freshness["reason"], "regular");
    assert_described("Freshness", &freshness);
    assert_described("BlockFreshness", &freshness["blocks"][0]);
    assert_described("Attempt", &freshness["lastAttempts"][0]);
    let hint = api
        .call(Method::POST, &format!("/vehicles/{id}/refresh-hint"), None)
        .await;
    assert_eq!(
        (hint.status, hint.body.as_str()),
        (StatusCode::NO_CONTENT, "")
    );
    let hint = api
        .call(Method::POST, "/vehicles/x/refresh-hint", None)
        .await;
    assert_eq!(hint.json()["detail"], "The requested asset wasn't found.");

    let relink = json!({"language": "en-US", "redirectUri": "https://a.example"});
    assert_eq!(
        api.post(&format!("/assets/{id}/relink"), relink)
            .await
            .status,
        400
    );
    let gone = api
        .call(Method::DELETE, "/users/ann/vendors/TESLA/vehicle", None)
        .await;
    assert_eq!(gone.status, 204);
    assert_eq!(api.get(&format!("/vehicles/{id}")).await.status, 404);
    let bad = api
        .call(Method::DELETE, "/users/ann/vendors/TESLA/car", None)
        .await;
    assert_eq!(bad.json()["issues"][0]["path"], "vendorType");
    assert_eq!(
        api.call(Method::DELETE, "/users/bob/authorization", None)
            .await
            .status,
        204
    );
    assert_eq!(
        api.get("/users/bob").await.json()["linkedVendors"][0]["isValid"],
        false
    );
    assert_eq!(
        api.call(Method::DELETE, "/users/bob", None).await.status,
        204
    );
    assert_eq!(
        api.call(Method::DELETE, "/users/bob", None).await.status,
        404
    );
}

#[tokio::test]
async fn the_event_log_is_read_by_cursor_and_followed() {
    let api = Api::start().await;
    let empty = api.get("/events").await.json();
    assert_eq!(empty["data"], json!([]));
    let start = empty["pagination"]["after"].as_str().unwrap().to_owned();
    link(&api, "ann").await;
    let page = api
        .get(&format!("/events?after={start}&pageSize=1"))
        .await
        .json();
    assert_eq!(page["data"][0]["event"]["event"], "user:vehicle:discovered");
    assert_eq!(page["pagination"]["after"], page["data"][0]["cursor"]);
    let first = page["data"][0]["cursor"].as_str().unwrap().to_owned();
    assert_described("LogEntry", &page["data"][0]);
    let rest = api.get(&format!("/events?after={first}")).await.json();
    assert_eq!(rest["data"][0]["event"]["event"], "user:vehicle:updated");

    // The stream goes on behind the first event, follows what happens, and ends with the server.
    let options = ApiOptions::default();
    let stop = options.stop.clone();
    let router = livewatt_api::router(api.engine.clone(), options);
    let id = api.client.to_string();
    let issued = api.engine.issue_token(&id, api.secret.clone()).await;
    let issued = issued.unwrap().unwrap();
    let request = Request::get("/events/stream")
        .header(
            header::AUTHORIZATION,
            format!("Bearer {}", issued.token.reveal()),
        )
        .header("last-event-id", first)
        .body(Body::empty())
        .unwrap();
    let response = tower::ServiceExt::oneshot(router, request).await.unwrap();
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "text/event-stream"
    );
    let mut frames = response.into_body().into_data_stream();
    let mut next = async || {
        let frame = tokio::time::timeout(Duration::from_secs(20), frames.next()).await;
        frame
            .expect("in time")
            .map(|frame| String::from_utf8(frame.unwrap().to_vec()).unwrap())
    };
    let frame = next().await.unwrap();
    assert!(frame.contains("event: user:vehicle:updated\n"), "{frame}");
    let cursor = rest["data"][0]["cursor"].as_str().unwrap();
    assert!(frame.contains(&format!("id: {cursor}\n")), "{frame}");
    link(&api, "bob").await;
    let frame = next().await.unwrap();
    assert!(
        frame.contains("event: user:vehicle:discovered\n"),
        "{frame}"
    );
    assert!(next().await.unwrap().contains("\"id\":\"bob\""));
    stop.cancel();
    assert_eq!(next().await, None);
}

#[tokio::test]
async fn webhooks_are_kept_as_the_contract_prints_them() {
    let api = Api::start().await;
    let body = json!({
        "url": "https://203.0.113.7/hook", "secret": "0123456789",
        "authentication": {"headerName": "x-key", "headerValue": "v"},
    });
    let refused = api.post("/webhooks", body.clone()).await;
    assert_eq!(
        refused.status, 400,
        "an address of no use on the internet: {refused:?}"
    );
    let body = json!({
        "url": "https://hooks.example.com/a", "secret": "0123456789",
        "authentication": {"headerName": "x-key", "headerValue": "v"},
    });
    let created = api.post("/webhooks", body.clone()).await;
    assert_eq!(created.status, 200, "{created:?}");
    let webhook = created.json();
    assert_described("WebhookResponse", &webhook);
    assert_eq!(webhook["events"], json!(["*"]));
    assert_eq!(webhook["lastSuccess"], webhook["createdAt"]);
    assert_eq!(webhook["authentication"], json!({"headerName": "x-key"}));
    assert_eq!(webhook["apiVersion"], json!(null));
    let again = api.post("/webhooks", body).await.json();
    assert_eq!(again["title"], "Webhook input is not valid.");
    let path = format!("/webhooks/{}", webhook["id"].as_str().unwrap());
    let change = json!({"authentication": null, "events": ["user:vehicle:updated"]});
    let changed = api.call(Method::PATCH, &path, Some(change)).await.json();
    assert_eq!(changed["authentication"], json!(null));
    let wrong = api
        .call(Method::PATCH, &path, Some(json!({"events": ["x"], "y": 1})))
        .await;
    assert_eq!(wrong.json()["issues"][0]["path"], "y");
    assert_eq!(api.call(Method::DELETE, &path, None).await.status, 204);
    assert_eq!(api.get(&path).await.json()["title"], "Webhook not found");
}

#[tokio::test]
async fn vendors_are_listed_without_a_token() {
    let api = Api::start().await;
    let send = |path: &'static str| api.send(Request::get(path).body(Body::empty()).unwrap());
    let rows = send("/integrations?assetTypes=vehicle").await.json();
    assert_eq!(rows[0]["vendor"], "BMW");
    assert_described("Integration", &rows[0]);
    assert_eq!(rows[0]["assetTypes"], json!(["vehicle"]));
    assert_eq!(rows[0]["status"], "READY");
    assert_eq!(
        send("/health/vehicles").await.json()[1]["displayName"],
        "Brand TESLA"
    );
    assert_eq!(send("/health/meters").await.json(), json!([]));
    assert_eq!(send("/health/ready").await.status, 204);
}

#[tokio::test]
async fn the_live_page_is_shown_only_on_request() {
    let api = Api::start().await;
    assert_eq!(api.get("/live").await.status, 404);
    let options = ApiOptions {
        show_live_page: true,
        ..ApiOptions::default()
    };
    let api = Api::start_with(options).await;
    link(&api, "ann").await;
    assert!(
        api.get("/live")
            .await
            .header("content-security-policy")
            .contains("script-src 'self'")
    );
    let picture = api.get("/live/devices.json").await.json();
    assert_eq!(picture["devices"][0]["kind"], "vehicle");
    assert_eq!(picture["devices"][0]["freshness"]["reason"], "regular");
    for path in [
        "/",
        "/docs",
        "/openapi.json",
        "/assets/live.js",
        "/assets/link.css",
    ] {
        assert_eq!(api.get(path).await.status, 200, "{path}");
    }
}
