//! Administration of a server that runs: a socket in its directory, for whoever may open it.
//!
//! The database belongs to one process, so `livewatt client …` asks the server if there is one and
//! opens the database itself if there is none.

use std::{
    fs::File,
    os::{fd::AsRawFd as _, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use axum::{
    Json, Router,
    extract::{Path as UrlPath, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use livewatt_domain::{client::Client, id::ClientId, time};
use livewatt_engine::{
    Engine, EngineError, EngineParts, SystemEntropy,
    error::chain,
    freshness::{FreshnessReport, ReportQuery},
};
use livewatt_vendors::Registry;
use serde::{Deserialize, Serialize};
use tokio::{net::UnixListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{config::Settings, nodes::NodesReport};

/// A client as the command line shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientRow {
    /// The OAuth client ID.
    pub id: ClientId,
    /// Name for people.
    pub name: String,
    /// When it was created.
    pub created_at: String,
    /// Largest number of linked accounts.
    pub connection_limit: Option<u32>,
    /// The secret, right after it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// What a new client is to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewClient {
    /// Name for people.
    pub name: String,
    /// Largest number of linked accounts.
    pub connection_limit: Option<u32>,
}

fn row(client: Client, secret: Option<String>) -> ClientRow {
    ClientRow {
        id: client.id,
        name: client.name,
        created_at: time::wire(client.created_at),
        connection_limit: client.connection_limit,
        secret,
    }
}

fn socket_path(directory: &Path) -> PathBuf {
    directory.join("admin.sock")
}

/// Longest path that every system takes for a socket, bytes.
const LONGEST_PATH: usize = 100;

/// A way to the socket that is short enough, however long that of its directory is: through the
/// opened directory, which must stay open for as long as the way is used.
fn short_path(directory: &Path) -> std::io::Result<(PathBuf, Option<File>)> {
    let path = socket_path(directory);
    if path.as_os_str().len() <= LONGEST_PATH || !cfg!(target_os = "linux") {
        return Ok((path, None));
    }
    let opened = File::open(directory)?;
    let through = format!("/proc/self/fd/{}", opened.as_raw_fd());
    Ok((socket_path(Path::new(&through)), Some(opened)))
}

/// Serves the socket until `stop`. Without it only the command line suffers, so a failure is a
/// warning.
pub(crate) fn serve(
    engine: Arc<Engine>,
    directory: &Path,
    stop: CancellationToken,
) -> Option<JoinHandle<()>> {
    let path = socket_path(directory);
    // The store's lock says that no other server lives here: a socket found is a dead one's.
    let _ = std::fs::remove_file(&path);
    let bound = short_path(directory).and_then(|(short, _opened)| {
        let listener = UnixListener::bind(&short)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    });
    let listener = match bound {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(
                path = %path.display(), %error,
                "no administration socket: `livewatt client` and `livewatt doctor` cannot reach this \
                 server while it runs; a shorter store.directory may help"
            );
            return None;
        }
    };
    let router = Router::new()
        .route("/status", get(status))
        .route("/clients", get(list).post(create))
        .route("/clients/{id}", delete(remove))
        .route("/clients/{id}/secret", post(rotate))
        .route("/freshness", post(freshness))
        .route("/nodes", get(nodes))
        .with_state(engine);
    Some(tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::warn!(%error, "the administration socket failed");
        }
        let _ = std::fs::remove_file(&path);
    }))
}

struct Failure(EngineError);

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        tracing::error!(error = %chain(&self.0), "administration failed");
        (StatusCode::INTERNAL_SERVER_ERROR, chain(&self.0)).into_response()
    }
}

async fn status(State(engine): State<Arc<Engine>>) -> Result<Json<ServerStatus>, Failure> {
    let oldest_overdue = engine.figures().await.oldest_overdue;
    Ok(Json(ServerStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        public_url: engine.options().public_url.to_string(),
        can_write: engine.check().await.is_ok(),
        poll_lag_seconds: oldest_overdue.as_secs(),
        events_behind: engine.events_behind().await?,
        paused_vendors: engine.paused_vendors(),
        bus_is_connected: engine.bus_is_connected(),
        export: engine.export_figures().map(|export| ExportStatus {
            sink: export.sink.to_owned(),
            lag_seconds: export.lag.as_secs(),
            error: export.error,
        }),
    }))
}

/// How a server that runs is doing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatus {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Where it is reached.
    pub public_url: String,
    /// Whether its database takes writes.
    pub can_write: bool,
    /// How long the fetch that waits longest has been due.
    pub poll_lag_seconds: i64,
    /// Events that the webhook furthest behind has not got yet, counted up to ten thousand.
    pub events_behind: u32,
    /// Integrations that do not answer, so that calls to them pause.
    pub paused_vendors: Vec<String>,
    /// Whether NATS, which is to carry wake-ups, can be reached; null if it is not to.
    #[serde(default)]
    pub bus_is_connected: Option<bool>,
    /// How the export of events is doing; null if there is none.
    #[serde(default)]
    pub export: Option<ExportStatus>,
}

/// How an export of events is doing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportStatus {
    /// To where.
    pub sink: String,
    /// Age of the oldest event that this node has still to export.
    pub lag_seconds: i64,
    /// Why the last events were not taken.
    pub error: Option<String>,
}

/// Asks the server of a directory how it is doing; `None` if none runs there.
///
/// # Errors
/// If one runs but does not answer as it should.
pub async fn server_status(directory: &Path) -> anyhow::Result<Option<ServerStatus>> {
    let Some((client, _opened)) = remote(directory).await? else {
        return Ok(None);
    };
    let request = client.get(url("/status")).timeout(PATIENCE);
    Ok(Some(ask(request).await?.json().await?))
}

/// Longest wait for an answer about how things stand.
const PATIENCE: Duration = Duration::from_secs(10);

async fn remote(directory: &Path) -> anyhow::Result<Option<(reqwest::Client, Option<File>)>> {
    let Ok((path, opened)) = short_path(directory) else {
        return Ok(None);
    };
    if tokio::net::UnixStream::connect(&path).await.is_err() {
        return Ok(None);
    }
    let client = reqwest::Client::builder()
        .unix_socket(path)
        .build()
        .context("the administration socket cannot be used")?;
    Ok(Some((client, opened)))
}

async fn list(State(engine): State<Arc<Engine>>) -> Result<Json<Vec<ClientRow>>, Failure> {
    let clients = engine.list_clients().await?;
    Ok(Json(
        clients
            .into_iter()
            .map(|client| row(client, None))
            .collect(),
    ))
}

async fn create(
    State(engine): State<Arc<Engine>>,
    Json(new): Json<NewClient>,
) -> Result<Json<ClientRow>, Failure> {
    let (client, secret) = engine
        .create_client(&new.name, new.connection_limit)
        .await?;
    Ok(Json(row(client, Some(secret.reveal().to_owned()))))
}

async fn rotate(
    State(engine): State<Arc<Engine>>,
    UrlPath(id): UrlPath<ClientId>,
) -> Result<Response, Failure> {
    Ok(match engine.rotate_client_secret(id).await? {
        Some(secret) => Json(secret.reveal().to_owned()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    })
}

async fn remove(
    State(engine): State<Arc<Engine>>,
    UrlPath(id): UrlPath<ClientId>,
) -> Result<StatusCode, Failure> {
    Ok(match engine.delete_client(id).await? {
        true => StatusCode::NO_CONTENT,
        false => StatusCode::NOT_FOUND,
    })
}

async fn freshness(
    State(engine): State<Arc<Engine>>,
    Json(query): Json<ReportQuery>,
) -> Result<Json<FreshnessReport>, Failure> {
    Ok(Json(engine.freshness_report(query).await?))
}

async fn nodes(State(engine): State<Arc<Engine>>) -> Result<Json<Option<NodesReport>>, Failure> {
    let view = engine.cluster_view().await?;
    Ok(Json(view.map(NodesReport::from)))
}

/// An installation, through its server or without.
#[derive(Debug)]
pub enum Administration {
    /// A server runs: asked through its socket, and the directory that may be the way to it.
    Remote(reqwest::Client, Option<File>),
    /// None does: the database is ours.
    Local(Arc<Engine>),
}

impl Administration {
    /// Finds the server of the settings' directory, or opens its database.
    ///
    /// # Errors
    /// If neither is possible.
    pub async fn open(settings: &Settings) -> anyhow::Result<Self> {
        if let Some((client, opened)) = remote(&settings.store.directory).await? {
            return Ok(Self::Remote(client, opened));
        }
        let file = settings.database_file();
        if settings.postgres().is_none() && !file.exists() {
            let looked = std::path::absolute(&file).unwrap_or(file);
            bail!(
                "there is no database at {}; name its directory with --data or store.directory, or \
                 make one by starting the server",
                looked.display()
            );
        }
        let public_url = settings.public_url(settings.server.listen)?;
        let mut options = settings.engine_options(public_url);
        // A guest among the nodes: it owns nothing.
        options.cluster.takes_part = false;
        let engine = Engine::start(EngineParts {
            store: crate::serve::open_store(settings).await?,
            vendors: Registry::default(),
            clock: Arc::new(livewatt_domain::clock::SystemClock),
            entropy: Arc::new(SystemEntropy),
            vault: settings.vault()?,
            options,
        })
        .await?;
        Ok(Self::Local(engine))
    }

    /// All clients, newest first.
    ///
    /// # Errors
    /// If the server or the database fails.
    pub async fn list(&self) -> anyhow::Result<Vec<ClientRow>> {
        match self {
            Self::Remote(http, _) => Ok(ask(http.get(url("/clients"))).await?.json().await?),
            Self::Local(engine) => {
                let clients = engine.list_clients().await?;
                Ok(clients
                    .into_iter()
                    .map(|client| row(client, None))
                    .collect())
            }
        }
    }

    /// Makes a client.
    ///
    /// # Errors
    /// If the server or the database fails.
    pub async fn create(&self, new: &NewClient) -> anyhow::Result<ClientRow> {
        match self {
            Self::Remote(http, _) => Ok(ask(http.post(url("/clients")).json(new))
                .await?
                .json()
                .await?),
            Self::Local(engine) => {
                let (client, secret) = engine
                    .create_client(&new.name, new.connection_limit)
                    .await?;
                Ok(row(client, Some(secret.reveal().to_owned())))
            }
        }
    }

    /// Gives a client a new secret; its tokens die.
    ///
    /// # Errors
    /// If there is no such client, or the server or the database fails.
    pub async fn rotate_secret(&self, id: ClientId) -> anyhow::Result<String> {
        match self {
            Self::Remote(http, _) => {
                let address = url(&format!("/clients/{id}/secret"));
                Ok(ask(http.post(address)).await?.json().await?)
            }
            Self::Local(engine) => match engine.rotate_client_secret(id).await? {
                Some(secret) => {
                    engine.send_wakes().await;
                    Ok(secret.reveal().to_owned())
                }
                None => bail!("there is no client {id}"),
            },
        }
    }

    /// The nodes; `None` where only one program at a time can use the database.
    ///
    /// # Errors
    /// If the server or the database fails.
    pub async fn nodes(&self) -> anyhow::Result<Option<NodesReport>> {
        match self {
            Self::Remote(http, _) => Ok(ask(http.get(url("/nodes"))).await?.json().await?),
            Self::Local(engine) => Ok(engine.cluster_view().await?.map(NodesReport::from)),
        }
    }

    /// How fresh data was.
    ///
    /// # Errors
    /// If the server or the database fails.
    pub async fn freshness(&self, query: ReportQuery) -> anyhow::Result<FreshnessReport> {
        match self {
            Self::Remote(http, _) => Ok(ask(http.post(url("/freshness")).json(&query))
                .await?
                .json()
                .await?),
            Self::Local(engine) => Ok(engine.stored_freshness_report(query).await?),
        }
    }

    /// Deletes a client and everything inside of it.
    ///
    /// # Errors
    /// If there is no such client, or the server or the database fails.
    pub async fn delete(&self, id: ClientId) -> anyhow::Result<()> {
        match self {
            Self::Remote(http, _) => ask(http.delete(url(&format!("/clients/{id}"))))
                .await
                .map(drop),
            Self::Local(engine) => match engine.delete_client(id).await? {
                true => {
                    engine.send_wakes().await;
                    Ok(())
                }
                false => bail!("there is no client {id}"),
            },
        }
    }
}

/// The host is of no meaning on a socket, but a URL must have one.
fn url(path: &str) -> String {
    format!("http://livewatt{path}")
}

async fn ask(request: reqwest::RequestBuilder) -> anyhow::Result<reqwest::Response> {
    let response = request.send().await.context("the server does not answer")?;
    match response.status() {
        StatusCode::NOT_FOUND => bail!("there is no such client"),
        status if status.is_success() => Ok(response),
        status => bail!("the server answered {status}: {}", response.text().await?),
    }
}
