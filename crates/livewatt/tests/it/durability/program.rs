//! The server as a process of its own that can be killed.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::support::database;

/// A server while it runs. Dropped, it is killed.
pub struct Program {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Program {
    /// Starts it on a directory, with its database there or elsewhere; it logs what is wrong to a
    /// file beside that.
    pub fn start(
        directory: &Path,
        database: Option<&str>,
        sandbox_url: &str,
        public_url: &str,
    ) -> Self {
        let database = database::environment(&directory.join("data"), database);
        Self::start_with(directory, sandbox_url, public_url, &database)
    }

    /// The same with these settings, as environment variables.
    pub fn start_with(
        directory: &Path,
        sandbox_url: &str,
        public_url: &str,
        settings: &[(&str, String)],
    ) -> Self {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(directory.join("server.log"))
            .unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_livewatt"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(["--sandbox-url", sandbox_url, "--public-url", public_url])
            .arg("--dangerous-allow-private-receivers")
            .arg("--data")
            .arg(directory.join("data"))
            .env("LIVEWATT_LOG__LEVEL", "warn")
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .env("LIVEWATT_SANDBOX__FOLLOW_CLOCK", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, output }
    }

    /// Reads on until it serves; returns what it said, its address last.
    pub async fn ready(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        loop {
            let line = timeout(Duration::from_secs(30), self.output.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("it does not start: {said:?}"));
            let line = line
                .unwrap()
                .unwrap_or_else(|| panic!("it ended: {said:?}"));
            let is_last = line.starts_with("livewatt listens on ");
            said.push(
                line.split_whitespace()
                    .last()
                    .unwrap_or_default()
                    .to_owned(),
            );
            if is_last {
                return said;
            }
        }
    }

    /// `kill -9`.
    pub async fn kill(mut self) {
        self.child.start_kill().unwrap();
        self.child.wait().await.unwrap();
    }

    /// Sends it a signal, by its name.
    pub async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().await;
        assert!(sent.unwrap().success());
    }

    /// Asks it to end in good order, and waits.
    pub async fn stop(mut self) {
        self.signal("TERM").await;
        assert!(self.ended().await, "it ended badly");
    }

    /// Waits until it has ended; whether it ended well.
    pub async fn ended(&mut self) -> bool {
        let ended = timeout(Duration::from_secs(30), self.child.wait()).await;
        ended.expect("it does not end").unwrap().success()
    }
}
