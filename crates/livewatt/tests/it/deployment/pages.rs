//! What the documentation and the files of `ops` name: commands, settings, links.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use livewatt::config::DEFAULTS;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
}

pub fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A page of the documentation.
pub struct Page {
    pub path: PathBuf,
    pub text: String,
}

/// All pages for those who run it.
pub fn pages() -> Vec<Page> {
    let mut pages = Vec::new();
    for folder in ["", "docs"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let is_history = path.ends_with("CHANGELOG.md");
            if path.extension().is_some_and(|ending| ending == "md") && !is_history {
                let text = fs::read_to_string(&path).unwrap();
                pages.push(Page { path, text });
            }
        }
    }
    pages
}

impl Page {
    /// The blocks of a language, each with its lines.
    pub fn blocks(&self, language: &str) -> Vec<&str> {
        let opening = format!("```{language}\n");
        let rest = self.text.split(opening.as_str()).skip(1);
        rest.map(|rest| rest.split("```").next().unwrap()).collect()
    }

    /// What stands between backticks within a line.
    pub fn words(&self) -> Vec<&str> {
        let mut outside = self.text.split("```").step_by(2);
        let mut words = Vec::new();
        for part in &mut outside {
            words.extend(part.split('`').skip(1).step_by(2));
        }
        words
    }

    /// The arguments of every call of the program.
    pub fn commands(&self) -> Vec<Vec<&str>> {
        let blocks = self.blocks("sh");
        let lines = blocks.iter().flat_map(|block| commands_of(block));
        lines
            .chain(self.words().into_iter().flat_map(commands_of))
            .collect()
    }

    /// The targets of links within the repository.
    pub fn links(&self) -> Vec<&str> {
        let targets = self.text.split("](").skip(1);
        let targets = targets.map(|rest| rest.split(')').next().unwrap());
        targets.filter(|target| !target.contains("://")).collect()
    }

    /// The anchors of the headings.
    pub fn anchors(&self) -> BTreeSet<String> {
        let headings = self.text.lines().filter(|line| line.starts_with('#'));
        headings
            .map(|line| {
                let title = line.trim_start_matches('#').trim().to_lowercase();
                let kept = title
                    .chars()
                    .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
                kept.collect::<String>().replace(' ', "-")
            })
            .collect()
    }
}

/// The arguments of calls of the program in a text of shell.
pub fn commands_of(shell: &str) -> Vec<Vec<&str>> {
    let mut found = Vec::new();
    for line in shell.split('\n') {
        let line = line.split(" #").next().unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        for (at, word) in words.iter().enumerate() {
            let is_program =
                word.trim_start_matches(['/', '.']).split('/').next_back() == Some("livewatt");
            // Itself, or behind the user that sudo is told.
            let begins = at == 0 || words[at - 1] == "livewatt";
            let next = words.get(at + 1).filter(|next| {
                **next != "livewatt"
                    && next.starts_with(|c: char| c.is_ascii_lowercase() || c == '-')
            });
            if is_program && begins && next.is_some() {
                let arguments = words[at + 1..].iter();
                // "a\|b" is one or the other, in a table.
                let arguments = arguments.map(|word| word.split("\\|").next().unwrap());
                found.push(
                    arguments
                        .filter(|word| !matches!(*word, "…" | "and"))
                        .collect(),
                );
            }
        }
    }
    found
}

/// All settings, as `section.key`.
pub fn settings() -> BTreeSet<String> {
    let mut section = "";
    let mut keys = BTreeSet::new();
    for line in DEFAULTS.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some((key, _)) = line.split_once(" = ") {
            keys.insert(format!("{section}.{key}"));
        }
    }
    keys
}

/// The settings that a text names as environment variables.
pub fn variables(text: &str) -> Vec<String> {
    let names = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
    let names = names.filter_map(|name| name.strip_prefix("LIVEWATT_"));
    let names = names.filter(|name| name.contains("__"));
    names
        .map(|name| name.to_lowercase().replace("__", "."))
        .collect()
}
