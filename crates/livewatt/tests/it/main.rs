//! Whole flows: the server as people run it, against the sandbox, over real HTTP.

#![allow(missing_docs, reason = "tests are read, not called")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on must say where"
)]

mod cli;
mod day;
mod face;
mod layers;
mod peers;
mod support;
mod tour;
mod webhooks;
