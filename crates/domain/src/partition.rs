//! Who owns what on several nodes: the partitions, and which node each should belong to.
//!
//! Accounts and webhooks are spread over [`PARTITIONS`] partitions by a hash of their IDs; a
//! partition belongs to one node at a time. Which one it should be follows from the names of the
//! nodes alone ([`rightful`]), so that all nodes agree without talking, and a node that comes or
//! goes moves only the partitions that it gains or leaves.

use std::fmt;

use crate::id::PARTITIONS;

/// Number of 64-bit words that hold a bit for each partition.
const WORDS: usize = PARTITIONS as usize / 64;

/// A set of partitions.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Partitions([u64; WORDS]);

impl Partitions {
    /// None.
    pub const NONE: Self = Self([0; WORDS]);
    /// All of them.
    pub const ALL: Self = Self([u64::MAX; WORDS]);

    /// Whether a partition is among them.
    pub fn contains(&self, partition: u16) -> bool {
        let (word, bit) = place(partition);
        self.0.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// Adds a partition; numbers that are none are left out.
    pub fn insert(&mut self, partition: u16) {
        let (word, bit) = place(partition);
        if let Some(bits) = self.0.get_mut(word) {
            *bits |= bit;
        }
    }

    /// Takes a partition out.
    pub fn remove(&mut self, partition: u16) {
        let (word, bit) = place(partition);
        if let Some(bits) = self.0.get_mut(word) {
            *bits &= !bit;
        }
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// Whether they are all there are.
    pub fn is_all(&self) -> bool {
        *self == Self::ALL
    }

    /// In ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        (0..PARTITIONS).filter(|partition| self.contains(*partition))
    }

    /// Those that are here and not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        self.iter()
            .filter(|partition| !other.contains(*partition))
            .collect()
    }
}

impl FromIterator<u16> for Partitions {
    fn from_iter<I: IntoIterator<Item = u16>>(partitions: I) -> Self {
        let mut set = Self::NONE;
        partitions
            .into_iter()
            .for_each(|partition| set.insert(partition));
        set
    }
}

impl fmt::Debug for Partitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} partitions", self.len())
    }
}

const fn place(partition: u16) -> (usize, u64) {
    (partition as usize / 64, 1 << (partition % 64))
}

/// The node that a partition should belong to, of the nodes with these names: the one whose name
/// hashes highest together with it (rendezvous hashing). `None` if there are no nodes.
pub fn rightful<'a>(partition: u16, nodes: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The name decides between equal hashes, so that the order of the nodes does not matter.
    nodes
        .into_iter()
        .max_by_key(|name| (weight(partition, name), *name))
}

/// FNV-1a, then the finisher of splitmix64: stable by definition, and spread over all bits also for
/// names that differ in one letter.
fn weight(partition: u16, name: &str) -> u64 {
    let bytes = partition.to_le_bytes();
    let hash = bytes
        .iter()
        .chain(name.as_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let mut z = hash;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn owners(nodes: &[&'static str]) -> Vec<&'static str> {
        (0..PARTITIONS)
            .map(|partition| rightful(partition, nodes.iter().copied()).unwrap())
            .collect()
    }

    #[test]
    fn sets_hold_what_was_put_in() {
        let mut set: Partitions = [0, 63, 64, 255, 256].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 255]);
        set.remove(63);
        assert!(!set.contains(63) && set.contains(64) && !set.contains(256));
        assert_eq!(Partitions::ALL.without(&set).len(), 253);
        assert_eq!((0..PARTITIONS).collect::<Partitions>(), Partitions::ALL);
    }

    #[test]
    fn partitions_are_spread_evenly_and_in_whatever_order_nodes_are_named() {
        let nodes = ["a:8080", "b:8080", "c:8080", "d:8080"];
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for owner in owners(&nodes) {
            *counts.entry(owner).or_default() += 1;
        }
        assert!(
            counts.values().all(|count| (40..=90).contains(count)),
            "{counts:?}"
        );
        let reversed: Vec<_> = nodes.iter().rev().copied().collect();
        assert_eq!(owners(&nodes), owners(&reversed));
    }

    #[test]
    fn a_node_that_leaves_moves_only_its_own() {
        let before = owners(&["a", "b", "c"]);
        let after = owners(&["a", "c"]);
        for (before, after) in before.into_iter().zip(after) {
            assert!(before == after || before == "b");
        }
    }

    #[test]
    fn nobody_owns_without_nodes() {
        assert_eq!(rightful(1, []), None);
    }
}
