//! Settings: the commented default file, then a file, the environment, and flags. All of it is
//! checked before a socket is opened.

use std::{collections::HashMap, net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context as _, bail};
use config::{Config, Environment, File, FileFormat};
use livewatt_domain::SignedDuration;
use livewatt_engine::{
    EgressPolicy, EngineOptions, Vault,
    cluster::ClusterOptions,
    market::{MarketOptions, PriceFiles},
};
use livewatt_store::{PostgresOptions, SqliteOptions};
use livewatt_vendors::Secret;
use serde::Deserialize;
use url::Url;

/// The default settings with their explanations; the only source of defaults.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// All settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The HTTP server.
    pub server: ServerSettings,
    /// The database.
    pub store: StoreSettings,
    /// This node among others.
    pub cluster: ClusterSettings,
    /// Keys.
    pub secrets: SecretSettings,
    /// The event log.
    pub events: EventSettings,
    /// Energy.
    pub energy: EnergySettings,
    /// Where the event log is exported to.
    pub export: ExportSettings,
    /// Webhooks.
    pub webhooks: WebhookSettings,
    /// Prices of markets.
    pub prices: PriceSettings,
    /// Calls to vendors.
    pub vendors: VendorSettings,
    /// Charge points.
    pub ocpp: OcppSettings,
    /// The sandbox as a vendor.
    pub sandbox: SandboxSettings,
    /// Logs.
    pub log: LogSettings,
}

/// The HTTP server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml explains every key")]
pub struct ServerSettings {
    pub listen: SocketAddr,
    pub public_url: String,
    pub request_timeout_secs: u32,
    pub body_limit_bytes: usize,
    pub event_streams_per_client: usize,
}

/// The database.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml explains every key")]
pub struct StoreSettings {
    pub directory: PathBuf,
    pub readers: usize,
    pub url: Secret,
    pub connections: u32,
}

/// This node among others.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml explains every key")]
pub struct ClusterSettings {
    pub name: String,
    pub lease_secs: u32,
    pub nats_url: Secret,
}

/// Keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml explains every key")]
pub struct SecretSettings {
    pub key_file: PathBuf,
    pub keys: Secret,
}

/// The event log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml explains every key")]
pub struct EventSettings {
    pub retention_days: u32,
}

/// Energy.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml explains every key")]
pub struct EnergySettings {
    pub sample_retention_days: u32,
}

/// Where the event log is exported to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml explains every key")]
pub struct ExportSettings {
    pub nats: NatsExportSettings,
}

/// A stream of NATS JetStream.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml explains every key")]
pub struct NatsExportSettings {
    pub url: Secret,
    pub stream: String,
    pub subject_prefix: String,
    pub create_stream: bool,
    pub max_age_days: u32,
}

/// Webhooks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml explains every key")]
pub struct WebhookSettings {
    pub timeout_secs: u32,
    pub lanes: u16,
    pub heartbeat_secs: u32,
    pub dangerous_allow_private_receivers: bool,
}

/// Prices of markets.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml explains every key")]
pub struct PriceSettings {
    pub directory: PathBuf,
    pub order: Vec<String>,
    pub max_age_hours: u32,
}

/// Calls to vendors.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml explains every key")]
pub struct VendorSettings {
    pub timeout_secs: u32,
    pub parallel: usize,
}

/// Charge points.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml explains every key")]
pub struct OcppSettings {
    pub enabled: bool,
}

/// The sandbox as a vendor.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml explains every key")]
pub struct SandboxSettings {
    pub url: String,
    pub client_id: String,
    pub client_secret: Secret,
    pub follow_clock: bool,
}

/// Logs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "config.default.toml explains every key")]
pub struct LogSettings {
    pub level: String,
    pub format: LogFormat,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl Settings {
    /// Reads the settings. `overrides` are dotted keys and values of flags.
    ///
    /// # Errors
    /// If a source cannot be read or a value is not what its key takes.
    pub fn load(file: Option<&PathBuf>, overrides: &[(&str, String)]) -> anyhow::Result<Self> {
        let mut sources = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        if let Some(path) = file {
            sources = sources.add_source(File::from(path.as_path()).format(FileFormat::Toml));
        }
        let environment = Environment::with_prefix("LIVEWATT")
            .prefix_separator("_")
            .separator("__");
        // Taken as text: a secret of digits must not become a number.
        sources = sources.add_source(environment.ignore_empty(true).source(Some(variables())));
        for (key, value) in overrides {
            sources = sources
                .set_override(*key, value.clone())
                .context("a flag cannot be used")?;
        }
        let read = sources.build().context("the settings cannot be read")?;
        let settings: Self = read.try_deserialize().context("a setting is not valid")?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> anyhow::Result<()> {
        let is_zero = [
            (
                "server.request_timeout_secs",
                self.server.request_timeout_secs == 0,
            ),
            ("store.readers", self.store.readers == 0),
            ("events.retention_days", self.events.retention_days == 0),
            (
                "energy.sample_retention_days",
                self.energy.sample_retention_days == 0,
            ),
            ("prices.max_age_hours", self.prices.max_age_hours == 0),
            ("webhooks.timeout_secs", self.webhooks.timeout_secs == 0),
            ("webhooks.lanes", self.webhooks.lanes == 0),
            ("vendors.timeout_secs", self.vendors.timeout_secs == 0),
            ("vendors.parallel", self.vendors.parallel == 0),
        ];
        if let Some((key, _)) = is_zero.iter().find(|(_, is_zero)| *is_zero) {
            bail!("{key} must be at least 1");
        }
        let database = self.store.url.reveal();
        if !database.is_empty() && !is_postgres(database) {
            bail!("store.url must begin with postgres://");
        }
        if self.store.connections < 4 {
            bail!("store.connections must be at least 4");
        }
        if self.cluster.lease_secs < 3 {
            bail!("cluster.lease_secs must be at least 3");
        }
        if !self.cluster.nats_url.reveal().is_empty() {
            check_nats_url("cluster.nats_url", self.cluster.nats_url.reveal())?;
            if database.is_empty() {
                bail!("cluster.nats_url needs store.url: a node that is alone wakes nobody");
            }
        }
        let NatsExportSettings {
            url,
            stream,
            subject_prefix,
            ..
        } = &self.export.nats;
        if !url.reveal().is_empty() {
            check_nats_url("export.nats.url", url.reveal())?;
        }
        if !is_words(stream, "-_") {
            bail!("export.nats.stream must be of letters, digits, - and _");
        }
        if !is_words(subject_prefix, "-_.") || subject_prefix.split('.').any(str::is_empty) {
            bail!(
                "export.nats.subject_prefix must be words of letters, digits, - and _ with dots between"
            );
        }
        if !self.server.public_url.is_empty() {
            self.public_url(self.server.listen)?;
        }
        if self.sandbox_url()?.is_none() && self.sandbox.follow_clock {
            bail!("sandbox.follow_clock needs sandbox.url");
        }
        Ok(())
    }

    /// The address under which this server is reached, when it listens on `bound`.
    ///
    /// # Errors
    /// If the configured one is no web address.
    pub fn public_url(&self, bound: SocketAddr) -> anyhow::Result<Url> {
        let text = match self.server.public_url.as_str() {
            "" => format!("http://{bound}"),
            configured => configured.to_owned(),
        };
        web_address("server.public_url", &text)
    }

    /// The address of the sandbox, if it is to be offered.
    ///
    /// # Errors
    /// If it is no web address.
    pub fn sandbox_url(&self) -> anyhow::Result<Option<Url>> {
        match self.sandbox.url.as_str() {
            "" => Ok(None),
            text => web_address("sandbox.url", text).map(Some),
        }
    }

    /// The engine's settings.
    pub fn engine_options(&self, public_url: Url) -> EngineOptions {
        let mut options = EngineOptions::new(public_url);
        options.http.total_timeout = seconds(self.vendors.timeout_secs);
        options.parallel_per_vendor = self.vendors.parallel;
        options.delivery_timeout = seconds(self.webhooks.timeout_secs);
        options.webhook_lanes = self.webhooks.lanes;
        options.heartbeat_interval = seconds(self.webhooks.heartbeat_secs);
        options.egress = EgressPolicy {
            allow_private: self.webhooks.dangerous_allow_private_receivers,
        };
        options.event_retention =
            SignedDuration::from_hours(24 * i64::from(self.events.retention_days));
        options.sample_retention =
            SignedDuration::from_hours(24 * i64::from(self.energy.sample_retention_days));
        options.market = MarketOptions {
            order: self.prices.order.clone(),
            max_age: SignedDuration::from_hours(self.prices.max_age_hours.into()),
            sources: Vec::new(),
        };
        if !self.prices.directory.as_os_str().is_empty() {
            let files = PriceFiles::new(self.prices.directory.clone());
            options.market.sources.push(Arc::new(files));
        }
        options.cluster = ClusterOptions {
            name: self.cluster.name.clone(),
            ..ClusterOptions::with_lease(self.cluster.lease_secs)
        };
        options
    }

    /// The name of this node, when it listens on `bound`.
    pub fn node_name(&self, bound: SocketAddr) -> String {
        if !self.cluster.name.is_empty() {
            return self.cluster.name.clone();
        }
        // Where Linux tells it; elsewhere nodes are told apart by their ports.
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        format!("{}:{}", host.trim(), bound.port())
    }

    /// The vault of the configured keys; makes a key at the first start.
    ///
    /// # Errors
    /// If the key file cannot be read or made, or holds no key.
    pub fn vault(&self) -> anyhow::Result<Vault> {
        if !self.secrets.keys.reveal().is_empty() {
            return Vault::from_text(self.secrets.keys.reveal()).context("secrets.keys");
        }
        crate::keys::read_or_make(&self.key_file(), &self.database_file())
    }

    /// Where the keys are, if they are in a file.
    pub fn key_file(&self) -> PathBuf {
        match self.secrets.key_file.as_os_str().is_empty() {
            true => self.store.directory.join("secret.key"),
            false => self.secrets.key_file.clone(),
        }
    }

    /// The PostgreSQL database, if one is to be used.
    pub fn postgres(&self) -> Option<PostgresOptions> {
        let url = self.store.url.reveal();
        (!url.is_empty()).then(|| PostgresOptions {
            connections: self.store.connections,
            ..PostgresOptions::new(url)
        })
    }

    /// Where the database is that is a file.
    pub fn database_file(&self) -> PathBuf {
        SqliteOptions::new(&self.store.directory).database_file()
    }
}

/// The environment variables that can be settings: others of the prefix (LIVEWATT_CONFIG, or what
/// a container platform adds for a service of that name) are none.
fn variables() -> HashMap<String, String> {
    let text = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    text.filter(|(key, _)| key.contains("__")).collect()
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// Whether a text is of letters, digits and some other characters.
fn is_words(text: &str, others: &str) -> bool {
    let is_known = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
    !text.is_empty() && text.chars().all(is_known)
}

/// Refuses what is no list of NATS servers. What is refused may hold a password, so it is not shown.
fn check_nats_url(key: &str, text: &str) -> anyhow::Result<()> {
    for server in text.split(',').map(str::trim) {
        let is_known = Url::parse(server).is_ok_and(|url| {
            matches!(url.scheme(), "nats" | "tls") && url.host_str().is_some_and(|h| !h.is_empty())
        });
        if !is_known {
            bail!("{key} must be nats:// or tls:// addresses with commas between them");
        }
    }
    Ok(())
}

fn web_address(key: &str, text: &str) -> anyhow::Result<Url> {
    // Addresses are logged and shown, and so are these refusals: none may hold a password.
    if text.contains('@') {
        bail!("{key} must not contain a user name or password");
    }
    let url = Url::parse(text).with_context(|| format!("{key} is not a URL: {text}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        bail!("{key} must begin with http:// or https:// and name a host: {text}");
    }
    Ok(url)
}

fn seconds(count: u32) -> SignedDuration {
    SignedDuration::from_secs(count.into())
}
