//! A webhook receiver that records what it gets and checks every delivery. It can be made to fail
//! and to hang.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::post,
    serve::ListenerExt as _,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha1::Sha1;
use tokio::{net::TcpListener, sync::watch};

use super::contract;

pub const SECRET: &str = "a-secret-of-the-test";

/// A delivery as it arrived.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub id: String,
    pub events: Vec<Value>,
    pub headers: HeaderMap,
    pub body: String,
    /// Whether it was answered with a success.
    pub is_taken: bool,
}

impl Delivery {
    /// Whether it carries events of the log: no heartbeat and no test.
    pub fn is_of_log(&self) -> bool {
        self.events[0].get("user").is_some()
    }
}

#[derive(Debug)]
struct Book {
    attempts: Vec<Delivery>,
    status: u16,
    retry_after: Option<String>,
    refused: Option<String>,
    secret: String,
    is_held: watch::Sender<bool>,
}

/// The receiver.
#[derive(Debug, Clone)]
pub struct Receiver {
    pub url: String,
    book: Arc<Mutex<Book>>,
    connections: Arc<AtomicUsize>,
}

impl Receiver {
    pub fn start(listener: TcpListener) -> Self {
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let book = Arc::new(Mutex::new(Book {
            attempts: Vec::new(),
            status: 204,
            retry_after: None,
            refused: None,
            secret: SECRET.to_owned(),
            is_held: watch::Sender::new(false),
        }));
        let router = Router::new()
            .route("/hook", post(receive))
            .route("/any", post(async || StatusCode::NO_CONTENT))
            .with_state(book.clone());
        let connections = Arc::<AtomicUsize>::default();
        let counted = connections.clone();
        let listener = listener.tap_io(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            url,
            book,
            connections,
        }
    }

    /// An address that takes anything from anybody, for webhooks with secrets of others.
    pub fn any_url(&self) -> String {
        self.url.replace("/hook", "/any")
    }

    /// How many connections were made to it so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Answers with this status from now on.
    pub fn answer_with(&self, status: u16) {
        self.book.lock().unwrap().status = status;
    }

    /// Sends this `Retry-After` with its answers from now on.
    pub fn retry_after(&self, wish: impl ToString) {
        self.book.lock().unwrap().retry_after = Some(wish.to_string());
    }

    /// Refuses deliveries that contain this text from now on, whatever it does with others.
    pub fn refuse(&self, text: Option<&str>) {
        self.book.lock().unwrap().refused = text.map(str::to_owned);
    }

    /// Checks signatures against this secret from now on.
    pub fn expect_secret(&self, secret: &str) {
        self.book.lock().unwrap().secret = secret.to_owned();
    }

    /// Takes what comes and does not answer, until [`Self::release`].
    pub fn hold(&self) {
        self.book.lock().unwrap().is_held.send_replace(true);
    }

    /// Answers what is held.
    pub fn release(&self) {
        self.book.lock().unwrap().is_held.send_replace(false);
    }

    /// All attempts, taken or not, in the order in which they came.
    pub fn attempts(&self) -> Vec<Delivery> {
        self.book.lock().unwrap().attempts.clone()
    }

    /// All deliveries that were taken, in the order in which they came.
    pub fn deliveries(&self) -> Vec<Delivery> {
        let mut attempts = self.attempts();
        attempts.retain(|attempt| attempt.is_taken);
        attempts
    }

    /// All events of the log that were taken, in the order in which they came.
    pub fn events(&self) -> Vec<Value> {
        let deliveries = self.deliveries().into_iter();
        let of_log = deliveries.filter(Delivery::is_of_log);
        of_log.flat_map(|delivery| delivery.events).collect()
    }

    /// Names of the events taken, in the order in which they came.
    pub fn names(&self) -> Vec<String> {
        self.events()
            .iter()
            .map(|event| event["event"].as_str().unwrap().to_owned())
            .collect()
    }

    pub fn clear(&self) {
        self.book.lock().unwrap().attempts.clear();
    }
}

async fn receive(
    State(book): State<Arc<Mutex<Book>>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
    let payload: Value = serde_json::from_slice(&body).unwrap();
    contract::check_schema("WebhookDelivery", &payload);
    let id = header("x-enode-delivery");
    assert_eq!(header("webhook-id"), id);
    let (number, mut is_held) = {
        let mut book = book.lock().unwrap();
        let mac = Hmac::<Sha1>::new_from_slice(book.secret.as_bytes()).unwrap();
        let expected = hex::encode(mac.chain_update(&body).finalize().into_bytes());
        assert_eq!(header("x-enode-signature"), format!("sha1={expected}"));
        book.attempts.push(Delivery {
            id: id.clone(),
            events: payload.as_array().unwrap().clone(),
            headers: headers.clone(),
            body: String::from_utf8(body.to_vec()).unwrap(),
            is_taken: false,
        });
        (book.attempts.len() - 1, book.is_held.subscribe())
    };
    is_held.wait_for(|is_held| !is_held).await.unwrap();
    let mut book = book.lock().unwrap();
    let is_refused = book
        .refused
        .as_ref()
        .is_some_and(|text| body.windows(text.len()).any(|part| part == text.as_bytes()));
    let status = match is_refused {
        true => StatusCode::INTERNAL_SERVER_ERROR,
        false => StatusCode::from_u16(book.status).unwrap(),
    };
    // The book may have been cleared meanwhile.
    if let Some(attempt) = book.attempts.get_mut(number).filter(|a| a.id == id) {
        attempt.is_taken = status.is_success();
    }
    match book.retry_after.clone() {
        Some(wish) => (status, [("retry-after", wish)]).into_response(),
        None => status.into_response(),
    }
}
