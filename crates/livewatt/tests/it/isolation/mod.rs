//! Isolation: what one vendor, one receiver or one customer does must not be felt by another.
//!
//! These tests run servers in real time and print what they measured, beside the same without the
//! trouble. Ages of data are asserted closely; latencies within bounds that a busy machine keeps.

mod memory;
mod program;
mod tenants;
mod vendors;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Latencies in milliseconds.
#[derive(Debug, Clone, Default)]
struct Latencies(Vec<f64>);

impl Latencies {
    fn add(&mut self, took: Duration) {
        self.0.push(took.as_secs_f64() * 1000.0);
    }

    /// The latency that a share of all does not exceed.
    fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1).expect("nothing was measured");
        sorted[(last as f64 * share).round() as usize]
    }

    fn describe(&self) -> String {
        format!(
            "p50 {:.1} ms, p99 {:.1} ms ({})",
            self.quantile(0.5),
            self.quantile(0.99),
            self.0.len()
        )
    }
}

/// Asks one path again and again and measures how long that takes.
struct Probe {
    latencies: Arc<Mutex<Latencies>>,
    task: tokio::task::JoinHandle<()>,
}

impl Probe {
    /// Time between two questions.
    const PAUSE: Duration = Duration::from_millis(25);

    fn start(url: String, token: String) -> Self {
        let latencies: Arc<Mutex<Latencies>> = Arc::default();
        let noted = latencies.clone();
        let task = tokio::spawn(async move {
            let http = reqwest::Client::new();
            loop {
                let began = Instant::now();
                let answer = http.get(&url).bearer_auth(&token).send().await.unwrap();
                assert_eq!(answer.status(), 200);
                answer.bytes().await.unwrap();
                noted.lock().unwrap().add(began.elapsed());
                tokio::time::sleep(Self::PAUSE).await;
            }
        });
        Self { latencies, task }
    }

    /// What was measured since the last time.
    fn take(&self) -> Latencies {
        assert!(!self.task.is_finished(), "a question was not answered well");
        std::mem::take(&mut *self.latencies.lock().unwrap())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Fails if a latency has left what a busy machine explains.
#[track_caller]
fn expect_undisturbed(what: &str, before: &Latencies, during: &Latencies, slack_ms: f64) {
    let (before, during) = (before.quantile(0.99), during.quantile(0.99));
    assert!(
        during <= before * 10.0 + slack_ms,
        "{what}: p99 was {before:.1} ms and is {during:.1} ms"
    );
}
