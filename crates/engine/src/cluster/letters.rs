//! What nodes leave for each other: the owner of an account alone fetches, merges and writes its
//! devices, so whatever happens elsewhere (a push that arrives, a user who links) is stored as a
//! letter to the owner.
//!
//! Invariants:
//! - A letter is removed once what it says is done, so that it is read again by whoever owns the
//!   partition next; all of them may be read twice.
//! - Letters about one account are worked off one after the other, in order.

use std::{collections::HashMap, sync::Arc, time::Duration};

use livewatt_domain::{
    account::Trigger,
    fact::Observation,
    id::{AccountId, ClientId, DeviceId, HemSystemId, LocationId},
};
use livewatt_store::StoredLetter;
use livewatt_vendors::ReadShape;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::Membership;
use crate::{Engine, EngineError, EngineResult, error::chain};

/// Letters read at a time.
const BATCH: u32 = 1_000;
/// How often a node that waits for a letter to be taken looks.
const GLANCE: Duration = Duration::from_millis(50);

/// What a letter says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "letter", rename_all = "camelCase")]
pub(crate) enum Letter {
    /// Devices said something by themselves.
    #[serde(rename_all = "camelCase")]
    Observed {
        account: AccountId,
        observations: Vec<Observation>,
        wants_listing: bool,
    },
    /// Somebody wants fresh data of a device.
    Hint {
        account: AccountId,
        device: DeviceId,
    },
    /// The account was linked: it is to be fetched, and asked to push.
    Linked { account: AccountId },
    /// What is known of the account no longer holds.
    Changed { account: AccountId },
    /// A Location of its user came, moved or went: the devices are to be placed anew.
    Place {
        account: AccountId,
        location: LocationId,
    },
    /// The customer says where a device is.
    Assign {
        account: AccountId,
        device: DeviceId,
        location: Option<LocationId>,
    },
    /// The action of a device was made, replaced or withdrawn.
    Acted {
        account: AccountId,
        device: DeviceId,
    },
    /// A schedule of a device was made, changed or deleted.
    Scheduled {
        account: AccountId,
        device: DeviceId,
    },
    /// Somebody waits for what the vendor recorded of a site in a period.
    SiteHistory {
        account: AccountId,
        client: ClientId,
        system: HemSystemId,
        period: String,
    },
    /// The account is given up: its vendor is to be told while the credentials are there.
    LetGo { account: AccountId },
}

impl Letter {
    fn account(&self) -> AccountId {
        match self {
            Self::Observed { account, .. }
            | Self::Hint { account, .. }
            | Self::Linked { account }
            | Self::Changed { account }
            | Self::Place { account, .. }
            | Self::Assign { account, .. }
            | Self::Acted { account, .. }
            | Self::Scheduled { account, .. }
            | Self::SiteHistory { account, .. }
            | Self::LetGo { account } => *account,
        }
    }

    /// As it is stored.
    pub(crate) fn seal(&self) -> EngineResult<livewatt_store::Letter> {
        let body = serde_json::to_string(self)
            .map_err(|error| EngineError::internal("a letter cannot be written", error))?;
        Ok(livewatt_store::Letter {
            partition: self.account().partition(),
            body,
        })
    }
}

impl Engine {
    /// Leaves a letter for the owner of its account; returns its number. Once this returns, it is
    /// stored.
    pub(crate) async fn leave_letter(&self, letter: &Letter) -> EngineResult<i64> {
        let members = self.members()?;
        let sealed = letter.seal()?;
        let partition = sealed.partition;
        let number = members.cluster.post(sealed).await?;
        self.tell(livewatt_store::Wake::Letter(partition));
        Ok(number)
    }

    /// Leaves a letter and waits until it is done, or for `patience`; whether it is done.
    pub(crate) async fn ask_owner(
        &self,
        letter: &Letter,
        patience: Duration,
    ) -> EngineResult<bool> {
        let number = self.leave_letter(letter).await?;
        let members = self.members()?;
        let answered = async {
            while members.cluster.is_waiting(number).await? {
                tokio::time::sleep(GLANCE).await;
            }
            Ok(true)
        };
        tokio::time::timeout(patience, answered)
            .await
            .unwrap_or(Ok(false))
    }

    /// Begins to work off the letters that wait; the tasks end when they are done. A running server
    /// does not wait for them, so that a slow vendor holds up only its own.
    pub(crate) async fn read_letters(self: &Arc<Self>) -> EngineResult<JoinSet<()>> {
        let mut tasks = JoinSet::new();
        let Some(members) = &self.membership else {
            return Ok(tasks);
        };
        let owned = self.ownership.owned();
        if owned.is_empty() {
            return Ok(tasks);
        }
        let letters = members.cluster.letters(owned, BATCH).await?;
        for (account, letters) in members.sort_in(letters).await {
            let engine = self.clone();
            tasks.spawn(async move { engine.work_off(account, letters).await });
        }
        Ok(tasks)
    }

    async fn work_off(&self, account: AccountId, letters: Vec<(i64, Letter)>) {
        let Some(members) = &self.membership else {
            return;
        };
        let mut done = Vec::new();
        for (number, letter) in letters {
            match self.take_letter(letter).await {
                Ok(()) => done.push(number),
                Err(error) => {
                    tracing::warn!(account.id = %account, error = %chain(&error), "a letter waits on");
                    break;
                }
            }
        }
        // What cannot be removed is read again: that does no harm.
        if let Err(error) = members.cluster.forget_letters(done).await {
            tracing::warn!(%error, "letters that were taken cannot be removed yet");
        }
        members.note_worked_off(account);
    }

    async fn take_letter(&self, letter: Letter) -> EngineResult<()> {
        let account = letter.account();
        match letter {
            Letter::Observed {
                observations,
                wants_listing,
                ..
            } => {
                self.take_push_here(account, &observations, wants_listing)
                    .await
            }
            Letter::Hint { device, .. } => {
                self.hint_here(account, device);
                Ok(())
            }
            Letter::Acted { device, .. } => {
                self.see_to(account, device);
                Ok(())
            }
            Letter::Scheduled { device, .. } => {
                self.look_after(account, device);
                Ok(())
            }
            Letter::Changed { .. } => self.reload_account(account).await,
            Letter::Place { location, .. } => self.place_here(account, location).await,
            Letter::Assign {
                device, location, ..
            } => match self.assign_here(account, device, location).await {
                // What is gone since, or no longer may be, needs nothing done.
                Err(
                    EngineError::Invalid(_)
                    | EngineError::DeviceNotFound
                    | EngineError::Precondition { .. },
                ) => Ok(()),
                done => done,
            },
            Letter::Linked { .. } => {
                self.reload_account(account).await?;
                let found = self.store.find_account(account).await?;
                let integration = found.map(|(account, _)| account.integration);
                let vendor = integration.and_then(|id| self.vendors.get(&id)).cloned();
                if let Some(vendor) = vendor
                    && vendor.manifest().reads != ReadShape::PushOnly
                {
                    self.poll_account(account, Trigger::Link).await;
                    self.subscribe(account, &vendor).await;
                }
                Ok(())
            }
            Letter::SiteHistory {
                client,
                system,
                period,
                ..
            } => {
                let Ok(period) = period.parse() else {
                    return Ok(());
                };
                match self.ask_here(client, system, period).await {
                    // Who waits finds nothing, and says so.
                    Err(EngineError::DeviceNotFound) => Ok(()),
                    Err(error) if error.is_about_the_vendor() => Ok(()),
                    told => told.map(drop),
                }
            }
            Letter::LetGo { .. } => {
                if let Some((account, _)) = self.store.find_account(account).await? {
                    self.let_go_here(&account).await;
                }
                Ok(())
            }
        }
    }
}

impl Membership {
    /// Letters by account, in order, without those of accounts that are being worked on. What
    /// nobody can read is removed: it would be read again for ever.
    async fn sort_in(&self, letters: Vec<StoredLetter>) -> HashMap<AccountId, Vec<(i64, Letter)>> {
        let mut by_account: HashMap<AccountId, Vec<(i64, Letter)>> = HashMap::new();
        let mut unreadable = Vec::new();
        for StoredLetter { number, letter } in letters {
            match serde_json::from_str::<Letter>(&letter.body) {
                Ok(letter) => by_account
                    .entry(letter.account())
                    .or_default()
                    .push((number, letter)),
                Err(error) => {
                    tracing::error!(%error, partition = letter.partition, "a letter cannot be read; it is dropped");
                    unreadable.push(number);
                }
            }
        }
        if !unreadable.is_empty()
            && let Err(error) = self.cluster.forget_letters(unreadable).await
        {
            tracing::warn!(%error, "unreadable letters cannot be removed yet");
        }
        let mut busy = self.busy();
        by_account.retain(|account, _| busy.insert(*account));
        by_account
    }

    fn note_worked_off(&self, account: AccountId) {
        self.busy().remove(&account);
        // More may have come for it meanwhile.
        self.inbox.notify_one();
    }
}
