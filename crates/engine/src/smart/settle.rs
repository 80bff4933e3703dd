//! One step of the smart charging of a device, with all that follows from it in one transaction.

use livewatt_domain::{
    Timestamp,
    account::{Account, AccountStatus},
    action::{Action, ChargingKind, Created, NewAction, Owner, Target, Timing, Withdrawn, create},
    device::Device,
    id::{ActionId, PlanId},
    smart::{Smart, Wish},
};
use livewatt_store::{ActionChange, SmartChange, StoredAction, StoredSmart, UnitOfWork};

use super::as_it_is;
use crate::{Engine, EngineResult, actions::update, cluster::Letter};

/// A device whose smart charging is about to change.
pub(super) struct Draft {
    pub(super) device: Device,
    pub(super) account: Account,
    timing: Timing,
    before: Option<StoredSmart>,
    pub(super) smart: Smart,
    pub(super) unit: UnitOfWork,
    /// The newest action of the device, as it is stored.
    last: Option<StoredAction>,
    /// What becomes of that one, if anything.
    ended: Option<Action>,
    /// A new one.
    made: Option<Action>,
    now: Timestamp,
}

impl Engine {
    /// Reads what there is to know of a device; `None` if nothing can be done for it, since its user
    /// has to link it again.
    pub(super) async fn begin_smart(&self, device: Device) -> EngineResult<Option<Draft>> {
        let found = self.store.find_account(device.account_id).await?;
        let account = match found {
            Some((account, _)) if account.status == AccountStatus::Active => account,
            _ => return Ok(None),
        };
        let Some(vendor) = self.vendors.get(&account.integration) else {
            return Ok(None);
        };
        let before = self.store.find_smart(device.id).await?;
        let last = self.store.newest_action(device.id).await?;
        let news = Letter::Acted {
            account: account.id,
            device: device.id,
        };
        Ok(Some(Draft {
            smart: as_it_is(&device, before.as_ref()),
            unit: self.unit_about(account.id, &news)?,
            timing: vendor.manifest().actions.clone(),
            now: self.now(),
            last,
            before,
            account,
            device,
            ended: None,
            made: None,
        }))
    }

    /// Takes the step, and commits what the draft holds by then; returns when to look again.
    pub(super) async fn settle_smart(&self, mut draft: Draft) -> EngineResult<(Smart, Wish)> {
        let now = draft.now;
        let (mut seen, inputs) = self.look_at_smart(&draft.device, &draft.smart, now).await?;
        draft.look_at_own(&mut seen);
        let new_plan = PlanId::new(now, self.entropy.as_ref());
        let smart = &mut draft.smart;
        let wish = smart.step(draft.device.id, &seen, inputs, new_plan, now);
        if let Some(kind) = wish.command {
            // Takes the place of what is pending, whoever made that.
            self.command_by_plan(&mut draft, kind);
        } else if wish.withdraw {
            draft.withdraw(draft.smart.plan.as_ref().and_then(|plan| plan.action_id));
        }
        let acted = draft.made.is_some() || draft.ended.is_some();
        let (account, device) = (draft.account.id, draft.device.id);
        let client = draft.account.client_id;
        let smart = draft.smart.clone();
        let unit = self.filled(draft);
        let is_shown = !unit.devices.is_empty();
        self.commit(client, unit).await?;
        if is_shown {
            self.presence.forget(device);
        }
        if acted && self.owns(account) {
            self.actions.tell(account, device, now);
        }
        Ok((smart, wish))
    }

    fn command_by_plan(&self, draft: &mut Draft, kind: ChargingKind) {
        let Some(plan) = draft.smart.plan.as_ref().map(|plan| plan.id) else {
            return;
        };
        match self.act_for(draft, Target::Charging(kind), Owner::Plan(plan)) {
            Ok(id) => {
                if let Some(plan) = &mut draft.smart.plan {
                    plan.action_id = Some(id);
                }
            }
            // It is wanted again at the next look, if it still is.
            Err(refusal) => {
                tracing::info!(device.id = %draft.device.id, %refusal, "a command of a plan cannot be made now");
            }
        }
    }

    /// Makes an action in place of what is pending, or finds the pending one that wants the same.
    pub(super) fn act_for(
        &self,
        draft: &mut Draft,
        target: Target,
        owner: Owner,
    ) -> Result<ActionId, livewatt_domain::action::Refusal> {
        let new = NewAction {
            id: ActionId::new(draft.now, self.entropy.as_ref()),
            target,
            owner,
        };
        let last = draft.newest().cloned();
        let (device, timing) = (&draft.device, &draft.timing);
        let created = create(new, device, last.as_ref(), None, timing, draft.now)?;
        let Created::New { action, replaced } = created else {
            return Ok(last.map_or(new.id, |last| last.id));
        };
        if let Some(replaced) = replaced {
            draft.end(*replaced);
        }
        let id = action.id;
        draft.made = Some(*action);
        Ok(id)
    }

    /// The unit of work of a draft.
    fn filled(&self, draft: Draft) -> UnitOfWork {
        let Draft {
            device,
            account,
            before,
            smart,
            mut unit,
            last,
            ended,
            made,
            now,
            ..
        } = draft;
        let maker = self.event_maker(now);
        let was = as_it_is(&device, before.as_ref());
        unit.events
            .extend(maker.smart_updated(&device, &was, &smart));
        if was.policy != smart.policy {
            self.show_policy(&mut unit, &device, &smart);
        }
        if let Some((ended, last)) = ended.zip(last) {
            unit.events
                .extend(maker.action_updated(&ended, Some(&last.action)));
            unit.actions.push(update(&last, ended));
        }
        if let Some(action) = made {
            tracing::info!(action.id = %action.id, device.id = %device.id, owner = ?action.owner, "action made");
            unit.events.extend(maker.action_updated(&action, None));
            unit.actions.push(ActionChange::Insert {
                action,
                account_id: account.id,
            });
        }
        unit.smart
            .push(SmartChange::new(&device, before.as_ref(), smart));
        unit
    }
}

impl Draft {
    /// The newest action of the device by what the draft holds.
    fn newest(&self) -> Option<&Action> {
        let stored = self.last.as_ref().map(|last| &last.action);
        self.made.as_ref().or(self.ended.as_ref()).or(stored)
    }

    /// An action that is not stored yet is seen all the same.
    fn look_at_own(&self, seen: &mut livewatt_domain::smart::Seen) {
        let is_of_override = |action: &&Action| self.override_action() == Some(action.id);
        let own = [self.ended.as_ref(), self.made.as_ref()];
        for action in own.into_iter().flatten() {
            if Some(action).filter(is_of_override).is_some() {
                seen.override_action = Some(action.state);
            }
            let of_plan = self.smart.plan.as_ref().and_then(|plan| plan.action_id);
            if of_plan == Some(action.id) {
                seen.last = Some(action.into());
            }
        }
    }

    fn override_action(&self) -> Option<ActionId> {
        self.smart.smart_override?.vendor_action_id
    }

    /// What is pending becomes this.
    fn end(&mut self, action: Action) {
        match &self.made {
            // It was made and is given up in one go: it never was.
            Some(made) if made.id == action.id => self.made = None,
            _ => self.ended = Some(action),
        }
    }

    /// Cancels the pending action, if it is this one.
    pub(super) fn withdraw(&mut self, id: Option<ActionId>) {
        let pending = self.newest().filter(|newest| newest.is_pending());
        let Some(mut action) = pending.filter(|action| Some(action.id) == id).cloned() else {
            return;
        };
        // It is pending, so it can be.
        let _ = action.cancel(Withdrawn::ByOwner, self.now);
        self.end(action);
    }
}
