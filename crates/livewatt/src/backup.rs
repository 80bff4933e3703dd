//! `livewatt backup` and `livewatt mark-restored`: a copy of the database in a directory, and what a
//! database must be told that was put back to an older state.
//!
//! The copy is a directory that a server can be started on, once the key is in it too.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Args;
use livewatt_engine::Vault;
use livewatt_store::{Backup, SqliteOptions};

use crate::{config::Settings, serve::open_store, telemetry, terminal::say};

/// What `livewatt backup` is asked.
#[derive(Debug, Clone, Args)]
pub struct BackupArgs {
    /// Directory to make for the copy; it must not be there.
    pub to: PathBuf,
    /// Copy the key file too. Whoever has both can read every vendor credential.
    #[arg(long)]
    pub with_key: bool,
}

/// Copies the database, and the key if it is wanted.
///
/// # Errors
/// If there is nothing to copy, if the target is there already, if the copy is not sound, or if the
/// disk fails.
pub async fn run(settings: &Settings, args: &BackupArgs) -> anyhow::Result<()> {
    if settings.postgres().is_some() {
        bail!(
            "the database is on a PostgreSQL server; copy it with its own pg_dump or pg_basebackup, \
             as docs/deploy.md explains"
        );
    }
    there_is_a_database(settings)?;
    let key = match args.with_key {
        true => Some(read_key(settings)?),
        false => None,
    };
    let (options, to) = (
        SqliteOptions::new(&settings.store.directory),
        args.to.clone(),
    );
    let copy = move || Backup::make(&options, &to, Vault::CHECK_NAME);
    let made = tokio::task::spawn_blocking(copy)
        .await
        .context("copying was interrupted")?
        .with_context(|| format!("no backup was made in {}", args.to.display()))?;
    if let Some(key) = &key {
        write_key(&args.to.join("secret.key"), key)?;
    }
    say(&format!(
        "{}: {} MiB, sound",
        made.file.display(),
        made.bytes.div_ceil(1024 * 1024)
    ));
    say(&about_key(settings, &made, args.with_key));
    Ok(())
}

/// Tells the database of the settings that it was put back to an older state.
///
/// # Errors
/// If there is no database, if a server uses it that shares with nobody, or if it fails.
pub async fn mark_restored(settings: &Settings) -> anyhow::Result<()> {
    telemetry::start_logs(&crate::config::LogSettings {
        level: "warn".to_owned(),
        format: settings.log.format,
    })?;
    if settings.postgres().is_none() {
        there_is_a_database(settings)?;
    }
    let store = open_store(settings).await?;
    store
        .skip_positions()
        .await
        .context("the database was not told")?;
    say("New events come after all that were made before.");
    Ok(())
}

/// What is to be said of the key without which the copy is of no use.
fn about_key(settings: &Settings, made: &Backup, is_there: bool) -> String {
    let place = match settings.secrets.keys.reveal().is_empty() {
        true => settings.key_file().display().to_string(),
        false => "secrets.keys".to_owned(),
    };
    let opens = made.key_check.as_deref().is_none_or(|stored| {
        let vault = settings.vault();
        vault.is_ok_and(|vault| Vault::check_stored(&vault, stored).is_ok())
    });
    match (opens, is_there) {
        (false, _) => format!(
            "CAREFUL: the key of {place} does not open it. Without the right one vendor credentials \
             cannot be read"
        ),
        (true, true) => {
            format!("The key of {place} is beside it: keep the copy as safe as the key.")
        }
        (true, false) => format!(
            "The key is not in it. Keep a copy of {place} apart: without it vendor credentials cannot \
             be read, and every user must link again."
        ),
    }
}

fn there_is_a_database(settings: &Settings) -> anyhow::Result<()> {
    let file = settings.database_file();
    if !file.exists() {
        let looked = std::path::absolute(&file).unwrap_or(file);
        bail!(
            "there is no database at {}; name its directory with --data or store.directory",
            looked.display()
        );
    }
    Ok(())
}

fn read_key(settings: &Settings) -> anyhow::Result<Vec<u8>> {
    if !settings.secrets.keys.reveal().is_empty() {
        bail!("the keys are in secrets.keys and in no file, so --with-key has nothing to copy");
    }
    let path = settings.key_file();
    std::fs::read(&path).with_context(|| format!("cannot read the key file {}", path.display()))
}

fn write_key(path: &Path, key: &[u8]) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(key)?;
        file.sync_all()?;
        // Its name is on the disk when the directory is.
        File::open(path.parent().unwrap_or(path))?.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
