//! Logs and metrics.

mod metrics;
mod process;

use std::{
    io::IsTerminal as _,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogSettings};

pub use self::metrics::{Kind, METRICS, Metric};

/// Starts logging to standard error, so that standard output stays for what was asked for.
///
/// # Errors
/// If the level is not understood.
pub fn start_logs(settings: &LogSettings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.level)
        .with_context(|| format!("log.level is not understood: {}", settings.level))?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        // It would be told to where just nothing could be written to, by a macro that panics then:
        // a log on a full disk must not break off requests.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    // An error means that logging runs already, as it does in tests.
    let _ = match settings.format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// Single durations are added up this often: otherwise only a scrape does it, and where nobody
/// scrapes, all of them would be kept.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Starts collecting metrics; the handle renders them for Prometheus. One recorder serves the whole
/// process.
///
/// # Errors
/// If another recorder is installed already.
pub fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    static HANDLE: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut installed = HANDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*installed {
        return Ok(handle.clone());
    }
    let mut builder = PrometheusBuilder::new();
    for metric in METRICS {
        if let Kind::Histogram(buckets) = metric.kind {
            builder = builder
                .set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)
                .context("the histogram buckets are not valid")?;
        }
    }
    let handle = builder
        .install_recorder()
        .context("metrics cannot be collected")?;
    let recorder = handle.clone();
    thread::Builder::new()
        .name("metrics-upkeep".to_owned())
        .spawn(move || {
            loop {
                thread::sleep(UPKEEP_INTERVAL);
                recorder.run_upkeep();
            }
        })
        .context("metrics cannot be kept up")?;
    METRICS.iter().for_each(Metric::describe);
    process::note_start();
    Ok(installed.insert(handle).clone())
}

/// What `GET /metrics` answers.
pub fn render(metrics: &PrometheusHandle) -> String {
    process::measure();
    metrics.render()
}
