//! `livewatt sandbox`: the vendor clouds alone; and the time of a sandbox that runs elsewhere.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use livewatt_domain::{
    SignedDuration, Timestamp,
    clock::{Clock, FastClock, SystemClock},
    retry::scaled,
};
use livewatt_sandbox::{Sandbox, SandboxConfig};

/// How the clouds are to run.
#[derive(Debug, Clone, clap::Args)]
pub struct SandboxArgs {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:7070")]
    pub listen: SocketAddr,
    /// Seed of everything random: the same seed lives the same life.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How much faster than real time the virtual clock runs, up to 10000; 0 stands still until it
    /// is moved by HTTP.
    #[arg(long, default_value_t = 1.0)]
    pub speed: f64,
    /// Virtual time at the start (RFC 3339); the present if not given.
    #[arg(long)]
    pub start: Option<Timestamp>,
    /// Make no demo accounts.
    #[arg(long)]
    pub empty: bool,
    /// JSON file with a list of faults to come.
    #[arg(long)]
    pub script: Option<PathBuf>,
}

/// What a sandbox says of its clock.
#[derive(Debug, serde::Deserialize)]
struct ClockSays {
    now: Timestamp,
    speed: f64,
}

/// A clock that shows the time of the sandbox at `url` and runs as fast as that one does now. It is
/// asked once: after a restart its time goes on, since the sandbox's has.
///
/// # Errors
/// If the sandbox does not answer, or its clock stands still.
pub async fn clock_of(url: &url::Url) -> anyhow::Result<Arc<dyn Clock>> {
    let said = ask_time(url)
        .await
        .with_context(|| format!("the sandbox at {url} does not tell its time"))?;
    let (ClockSays { now, speed }, age) = said;
    anyhow::ensure!(
        speed > 0.0,
        "the sandbox's clock stands still; sandbox.follow_clock needs one that runs"
    );
    let now = now.saturating_add(scaled(age, speed)).unwrap_or(now);
    let real = Arc::new(SystemClock);
    Ok(Arc::new(FastClock::starting_at(real, now, speed)))
}

/// The time that was told fastest of some, and how long ago that was.
async fn ask_time(url: &url::Url) -> anyhow::Result<(ClockSays, SignedDuration)> {
    let address = url.join("/control/clock")?;
    let http = reqwest::Client::new();
    let mut best: Option<(ClockSays, Duration, Instant)> = None;
    for _ in 0..5 {
        let asked = Instant::now();
        let answer = http.get(address.clone()).send().await?;
        let says: ClockSays = answer.error_for_status()?.json().await?;
        let (took, answered) = (asked.elapsed(), Instant::now());
        if best.as_ref().is_none_or(|(_, other, _)| took < *other) {
            best = Some((says, took, answered));
        }
    }
    let (says, took, answered) = best.context("nothing was asked")?;
    // Half of the way is the way back.
    let age = SignedDuration::try_from(answered.elapsed() + took / 2)?;
    Ok((says, age))
}

/// Starts the clouds.
///
/// # Errors
/// If the address cannot be bound, or the script not be used.
pub async fn start(args: &SandboxArgs) -> anyhow::Result<Sandbox> {
    let listener = crate::serve::bind(args.listen).await?;
    let config = SandboxConfig {
        seed: args.seed,
        start: args.start.unwrap_or_else(|| SystemClock.now()),
        speed: args.speed,
        demo_accounts: !args.empty,
        ..SandboxConfig::default()
    };
    let sandbox = Sandbox::start(config, listener);
    if let Some(path) = &args.script {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let script = serde_json::from_str(&text)
            .with_context(|| format!("{} is no list of faults", path.display()))?;
        sandbox
            .add_script(script)
            .await
            .map_err(|error| anyhow::anyhow!("the script: {error}"))?;
    }
    Ok(sandbox)
}
