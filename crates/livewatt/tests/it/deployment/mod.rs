//! What people deploy by, held against the program: the pages of the documentation, the units, the
//! container, the package.

mod files;
mod pages;

use std::collections::BTreeSet;

use livewatt::config::Settings;

use self::pages::{pages, settings, variables};
use crate::cli::{run, said};

/// Fails unless the program takes these arguments: it is asked for help behind them.
fn check_command(arguments: &[&str], place: &str) {
    let output = run(&[arguments, &["--help"]].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{place}: {arguments:?}: {errors}");
}

#[test]
fn commands_of_the_pages_are_those_of_the_program() {
    let mut named = BTreeSet::new();
    for page in pages() {
        for arguments in page.commands() {
            check_command(&arguments, &page.path.display().to_string());
            named.insert(arguments[0].to_owned());
        }
    }
    // What is meant to be found is found, and every command is explained somewhere.
    let help = said(&run(&["--help"]));
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let list = list.split("\n\n").next().unwrap().lines();
    let all: BTreeSet<String> = list
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .filter(|name| name != "help")
        .collect();
    assert!(all.len() > 8, "{all:?}");
    assert_eq!(named, all, "left: the pages; right: the program");
}

#[test]
fn an_unknown_command_would_be_found() {
    for arguments in [
        &["restore"][..],
        &["backup", "to", "--key"],
        &["client", "make"],
    ] {
        let output = run(&[arguments, &["--help"]].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    let calls =
        pages::commands_of("sudo -u livewatt livewatt doctor --json # why\ncreatedb livewatt -e");
    assert_eq!(calls, [["doctor", "--json"]]);
}

#[test]
fn settings_of_the_pages_are_those_of_the_program() {
    let known = settings();
    assert!(
        known.contains("cluster.lease_secs") && known.len() > 20,
        "{known:?}"
    );
    let sections: BTreeSet<&str> = known
        .iter()
        .map(|key| key.split('.').next().unwrap())
        .collect();
    let mut named = BTreeSet::new();
    for page in pages() {
        let place = page.path.display();
        for word in page.words() {
            let key = word.split(" = ").next().unwrap();
            let is_key = key
                .chars()
                .all(|c| c.is_ascii_lowercase() || "._".contains(c));
            let section = key.split_once('.').map_or("", |(section, _)| section);
            // Files and tables are not settings, though some have names alike.
            let is_file = [".rs", ".md", ".toml", ".py", ".html", ".key", ".sock"]
                .iter()
                .any(|ending| key.ends_with(ending));
            if is_key && !is_file && sections.contains(section) {
                let table = format!("{key}.");
                let is_known = known.contains(key) || known.iter().any(|k| k.starts_with(&table));
                assert!(is_known, "{place} names {key}");
                named.insert(key.to_owned());
            }
        }
        for key in variables(&page.text) {
            assert!(known.contains(&key), "{place} names {key}");
            named.insert(key);
        }
        for block in page.blocks("toml") {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), block).unwrap();
            let loaded = Settings::load(Some(&file.path().to_owned()), &[]);
            loaded.unwrap_or_else(|error| panic!("{place}: {error:#}: {block}"));
        }
    }
    for key in ["events.retention_days", "server.public_url", "secrets.keys"] {
        assert!(named.contains(key), "no page names {key}");
    }
}

#[test]
fn links_lead_somewhere() {
    let pages = pages();
    let mut followed = 0;
    for page in &pages {
        for link in page.links() {
            let place = page.path.display();
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.path.clone(),
                file => page.path.parent().unwrap().join(file),
            };
            let target = target.canonicalize();
            let target = target.unwrap_or_else(|error| panic!("{place}: {link}: {error}"));
            if !anchor.is_empty() {
                let there = pages
                    .iter()
                    .find(|other| other.path.canonicalize().unwrap() == target);
                let anchors = there.unwrap().anchors();
                assert!(anchors.contains(anchor), "{place}: {link}: {anchors:?}");
            }
            followed += 1;
        }
    }
    assert!(followed > 30, "{followed}");
}
