//! Typed identifiers: swapping two of them does not compile.
//!
//! Those made by us are UUIDs of version 7, so that newer ones sort later; those of the customer
//! ([`UserId`]) are strings taken as they come.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::entropy::Entropy;

/// A version 7 UUID of the given moment.
pub fn uuid_v7(now: Timestamp, entropy: &dyn Entropy) -> Uuid {
    let mut random = [0; 10];
    entropy.fill(&mut random);
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

macro_rules! uuid_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new identifier, ordered by `now`.
            pub fn new(now: Timestamp, entropy: &dyn Entropy) -> Self {
                Self(uuid_v7(now, entropy))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self)
            }
        }
    )*};
}

uuid_id! {
    /// A customer of this installation: the boundary of tenancy.
    ClientId;
    /// One linked vendor account of one user.
    AccountId;
    /// A device of any kind.
    DeviceId;
    /// A webhook subscription.
    WebhookId;
    /// One entry of the event log.
    EventId;
    /// One webhook delivery; the same on every retry of the same events.
    DeliveryId;
    /// A link or relink session.
    LinkSessionId;
    /// A charging session.
    ChargingSessionId;
    /// A place of an end user.
    LocationId;
    /// A command to a device, and what became of it.
    ActionId;
    /// A schedule of a device.
    ScheduleId;
    /// A plan of smart charging.
    PlanId;
    /// A home energy management system.
    HemSystemId;
}

/// The customer's own name for a user: any non-empty string.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
pub struct UserId(String);

/// Why a string is no user ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UserIdError {
    /// It has no characters.
    #[error("a user ID must not be empty")]
    Empty,
    /// It has more than [`UserId::MAX_BYTES`] bytes.
    #[error("a user ID must have at most {max} bytes", max = UserId::MAX_BYTES)]
    TooLong,
    /// It contains control characters, which no log or page could show.
    #[error("a user ID must not contain control characters")]
    Control,
}

impl UserId {
    /// Longest accepted ID, in bytes of UTF-8.
    pub const MAX_BYTES: usize = 256;

    /// The ID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UserId {
    type Error = UserIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() {
            Err(UserIdError::Empty)
        } else if text.len() > Self::MAX_BYTES {
            Err(UserIdError::TooLong)
        } else if text.chars().any(char::is_control) {
            Err(UserIdError::Control)
        } else {
            Ok(Self(text))
        }
    }
}

impl FromStr for UserId {
    type Err = UserIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.to_owned().try_into()
    }
}

impl From<UserId> for String {
    fn from(id: UserId) -> Self {
        id.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Number of partitions that accounts are spread over; fixed for the life of an installation.
pub const PARTITIONS: u16 = 256;

impl AccountId {
    /// The partition this account belongs to, in `0..PARTITIONS`: a hash of the ID that is the
    /// same on every machine and in every version.
    pub fn partition(self) -> u16 {
        partition_of(self.0)
    }
}

impl LocationId {
    /// The partition whose owner sees to it that devices are placed anew after a change.
    pub fn partition(self) -> u16 {
        partition_of(self.0)
    }
}

impl WebhookId {
    /// The partition whose owner delivers to this webhook, likewise.
    pub fn partition(self) -> u16 {
        partition_of(self.0)
    }
}

impl ClientId {
    /// The partition whose owner exports this client's log, likewise.
    pub fn partition(self) -> u16 {
        partition_of(self.0)
    }
}

/// FNV-1a: stable by definition, unlike the standard hasher.
fn partition_of(id: Uuid) -> u16 {
    let hash = id
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    ((hash >> 32) % u64::from(PARTITIONS)) as u16
}
