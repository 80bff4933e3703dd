//! What PostgreSQL's errors mean to a caller.

use sqlx::Error;

use crate::error::StoreError;

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code());
        match code.as_deref() {
            // What the row hangs on is gone: whoever deleted it was faster.
            Some("23503") => Self::Conflict,
            Some("23505") => Self::Duplicate,
            Some("53100") => Self::DiskFull,
            Some("XX001" | "XX002") => Self::Damaged(error.into()),
            _ if matches!(error, Error::PoolClosed) => Self::Closed,
            _ => Self::Unusable {
                action: "used",
                source: error.into(),
            },
        }
    }
}

/// Whether a transaction failed for what was in it, so that without some of it, it may succeed:
/// the server answered, and it is not itself in trouble.
pub(super) fn is_about_the_content(error: &StoreError) -> bool {
    match error {
        StoreError::Conflict
        | StoreError::Duplicate
        | StoreError::Fenced { .. }
        | StoreError::Unreadable { .. } => true,
        StoreError::Unusable { source, .. } => match source.downcast_ref::<Error>() {
            // Constraints and values; deadlocks; a row that somebody holds for long.
            Some(Error::Database(error)) => error.code().is_some_and(|code| {
                ["22", "23", "40", "54"]
                    .iter()
                    .any(|class| code.starts_with(class))
                    || code == "55P03"
            }),
            Some(Error::Encode(_)) => true,
            Some(_) => false,
            None => source.downcast_ref::<serde_json::Error>().is_some(),
        },
        StoreError::DiskFull
        | StoreError::NewerSchema { .. }
        | StoreError::Damaged(_)
        | StoreError::Closed => false,
    }
}

/// Whether the server gave up a transaction to end a deadlock; it may succeed when tried again.
pub(super) fn is_deadlock(error: &StoreError) -> bool {
    let StoreError::Unusable { source, .. } = error else {
        return false;
    };
    match source.downcast_ref::<Error>() {
        Some(Error::Database(error)) => error.code().as_deref() == Some("40P01"),
        _ => false,
    }
}
