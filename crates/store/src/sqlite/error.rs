//! What SQLite's errors mean to a caller.

use rusqlite::ffi;

use crate::error::{BoxError, StoreError};

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error
            .sqlite_error()
            .map(|error| (error.code, error.extended_code))
        {
            Some((rusqlite::ErrorCode::DiskFull, _)) => Self::DiskFull,
            Some((rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase, _)) => {
                Self::Damaged(error.into())
            }
            // What the row hangs on is gone: whoever deleted it was faster.
            Some((_, ffi::SQLITE_CONSTRAINT_FOREIGNKEY)) => Self::Conflict,
            Some((_, ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY)) => {
                Self::Duplicate
            }
            _ => Self::Unusable {
                action: "used",
                source: error.into(),
            },
        }
    }
}

/// The same failure for another caller, since the cause cannot be shared.
pub(super) fn copy(error: &StoreError) -> StoreError {
    let text = |source: &BoxError| BoxError::from(source.to_string());
    match error {
        StoreError::Conflict => StoreError::Conflict,
        StoreError::Fenced { partition } => StoreError::Fenced {
            partition: *partition,
        },
        StoreError::Duplicate => StoreError::Duplicate,
        StoreError::DiskFull => StoreError::DiskFull,
        StoreError::NewerSchema { found, known } => StoreError::NewerSchema {
            found: *found,
            known: *known,
        },
        StoreError::Damaged(source) => StoreError::Damaged(text(source)),
        StoreError::Unusable { action, source } => StoreError::Unusable {
            action,
            source: text(source),
        },
        StoreError::Unreadable { what, source } => StoreError::Unreadable {
            what,
            source: text(source),
        },
        StoreError::Closed => StoreError::Closed,
    }
}

/// Turns any cause into "the database cannot be …".
pub(super) fn unusable<E: Into<BoxError>>(action: &'static str) -> impl FnOnce(E) -> StoreError {
    move |source| StoreError::Unusable {
        action,
        source: source.into(),
    }
}
