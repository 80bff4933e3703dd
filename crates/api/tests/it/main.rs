//! The HTTP face over a real engine and database, with two made-up vendors; no network but a
//! socket of this machine where a WebSocket needs one.

#![expect(clippy::unwrap_used, reason = "what cannot be set up has failed")]

mod api;
mod fixture;
mod fuzz;
mod link;
mod operations;
mod stations;
