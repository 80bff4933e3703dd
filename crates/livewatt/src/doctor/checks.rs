//! What is looked at, and what to do about what is found.

use std::{
    fs::{self, OpenOptions},
    net::TcpListener,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use livewatt_domain::{SignedDuration, Timestamp};
use livewatt_engine::Vault;
use livewatt_store::{Inspection, StoreError, StoreResult};

use super::Report;
use crate::{admin::ServerStatus, config::Settings};

const MEBIBYTE: u64 = 1024 * 1024;
/// A write-ahead log is kept below 64 MiB; what is larger is held up by something.
const LARGE_WAL: u64 = 256 * MEBIBYTE;
/// The clock may be this far behind what it said before.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(2);
/// A fetch that waits longer than this is late.
const LATE: i64 = 60;
const MANY_EVENTS: u32 = 1_000;

/// Whether there is a directory to look into.
pub(super) fn directory(report: &mut Report, path: &Path) -> bool {
    let shown = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let shown = shown.display();
    let found = match fs::metadata(path) {
        Ok(found) if found.is_dir() => found,
        Ok(_) => {
            let remedy = "name another with --data or store.directory";
            report.fail("directory", format!("{shown} is no directory"), remedy);
            return false;
        }
        Err(error) => {
            let remedy = "the first start makes it; or name the right one with --data";
            report.warn("directory", format!("{shown}: {error}"), remedy);
            return false;
        }
    };
    let probe = path.join(".livewatt-doctor");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&probe);
    if let Err(error) = written.and_then(|_| fs::remove_file(&probe)) {
        let remedy =
            "give it to the user that runs livewatt, on a file system that can be written to";
        report.fail(
            "directory",
            format!("{shown} cannot be written to: {error}"),
            remedy,
        );
        return true;
    }
    let user = fs::metadata("/proc/self")
        .map(|me| me.uid())
        .unwrap_or(found.uid());
    if found.uid() != user {
        let owner = found.uid();
        let remedy = format!("run livewatt as that user, or `chown -R {user} {shown}`");
        report.warn(
            "directory",
            format!("{shown} belongs to user {owner}"),
            remedy,
        );
    } else if found.mode() & 0o077 != 0 {
        let mode = found.mode() & 0o777;
        let remedy = format!("`chmod 700 {shown}`: keys and credentials are in it");
        report.warn(
            "directory",
            format!("{shown} is open to others ({mode:o})"),
            remedy,
        );
    } else {
        report.ok("directory", shown.to_string());
    }
    true
}

pub(super) fn server(report: &mut Report, status: &ServerStatus) {
    let who = format!("version {}, process {}", status.version, status.pid);
    if status.can_write {
        report.ok("server", format!("it runs: {who}"));
    } else {
        let remedy = "make room on its disk; it goes on by itself";
        report.fail("server", format!("it runs but cannot write: {who}"), remedy);
    }
    if status.poll_lag_seconds > LATE {
        let found = format!(
            "a fetch has been due for {} seconds",
            status.poll_lag_seconds
        );
        report.warn(
            "polling",
            found,
            "the machine or vendors.parallel may be too small",
        );
    } else {
        report.ok("polling", "no fetch is late");
    }
    if status.events_behind > MANY_EVENTS {
        let found = format!(
            "a receiver is {} events or more behind",
            status.events_behind
        );
        report.warn(
            "webhooks",
            found,
            "look at GET /webhooks/{id}/deliveries for why",
        );
    } else {
        report.ok(
            "webhooks",
            format!(
                "receivers are at most {} events behind",
                status.events_behind
            ),
        );
    }
    if status.paused_vendors.is_empty() {
        report.ok("vendors", "all answer");
    } else {
        let names = status.paused_vendors.join(", ");
        let remedy = "nothing, if the vendor is down: it is tried again by itself";
        report.warn("vendors", format!("calls to these pause: {names}"), remedy);
    }
}

pub(super) fn database(
    report: &mut Report,
    settings: &Settings,
    looked: StoreResult<Inspection>,
) -> Option<Inspection> {
    const RESTORE: &str = "stop the server, keep a copy of the directory, and restore a backup";
    let inspection = match looked {
        Ok(inspection) => inspection,
        Err(error) => {
            let remedy = match &error {
                StoreError::NewerSchema { .. } => {
                    "use the program that has written it, or a newer one"
                }
                StoreError::Damaged(_) | StoreError::Unreadable { .. } => RESTORE,
                _ if settings.postgres().is_some() => {
                    "see to it that the server runs, and that store.url names it rightly"
                }
                _ => "see to it that the file can be read",
            };
            report.fail("database", livewatt_engine::error::chain(&error), remedy);
            return None;
        }
    };
    let Inspection {
        place,
        bytes,
        wal_bytes,
        schema,
        known_schema,
        complaints,
        ..
    } = &inspection;
    if !complaints.is_empty() {
        report.fail(
            "database",
            format!("it is damaged: {}", complaints.join("; ")),
            RESTORE,
        );
        return None;
    }
    for caution in &inspection.cautions {
        report.warn(
            "database",
            caution,
            "set it to on, in the server's postgresql.conf",
        );
    }
    if *schema == 0 {
        report.ok(
            "database",
            format!("{place}: it is empty; the first start fills it"),
        );
        return None;
    }
    if schema < known_schema {
        let found = format!("its schema is version {schema} of {known_schema}");
        report.warn(
            "database",
            found,
            "the next start brings it up to date; make a copy before: `livewatt backup`, or PostgreSQL's own",
        );
        return None;
    }
    if *wal_bytes > LARGE_WAL {
        let found = format!("its write-ahead log has {} MiB", wal_bytes / MEBIBYTE);
        report.warn(
            "database",
            found,
            "restart the server; a long backup may hold it up",
        );
    }
    let size = bytes / MEBIBYTE;
    let openings = inspection.openings;
    let found = match settings.postgres() {
        Some(_) => format!("{place}; schema {schema}, {size} MiB, opened {openings} times"),
        None => format!(
            "sound; schema {schema}, {size} MiB and {} MiB of write-ahead log, opened {openings} times",
            wal_bytes / MEBIBYTE
        ),
    };
    report.ok("database", found);
    Some(inspection)
}

pub(super) fn log(report: &mut Report, settings: &Settings, found: &Inspection, now: Timestamp) {
    let Some(oldest) = found.oldest_event else {
        report.ok("events", "the log is empty");
        return;
    };
    let days = now.duration_since(oldest).as_hours() / 24;
    let kept = i64::from(settings.events.retention_days);
    let text = format!("{} days of events, the oldest of {oldest}", found.slices);
    // A slice goes when all of its day is over, and after a jump of the clock a day later.
    if days > kept + 3 {
        let remedy =
            format!("they are to go after {kept} days: start the server, and look at its log");
        report.warn("events", text, remedy);
    } else {
        report.ok("events", text);
    }
}

pub(super) fn clock(report: &mut Report, found: &Inspection, now: Timestamp) {
    let Some(newest) = found.newest else {
        report.ok(
            "clock",
            format!("it is {now}; there is nothing to compare it with"),
        );
        return;
    };
    if newest.duration_since(now) > CLOCK_TOLERANCE {
        let what = format!(
            "it is {now}, but {} rows are of later, up to {newest}",
            found.from_future
        );
        let remedy =
            "set the clock right; if it is right now, it was ahead before: then this passes";
        report.fail("clock", what, remedy);
    } else {
        report.ok(
            "clock",
            format!("it is {now}; the newest row is of {newest}"),
        );
    }
}

pub(super) fn accounts(report: &mut Report, found: &Inspection) {
    let (all, invalid) = found.accounts;
    if invalid > 0 {
        let remedy =
            "their users must link again; clients are told by user:credentials:invalidated";
        report.warn(
            "accounts",
            format!("{invalid} of {all} no longer have a valid login"),
            remedy,
        );
    } else {
        report.ok("accounts", format!("{all}, all with a valid login"));
    }
    let (all, inactive) = found.webhooks;
    if inactive > 0 {
        let remedy = "mend the receivers, then POST /webhooks/{id}/test switches them on";
        report.warn(
            "receivers",
            format!("{inactive} of {all} webhooks are switched off"),
            remedy,
        );
    } else {
        report.ok("receivers", format!("{all} webhooks, all switched on"));
    }
}

pub(super) fn key(report: &mut Report, settings: &Settings, found: Option<&Inspection>) {
    const RESTORE: &str = "put your copy of the key back, or name its place with secrets.key_file";
    let is_first_start = match settings.postgres() {
        Some(_) => found.is_none_or(|found| found.key_check.is_none()),
        None => !settings.database_file().exists(),
    };
    let from_file = settings.secrets.keys.reveal().is_empty();
    if from_file && is_first_start && !settings.key_file().exists() {
        report.ok("key", "there is none yet; the first start makes it");
        return;
    }
    // Nothing is made here: without a key file and with a database this is an error.
    let vault = match settings.vault() {
        Ok(vault) => vault,
        Err(error) => {
            report.fail("key", format!("{error:#}"), RESTORE);
            return;
        }
    };
    match found.and_then(|found| found.key_check.as_deref()) {
        None => report.ok("key", "it can be used; there is nothing to try it on"),
        Some(stored) => match Vault::check_stored(&vault, stored) {
            Ok(()) => report.ok("key", "it opens the secrets of the database"),
            Err(error) => {
                report.fail(
                    "key",
                    format!("it is not that of the database: {error}"),
                    RESTORE,
                );
            }
        },
    }
    if from_file
        && let Ok(file) = fs::metadata(settings.key_file())
        && file.mode() & 0o077 != 0
    {
        let path = settings.key_file();
        let found = format!("{} can be read by others", path.display());
        report.warn("key", found, format!("`chmod 600 {}`", path.display()));
    }
}

pub(super) fn listening(report: &mut Report, settings: &Settings, server: Option<&ServerStatus>) {
    let address = settings.server.listen;
    match (TcpListener::bind(address), server) {
        (Ok(_), None) => report.ok("port", format!("{address} is free")),
        (Err(_), Some(_)) => report.ok("port", format!("{address} is in use, as it should be")),
        (Ok(_), Some(_)) => report.warn(
            "port",
            format!("the server runs, but nothing listens on {address}"),
            "look with the settings that it was started with",
        ),
        (Err(error), None) => report.fail(
            "port",
            format!("cannot listen on {address}: {error}"),
            "stop what uses it, or choose another with --listen or server.listen",
        ),
    }
}

pub(super) fn public_url(report: &mut Report, settings: &Settings, server: Option<&ServerStatus>) {
    let url = match settings.public_url(settings.server.listen) {
        Ok(url) => url,
        Err(error) => {
            report.fail("public_url", format!("{error:#}"), "set server.public_url");
            return;
        }
    };
    if let Some(status) = server
        && !settings.server.public_url.is_empty()
        && status.public_url != url.as_str()
    {
        let found = format!("the server runs with {}", status.public_url);
        report.warn("public_url", found, "restart it to take up the new address");
        return;
    }
    let is_local = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback() || ip.is_unspecified(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback() || ip.is_unspecified(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if is_local {
        let remedy = "set server.public_url to the address that browsers, vendors and charge points \
                      use; on one machine alone this is right";
        report.warn(
            "public_url",
            format!("{url} is reached from this machine only"),
            remedy,
        );
    } else {
        report.ok("public_url", url.to_string());
    }
}
