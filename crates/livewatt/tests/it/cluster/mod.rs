//! Several nodes on one PostgreSQL database, in one process and as processes that die.

mod crossing;
mod nats;
mod nodes;
