//! Whole flows: the server as people run it, against the sandbox, over real HTTP.

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests are read, not called, and one that cannot go on must say where"
)]

mod actions;
mod backup;
mod bench;
mod cli;
mod clock;
mod cluster;
mod costs;
mod day;
mod deployment;
mod disk;
mod drills;
mod durability;
mod earnings;
mod export;
mod face;
mod freshness;
mod hem;
mod interventions;
mod isolation;
mod layers;
mod migrate;
mod operations;
mod past;
mod peers;
mod places;
mod production;
mod promised;
mod proof;
mod schedules;
mod schema;
mod secrets;
mod smart;
mod statistics;
mod support;
mod tour;
mod webhooks;
