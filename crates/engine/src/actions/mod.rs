//! Actions: wishes of callers for devices, and how they are carried out.
//!
//! The rules are `livewatt_domain::action`. Here an action is made and withdrawn, at any node, and
//! carried out by the owner of the account's partition (`drive`), one device at a time: its command
//! is sent as often as its vendor's timing says, its device is read soon after each, and whatever is
//! read or pushed meanwhile is held against it by the merge (`ingest`).
//!
//! What must stay true:
//! - An action, and each event about it, is in one transaction with what it follows from.
//! - A command is noted in the store before its first byte, by the owner alone: whoever goes on after
//!   a crash, or at another node, knows that one may be under way.

mod control;
mod drive;
mod send;
mod watch;

use livewatt_domain::{
    account::AccountStatus,
    action::{Action, Created, NewAction, Owner, Target, Withdrawn, create},
    device::Device,
    id::{AccountId, ActionId, ClientId},
    kind::DeviceKind,
    partition::Partitions,
    scope::{Ability, Scope},
};
use livewatt_store::{ActionChange, PendingOf, StoreError, StoredAction, UnitOfWork};
use serde_json::Value;

pub(crate) use self::{
    drive::{PAUSE, STEP_PARALLELISM},
    watch::{Again, Watches},
};
use crate::{Engine, EngineError, EngineResult, cluster::Letter};

/// How often something is decided anew about a device whose action changed since it was read.
pub(crate) const MOST_TRIES: u32 = 5;

/// What came of withdrawing an action.
#[derive(Debug, Clone, PartialEq)]
pub enum Cancellation {
    /// It is cancelled.
    Done(Action),
    /// It was over already, and is as it was.
    Resolved(Action),
}

impl Engine {
    /// Makes an action for a device, or finds the one that is pending for the same.
    ///
    /// # Errors
    /// [`EngineError::DeviceNotFound`], [`EngineError::ScopeMissing`],
    /// [`EngineError::ActionRefused`] or [`EngineError::Precondition`] if it cannot come true, or if
    /// the database fails.
    pub async fn create_action(
        &self,
        client: ClientId,
        kind: DeviceKind,
        id: &str,
        target: Target,
    ) -> EngineResult<Action> {
        for _ in 0..MOST_TRIES {
            match self.try_create(client, kind, id, target).await {
                Err(error) if is_overtaken(&error) => {}
                done => return done,
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn try_create(
        &self,
        client: ClientId,
        kind: DeviceKind,
        id: &str,
        target: Target,
    ) -> EngineResult<Action> {
        let device = self.get_device(client, kind, id).await?;
        require_control(&device)?;
        let found = self.store.find_account(device.account_id).await?;
        let account = match found {
            Some((account, _)) if account.status == AccountStatus::Active => account,
            _ => {
                let detail = "The user must link the device again first.".to_owned();
                return Err(EngineError::Precondition { detail });
            }
        };
        let vendor = self.vendors.get(&account.integration);
        let vendor = vendor.ok_or(EngineError::DeviceNotFound)?;
        let now = self.now();
        let new = NewAction {
            id: ActionId::new(now, self.entropy.as_ref()),
            target,
            owner: Owner::Caller,
        };
        let last = self.store.newest_action(device.id).await?;
        let before = last.as_ref().map(|stored| &stored.action);
        let controller = self.controller_of(&device).await?;
        let timing = &vendor.manifest().actions;
        let created = create(new, &device, before, controller, timing, now)?;
        let (action, replaced) = match (created, last) {
            (Created::Reused, Some(pending)) => return Ok(pending.action),
            (Created::Reused, None) => return Err(StoreError::Conflict.into()),
            (Created::New { action, replaced }, last) => (*action, replaced.zip(last)),
        };
        let news = Letter::Acted {
            account: account.id,
            device: device.id,
        };
        let mut unit = self.unit_about(account.id, &news)?;
        if let Some((replaced, last)) = replaced {
            self.put_action(&mut unit, &last, *replaced);
        }
        unit.events
            .extend(self.event_maker(now).action_updated(&action, None));
        unit.actions.push(ActionChange::Insert {
            action: action.clone(),
            account_id: account.id,
        });
        self.commit(client, unit).await?;
        self.see_to(account.id, device.id);
        tracing::info!(action.id = %action.id, device.id = %device.id, "action made");
        Ok(action)
    }

    /// An action of a client.
    ///
    /// # Errors
    /// [`EngineError::ActionNotFound`] if there is none for this kind of device, or if the database
    /// fails.
    pub async fn get_action(
        &self,
        client: ClientId,
        kind: DeviceKind,
        id: &str,
    ) -> EngineResult<Action> {
        Ok(self.stored_action(client, kind, id).await?.action)
    }

    /// Withdraws an action. A command that the vendor took may still take effect.
    ///
    /// # Errors
    /// [`EngineError::ActionNotFound`], or if the database fails.
    pub async fn cancel_action(
        &self,
        client: ClientId,
        kind: DeviceKind,
        id: &str,
    ) -> EngineResult<Cancellation> {
        for _ in 0..MOST_TRIES {
            let stored = self.stored_action(client, kind, id).await?;
            let mut action = stored.action.clone();
            if action.cancel(Withdrawn::ByOwner, self.now()).is_err() {
                return Ok(Cancellation::Resolved(stored.action));
            }
            let (account, device) = (stored.account_id, action.device_id);
            let mut unit = self.unit_about(account, &Letter::Acted { account, device })?;
            self.put_action(&mut unit, &stored, action.clone());
            match self.commit(client, unit).await {
                Err(error) if is_overtaken(&error) => {}
                done => {
                    done?;
                    self.see_to(account, device);
                    return Ok(Cancellation::Done(action));
                }
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn stored_action(
        &self,
        client: ClientId,
        kind: DeviceKind,
        id: &str,
    ) -> EngineResult<StoredAction> {
        let unknown = || EngineError::ActionNotFound(id.to_owned());
        let wanted: ActionId = id.parse().map_err(|_| unknown())?;
        match self.store.find_action(client, wanted).await? {
            Some(stored) if stored.action.device_kind == kind => Ok(stored),
            _ => Err(unknown()),
        }
    }

    /// Adds what an action has become to a unit of work, with its event if that is worth one.
    pub(crate) fn put_action(&self, unit: &mut UnitOfWork, before: &StoredAction, action: Action) {
        let maker = self.event_maker(self.now());
        unit.events
            .extend(maker.action_updated(&action, Some(&before.action)));
        unit.actions.push(update(before, action));
    }

    /// A device is to be seen to, with its action, what may have made it, and its smart charging, if the
    /// device is this node's; else its owner has a letter.
    pub(crate) fn see_to(&self, account: AccountId, device: livewatt_domain::id::DeviceId) {
        if self.owns(account) {
            self.actions.tell(account, device, self.now());
            self.schedules.remind(account, device, self.now());
            self.smart.tell(account, device, self.now());
        }
    }

    /// Takes over the pending actions of partitions.
    pub(crate) async fn load_actions(&self, of: &Partitions) -> EngineResult<()> {
        self.actions.arrive(of);
        let pending = self.store.pending_actions(PendingOf::Partitions(*of));
        for stored in pending.await? {
            let device = stored.action.device_id;
            self.actions.tell(stored.account_id, device, self.now());
        }
        Ok(())
    }
}

/// The change that makes an action of what it was.
pub(crate) fn update(before: &StoredAction, action: Action) -> ActionChange {
    ActionChange::Update {
        action,
        account_id: before.account_id,
        from_revision: before.revision,
    }
}

/// Whether somebody else was faster, or the account is another node's since: it is to be decided
/// anew.
pub(crate) fn is_overtaken(error: &EngineError) -> bool {
    error.is_conflict() || error.is_duplicate() || error.is_fenced()
}

pub(crate) fn require_control(device: &Device) -> EngineResult<()> {
    let granted = device.document.path("scopes").and_then(Value::as_array);
    let is_granted = |scope: Scope| {
        granted.is_some_and(|granted| granted.iter().any(|name| name == scope.as_str()))
    };
    let scope = Scope::of_kind(device.kind()).find(|scope| scope.ability() == Ability::Control);
    match scope {
        Some(scope) if is_granted(scope) => Ok(()),
        // A kind that nothing can be told has no operation that gets here.
        scope => Err(EngineError::ScopeMissing(scope)),
    }
}
