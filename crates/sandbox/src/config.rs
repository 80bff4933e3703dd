//! What a sandbox is started with.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::faults::ScriptEntry;

/// How a sandbox starts. The default: a manual clock at 2026-03-02 06:00 UTC (a Monday), seed 1,
/// the default OAuth app, no accounts, no faults.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Seed of everything that looks random. The same seed and the same calls give the same days.
    pub seed: u64,
    /// Virtual time at the start.
    pub start: Timestamp,
    /// Virtual seconds per real second, 0–10,000. 0: the clock moves only by `advance` and `set_now`.
    pub speed: f64,
    /// Apps that may send users to the volta login page.
    pub clients: Vec<OAuthClient>,
    /// Make one account with easy credentials in each cloud.
    pub demo_accounts: bool,
    /// Faults from the start; their times count from `start`.
    pub script: Vec<ScriptEntry>,
    /// Calls the rivoli cloud allows to one app (all accounts together) in any 10 minutes.
    pub rivoli_app_quota: u32,
    /// Keep a record of every answer until it is taken (`Sandbox::take_answers`).
    pub record_answers: bool,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            start: Timestamp::constant(1_772_431_200, 0),
            speed: 0.0,
            clients: vec![OAuthClient::default()],
            demo_accounts: false,
            script: Vec::new(),
            rivoli_app_quota: 20_000,
            record_answers: false,
        }
    }
}

/// An app registered with the volta cloud.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OAuthClient {
    /// Public identifier.
    pub client_id: String,
    /// Secret, also the key of push signatures.
    pub client_secret: String,
    /// The name the login page shows.
    pub name: String,
    /// Redirect addresses allowed, exactly. Empty: any `http` loopback address.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
}

impl Default for OAuthClient {
    fn default() -> Self {
        Self {
            client_id: "livewatt-sandbox".into(),
            client_secret: "sandbox-secret".into(),
            name: "Livewatt".into(),
            redirect_uris: Vec::new(),
        }
    }
}
