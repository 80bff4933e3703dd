//! The adapters against a scripted cloud, over real HTTP.

#![expect(clippy::unwrap_used, reason = "what goes wrong here fails the test")]

mod adapters;
mod cloud;
mod conformance;
mod lab;
