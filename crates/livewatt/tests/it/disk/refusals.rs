//! Starts that are refused: by name, with what to do, and without damage.

use std::{fs, os::unix::fs::symlink, path::Path};

use tempfile::TempDir;

use super::{Installation, serve, spoil};
use crate::cli::{refusal, run, said, start_once};

#[test]
fn a_database_that_is_damaged_is_refused_and_left_as_it_is() {
    for (at, length) in [(0, 100), (20, 80)] {
        let installation = Installation::new();
        let file = installation.file("livewatt.db");
        spoil(&file, at, length);
        let before = fs::read(&file).unwrap();
        refusal(&serve(installation.text()), "livewatt");
        refusal(
            &["client", "list", "--data", installation.text()],
            "damaged",
        );
        assert_eq!(fs::read(&file).unwrap(), before);
    }
}

#[test]
fn a_write_ahead_log_cut_short_loses_nothing_that_was_whole() {
    let installation = Installation::new();
    // What SQLite finds of a log that is not one: it begins a new one.
    fs::write(installation.file("livewatt.db-wal"), [0xa5; 5000]).unwrap();
    let listed = said(&run(&["client", "list", "--data", installation.text()]));
    assert_eq!(listed.lines().count(), 1, "{listed}");
}

#[test]
fn a_directory_that_cannot_be_one_is_named() {
    let directory = TempDir::new().unwrap();
    let below_a_file = directory.path().join("file/data");
    fs::write(directory.path().join("file"), "").unwrap();
    let nowhere = directory.path().join("link");
    symlink("/proc/nowhere/at/all", &nowhere).unwrap();
    for path in [
        below_a_file.as_path(),
        Path::new("/proc/livewatt"),
        &nowhere,
    ] {
        let text = path.to_str().unwrap();
        refusal(&serve(text), text);
    }
}

#[test]
fn a_client_in_the_wrong_directory_makes_nothing_there() {
    let directory = TempDir::new().unwrap();
    let wrong = directory.path().join("wrong");
    let text = wrong.to_str().unwrap();
    refusal(&["client", "list", "--data", text], text);
    refusal(&["client", "create", "App", "--data", text], "--data");
    assert!(!wrong.exists());
    // Also if the directory is there, but of something else.
    fs::create_dir(&wrong).unwrap();
    refusal(&["client", "list", "--data", text], text);
    assert_eq!(fs::read_dir(&wrong).unwrap().count(), 0);
}

/// The way to the administration socket is short however long that to its directory is.
#[test]
fn a_long_path_does_not_keep_clients_away() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("a-directory-with-a-name/".repeat(6));
    let text = data.to_str().unwrap().trim_end_matches('/');
    assert!(text.len() > 108);
    start_once(text);
    let mut server = std::process::Command::new(crate::cli::PROGRAM)
        .args(serve(text))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let output = std::io::BufReader::new(server.stdout.take().unwrap());
    let mut lines = std::io::BufRead::lines(output).map_while(Result::ok);
    assert!(lines.any(|line| line.contains("listens on")));
    let made = run(&["client", "create", "App", "--data", text]);
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(said(&made).contains("client secret"));
}

#[test]
fn a_demo_that_cannot_start_leaves_nothing_behind() {
    let directory = TempDir::new().unwrap();
    let output = std::process::Command::new("timeout")
        .args(["60", crate::cli::PROGRAM, "demo", "--listen", "127.0.0.1:0"])
        .env("TMPDIR", directory.path())
        .env("LIVEWATT_SECRETS__KEYS", "no key")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    // Also if it had made something already: here the clouds refuse it while accounts are linked.
    let output = std::process::Command::new("timeout")
        .args(["60", crate::cli::PROGRAM, "demo", "--listen", "127.0.0.1:0"])
        .env("TMPDIR", directory.path())
        .env("LIVEWATT_SANDBOX__CLIENT_SECRET", "another")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert_eq!(
        fs::read_dir(directory.path()).unwrap().count(),
        0,
        "{errors}"
    );
}
