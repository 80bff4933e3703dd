//! Partitions that come and go: taking over, handing over in good order, and losing.

use std::time::Duration;

use livewatt_domain::partition::Partitions;
use livewatt_store::{Fence, Wake};

use super::Membership;
use crate::{Engine, EngineResult, error::chain};

/// Longest wait for what is under way in partitions that are handed over. What lasts longer fails
/// at its fence and is done again by the next owner.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often is looked whether it has ended.
const GLANCE: Duration = Duration::from_millis(10);

impl Engine {
    /// Takes over partitions that were claimed: from here on this node writes there.
    pub(super) async fn take_over(&self, fences: &[Fence]) -> EngineResult<()> {
        let taken: Partitions = fences.iter().map(|fence| fence.partition).collect();
        if taken.is_empty() {
            return Ok(());
        }
        self.ownership.hold(fences);
        if let Err(error) = self.load_partitions(&taken).await {
            // Claimed all the same: the next round finds them and takes them over.
            self.ownership.let_go(&taken);
            self.forget_partitions(&taken);
            return Err(error);
        }
        tracing::info!(
            partitions = taken.len(),
            owned = self.ownership.owned().len(),
            "partitions taken over"
        );
        metrics::counter!("livewatt_partitions_taken_total").increment(taken.len() as u64);
        Ok(())
    }

    /// Loads what belongs to partitions: what was spent of budgets, accounts, webhooks, actions,
    /// schedules.
    pub(crate) async fn load_partitions(&self, taken: &Partitions) -> EngineResult<()> {
        let spent = self.store.budget_usage(*taken).await?;
        self.budgets
            .restore(crate::presence::spent_from(spent), self.now());
        self.budgets.take_partitions(taken);
        self.known_places.forget_all();
        self.load_fleet(taken).await?;
        self.load_webhooks(taken).await?;
        self.load_actions(taken).await?;
        self.load_schedules(taken).await?;
        self.load_smart(taken).await?;
        if let Some(members) = &self.membership {
            members.inbox.notify_one();
        }
        self.place_wake.notify_one();
        Ok(())
    }

    /// Hands partitions over: nothing new is begun there, what is under way ends, what is known is
    /// written down, and then others may claim them.
    pub(super) async fn hand_over(
        &self,
        members: &Membership,
        given: &Partitions,
    ) -> EngineResult<()> {
        if given.is_empty() {
            return Ok(());
        }
        self.fleet.begin_leaving(given);
        self.deliveries.begin_leaving(given);
        self.actions.begin_leaving(given);
        self.schedules.begin_leaving(given);
        self.smart.begin_leaving(given);
        let is_busy = || {
            self.fleet.is_busy(given)
                || self.deliveries.is_busy(given)
                || self.actions.is_busy(given)
                || self.schedules.is_busy(given)
                || self.smart.is_busy(given)
        };
        let drained = async {
            while is_busy() {
                tokio::time::sleep(GLANCE).await;
            }
        };
        if tokio::time::timeout(PATIENCE, drained).await.is_err() {
            tracing::info!("partitions are handed over without waiting for the rest");
        }
        self.fleet.hand_over(given, self.now());
        self.budgets.close_for(given);
        let written = self.flush_presence().await;
        let fences: Vec<Fence> = self
            .ownership
            .claimed()
            .into_iter()
            .filter(|fence| given.contains(fence.partition))
            .collect();
        self.ownership.let_go(given);
        self.forget_partitions(given);
        if let Err(error) = written {
            tracing::warn!(error = %chain(&error), "partitions are handed over without their last quiet writes");
        }
        members.cluster.release(&members.node, fences).await?;
        self.tell(Wake::Released);
        tracing::info!(partitions = given.len(), "partitions handed over");
        metrics::counter!("livewatt_partitions_given_total").increment(given.len() as u64);
        Ok(())
    }

    /// Lets go of partitions that another node has by now. What is not written is void.
    pub(super) fn lose(&self, lost: &Partitions) {
        if lost.is_empty() {
            return;
        }
        self.ownership.let_go(lost);
        self.forget_partitions(lost);
        tracing::warn!(partitions = lost.len(), "partitions lost to another node");
        metrics::counter!("livewatt_partitions_lost_total").increment(lost.len() as u64);
    }

    fn forget_partitions(&self, gone: &Partitions) {
        self.fleet.drop_partitions(gone);
        self.deliveries.drop_partitions(gone);
        self.actions.drop_partitions(gone);
        self.schedules.drop_partitions(gone);
        self.smart.drop_partitions(gone);
        self.budgets.forget_partitions(gone);
    }
}
