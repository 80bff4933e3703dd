//! The program as people start it: its words, its exit status, its files.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command as StdCommand, Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
    time::timeout,
};

pub(super) const PROGRAM: &str = env!("CARGO_BIN_EXE_livewatt");

/// Runs the program to its end.
pub(super) fn run(arguments: &[&str]) -> Output {
    // A program that should have refused must not run for ever instead.
    StdCommand::new("timeout")
        .args(["60", PROGRAM])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

pub(super) fn said(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Fails unless the program refused, and named `what` in its first words.
pub(super) fn refusal(arguments: &[&str], what: &str) {
    let output = run(arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
    assert!(errors.contains(what), "{arguments:?}: {errors}");
    assert!(!errors.contains("panicked"), "{errors}");
}

/// What a first start makes in a directory.
pub(super) fn start_once(data: &str) {
    let mut server = StdCommand::new(PROGRAM)
        .args(["serve", "--listen", "127.0.0.1:0", "--data", data])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = std::io::BufReader::new(server.stdout.take().unwrap());
    let mut lines = std::io::BufRead::lines(output).map_while(Result::ok);
    assert!(
        lines.any(|line| line.contains("listens on")),
        "it did not start"
    );
    let id = server.id().to_string();
    StdCommand::new("kill")
        .args(["-TERM", &id])
        .status()
        .unwrap();
    assert!(server.wait().unwrap().success());
}

/// The program while it runs.
struct Running {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        Self::start_with(Path::new("/tmp"), arguments)
    }

    /// Starts it with a directory of its own for what is temporary.
    fn start_with(temporary: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(arguments)
            .env("TMPDIR", temporary)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, output }
    }

    /// Reads on until a line contains `what`; returns all lines read.
    async fn until(&mut self, what: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let next = timeout(Duration::from_secs(30), self.output.next_line()).await;
            let line = next
                .unwrap_or_else(|_| panic!("no {what:?} in {lines:#?}"))
                .unwrap();
            lines.push(line.unwrap_or_else(|| panic!("it ended without {what:?}: {lines:#?}")));
            if lines.last().is_some_and(|line| line.contains(what)) {
                return lines;
            }
        }
    }

    /// Asks it to stop, as an operator or a supervisor does, and waits.
    async fn terminate(mut self, signal: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(
            StdCommand::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
        let drained = async { while let Ok(Some(_)) = self.output.next_line().await {} };
        let ended = timeout(Duration::from_secs(20), async {
            drained.await;
            self.child.wait().await
        });
        let status = ended.await.expect("it does not end").unwrap();
        assert!(status.success(), "{status}");
    }
}

/// The word after a label in what the program said.
fn after(lines: &[String], label: &str) -> String {
    let line = lines.iter().find(|line| line.contains(label));
    let line = line.unwrap_or_else(|| panic!("no {label:?} in {lines:#?}"));
    line.split(label)
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .to_owned()
}

fn data(directory: &TempDir) -> String {
    directory.path().join("data").to_str().unwrap().to_owned()
}

async fn token(base: &str, id: &str, secret: &str) -> reqwest::StatusCode {
    let form = [("grant_type", "client_credentials")];
    let request = reqwest::Client::new()
        .post(format!("{base}/oauth2/token"))
        .form(&form);
    request
        .basic_auth(id, Some(secret))
        .send()
        .await
        .unwrap()
        .status()
}

#[tokio::test]
async fn a_server_starts_serves_and_stops() {
    let directory = TempDir::new().unwrap();
    let data = data(&directory);
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data", &data];
    let mut server = Running::start(&arguments);
    let lines = server.until("listens on").await;
    let base = after(&lines, "listens on");
    let (id, secret) = (after(&lines, "client ID"), after(&lines, "client secret"));
    let ready = reqwest::get(format!("{base}/health/ready")).await.unwrap();
    assert_eq!(ready.status(), 204);
    assert_eq!(token(&base, &id, &secret).await, 200);
    let document = reqwest::get(format!("{base}/openapi.json")).await.unwrap();
    let document: Value = document.json().await.unwrap();
    let printed: Value = serde_json::from_str(&said(&run(&["openapi"]))).unwrap();
    assert_eq!(document, printed);

    // Clients are managed while it runs …
    let made: Vec<String> = said(&run(&["client", "create", "Another app", "--data", &data]))
        .lines()
        .map(str::to_owned)
        .collect();
    let (other, first_secret) = (after(&made, "client ID"), after(&made, "client secret"));
    assert_eq!(token(&base, &other, &first_secret).await, 200);
    let rotated: Vec<String> = said(&run(&["client", "rotate-secret", &other, "--data", &data]))
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(token(&base, &other, &first_secret).await, 401);
    assert_eq!(
        token(&base, &other, &after(&rotated, "client secret")).await,
        200
    );
    // … and two servers never share a directory.
    refusal(&arguments, "in use by another process");
    // Whoever does not finish a request cannot hold it up.
    let mut slow = TcpStream::connect(base.trim_start_matches("http://"))
        .await
        .unwrap();
    slow.write_all(b"POST /webhooks HTTP/1.1\r\ncontent-length: 9\r\n")
        .await
        .unwrap();
    server.terminate("-TERM").await;

    // … and while it does not.
    let listed = said(&run(&["client", "list", "--data", &data]));
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(
        listed.contains("Another app") && listed.contains(&id),
        "{listed}"
    );
    refusal(&["client", "delete", &other, "--data", &data], "--yes");
    said(&run(&[
        "client", "delete", &other, "--yes", "--data", &data,
    ]));
    refusal(
        &["client", "delete", &other, "--yes", "--data", &data],
        "no client",
    );

    let mut again = Running::start(&arguments);
    let lines = again.until("listens on").await;
    assert_eq!(lines.len(), 1, "the secret is shown once: {lines:#?}");
    assert_eq!(token(&after(&lines, "listens on"), &id, &secret).await, 200);
    again.terminate("-INT").await;
}

#[test]
fn what_is_wrong_is_named() {
    let directory = TempDir::new().unwrap();
    let data = data(&directory);
    let file = |text: &str| {
        let path = directory.path().join("settings.toml");
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refusal(
        &["serve", "--listen", &address, "--data", &data],
        "--listen",
    );
    let serve = |text: &str, what: &str| {
        let path = file(text);
        refusal(
            &[
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--data",
                &data,
                "--config",
                &path,
            ],
            what,
        );
    };
    serve("[webhooks]\nlanes = 0\n", "webhooks.lanes");
    serve("[webhooks]\nlines = 4\n", "lines");
    serve("[webhook]\nlanes = 4\n", "webhook");
    serve("listen = \"127.0.0.1:1\"\n", "listen");
    serve(
        "[server]\nbody_limit_bytes = \"much\"\n",
        "server.body_limit_bytes",
    );
    serve("[server\n", "settings.toml");
    serve(
        "[server]\npublic_url = \"ftp://somewhere\"\n",
        "server.public_url",
    );
    serve("[secrets]\nkeys = \"no key\"\n", "secrets.keys");
    serve("[log]\nlevel = \"loud=very\"\n", "log.level");
    refusal(&["serve", "--config", "/nowhere/settings.toml"], "settings");
    let blocked = directory.path().join("a-file");
    std::fs::write(&blocked, "").unwrap();
    let below = blocked.join("data");
    refusal(
        &[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--data",
            below.to_str().unwrap(),
        ],
        "a-file",
    );
}

#[test]
fn the_environment_is_taken_as_it_is_written() {
    let directory = TempDir::new().unwrap();
    let list = |key: &str, value: &str| {
        StdCommand::new(PROGRAM)
            .args(["client", "list"])
            .current_dir(&directory)
            .env("LIVEWATT_STORE__DIRECTORY", "007")
            // What a container platform adds for a service of that name.
            .env("LIVEWATT_PORT", "tcp://10.0.0.1:8080")
            .env(key, value)
            .output()
            .unwrap()
    };
    start_once(directory.path().join("007").to_str().unwrap());
    said(&list("LIVEWATT_WEBHOOKS__LANES", "2"));
    for (key, value, named) in [
        ("LIVEWATT_WEBHOOKS__LANES", "two", "webhooks.lanes"),
        ("LIVEWATT_WEBHOOKS__LINES", "2", "lines"),
    ] {
        let output = list(key, value);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(1) && errors.contains(named),
            "{errors}"
        );
    }
}

#[test]
fn what_is_written_is_for_the_owner_only() {
    let directory = TempDir::new().unwrap();
    let data = data(&directory);
    start_once(&data);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(Path::new(&data)), 0o700);
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_database_needs_its_own_key() {
    let directory = TempDir::new().unwrap();
    let data = data(&directory);
    start_once(&data);
    let key = Path::new(&data).join("secret.key");
    let own = std::fs::read(&key).unwrap();
    let list = ["client", "list", "--data", &data];
    // No new key is made in its place, which would be in the way of the right one.
    std::fs::remove_file(&key).unwrap();
    refusal(&list, "secret.key is missing");
    assert!(!key.exists());
    let other = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, [7; 32]);
    std::fs::write(&key, other).unwrap();
    refusal(&list, "cannot be opened with this key");
    std::fs::write(&key, "no key\n").unwrap();
    refusal(&list, "secret.key");
    std::fs::write(&key, own).unwrap();
    said(&run(&list));
}

#[test]
fn default_settings_and_the_api_document_are_printed() {
    let directory = TempDir::new().unwrap();
    let printed = said(&run(&["config"]));
    let path = directory.path().join("defaults.toml");
    std::fs::write(&path, &printed).unwrap();
    let (config, data) = (path.to_str().unwrap(), data(&directory));
    start_once(&data);
    said(&run(&[
        "client", "list", "--config", config, "--data", &data,
    ]));
    let document: Value = serde_json::from_str(&said(&run(&["openapi"]))).unwrap();
    assert!(document["paths"]["/vehicles/{vehicleId}"]["get"].is_object());
    assert!(said(&run(&["--help"])).contains("demo"));
}

#[tokio::test]
async fn the_sandbox_runs_alone() {
    let mut sandbox = Running::start(&["sandbox", "--listen", "127.0.0.1:0", "--speed", "0"]);
    let base = after(&sandbox.until("listens on").await, "listens on");
    let clock = reqwest::get(format!("{base}/control/clock")).await.unwrap();
    let clock: Value = serde_json::from_str(&clock.text().await.unwrap()).unwrap();
    assert_eq!(clock["speed"], 0.0);
    sandbox.terminate("-TERM").await;
}

#[tokio::test]
async fn the_demo_shows_all_kinds_and_their_webhooks() {
    let temporary = TempDir::new().unwrap();
    let mut demo = Running::start_with(temporary.path(), &["demo", "--listen", "127.0.0.1:0"]);
    let mut lines = demo.until("meter  ").await;
    lines.extend(demo.until("user:battery:updated").await);
    for kind in [
        "vehicle  ",
        "charger  ",
        "hvac  ",
        "inverter  ",
        "battery  ",
    ] {
        assert!(
            lines.iter().any(|line| line.starts_with(kind)),
            "no {kind}: {lines:#?}"
        );
    }
    let page = reqwest::get(after(&lines, "Live page")).await.unwrap();
    assert_eq!(page.status(), 200);
    demo.terminate("-TERM").await;
    let left = std::fs::read_dir(temporary.path()).unwrap().count();
    assert_eq!(left, 0, "the demo leaves something behind");
}
