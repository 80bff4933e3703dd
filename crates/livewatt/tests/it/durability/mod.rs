//! What outlives what: the server's death at any moment, receivers that fail in every way they can,
//! and clocks that jump.
//!
//! The long forms of these proofs run with `LIVEWATT_LONG=1`.

mod clocks;
pub mod front;
pub mod kill;
mod moments;
mod person;
pub mod program;
mod receivers;
pub mod records;
pub mod stage;

/// Whether the long form of a proof is wanted.
pub fn is_long() -> bool {
    std::env::var_os("LIVEWATT_LONG").is_some_and(|value| value == "1")
}
