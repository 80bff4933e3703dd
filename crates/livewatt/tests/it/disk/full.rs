//! A disk that fills up while the server runs, and has room again.
//!
//! Without privileges a disk cannot be filled, but a process can be forbidden to let its files
//! grow: to SQLite that is a write that fails. As root, a small file system is filled for real.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use reqwest::StatusCode;
use serde_json::Value;
use tempfile::TempDir;

use crate::{cli::PROGRAM, support::eventually};

/// A server whose log goes to a file.
pub(super) struct Server {
    child: Child,
    pub(super) base: String,
    client: (String, String),
    log: std::path::PathBuf,
}

impl Server {
    pub(super) fn start(data: &Path, log: &Path) -> Self {
        // Whoever may not write must be told, not killed.
        let script = "trap '' XFSZ; exec \"$0\" \"$@\"";
        let mut child = Command::new("bash")
            .args([
                "-c",
                script,
                PROGRAM,
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--data",
            ])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(log).unwrap())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (mut base, mut id, mut secret) = (None, String::new(), String::new());
        for line in output.lines().map_while(Result::ok) {
            let last = line
                .split_whitespace()
                .last()
                .unwrap_or_default()
                .to_owned();
            match () {
                () if line.contains("client ID") => id = last,
                () if line.contains("client secret") => secret = last,
                () if line.contains("listens on") => {
                    base = Some(last);
                    break;
                }
                () => {}
            }
        }
        Self {
            child,
            base: base.unwrap(),
            client: (id, secret),
            log: log.to_owned(),
        }
    }

    /// Forbids its files to grow beyond so many bytes.
    pub(super) fn limit(&self, bytes: &str) {
        let process = self.child.id().to_string();
        let done = Command::new("prlimit")
            .args(["--pid", &process, &format!("--fsize={bytes}:unlimited")])
            .status();
        assert!(done.unwrap().success());
    }

    pub(super) async fn token(&self) -> Option<String> {
        let answer = reqwest::Client::new()
            .post(format!("{}/oauth2/token", self.base))
            .basic_auth(&self.client.0, Some(&self.client.1))
            .form(&[("grant_type", "client_credentials")])
            .send()
            .await
            .unwrap();
        if !answer.status().is_success() {
            assert!(answer.status().is_server_error(), "{}", answer.status());
            return None;
        }
        let body: Value = answer.json().await.unwrap();
        Some(body["access_token"].as_str().unwrap().to_owned())
    }

    pub(super) async fn get(&self, path: &str, token: &str) -> StatusCode {
        let url = format!("{}{path}", self.base);
        let request = reqwest::Client::new().get(url).bearer_auth(token);
        request.send().await.unwrap().status()
    }

    async fn add_webhook(&self, token: &str, number: usize) -> StatusCode {
        let url = format!("https://hooks.example/{number}");
        let body = serde_json::json!({ "url": url, "secret": "x".repeat(200) });
        let request = reqwest::Client::new().post(format!("{}/webhooks", self.base));
        let answer = request.bearer_auth(token).json(&body).send().await;
        answer.unwrap().status()
    }

    async fn webhooks(&self, token: &str) -> usize {
        let (mut count, mut after) = (0, String::new());
        loop {
            let url = format!("{}/webhooks?pageSize=100{after}", self.base);
            let request = reqwest::Client::new().get(url).bearer_auth(token);
            let page: Value = request.send().await.unwrap().json().await.unwrap();
            count += page["data"].as_array().unwrap().len();
            match page["pagination"]["after"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return count,
            }
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// While `fill` is in force, nothing is acknowledged that is not stored; reads go on; once `free`
/// was called everything goes on by itself, and nothing acknowledged was lost.
async fn goes_through_it(data: &Path, log: &Path, fill: impl Fn(&Server), free: impl Fn(&Server)) {
    let server = Server::start(data, log);
    let token = server.token().await.unwrap();
    assert_eq!(server.get("/health/ready", &token).await, 204);
    let mut acknowledged = 0;
    for number in 0..3 {
        assert_eq!(server.add_webhook(&token, number).await, 200);
        acknowledged += 1;
    }
    fill(&server);
    let mut refused = 0;
    for number in 10..400 {
        match server.add_webhook(&token, number).await {
            StatusCode::OK => acknowledged += 1,
            status => {
                assert!(status.is_server_error(), "{status}");
                refused += 1;
            }
        }
        if refused > 20 {
            break;
        }
    }
    assert!(refused > 20, "it was never full");
    // A small write may still find room where a larger one does not.
    eventually("it is told", async || {
        server.get("/health/ready", &token).await == 503
    })
    .await;
    assert_eq!(server.get("/vehicles", &token).await, 200);
    assert_eq!(server.webhooks(&token).await, acknowledged);
    assert_eq!(server.token().await, None);
    let log = server.log();
    let told = log
        .lines()
        .filter(|line| line.contains("nothing can be written"));
    let told = told.collect::<Vec<_>>();
    assert!((1..=2).contains(&told.len()), "{log}");

    free(&server);
    eventually("it writes again", async || {
        server.get("/health/ready", &token).await == 204
    })
    .await;
    assert_eq!(server.add_webhook(&token, 1000).await, 200);
    acknowledged += 1;
    assert!(server.log().contains("can be written to again"));
    // And nothing of it depends on memory.
    drop(server);
    let server = Server::start(data, log_of(data).as_path());
    assert_eq!(server.webhooks(&token).await, acknowledged);
}

fn log_of(data: &Path) -> std::path::PathBuf {
    data.with_extension("second.log")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_no_more_is_told_and_waited_for() {
    let directory = TempDir::new().unwrap();
    let (data, log) = (directory.path().join("data"), directory.path().join("log"));
    let fill = |server: &Server| {
        let wal = fs::metadata(data.join("livewatt.db-wal")).unwrap().len();
        server.limit(&(wal + 40_000).to_string());
    };
    goes_through_it(&data, &log, fill, |server| server.limit("unlimited")).await;
}

/// A file system of its own, for those who may mount one.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn new(at: &Path) -> Option<Self> {
        fs::create_dir(at).unwrap();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
            .arg(at)
            .stderr(Stdio::null())
            .status();
        done.is_ok_and(|status| status.success())
            .then(|| Self(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_waited_for() {
    let directory = TempDir::new().unwrap();
    let Some(disk) = Mounted::new(&directory.path().join("disk")) else {
        println!("no file system can be mounted here: only the limit of a process was tried");
        return;
    };
    let (data, log) = (disk.0.join("data"), directory.path().join("log"));
    let filler = disk.0.join("filler");
    let fill = |_: &Server| {
        // All but a little.
        let mut size = 8 * 1024 * 1024;
        while size > 0 && fs::write(&filler, vec![0; size]).is_err() {
            size -= 32 * 1024;
        }
        fs::write(&filler, vec![0; size.saturating_sub(64 * 1024)]).unwrap();
    };
    goes_through_it(&data, &log, fill, |_| fs::remove_file(&filler).unwrap()).await;
}
