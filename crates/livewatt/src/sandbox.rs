//! `livewatt sandbox`: the vendor clouds alone.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use livewatt_domain::{
    Timestamp,
    clock::{Clock as _, SystemClock},
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
