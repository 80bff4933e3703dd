//! `livewatt nodes`: the nodes that share a database, and which partitions each owns.

use std::collections::BTreeMap;

use anyhow::Context as _;
use clap::Args;
use livewatt_domain::{Timestamp, time::wire};
use livewatt_store::ClusterView;
use serde::{Deserialize, Serialize};

use crate::{admin::Administration, config::Settings, terminal::say};

/// What `livewatt nodes` is asked.
#[derive(Debug, Clone, Args)]
pub struct NodesArgs {
    /// Print the list as JSON, with every partition.
    #[arg(long)]
    pub json: bool,
}

/// The nodes of an installation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodesReport {
    /// The nodes, by name.
    pub nodes: Vec<NodeRow>,
    /// The partitions, in their order.
    pub partitions: Vec<PartitionRow>,
    /// The time of the database.
    pub database_time: Timestamp,
}

/// A node.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeRow {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: String,
    /// Its version.
    pub version: String,
    /// When it started, by its own clock.
    pub started_at: Timestamp,
    /// Time since it was last heard of, seconds.
    pub silent_seconds: f64,
    /// Partitions that it owns, by leases that have not ended.
    pub partitions: usize,
}

/// A partition.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartitionRow {
    /// Its number.
    pub partition: u16,
    /// Name of the node that owns it; null if nobody does, or the lease has ended.
    pub owner: Option<String>,
    /// Rises with each change of owner.
    pub fence: u64,
    /// Time until the lease ends, seconds; negative once it has.
    pub lease_seconds: f64,
}

impl From<ClusterView> for NodesReport {
    fn from(view: ClusterView) -> Self {
        let partitions: Vec<PartitionRow> = view
            .leases
            .into_iter()
            .map(|lease| PartitionRow {
                partition: lease.fence.partition,
                owner: lease
                    .owner
                    .map(|(name, _)| name)
                    .filter(|_| lease.left.is_positive()),
                fence: lease.fence.number,
                lease_seconds: lease.left.as_secs_f64(),
            })
            .collect();
        let mut owned: BTreeMap<String, usize> = BTreeMap::new();
        for owner in partitions.iter().filter_map(|row| row.owner.as_ref()) {
            *owned.entry(owner.clone()).or_default() += 1;
        }
        let nodes = view.nodes.into_iter().map(|status| NodeRow {
            partitions: owned.get(&status.node.name).copied().unwrap_or(0),
            name: status.node.name,
            address: status.node.address,
            version: status.node.version,
            started_at: status.node.started_at,
            silent_seconds: status.silent_for.as_secs_f64(),
        });
        Self {
            nodes: nodes.collect(),
            partitions,
            database_time: view.database_time,
        }
    }
}

impl NodesReport {
    /// Partitions that nobody owns: their accounts are not fetched now.
    pub fn free(&self) -> usize {
        let free = self.partitions.iter().filter(|row| row.owner.is_none());
        free.count()
    }

    /// The shortest rest of a lease that has not ended, seconds.
    pub fn shortest_lease(&self) -> Option<f64> {
        let owned = self.partitions.iter().filter(|row| row.owner.is_some());
        owned.map(|row| row.lease_seconds).reduce(f64::min)
    }
}

/// Asks the installation and prints what it says.
///
/// # Errors
/// If the installation cannot be asked.
pub async fn run(settings: &Settings, args: &NodesArgs) -> anyhow::Result<()> {
    let administration = Administration::open(settings).await?;
    let Some(report) = administration.nodes().await? else {
        say("One node: only one program at a time can use the database in this directory.");
        return Ok(());
    };
    if args.json {
        let text = serde_json::to_string_pretty(&report);
        say(&text.context("the list cannot be printed")?);
        return Ok(());
    }
    let width = report.nodes.iter().map(|row| row.name.len()).max();
    let width = width.unwrap_or(0).max("node".len());
    say(&format!(
        "{:width$}  {:<21}  {:<8}  {:<24}  {:>8}  {:>10}",
        "node", "address", "version", "started", "heard of", "partitions"
    ));
    for row in &report.nodes {
        say(&format!(
            "{:width$}  {:<21}  {:<8}  {:<24}  {:>6.1} s  {:>10}",
            row.name,
            row.address,
            row.version,
            wire(row.started_at),
            row.silent_seconds,
            row.partitions
        ));
    }
    match (report.free(), report.shortest_lease()) {
        (0, Some(left)) => say(&format!(
            "all partitions are owned; the shortest lease lasts {left:.1} s more"
        )),
        (free, _) => say(&format!("{free} partitions are owned by nobody")),
    }
    Ok(())
}
