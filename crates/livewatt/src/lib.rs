//! Livewatt's binary as a library: configuration, telemetry, and the subcommands, so that tests
//! start the very server that people do.

pub mod admin;
pub mod backup;
pub mod bench;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod freshness;
pub mod health;
mod http;
pub mod integrations;
pub mod keys;
pub mod migrate;
pub mod nats;
pub mod nodes;
pub mod sandbox;
pub mod serve;
pub mod telemetry;
pub mod terminal;
