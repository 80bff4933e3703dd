//! Pushes of vendors: verified, merged and committed before they are acknowledged.

use livewatt_domain::{Timestamp, account::AccountStatus, fact::Observation, id::AccountId};
use livewatt_vendors::PushError;

use crate::{Engine, EngineResult, cluster::Letter, ingest::Intake};

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushReceipt {
    /// Committed, or about accounts not linked here.
    Taken,
    /// There is no such integration, or it does not push.
    UnknownIntegration,
    /// The signature is not right.
    Unverified,
    /// The payload makes no sense.
    Malformed,
}

impl Engine {
    /// Takes a push of a vendor. `header` looks up a header by lower-case name.
    ///
    /// # Errors
    /// If the database fails; the vendor should send it again.
    pub async fn receive_push(
        &self,
        integration: &str,
        header: &(dyn Fn(&str) -> Option<String> + Send + Sync),
        body: &[u8],
    ) -> EngineResult<PushReceipt> {
        let Some(vendor) = self.vendors.get(integration) else {
            return Ok(PushReceipt::UnknownIntegration);
        };
        let Some(intake) = vendor.push() else {
            return Ok(PushReceipt::UnknownIntegration);
        };
        let count = |outcome| {
            metrics::counter!(
                "livewatt_pushes_total",
                "integration" => vendor.manifest().id, "outcome" => outcome,
            )
            .increment(1);
        };
        let batches = match intake.read(&|name| header(name), body, self.now()) {
            Ok(batches) => batches,
            Err(PushError::Unverified) => {
                count("unverified");
                return Ok(PushReceipt::Unverified);
            }
            Err(PushError::Malformed(detail)) => {
                count("malformed");
                tracing::warn!(integration, %detail, "a push was not understood");
                return Ok(PushReceipt::Malformed);
            }
        };
        count("taken");
        for batch in batches {
            let accounts = self
                .store
                .find_accounts_of_vendor(
                    vendor.manifest().id.to_owned(),
                    batch.vendor_account_id.clone(),
                )
                .await?;
            for account in accounts
                .iter()
                .filter(|a| a.status == AccountStatus::Active)
            {
                self.take_push(account.id, &batch.observations, batch.wants_listing)
                    .await?;
            }
        }
        Ok(PushReceipt::Taken)
    }

    /// Takes what came by itself: merged here, or stored for the owner of the account.
    pub(crate) async fn take_push(
        &self,
        account: AccountId,
        observations: &[Observation],
        wants_listing: bool,
    ) -> EngineResult<()> {
        if self.membership.is_none() || self.owns(account) {
            let taken = self.take_push_here(account, observations, wants_listing);
            match taken.await {
                // Handed over since: its next owner takes it.
                Err(error) if error.is_fenced() && self.membership.is_some() => {}
                taken => return taken,
            }
        }
        let letter = Letter::Observed {
            account,
            observations: observations.to_vec(),
            wants_listing,
        };
        self.leave_letter(&letter).await.map(drop)
    }

    /// Merges what came by itself.
    pub(crate) async fn take_push_here(
        &self,
        account: AccountId,
        observations: &[Observation],
        wants_listing: bool,
    ) -> EngineResult<()> {
        let mut observations = observations.to_vec();
        self.number_arrivals(account, &mut observations);
        let intake = Intake {
            observations: &observations,
            ..Intake::default()
        };
        if let Some(devices) = self.ingest(account, intake).await? {
            self.note_pushed(account, &devices, wants_listing);
        }
        Ok(())
    }

    /// Two pushes of one millisecond would look like the same one told twice: arrivals of an
    /// account are a millisecond apart at least.
    fn number_arrivals(&self, account: AccountId, observations: &mut [Observation]) {
        let step = |at: Timestamp| at.as_millisecond() + 1;
        self.fleet.update(account, |slot| {
            for seen in observations {
                let floor = slot.arrived_at.map(|at| step(at.into()));
                let arrived = floor.map_or(seen.received_at.as_millisecond(), |floor| {
                    seen.received_at.as_millisecond().max(floor)
                });
                if let Ok(at) = Timestamp::from_millisecond(arrived) {
                    // After the clock was set back, its own time counts again once it is close.
                    let is_near = at.duration_since(seen.received_at).as_secs() < 60;
                    seen.received_at = if is_near { at } else { seen.received_at };
                    seen.started_at = seen.received_at;
                    slot.arrived_at = Some(seen.received_at.into());
                }
            }
        });
    }
}
