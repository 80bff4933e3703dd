//! Schedules: made, changed and deleted at any node; judged and carried out by the owner of the
//! account that their device is part of (`judge`).
//!
//! The rules are `livewatt_domain::schedule`. A schedule is looked at when the clock reaches its next
//! transition, when its device, its Location or its action has changed, and when it has become
//! another.
//!
//! What must stay true:
//! - How a schedule stands, the event that tells of it and the action that follows are one
//!   transaction, at the revision that was read. So whoever looks next, after a crash or at another
//!   node, finds the action of the last look, and makes no second one.
//! - A device has one enabled schedule at most, and none while it is charged smartly: what is enabled
//!   last disables the other.

mod input;
mod judge;

use livewatt_domain::{
    action::Withdrawn,
    device::Device,
    id::{AccountId, ClientId, DeviceId, ScheduleId, UserId},
    partition::Partitions,
    schedule::{Execution, Program, Schedule, ScheduleStatus},
};
use livewatt_store::{Page, PageRequest, ScheduleChange, StoreError, StoredSchedule, UnitOfWork};

pub use self::input::{RuleInput, ScheduleInput};
use crate::{
    Engine, EngineError, EngineResult,
    actions::{MOST_TRIES, is_overtaken, require_control},
    cluster::Letter,
};

/// Schedules that a device can have, the disabled ones among them.
const MOST_PER_DEVICE: usize = 50;

impl Engine {
    /// The schedules of a user, newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_schedules(
        &self,
        client: ClientId,
        user: UserId,
        page: PageRequest,
    ) -> EngineResult<Page<Schedule>> {
        let page = self.store.list_schedules(client, user, page).await?;
        Ok(page.map(|stored| stored.schedule))
    }

    /// A schedule of a client.
    ///
    /// # Errors
    /// [`EngineError::ScheduleNotFound`], or if the database fails.
    pub async fn get_schedule(&self, client: ClientId, id: &str) -> EngineResult<Schedule> {
        Ok(self.stored_schedule(client, id).await?.schedule)
    }

    /// Makes a schedule for a device of a user.
    ///
    /// # Errors
    /// [`EngineError::Invalid`], [`EngineError::UserNotFound`], [`EngineError::ScopeMissing`],
    /// [`EngineError::Precondition`] if the device has too many, or if the database fails.
    pub async fn create_schedule(
        &self,
        client: ClientId,
        user: &UserId,
        input: ScheduleInput,
    ) -> EngineResult<Schedule> {
        self.require_user(client, user).await?;
        let program = input.program(None)?;
        let target = input.target_id.as_deref();
        let target = target.ok_or_else(|| EngineError::invalid("targetId", "is required"))?;
        let is_enabled = input.is_enabled.unwrap_or(true);
        for _ in 0..MOST_TRIES {
            let device = self.target_of(client, user, &program, target).await?;
            require_control(&device)?;
            self.check_places(client, user, &program).await?;
            input::check_reach(&program, &device)?;
            let others = self.store.schedules_of_device(device.id).await?;
            if others.len() >= MOST_PER_DEVICE {
                return Err(EngineError::Precondition {
                    detail: format!("A device can have at most {MOST_PER_DEVICE} schedules."),
                });
            }
            if is_enabled {
                require_alone(&others, None)?;
            }
            let now = self.now();
            let schedule = Schedule {
                id: ScheduleId::new(now, self.entropy.as_ref()),
                client_id: client,
                user_id: user.clone(),
                target_id: device.id,
                is_enabled,
                program: program.clone(),
                created_at: now,
            };
            let mut unit = self.unit_of_schedule(&device)?;
            if is_enabled {
                self.disable_smart(&mut unit, &device).await?;
            }
            unit.schedules
                .push(ScheduleChange::Insert(schedule.clone()));
            match self.commit_schedule(unit, &device).await {
                Err(error) if is_overtaken(&error) => {}
                done => {
                    done?;
                    tracing::info!(schedule.id = %schedule.id, device.id = %device.id, "schedule made");
                    return Ok(schedule);
                }
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Changes a schedule in part.
    ///
    /// # Errors
    /// [`EngineError::Invalid`], [`EngineError::ScheduleNotFound`], [`EngineError::ScopeMissing`],
    /// or if the database fails.
    pub async fn update_schedule(
        &self,
        client: ClientId,
        id: &str,
        input: ScheduleInput,
    ) -> EngineResult<Schedule> {
        for _ in 0..MOST_TRIES {
            let stored = self.stored_schedule(client, id).await?;
            match self.try_update(&stored, &input).await {
                Err(error) if is_overtaken(&error) => {}
                done => return done,
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn try_update(
        &self,
        stored: &StoredSchedule,
        input: &ScheduleInput,
    ) -> EngineResult<Schedule> {
        let before = &stored.schedule;
        let (client, user) = (before.client_id, &before.user_id);
        let program = input.program(Some(before))?;
        let is_enabled = input.is_enabled.unwrap_or(before.is_enabled);
        let target = input.target_id.clone();
        let target = target.unwrap_or_else(|| before.target_id.to_string());
        let device = self.target_of(client, user, &program, &target).await?;
        let schedule = Schedule {
            target_id: device.id,
            is_enabled,
            program,
            ..before.clone()
        };
        if schedule == *before {
            return Ok(schedule);
        }
        let is_moved = schedule.target_id != before.target_id;
        if is_moved {
            require_control(&device)?;
        }
        if is_moved || schedule.program != before.program {
            input::check_reach(&schedule.program, &device)?;
        }
        if schedule.location_id() != before.location_id() {
            self.check_places(client, user, &schedule.program).await?;
        }
        if is_enabled {
            let others = self.store.schedules_of_device(device.id).await?;
            require_alone(&others, Some(schedule.id))?;
        }
        let mut unit = self.unit_of_schedule(&device)?;
        let execution = match is_moved {
            true => {
                self.withdraw_action_of(&mut unit, stored).await?;
                Execution::default()
            }
            false => stored.execution.clone().renewed(self.now()),
        };
        unit.schedules.push(ScheduleChange::Update {
            schedule: schedule.clone(),
            execution,
            from_revision: stored.revision,
        });
        if is_enabled && (is_moved || !before.is_enabled) {
            self.disable_smart(&mut unit, &device).await?;
        }
        self.commit_schedule(unit, &device).await?;
        Ok(schedule)
    }

    /// Deletes a schedule, and withdraws the action that it may have under way.
    ///
    /// # Errors
    /// [`EngineError::ScheduleNotFound`], or if the database fails.
    pub async fn delete_schedule(&self, client: ClientId, id: &str) -> EngineResult<()> {
        for _ in 0..MOST_TRIES {
            let stored = self.stored_schedule(client, id).await?;
            let device = self.store.find_device(client, stored.schedule.target_id);
            // Gone this moment, and its schedules with it.
            let Some(device) = device.await? else {
                continue;
            };
            let mut unit = self.unit_of_schedule(&device)?;
            self.withdraw_action_of(&mut unit, &stored).await?;
            unit.schedules.push(ScheduleChange::Delete {
                schedule: stored.schedule,
                from_revision: stored.revision,
            });
            match self.commit_schedule(unit, &device).await {
                Err(error) if is_overtaken(&error) => {}
                done => return done,
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// How the device of a schedule stands to it.
    ///
    /// # Errors
    /// [`EngineError::ScheduleNotFound`], or if the database fails.
    pub async fn get_schedule_status(
        &self,
        client: ClientId,
        id: &str,
    ) -> EngineResult<ScheduleStatus> {
        let stored = self.stored_schedule(client, id).await?;
        if let Some(status) = stored.execution.status {
            return Ok(status);
        }
        // Its owner has not come to it yet, and will find it so.
        let target = self.store.find_device(client, stored.schedule.target_id);
        let unknown = || unknown(id);
        let device = target.await?.ok_or_else(unknown)?;
        let device = self.presence.overlay(device);
        let looked = self.look_at_schedule(&stored, &device, true).await?;
        looked.execution.status.ok_or_else(unknown)
    }

    async fn stored_schedule(&self, client: ClientId, id: &str) -> EngineResult<StoredSchedule> {
        let wanted: ScheduleId = id.parse().map_err(|_| unknown(id))?;
        let found = self.store.find_schedule(client, wanted).await?;
        found.ok_or_else(|| unknown(id))
    }

    /// The device that a schedule is for: one of its user, of the kind that the program is for.
    async fn target_of(
        &self,
        client: ClientId,
        user: &UserId,
        program: &Program,
        id: &str,
    ) -> EngineResult<Device> {
        let kind = program.target_type();
        match self.get_device(client, kind, id).await {
            Ok(device) if device.user_id == *user => Ok(device),
            Ok(_) | Err(EngineError::DeviceNotFound) => Err(EngineError::invalid(
                "targetId",
                format!("is not the ID of a {kind} of this user"),
            )),
            Err(error) => Err(error),
        }
    }

    async fn check_places(
        &self,
        client: ClientId,
        user: &UserId,
        program: &Program,
    ) -> EngineResult<()> {
        match program {
            Program::Charge(program) => {
                self.check_location(client, user, program.location_id).await
            }
            Program::Temperature(_) => Ok(()),
        }
    }

    /// A unit of work about a schedule of a device, whose owner is told.
    fn unit_of_schedule(&self, device: &Device) -> EngineResult<UnitOfWork> {
        let (account, device) = (device.account_id, device.id);
        self.unit_about(account, &Letter::Scheduled { account, device })
    }

    /// Commits what is written of a schedule, and has its device seen to.
    async fn commit_schedule(&self, unit: UnitOfWork, device: &Device) -> EngineResult<()> {
        let is_device_written = !unit.devices.is_empty();
        self.commit(device.client_id, unit).await?;
        if is_device_written {
            self.presence.forget(device.id);
        }
        self.look_after(device.account_id, device.id);
        Ok(())
    }

    /// Adds to a unit of work that no schedule drives a device any more: something else comes to. Once
    /// that is committed, the device is to be looked after ([`Engine::look_after`]).
    pub(crate) async fn disable_schedules(
        &self,
        unit: &mut UnitOfWork,
        device: &Device,
    ) -> EngineResult<()> {
        let stored = self.store.schedules_of_device(device.id).await?;
        let enabled = stored.into_iter().filter(|one| one.schedule.is_enabled);
        unit.schedules
            .extend(enabled.map(|stored| ScheduleChange::Update {
                schedule: Schedule {
                    is_enabled: false,
                    ..stored.schedule
                },
                execution: stored.execution,
                from_revision: stored.revision,
            }));
        Ok(())
    }

    /// Adds to a unit of work that the pending action of a schedule, if it has one, is not wanted any
    /// more.
    pub(super) async fn withdraw_action_of(
        &self,
        unit: &mut UnitOfWork,
        stored: &StoredSchedule,
    ) -> EngineResult<()> {
        if let Some(before) = self.newest_action_of(stored).await? {
            let mut action = before.action.clone();
            if action.cancel(Withdrawn::ByOwner, self.now()).is_ok() {
                self.put_action(unit, &before, action);
            }
        }
        Ok(())
    }

    /// The schedules of a device are to be judged, and an action of theirs that was withdrawn to be seen
    /// to, if the device is this node's; else its owner has a letter.
    pub(crate) fn look_after(&self, account: AccountId, device: DeviceId) {
        if self.owns(account) {
            self.schedules.tell(account, device, self.now());
            self.see_to(account, device);
        }
    }

    /// Takes over the schedules of partitions.
    pub(crate) async fn load_schedules(&self, of: &Partitions) -> EngineResult<()> {
        self.schedules.arrive(of);
        for (account, device) in self.store.scheduled_devices(*of).await? {
            self.schedules.tell(account, device, self.now());
        }
        Ok(())
    }
}

/// No other schedule of a device may be enabled than the one with this ID.
fn require_alone(of_device: &[StoredSchedule], but: Option<ScheduleId>) -> EngineResult<()> {
    let mut others = of_device.iter().map(|stored| &stored.schedule);
    match others.find(|other| other.is_enabled && Some(other.id) != but) {
        None => Ok(()),
        Some(other) => Err(EngineError::invalid(
            "targetId",
            format!(
                "has another enabled schedule, {}; disable it first",
                other.id
            ),
        )),
    }
}

fn unknown(id: &str) -> EngineError {
    EngineError::ScheduleNotFound(id.chars().take(64).collect())
}
