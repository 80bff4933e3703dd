//! A webhook receiver that records what it gets and checks every delivery.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha1::Sha1;
use tokio::net::TcpListener;

use super::contract;

pub const SECRET: &str = "a-secret-of-the-test";

/// A delivery as it arrived.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub id: String,
    pub events: Vec<Value>,
}

#[derive(Debug, Default)]
struct Book {
    deliveries: Vec<Delivery>,
    /// What to answer; 204 if not set.
    status: Option<u16>,
}

/// The receiver.
#[derive(Debug, Clone)]
pub struct Receiver {
    pub url: String,
    book: Arc<Mutex<Book>>,
}

impl Receiver {
    pub fn start(listener: TcpListener) -> Self {
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let book: Arc<Mutex<Book>> = Arc::default();
        let router = Router::new()
            .route("/hook", post(receive))
            .route("/any", post(async || StatusCode::NO_CONTENT))
            .with_state(book.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, book }
    }

    /// An address that takes anything from anybody, for webhooks with secrets of others.
    pub fn any_url(&self) -> String {
        self.url.replace("/hook", "/any")
    }

    /// Answers with this status from now on.
    pub fn answer_with(&self, status: u16) {
        self.book.lock().unwrap().status = Some(status);
    }

    /// All deliveries, in the order in which they came.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.book.lock().unwrap().deliveries.clone()
    }

    /// All events of the log that were taken, in the order in which they came.
    pub fn events(&self) -> Vec<Value> {
        let book = self.book.lock().unwrap();
        let events = book
            .deliveries
            .iter()
            .flat_map(|delivery| delivery.events.clone());
        events
            .filter(|event| event["event"] != "system:heartbeat")
            .collect()
    }

    /// Names of the events taken, in the order in which they came.
    pub fn names(&self) -> Vec<String> {
        self.events()
            .iter()
            .map(|event| event["event"].as_str().unwrap().to_owned())
            .collect()
    }

    pub fn clear(&self) {
        self.book.lock().unwrap().deliveries.clear();
    }
}

async fn receive(
    State(book): State<Arc<Mutex<Book>>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let header = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
    let mac = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
    let expected = hex::encode(mac.chain_update(&body).finalize().into_bytes());
    assert_eq!(header("x-enode-signature"), format!("sha1={expected}"));
    let payload: Value = serde_json::from_slice(&body).unwrap();
    contract::check_schema("WebhookDelivery", &payload);
    let id = header("x-enode-delivery");
    assert_eq!(header("webhook-id"), id);
    let mut book = book.lock().unwrap();
    if let Some(status) = book.status.filter(|status| *status >= 300) {
        return StatusCode::from_u16(status).unwrap();
    }
    book.deliveries.push(Delivery {
        id,
        events: payload.as_array().unwrap().clone(),
    });
    StatusCode::NO_CONTENT
}
