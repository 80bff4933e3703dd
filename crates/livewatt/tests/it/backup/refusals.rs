//! What is not copied, and what is not overwritten.

use std::{fs, path::Path};

use tempfile::TempDir;

use super::text;
use crate::cli::{refusal, run, said, start_once};

/// An installation that was started once, and where a copy of it may go.
fn installation() -> (TempDir, String, String) {
    let directory = TempDir::new().unwrap();
    let of = |name: &str| text(&directory.path().join(name)).to_owned();
    let (data, copy) = (of("data"), of("copy"));
    start_once(&data);
    (directory, data, copy)
}

#[test]
fn a_copy_with_its_key_can_be_started_on() {
    let (_directory, data, copy) = installation();
    let told = said(&run(&["backup", &copy, "--with-key", "--data", &data]));
    assert!(told.contains("beside it"), "{told}");
    let clients = |data: &str| said(&run(&["client", "list", "--data", data]));
    assert_eq!(clients(&copy), clients(&data));
    assert!(!clients(&copy).is_empty());
    start_once(&copy);
}

#[test]
fn nothing_is_overwritten() {
    let (_directory, data, copy) = installation();
    said(&run(&["backup", &copy, "--data", &data]));
    let database = Path::new(&copy).join("livewatt.db");
    let before = fs::read(&database).unwrap();
    refusal(&["backup", &copy, "--data", &data], "no backup was made");
    assert!(fs::read(&database).unwrap() == before);
    // Nor is a directory taken that is empty: it might be a disk that is not mounted.
    fs::remove_file(&database).unwrap();
    refusal(&["backup", &copy, "--data", &data], "no backup was made");
    assert_eq!(fs::read_dir(&copy).unwrap().count(), 0);
    refusal(&["backup", &data, "--data", &data], "no backup was made");
    let below = format!("{copy}/not/there");
    refusal(&["backup", &below, "--data", &data], "no backup was made");
}

#[test]
fn what_cannot_be_copied_is_named() {
    let (_directory, data, copy) = installation();
    refusal(&["backup", &copy, "--data", "/nowhere"], "/nowhere");
    refusal(&["mark-restored", "--data", "/nowhere"], "/nowhere");
    assert!(!Path::new("/nowhere").exists());
    let postgres = ["--database-url", "postgres://somebody@127.0.0.1:1/livewatt"];
    refusal(
        &[&["backup", copy.as_str(), "--data", &data][..], &postgres].concat(),
        "pg_dump",
    );
    // Every page but the first spoilt: it may be copied, but not as a sound one.
    let file = Path::new(&data).join("livewatt.db");
    let mut bytes = fs::read(&file).unwrap();
    bytes[4096..].fill(0xa5);
    fs::write(&file, bytes).unwrap();
    refusal(&["backup", &copy, "--data", &data], "no backup was made");
    fs::write(&file, "no database at all, but a text that is long enough").unwrap();
    refusal(&["backup", &copy, "--data", &data], "not a database");
    assert!(!Path::new(&copy).exists(), "nothing is left behind");
}
