//! What `docs/operations.md` and the files for Prometheus and Grafana say.

use std::{collections::BTreeSet, fs, path::PathBuf};

use livewatt::telemetry::{METRICS, Metric};
use serde_json::Value;

use super::source::root;

const HEADER: &str =
    "| metric | type | labels | unit | tells | normally |\n|---|---|---|---|---|---|\n";

pub fn page() -> PathBuf {
    root().join("docs/operations.md")
}

pub fn text() -> String {
    fs::read_to_string(page()).unwrap()
}

/// The table of metrics as it should be.
pub fn expected_table() -> String {
    let row = |metric: &Metric| {
        let labels: Vec<String> = metric.labels.iter().map(|l| format!("`{l}`")).collect();
        format!(
            "| `{}` | {} | {} | {} | {} | {} |\n",
            metric.name,
            metric.kind.name(),
            labels.join(" "),
            metric.unit,
            metric.tells,
            metric.normal,
        )
    };
    METRICS
        .iter()
        .map(row)
        .fold(HEADER.to_owned(), |a, b| a + &b)
}

/// The table of metrics as it is, and where.
pub fn table(page: &str) -> &str {
    let from = page.find(HEADER).expect("there is a table of metrics");
    let rest = &page[from..];
    let end = rest.find("\n\n").map_or(rest.len(), |at| at + 1);
    &rest[..end]
}

/// Names of the alerts that the page has a section about.
pub fn alert_sections(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter_map(|line| line.strip_prefix("### "));
    headings
        .filter(|heading| heading.starts_with("Livewatt") && !heading.contains(' '))
        .map(str::to_owned)
        .collect()
}

/// A line of a log.
#[derive(Debug)]
pub struct LogLine {
    pub level: String,
    pub module: String,
    pub message: String,
    pub fields: Vec<String>,
}

/// The lines of logs that the page quotes, in text and in JSON.
pub fn log_lines(page: &str) -> (Vec<LogLine>, Vec<LogLine>) {
    let text = page.lines().filter(|line| line.starts_with("20"));
    let json = page
        .lines()
        .filter(|line| line.starts_with("{\"timestamp\""));
    (text.map(text_line).collect(), json.map(json_line).collect())
}

fn text_line(line: &str) -> LogLine {
    let mut words = line.split_whitespace();
    let time = words.next().unwrap();
    time.parse::<livewatt_domain::Timestamp>().unwrap();
    let level = words.next().unwrap().to_lowercase();
    // Behind the level and the span, if there is one.
    let is_module = |word: &&str| {
        let name = word.strip_suffix(':').unwrap_or_default();
        let is_name = name
            .chars()
            .all(|c| c.is_ascii_lowercase() || ":_".contains(c));
        name.starts_with("livewatt") && is_name
    };
    let module = words.find(is_module);
    let module = module.unwrap_or_else(|| panic!("no module: {line}"));
    let (message, fields): (Vec<&str>, Vec<&str>) = {
        let words: Vec<&str> = words.collect();
        let first_field = words.iter().position(|word| word.contains('='));
        let (message, fields) = words.split_at(first_field.unwrap_or(words.len()));
        (message.to_vec(), fields.to_vec())
    };
    let keys = fields.iter().filter_map(|word| word.split_once('='));
    LogLine {
        level,
        module: module.trim_end_matches(':').to_owned(),
        message: message.join(" "),
        fields: keys.map(|(key, _)| key.to_owned()).collect(),
    }
}

fn json_line(line: &str) -> LogLine {
    const COMMON: [&str; 6] = ["timestamp", "level", "target", "message", "span", "spans"];
    let line: Value = serde_json::from_str(line).unwrap();
    let word = |key: &str| line[key].as_str().unwrap().to_owned();
    let keys = line.as_object().unwrap().keys();
    LogLine {
        level: word("level").to_lowercase(),
        module: word("target"),
        message: word("message"),
        fields: keys
            .filter(|key| !COMMON.contains(&key.as_str()))
            .cloned()
            .collect(),
    }
}

/// An alert.
#[derive(Debug)]
pub struct Alert {
    pub name: String,
    pub expression: String,
    pub text: String,
}

/// All alerts. Reads the few forms of YAML in which they are written.
pub fn alerts() -> Vec<Alert> {
    let file = fs::read_to_string(root().join("ops/prometheus/alerts.yml")).unwrap();
    let entries = file.split("      - alert: ").skip(1);
    let alert = |entry: &str| {
        let (name, rest) = entry.split_once('\n').unwrap();
        let (_, rest) = rest.split_once("        expr: ").unwrap();
        let (expression, text) = rest.split_once("\n        for: ").unwrap();
        let expression = expression.trim_start_matches(">-");
        Alert {
            name: name.to_owned(),
            expression: expression.split_whitespace().collect::<Vec<_>>().join(" "),
            text: text.to_owned(),
        }
    };
    entries.map(alert).collect()
}

pub fn dashboard() -> Value {
    let file = fs::read_to_string(root().join("ops/grafana/livewatt.json")).unwrap();
    serde_json::from_str(&file).unwrap()
}
