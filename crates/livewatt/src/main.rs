//! Livewatt.
fn main() {}
