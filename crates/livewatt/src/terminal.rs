//! What people asked to see, on standard output, and how they make it end.

use std::io::Write as _;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

/// Prints a line. A closed pipe is no error: whoever closed it has seen enough.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Waits for Ctrl-C or SIGTERM.
///
/// # Errors
/// If signals cannot be listened for.
pub async fn interrupted() -> anyhow::Result<()> {
    interruption()?.await
}

/// Listens for Ctrl-C and SIGTERM from now on, so that one that comes early is not missed.
///
/// # Errors
/// If signals cannot be listened for.
pub fn interruption() -> anyhow::Result<impl Future<Output = anyhow::Result<()>>> {
    let mut terminated = signal(SignalKind::terminate()).context("no signal handler")?;
    let mut stopped = signal(SignalKind::interrupt()).context("no signal handler")?;
    Ok(async move {
        tokio::select! {
            _ = stopped.recv() => Ok(()),
            _ = terminated.recv() => Ok(()),
        }
    })
}
