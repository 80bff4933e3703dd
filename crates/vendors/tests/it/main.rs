//! The adapters against a scripted cloud, over real HTTP.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what goes wrong here fails the test, and long runs tell what they did"
)]

mod adapters;
mod cloud;
mod commands;
mod conformance;
mod fuzz;
mod lab;
