//! `livewatt migrate copy`: moves an installation from its directory into a PostgreSQL database.

use std::io::Write as _;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use livewatt_engine::Vault;
use livewatt_store::{Beginning, SqliteOptions, Transfer, TransferProgress, TransferredTable};

use crate::{config::Settings, terminal::say};

/// What `livewatt migrate` can do.
#[derive(Debug, Clone, Subcommand)]
pub enum MigrateCommand {
    /// Copy everything in the directory (--data) into an empty PostgreSQL database (--database-url).
    ///
    /// Stop the server first. Nothing is lost: users, devices, credentials, tokens, the event log with
    /// its cursors, and webhooks with what they have still to get. The copy can be stopped and killed
    /// at any moment; started again, it goes on. At the end all tables are compared row by row; only if
    /// they are the same can servers use the new database, and none uses the directory's any more.
    ///
    /// Credentials stay encrypted: the servers need the same key, so take secret.key (or
    /// secrets.keys) along.
    Copy(CopyArgs),
}

/// How it is copied.
#[derive(Debug, Clone, Args)]
pub struct CopyArgs {
    /// Rows written in one transaction; a table of large rows has fewer.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub batch_rows: u32,
}

/// Runs it.
///
/// # Errors
/// If either database cannot be used, or they differ in the end.
pub async fn run(settings: &Settings, command: &MigrateCommand) -> anyhow::Result<()> {
    match command {
        MigrateCommand::Copy(args) => copy(settings, args).await,
    }
}

async fn copy(settings: &Settings, args: &CopyArgs) -> anyhow::Result<()> {
    let Some(to) = settings.postgres() else {
        bail!("name the PostgreSQL database with --database-url or LIVEWATT_STORE__URL");
    };
    let from = SqliteOptions::new(&settings.store.directory);
    let mut transfer = Transfer::open(&from, &to, Vault::CHECK_NAME)
        .await
        .context("the copy cannot begin")?;
    // Found now rather than when the first server cannot start.
    let vault = settings.vault()?;
    vault.check_stored(transfer.installation()).context(
        "the key is not that of the database in the directory: put the right one back, or name its \
         place with secrets.key_file",
    )?;
    let beginning = transfer.begin().await.context("the copy cannot begin")?;
    tell(&format!(
        "{} into {}",
        match beginning {
            Beginning::New => "copying",
            Beginning::GoesOn => "going on with the copy",
            Beginning::StartsOver =>
                "the directory was used since, or the last copy was not the same: copying anew",
        },
        transfer.target()
    ));
    let progress = |progress: TransferProgress| {
        let TransferProgress { part, done, of } = progress;
        tell(&format!("{part}: {done} of {of} rows"));
    };
    transfer
        .copy(args.batch_rows as usize, progress)
        .await
        .context("the copy was interrupted; run it again to go on")?;
    tell("comparing");
    let target = transfer.target().to_owned();
    let compared = transfer.finish().await;
    report(&compared.context("the copy could not be compared; run it again to go on")?)?;
    say(&format!(
        "All tables are the same. Servers use {target} from now on:"
    ));
    say("  start them with the same settings and store.url (LIVEWATT_STORE__URL).");
    say(&match settings.secrets.keys.reveal().is_empty() {
        true => format!(
            "  They need the key: copy {} to wherever one runs, or set secrets.keys to its lines.",
            settings.key_file().display()
        ),
        false => "  They need the key: the same secrets.keys (LIVEWATT_SECRETS__KEYS).".to_owned(),
    });
    say("  The directory's own database stays as it is, and no server uses it any more.");
    Ok(())
}

/// Prints what came of each table.
fn report(compared: &[TransferredTable]) -> anyhow::Result<()> {
    let width = compared.iter().map(|table| table.name.len()).max();
    let width = width.unwrap_or(0).max("table".len());
    say(&format!(
        "{:width$}  {:>12}  {:>12}  {:32}  {:32}  same",
        "table", "rows here", "rows there", "checksum here", "checksum there"
    ));
    for table in compared {
        say(&format!(
            "{:width$}  {:>12}  {:>12}  {:032x}  {:032x}  {}",
            table.name,
            table.source.rows,
            table.target.rows,
            table.source.checksum,
            table.target.checksum,
            if table.is_same() { "yes" } else { "NO" }
        ));
    }
    let differ = compared.iter().filter(|table| !table.is_same()).count();
    if differ > 0 {
        bail!(
            "{differ} tables are not the same: somebody else has written to the new database. No \
             server will use it; run the copy again, and it begins anew"
        );
    }
    Ok(())
}

/// Says what is going on, where it does not get into the way of the result.
fn tell(line: &str) {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "{line}");
}
