//! What `livewatt doctor` finds.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use serde_json::Value;
use tempfile::TempDir;

use super::{Installation, spoil};
use crate::{
    cli::PROGRAM,
    support::{World, still},
};

/// Exit code and findings, the worst of each check: level and what was found and what to do.
struct Findings {
    code: i32,
    rows: Vec<Value>,
}

impl Findings {
    #[track_caller]
    fn expect(&self, check: &str, level: &str, words: &str) {
        let of_it = |row: &&Value| row["check"] == check && row["level"] == level;
        let text = self.rows.iter().find(of_it).map(Value::to_string);
        let text = text.unwrap_or_else(|| panic!("no {check} {level}: {:#?}", self.rows));
        assert!(text.contains(words), "{text}");
        assert!(level == "ok" || text.contains("remedy"), "{text}");
    }
}

fn doctor(arguments: &[&str]) -> Findings {
    let output = Command::new(PROGRAM)
        .args(["doctor", "--json"])
        .args(arguments)
        .env("LIVEWATT_SERVER__LISTEN", "127.0.0.1:0")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
    Findings {
        code: output.status.code().unwrap(),
        rows: rows.collect(),
    }
}

#[test]
fn a_sound_installation_that_does_not_run() {
    let installation = Installation::new();
    let before = fs::read(installation.file("livewatt.db")).unwrap();
    let found = doctor(&["--data", installation.text()]);
    for check in [
        "config",
        "directory",
        "server",
        "database",
        "events",
        "clock",
        "key",
        "port",
    ] {
        found.expect(check, "ok", "");
    }
    found.expect("public_url", "warn", "server.public_url");
    assert_eq!(found.code, 1);
    assert_eq!(fs::read(installation.file("livewatt.db")).unwrap(), before);
    assert!(!installation.file(".livewatt-doctor").exists());
    // The same for people.
    let output = Command::new(PROGRAM)
        .args(["doctor", "--data", installation.text()])
        .env("LIVEWATT_SERVER__PUBLIC_URL", "https://energy.example")
        .env("LIVEWATT_SERVER__LISTEN", "127.0.0.1:0")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("ok    key"), "{text}");
    let is_disk_low = text.contains("warn  disk");
    assert_eq!(output.status.code(), Some(i32::from(is_disk_low)), "{text}");
}

#[test]
fn settings_and_directories_that_cannot_be_used() {
    let directory = TempDir::new().unwrap();
    let config = directory.path().join("settings.toml");
    fs::write(&config, "[webhooks]\nlanes = 0\n").unwrap();
    let found = doctor(&["--config", config.to_str().unwrap()]);
    found.expect("config", "fail", "webhooks.lanes");
    assert_eq!((found.code, found.rows.len()), (2, 1));

    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let found = doctor(&["--data", file.to_str().unwrap()]);
    found.expect("directory", "fail", "no directory");
    assert_eq!(found.code, 2);
    let missing = directory.path().join("missing");
    let found = doctor(&["--data", missing.to_str().unwrap()]);
    found.expect("directory", "warn", "missing");
    assert_eq!(found.code, 1);
    assert!(!missing.exists());

    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    fs::set_permissions(&empty, fs::Permissions::from_mode(0o755)).unwrap();
    let found = doctor(&["--data", empty.to_str().unwrap()]);
    found.expect("directory", "warn", "chmod 700");
    found.expect("database", "ok", "first start");
    found.expect("key", "ok", "first start");
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
}

#[test]
fn databases_and_keys_that_cannot_be_used() {
    let installation = Installation::new();
    let arguments = ["--data", installation.text()];
    let (database, key) = (
        installation.file("livewatt.db"),
        installation.file("secret.key"),
    );
    let (sound, own) = (fs::read(&database).unwrap(), fs::read(&key).unwrap());

    fs::remove_file(&key).unwrap();
    let found = doctor(&arguments);
    found.expect("key", "fail", "is missing");
    assert_eq!(found.code, 2);
    assert!(!key.exists());
    let other = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, [7; 32]);
    fs::write(&key, other).unwrap();
    doctor(&arguments).expect("key", "fail", "not that of the database");
    fs::write(&key, &own).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    doctor(&arguments).expect("key", "warn", "chmod 600");

    let pages = sound.len() / 4096;
    for (at, length) in [(0, 100), (4096, (pages - 1) * 4096)] {
        spoil(&database, at, length);
        let found = doctor(&arguments);
        found.expect("database", "fail", "restore a backup");
        assert_eq!(found.code, 2);
        fs::write(&database, &sound).unwrap();
    }
    // The version of the schema is at this place of every SQLite database.
    let mut newer = sound.clone();
    newer[60..64].copy_from_slice(&99_u32.to_be_bytes());
    fs::write(&database, &newer).unwrap();
    doctor(&arguments).expect("database", "fail", "newer");
    crate::cli::refusal(&super::serve(installation.text()), "use the newer program");
    newer[60..64].copy_from_slice(&1_u32.to_be_bytes());
    fs::write(&database, &newer).unwrap();
    doctor(&arguments).expect("database", "warn", "next start");
}

#[test]
fn a_port_that_is_taken() {
    let installation = Installation::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let output = Command::new(PROGRAM)
        .args(["doctor", "--data", installation.text()])
        .env(
            "LIVEWATT_SERVER__LISTEN",
            taken.local_addr().unwrap().to_string(),
        )
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("FAIL  port"), "{text}");
    assert_eq!(output.status.code(), Some(2));
}

/// A server of this process, in simulated time: it is of another year than the doctor.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_runs_is_asked() {
    let world = World::new().await;
    world
        .link("ann", livewatt_sandbox::Cloud::Helios, still())
        .await;
    world.subscribe().await;
    let data = world.directory.path().join("data");
    let data = data.to_str().unwrap().to_owned();
    let ask = async || {
        let data = data.clone();
        tokio::task::spawn_blocking(move || doctor(&["--data", &data]))
            .await
            .unwrap()
    };
    world
        .advance(livewatt_domain::SignedDuration::from_mins(5))
        .await;
    let found = ask().await;
    found.expect("server", "ok", "it runs");
    found.expect("polling", "ok", "");
    found.expect("vendors", "ok", "");
    found.expect("accounts", "ok", "1, all");
    found.expect("receivers", "ok", "1 webhooks");
    found.expect("database", "ok", "sound");
    found.expect("key", "ok", "opens");

    // Time goes by without anybody fetching.
    world
        .clock
        .advance(livewatt_domain::SignedDuration::from_hours(2));
    ask().await.expect("polling", "warn", "seconds");
    // And the clock of the doctor is far behind what the server has written.
    world.clock.set("2126-03-02T06:00:00Z".parse().unwrap());
    world.settle().await;
    let found = ask().await;
    found.expect("clock", "fail", "set the clock right");
    assert_eq!(found.code, 2);
    world.shut_down().await;
}

/// A vendor that does not answer is told to clients and to the doctor, until it does.
#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_does_not_answer() {
    use livewatt_domain::SignedDuration;
    use livewatt_sandbox::{Cloud, FaultKind, FaultSpec};
    let world = World::new().await;
    for number in 0..25 {
        let user = format!("ann-{number}");
        world.link(&user, Cloud::Helios, still()).await;
    }
    world.advance(SignedDuration::from_mins(1)).await;
    let status = async || {
        let rows = world.api.get("/health/meters").await.expect_status(200);
        (rows[0]["status"].clone(), rows[0]["linkingStatus"].clone())
    };
    assert_eq!(status().await, ("READY".into(), "READY".into()));
    let down = FaultSpec::new(FaultKind::ServerError { status: 503 });
    world.sandbox.add_fault(Cloud::Helios, down).await.unwrap();
    world.advance(SignedDuration::from_mins(20)).await;
    assert_eq!(
        status().await,
        ("OUTAGE".into(), "ELEVATED_ERROR_RATE".into())
    );
    let data = world.directory.path().join("data");
    let look = move || doctor(&["--data", data.to_str().unwrap()]);
    let found = tokio::task::spawn_blocking(look).await.unwrap();
    found.expect("vendors", "warn", "helios");
    world.sandbox.drop_all_faults().await;
    world.advance(SignedDuration::from_mins(20)).await;
    assert_eq!(status().await, ("READY".into(), "READY".into()));
    world.shut_down().await;
}
