//! A NATS server of our own, on a free port of this machine, that can be killed and started again.

use std::{
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

/// Starts the server, and kills it when its own input is closed: however this process ends, nothing
/// is left behind. `$@`: the server and its arguments.
const KEEPER: &str = r#"
trap '' HUP INT TERM
"$@" & server=$!
cat >/dev/null
kill -9 $server
wait $server 2>/dev/null
"#;

/// Where Debian has it, which is in the path of few.
const PROGRAM: &str = "/usr/sbin/nats-server";

/// A server with JetStream, whose streams outlive it in a directory.
#[derive(Debug)]
pub struct NatsServer {
    pub url: String,
    port: u16,
    directory: TempDir,
    keeper: Option<Child>,
}

impl NatsServer {
    pub fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|probe| probe.local_addr());
        let port = port.unwrap().port();
        let mut server = Self {
            url: format!("nats://127.0.0.1:{port}"),
            port,
            directory: TempDir::new().unwrap(),
            keeper: None,
        };
        server.start_again();
        server
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            keeper.wait().unwrap();
        }
    }

    /// Starts it after it was killed, at the same port.
    pub fn start_again(&mut self) {
        let program = match Path::new(PROGRAM).exists() {
            true => PROGRAM,
            false => "nats-server",
        };
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper", program, "--addr", "127.0.0.1"])
            .args([
                "--port",
                &self.port.to_string(),
                "--jetstream",
                "--store_dir",
            ])
            .arg(self.directory.path())
            .arg("--log")
            .arg(self.directory.path().join("log"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        self.keeper = Some(keeper.unwrap());
        for _ in 0..1_000 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no NATS server answers: is the Debian package nats-server installed?");
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}
