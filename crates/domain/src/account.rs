//! A linked vendor account: the unit of linking and of polling.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    id::{AccountId, ClientId, UserId},
    kind::DeviceKind,
    scope::Scope,
    vendor::VendorName,
};

/// Whether an account can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AccountStatus {
    /// The vendor accepts our credentials, as far as we know.
    Active,
    /// The vendor refused our credentials for good; the user must relink. Not polled.
    Invalidated,
    /// The customer had the credentials deleted; silent until linked again.
    Deauthorized,
}

/// One kind of device that an account holds under one vendor name. An account of a maker of many
/// things has several.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkedVendor {
    /// The vendor.
    pub vendor: VendorName,
    /// The kind of device.
    pub kind: DeviceKind,
}

/// A linked vendor account of one user.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// Identifier.
    pub id: AccountId,
    /// The customer.
    pub client_id: ClientId,
    /// The end user.
    pub user_id: UserId,
    /// Which integration reads it (`vendors` crate's name).
    pub integration: String,
    /// The vendor's own identifier of the account; links to the same one are one account.
    pub vendor_account_id: String,
    /// What is linked of it.
    pub linked: Vec<LinkedVendor>,
    /// What the user consented to.
    pub scopes: Vec<Scope>,
    /// Whether it can be used.
    pub status: AccountStatus,
    /// When it was first linked.
    pub created_at: Timestamp,
    /// When all its devices were last listed.
    pub listed_at: Option<Timestamp>,
    /// Version of the stored credentials; rises with each refresh, so that a crash between
    /// refreshing and using shows.
    pub credentials_version: u64,
}

impl Account {
    /// The vendor name under which devices of `kind` are shown.
    pub fn vendor_of(&self, kind: DeviceKind) -> Option<&VendorName> {
        self.linked
            .iter()
            .find(|linked| linked.kind == kind)
            .map(|linked| &linked.vendor)
    }
}

/// What set off an attempt to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Trigger {
    /// It was due.
    Schedule,
    /// A refresh hint, or a command to one of the devices, brought it forward.
    RefreshHint,
    /// The account was just linked.
    Link,
    /// The vendor pushed.
    Push,
}

/// How an attempt to fetch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum AttemptOutcome {
    /// All that was asked was answered.
    Ok,
    /// The vendor no longer accepts the login, and it could not be refreshed now.
    LoginExpired,
    /// The vendor told us to wait.
    RateLimited,
    /// A budget of ours is used up; nothing was sent.
    OverBudget,
    /// No answer, or an answer that the vendor is not well.
    Unreachable,
    /// An answer that makes no sense.
    Malformed,
    /// The vendor refuses for a reason that is not the user's.
    Refused,
    /// The vendor has stopped answering everybody and is left in peace; nothing was sent.
    VendorPaused,
    /// The credentials are dead.
    CredentialsInvalid,
    /// Its devices come to us; it was looked whether they are here.
    Watched,
    /// The account is not fetched any more.
    NotPolled,
    /// Something failed on our side.
    Internal,
}

impl AttemptOutcome {
    /// One word for logs and metrics: the same as on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::LoginExpired => "loginExpired",
            Self::RateLimited => "rateLimited",
            Self::OverBudget => "overBudget",
            Self::Unreachable => "unreachable",
            Self::Malformed => "malformed",
            Self::Refused => "refused",
            Self::VendorPaused => "vendorPaused",
            Self::CredentialsInvalid => "credentialsInvalid",
            Self::Watched => "watched",
            Self::NotPolled => "notPolled",
            Self::Internal => "internal",
        }
    }
}

/// One attempt to fetch an account's data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// When it began.
    #[serde(serialize_with = "crate::time::serialize")]
    pub at: Timestamp,
    /// What set it off.
    pub trigger: Trigger,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// How long it took, ms of real time.
    pub duration_ms: u64,
}

/// When an account is next fetched and why then: what must survive a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountSchedule {
    /// When the next fetch is due; `None` while nothing is polled.
    pub due_at: Option<Timestamp>,
    /// Failures in a row.
    pub failures: u32,
    /// The vendor told us not to come before this.
    pub not_before: Option<Timestamp>,
    /// The newest attempts, newest first.
    pub attempts: Vec<Attempt>,
}

impl AccountSchedule {
    /// Attempts kept for people to look at.
    pub const KEPT_ATTEMPTS: usize = 5;

    /// A schedule of an account never fetched.
    pub const fn new(due_at: Option<Timestamp>) -> Self {
        Self {
            due_at,
            failures: 0,
            not_before: None,
            attempts: Vec::new(),
        }
    }

    /// Remembers an attempt.
    pub fn note(&mut self, attempt: Attempt) {
        self.attempts.insert(0, attempt);
        self.attempts.truncate(Self::KEPT_ATTEMPTS);
    }
}
