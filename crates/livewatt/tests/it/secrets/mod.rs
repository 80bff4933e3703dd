//! No secret is told: neither in a log, however much of it is wanted, nor by an answer, an event, a
//! number or a file. The program runs as people run it, with a marked secret wherever one can
//! enter, and the worst of vendors and receivers, who tell everything that they were told.

mod program;
mod relay;
mod story;

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use livewatt_domain::clock::{Clock as _, SystemClock};
use livewatt_sandbox::{AccountSpec, Cloud, Sandbox, SandboxConfig};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use self::{
    program::Running,
    relay::{Mood, Relay},
    story::Story,
};
use crate::support::{eventually, loopback, still};

/// Marks every secret that the test can choose.
const CANARY: &str = "canary7Q";

/// The secret of the app that the sandbox's OAuth cloud knows.
const APP_SECRET: &str = "sandbox-secret";

/// A receiver that answers with all headers it got, and keeps the bodies.
fn telling_receiver(
    listener: tokio::net::TcpListener,
    status: u16,
    kept: Arc<Mutex<Vec<String>>>,
) -> String {
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let hook = async move |headers: HeaderMap, body: Bytes| {
        kept.lock()
            .unwrap()
            .push(String::from_utf8(body.to_vec()).unwrap());
        let echo: HeaderMap = headers
            .iter()
            .filter(|(name, _)| name.as_str().starts_with("x-"))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        (
            StatusCode::from_u16(status).unwrap(),
            echo,
            format!("{headers:?}"),
        )
    };
    let router = Router::new().route("/hook", post(hook));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn tell_a_story(format: &str) {
    let directory = TempDir::new().unwrap();
    let config = SandboxConfig {
        start: SystemClock.now(),
        ..SandboxConfig::default()
    };
    let sandbox = Sandbox::start(config, loopback().await);
    let vendor = Relay::start(loopback().await, sandbox.base_url());
    let server = Running::start(directory.path(), format, &vendor.url);
    let base = server.told("listens on").await;
    let id = server.told("client ID").await;
    let secret = server.told("client secret").await;
    let mut story = Story {
        base: base.clone(),
        token: String::new(),
        hidden: BTreeSet::from([APP_SECRET.to_owned()]),
        shown_once: BTreeSet::from([secret.clone()]),
        answers: Mutex::default(),
    };
    // Tokens: wrong ones, a right one, one in an address.
    let form = [("grant_type", "client_credentials")];
    let http = reqwest::Client::new();
    let token_url = format!("{base}/oauth2/token");
    let wrong = format!("{CANARY}-client");
    story.hidden.extend([
        wrong.clone(),
        BASE64_STANDARD.encode(format!("{id}:{wrong}")),
        BASE64_STANDARD.encode(format!("{id}:{secret}")),
    ]);
    let request = http.post(&token_url).form(&form);
    let (status, text) = story.send(request.basic_auth(&id, Some(&wrong))).await;
    assert_eq!(status, 401);
    story.answers.lock().unwrap().push(text);
    let request = http.post(&token_url).form(&form);
    let (status, text) = story.send(request.basic_auth(&id, Some(&secret))).await;
    assert_eq!(status, 200);
    let answer: Value = serde_json::from_str(&text).unwrap();
    story.token = answer["access_token"].as_str().unwrap().to_owned();
    story.shown_once.insert(story.token.clone());
    for path in ["/users?access_token=", "/nowhere/", "/link/", "/users/"] {
        let path = format!("{path}{CANARY}-address");
        let (_, body) = story.ask(Method::GET, &path, None).await;
        // A refusal may repeat what was asked for; a log may not.
        drop(body);
    }
    story.answers.lock().unwrap().clear();
    let hidden_from_logs = format!("{CANARY}-address");

    // Webhooks: refused ones, one whose receiver tells, one whose receiver fails and tells.
    let key = format!("{CANARY}-webhook-header");
    let signing = format!("{CANARY}-webhook-secret");
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let good = telling_receiver(loopback().await, 200, bodies.clone());
    let bad = telling_receiver(loopback().await, 500, bodies.clone());
    for url in [
        &good,
        &bad,
        &good.replace("http://", &format!("http://user:{CANARY}-userinfo@")),
        "http://[broken",
    ] {
        let body = json!({
            "url": url, "secret": signing,
            "authentication": { "headerName": "x-key", "headerValue": key },
        });
        let (status, body) = story.ask(Method::POST, "/webhooks", Some(body)).await;
        assert_eq!(status == 200, *url == good || *url == bad, "{body}");
        if let Some(webhook) = body["id"].as_str() {
            let path = format!("/webhooks/{webhook}/test");
            let (status, shown) = story.ask(Method::POST, &path, None).await;
            assert_eq!(status, 200);
            assert!(shown["response"]["code"].is_u64(), "{shown}");
        }
    }
    story.hidden.extend([key.clone(), signing.clone()]);
    story.hidden.insert(format!("{CANARY}-userinfo"));
    let malformed = format!("{{\"secret\": \"{CANARY}-json\", \"url\": ");
    let request = http
        .post(format!("{base}/webhooks"))
        .bearer_auth(&story.token);
    let (status, text) = story.send(request.body(malformed)).await;
    assert_eq!(status, 400);
    story.answers.lock().unwrap().push(text);
    let wrong_type = json!({ "secret": [format!("{CANARY}-json")], "url": 1 });
    story.ask(Method::POST, "/webhooks", Some(wrong_type)).await;
    story.hidden.insert(format!("{CANARY}-json"));

    // Accounts of all clouds, and a station.
    let password = format!("{CANARY}-vendor-password");
    story.hidden.insert(password.clone());
    for cloud in [Cloud::Volta, Cloud::Rivoli, Cloud::Helios] {
        let spec = AccountSpec {
            password: Some(password.clone()),
            ..still()
        };
        let account = sandbox.create_account(cloud, spec).unwrap();
        story.link(cloud, &account.username, &password).await;
    }
    story.link_station().await;
    eventually("all devices", async || {
        let mut count = 0;
        for kind in ["vehicles", "chargers", "inverters"] {
            let (_, page) = story.ask(Method::GET, &format!("/{kind}"), None).await;
            count += page["data"].as_array().unwrap().len();
        }
        count >= 5
    })
    .await;

    // Vendors that tell what they were told, in every way in which that can be an answer.
    for mood in [
        Mood::Telling(401),
        Mood::Telling(500),
        Mood::Telling(200),
        Mood::Broken,
        Mood::Honest,
    ] {
        let told = vendor.told();
        vendor.be(mood);
        for kind in ["vehicles", "inverters"] {
            let (_, page) = story.ask(Method::GET, &format!("/{kind}"), None).await;
            for device in page["data"].as_array().unwrap() {
                let path = format!("/{kind}/{}", device["id"].as_str().unwrap());
                let hint = format!("{path}/refresh-hint");
                story.ask(Method::POST, &hint, None).await;
                story
                    .ask(Method::GET, &format!("{path}/freshness"), None)
                    .await;
            }
        }
        // Signing in as well.
        let (browser, sign_in) = story.begin("cid", "rivoli").await;
        let page = browser.get(&sign_in).await;
        let names = page.fields();
        let filled = [(names[0].as_str(), "a@b.example"), (&names[1], &password)];
        browser.submit(&sign_in, &page, &filled).await;
        story.keep(&browser);
        if mood != Mood::Honest {
            eventually("the vendor is asked", async || vendor.told() > told).await;
        }
    }
    for path in [
        "/metrics",
        "/openapi.json",
        "/events?pageSize=500",
        "/users",
        "/users/ann",
        "/webhooks",
        "/integrations",
        "/health/vehicles",
        "/vehicles",
        "/chargers",
        "/hvacs",
        "/inverters",
        "/batteries",
        "/meters",
        "/live",
        "/docs",
    ] {
        story.ask(Method::GET, path, None).await;
    }
    eventually("deliveries", async || bodies.lock().unwrap().len() > 3).await;
    story
        .answers
        .lock()
        .unwrap()
        .extend(bodies.lock().unwrap().clone());
    // Files as they are while it runs, with the journal.
    let mut files = read_all(directory.path());
    let (output, errors) = server.stop().await;
    files.extend(read_all(directory.path()));
    sandbox.shutdown().await;

    assert!(vendor.seen().len() > 4, "{:?}", vendor.seen());
    story.hidden.extend(vendor.seen());
    let everything: BTreeSet<&String> = story.hidden.union(&story.shown_once).collect();
    // The vacuous would pass: the log tells much, and of what was done here.
    assert!(
        errors.len() > 10_000 && errors.contains("TRACE"),
        "{}",
        errors.len()
    );
    assert_eq!(
        errors.lines().next().unwrap().starts_with('{'),
        format == "json"
    );
    for secret in &everything {
        find(secret, "the log", &errors);
        for answer in story.answers.lock().unwrap().iter() {
            find(secret, "an answer", answer);
        }
        for (name, bytes) in &files {
            find(secret, name, &String::from_utf8_lossy(bytes));
        }
    }
    find(&hidden_from_logs, "the log", &errors);
    let shown: Vec<&str> = output.matches(secret.as_str()).collect();
    assert_eq!(shown.len(), 1, "the secret is handed over once");
    for other in everything.iter().filter(|other| ***other != secret) {
        find(other, "standard output", &output);
    }
    find(CANARY, "the log", &errors);
}

/// Fails if a secret is in a text, as it is or as it would be written in an address or in base64.
#[track_caller]
fn find(secret: &str, place: &str, text: &str) {
    let escaped: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let forms = [
        secret.to_owned(),
        escaped,
        BASE64_STANDARD.encode(secret),
        hex::encode(secret),
    ];
    for form in forms {
        if let Some(at) = text.find(&form) {
            let start = text[..at]
                .char_indices()
                .rev()
                .nth(300)
                .map_or(0, |(i, _)| i);
            let end = text[at..]
                .char_indices()
                .nth(100)
                .map_or(text.len(), |(i, _)| at + i);
            panic!("{secret} is in {place}: … {} …", &text[start..end]);
        }
    }
}

fn read_all(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(directory).unwrap();
    files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_told_in_words_for_people() {
    tell_a_story("text").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_told_in_words_for_machines() {
    tell_a_story("json").await;
}
