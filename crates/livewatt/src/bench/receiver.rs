//! A webhook receiver that takes everything at once, and a vendor that pushes: one process, so that
//! the time from a push to its webhook is told by one clock. Run beside a bench ([`super::peer`]).

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use livewatt_domain::clock::{Clock as _, SystemClock};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    installation::APP_SECRET,
    peer::announce,
    report::quantile,
    vendor::{VIN_DIGITS, VIN_PREFIX, vin},
};

/// What has come in so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Received {
    pub(super) deliveries: u64,
    pub(super) events: u64,
    /// Now, and when the last delivery came, by this process's own clock.
    pub(super) now_ms: f64,
    pub(super) last_ms: f64,
}

/// How to push.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PushOrders {
    /// Where pushes are taken.
    pub(super) url: String,
    pub(super) accounts: u32,
    pub(super) per_second: u32,
    pub(super) count: u32,
    /// Pushes made before: no change is pushed twice.
    pub(super) first: u32,
}

/// What came of pushing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Pushed {
    pub(super) refused: u64,
    /// Webhooks that never came.
    pub(super) missing: u64,
    /// Pushes a second that were really sent.
    pub(super) per_second: f64,
    /// From before a push is sent until its acknowledgement is here.
    pub(super) acknowledged_ms: [f64; 2],
    /// From before a push is sent until its webhook is here: middle, 99 %, longest.
    pub(super) delivered_ms: [f64; 3],
}

#[derive(Default)]
struct Inner {
    received: AtomicU64,
    events: AtomicU64,
    last_ms: AtomicU64,
    largest: Mutex<Bytes>,
    /// By account: when the changes were pushed whose webhooks are not here yet.
    awaited: Mutex<Vec<VecDeque<Instant>>>,
    waits_ms: Mutex<Vec<f64>>,
}

#[derive(Clone)]
struct Receiver {
    inner: Arc<Inner>,
    began: Instant,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves until the process that started this one is gone.
pub(super) async fn serve() -> anyhow::Result<()> {
    let receiver = Receiver {
        inner: Arc::default(),
        began: Instant::now(),
    };
    let router = Router::new()
        .route("/webhook", post(take))
        .route("/received", get(received))
        .route("/largest", get(largest))
        .route("/push", post(push))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(receiver);
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let address = listener.local_addr()?;
    tokio::select! {
        served = axum::serve(listener, router) => Ok(served?),
        ended = announce(address) => ended,
    }
}

async fn take(State(receiver): State<Receiver>, body: Bytes) -> StatusCode {
    let now = Instant::now();
    let inner = &receiver.inner;
    let mut events = 0;
    let mut awaited = locked(&inner.awaited);
    let mut waits = Vec::new();
    for account in accounts_in(&body) {
        events += 1;
        let pushed_at = awaited
            .get_mut(account as usize)
            .and_then(VecDeque::pop_front);
        waits.extend(pushed_at.map(|at| (now - at).as_secs_f64() * 1e3));
    }
    drop(awaited);
    locked(&inner.waits_ms).extend(waits);
    let mut largest = locked(&inner.largest);
    if body.len() > largest.len() {
        *largest = body;
    }
    drop(largest);
    inner.received.fetch_add(1, Relaxed);
    inner.events.fetch_add(events, Relaxed);
    let micros = (now - receiver.began).as_micros() as u64;
    inner.last_ms.fetch_max(micros, Relaxed);
    StatusCode::NO_CONTENT
}

/// The accounts whose vehicles a body speaks of: each event names the VIN once.
fn accounts_in(body: &[u8]) -> impl Iterator<Item = u32> {
    let prefix = VIN_PREFIX.as_bytes();
    let length = prefix.len() + VIN_DIGITS;
    let mut rest = body;
    std::iter::from_fn(move || {
        // The first letter is rare in JSON of ours: most of the body is passed over quickly.
        loop {
            let start = rest.iter().position(|byte| *byte == prefix[0])?;
            rest = &rest[start..];
            match rest.get(..length) {
                None => return None,
                Some(vin) if vin.starts_with(prefix) => {
                    rest = &rest[length..];
                    return std::str::from_utf8(&vin[prefix.len()..]).ok()?.parse().ok();
                }
                Some(_) => rest = &rest[1..],
            }
        }
    })
}

async fn received(State(receiver): State<Receiver>) -> Json<Received> {
    let inner = &receiver.inner;
    Json(Received {
        deliveries: inner.received.load(Relaxed),
        events: inner.events.load(Relaxed),
        now_ms: receiver.began.elapsed().as_secs_f64() * 1e3,
        last_ms: inner.last_ms.load(Relaxed) as f64 / 1e3,
    })
}

async fn largest(State(receiver): State<Receiver>) -> Bytes {
    locked(&receiver.inner.largest).clone()
}

/// Pushes at a fixed rate, whether answers come or not, and waits for the webhooks.
async fn push(State(receiver): State<Receiver>, Json(orders): Json<PushOrders>) -> Json<Pushed> {
    let inner = receiver.inner;
    *locked(&inner.awaited) = vec![VecDeque::new(); orders.accounts as usize];
    locked(&inner.waits_ms).clear();
    let client = reqwest::Client::new();
    let each = Duration::from_secs(1) / orders.per_second.max(1);
    let mut ticks = interval(each);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let began = Instant::now();
    let mut pushes = JoinSet::new();
    for number in orders.first..orders.first + orders.count {
        ticks.tick().await;
        let account = number % orders.accounts;
        let (client, url) = (client.clone(), orders.url.clone());
        let inner = inner.clone();
        pushes.spawn(async move {
            let body = change(account, number / orders.accounts + 1);
            let signature = sign(&body);
            let asked = Instant::now();
            locked(&inner.awaited)[account as usize].push_back(asked);
            let answer = client
                .post(url)
                .header("volta-signature", signature)
                .header("content-type", "application/json")
                .body(body)
                .send()
                .await;
            let is_taken = answer.is_ok_and(|answer| answer.status().is_success());
            (is_taken, asked.elapsed().as_secs_f64() * 1e3)
        });
    }
    let sending_secs = began.elapsed().as_secs_f64();
    let answers = pushes.join_all().await;
    let refused = answers.iter().filter(|(is_taken, _)| !is_taken).count() as u64;
    let is_missing = || {
        locked(&inner.awaited)
            .iter()
            .map(VecDeque::len)
            .sum::<usize>() as u64
    };
    let patience = Instant::now();
    while is_missing() > refused && patience.elapsed() < Duration::from_secs(60) {
        sleep(Duration::from_millis(5)).await;
    }
    let acknowledged: Vec<f64> = answers.iter().map(|(_, wait)| *wait).collect();
    let waits = locked(&inner.waits_ms).clone();
    Json(Pushed {
        refused,
        missing: is_missing().saturating_sub(refused),
        per_second: f64::from(orders.count) / sending_secs,
        acknowledged_ms: [0.5, 0.99].map(|share| quantile(&acknowledged, share)),
        delivered_ms: [0.5, 0.99, 1.0].map(|share| quantile(&waits, share)),
    })
}

/// A push about one vehicle, whose battery moved on by a percent.
fn change(account: u32, round: u32) -> String {
    let level = 20 + round % 60;
    format!(
        r#"{{"account_id":"bench-{account}","changes":[{{"type":"vehicle","vin":"{}","charge":{{"level_percent":{level},"range_km":{:.1},"at":"{}"}}}}]}}"#,
        vin(account),
        f64::from(level) * 4.1,
        SystemClock.now()
    )
}

/// As volta signs its pushes.
fn sign(body: &str) -> String {
    let time = SystemClock.now().as_second();
    let mut mac = Hmac::<Sha256>::new_from_slice(APP_SECRET.as_bytes())
        .expect("an HMAC takes keys of any length");
    mac.update(format!("{time}.{body}").as_bytes());
    format!("t={time},v1={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vehicles_are_found_in_bodies() {
        let body = format!(
            r#"[{{"vin":"{}"}},{{"BEN":1,"vin":"{}"}}]"#,
            vin(7),
            vin(123_456)
        );
        let found: Vec<u32> = accounts_in(body.as_bytes()).collect();
        assert_eq!(found, [7, 123_456]);
        assert_eq!(accounts_in(b"BENCH12").count(), 0);
    }
}
