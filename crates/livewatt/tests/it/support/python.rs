//! Programs in Python that use third-party clients and devices as others wrote them.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// Longest wait for a program to say something: it only ends what would never end. One round of
/// schemathesis, which says nothing meanwhile, took more than two minutes on a machine at work.
const PATIENCE: Duration = Duration::from_secs(600);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn python() -> PathBuf {
    let path = match std::env::var_os("LIVEWATT_TEST_PYTHON") {
        Some(path) => PathBuf::from(path),
        None => root().join("target/py/bin/python"),
    };
    assert!(
        path.exists(),
        "{} is missing: run scripts/test install",
        path.display()
    );
    path
}

/// A program that runs.
pub struct Program {
    name: &'static str,
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    errors: ChildStderr,
}

impl Program {
    /// Starts `tests/python/{name}`.
    pub fn start(name: &'static str, arguments: &[&str]) -> Self {
        let mut child = Command::new(python())
            .arg(root().join("tests/python").join(name))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let (input, errors) = (child.stdin.take(), child.stderr.take().unwrap());
        Self {
            name,
            child,
            input,
            output,
            errors,
        }
    }

    /// The next line it prints; fails with its errors if there is none.
    pub async fn line(&mut self) -> String {
        match timeout(PATIENCE, self.output.next_line()).await {
            Ok(Ok(Some(line))) => line,
            Err(_) => panic!("{} says nothing for {PATIENCE:?}", self.name),
            _ => {
                let errors = self.error_text().await;
                panic!("{} ended: {errors}", self.name)
            }
        }
    }

    /// The next line as JSON.
    pub async fn json(&mut self) -> Value {
        let line = self.line().await;
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{}: {line}", self.name))
    }

    /// Tells it a line and reads the line of JSON that it answers with.
    pub async fn tell(&mut self, line: &str) -> Value {
        let input = self.input.as_mut().unwrap();
        input
            .write_all(format!("{line}\n").as_bytes())
            .await
            .unwrap();
        self.json().await
    }

    /// Waits until it has ended well; returns all it still said.
    pub async fn finish(mut self) -> Vec<String> {
        drop(self.input.take());
        let mut said = Vec::new();
        loop {
            match timeout(PATIENCE, self.output.next_line()).await {
                Ok(Ok(Some(line))) => said.push(line),
                Ok(_) => break,
                Err(_) => panic!("{} does not end: {said:#?}", self.name),
            }
        }
        let status = self.child.wait().await.unwrap();
        let errors = self.error_text().await;
        assert!(
            status.success(),
            "{} failed: {errors}\nit said {said:#?}",
            self.name
        );
        assert!(
            said.last().is_some_and(|line| line.starts_with("ok: ")),
            "{said:#?}"
        );
        said
    }

    async fn error_text(&mut self) -> String {
        let mut text = String::new();
        let _ = timeout(
            Duration::from_secs(5),
            self.errors.read_to_string(&mut text),
        )
        .await;
        text
    }
}
