//! The process as the operating system sees it. Names are those that all programs use for this.

use livewatt_domain::clock::{Clock as _, SystemClock};

/// Notes when the process began to collect metrics, and which version it is.
pub(super) fn note_start() {
    // The system's clock, whatever clock an engine runs by.
    let now = SystemClock.now().as_millisecond() as f64 / 1000.0;
    metrics::gauge!("process_start_time_seconds").set(now);
    metrics::gauge!("livewatt_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// Measures what the process takes; not shown where the system does not tell.
pub(super) fn measure() {
    if let Some(bytes) = resident_bytes() {
        metrics::gauge!("process_resident_memory_bytes").set(bytes as f64);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        metrics::gauge!("process_open_fds").set(files.count() as f64);
    }
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}
