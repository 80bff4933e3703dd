//! The HTTP face of Livewatt.
//!
//! One [table of operations](operations()) is the source of both the router and the OpenAPI
//! document. Handlers prove their caller by an extractor, call one use case of the engine and
//! dress its result; they know neither SQL nor any vendor. What goes wrong becomes an answer in
//! one table, `error`.
//!
//! Beside the operations there are pages for people: where an end user links an account
//! (`pages::link`), the reference (`/docs`) and the live page (`/live`).

mod attempts;
mod error;
mod extract;
mod handlers;
mod json_text;
mod observe;
mod openapi;
mod operations;
mod pages;
mod pagination;
mod router;
mod state;
mod streams;

pub use openapi::openapi;
pub use operations::{Answer, Auth, Content, Operation, Query, QueryKind, operations};
pub use router::router;
pub use state::{ApiOptions, ApiState, MetricsText};
