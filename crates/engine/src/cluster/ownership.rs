//! What this node owns, and until when it may believe so.
//!
//! Invariant: a fence is handed out only while the lease behind it cannot have ended, by this
//! machine's own steady clock: it is counted from before the renewal was asked for, and ends well
//! before the database lets anybody else claim the partition.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use livewatt_domain::{id::PARTITIONS, partition::Partitions};
use livewatt_store::{Fence, Fences};

/// The partitions of this node.
#[derive(Debug)]
pub(crate) struct Ownership(Mutex<Held>);

#[derive(Debug)]
struct Held {
    fences: Vec<Option<u64>>,
    until: Until,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// Nobody else can use the database.
    Forever,
    /// As last renewed; `None` before the first time.
    Renewed(Option<Instant>),
}

impl Held {
    fn is_valid(&self) -> bool {
        match self.until {
            Until::Forever => true,
            Until::Renewed(until) => until.is_some_and(|until| Instant::now() < until),
        }
    }

    fn all(&self) -> impl Iterator<Item = Fence> {
        (0..PARTITIONS)
            .zip(&self.fences)
            .filter_map(|(partition, number)| {
                let number = (*number)?;
                Some(Fence { partition, number })
            })
    }
}

impl Ownership {
    /// Of a program that has the database for itself.
    pub(crate) fn alone(fences: &Fences) -> Self {
        let fences = (0..PARTITIONS).map(|partition| Some(fences.of(partition).number));
        Self(Mutex::new(Held {
            fences: fences.collect(),
            until: Until::Forever,
        }))
    }

    /// Of a node that owns nothing yet.
    pub(crate) fn none() -> Self {
        Self(Mutex::new(Held {
            fences: vec![None; usize::from(PARTITIONS)],
            until: Until::Renewed(None),
        }))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to write in a partition; `None` if another node has it, or may have.
    pub(crate) fn fence(&self, partition: u16) -> Option<Fence> {
        let held = self.held();
        let number = (*held.fences.get(usize::from(partition))?)?;
        held.is_valid().then_some(Fence { partition, number })
    }

    /// Whether a partition is this node's, beyond doubt.
    pub(crate) fn owns(&self, partition: u16) -> bool {
        self.fence(partition).is_some()
    }

    /// Whether the leases were renewed lately enough to do anything.
    pub(crate) fn is_valid(&self) -> bool {
        self.held().is_valid()
    }

    /// The partitions that are this node's, beyond doubt.
    pub(crate) fn owned(&self) -> Partitions {
        let held = self.held();
        match held.is_valid() {
            true => held.all().map(|fence| fence.partition).collect(),
            false => Partitions::NONE,
        }
    }

    /// All rights that are valid, to be written with; `None` if nobody else can use the database.
    pub(crate) fn fences(&self) -> Option<Vec<Fence>> {
        let held = self.held();
        match held.until {
            Until::Forever => None,
            Until::Renewed(_) if held.is_valid() => Some(held.all().collect()),
            Until::Renewed(_) => Some(Vec::new()),
        }
    }

    /// What was claimed and not let go of, whether or not it is valid now.
    pub(crate) fn claimed(&self) -> Vec<Fence> {
        self.held().all().collect()
    }

    /// Takes partitions.
    pub(crate) fn hold(&self, fences: &[Fence]) {
        let mut held = self.held();
        for fence in fences {
            if let Some(number) = held.fences.get_mut(usize::from(fence.partition)) {
                *number = Some(fence.number);
            }
        }
    }

    /// Lets go of partitions.
    pub(crate) fn let_go(&self, partitions: &Partitions) {
        let mut held = self.held();
        for partition in partitions.iter() {
            if let Some(number) = held.fences.get_mut(usize::from(partition)) {
                *number = None;
            }
        }
    }

    /// The leases hold at least until then.
    pub(crate) fn renew(&self, until: Instant) {
        self.held().until = Until::Renewed(Some(until));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn nothing_is_owned_that_was_not_renewed_in_time() {
        let fence = Fence {
            partition: 3,
            number: 9,
        };
        let ownership = Ownership::none();
        ownership.hold(&[fence]);
        assert_eq!(ownership.fence(3), None);
        ownership.renew(Instant::now() + Duration::from_secs(60));
        assert_eq!(ownership.fence(3), Some(fence));
        assert_eq!(ownership.fences(), Some(vec![fence]));
        assert!(!ownership.owns(4));
        ownership.renew(Instant::now());
        assert_eq!(
            (ownership.fence(3), ownership.fences()),
            (None, Some(vec![]))
        );
        assert_eq!(ownership.claimed(), [fence]);
        ownership.let_go(&[3].into_iter().collect());
        assert_eq!(ownership.claimed(), []);
    }

    #[test]
    fn who_is_alone_owns_all_for_ever() {
        let ownership = Ownership::alone(&Fences::default());
        assert!(ownership.owned().is_all());
        assert_eq!(ownership.fences(), None);
    }
}
