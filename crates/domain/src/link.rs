//! Link sessions: how an end user connects a vendor account.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    id::{AccountId, ClientId, LinkSessionId, UserId},
    kind::DeviceKind,
    scope::{Ability, Scope},
    vendor::VendorName,
};

/// How long a session can be used.
pub const SESSION_LIFETIME: SignedDuration = SignedDuration::from_hours(24);

/// Where a session stands. Moves only forwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum LinkState {
    /// The user has not finished.
    Open,
    /// The user is waiting for a device to come by itself; the account exists already.
    Waiting {
        /// The account.
        account: AccountId,
    },
    /// An account was linked; the session cannot be used again.
    Done {
        /// The account.
        account: AccountId,
    },
}

/// What a user agreed to and where they stand; lives between two page views.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LinkProgress {
    /// The user read the introduction and consented.
    pub consented: bool,
    /// The vendor chosen.
    pub vendor: Option<VendorName>,
    /// The integration chosen with it.
    pub integration: Option<String>,
    /// The adapter's own memory of a sign-in under way, sealed.
    pub sign_in: Option<String>,
}

/// A link or relink session.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkSession {
    /// Identifier.
    pub id: LinkSessionId,
    /// The customer that asked for it.
    pub client_id: ClientId,
    /// The user it is for.
    pub user_id: UserId,
    /// What to ask consent for.
    pub scopes: Vec<Scope>,
    /// Language of the pages, `browser` or a tag like `en-US`.
    pub language: String,
    /// Where the browser goes at the end.
    pub redirect_uri: String,
    /// `system`, `light` or `dark`.
    pub color_scheme: String,
    /// Skips the choice of a vendor.
    pub vendor: Option<VendorName>,
    /// Restricts the choice to one kind of device.
    pub kind: Option<DeviceKind>,
    /// The account to be linked again, if this is a relink session.
    pub relink: Option<AccountId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Where it stands.
    pub state: LinkState,
    /// How far the user has come.
    pub progress: LinkProgress,
}

impl LinkSession {
    /// When it ceases to be usable.
    pub fn expires_at(&self) -> Timestamp {
        self.created_at
            .saturating_add(SESSION_LIFETIME)
            .unwrap_or(Timestamp::MAX)
    }

    /// The kinds that may be linked: those whose data may be read, of the restriction if any.
    pub fn kinds(&self) -> Vec<DeviceKind> {
        linkable_kinds(&self.scopes, self.kind)
    }
}

/// The kinds that `scopes` permit to link.
pub fn linkable_kinds(scopes: &[Scope], only: Option<DeviceKind>) -> Vec<DeviceKind> {
    DeviceKind::ALL
        .into_iter()
        .filter(|kind| only.is_none_or(|only| only == *kind))
        .filter(|kind| {
            scopes
                .iter()
                .any(|scope| scope.kind() == *kind && scope.ability() == Ability::ReadData)
        })
        .collect()
}
