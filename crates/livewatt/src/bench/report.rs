//! What was measured: figures in rows, printed as tables and written as JSON.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::machine::Machine;
use crate::terminal::say;

/// One figure of one case, measured several times.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    /// What it is, with its unit.
    pub(super) name: &'static str,
    /// What was measured, run by run.
    pub(super) runs: Vec<f64>,
}

impl Figure {
    /// The middle of the runs.
    pub(super) fn median(&self) -> f64 {
        quantile(&self.runs, 0.5)
    }

    fn as_json(&self) -> Value {
        json!({
            "median": self.median(),
            "min": quantile(&self.runs, 0.0),
            "max": quantile(&self.runs, 1.0),
            "runs": self.runs.len(),
        })
    }

    fn as_text(&self) -> String {
        let median = short(self.median());
        match self.runs.len() {
            0 | 1 => median,
            _ => format!(
                "{median} [{}..{}]",
                short(quantile(&self.runs, 0.0)),
                short(quantile(&self.runs, 1.0))
            ),
        }
    }
}

/// The value below which a share of `samples` lies; 0 without samples.
pub(super) fn quantile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        len if share == 0.5 && len % 2 == 0 => (sorted[len / 2 - 1] + sorted[len / 2]) / 2.0,
        len => sorted[((len - 1) as f64 * share).round() as usize],
    }
}

/// A number in as few digits as say something.
fn short(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        0.0 => "0".to_owned(),
        _ => format!("{number:.2}"),
    }
}

/// One case of a part.
#[derive(Debug)]
pub(super) struct Row {
    case: String,
    figures: Vec<Figure>,
}

impl Row {
    pub(super) fn new(case: impl Into<String>) -> Self {
        Self {
            case: case.into(),
            figures: Vec::new(),
        }
    }

    /// Adds the measurement of one run.
    pub(super) fn note(&mut self, name: &'static str, value: f64) {
        match self.figures.iter_mut().find(|figure| figure.name == name) {
            Some(figure) => figure.runs.push(value),
            None => self.figures.push(Figure {
                name,
                runs: vec![value],
            }),
        }
    }

    /// A figure measured once.
    pub(super) fn with(mut self, name: &'static str, value: f64) -> Self {
        self.note(name, value);
        self
    }

    fn as_json(&self) -> Value {
        let figures: Map<String, Value> = self
            .figures
            .iter()
            .map(|figure| (figure.name.to_owned(), figure.as_json()))
            .collect();
        json!({ "case": self.case, "figures": figures })
    }
}

/// What a part measured.
#[derive(Debug)]
pub(super) struct Part {
    /// Its name on the command line.
    pub(super) name: &'static str,
    /// What was measured, beside what, under which assumptions.
    pub(super) about: String,
    /// What we want it to be.
    pub(super) aim: &'static str,
    /// The cases.
    pub(super) rows: Vec<Row>,
}

impl Part {
    /// Prints it, a block of lines per case: tables of ten columns fit no terminal.
    pub(super) fn print(&self) {
        say("");
        say(&format!("{}: {}", self.name, self.about));
        say(&format!("  aim: {}", self.aim));
        for row in &self.rows {
            say(&format!("  {}", row.case));
            for figure in &row.figures {
                say(&format!("    {:<44} {}", figure.name, figure.as_text()));
            }
        }
    }

    fn as_json(&self) -> Value {
        json!({
            "part": self.name,
            "about": self.about,
            "aim": self.aim,
            "rows": self.rows.iter().map(Row::as_json).collect::<Vec<_>>(),
        })
    }
}

/// Everything measured.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    version: &'static str,
    profile: &'static str,
    machine: &'a Machine,
    quick: bool,
    parts: Vec<Value>,
}

impl<'a> Report<'a> {
    pub(super) fn new(machine: &'a Machine, quick: bool, parts: &[Part]) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            profile: PROFILE,
            machine,
            quick,
            parts: parts.iter().map(Part::as_json).collect(),
        }
    }
}

/// How the program was built: figures of debug builds mean nothing.
pub(super) const PROFILE: &str = match cfg!(debug_assertions) {
    true => "debug",
    false => "release",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quantiles() {
        assert_eq!(quantile(&[3.0, 1.0, 2.0], 0.5), 2.0);
        assert_eq!(quantile(&[4.0, 1.0, 2.0, 3.0], 0.5), 2.5);
        let many: Vec<f64> = (1..=101).map(f64::from).collect();
        assert_eq!(quantile(&many, 0.99), 100.0);
        assert_eq!(quantile(&[], 0.5), 0.0);
        let mut row = Row::new("case");
        row.note("polls/s", 10.0);
        row.note("polls/s", 30.0);
        assert_eq!(row.figures[0].median(), 20.0);
        assert_eq!(row.figures[0].as_text(), "20.0 [10.0..30.0]");
    }
}
