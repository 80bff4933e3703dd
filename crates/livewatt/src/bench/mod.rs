//! `livewatt bench`: how fast this program is on this machine, beside the least that would do.
//!
//! Every part measures the real thing end to end and, by turns in the same run, a bare program that
//! moves the same bytes; on a machine that is shared, only their ratio and the CPU time per
//! operation can be trusted. What must be cheap for the comparison to mean something (vendors,
//! receivers, load) runs in processes of its own.

mod api;
mod bare;
mod change;
mod counters;
mod disk;
mod fleet;
mod installation;
mod load;
mod machine;
mod nodes;
mod peer;
mod poll;
mod receiver;
mod report;
mod served;
mod vendor;
mod webhooks;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};

use crate::terminal::say;
use machine::Machine;
use report::{PROFILE, Part, Report};

/// What is to be measured.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// Parts to run [default: all]
    #[arg(value_enum)]
    parts: Vec<PartName>,
    /// A short look: fewer accounts, one round.
    #[arg(long)]
    quick: bool,
    /// Seconds that each part measures, roughly [default: the part's own]
    #[arg(long)]
    seconds: Option<u32>,
    /// Devices [default: the part's own; those of fleet are 10000 and 100000]
    #[arg(long)]
    devices: Option<u32>,
    /// Also writes the figures to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// The parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PartName {
    /// Fetch, merge and commit, beside a bare client.
    Poll,
    /// Many devices at their real cadences.
    Fleet,
    /// Reads of the API, beside a handler that returns the same bytes.
    Api,
    /// From a change to its webhook.
    Change,
    /// A backlog of webhooks, beside bare posts.
    Webhooks,
    /// What changes take on disk.
    Disk,
    /// One, two and three nodes on the database of --database-url, beside a bare client.
    Nodes,
}

impl PartName {
    /// The parts that can run there.
    fn all(plan: &Plan) -> &'static [Self] {
        match plan.database_url {
            None => &[
                Self::Poll,
                Self::Fleet,
                Self::Api,
                Self::Change,
                Self::Webhooks,
                Self::Disk,
            ],
            Some(_) => &[Self::Nodes, Self::Fleet],
        }
    }
}

/// A process beside a bench, started by it.
#[derive(Debug, Clone, Subcommand)]
pub enum PeerCommand {
    /// Answers reads of so many accounts.
    Vendor {
        /// Number of accounts.
        accounts: u32,
    },
    /// Takes webhooks, and pushes.
    Receiver,
    /// Asks an API as often as it can.
    Load {
        /// A file that says what for.
        orders: PathBuf,
    },
    /// Holds a fleet.
    Fleet {
        /// What exactly, as JSON.
        orders: String,
    },
    /// Is one of several nodes.
    Node {
        /// What exactly, as JSON.
        orders: String,
    },
}

/// How much is to be done.
#[derive(Debug)]
struct Plan {
    quick: bool,
    seconds: Option<u32>,
    devices: Option<u32>,
    /// Databases are made below this directory.
    directory: Option<PathBuf>,
    /// The database, instead of new ones in a directory.
    database_url: Option<String>,
}

impl Plan {
    fn pick<T>(&self, usual: T, quick: T) -> T {
        if self.quick { quick } else { usual }
    }

    /// Devices of a part.
    fn devices(&self, usual: u32, quick: u32) -> u32 {
        self.devices.unwrap_or(self.pick(usual, quick)).max(1)
    }

    /// Seconds that a part measures.
    fn total(&self, usual: u32, quick: u32) -> Duration {
        let seconds = self.seconds.unwrap_or(self.pick(usual, quick));
        Duration::from_secs(seconds.into())
    }
}

/// Measures and prints.
///
/// # Errors
/// If something cannot be started, or did not do what was to be measured.
pub async fn run(
    args: &BenchArgs,
    directory: Option<PathBuf>,
    database_url: Option<String>,
) -> anyhow::Result<()> {
    let machine = Machine::look()?;
    say(&format!(
        "livewatt {} ({PROFILE} build) on {}",
        env!("CARGO_PKG_VERSION"),
        machine.describe()
    ));
    if cfg!(debug_assertions) {
        say("This is a debug build: its figures say nothing about speed.");
    }
    let plan = Plan {
        quick: args.quick,
        seconds: args.seconds,
        devices: args.devices,
        directory,
        database_url,
    };
    let possible = PartName::all(&plan);
    let names = match args.parts.is_empty() {
        true => possible,
        false => &args.parts,
    };
    if let Some(name) = names.iter().find(|name| !possible.contains(name)) {
        let name = name.to_possible_value();
        let name = name.as_ref().map_or("", |name| name.get_name());
        match plan.database_url {
            Some(_) => bail!("the part {name} is not for PostgreSQL: leave out --database-url"),
            None => bail!("the part {name} needs an empty database: give --database-url"),
        }
    }
    let mut parts: Vec<Part> = Vec::new();
    for name in names {
        parts.push(match name {
            PartName::Poll => poll::run(&plan).await.context("part poll")?,
            PartName::Fleet => fleet::run(&plan).await.context("part fleet")?,
            PartName::Api => api::run(&plan).await.context("part api")?,
            PartName::Change => change::run(&plan).await.context("part change")?,
            PartName::Webhooks => webhooks::run(&plan).await.context("part webhooks")?,
            PartName::Disk => disk::run(&plan).await.context("part disk")?,
            PartName::Nodes => nodes::run(&plan).await.context("part nodes")?,
        });
    }
    say("");
    say(&format!(
        "Measured on {}; medians, [lowest..highest] of the runs.",
        machine.describe()
    ));
    parts.iter().for_each(Part::print);
    if let Some(path) = &args.json {
        let report = Report::new(&machine, args.quick, &parts);
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text)
            .with_context(|| format!("cannot write the figures to {}", path.display()))?;
    }
    Ok(())
}

/// Runs a process beside a bench until that is gone.
///
/// # Errors
/// If it cannot start.
pub async fn run_peer(command: &PeerCommand) -> anyhow::Result<()> {
    match command {
        PeerCommand::Vendor { accounts } => vendor::serve(*accounts).await,
        PeerCommand::Receiver => receiver::serve().await,
        PeerCommand::Load { orders } => load::run(orders).await,
        PeerCommand::Fleet { orders } => fleet::hold(orders).await,
        PeerCommand::Node { orders } => nodes::be(orders).await,
    }
}
