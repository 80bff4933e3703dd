//! What the machine has to give: room on the disk, open files.

use std::{fs, path::Path, process::Command};

use livewatt_store::Inspection;

use super::Report;
use crate::{admin::ServerStatus, config::Settings};

/// Room that a day of events of some thousand devices and the write-ahead log need, KiB.
const LITTLE_SPACE: u64 = 1024 * 1024;
const NO_SPACE: u64 = 100 * 1024;
const FEW_INODES: u64 = 1_000;

/// Room on the file system of a directory.
pub(super) fn space(report: &mut Report, directory: &Path) {
    let remedy = "make room; when it is full nothing is stored, and nothing acknowledged";
    match (free(directory, "-Pk"), free(directory, "-Pi")) {
        (Some(kib), _) if kib < NO_SPACE => {
            report.fail("disk", format!("{} MiB are free", kib / 1024), remedy);
        }
        (Some(kib), _) if kib < LITTLE_SPACE => {
            report.warn("disk", format!("{} MiB are free", kib / 1024), remedy);
        }
        (Some(_), Some(inodes)) if inodes < FEW_INODES => {
            report.warn("disk", format!("{inodes} files can still be made"), remedy);
        }
        (Some(kib), _) => report.ok("disk", format!("{} GiB are free", kib / 1024 / 1024)),
        (None, _) => report.warn("disk", "df does not tell what is free", "look yourself"),
    }
}

/// The fourth column of what `df` says: what is free. Some file systems know no number of inodes.
fn free(directory: &Path, unit: &str) -> Option<u64> {
    let output = Command::new("df").arg(unit).arg(directory).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let row = text.lines().nth(1)?;
    let total: u64 = row.split_whitespace().nth(1)?.parse().ok()?;
    let free = row.split_whitespace().nth(3)?.parse().ok()?;
    (total > 0).then_some(free)
}

/// Open files that the server may need, and may have.
pub(super) fn files(
    report: &mut Report,
    settings: &Settings,
    found: Option<&Inspection>,
    server: Option<&ServerStatus>,
) {
    let (stations, webhooks) = found.map_or((0, 0), |found| (found.stations, found.webhooks.0));
    // The database, requests; calls to some vendors; a connection each.
    let need = 512
        + 4 * settings.vendors.parallel as u64
        + stations
        + webhooks * u64::from(settings.webhooks.lanes);
    let process = server.map_or("self".to_owned(), |status| status.pid.to_string());
    let Some(limit) = limit(&process) else {
        report.ok(
            "files",
            format!("about {need} are needed; the limit is not told here"),
        );
        return;
    };
    if limit < need {
        let remedy = "raise it: `ulimit -n`, or LimitNOFILE of the service";
        report.warn(
            "files",
            format!("{limit} may be open, about {need} are needed"),
            remedy,
        );
    } else {
        report.ok(
            "files",
            format!("{limit} may be open, about {need} are needed"),
        );
    }
}

fn limit(process: &str) -> Option<u64> {
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).ok()?;
    let row = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))?;
    match row.split_whitespace().nth(3)? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}
