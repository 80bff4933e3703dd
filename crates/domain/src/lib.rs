//! Pure types and rules of Livewatt.
//!
//! Everything here is a value or a function of values: no clock, no randomness, no sockets, no
//! SQL, and no vendor's name. The names of fields are those of the wire contract, so that a block
//! of a device is stored and served as the same JSON it is defined by.

pub mod account;
pub mod action;
pub mod age;
pub mod cadence;
pub mod client;
pub mod clock;
pub mod device;
pub mod diff;
pub mod energy;
pub mod entropy;
pub mod event;
pub mod fact;
pub mod hem;
pub mod history;
pub mod id;
pub mod intervention;
pub mod kind;
pub mod link;
pub mod location;
pub mod merge;
pub mod money;
pub mod partition;
pub mod plan;
pub mod production;
pub mod retry;
pub mod schedule;
pub mod scope;
pub mod session;
pub mod smart;
pub mod stay;
pub mod tariff;
pub mod temperature;
pub mod time;
pub mod vendor;
pub mod webhook;
pub mod zone;

/// The only API date this server speaks; every event carries it as `version`.
pub const API_VERSION: &str = "2024-10-01";

pub use jiff::{SignedDuration, Timestamp};
