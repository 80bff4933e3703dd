//! The program as people run it, and all that it says.

use std::{
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
};

use super::APP_SECRET;
use crate::support::{database, eventually};

/// The program, and all that it has said.
pub(super) struct Running {
    child: Child,
    output: Arc<Mutex<String>>,
    errors: Arc<Mutex<String>>,
}

impl Running {
    pub(super) fn start(directory: &Path, format: &str, sandbox: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_livewatt"))
            .args(["serve", "--listen", "127.0.0.1:0", "--log", "trace"])
            .args(["--data", directory.to_str().unwrap()])
            .envs(database::environment(directory, None))
            .args(["--sandbox-url", sandbox])
            .arg("--dangerous-allow-private-receivers")
            .env("LIVEWATT_LOG__FORMAT", format)
            .env("LIVEWATT_SANDBOX__CLIENT_SECRET", APP_SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = collect(child.stdout.take().unwrap());
        let errors = collect(child.stderr.take().unwrap());
        Self {
            child,
            output,
            errors,
        }
    }

    /// Waits for the word after a label on standard output.
    pub(super) async fn told(&self, label: &str) -> String {
        let word = || {
            let output = self.output.lock().unwrap();
            let (_, rest) = output.split_once(label)?;
            let (line, _) = rest.split_once('\n')?;
            Some(line.trim().to_owned())
        };
        eventually(label, async || word().is_some()).await;
        word().unwrap()
    }

    pub(super) async fn stop(mut self) -> (String, String) {
        let id = self.child.id().unwrap().to_string();
        let kill = Command::new("kill").args(["-TERM", &id]).status().await;
        assert!(kill.unwrap().success());
        assert!(self.child.wait().await.unwrap().success());
        let said = |text: &Mutex<String>| text.lock().unwrap().clone();
        (said(&self.output), said(&self.errors))
    }
}

fn collect(mut from: impl AsyncRead + Unpin + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let collected = text.clone();
    tokio::spawn(async move {
        let mut piece = [0; 8192];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            let piece = String::from_utf8_lossy(&piece[..length]);
            collected.lock().unwrap().push_str(&piece);
        }
    });
    text
}
