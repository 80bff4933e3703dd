//! `livewatt freshness`: how fresh data was, as a table with a verdict.

use std::fmt::Write as _;

use anyhow::Context as _;
use clap::Args;
use livewatt_domain::{
    SignedDuration, Timestamp,
    clock::{Clock as _, SystemClock},
    id::ClientId,
    kind::DeviceKind,
    time::wire,
    vendor::VendorName,
};
use livewatt_engine::freshness::{FreshnessReport, FreshnessRow, ReportQuery};

use crate::{admin::Administration, config::Settings, terminal::say};

/// Breaches that the table shows.
const SHOWN_BREACHES: usize = 10;

/// What `livewatt freshness` is asked.
#[derive(Debug, Clone, Args)]
pub struct FreshnessArgs {
    /// First moment, for example 2026-03-02T06:00:00Z; its whole hour counts [default: 24 hours
    /// before --to]
    #[arg(long)]
    pub from: Option<Timestamp>,
    /// Last moment; its whole hour counts [default: now]
    #[arg(long)]
    pub to: Option<Timestamp>,
    /// This kind of device only.
    #[arg(long)]
    pub kind: Option<DeviceKind>,
    /// This vendor only.
    #[arg(long)]
    pub vendor: Option<VendorName>,
    /// Devices of this client only [default: the whole installation]
    #[arg(long)]
    pub client: Option<ClientId>,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}

impl FreshnessArgs {
    /// The query, asked at `now`.
    ///
    /// # Errors
    /// If the times do not fit.
    pub fn query(&self, now: Timestamp) -> anyhow::Result<ReportQuery> {
        let to = self.to.unwrap_or(now);
        let day = SignedDuration::from_hours(24);
        let from = match self.from {
            Some(from) => from,
            None => to.checked_sub(day).context("--to is too long ago")?,
        };
        anyhow::ensure!(from < to, "--to must be after --from");
        Ok(ReportQuery {
            client: self.client,
            from,
            to,
            kind: self.kind,
            vendor: self.vendor.clone(),
        })
    }
}

/// Asks the installation and prints what it says.
///
/// # Errors
/// If the installation cannot be asked.
pub async fn run(settings: &Settings, args: &FreshnessArgs) -> anyhow::Result<()> {
    let administration = Administration::open(settings).await?;
    let query = args.query(SystemClock.now())?;
    let report = administration.freshness(query).await?;
    if args.json {
        let text = serde_json::to_string_pretty(&report);
        say(&text.context("the report cannot be printed")?);
    } else {
        say(table(&report).trim_end());
    }
    Ok(())
}

/// The report for people: a line a row, the newest breaches, and a verdict.
pub fn table(report: &FreshnessReport) -> String {
    let mut text = format!(
        "Freshness from {} to {}\n\n",
        wire(report.from),
        wire(report.to)
    );
    if report.rows.is_empty() {
        text.push_str("No device was watched in that time.\n");
        return text;
    }
    let mut lines = vec![
        [
            "VENDOR", "KIND", "BLOCK", "HOURS", "WITHIN", "STANDARD", "P50", "P99", "MAX", "AWAY",
            "BREACHES",
        ]
        .map(str::to_owned),
    ];
    lines.extend(report.rows.iter().map(cells));
    text.push_str(&columns(&lines));
    let mut slower: Vec<String> = Vec::new();
    for row in &report.rows {
        for (slowed, hours) in &row.slower_hours {
            slower.push(format!(
                "  {} {} {}: {:.1} h slower than the standard because of {}",
                row.vendor,
                row.kind,
                row.block,
                hours,
                slowed.name()
            ));
        }
    }
    if !slower.is_empty() {
        let _ = write!(text, "\nPromised less:\n{}\n", slower.join("\n"));
    }
    if !report.breaches.is_empty() {
        text.push_str("\nNewest breaches:\n");
    }
    for breach in report.breaches.iter().take(SHOWN_BREACHES) {
        let ended = breach.ended.map_or("now".to_owned(), wire);
        let outcome = breach.outcome.as_deref();
        let outcome = outcome.map_or(String::new(), |outcome| format!(" ({outcome})"));
        let _ = writeln!(
            text,
            "  {} to {ended}  {} {} {}  up to {} old, promised every {}: {}{outcome}",
            wire(breach.began),
            breach.vendor,
            breach.device_id,
            breach.block,
            span(breach.worst_age_seconds as f64),
            span(breach.interval_seconds.into()),
            breach.reason,
        );
    }
    let left = report.breach_count as usize;
    let left = left.saturating_sub(report.breaches.len().min(SHOWN_BREACHES));
    if left > 0 {
        let _ = writeln!(text, "  and {left} more");
    }
    let _ = write!(text, "\n{}\n", verdict(report));
    text
}

fn verdict(report: &FreshnessReport) -> String {
    if report.is_kept() {
        return "Kept: whenever a device could be reached, its data was as fresh as promised."
            .to_owned();
    }
    let open: u64 = report.rows.iter().map(|row| row.open_breaches).sum();
    let mut reasons: std::collections::BTreeMap<_, u64> = std::collections::BTreeMap::new();
    for (reason, count) in report.rows.iter().flat_map(|row| &row.breaches) {
        *reasons.entry(*reason).or_default() += count;
    }
    let reasons: Vec<String> = reasons
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    format!(
        "Broken: {} times ({}); {open} last.",
        report.breach_count,
        reasons.join(", ")
    )
}

fn cells(row: &FreshnessRow) -> [String; 11] {
    let share = |share: Option<f64>| share.map_or("-".to_owned(), percent);
    let age = |age: Option<f64>| age.map_or("-".to_owned(), span);
    let breaches: Vec<String> = row
        .breaches
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    [
        row.vendor.to_string(),
        row.kind.to_string(),
        row.block.clone(),
        format!("{:.1}", row.device_hours),
        share(row.share_within),
        share(row.share_within_standard),
        age(row.p50_seconds),
        age(row.p99_seconds),
        age(row.max_seconds),
        percent(row.share_unreachable),
        match breaches.is_empty() {
            true => "none".to_owned(),
            false => breaches.join(", "),
        },
    ]
}

/// A share in percent; only what is whole is called so.
fn percent(share: f64) -> String {
    if share >= 1.0 {
        return "100 %".to_owned();
    }
    // Cut, not rounded: 99.999 % is not all of it.
    format!("{:.2} %", (share * 10_000.0).floor() / 100.0)
}

/// A time in the units people would choose.
fn span(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..=119 => format!("{whole} s"),
        120..=7_199 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3_600, whole % 3_600 / 60),
    }
}

fn columns(lines: &[[String; 11]]) -> String {
    let mut text = String::new();
    let width = |column: usize| {
        let cells = lines.iter().map(|line| line[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: [usize; 11] = std::array::from_fn(width);
    for line in lines {
        let mut row = String::new();
        for (cell, width) in line.iter().zip(widths) {
            let _ = write!(row, "{cell:<width$}  ");
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}
