//! The address under which the server is reached: it stays while the server dies and comes back
//! elsewhere, and keeps a record of the pushes that were acknowledged through it.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch};

const PUSH_PATH: &str = "/vendors/volta/push";

/// What was said of a device by a push that was acknowledged.
#[derive(Debug, Clone)]
pub struct Told {
    /// The vehicle.
    pub vin: String,
    /// The vendor's time.
    pub at: String,
    /// The charge limit, if it was said.
    pub limit: Option<Value>,
}

#[derive(Debug)]
struct Book {
    /// Where requests go, in turn.
    targets: Vec<String>,
    turn: usize,
    acknowledged: usize,
    told: Vec<Told>,
    begun: watch::Sender<usize>,
    acked: watch::Sender<usize>,
}

impl Book {
    fn next(&mut self) -> Option<String> {
        self.turn += 1;
        let turn = self.turn.checked_rem(self.targets.len())?;
        Some(self.targets[turn].clone())
    }
}

/// The front.
#[derive(Debug, Clone)]
pub struct Front {
    pub url: String,
    book: Arc<Mutex<Book>>,
}

impl Front {
    pub fn start(listener: TcpListener) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let book = Arc::new(Mutex::new(Book {
            targets: Vec::new(),
            turn: 0,
            acknowledged: 0,
            told: Vec::new(),
            begun: watch::Sender::new(0),
            acked: watch::Sender::new(0),
        }));
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let router = Router::new()
            .fallback(pass_on)
            .with_state((book.clone(), http));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, book }
    }

    /// Where the server is now.
    pub fn leads_to(&self, base: Option<&str>) {
        self.leads_to_each(base.into_iter());
    }

    /// Where the servers are now that share the work.
    pub fn leads_to_each<'a>(&self, bases: impl Iterator<Item = &'a str>) {
        self.book.lock().unwrap().targets = bases.map(str::to_owned).collect();
    }

    /// Pushes acknowledged so far, and what they told.
    pub fn acknowledged(&self) -> (usize, Vec<Told>) {
        let book = self.book.lock().unwrap();
        (book.acknowledged, book.told.clone())
    }

    /// Waits until the next push is on its way to the server.
    pub async fn next_push(&self) {
        let mut begun = self.book.lock().unwrap().begun.subscribe();
        begun.changed().await.unwrap();
    }

    /// Waits until the server has acknowledged the next push.
    pub async fn next_acknowledgement(&self) {
        let mut acked = self.book.lock().unwrap().acked.subscribe();
        acked.changed().await.unwrap();
    }
}

async fn pass_on(
    State((book, http)): State<(Arc<Mutex<Book>>, reqwest::Client)>,
    method: Method,
    uri: Uri,
    mut headers: HeaderMap,
    body: Bytes,
) -> Response {
    let is_push = uri.path() == PUSH_PATH;
    let Some(target) = book.lock().unwrap().next() else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    headers.remove("host");
    let request = http
        .request(method, format!("{target}{uri}"))
        .headers(headers)
        .body(body.clone());
    if is_push {
        book.lock().unwrap().begun.send_modify(|count| *count += 1);
    }
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(_) => return StatusCode::BAD_GATEWAY.into_response(),
    };
    let (status, headers) = (answer.status(), answer.headers().clone());
    if is_push && status.is_success() {
        let mut book = book.lock().unwrap();
        book.acknowledged += 1;
        book.told.extend(told_by(&body));
        book.acked.send_modify(|count| *count += 1);
    }
    let Ok(body) = answer.bytes().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    for (name, value) in &headers {
        if name != "transfer-encoding" && name != "content-length" {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}

fn told_by(push: &[u8]) -> Vec<Told> {
    let push: Value = serde_json::from_slice(push).unwrap();
    let changes = push["changes"].as_array().unwrap().iter();
    changes
        .filter_map(|change| {
            Some(Told {
                vin: change["vin"].as_str()?.to_owned(),
                at: change["charge"]["at"].as_str()?.to_owned(),
                limit: change["charge"].get("limit_percent").cloned(),
            })
        })
        .collect()
}
