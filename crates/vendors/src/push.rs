//! What vendors tell us without being asked.

use jiff::Timestamp;
use livewatt_domain::fact::Observation;

/// What a push said about one account.
#[derive(Debug, Clone, PartialEq)]
pub struct PushBatch {
    /// The vendor's identifier of the account.
    pub vendor_account_id: String,
    /// What was said about devices.
    pub observations: Vec<Observation>,
    /// Devices came or went: list the account soon. Acknowledged without being stored: where that
    /// is lost by a kill, the first fetch after the start lists all the same.
    pub wants_listing: bool,
}

/// Why a push was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// It is not signed as it should be, or too old.
    #[error("the signature is missing, wrong or too old")]
    Unverified,
    /// It makes no sense.
    #[error("the payload is not understood: {0}")]
    Malformed(String),
}

/// Understands a vendor's pushes.
pub trait PushIntake: Send + Sync {
    /// Verifies and reads a delivery. `header` looks up a header by lower-case name; `body` is what
    /// arrived, to the byte.
    ///
    /// # Errors
    /// If the signature is not right, or the payload makes no sense.
    fn read(
        &self,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Vec<PushBatch>, PushError>;
}
