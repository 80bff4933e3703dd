//! What can go wrong with a database, by what the caller can do about it.

/// Result of a database operation.
pub type StoreResult<T> = Result<T, StoreError>;

/// Why a database operation failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else changed the row since it was read, or deleted what it hangs on: read again and
    /// decide again.
    #[error("the row was changed by somebody else")]
    Conflict,
    /// Another owner has taken the partition: stop writing for it.
    #[error("partition {partition} has a newer owner")]
    Fenced {
        /// The partition.
        partition: u16,
    },
    /// A row with the same key exists.
    #[error("it exists already")]
    Duplicate,
    /// The disk is full: nothing was written.
    #[error("the disk is full")]
    DiskFull,
    /// The database was written by a newer version of Livewatt.
    #[error(
        "the database has schema version {found}, this program knows up to {known}; use the newer program"
    )]
    NewerSchema {
        /// Version found.
        found: i64,
        /// Newest version known.
        known: i64,
    },
    /// The file is no database or is damaged.
    #[error("the database is damaged or not a database")]
    Damaged(#[source] BoxError),
    /// The database cannot be opened, read or written to.
    #[error("the database cannot be {action}")]
    Unusable {
        /// What was tried: `opened`, `used`, `written`.
        action: &'static str,
        /// Why not.
        #[source]
        source: BoxError,
    },
    /// A stored value does not have the form this program writes.
    #[error("a stored {what} cannot be read")]
    Unreadable {
        /// Which.
        what: &'static str,
        /// Why not.
        #[source]
        source: BoxError,
    },
    /// The store is shutting down.
    #[error("the database is closed")]
    Closed,
}

/// Any error, as a cause.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The same failure for another caller, since the cause cannot be shared.
pub(crate) fn copy(error: &StoreError) -> StoreError {
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
pub(crate) fn unusable<E: Into<BoxError>>(action: &'static str) -> impl FnOnce(E) -> StoreError {
    move |source| StoreError::Unusable {
        action,
        source: source.into(),
    }
}
