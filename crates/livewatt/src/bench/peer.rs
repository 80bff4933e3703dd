//! Programs beside the measured one: each a process of its own, so that its CPU time is not ours.
//!
//! A peer is this program again, with a hidden subcommand. It prints where it listens and ends when
//! its standard input closes, so that none outlives a bench however that ends.

use std::{net::SocketAddr, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, Command},
};

use super::{installation::Place, machine};
use crate::terminal::say;

/// A process beside ours.
#[derive(Debug)]
pub(super) struct Peer {
    child: Child,
    /// Where it listens.
    pub(super) address: SocketAddr,
    client: reqwest::Client,
}

impl Peer {
    /// Starts a peer that listens.
    pub(super) async fn start(arguments: &[String]) -> anyhow::Result<Self> {
        let mut child = command(arguments)?.spawn().context(NOT_STARTED)?;
        let output = child.stdout.take().context("it has no output")?;
        let mut line = String::new();
        BufReader::new(output)
            .read_line(&mut line)
            .await
            .context("it cannot be heard")?;
        let address = line.trim().parse().context("it said no address")?;
        Ok(Self {
            child,
            address,
            client: reqwest::Client::new(),
        })
    }

    /// CPU time it has used so far.
    pub(super) fn cpu_time(&self) -> anyhow::Result<Duration> {
        machine::cpu_time(self.child.id().context("it has ended")?)
    }

    /// Asks it for something.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let url = format!("http://{}{path}", self.address);
        let answer = self.client.get(url).send().await?;
        ensure!(answer.status().is_success(), "{path}: {}", answer.status());
        Ok(answer.bytes().await?.to_vec())
    }
}

impl Peer {
    /// Asks it to do something.
    pub(super) async fn post(
        &self,
        path: &str,
        orders: &(impl Serialize + Sync),
    ) -> anyhow::Result<Vec<u8>> {
        let url = format!("http://{}{path}", self.address);
        let answer = self.client.post(url).json(orders).send().await?;
        ensure!(answer.status().is_success(), "{path}: {}", answer.status());
        Ok(answer.bytes().await?.to_vec())
    }
}

const NOT_STARTED: &str = "a process beside ours cannot be started";
/// Where a process beside ours finds the address of a server, which holds a password.
const URL_VARIABLE: &str = "LIVEWATT_BENCH_URL";

/// The hidden subcommand with these arguments.
fn command(arguments: &[String]) -> anyhow::Result<Command> {
    let program = std::env::current_exe().context("this program cannot be found")?;
    let mut command = Command::new(program);
    command
        .arg("bench-peer")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    Ok(command)
}

/// Where a process beside ours finds its database, in its orders.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum PlaceOrder {
    /// There.
    Directory(PathBuf),
    /// In its environment.
    Server,
}

impl From<&Place> for PlaceOrder {
    fn from(place: &Place) -> Self {
        match place {
            Place::Directory(directory) => Self::Directory(directory.clone()),
            Place::Server(_) => Self::Server,
        }
    }
}

impl PlaceOrder {
    /// The place, as the process knows that was given the order.
    pub(super) fn place(self) -> anyhow::Result<Place> {
        Ok(match self {
            Self::Directory(directory) => Place::Directory(directory),
            Self::Server => Place::Server(
                std::env::var(URL_VARIABLE).context("the server's address is missing")?,
            ),
        })
    }
}

/// Starts a peer that works on a database.
pub(super) fn spawn_at(place: &Place, arguments: &[String]) -> anyhow::Result<Child> {
    let mut command = command(arguments)?;
    if let Place::Server(url) = place {
        command.env(URL_VARIABLE, url);
    }
    command.spawn().context(NOT_STARTED)
}

/// Runs a peer that works on a database to its end; returns what it printed.
pub(super) async fn ask(place: &Place, arguments: &[String]) -> anyhow::Result<String> {
    hear(spawn_at(place, arguments)?).await
}

/// What a peer printed when it has ended.
pub(super) async fn hear(peer: Child) -> anyhow::Result<String> {
    let output = peer.wait_with_output().await?;
    ensure!(
        output.status.success(),
        "a process beside ours failed: {}",
        output.status
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// Tells whoever started this process where it listens, and waits until they are gone.
pub(super) async fn announce(address: SocketAddr) -> anyhow::Result<()> {
    say(&address.to_string());
    let mut rest = Vec::new();
    tokio::io::stdin().read_to_end(&mut rest).await?;
    Ok(())
}
