//! What requests get: pages, problems, and the event stream.

use std::pin::pin;

use futures::StreamExt as _;
use livewatt_sandbox::{AccountSpec, Cloud};
use reqwest::Method;
use serde_json::{Value, json};

use super::{answer, assert_problem, neighbours, raw};
use crate::support::{STEP, World, still};

#[tokio::test(flavor = "multi_thread")]
async fn pages_lead_forwards_and_back() {
    let world = World::new().await;
    for user in 0..3 {
        let spec = AccountSpec {
            vehicles: Some(2),
            ..still()
        };
        world
            .link(&format!("user-{user}"), Cloud::Volta, spec)
            .await;
        world.advance(STEP).await;
    }
    let all = world.api.all("vehicles").await;
    let page = async |query: String| {
        world
            .api
            .get(&format!("/vehicles?pageSize=4{query}"))
            .await
            .expect_status(200)
    };
    let first = page(String::new()).await;
    // Somebody who comes meanwhile moves nothing.
    world.link("late", Cloud::Volta, still()).await;
    let after = first["pagination"]["after"].as_str().unwrap();
    let second = page(format!("&after={after}")).await;
    let seen: Vec<Value> = [&first, &second]
        .iter()
        .flat_map(|page| page["data"].as_array().unwrap().clone())
        .collect();
    let ids = |devices: &[Value]| {
        devices
            .iter()
            .map(|device| device["id"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&seen), ids(&all));
    assert_eq!(second["pagination"]["after"], Value::Null);
    let before = second["pagination"]["before"].as_str().unwrap();
    let back = page(format!("&before={before}")).await;
    assert_eq!(back["data"], first["data"]);
    // The newest comes first, and is found by going back.
    let before = back["pagination"]["before"].as_str().unwrap();
    let newest = page(format!("&before={before}")).await;
    assert_eq!(newest["data"].as_array().unwrap().len(), 1);
    assert_eq!(newest["data"][0]["userId"], "late");
    assert_eq!(newest["pagination"]["before"], Value::Null);
    for query in [
        "after=x",
        "before=%00",
        "pageSize=0",
        "pageSize=501",
        "pageSize=a",
        "pageSize=-1",
    ] {
        let answer = world.api.get(&format!("/vehicles?{query}")).await;
        assert_eq!(answer.expect_issues(), [query.split('=').next().unwrap()]);
    }
    let both = format!("/vehicles?after={after}&before={before}");
    assert!(!world.api.get(&both).await.expect_issues().is_empty());
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_make_no_sense_get_problems() {
    let world = World::with(|settings| settings.server.body_limit_bytes = 1000).await;
    let post = |path: &str| raw(&world, &Method::POST, path).bearer_auth(&world.api.token);
    let users = || raw(&world, &Method::GET, "/users").bearer_auth(&world.api.token);
    for (request, status, slug) in [
        (users().header("enode-user-id", "ann"), 400, "bad-request"),
        (
            users().header("enode-version", "2023-08-01"),
            400,
            "bad-request",
        ),
        (raw(&world, &Method::GET, "/nowhere"), 404, "not-found"),
        (
            raw(&world, &Method::PUT, "/users"),
            405,
            "method-not-allowed",
        ),
        (
            post("/webhooks").body(" ".repeat(1001)),
            413,
            "payload-too-large",
        ),
        (post("/webhooks").body("{"), 400, "bad-request"),
        (post("/webhooks").body(""), 400, "bad-request"),
        (post("/webhooks").body("[]"), 400, "bad-request"),
        (post("/webhooks").body("[".repeat(900)), 400, "bad-request"),
        (post("/webhooks").body(vec![0xff; 10]), 400, "bad-request"),
        (
            post("/webhooks").body(r#"{"url":1,"url":2}"#),
            400,
            "bad-request",
        ),
        (post("/users/%00/link").body("{}"), 400, "bad-request"),
        (post("/vendors/volta/push").body("{}"), 401, "unauthorized"),
        (post("/vendors/none/push").body("{}"), 404, "not-found"),
    ] {
        let (got, body) = answer(request).await;
        assert_eq!(got, status, "{body}");
        assert_problem(&body, slug);
    }
    let body =
        json!({ "scopes": ["vehicle:read:data", "x"], "redirectUri": "about:blank", "a": 1 });
    let refused = world.api.post("/users/ann/link", Some(body)).await;
    assert_eq!(refused.expect_issues(), ["scopes.1", "language", "a"]);
    let versioned = users()
        .header("enode-version", "2024-10-01")
        .send()
        .await
        .unwrap();
    assert_eq!(versioned.status(), 200);
    let plain = world.api.get("/users").await;
    for headers in [versioned.headers(), &plain.headers] {
        assert_eq!(headers["enode-version"], "2024-10-01");
    }

    let token = |form: &'static str| {
        raw(&world, &Method::POST, "/oauth2/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)
    };
    let id = world.client.to_string();
    for (request, status, error) in [
        (
            token("grant_type=client_credentials"),
            401,
            "invalid_client",
        ),
        (
            token("grant_type=client_credentials").basic_auth(&id, Some("x")),
            401,
            "invalid_client",
        ),
        (
            token("grant_type=client_credentials").basic_auth("x", Some("x")),
            401,
            "invalid_client",
        ),
        (
            token("grant_type=password").basic_auth(&id, Some("x")),
            400,
            "unsupported_grant_type",
        ),
        (token("").basic_auth(&id, Some("x")), 400, "invalid_request"),
        (
            raw(&world, &Method::POST, "/oauth2/token").json(&json!({})),
            400,
            "invalid_request",
        ),
    ] {
        let (got, body) = answer(request).await;
        assert_eq!((got, &body["error"]), (status, &json!(error)), "{body}");
    }
    world.shut_down().await;
}

/// Reads events from a stream until there are so many; each with its ID.
async fn follow(world: &World, last: Option<&str>, count: usize) -> Vec<(String, Value)> {
    let mut request = raw(world, &Method::GET, "/events/stream").bearer_auth(&world.api.token);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let mut pieces = request.send().await.unwrap().bytes_stream();
    let (mut text, mut events) = (String::new(), Vec::new());
    while events.len() < count {
        text.push_str(std::str::from_utf8(&pieces.next().await.unwrap().unwrap()).unwrap());
        while let Some((frame, rest)) = text.split_once("\n\n") {
            let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
            if let Some(data) = field("data: ") {
                let event: Value = serde_json::from_str(data).unwrap();
                assert_eq!(field("event: "), event["event"].as_str());
                events.push((field("id: ").unwrap().to_owned(), event));
            }
            text = rest.to_owned();
        }
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_tells_what_the_log_tells_and_resumes() {
    let world = World::new().await;
    let start = world.api.get("/events").await.expect_status(200);
    let start = start["pagination"]["after"].as_str().unwrap();
    let accounts = neighbours(&world).await;
    let log = world.api.log().await;
    let told = follow(&world, Some(start), log.len()).await;
    assert_eq!(
        told.iter()
            .map(|(_, event)| event.clone())
            .collect::<Vec<_>>(),
        log
    );
    let (middle, _) = &told[log.len() / 2];
    let rest = follow(&world, Some(middle), log.len() - log.len() / 2 - 1).await;
    assert_eq!(rest, told[log.len() / 2 + 1..]);
    // From now on, live.
    let live = {
        let mut live = pin!(follow(&world, None, 3));
        let mut is_plugged = false;
        loop {
            tokio::select! {
                live = &mut live => break live,
                () = world.plug(&accounts[0].devices[0].id, is_plugged) => {}
            }
            is_plugged = !is_plugged;
            world.advance(STEP).await;
        }
    };
    let log = world.api.log().await;
    let at = log.iter().position(|event| *event == live[0].1).unwrap();
    assert_eq!(
        live.iter()
            .map(|(_, event)| event.clone())
            .collect::<Vec<_>>(),
        log[at..at + 3]
    );
    world.shut_down().await;
}
