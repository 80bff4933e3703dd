//! Several nodes on one database: who they are, which partitions each owns, and what they tell
//! each other.
//!
//! Invariants every implementation keeps:
//! - Only the database's own time decides whether a lease has ended.
//! - A partition that changes hands gets a higher fence in the same step, and what the former owner
//!   still writes fails ([`crate::StoreError::Fenced`]) or is passed over.
//! - Letters are stored until their reader says that it took them; a wake-up may be lost, and then
//!   costs its reader no more than the time until it looks by itself.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use livewatt_domain::{
    id::{ClientId, WebhookId},
    partition::Partitions,
    webhook::Position,
};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{Fence, StoreResult};

/// A node, as it presents itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name: the same after a restart, and no other node's.
    pub name: String,
    /// This run of it.
    pub incarnation: Uuid,
    /// The program's version.
    pub version: String,
    /// Where it listens.
    pub address: String,
    /// When it started, by its own clock.
    pub started_at: Timestamp,
}

/// A node, as the database knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// The node.
    pub node: Node,
    /// Time since it was last heard of.
    pub silent_for: SignedDuration,
}

/// A partition and who owns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Its fence: the partition and its present number.
    pub fence: Fence,
    /// Name and run of its owner; `None` if nobody is.
    pub owner: Option<(String, Uuid)>,
    /// Time until the lease ends; negative once it has.
    pub left: SignedDuration,
}

/// All nodes and partitions, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterView {
    /// The nodes, by name.
    pub nodes: Vec<NodeStatus>,
    /// All partitions, in their order.
    pub leases: Vec<Lease>,
    /// The time of the database.
    pub database_time: Timestamp,
}

/// What one node leaves for the owner of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Whose it is.
    pub partition: u16,
    /// What it says; the engine's words.
    pub body: String,
}

/// A letter as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLetter {
    /// Rises in the order in which the letters of a partition are to be read.
    pub number: i64,
    /// The letter.
    pub letter: Letter,
}

/// What makes a node look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wake {
    /// A client's log has grown.
    Events(ClientId),
    /// There is a letter for the owner of a partition.
    Letter(u16),
    /// Partitions were released: whoever should have them may claim them.
    Released,
    /// The settings of a webhook have changed.
    Webhook(WebhookId),
    /// A client's tokens no longer count.
    Tokens(ClientId),
    /// Locations of a client's users have changed.
    Locations(ClientId),
}

/// Where a socket of a charge point ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StationSocket {
    /// What the station calls itself.
    pub station_id: String,
    /// The run of the node that holds the socket.
    pub incarnation: Uuid,
    /// Tells it from the socket that replaced it.
    pub number: u64,
}

/// Nodes, leases and letters.
#[async_trait]
pub trait Cluster: Send + Sync + std::fmt::Debug + 'static {
    /// Makes a node known. What an earlier run under its name owned can be claimed at once, for
    /// that run is over: it cannot write any more once the partitions are claimed.
    async fn join(&self, node: &Node) -> StoreResult<()>;
    /// Says that a node is alive and renews its leases to `lease` from now. `None` if another run
    /// has taken its name: it must stop.
    async fn beat(&self, node: &Node, lease: SignedDuration) -> StoreResult<Option<ClusterView>>;
    /// All nodes and partitions, without saying anything.
    async fn view(&self) -> StoreResult<ClusterView>;
    /// Takes those of the partitions that nobody owns, or whose lease has ended; returns their new
    /// fences.
    async fn claim(
        &self,
        node: &Node,
        partitions: Partitions,
        lease: SignedDuration,
    ) -> StoreResult<Vec<Fence>>;
    /// Gives partitions back, those that still have these fences.
    async fn release(&self, node: &Node, fences: Vec<Fence>) -> StoreResult<()>;
    /// Forgets a node and gives back all it owns.
    async fn leave(&self, node: &Node) -> StoreResult<()>;

    /// Stores a letter; returns its number.
    async fn post(&self, letter: Letter) -> StoreResult<i64>;
    /// The oldest letters to the owner of these partitions, in order.
    async fn letters(&self, partitions: Partitions, limit: u32) -> StoreResult<Vec<StoredLetter>>;
    /// Removes letters that were taken.
    async fn forget_letters(&self, numbers: Vec<i64>) -> StoreResult<()>;
    /// Whether a letter still waits.
    async fn is_waiting(&self, number: i64) -> StoreResult<bool>;

    /// Position of the newest event of each of these clients.
    async fn heads(&self, clients: Vec<ClientId>) -> StoreResult<Vec<(ClientId, Position)>>;

    /// Notes the socket of a station; replaces the one before.
    async fn open_socket(&self, socket: StationSocket) -> StoreResult<()>;
    /// Forgets a socket, if it is still the one noted.
    async fn close_socket(&self, socket: StationSocket) -> StoreResult<()>;
    /// Forgets the socket of a station, wherever it ends.
    async fn forget_socket(&self, station_id: &str) -> StoreResult<()>;
    /// The socket of a station, if its node was heard of within `lease`.
    async fn socket_of(
        &self,
        station_id: &str,
        lease: SignedDuration,
    ) -> StoreResult<Option<StationSocket>>;

    /// Tells all nodes, this one included. What cannot be told is lost.
    async fn wake(&self, wakes: Vec<Wake>) -> StoreResult<()>;
    /// What nodes tell, from now on. The implementation connects again by itself when it loses the
    /// database; what was told meanwhile is lost.
    fn wakes(&self) -> mpsc::Receiver<Wake>;
}

impl std::fmt::Display for Wake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Events(client) => write!(f, "e{client}"),
            Self::Letter(partition) => write!(f, "l{partition}"),
            Self::Released => f.write_str("r"),
            Self::Webhook(id) => write!(f, "w{id}"),
            Self::Tokens(client) => write!(f, "t{client}"),
            Self::Locations(client) => write!(f, "p{client}"),
        }
    }
}

impl std::str::FromStr for Wake {
    type Err = UnknownWake;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let kind = text.chars().next().ok_or(UnknownWake)?;
        let rest = text.get(1..).ok_or(UnknownWake)?;
        match kind {
            'e' => rest.parse().map(Self::Events).map_err(|_| UnknownWake),
            'l' => rest.parse().map(Self::Letter).map_err(|_| UnknownWake),
            'w' => rest.parse().map(Self::Webhook).map_err(|_| UnknownWake),
            't' => rest.parse().map(Self::Tokens).map_err(|_| UnknownWake),
            'p' => rest.parse().map(Self::Locations).map_err(|_| UnknownWake),
            'r' if rest.is_empty() => Ok(Self::Released),
            _ => Err(UnknownWake),
        }
    }
}

/// A wake-up in words of another version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this wake-up is not known")]
pub struct UnknownWake;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wakes_are_read_as_they_were_written() {
        let id = Uuid::from_u128(7);
        for wake in [
            Wake::Events(ClientId(id)),
            Wake::Letter(255),
            Wake::Released,
            Wake::Webhook(WebhookId(id)),
            Wake::Tokens(ClientId(id)),
            Wake::Locations(ClientId(id)),
        ] {
            assert_eq!(wake.to_string().parse(), Ok(wake));
        }
        for text in ["", "x", "e7", "l-1", "rr", "é"] {
            assert_eq!(text.parse::<Wake>(), Err(UnknownWake));
        }
    }
}
