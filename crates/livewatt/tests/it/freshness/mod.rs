//! Freshness, measured: the report against what the sandbox knows to have happened.

mod exact;
mod promises;
mod surfaces;

use livewatt_domain::SignedDuration;
use livewatt_engine::freshness::{FreshnessReport, FreshnessRow, ReportQuery};
use livewatt_sandbox::{AccountSpec, FaultKind, FaultSpec};
use serde_json::Value;

use crate::support::{World, still};

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

/// One car whose people stay at home.
fn one_car() -> AccountSpec {
    AccountSpec {
        vehicles: Some(1),
        wallboxes: Some(0),
        ..still()
    }
}

/// The report of the last day, as the engine makes it.
async fn report(world: &World) -> FreshnessReport {
    let query = ReportQuery {
        client: Some(world.client),
        from: world.now() - SignedDuration::from_hours(24),
        to: world.now(),
        kind: None,
        vendor: None,
    };
    world.engine().freshness_report(query).await.unwrap()
}

/// The row of a block.
#[track_caller]
fn row<'r>(report: &'r FreshnessReport, block: &str) -> &'r FreshnessRow {
    let found = report.rows.iter().find(|row| row.block == block);
    found.unwrap_or_else(|| panic!("no {block} in {report:#?}"))
}

/// The freshness of the only vehicle.
async fn vehicle(world: &World) -> Value {
    let vehicles = world.api.all("vehicles").await;
    let path = format!(
        "/vehicles/{}/freshness",
        vehicles[0]["id"].as_str().unwrap()
    );
    world.api.get(&path).await.expect_status(200)
}

/// A fault that lasts so many minutes.
fn lasting(kind: FaultKind, minutes: i64) -> FaultSpec {
    FaultSpec {
        for_seconds: Some(minutes * 60),
        ..FaultSpec::new(kind)
    }
}
