//! No secret is told: neither in a log, however much of it is wanted, nor by an answer, an event, a
//! number or a file. The program runs as people run it, with a marked secret wherever one can
//! enter, and the worst of vendors and receivers, who tell everything that they were told.

mod browser;
mod relay;

use std::{
    collections::BTreeSet,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::{SinkExt as _, StreamExt as _};
use livewatt_domain::clock::{Clock as _, SystemClock};
use livewatt_sandbox::{AccountSpec, Cloud, Sandbox, SandboxConfig};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
};
use tokio_tungstenite::tungstenite::{self, Message, client::IntoClientRequest as _};

use self::{
    browser::{Browser, between},
    relay::{Mood, Relay},
};
use crate::support::{database, eventually, integration, loopback, still};

/// Marks every secret that the test can choose.
const CANARY: &str = "canary7Q";

/// The program, and all that it has said.
struct Running {
    child: Child,
    output: Arc<Mutex<String>>,
    errors: Arc<Mutex<String>>,
}

impl Running {
    fn start(directory: &Path, format: &str, sandbox: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_livewatt"))
            .args(["serve", "--listen", "127.0.0.1:0", "--log", "trace"])
            .args(["--data", directory.to_str().unwrap()])
            .envs(database::environment(directory))
            .args(["--sandbox-url", sandbox])
            .arg("--dangerous-allow-private-receivers")
            .env("LIVEWATT_LOG__FORMAT", format)
            .env("LIVEWATT_SANDBOX__CLIENT_SECRET", APP_SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = collect(child.stdout.take().unwrap());
        let errors = collect(child.stderr.take().unwrap());
        Self {
            child,
            output,
            errors,
        }
    }

    /// Waits for the word after a label on standard output.
    async fn told(&self, label: &str) -> String {
        let word = || {
            let output = self.output.lock().unwrap();
            let (_, rest) = output.split_once(label)?;
            let (line, _) = rest.split_once('\n')?;
            Some(line.trim().to_owned())
        };
        eventually(label, async || word().is_some()).await;
        word().unwrap()
    }

    async fn stop(mut self) -> (String, String) {
        let id = self.child.id().unwrap().to_string();
        let kill = Command::new("kill").args(["-TERM", &id]).status().await;
        assert!(kill.unwrap().success());
        assert!(self.child.wait().await.unwrap().success());
        let said = |text: &Mutex<String>| text.lock().unwrap().clone();
        (said(&self.output), said(&self.errors))
    }
}

fn collect(mut from: impl AsyncRead + Unpin + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let collected = text.clone();
    tokio::spawn(async move {
        let mut piece = [0; 8192];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            let piece = String::from_utf8_lossy(&piece[..length]);
            collected.lock().unwrap().push_str(&piece);
        }
    });
    text
}

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

/// What a story has come to know.
struct Story {
    base: String,
    token: String,
    /// Secrets that are shown to nobody, ever.
    hidden: BTreeSet<String>,
    /// Secrets that were shown to their owner, once.
    shown_once: BTreeSet<String>,
    /// All answers but those.
    answers: Mutex<Vec<String>>,
}

impl Story {
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("{}{path}", self.base);
        let mut request = reqwest::Client::new()
            .request(method, url)
            .bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let (status, text) = self.send(request).await;
        self.answers.lock().unwrap().push(text.clone());
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    async fn send(&self, request: RequestBuilder) -> (u16, String) {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let headers = format!("{:?}", answer.headers());
        self.answers.lock().unwrap().push(headers);
        (status, answer.text().await.unwrap())
    }

    /// Starts a link session for `user`, chooses the first brand of an integration in a browser, and
    /// says where to sign in.
    async fn begin(&mut self, user: &str, integration: &str) -> (Browser, String) {
        let body = json!({
            "scopes": ["vehicle:read:data", "charger:read:data", "inverter:read:data"],
            "language": "en-US", "redirectUri": "https://app.example/done",
        });
        let request = reqwest::Client::new()
            .post(format!("{}/users/{user}/link", self.base))
            .bearer_auth(&self.token)
            .json(&body);
        let (status, text) = self.send(request).await;
        assert_eq!(status, 200, "{text}");
        let started: Value = serde_json::from_str(&text).unwrap();
        let token = started["linkToken"].as_str().unwrap();
        self.shown_once.insert(token.to_owned());
        let link = started["linkUrl"].as_str().unwrap().to_owned();
        let browser = Browser::default();
        let page = browser.get(&link).await;
        browser.submit(&format!("{link}/consent"), &page, &[]).await;
        let page = browser.get(&format!("{link}/vendor")).await;
        let brand = between(&page.text, &format!("value=\"{integration}/"), "\"");
        let choice = format!("{integration}/{brand}");
        let chosen = format!("{link}/vendor");
        browser.submit(&chosen, &page, &[("choice", &choice)]).await;
        let sign_in = format!("{link}/sign-in");
        (browser, sign_in)
    }

    /// Links an account of the sandbox by hand, after a wrong password.
    async fn link(&mut self, cloud: Cloud, username: &str, password: &str) {
        let (browser, sign_in) = self.begin("ann", integration(cloud)).await;
        let page = browser.get(&sign_in).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let wrong = format!("{CANARY}-mistyped");
        if cloud == Cloud::Volta {
            let there = between(&page.text, "href=\"http", "\"");
            let there = there.replace("&amp;", "&").replace("&#38;", "&");
            let there: url::Url = format!("http{there}").parse().unwrap();
            let asked: Vec<(String, String)> = there.query_pairs().into_owned().collect();
            let mut fields: Vec<(&str, &str)> = asked
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .collect();
            fields.extend([
                ("email", username),
                ("password", password),
                ("decision", "allow"),
            ]);
            let mut address = there.clone();
            address.set_query(None);
            // The vendor's own page, and the way back with a code in the address.
            let outside = Browser::default();
            let back = outside.call(Method::POST, address.as_str(), &fields).await;
            let told = format!("{}: {}", back.status, back.text);
            let back = back.location.unwrap_or_else(|| panic!("{told}"));
            let code: url::Url = back.parse().unwrap();
            let code = code
                .query_pairs()
                .find(|(name, _)| name == "code")
                .unwrap()
                .1;
            self.hidden.insert(code.into_owned());
            let done = browser.get(&back).await;
            assert!(done.location.unwrap().ends_with("/done"));
        } else {
            let [first, second] = &page.fields()[..] else {
                panic!("not two fields: {}", page.text)
            };
            let again = browser
                .submit(&sign_in, &page, &[(first, username), (second, &wrong)])
                .await;
            assert_eq!(again.status, 200);
            let done = browser
                .submit(&sign_in, &again, &[(first, username), (second, password)])
                .await;
            assert!(done.location.is_some(), "{}", done.text);
        }
        self.hidden.insert(wrong);
        self.keep(&browser);
    }

    /// Pages may show their own link, which is its owner's; nothing else.
    fn keep(&self, browser: &Browser) {
        let mut shown = browser.shown.lock().unwrap().clone();
        for page in &mut shown {
            for token in &self.shown_once {
                *page = page.replace(token.as_str(), "");
            }
        }
        self.answers.lock().unwrap().append(&mut shown);
    }

    /// Links a charging station and connects it, with a wrong password and with its own.
    async fn link_station(&mut self) {
        let (browser, sign_in) = self.begin("bob", "ocpp").await;
        let page = browser.get(&sign_in).await;
        let values: Vec<&str> = page.text.split("<dd><code>").skip(1).collect();
        let value = |rest: &&str| rest.split("</code>").next().unwrap().to_owned();
        let values: Vec<String> = values.iter().map(value).collect();
        let id = values
            .iter()
            .find(|value| value.starts_with("LW-"))
            .unwrap();
        let password = values.last().unwrap();
        assert_ne!(id, password);
        self.shown_once.insert(password.clone());
        self.keep(&browser);
        let connect = async |password: &str| {
            let address = self.base.replace("http://", "ws://");
            let mut request = format!("{address}/ocpp/{id}")
                .into_client_request()
                .unwrap();
            let basic = BASE64_STANDARD.encode(format!("{id}:{password}"));
            let headers = request.headers_mut();
            headers.insert("authorization", format!("Basic {basic}").parse().unwrap());
            headers.insert("sec-websocket-protocol", "ocpp1.6".parse().unwrap());
            (basic, tokio_tungstenite::connect_async(request).await)
        };
        let wrong = format!("{CANARY}-station");
        let (basic, refused) = connect(&wrong).await;
        assert!(matches!(refused, Err(tungstenite::Error::Http(answer)) if answer.status() == 401));
        self.hidden.extend([basic, wrong]);
        let (basic, socket) = connect(password).await;
        self.hidden.insert(basic);
        let (mut socket, _) = socket.unwrap();
        let boot = json!([2, "1", "BootNotification",
            { "chargePointVendor": "Acme", "chargePointModel": "One" }]);
        socket.send(Message::text(boot.to_string())).await.unwrap();
        socket.next().await.unwrap().unwrap();
        socket.close(None).await.unwrap();
    }
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
