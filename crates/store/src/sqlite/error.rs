//! What SQLite's errors mean to a caller.

use rusqlite::ffi;

use crate::error::StoreError;
pub(super) use crate::error::{copy, unusable};

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
