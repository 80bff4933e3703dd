//! The customer of an installation: everything is visible inside of one client and nowhere else.

use jiff::Timestamp;

use crate::id::ClientId;

/// A customer of this installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Identifier; the OAuth client ID.
    pub id: ClientId,
    /// A name for people.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// Largest number of linked accounts; `None` for no limit.
    pub connection_limit: Option<u32>,
}
