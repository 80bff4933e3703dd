//! What can be told of a database from outside.

use jiff::Timestamp;

use crate::cluster::ClusterView;

/// What a database looks like from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// Where it is, for people.
    pub place: String,
    /// Its size, bytes.
    pub bytes: u64,
    /// Size of the write-ahead log beside it, bytes; 0 if that is a server's business.
    pub wal_bytes: u64,
    /// Version of its schema.
    pub schema: i64,
    /// Newest version that this program knows.
    pub known_schema: i64,
    /// What is wrong with it; empty if it is sound.
    pub complaints: Vec<String>,
    /// What its server should be told to do otherwise.
    pub cautions: Vec<String>,
    /// Number of times that it was opened by a server.
    pub openings: u64,
    /// Slices of the event log.
    pub slices: u32,
    /// When the oldest event was made.
    pub oldest_event: Option<Timestamp>,
    /// The newest time of all: of an event, or of a device that was seen.
    pub newest: Option<Timestamp>,
    /// Devices and slices of events that are dated after the time of looking.
    pub from_future: u64,
    /// Accounts, and how many of them need the user to link again.
    pub accounts: (u64, u64),
    /// Charge points, which keep a connection each.
    pub stations: u64,
    /// Webhooks, and how many of them are switched off.
    pub webhooks: (u64, u64),
    /// The nodes and what they own; `None` where only one program at a time can use it.
    pub cluster: Option<ClusterView>,
    /// The setting that tells whether keys are the right ones.
    pub key_check: Option<String>,
}
