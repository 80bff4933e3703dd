//! `livewatt serve`: database, engine and HTTP server, wired in a straight line.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use livewatt_api::ApiOptions;
use livewatt_domain::{
    clock::{Clock, SharedClock, SystemClock},
    entropy::Entropy,
    id::ClientId,
};
use livewatt_engine::{Engine, EngineOptions, EngineParts, SystemEntropy, cluster::Bus, runtime};
use livewatt_store::{PostgresStore, SqliteOptions, SqliteStore, Store};
use livewatt_vendors::{Registry, Secret};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{admin, config::Settings, http, integrations, nats, telemetry};

/// How long requests under way may take when the server stops.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    /// What it does its work with.
    pub engine: Arc<Engine>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it is reached.
    pub public_url: Url,
    /// The client made at the very first start, with its secret, to be shown once.
    pub first_client: Option<(ClientId, Secret)>,
    stop: CancellationToken,
    http: JoinHandle<()>,
    loops: JoinHandle<()>,
    admin: Option<JoinHandle<()>>,
}

/// What may differ from a plain start.
#[derive(Debug, Default)]
pub struct ServeOptions {
    /// Another clock than the system's.
    pub clock: Option<Arc<dyn Clock>>,
    /// Another source of randomness than the system's.
    pub entropy: Option<Arc<dyn Entropy>>,
    /// Show the devices of the client made at the first start at `/live` to anybody.
    pub live_page: bool,
    /// Run no loops: whoever started the server takes the engine's steps.
    pub stepped: bool,
    /// Other integrations than those that the settings switch on.
    pub vendors: Option<Registry>,
    /// Another database than that of the settings.
    pub store: Option<Arc<dyn Store>>,
    /// Another way to wake nodes than the settings name.
    pub bus: Option<Arc<dyn Bus>>,
    /// Changes to the engine's settings that no configuration key has.
    pub tune: Option<fn(&mut EngineOptions)>,
}

impl Server {
    /// Opens the database, starts the engine and serves `listener`.
    ///
    /// # Errors
    /// If a setting, the key, the database or the listener cannot be used.
    pub async fn start(
        settings: &Settings,
        listener: TcpListener,
        options: ServeOptions,
    ) -> anyhow::Result<Self> {
        let address = listener
            .local_addr()
            .context("the listener has no address")?;
        let public_url = settings.public_url(address)?;
        let vendors = match options.vendors {
            Some(vendors) => vendors,
            None => integrations::registry(settings)?,
        };
        let vault = settings.vault()?;
        let entropy = options.entropy.unwrap_or_else(|| Arc::new(SystemEntropy));
        let store = match options.store {
            Some(store) => store,
            None => open_store(settings).await?,
        };
        let mut engine_options = settings.engine_options(public_url.clone());
        engine_options.cluster.name = settings.node_name(address);
        engine_options.cluster.address = address.to_string();
        engine_options.cluster.bus = match options.bus {
            Some(bus) => Some(bus),
            None => nats::bus(settings, store.as_ref(), entropy.as_ref()).await?,
        };
        if !settings.export.nats.url.reveal().is_empty() {
            engine_options.export = Some(Arc::new(nats::JetStreamSink::new(&settings.export.nats)));
        }
        if let Some(tune) = options.tune {
            tune(&mut engine_options);
        }
        let engine = Engine::start(EngineParts {
            store,
            vendors,
            clock: options.clock.unwrap_or_else(|| clock(settings)),
            entropy,
            vault,
            options: engine_options,
        })
        .await
        .context("the engine cannot start")?;
        let stop = CancellationToken::new();
        let metrics = telemetry::start_metrics()?;
        let first_client = welcome(&engine).await?;
        let live_client = match &first_client {
            Some((id, _)) if options.live_page => Some(*id),
            _ => None,
        };
        let api_options = ApiOptions {
            body_limit: settings.server.body_limit_bytes,
            streams_per_client: settings.server.event_streams_per_client,
            request_timeout: Duration::from_secs(settings.server.request_timeout_secs.into()),
            metrics: Some(Arc::new(move || telemetry::render(&metrics))),
            show_live_page: options.live_page,
            live_client,
            stop: stop.clone(),
            ..ApiOptions::default()
        };
        let router = livewatt_api::router(engine.clone(), api_options);
        let http = tokio::spawn(http::serve(
            listener,
            router,
            stop.clone(),
            http::HEAD_PATIENCE,
        ));
        let loops = match options.stepped {
            true => {
                let (engine, stop) = (engine.clone(), stop.clone());
                tokio::spawn(async move {
                    stop.cancelled().await;
                    runtime::finish(&engine).await;
                })
            }
            false => tokio::spawn(runtime::run(engine.clone(), stop.clone())),
        };
        let admin = admin::serve(engine.clone(), &settings.store.directory, stop.clone());
        Ok(Self {
            engine,
            address,
            public_url,
            first_client,
            stop,
            http,
            loops,
            admin,
        })
    }

    /// Tells the server to stop: no new requests; what is under way may end.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until the server is told to stop, or stops by itself: another node has its name, or the
    /// database needs a newer program.
    pub fn stopping(&self) -> impl Future<Output = ()> + use<> {
        self.stop.clone().cancelled_owned()
    }

    /// Waits until the server has stopped, by [`Self::stop`] or by itself.
    ///
    /// # Errors
    /// If the HTTP server broke.
    pub async fn wait(mut self) -> anyhow::Result<()> {
        let stop = self.stop.clone();
        let out_of_patience = async {
            stop.cancelled().await;
            tokio::time::sleep(PATIENCE).await;
        };
        let served = tokio::select! {
            served = &mut self.http => Some(served.context("the HTTP server broke")?),
            () = out_of_patience => None,
        };
        self.stop.cancel();
        if served.is_none() {
            tracing::warn!("stopping without waiting for slow requests");
            self.http.abort();
        }
        self.loops.await.context("the loops broke")?;
        if let Some(admin) = self.admin {
            admin.abort();
            // Its end, either way, is all that matters.
            let _ = admin.await;
        }
        Ok(())
    }

    /// Stops the server and waits for it.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub async fn shut_down(self) -> anyhow::Result<()> {
        self.stop();
        self.wait().await
    }
}

/// The time to go by.
fn clock(settings: &Settings) -> Arc<dyn Clock> {
    let own = Arc::new(SystemClock);
    match settings.postgres() {
        Some(_) => Arc::new(SharedClock::new(own)),
        None => own,
    }
}

/// Binds the configured address.
///
/// # Errors
/// If it cannot be bound, saying what to do about it.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot listen on {address}; if the port is taken, choose another with --listen or \
             server.listen"
        )
    })
}

/// Opens the database of the settings.
///
/// # Errors
/// If it cannot be used.
pub async fn open_store(settings: &Settings) -> anyhow::Result<Arc<dyn Store>> {
    if let Some(options) = settings.postgres() {
        let store = PostgresStore::open(&options).await;
        return Ok(Arc::new(
            store.context("the database of store.url cannot be used")?,
        ));
    }
    let directory = settings.store.directory.clone();
    let options = SqliteOptions {
        readers: settings.store.readers,
        ..SqliteOptions::new(&directory)
    };
    let store = tokio::task::spawn_blocking(move || SqliteStore::open(&options))
        .await
        .context("opening the database was interrupted")?
        .with_context(|| format!("the database in {} cannot be used", directory.display()))?;
    Ok(Arc::new(store))
}

/// At the very first start: makes a client.
async fn welcome(engine: &Engine) -> anyhow::Result<Option<(ClientId, Secret)>> {
    let made = engine.create_first_client("My app").await?;
    Ok(made.map(|(client, secret)| (client.id, secret)))
}
