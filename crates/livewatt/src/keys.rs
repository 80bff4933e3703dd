//! The file with the keys of the vault.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use anyhow::{Context as _, bail};
use livewatt_engine::{SystemEntropy, Vault};

/// Reads the keys of a file; makes the file with a new key if there is none and no `database` either.
///
/// # Errors
/// If the file cannot be read or made, holds no key, or is missing though there is a database.
pub fn read_or_make(path: &Path, database: &Path) -> anyhow::Result<Vault> {
    match fs::read_to_string(path) {
        Ok(text) => Vault::from_text(&text).with_context(|| format!("key file {}", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound && database.exists() => bail!(
            "the key file {} is missing, and without it the secrets in {} cannot be read; put your \
             copy of it back, or name its place with secrets.key_file",
            path.display(),
            database.display()
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => make(path),
        Err(error) => {
            Err(error).with_context(|| format!("cannot read the key file {}", path.display()))
        }
    }
}

fn make(path: &Path) -> anyhow::Result<Vault> {
    if let Some(directory) = path.parent() {
        // As the store would: with access for the owner only.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
    }
    let key = Vault::generate_key(&SystemEntropy);
    // Only the owner may read it, and an existing file is never replaced.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot create the key file {}", path.display()))?;
    writeln!(file, "{}", *key)
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write the key file {}", path.display()))?;
    tracing::info!(path = %path.display(), "made a new key for secrets at rest; keep a copy of it");
    Ok(Vault::from_text(&key)?)
}
