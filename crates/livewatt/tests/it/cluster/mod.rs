//! Several nodes on one PostgreSQL database, in one process and as processes that die.

pub mod crossing;
mod nats;
pub mod nodes;
