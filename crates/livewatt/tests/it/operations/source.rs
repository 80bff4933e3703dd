//! What the source counts and logs: its calls of macros, found by reading it.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A call of a macro.
pub struct Call {
    /// The module it stands in, as logs name it.
    pub module: String,
    /// The macro, as `metrics::counter`.
    pub name: &'static str,
    /// All between its parentheses.
    pub arguments: String,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("crates live two levels below the root")
}

/// All calls of some macros in the crates, tests of whole flows left out.
pub fn calls(names: &[&'static str]) -> Vec<Call> {
    let mut found = Vec::new();
    for (module, text) in modules() {
        for name in names {
            let opening = format!("{name}!(");
            for (at, _) in text.match_indices(&opening) {
                found.push(Call {
                    module: module.clone(),
                    name,
                    arguments: until_closed(&text[at + opening.len()..]).to_owned(),
                });
            }
        }
    }
    found
}

/// All text of the crates, for words that must be somewhere in it.
pub fn all_text() -> String {
    modules().into_iter().map(|(_, text)| text).collect()
}

fn modules() -> Vec<(String, String)> {
    let mut modules = Vec::new();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let name = match name.as_str() {
            "livewatt" => name,
            other => format!("livewatt_{other}"),
        };
        for file in rust_files(&folder.join("src")) {
            let inside = file.strip_prefix(folder.join("src")).unwrap();
            let inside = inside.with_extension("");
            let parts = inside.iter().map(|part| part.to_str().unwrap());
            let parts = parts.filter(|part| !["lib", "main", "mod"].contains(part));
            let path: Vec<&str> = std::iter::once(name.as_str()).chain(parts).collect();
            modules.push((path.join("::"), fs::read_to_string(&file).unwrap()));
        }
    }
    modules
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files
}

/// The text up to the parenthesis that closes one opened before it.
fn until_closed(text: &str) -> &str {
    let (mut depth, mut is_quoted, mut is_escaped) = (1, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = is_quoted,
            '"' => is_quoted = !is_quoted,
            '(' if !is_quoted => depth += 1,
            ')' if !is_quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    panic!("never closed: {text}");
}

impl Call {
    /// Its string literals, each with what follows it.
    fn literals(&self) -> Vec<(&str, &str)> {
        let parts: Vec<&str> = self.arguments.split('"').collect();
        let pairs = parts.chunks(2).skip(1);
        // Between quotes stands the text of a literal, behind them the rest.
        let texts = parts.iter().skip(1).step_by(2);
        let texts: Vec<(&str, &str)> = texts
            .copied()
            .zip(pairs.map(|pair| pair[0].trim_start()))
            .collect();
        texts
    }

    /// Its first string literal: the name of a metric.
    pub fn first_literal(&self) -> String {
        let found = self.literals();
        let first = found
            .first()
            .unwrap_or_else(|| panic!("no name: {}", self.arguments));
        first.0.to_owned()
    }

    /// The last string literal: the message of a log line.
    pub fn message(&self) -> Option<String> {
        self.literals().last().map(|found| found.0.to_owned())
    }

    /// The literals before an arrow: labels.
    pub fn labels(&self) -> Vec<String> {
        let literals = self.literals().into_iter();
        literals
            .filter(|(_, rest)| rest.starts_with("=>"))
            .map(|(label, _)| label.to_owned())
            .collect()
    }
}
