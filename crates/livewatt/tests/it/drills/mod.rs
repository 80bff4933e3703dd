//! Drills: what may befall an installation of several nodes on PostgreSQL, done to processes of the
//! real program while its vendors push and are fetched and a receiver takes deliveries. After each,
//! records that were kept apart are compared: what was acknowledged to vendors, the log as a reader
//! saw it grow, what the receiver got, what the vendors know, and what the database noted of every
//! write (`ledger`).
//!
//! With `LIVEWATT_LONG=1` (`scripts/drill`) leases, outages and fleets are as in real life. A full
//! disk is drilled in `disk`, one process that dies in `durability`.

mod check;
mod clocks;
mod contact;
mod database;
mod elsewhere;
mod gate;
mod ledger;
mod node;
mod nodes;
mod stage;
mod upgrade;

pub use crate::durability::is_long;

use std::time::Duration;

/// Tells what a drill came to, for whoever runs `scripts/drill`.
fn report(drill: &str, facts: &[String]) {
    println!("drill | {drill} | {}", facts.join(" | "));
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
