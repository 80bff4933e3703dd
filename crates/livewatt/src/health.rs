//! `livewatt health`: asks the server that listens where the settings say whether it works.
//!
//! It asks as a load balancer would, so it needs neither the directory nor the database. What is
//! wrong, `livewatt doctor` tells.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, ensure};

use crate::{config::Settings, terminal::say};

/// Longest wait for the answer; less than what checks of containers and balancers wait.
const PATIENCE: Duration = Duration::from_secs(4);

/// Asks, and says so if all is well.
///
/// # Errors
/// If no server answers, or if it cannot read or write its database.
pub async fn run(settings: &Settings) -> anyhow::Result<()> {
    let address = near(settings.server.listen);
    let http = reqwest::Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .context("no client can be made")?;
    let answer = http
        .get(format!("http://{address}/health/ready"))
        .send()
        .await
        .with_context(|| format!("no server answers at {address}"))?;
    ensure!(
        answer.status().is_success(),
        "the server at {address} cannot use its database: it answered {}",
        answer.status()
    );
    say("ready");
    Ok(())
}

/// Where to find a server on this machine that listens on an address.
fn near(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
