//! The nodes on a shared database, what wakes them, and where events are exported to.

use livewatt_domain::{SignedDuration, Timestamp};
use livewatt_store::Inspection;

use super::Report;
use crate::{admin::ServerStatus, config::Settings, nats, nodes::NodesReport};

/// Clocks further apart than this give events times that make no sense together.
const LARGE_SKEW: SignedDuration = SignedDuration::from_secs(5);

/// Looks at who owns what, and at how this machine's clock goes with that of the database.
pub(super) fn nodes(report: &mut Report, settings: &Settings, found: &Inspection, now: Timestamp) {
    let Some(view) = &found.cluster else {
        return;
    };
    let skew = now.duration_since(view.database_time);
    if skew.abs() > LARGE_SKEW {
        let found = format!(
            "this machine's clock is {:.0} s {} that of the database",
            skew.abs().as_secs_f64(),
            if skew.is_positive() {
                "ahead of"
            } else {
                "behind"
            }
        );
        report.warn("nodes", found, "let both follow a time server");
    }
    let lease = f64::from(settings.cluster.lease_secs);
    let nodes = NodesReport::from(view.clone());
    let silent: Vec<&str> = nodes
        .nodes
        .iter()
        .filter(|row| row.silent_seconds > lease)
        .map(|row| row.name.as_str())
        .collect();
    if !silent.is_empty() {
        let found = format!(
            "not heard of for longer than a lease: {}",
            silent.join(", ")
        );
        let remedy = "start them, or leave it: the others own what was theirs, and one silent for a \
                      day is forgotten";
        report.warn("nodes", found, remedy);
    }
    let alive = nodes.nodes.len() - silent.len();
    match nodes.free() {
        _ if alive == 0 => report.ok("nodes", "none runs"),
        0 => report.ok("nodes", format!("{alive} run and own all partitions")),
        free => report.warn(
            "nodes",
            format!("{free} partitions are owned by nobody, so their accounts are not fetched"),
            "a node that died is replaced within 20 s; if this lasts, look at the nodes' logs",
        ),
    }
}

/// Looks for the NATS servers that are to carry wake-ups.
pub(super) async fn wakes(report: &mut Report, settings: &Settings, server: Option<&ServerStatus>) {
    const REMEDY: &str =
        "start it, or mend cluster.nats_url; until then nodes find within a second by looking";
    let url = settings.cluster.nats_url.reveal();
    if url.is_empty() {
        return;
    }
    match nats::look(url).await {
        Err(error) => report.warn("wake-ups", format!("NATS is away: {error:#}"), REMEDY),
        Ok(_) if server.is_some_and(|status| status.bus_is_connected == Some(false)) => {
            let found =
                "NATS can be reached from here, but the server that runs has not reached it";
            report.warn("wake-ups", found, "look at the server's log");
        }
        Ok(found) => report.ok("wake-ups", format!("carried by {found}")),
    }
}

/// Looks for the NATS servers that events are exported to, and at how far that is.
pub(super) async fn export(
    report: &mut Report,
    settings: &Settings,
    server: Option<&ServerStatus>,
) {
    const REMEDY: &str = "start it, or mend export.nats; events wait in the log meanwhile";
    let url = settings.export.nats.url.reveal();
    if url.is_empty() {
        return;
    }
    let found = match nats::look(url).await {
        Ok(found) => found,
        Err(error) => {
            report.warn("export", format!("NATS is away: {error:#}"), REMEDY);
            return;
        }
    };
    match server.and_then(|status| status.export.as_ref()) {
        None => report.ok("export", format!("goes to {found}")),
        Some(status) => match &status.error {
            Some(error) => report.warn("export", format!("it fails: {error}"), REMEDY),
            None => report.ok(
                "export",
                format!("goes to {found}; {} s behind", status.lag_seconds),
            ),
        },
    }
}
