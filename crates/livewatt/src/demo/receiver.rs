//! A webhook receiver as an app would write one: checks the signature, prints what came.

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

#[derive(Clone)]
struct Receiver {
    secret: String,
    print: fn(String),
}

/// Serves the receiver for as long as the process lives.
pub(super) fn serve(listener: TcpListener, secret: String, print: fn(String)) {
    let router = Router::new()
        .route("/webhook", post(receive))
        .with_state(Receiver { secret, print });
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the demo's receiver failed");
        }
    });
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    if !is_signed(&receiver.secret, &body, header("x-enode-signature")) {
        (receiver.print)("webhook  delivery with a wrong signature refused".to_owned());
        return StatusCode::UNAUTHORIZED;
    }
    let events: Vec<Value> = match serde_json::from_slice(&body) {
        Ok(events) => events,
        Err(_) => return StatusCode::BAD_REQUEST,
    };
    for event in &events {
        (receiver.print)(format!("webhook  {}", describe(event)));
    }
    StatusCode::NO_CONTENT
}

fn is_signed(secret: &str, body: &[u8], signature: &str) -> bool {
    let Some(given) = signature
        .strip_prefix("sha1=")
        .and_then(|text| hex::decode(text).ok())
    else {
        return false;
    };
    Hmac::<Sha1>::new_from_slice(secret.as_bytes())
        .is_ok_and(|mac| mac.chain_update(body).verify_slice(&given).is_ok())
}

fn describe(event: &Value) -> String {
    let name = event["event"].as_str().unwrap_or("?");
    let kind = name.split(':').nth(1).unwrap_or_default();
    let device = &event[kind];
    let changes: Vec<String> = event["updatedFields"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter(|path| *path != "lastSeen" && !path.ends_with("lastUpdated"))
        .map(|path| {
            let pointer = format!("/{}", path.replace('.', "/"));
            let value = device.pointer(&pointer).unwrap_or(&Value::Null);
            format!("{}={value}", path.rsplit('.').next().unwrap_or(path))
        })
        .collect();
    format!("{name:<28} {}", changes.join(" "))
}
