//! The bare poller: what a program would do that reads the same answers with the same client and
//! keeps nothing but the last value. No engine can be faster; how near ours comes is the figure.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
};

use anyhow::Context as _;
use livewatt_vendors::http::{HttpOptions, client};
use serde::Deserialize;
use tokio::task::JoinSet;

/// The answer, typed.
#[derive(Debug, PartialEq, Deserialize)]
struct Answer {
    vehicles: Vec<Vehicle>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Vehicle {
    vin: String,
    name: String,
    model: String,
    year: u16,
    online: bool,
    charge: Charge,
    odometer: Odometer,
    position: Position,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Charge {
    level_percent: f64,
    range_km: f64,
    status: String,
    power_kw: f64,
    limit_percent: f64,
    capacity_kwh: f64,
    minutes_to_full: Option<f64>,
    max_amps: f64,
    at: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Odometer {
    km: f64,
    at: String,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Position {
    lat: f64,
    lon: f64,
    at: String,
}

/// The bare poller.
#[derive(Debug)]
pub(super) struct Bare {
    client: reqwest::Client,
    url: url::Url,
    /// The vendor's numbers of its accounts begin here: they are other accounts than the engine's.
    first: u32,
    last: Vec<Mutex<Option<Answer>>>,
    next: AtomicU32,
    is_stopped: AtomicBool,
    /// Answers read so far.
    pub(super) polls: AtomicU64,
    /// Answers that differed from the last.
    pub(super) changes: AtomicU64,
}

impl Bare {
    pub(super) fn new(options: &HttpOptions, url: url::Url, accounts: u32) -> anyhow::Result<Self> {
        Ok(Self {
            client: client(options)?,
            url,
            first: accounts,
            last: (0..accounts).map(|_| Mutex::default()).collect(),
            next: AtomicU32::new(0),
            is_stopped: AtomicBool::new(false),
            polls: AtomicU64::new(0),
            changes: AtomicU64::new(0),
        })
    }

    /// Starts so many workers, each with one request under way at a time.
    pub(super) fn start(self: &Arc<Self>, parallel: usize) -> JoinSet<anyhow::Result<()>> {
        self.is_stopped.store(false, Relaxed);
        let mut workers = JoinSet::new();
        for _ in 0..parallel {
            let bare = self.clone();
            workers.spawn(async move { bare.work().await });
        }
        workers
    }

    /// Lets the workers end.
    pub(super) async fn stop(
        &self,
        mut workers: JoinSet<anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        self.is_stopped.store(true, Relaxed);
        while let Some(ended) = workers.join_next().await {
            ended.context("a bare poller broke")??;
        }
        Ok(())
    }

    async fn work(&self) -> anyhow::Result<()> {
        while !self.is_stopped.load(Relaxed) {
            let index = self.next.fetch_add(1, Relaxed) as usize % self.last.len();
            let number = self.first + index as u32;
            let body = self
                .client
                .get(self.url.clone())
                .bearer_auth(format!("bench-{number}"))
                .send()
                .await?
                .bytes()
                .await?;
            let answer: Answer = serde_json::from_slice(&body)?;
            let mut last = self.last[index]
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if last.as_ref() != Some(&answer) {
                *last = Some(answer);
                self.changes.fetch_add(1, Relaxed);
            }
            self.polls.fetch_add(1, Relaxed);
        }
        Ok(())
    }
}
