//! What the tests say and see: a sandbox, a client, a receiver of pushes.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use livewatt_sandbox::{AccountInfo, AccountSpec, Cloud, Sandbox, SandboxConfig};
use reqwest::{Client, Method, Response};
use serde_json::Value;
use tokio::net::TcpListener;

pub(crate) struct Bench {
    pub(crate) sandbox: Sandbox,
    pub(crate) http: Client,
}

pub(crate) async fn bench() -> Bench {
    bench_with(SandboxConfig::default()).await
}

pub(crate) async fn bench_with(config: SandboxConfig) -> Bench {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http = Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    Bench {
        sandbox: Sandbox::start(config, listener),
        http,
    }
}

impl Bench {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.sandbox.base_url())
    }

    /// An account of people who do nothing by themselves.
    pub(crate) fn quiet(&self, cloud: Cloud) -> AccountInfo {
        let spec = AccountSpec {
            habits: Some(false),
            town: Some("utrecht".into()),
            ..AccountSpec::default()
        };
        self.sandbox.create_account(cloud, spec).unwrap()
    }

    pub(crate) fn token(&self, account: &AccountInfo) -> String {
        self.sandbox
            .grant_tokens(account.cloud, &account.id, None)
            .unwrap()
            .access_token
    }

    pub(crate) async fn advance(&self, seconds: u64) {
        self.sandbox
            .advance(Duration::from_secs(seconds))
            .await
            .unwrap();
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Value,
    ) -> Response {
        self.http
            .request(method, self.url(path))
            .header("authorization", format!("Bearer {token}"))
            .header("x-rivoli-app", "tests")
            .json(&body)
            .send()
            .await
            .unwrap()
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Response {
        self.http
            .get(self.url(path))
            .header("authorization", format!("Bearer {token}"))
            .header("x-rivoli-app", "tests")
            .send()
            .await
            .unwrap()
    }

    pub(crate) async fn get_json(&self, path: &str, token: &str) -> Value {
        let response = self.get(path, token).await;
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.unwrap()
    }

    pub(crate) async fn control(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let request = self
            .http
            .request(method, self.url(&format!("/control{path}")))
            .json(&body);
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }
}

/// One push as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Push {
    pub(crate) signature: String,
    pub(crate) delivery: String,
    pub(crate) raw: Bytes,
    pub(crate) body: Value,
}

/// A receiver of pushes that answers as it is told.
#[derive(Clone, Default)]
pub(crate) struct Receiver {
    pushes: Arc<Mutex<Vec<Push>>>,
    failing: Arc<Mutex<bool>>,
}

impl Receiver {
    pub(crate) async fn start() -> (Self, String) {
        let receiver = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let routes = Router::new()
            .route("/hook", post(take))
            .with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        (receiver, url)
    }

    /// The pushes since the last look.
    pub(crate) fn take(&self) -> Vec<Push> {
        std::mem::take(&mut self.pushes.lock().unwrap())
    }

    pub(crate) fn fail(&self, failing: bool) {
        *self.failing.lock().unwrap() = failing;
    }
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, raw: Bytes) -> StatusCode {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    receiver.pushes.lock().unwrap().push(Push {
        signature: header("volta-signature"),
        delivery: header("volta-delivery"),
        body: serde_json::from_slice(&raw).unwrap(),
        raw,
    });
    if *receiver.failing.lock().unwrap() {
        StatusCode::INTERNAL_SERVER_ERROR
    } else {
        StatusCode::OK
    }
}
