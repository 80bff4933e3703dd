//! Carrying schedules out: a step that looks which devices are due and judges the schedules of each.
//!
//! A step may be repeated or cut off at any point: what came of a look is stored with the action that
//! followed, and whoever comes next goes on from there.

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use livewatt_domain::{
    SignedDuration, Timestamp,
    account::{Account, AccountStatus},
    action::{Action, Created, NewAction, Owner, Target, create},
    device::Device,
    id::{AccountId, ActionId, DeviceId, LocationId},
    kind::DeviceKind,
    location::of_document,
    schedule::{Look, Looked, RETRY_EVERY},
    zone::Zone,
};
use livewatt_store::{ActionChange, ScheduleChange, StoredAction, StoredSchedule, UnitOfWork};

use crate::{
    Engine, EngineResult,
    actions::{Again, MOST_TRIES, is_overtaken},
    cluster::Letter,
    error::chain,
};

/// When it is tried again after a failure of ours.
const PAUSE: SignedDuration = SignedDuration::from_secs(5);
/// What never wants anything else is judged so often, beside when something happens.
const NAP: SignedDuration = SignedDuration::from_hours(24);
/// Devices that a step of the tests judges at the same time.
const STEP_PARALLELISM: usize = 16;

impl Engine {
    /// Judges the schedules of every device that is due now, and waits for all of them; returns how
    /// many devices. The running server does the same without waiting ([`crate::runtime`]).
    pub async fn schedules_due(self: &Arc<Self>) -> usize {
        let due = self.take_due_schedules();
        let count = due.len();
        stream::iter(due)
            .for_each_concurrent(STEP_PARALLELISM, |(account, device)| async move {
                self.run_schedules(account, device).await;
            })
            .await;
        count
    }

    /// The devices that are due; none while the leases are in doubt.
    pub(crate) fn take_due_schedules(&self) -> Vec<(AccountId, DeviceId)> {
        if !self.ownership.is_valid() {
            return Vec::new();
        }
        let due = self.schedules.take_due(self.now()).into_iter();
        due.map(|(account, device, _)| (account, device)).collect()
    }

    /// When the next schedules are to be judged.
    pub fn next_schedule_at(&self) -> Option<Timestamp> {
        self.schedules.next_due()
    }

    /// Judges the schedules of a device that was taken, and says when it is due again, whatever
    /// happens.
    pub(crate) async fn run_schedules(&self, account: AccountId, device: DeviceId) {
        let again = match self.judge_device(account, device).await {
            Ok(again) => again,
            Err(error) if error.is_fenced() => None,
            Err(error) => {
                tracing::warn!(device.id = %device, error = %chain(&error), "schedules are judged a little later");
                let at = self.now().saturating_add(PAUSE).unwrap_or(self.now());
                Some(at)
            }
        };
        let again = again.map(|at| Again { at, look_at: None });
        self.schedules.finish(account, device, again, self.now());
    }

    /// Judges the schedules of a device; when to do so again, `None` if it has none any more.
    async fn judge_device(
        &self,
        account: AccountId,
        device: DeviceId,
    ) -> EngineResult<Option<Timestamp>> {
        for _ in 0..MOST_TRIES {
            match self.try_judge(account, device).await {
                Err(error) if is_overtaken(&error) && self.owns(account) => {}
                done => return done,
            }
        }
        Ok(Some(self.now()))
    }

    async fn try_judge(&self, id: AccountId, device: DeviceId) -> EngineResult<Option<Timestamp>> {
        // What is read of the device must not be older than what a merge commits meanwhile.
        let _guard = self.fleet.lock_for_commit(id).await;
        let schedules = self.store.schedules_of_device(device).await?;
        let Some(first) = schedules.first() else {
            return Ok(None);
        };
        let found = self.store.find_device(first.schedule.client_id, device);
        let Some(device) = found.await? else {
            return Ok(None);
        };
        if device.account_id != id {
            // It hangs on another account since, whose owner goes on.
            let (account, device) = (device.account_id, device.id);
            if self.membership.is_some() && !self.owns(account) {
                let letter = Letter::Scheduled { account, device };
                self.leave_letter(&letter).await?;
            }
            self.look_after(account, device);
            return Ok(None);
        }
        let device = self.presence.overlay(device);
        let Some((account, _)) = self.store.find_account(id).await? else {
            return Ok(None);
        };
        if account.status == AccountStatus::Deauthorized {
            // Silent until it is linked again, and then it is due.
            return Ok(Some(self.later(RETRY_EVERY)));
        }
        let mut again = None;
        for stored in schedules {
            let look_again_at = self.judge_one(&account, &device, stored).await?;
            again = [again, look_again_at].into_iter().flatten().min();
        }
        Ok(again.or_else(|| Some(self.later(NAP))))
    }

    /// Judges a schedule and commits what follows; when to look again.
    async fn judge_one(
        &self,
        account: &Account,
        device: &Device,
        stored: StoredSchedule,
    ) -> EngineResult<Option<Timestamp>> {
        let is_linked = account.status == AccountStatus::Active;
        let mut looked = self.look_at_schedule(&stored, device, is_linked).await?;
        let client = device.client_id;
        let mut unit = UnitOfWork::new(Some(self.own_fence(account.id)?));
        if looked.withdraw {
            self.withdraw_action_of(&mut unit, &stored).await?;
        }
        if let Some(target) = looked.act {
            let made = self.order(&mut unit, account, device, &stored, target);
            match made.await? {
                Some(action) => looked.execution.acted(&action),
                None => looked = self.look_at_schedule(&stored, device, false).await?,
            }
        }
        let before = stored.execution.status.as_ref();
        if let Some(status) = &looked.execution.status {
            let maker = self.event_maker(self.now());
            unit.events
                .extend(maker.schedule_executed(&stored.schedule, status, before));
        }
        if looked.execution != stored.execution {
            unit.schedules.push(ScheduleChange::Update {
                schedule: stored.schedule.clone(),
                execution: looked.execution,
                from_revision: stored.revision,
            });
        }
        let has_acted = !unit.actions.is_empty();
        self.commit(client, unit).await?;
        if has_acted {
            self.actions.tell(account.id, device.id, self.now());
        }
        Ok(looked.look_again_at)
    }

    /// Looks at a schedule as things stand; changes nothing.
    pub(super) async fn look_at_schedule(
        &self,
        stored: &StoredSchedule,
        device: &Device,
        may_act: bool,
    ) -> EngineResult<Looked> {
        let action = self.newest_action_of(stored).await?;
        let location_id = of_document(&device.document);
        let clock_of = match device.kind() {
            DeviceKind::Hvac => location_id,
            _ => stored.schedule.location_id(),
        };
        let zone = self.zone_of(device, clock_of).await?;
        let smart = self.store.find_smart(device.id).await?;
        let smart_override = smart.and_then(|stored| stored.smart.smart_override);
        let look = Look {
            device,
            location_id,
            smart_override,
            action: action.as_ref().map(|stored| &stored.action),
            zone: &zone,
            may_act,
            now: self.now(),
        };
        Ok(stored.schedule.look(&stored.execution, &look))
    }

    /// The newest action of a schedule, unless it is forgotten.
    pub(super) async fn newest_action_of(
        &self,
        stored: &StoredSchedule,
    ) -> EngineResult<Option<StoredAction>> {
        match stored.execution.last_action {
            Some(id) => Ok(self
                .store
                .find_action(stored.schedule.client_id, id)
                .await?),
            None => Ok(None),
        }
    }

    /// The zone of a Location; UTC where there is none (any more).
    async fn zone_of(&self, device: &Device, place: Option<LocationId>) -> EngineResult<Zone> {
        let Some(id) = place else {
            return Ok(Zone::UTC);
        };
        let found = self.store.find_location(device.client_id, id).await?;
        Ok(found.map_or(Zone::UTC, |location| location.zone))
    }

    /// Adds an action of a schedule to a unit of work, or finds the one that is pending for the same;
    /// `None` if it cannot come true.
    async fn order(
        &self,
        unit: &mut UnitOfWork,
        account: &Account,
        device: &Device,
        stored: &StoredSchedule,
        target: Target,
    ) -> EngineResult<Option<Action>> {
        let Some(vendor) = self.vendors.get(&account.integration) else {
            return Ok(None);
        };
        let now = self.now();
        let new = NewAction {
            id: ActionId::new(now, self.entropy.as_ref()),
            target,
            owner: Owner::Schedule(stored.schedule.id),
        };
        let last = self.store.newest_action(device.id).await?;
        let before = last.as_ref().map(|stored| &stored.action);
        let timing = &vendor.manifest().actions;
        let created = match create(new, device, before, None, timing, now) {
            Ok(created) => created,
            Err(refusal) => {
                tracing::debug!(schedule.id = %stored.schedule.id, %refusal, "an action was refused");
                return Ok(None);
            }
        };
        let (action, replaced) = match (created, last) {
            (Created::Reused, last) => return Ok(last.map(|pending| pending.action)),
            (Created::New { action, replaced }, last) => (*action, replaced.zip(last)),
        };
        if let Some((replaced, last)) = replaced {
            self.put_action(unit, &last, *replaced);
        }
        let maker = self.event_maker(now);
        unit.events.extend(maker.action_updated(&action, None));
        unit.actions.push(ActionChange::Insert {
            action: action.clone(),
            account_id: account.id,
        });
        tracing::info!(
            action.id = %action.id, schedule.id = %stored.schedule.id, device.id = %device.id,
            "action made by a schedule"
        );
        Ok(Some(action))
    }
}
