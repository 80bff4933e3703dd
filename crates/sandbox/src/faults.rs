//! Faults: what can be made to go wrong, for whom and when. A fault only says; the places that
//! answer (`clouds::gate`), send (`push`), obey (`world::orders`) or freeze (`world`) ask.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ControlError,
    clock::{Millis, timestamp},
    clouds::Cloud,
};

/// What goes wrong. README has the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// Devices are lost to their cloud.
    Offline,
    /// 429 for every request.
    RateLimited {
        /// Value of `Retry-After`, seconds.
        #[serde(default = "defaults::retry_after")]
        retry_after_seconds: u32,
    },
    /// An error status for every request.
    ServerError {
        /// 500–599.
        #[serde(default = "defaults::status")]
        status: u16,
    },
    /// No answer.
    Hang {
        /// Real seconds; `None`: until the fault is over or dropped.
        #[serde(default)]
        seconds: Option<f64>,
    },
    /// A late answer.
    Slow {
        /// Real milliseconds.
        #[serde(default = "defaults::latency")]
        latency_ms: u64,
    },
    /// Tokens are refused, and so is refreshing.
    DeadToken,
    /// 200 with a body that is not what it should be.
    Garbage {
        /// How it is wrong.
        variant: Garbage,
    },
    /// 200 with the data frozen as of the start of the fault.
    Stale,
    /// The cloud's own clock is wrong.
    ClockSkew {
        /// How far ahead, seconds; negative: behind.
        #[serde(default = "defaults::skew")]
        seconds: i64,
    },
    /// The device of the scope is missing from an answer.
    ListingWithoutDevice,
    /// Each push is sent twice.
    DuplicatePush,
    /// Every other push is held back and sent after the next.
    OutOfOrderPush,
    /// Pushes are never sent.
    LostPush,
    /// Commands are accepted and never obeyed.
    CommandIgnored,
    /// Commands are said to be done at once, and are never obeyed.
    CommandLied,
    /// Commands are obeyed late.
    CommandSlow {
        /// Virtual seconds on top of the usual delay.
        #[serde(default = "defaults::command_delay")]
        seconds: i64,
    },
}

impl FaultKind {
    /// Its name in scripts.
    pub fn name(&self) -> &'static str {
        match self {
            FaultKind::Offline => "offline",
            FaultKind::RateLimited { .. } => "rate_limited",
            FaultKind::ServerError { .. } => "server_error",
            FaultKind::Hang { .. } => "hang",
            FaultKind::Slow { .. } => "slow",
            FaultKind::DeadToken => "dead_token",
            FaultKind::Garbage { .. } => "garbage",
            FaultKind::Stale => "stale",
            FaultKind::ClockSkew { .. } => "clock_skew",
            FaultKind::ListingWithoutDevice => "listing_without_device",
            FaultKind::DuplicatePush => "duplicate_push",
            FaultKind::OutOfOrderPush => "out_of_order_push",
            FaultKind::LostPush => "lost_push",
            FaultKind::CommandIgnored => "command_ignored",
            FaultKind::CommandLied => "command_lied",
            FaultKind::CommandSlow { .. } => "command_slow",
        }
    }
}

/// How a garbage answer is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Garbage {
    /// JSON that stops in the middle.
    CutJson,
    /// A maintenance page.
    Html,
    /// Well-formed JSON with strings for numbers and so on; identifiers stay.
    WrongTypes,
    /// Well-formed JSON with numbers beyond belief; identifiers stay.
    AbsurdNumbers,
    /// Vendor times ten years ahead.
    FarFuture,
    /// 50 MB of JSON, streamed.
    HugeBody,
    /// Nothing.
    Empty,
}

/// A fault as it is asked for. Neither account nor device: the whole cloud.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FaultSpec {
    /// What goes wrong.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// Account id or user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Device id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Virtual time of the start; `None`: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Virtual time of the end; `None`: until dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Stands for `from`: virtual seconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_seconds: Option<i64>,
    /// Stands for `until`: virtual seconds from the start of the fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_seconds: Option<i64>,
    /// How many requests, pushes or commands it strikes; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Names of the endpoints it strikes; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<String>>,
}

impl FaultSpec {
    /// A fault of a whole cloud, from now until it is dropped.
    pub fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            account: None,
            device: None,
            from: None,
            until: None,
            after_seconds: None,
            for_seconds: None,
            times: None,
            endpoints: None,
        }
    }

    /// Narrows it to an account (id or user name).
    #[must_use]
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Narrows it to a device.
    #[must_use]
    pub fn device(mut self, device: impl Into<String>) -> Self {
        self.device = Some(device.into());
        self
    }

    /// Narrows it to so many strikes.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Narrows it to some endpoints.
    #[must_use]
    pub fn endpoints(mut self, endpoints: &[&str]) -> Self {
        self.endpoints = Some(endpoints.iter().map(|&name| name.into()).collect());
        self
    }
}

/// One line of a fault script.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScriptEntry {
    /// The cloud it happens to.
    pub cloud: Cloud,
    /// What happens.
    #[serde(flatten)]
    pub fault: FaultSpec,
}

/// A fault as it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FaultInfo {
    /// Its id, for dropping it.
    pub id: String,
    /// The cloud it happens to.
    pub cloud: Cloud,
    /// Whether it strikes now.
    pub active: bool,
    /// How often it struck a request, push or command.
    pub hits: u64,
    /// What was asked for, with times resolved.
    #[serde(flatten)]
    pub spec: FaultSpec,
}

#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) id: String,
    pub(crate) cloud: Cloud,
    pub(crate) spec: FaultSpec,
    from: Millis,
    until: Option<Millis>,
    pub(crate) hits: u64,
}

impl Fault {
    pub(crate) fn new(id: String, entry: ScriptEntry, now: Millis) -> Result<Self, ControlError> {
        let ScriptEntry {
            cloud,
            fault: mut spec,
        } = entry;
        check(&mut spec)?;
        let from = match (spec.from, spec.after_seconds) {
            (Some(from), _) => from.as_millisecond(),
            (None, after) => now.saturating_add(after.unwrap_or(0).saturating_mul(1000)),
        };
        let until = match (spec.until, spec.for_seconds) {
            (Some(until), _) => Some(until.as_millisecond()),
            (None, lasts) => lasts.map(|s| from.saturating_add(s.saturating_mul(1000))),
        };
        spec.from = Some(timestamp(from.div_euclid(1000)));
        spec.until = until.map(|until| timestamp(until.div_euclid(1000)));
        (spec.after_seconds, spec.for_seconds) = (None, None);
        Ok(Self {
            id,
            cloud,
            spec,
            from,
            until,
            hits: 0,
        })
    }

    /// Whether its time is now, strikes left or not.
    pub(crate) fn lasts(&self, now: Millis) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }

    pub(crate) fn is_active(&self, now: Millis) -> bool {
        let left = self
            .spec
            .times
            .is_none_or(|times| self.hits < u64::from(times));
        left && self.lasts(now)
    }

    pub(crate) fn strikes_endpoint(&self, endpoint: &str) -> bool {
        self.spec
            .endpoints
            .as_ref()
            .is_none_or(|all| all.iter().any(|name| name == endpoint))
    }

    /// Whether an account is in scope, whatever the device.
    pub(crate) fn covers_account(&self, cloud: Cloud, id: &str, username: &str) -> bool {
        self.cloud == cloud
            && self
                .spec
                .account
                .as_deref()
                .is_none_or(|name| name == id || name == username)
    }

    pub(crate) fn info(&self, now: Millis) -> FaultInfo {
        FaultInfo {
            id: self.id.clone(),
            cloud: self.cloud,
            active: self.is_active(now),
            hits: self.hits,
            spec: self.spec.clone(),
        }
    }
}

fn check(spec: &mut FaultSpec) -> Result<(), ControlError> {
    match &spec.kind {
        FaultKind::ServerError { status } if !(500..=599).contains(status) => {
            Err(ControlError::invalid("status must be 500 to 599"))
        }
        FaultKind::Hang { seconds: Some(s) }
            if !(s.is_finite() && (0.0..=86_400.0).contains(s)) =>
        {
            Err(ControlError::invalid("seconds must be 0 to 86400"))
        }
        FaultKind::ListingWithoutDevice if spec.device.is_none() => {
            Err(ControlError::invalid("listing_without_device needs device"))
        }
        FaultKind::ListingWithoutDevice => {
            spec.times = Some(spec.times.unwrap_or(1));
            Ok(())
        }
        _ => Ok(()),
    }
}

mod defaults {
    pub(super) fn retry_after() -> u32 {
        60
    }
    pub(super) fn status() -> u16 {
        503
    }
    pub(super) fn latency() -> u64 {
        1_000
    }
    pub(super) fn skew() -> i64 {
        3_600
    }
    pub(super) fn command_delay() -> i64 {
        300
    }
}
