//! The three clouds. Each has its own routes, wire and errors; what they share is the gate every
//! request passes (`gate`) and the ways an answer can be spoilt (`spoil`).

pub(crate) mod gate;
pub(crate) mod helios;
pub(crate) mod login;
pub(crate) mod rivoli;
pub(crate) mod spoil;
pub(crate) mod volta;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::control::types::DeviceKind;

/// One of the clouds of the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cloud {
    /// Vehicles and wall chargers; OAuth2, one call, push.
    Volta,
    /// Vehicles; password, a call per car, quotas.
    Rivoli,
    /// Home energy; password, a call per site.
    Helios,
}

impl Cloud {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Volta, Self::Rivoli, Self::Helios];

    /// Its name in paths and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Cloud::Volta => "volta",
            Cloud::Rivoli => "rivoli",
            Cloud::Helios => "helios",
        }
    }

    pub(crate) fn account_series(self) -> &'static str {
        match self {
            Cloud::Volta => "va",
            Cloud::Rivoli => "ra",
            Cloud::Helios => "ha",
        }
    }

    pub(crate) fn sells(self, kind: DeviceKind) -> bool {
        match self {
            Cloud::Volta => matches!(kind, DeviceKind::Vehicle | DeviceKind::Wallbox),
            Cloud::Rivoli => kind == DeviceKind::Vehicle,
            Cloud::Helios => kind == DeviceKind::Site,
        }
    }

    /// Status and body of a refusal in this cloud's own words.
    fn refuse(self, refusal: &Refusal) -> (u16, Value) {
        match self {
            Cloud::Volta => volta::refuse(refusal),
            Cloud::Rivoli => rivoli::refuse(refusal),
            Cloud::Helios => helios::refuse(refusal),
        }
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a cloud does not do what it was asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Refusal {
    /// No token, or a dead one.
    Unauthorized,
    /// A wrong name or password, or a dead refresh token.
    BadLogin,
    /// An OAuth error of the token endpoint, with its status.
    OAuth(u16, &'static str),
    NotFound,
    Invalid(&'static str),
    /// The caller did not name its app.
    MissingApp,
    /// A device that takes no commands, or not from this app.
    Forbidden(&'static str),
    /// A device the cloud cannot reach.
    Unreachable(&'static str),
    /// Too many calls; seconds to wait.
    TooMany(u32),
    /// The cloud itself is broken, with this status.
    Broken(u16),
}
