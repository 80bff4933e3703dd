//! A copy of a database, made while a server uses it.
//!
//! The copy is of one moment: that at which copying began. It is read through a connection of its
//! own that waits for nobody and holds up nobody, but as long as it reads, the write-ahead log
//! cannot be cut. The copy has its name only once it was found sound and is on the disk.
//!
//! In the copy the log leaves a gap for what happens after that moment, as
//! [`Store::skip_positions`](crate::Store::skip_positions) explains, so it can be put back as it is.

use std::{
    fs::{self, DirBuilder, File},
    io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags};

use super::{
    SqliteOptions, log,
    open::{self, opening},
    statement::{execute, query_all, query_one},
};
use crate::error::{StoreError, StoreResult, unusable};

/// Complaints about a copy that are repeated.
const MOST_COMPLAINTS: u32 = 10;

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The file.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// The setting that tells whether keys are the right ones.
    pub key_check: Option<String>,
}

impl Backup {
    /// Copies the database of `options` to the directory `to`, which is made and must not be there.
    /// `key_check` is the name of the setting to return. Blocks, for as long as the disk takes.
    ///
    /// # Errors
    /// - [`StoreError::Unusable`] if `to` exists or cannot be made, or the database cannot be read.
    /// - [`StoreError::Damaged`] if the database is none of ours, or the copy is not sound.
    /// - [`StoreError::NewerSchema`] if a newer version of Livewatt has written it.
    /// - [`StoreError::DiskFull`] if there is no space for the copy.
    ///
    /// After an error nothing is left of the copy.
    pub fn make(options: &SqliteOptions, to: &Path, key_check: &str) -> StoreResult<Self> {
        let from = open::connect(&options.database_file(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        open::schema_version(&from)?;
        let copied = |error: io::Error| unusable("copied")(format!("{}: {error}", to.display()));
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(to).map_err(copied)?;
        let made = Self::copy(&from, to, key_check, copied);
        if made.is_err() {
            // Made above, so all that is in it is ours.
            let _ = fs::remove_dir_all(to);
        }
        made
    }

    fn copy(
        from: &Connection,
        to: &Path,
        key_check: &str,
        copied: impl Fn(io::Error) -> StoreError + Copy,
    ) -> StoreResult<Self> {
        let part = to.join("livewatt.db.part");
        // Made here, for the permissions; what is empty is written to.
        drop(open::private_file(&part).map_err(copied)?);
        let name = part.to_str().ok_or_else(|| {
            copied(io::Error::new(
                io::ErrorKind::InvalidFilename,
                "the path is not UTF-8",
            ))
        })?;
        execute(from, "vacuum into ?", [name])?;
        let copy = open::connect(&part, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        log::skip_positions(&copy)?;
        check(&copy)?;
        let sql = "select value from settings where name = ?";
        let key_check = query_one(&copy, sql, [key_check], |columns| columns.take())?;
        copy.close().map_err(|(_, error)| opening(error))?;
        let file = SqliteOptions::new(to).database_file();
        let sync = |path: &Path| File::open(path).and_then(|file| file.sync_all());
        sync(&part).map_err(copied)?;
        fs::rename(&part, &file).map_err(copied)?;
        sync(to).map_err(copied)?;
        // "" is the parent of a name without any other part.
        let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync(parent.unwrap_or(Path::new("."))).map_err(copied)?;
        Ok(Self {
            bytes: fs::metadata(&file).map_err(copied)?.len(),
            file,
            key_check,
        })
    }
}

/// Reads all of a copy and fails if anything is wrong with it.
fn check(copy: &Connection) -> StoreResult<()> {
    let sql = format!("pragma integrity_check({MOST_COMPLAINTS})");
    let mut complaints = query_all(copy, &sql, [], |columns| columns.take::<String>())?;
    complaints.retain(|line| line != "ok");
    if complaints.is_empty() {
        return Ok(());
    }
    Err(StoreError::Damaged(complaints.join("; ").into()))
}
