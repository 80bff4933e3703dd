//! The sandbox from outside, over HTTP, with time moved by hand.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod bench;
mod clock;
mod faults;
mod helios;
mod pushes;
mod rivoli;
mod volta;
