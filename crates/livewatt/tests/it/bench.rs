//! `livewatt bench` as people run it, for about a second a part. Nothing is said here about speed:
//! only that each part measures what it says, and tells it.

use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_livewatt");

/// The cases of a part, after a short run of it.
fn cases(part: &str) -> Vec<Value> {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let json = directory.path().join("figures.json");
    let output = Command::new("timeout")
        .args(["300", PROGRAM, "bench", part, "--quick"])
        .args(["--seconds", "1", "--devices", "1500", "--json"])
        .arg(&json)
        .arg("--data")
        .arg(&data)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains(&format!("\n{part}: ")), "{said}");
    let left = std::fs::read_dir(&data).map_or(0, Iterator::count);
    assert_eq!(left, 0, "a database was left behind");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    assert!(report["machine"]["cores"].as_u64().unwrap() > 0);
    assert!(report["machine"]["memoryMib"].as_u64().unwrap() > 0);
    let parts = report["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 1);
    assert_eq!(parts[0]["part"], part);
    let rows = parts[0]["rows"].as_array().unwrap().clone();
    for row in &rows {
        for (name, figure) in row["figures"].as_object().unwrap() {
            let [min, median, max] =
                ["min", "median", "max"].map(|of| figure[of].as_f64().unwrap());
            assert!(min <= median && median <= max, "{name}: {figure}");
        }
    }
    rows
}

/// The median of a figure.
fn figure(row: &Value, name: &str) -> f64 {
    let figure = &row["figures"][name]["median"];
    figure
        .as_f64()
        .unwrap_or_else(|| panic!("{name} is missing in {row}"))
}

fn assert_positive(row: &Value, names: &[&str]) {
    for name in names {
        assert!(figure(row, name) > 0.0, "{name} is not positive in {row}");
    }
}

#[test]
fn polls() {
    let rows = cases("poll");
    let expected = [
        ("0 %", 0.0, 0.5),
        ("10 %", 4.0, 16.0),
        ("100 %", 90.0, 110.0),
    ];
    assert_eq!(rows.len(), expected.len() + 1);
    for row in &rows {
        assert_positive(
            row,
            &[
                "engine polls/s",
                "bare polls/s",
                "ratio of rates",
                "engine CPU us/poll",
            ],
        );
    }
    // What changed at the vendor is what became events: neither more nor less.
    for (row, (name, least, most)) in rows.iter().zip(expected) {
        assert!(row["case"].as_str().unwrap().starts_with(name), "{row}");
        let changed = figure(row, "engine changed, % of polls");
        assert!((least..=most).contains(&changed), "{row}");
    }
}

#[test]
fn a_fleet() {
    let rows = cases("fleet");
    assert_eq!(rows.len(), 1);
    assert_positive(
        &rows[0],
        &[
            "polls",
            "polls/s",
            "start, s",
            "resident after the start, MiB",
        ],
    );
    // The second in which something is due has begun when it is fetched, never before.
    assert!(figure(&rows[0], "late for its due time, p50 s") > -0.1);
}

#[test]
fn reads_of_the_api() {
    let rows = cases("api");
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_positive(
            row,
            &[
                "ours requests/s",
                "bare requests/s",
                "ratio of rates",
                "ours p99 ms",
            ],
        );
    }
    let bytes = |index: usize| figure(&rows[index], "bytes per answer");
    assert!(bytes(0) > 500.0);
    assert!(bytes(1) > 20.0 * bytes(0), "a page holds many devices");
}

#[test]
fn changes_that_become_webhooks() {
    let rows = cases("change");
    assert_eq!(rows.len(), 1);
    assert_positive(&rows[0], &["pushes/s", "to the acknowledgement, p50 ms"]);
    let [p50, p99] = ["p50", "p99"].map(|of| figure(&rows[0], &format!("to the webhook, {of} ms")));
    assert!(p50 > 0.0 && p99 >= p50, "{rows:?}");
}

#[test]
fn a_backlog_of_webhooks() {
    let rows = cases("webhooks");
    assert_eq!(rows.len(), 1);
    assert_positive(
        &rows[0],
        &["ours events/s", "bare events/s", "ratio of rates"],
    );
    let batch = figure(&rows[0], "events per delivery");
    assert!((1.0..=100.0).contains(&batch), "{rows:?}");
}

#[test]
fn what_changes_take_on_disk() {
    let rows = cases("disk");
    assert_eq!(rows.len(), 2);
    assert!(figure(&rows[0], "changes") >= 2_000.0);
    // An event carries its device whole, which is more than a kilobyte.
    let bytes = figure(&rows[0], "bytes per change");
    assert!((1_000.0..20_000.0).contains(&bytes), "{rows:?}");
    assert_positive(&rows[1], &["devices", "changes", "changes per device-day"]);
}
