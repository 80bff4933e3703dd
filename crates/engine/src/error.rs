//! What can go wrong in a use case, by who must act. Outside message and inside cause are apart:
//! only [`EngineError::Internal`] has a cause, and it is for the log alone.

use livewatt_domain::{SignedDuration, action::Refusal, scope::Scope};
use livewatt_store::StoreError;

/// Result of a use case.
pub type EngineResult<T> = Result<T, EngineError>;

/// One thing that is wrong with an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Dotted path of the field.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl Issue {
    /// An issue of a field.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
        }
    }
}

/// Why a use case did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The input is wrong; the caller must change it.
    #[error("the input is not valid")]
    Invalid(Vec<Issue>),
    /// The webhook input is wrong, or there is one with this URL already.
    #[error("the webhook input is not valid")]
    InvalidWebhook(Vec<Issue>),
    /// What was asked for cannot be done in the present state.
    #[error("{detail}")]
    Precondition {
        /// What and why, for the caller.
        detail: String,
    },
    /// There is no such user in this client.
    #[error("could not find user with ID {0}")]
    UserNotFound(String),
    /// There is no such device in this client.
    #[error("the requested asset was not found")]
    DeviceNotFound,
    /// There is no such action in this client.
    #[error("could not find action {0}")]
    ActionNotFound(String),
    /// There is no such schedule in this client.
    #[error("could not find schedule {0}")]
    ScheduleNotFound(String),
    /// The vehicle has no such plan of smart charging.
    #[error("could not find smart charging plan {0}")]
    PlanNotFound(String),
    /// No smart override of the device is active.
    #[error("no smart override is active")]
    NoOverride,
    /// The user has not granted what would permit it: this scope, or none that there is.
    #[error("the user has not granted control of the device")]
    ScopeMissing(Option<Scope>),
    /// The device cannot be told that, or not now.
    #[error("{refusal}")]
    ActionRefused {
        /// Why not.
        refusal: Refusal,
        /// The field that is to blame, if it is the wish and not the device.
        issues: Vec<Issue>,
    },
    /// There is no such Location in this client.
    #[error("could not find location {0}")]
    LocationNotFound(String),
    /// There is no such tariff in this client.
    #[error("could not find tariff {0}")]
    TariffNotFound(String),
    /// There is no such intervention.
    #[error("could not find intervention {0}")]
    InterventionNotFound(String),
    /// There is no such webhook in this client.
    #[error("could not find webhook {0}")]
    WebhookNotFound(String),
    /// The vendor has nothing to tell about a HEM system in the interval, or cannot be asked.
    #[error("statistics are not available for this HEM system at the requested interval")]
    StatisticsNotAvailable,
    /// The vendor, who alone knows, does not answer now.
    #[error("the vendor does not answer now")]
    VendorUnavailable {
        /// When it may.
        retry_after: SignedDuration,
    },
    /// The client may not link more accounts.
    #[error("the client's number of connections is used up")]
    ConnectionLimit,
    /// The link session does not exist, is over, or was used.
    #[error("the link session cannot be used")]
    LinkSession(LinkSessionProblem),
    /// Something of ours failed; the cause is for the log.
    #[error("{what}")]
    Internal {
        /// What failed.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why a link session cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkSessionProblem {
    /// There is none with this token.
    Unknown,
    /// Its 24 hours are over.
    Expired,
    /// It was used: an account was linked by it.
    Used,
}

impl EngineError {
    /// A failure of ours.
    pub fn internal(
        what: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Internal {
            what,
            source: source.into(),
        }
    }

    /// Whether the database failed, or the right to write to it, and the same may succeed later. The
    /// store has told of it by itself: at once, and then now and then.
    pub fn is_of_store(&self) -> bool {
        matches!(self, Self::Internal { source, .. } if matches!(
            source.downcast_ref(),
            Some(
                StoreError::DiskFull
                    | StoreError::Unusable { .. }
                    | StoreError::Closed
                    | StoreError::Fenced { .. }
            )
        ))
    }

    /// Whether a vendor does not tell what was asked, now or ever.
    pub(crate) const fn is_about_the_vendor(&self) -> bool {
        matches!(
            self,
            Self::StatisticsNotAvailable | Self::VendorUnavailable { .. }
        )
    }

    /// Whether what was decided on has changed since it was read.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Internal { source, .. } if matches!(
            source.downcast_ref(),
            Some(StoreError::Conflict)
        ))
    }

    /// Whether a row with the same key exists.
    pub(crate) fn is_duplicate(&self) -> bool {
        matches!(self, Self::Internal { source, .. } if matches!(
            source.downcast_ref(),
            Some(StoreError::Duplicate)
        ))
    }

    /// Whether another node has the right to write.
    pub(crate) fn is_fenced(&self) -> bool {
        matches!(self, Self::Internal { source, .. } if matches!(
            source.downcast_ref(),
            Some(StoreError::Fenced { .. })
        ))
    }

    /// An input with one thing wrong.
    pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![Issue::new(path, message)])
    }
}

impl From<Refusal> for EngineError {
    fn from(refusal: Refusal) -> Self {
        let issues = match &refusal {
            Refusal::Current | Refusal::OperationMode | Refusal::Temperature(_) => {
                let field = refusal.field().unwrap_or_default();
                vec![Issue::new(field, refusal.to_string())]
            }
            _ => Vec::new(),
        };
        Self::ActionRefused { refusal, issues }
    }
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        Self::internal("the database operation failed", error)
    }
}

/// An error with its causes in one line, for the log.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}
