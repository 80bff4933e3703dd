//! What uses a NATS server, if there is one: wake-ups between nodes ([`NatsBus`]) and the export of the
//! event log ([`JetStreamSink`]).
//!
//! Nothing waits for NATS to be there: connections are made in the background, and made again when
//! they are lost.

mod export;
mod wakes;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use async_nats::{Client, ConnectOptions, ServerAddr, connection::State};
use livewatt_domain::entropy::Entropy;
use livewatt_engine::cluster::Bus;
use livewatt_store::Store;

pub use self::{export::JetStreamSink, wakes::NatsBus};
use crate::config::Settings;

/// Name of the setting that tells installations apart that use the same NATS servers.
const INSTALLATION: &str = "installation.id";
/// A server that does not answer for so long is not there.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two signs of life: a connection that fell silent is found dead after two or three.
const PING: Duration = Duration::from_secs(10);
/// Longest time between two attempts to connect again.
const LONGEST_REST: Duration = Duration::from_secs(2);

/// What carries wake-ups between nodes, if the settings name it.
///
/// # Errors
/// If the address cannot be used or the database fails; never because NATS is away.
pub async fn bus(
    settings: &Settings,
    store: &dyn Store,
    entropy: &dyn Entropy,
) -> anyhow::Result<Option<Arc<dyn Bus>>> {
    let url = settings.cluster.nats_url.reveal();
    if url.is_empty() {
        return Ok(None);
    }
    let mut id = [0; 16];
    entropy.fill(&mut id);
    let installation = store
        .remember(INSTALLATION.to_owned(), hex::encode(id))
        .await
        .context("the database cannot be used")?;
    let bus = NatsBus::start(url, &installation).await;
    Ok(Some(Arc::new(bus.context("cluster.nats_url")?)))
}

/// A connection that is made, and made again, in the background.
pub(crate) async fn connect(url: &str, purpose: &'static str) -> anyhow::Result<Client> {
    let options = options().retry_on_initial_connect();
    let options = options.event_callback(move |event| async move {
        use async_nats::Event;
        match event {
            Event::Connected => tracing::info!(purpose, "connected to NATS"),
            Event::Disconnected => {
                tracing::warn!(purpose, "NATS is away; it is connected to again by itself");
            }
            // Each attempt to connect again that fails: told once, above.
            other => tracing::debug!(purpose, event = %other, "NATS"),
        }
    });
    Ok(options.connect(servers(url)?).await?)
}

/// Whether a connection can carry anything now.
pub(crate) fn is_connected(client: &Client) -> bool {
    client.connection_state() == State::Connected
}

/// Asks the servers whether they are there; returns what they are.
///
/// # Errors
/// If none answers, or none lets us in.
pub async fn look(url: &str) -> anyhow::Result<String> {
    let client = options().connect(servers(url)?).await?;
    let info = client.server_info();
    Ok(format!("NATS {} at {}", info.version, info.host))
}

fn options() -> ConnectOptions {
    ConnectOptions::new()
        .name("livewatt")
        .connection_timeout(PATIENCE)
        .ping_interval(PING)
        .reconnect_delay_callback(|attempts| {
            let doubled = 2_u32.saturating_pow(attempts.min(10) as u32);
            (Duration::from_millis(25) * doubled).min(LONGEST_REST)
        })
}

fn servers(url: &str) -> anyhow::Result<Vec<ServerAddr>> {
    let servers = url.split(',').map(|server| server.trim().parse());
    servers
        .collect::<Result<_, _>>()
        .context("it is no address of a NATS server")
}
