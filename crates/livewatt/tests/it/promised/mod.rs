//! All that the contract promises, by its own tables: each operation has served somebody and has
//! refused whoever has no right to it, and each event has come to a webhook.
//!
//! One flow calls everything, so that what is proven does not hang on which other tests run.

mod events;
mod operations;
pub mod stage;
