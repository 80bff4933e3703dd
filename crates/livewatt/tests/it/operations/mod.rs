//! What an operator is given, held against what the program does: the metrics, their table, the
//! dashboard, the alerts and the lines of the log that `docs/operations.md` quotes.

mod page;
mod promql;
mod scrape;
mod source;

use std::collections::{BTreeMap, BTreeSet};

use livewatt::telemetry::{Kind, METRICS, Metric};
use serde_json::Value;

use self::{page::LogLine, promql::named};

/// Labels that Prometheus adds to all that it scrapes.
const SCRAPED: [&str; 2] = ["instance", "job"];

/// The metric that a name in an expression or in the answer of `/metrics` belongs to.
fn metric(series: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| match metric.kind {
        Kind::Histogram(_) => ["_bucket", "_sum", "_count"]
            .iter()
            .any(|ending| series.strip_suffix(ending) == Some(metric.name)),
        Kind::Counter | Kind::Gauge => series == metric.name,
    })
}

#[test]
fn every_metric_is_described_once_as_the_source_has_it() {
    let mut described = BTreeMap::new();
    for metric in METRICS {
        let mut labels: Vec<String> = metric.labels.iter().map(|l| (*l).to_owned()).collect();
        labels.sort();
        let before = described.insert(metric.name.to_owned(), (metric.kind.name(), labels));
        assert_eq!(before, None, "{} is described twice", metric.name);
    }
    let mut found = BTreeMap::new();
    let macros = ["metrics::counter", "metrics::gauge", "metrics::histogram"];
    for call in source::calls(&macros) {
        let kind = call.name.trim_start_matches("metrics::");
        let mut labels = call.labels();
        labels.sort();
        let name = call.first_literal();
        let before = found.insert(name.clone(), (kind, labels.clone()));
        assert!(
            before.is_none_or(|before| before == (kind, labels)),
            "{name} differs from place to place"
        );
    }
    assert_eq!(
        found, described,
        "left: the source; right: the descriptions"
    );
}

#[test]
fn the_table_of_the_documentation_is_that_of_the_program() {
    let (page, expected) = (page::text(), page::expected_table());
    if std::env::var_os("UPDATE_OPERATIONS").is_some() {
        let renewed = page.replace(page::table(&page), &expected);
        std::fs::write(page::page(), renewed).unwrap();
        return;
    }
    assert!(
        page::table(&page) == expected,
        "renew it with UPDATE_OPERATIONS=1; it should be:\n{expected}"
    );
}

/// Fails unless an expression names metrics and labels that there are, and words that the source
/// knows; returns the labels of its result, as far as they may be shown.
fn check_expression(expression: &str, source: &str) -> BTreeSet<String> {
    let named = named(expression);
    let mut labels: BTreeSet<String> = SCRAPED.map(str::to_owned).into();
    for selector in &named.selectors {
        let series = selector.metric.as_str();
        // Prometheus' own: whether it could scrape.
        if series == "up" {
            continue;
        }
        let metric = metric(series).unwrap_or_else(|| panic!("no {series}: {expression}"));
        labels.extend(metric.labels.iter().map(|l| (*l).to_owned()));
        if series.ends_with("_bucket") {
            labels.insert("le".to_owned());
        }
        for (label, value) in &selector.matchers {
            let is_known =
                SCRAPED.contains(&label.as_str()) || metric.labels.contains(&label.as_str());
            assert!(is_known, "{series} has no {label}: {expression}");
            // A variable of the dashboard, the name that Prometheus gives us, or digits of a status.
            if value.starts_with('$') || label == "job" || value == "5.." || label == "method" {
                continue;
            }
            for word in value.split('|') {
                let is_word = source.contains(&format!("\"{word}\""));
                assert!(is_word, "nothing says {word:?}: {expression}");
            }
        }
    }
    for group in &named.groups {
        assert!(labels.contains(group), "no label {group}: {expression}");
    }
    labels
}

#[test]
fn alerts_name_what_there_is_and_are_explained() {
    let (page, source) = (page::text(), source::all_text());
    let mut names = BTreeSet::new();
    for alert in page::alerts() {
        check_expression(&alert.expression, &source);
        let anchor = format!(
            "runbook: docs/operations.md#{}\n",
            alert.name.to_lowercase()
        );
        for part in ["severity: ", "summary: ", anchor.as_str()] {
            assert!(alert.text.contains(part), "{}: no {part:?}", alert.name);
        }
        assert!(names.insert(alert.name.clone()), "{} twice", alert.name);
    }
    assert!(names.len() > 10, "{names:?}");
    assert_eq!(
        names,
        page::alert_sections(&page),
        "left: the alerts; right: the page"
    );
}

#[test]
fn the_dashboard_shows_what_there_is() {
    let (dashboard, source) = (page::dashboard(), source::all_text());
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    for variable in variables {
        check_expression(variable["query"]["query"].as_str().unwrap(), &source);
    }
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<i64> = panels.iter().map(|p| p["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "panels have IDs of their own");
    let mut shown = BTreeSet::new();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().unwrap();
        assert_ne!(
            panel["description"].as_str().unwrap_or_default(),
            "",
            "{title}"
        );
        assert!(
            panel["fieldConfig"]["defaults"]["unit"].is_string(),
            "{title}"
        );
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${DS_PROMETHEUS}", "{title}");
            let expression = target["expr"].as_str().unwrap();
            let labels = check_expression(expression, &source);
            let legend = target["legendFormat"].as_str().unwrap();
            for label in legend.split("{{").skip(1) {
                let label = label.split("}}").next().unwrap();
                assert!(labels.contains(label), "{title} has no {label}");
            }
            let series = named(expression).selectors.into_iter();
            shown.extend(series.filter_map(|s| Some(metric(&s.metric)?.name)));
        }
    }
    let all: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(shown, all, "left: shown; right: what there is");
    check_places(panels);
}

/// Fails if panels lie over each other or outside of the grid.
fn check_places(panels: &[Value]) {
    let mut taken = BTreeSet::new();
    for panel in panels {
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{}", panel["title"]);
        for y in place("y")..place("y") + place("h") {
            for x in place("x")..place("x") + place("w") {
                assert!(taken.insert((x, y)), "{} lies over another", panel["title"]);
            }
        }
    }
}

#[test]
fn quoted_lines_of_the_log_are_ones_that_are_written() {
    let levels = ["tracing::error", "tracing::warn", "tracing::info"];
    let calls = source::calls(&levels);
    let is_written = |line: &LogLine| {
        calls.iter().any(|call| {
            call.module == line.module
                && call.name.trim_start_matches("tracing::") == line.level
                && call.message().as_ref() == Some(&line.message)
                && line
                    .fields
                    .iter()
                    .all(|field| call.arguments.contains(field))
        })
    };
    let (text, json) = page::log_lines(&page::text());
    assert!(text.len() > 4 && json.len() > 4, "{text:?} {json:?}");
    for line in text.iter().chain(&json) {
        assert!(is_written(line), "nothing writes {line:?}");
    }
}
