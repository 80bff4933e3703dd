//! What a node is to do about partitions in one round: a function of what the database says, the
//! same on every node.

use livewatt_domain::{
    SignedDuration,
    partition::{Partitions, rightful},
};
use livewatt_store::{ClusterView, Fence, Node};

/// A node's round.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Round {
    /// Held here, but another's by now.
    pub lost: Partitions,
    /// This node's by the database, but not held here: a claim whose taking over broke off.
    pub unheld: Vec<Fence>,
    /// Nobody's, and to be this node's.
    pub claim: Partitions,
    /// This node's, and to be another's.
    pub give: Partitions,
}

impl Round {
    /// The round of `me`, who holds `held`. At most `moves` are given in one round, so that what
    /// follows from a move (loading, first polls) never comes all at once.
    pub(crate) fn of(
        view: &ClusterView,
        me: &Node,
        held: &[Fence],
        lease: SignedDuration,
        moves: usize,
    ) -> Self {
        let mut round = Self::default();
        let alive: Vec<&str> = view
            .nodes
            .iter()
            .filter(|status| status.silent_for < lease || status.node.name == me.name)
            .map(|status| status.node.name.as_str())
            .collect();
        for lease in &view.leases {
            let Fence { partition, .. } = lease.fence;
            let is_mine = lease
                .owner
                .as_ref()
                .is_some_and(|(_, incarnation)| *incarnation == me.incarnation);
            let is_held = held.contains(&lease.fence);
            if !(is_mine && is_held) && held.iter().any(|fence| fence.partition == partition) {
                round.lost.insert(partition);
            }
            if is_mine && !is_held {
                round.unheld.push(lease.fence);
            }
            let should_be_mine = rightful(partition, alive.iter().copied()) == Some(&me.name);
            let is_free = lease.owner.is_none() || lease.left <= SignedDuration::ZERO;
            if should_be_mine && !is_mine && is_free {
                round.claim.insert(partition);
            } else if !should_be_mine && is_mine && is_held && round.give.len() < moves {
                round.give.insert(partition);
            }
        }
        round
    }
}

#[cfg(test)]
mod tests {
    use livewatt_domain::{Timestamp, id::PARTITIONS};
    use livewatt_store::{Lease, NodeStatus};
    use uuid::Uuid;

    use super::*;

    const LEASE: SignedDuration = SignedDuration::from_secs(15);

    fn node(name: &str) -> Node {
        Node {
            name: name.to_owned(),
            incarnation: Uuid::from_u128(u128::from(name.as_bytes()[0])),
            version: "1".to_owned(),
            address: String::new(),
            started_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn view(nodes: &[(&Node, i64)], owner: impl Fn(u16) -> Option<Node>, left: i64) -> ClusterView {
        let leases = (0..PARTITIONS).map(|partition| Lease {
            fence: fence(partition),
            owner: owner(partition).map(|node| (node.name, node.incarnation)),
            left: SignedDuration::from_secs(left),
        });
        ClusterView {
            nodes: nodes
                .iter()
                .map(|(node, silent)| NodeStatus {
                    node: (*node).clone(),
                    silent_for: SignedDuration::from_secs(*silent),
                })
                .collect(),
            leases: leases.collect(),
            database_time: Timestamp::UNIX_EPOCH,
        }
    }

    fn fence(partition: u16) -> Fence {
        Fence {
            partition,
            number: 5,
        }
    }

    fn all() -> Vec<Fence> {
        (0..PARTITIONS).map(fence).collect()
    }

    #[test]
    fn who_is_alone_claims_everything_that_is_free() {
        let a = node("a");
        let free = view(&[(&a, 0)], |_| None, 0);
        assert!(Round::of(&free, &a, &[], LEASE, 8).claim.is_all());
        let b = node("b");
        let dead = view(&[(&a, 0), (&b, 20)], |_| Some(node("b")), -1);
        assert!(Round::of(&dead, &a, &[], LEASE, 8).claim.is_all());
    }

    #[test]
    fn nothing_is_claimed_whose_lease_lasts() {
        let (a, b) = (node("a"), node("b"));
        let held = view(&[(&a, 0), (&b, 14)], |_| Some(node("b")), 1);
        assert_eq!(Round::of(&held, &a, &[], LEASE, 8), Round::default());
    }

    #[test]
    fn a_newcomer_is_given_its_own_a_few_at_a_time() {
        let (a, b) = (node("a"), node("b"));
        let view = view(&[(&a, 0), (&b, 0)], |_| Some(node("a")), 10);
        let round = Round::of(&view, &a, &all(), LEASE, 8);
        assert_eq!(round.give.len(), 8);
        let names = ["a", "b"];
        assert!(round.give.iter().all(|p| rightful(p, names) == Some("b")));
        assert_eq!(
            (round.lost, round.claim),
            (Partitions::NONE, Partitions::NONE)
        );
    }

    #[test]
    fn what_another_owns_by_now_is_lost_and_what_was_claimed_is_found_again() {
        let (a, b) = (node("a"), node("b"));
        let owner = |partition| Some(if partition == 7 { node("b") } else { node("a") });
        let view = view(&[(&a, 0), (&b, 0)], owner, 10);
        let held: Vec<Fence> = all().into_iter().filter(|f| f.partition != 9).collect();
        let round = Round::of(&view, &a, &held, LEASE, 0);
        assert_eq!(round.lost.iter().collect::<Vec<_>>(), [7]);
        assert_eq!(round.unheld, [fence(9)]);
    }

    #[test]
    fn a_higher_fence_of_our_own_is_not_what_is_held() {
        let a = node("a");
        let view = view(&[(&a, 0)], |_| Some(node("a")), 10);
        let old = Fence {
            partition: 0,
            number: 4,
        };
        let round = Round::of(&view, &a, &[old], LEASE, 0);
        assert!(round.lost.contains(0));
        assert!(round.unheld.contains(&fence(0)));
    }
}
