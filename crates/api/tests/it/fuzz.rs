//! Random values where customers may write what they like: cursors, positions, tokens, settings of
//! webhooks. Whatever comes is taken or refused, and a refusal names what is wrong.
//!
//! A fixed set of cases by default; `LIVEWATT_FUZZ_SECONDS=600` goes on for ten minutes, with
//! others each time it begins again.

use std::time::{Duration, Instant};

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Value, json};

use crate::fixture::{Answer, Api};

/// Cases of a round.
const CASES: u32 = 64;

/// Runs one round of cases, or as many as fit into `LIVEWATT_FUZZ_SECONDS`.
fn fuzz<S: Strategy>(strategy: &S, check: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let seconds = std::env::var("LIVEWATT_FUZZ_SECONDS").ok();
    let budget = seconds.map(|text| Duration::from_secs(text.parse().unwrap()));
    let began = Instant::now();
    for round in 0u64.. {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&round.to_le_bytes());
        let config = Config {
            cases: CASES,
            failure_persistence: None,
            ..Config::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let outcome = TestRunner::new_with_rng(config, rng).run(strategy, &check);
        if let Err(error) = outcome {
            panic!("round {round}: {error}");
        }
        if budget.is_none_or(|budget| began.elapsed() >= budget) {
            return;
        }
    }
}

/// An API, and what it takes to ask it from where nothing can wait.
struct Desk {
    runtime: tokio::runtime::Runtime,
    api: Api,
}

impl Desk {
    fn new() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let api = runtime.block_on(Api::start());
        Self { runtime, api }
    }

    fn send(&self, request: Request<Body>) -> Answer {
        self.runtime.block_on(self.api.send(request))
    }

    fn get(&self, path: &str) -> Answer {
        self.runtime.block_on(self.api.get(path))
    }

    fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        self.runtime
            .block_on(self.api.call(method, path, Some(body)))
    }
}

fn issues(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    let issues = body["issues"].as_array().cloned().unwrap_or_default();
    let path = |issue: &Value| issue["path"].as_str().unwrap().to_owned();
    issues.iter().map(path).collect()
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Texts like cursors and unlike.
fn cursors() -> impl Strategy<Value = String> {
    let number = prop_oneof![any::<i64>().prop_map(|n| n.to_string()), "[0-9]{0,25}"];
    let inside = prop_oneof![
        number.prop_map(|n| format!("event:{n}")),
        "[-+0-9TZ:.]{0,30}~.{0,10}",
        "(-?[0-9]{1,6})-[01][0-9]-[0-3][0-9]T[0-2][0-9]:00:00Z~.{0,300}",
        any::<String>(),
    ];
    prop_oneof![
        inside.prop_map(|text| BASE64_URL_SAFE_NO_PAD.encode(text)),
        any::<String>(),
        "[A-Za-z0-9_=-]{0,1500}",
    ]
}

#[test]
fn cursors_are_taken_or_refused_by_name() {
    let desk = Desk::new();
    let list = prop::sample::select(vec![
        "/users",
        "/vehicles",
        "/webhooks",
        "/users/ann/meters",
    ]);
    let name = prop::sample::select(vec!["after", "before", "pageSize"]);
    fuzz(&(list, name, cursors()), |(list, name, cursor)| {
        let answer = desk.get(&format!("{list}?{name}={}", encoded(&cursor)));
        match answer.status.as_u16() {
            200 => prop_assert_eq!(&answer.json()["data"], &json!([])),
            400 => prop_assert_eq!(issues(&answer), [name]),
            other => prop_assert!(false, "{other}: {answer:?}"),
        }
        Ok(())
    });
}

#[test]
fn positions_of_events_are_taken_or_refused_by_name() {
    let desk = Desk::new();
    let printable = "[ -~]{0,60}";
    fuzz(&(cursors(), printable), |(cursor, header)| {
        let answer = desk.get(&format!("/events?after={}", encoded(&cursor)));
        match answer.status.as_u16() {
            200 => {
                // From where it was left, and on from there again.
                let next = answer.json()["pagination"]["after"].clone();
                let again = desk.get(&format!("/events?after={}", next.as_str().unwrap()));
                prop_assert_eq!(again.status.as_u16(), 200);
                prop_assert_eq!(&again.json()["pagination"]["after"], &next);
            }
            400 => prop_assert_eq!(issues(&answer), ["after"]),
            other => prop_assert!(false, "{other}: {answer:?}"),
        }
        let resumed = Request::get("/events/stream")
            .header(header::AUTHORIZATION, format!("Bearer {}", desk.api.token))
            .header("last-event-id", &header);
        // Only refusals end, and only they can be read here.
        if !header.is_empty() && BASE64_URL_SAFE_NO_PAD.decode(header.trim()).is_err() {
            let answer = desk.send(resumed.body(Body::empty()).unwrap());
            prop_assert_eq!(answer.status.as_u16(), 400);
            prop_assert_eq!(issues(&answer), ["Last-Event-ID"]);
        }
        Ok(())
    });
}

#[test]
fn tokens_that_are_none_open_nothing() {
    let desk = Desk::new();
    let near = {
        let token = desk.api.token.clone();
        (any::<prop::sample::Index>(), "[ -~]").prop_map(move |(place, other)| {
            let mut token = token.clone();
            let place = place.index(token.len());
            token.replace_range(place..=place, &other);
            format!("Bearer {token}").into_bytes()
        })
    };
    let far = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..600),
        "(Bearer|bearer|BEARER|Basic|Digest)?[ \t]{0,3}[ -~]{0,80}".prop_map(String::into_bytes),
    ];
    fuzz(&prop_oneof![near, far], |value| {
        let Ok(value) = header::HeaderValue::from_bytes(&value) else {
            return Ok(());
        };
        if value.as_bytes() == format!("Bearer {}", desk.api.token).as_bytes() {
            return Ok(());
        }
        let request = Request::get("/users").header(header::AUTHORIZATION, value);
        let answer = desk.send(request.body(Body::empty()).unwrap());
        prop_assert_eq!(answer.status.as_u16(), 401);
        prop_assert!(answer.json()["issues"].is_null());
        Ok(())
    });
}

/// A setting that may be anything, and is often nearly right.
fn setting(good: &'static str) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        2 => Just(None),
        4 => good.prop_map(|text| Some(json!(text))),
        1 => any::<String>().prop_map(|text| Some(json!(text))),
        1 => Just(Some(Value::Null)),
        1 => any::<f64>().prop_map(|number| Some(json!(number))),
        1 => Just(Some(json!([]))),
    ]
}

#[test]
fn settings_of_webhooks_are_kept_as_given_or_refused_by_name() {
    let desk = Desk::new();
    let fields = (
        setting("https://[a-z]{1,9}\\.example(:[0-9]{1,5})?/[a-z0-9%?&=#]{0,190}"),
        setting("[ -~]{5,257}"),
        setting("[a-zA-Z0-9_-]{0,130}"),
        setting("[ -~]{0,258}"),
        prop::collection::vec(
            prop_oneof![
                Just("*".to_owned()),
                Just("user:vehicle:updated".to_owned()),
                ".{0,9}"
            ],
            0..4,
        ),
    );
    let known = [
        "url",
        "secret",
        "events",
        "authentication.headerName",
        "authentication.headerValue",
    ];
    fuzz(&fields, |(url, secret, name, value, events)| {
        let mut header = json!({});
        for (key, given) in [("headerName", name), ("headerValue", value)] {
            if let Some(given) = given {
                header[key] = given;
            }
        }
        let mut body = json!({ "events": events, "authentication": header });
        for (key, given) in [("url", url), ("secret", secret)] {
            if let Some(given) = given {
                body[key] = given;
            }
        }
        let answer = desk.call(Method::POST, "/webhooks", body.clone());
        if answer.status.as_u16() != 200 {
            prop_assert_eq!(answer.status.as_u16(), 400, "{}", answer.body);
            let issues = issues(&answer);
            prop_assert!(!issues.is_empty());
            for issue in issues {
                let is_known = known.contains(&issue.as_str()) || issue.starts_with("events.");
                prop_assert!(is_known, "{issue}");
            }
            return Ok(());
        }
        let made = answer.json();
        for key in ["url", "events"] {
            prop_assert_eq!(&made[key], &body[key]);
        }
        let name = &body["authentication"]["headerName"];
        prop_assert_eq!(&made["authentication"], &json!({ "headerName": name }));
        let path = format!("/webhooks/{}", made["id"].as_str().unwrap());
        prop_assert_eq!(&desk.get(&path).json(), &made);
        // As it is, it can be set again; and it goes.
        let again = desk.call(Method::PATCH, &path, body);
        prop_assert_eq!(again.status.as_u16(), 200, "{}", again.body);
        let gone = desk
            .runtime
            .block_on(desk.api.call(Method::DELETE, &path, None));
        prop_assert_eq!(gone.status.as_u16(), 204);
        Ok(())
    });
}
