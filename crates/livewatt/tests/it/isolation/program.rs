//! A server in a process of its own, so that its memory can be told from that of the tests.

use std::{net::SocketAddr, path::Path, process::Stdio};

use serde_json::Value;
use tokio::process::{Child, Command};

use crate::support::{database, eventually};

pub struct Program {
    child: Child,
    pub base: String,
    http: reqwest::Client,
}

impl Program {
    /// Starts a server on a directory that another one has made, at an address it was reached at.
    pub async fn start(directory: &Path, address: SocketAddr, sandbox_url: &str) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_livewatt"))
            .args([
                "serve",
                "--dangerous-allow-private-receivers",
                "--log",
                "error",
            ])
            .args([
                "--listen",
                &address.to_string(),
                "--sandbox-url",
                sandbox_url,
            ])
            .arg("--data")
            .arg(directory)
            .envs(database::environment(directory, None))
            .env("LIVEWATT_WEBHOOKS__HEARTBEAT_SECS", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let base = format!("http://{address}");
        let http = reqwest::Client::new();
        eventually("the program serves", async || {
            let asked = http.get(format!("{base}/health/ready")).send().await;
            asked.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        Self { child, base, http }
    }

    pub async fn token(&self, client: &str, secret: &str) -> String {
        let request = self.http.post(format!("{}/oauth2/token", self.base));
        let form = [("grant_type", "client_credentials")];
        let answer = request
            .basic_auth(client, Some(secret))
            .form(&form)
            .send()
            .await
            .unwrap();
        let body: Value = answer.json().await.unwrap();
        body["access_token"].as_str().unwrap().to_owned()
    }

    pub async fn get(&self, token: &str, path: &str) -> Value {
        let request = self
            .http
            .get(format!("{}{path}", self.base))
            .bearer_auth(token);
        request.send().await.unwrap().json().await.unwrap()
    }

    pub async fn post(&self, token: &str, path: &str) -> u16 {
        let request = self
            .http
            .post(format!("{}{path}", self.base))
            .bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    }

    /// Memory in use now, and the most there ever was, MiB.
    pub fn memory(&self) -> (u64, u64) {
        let path = format!("/proc/{}/status", self.child.id().unwrap());
        let status = std::fs::read_to_string(path).unwrap();
        let field = |name: &str| -> u64 {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            let kib = line.split_whitespace().nth(1).unwrap();
            kib.parse::<u64>().unwrap() / 1024
        };
        (field("VmRSS:"), field("VmHWM:"))
    }

    pub async fn stop(mut self) {
        let id = self.child.id().unwrap().to_string();
        let kill = Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .await
            .unwrap();
        assert!(kill.success());
        assert!(self.child.wait().await.unwrap().success());
    }
}
