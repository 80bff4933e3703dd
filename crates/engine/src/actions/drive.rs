//! Carrying actions out: a step that looks which devices are due and sees to each.
//!
//! A step may be repeated or cut off at any point: what was sent, and when, is stored before it is
//! sent, and whoever comes next goes on from there.

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use livewatt_domain::{
    SignedDuration, Timestamp,
    account::{Account, AccountStatus, Trigger},
    action::{Action, Next, SendOutcome, Timing, Withdrawn},
    device::Device,
    id::{AccountId, DeviceId},
};
use livewatt_store::{ActionChange, PendingOf, StoredAction, UnitOfWork};
use livewatt_vendors::vendor::SharedVendor;

use super::{MOST_TRIES, is_overtaken, watch::Again};
use crate::{Engine, EngineResult, cluster::Letter, error::chain};

/// When a device is read after a command: most react within seconds.
const LOOKS: [SignedDuration; 5] = [
    SignedDuration::from_secs(3),
    SignedDuration::from_secs(8),
    SignedDuration::from_secs(15),
    SignedDuration::from_secs(30),
    SignedDuration::from_secs(60),
];
/// When it is tried again after a failure of ours.
pub(crate) const PAUSE: SignedDuration = SignedDuration::from_secs(5);
/// Devices that a step of the tests sees to at the same time.
pub(crate) const STEP_PARALLELISM: usize = 16;

impl Engine {
    /// Sees to every device that is due now, and waits for all of them; returns how many. The running
    /// server does the same without waiting ([`crate::runtime`]).
    pub async fn act_due(self: &Arc<Self>) -> usize {
        let due = self.take_due_actions();
        let count = due.len();
        stream::iter(due)
            .for_each_concurrent(STEP_PARALLELISM, |(account, device, is_look)| async move {
                self.run_action(account, device, is_look).await;
            })
            .await;
        count
    }

    /// The devices that are due; none while the leases are in doubt.
    pub(crate) fn take_due_actions(&self) -> Vec<(AccountId, DeviceId, bool)> {
        match self.ownership.is_valid() {
            true => self.actions.take_due(self.now()),
            false => Vec::new(),
        }
    }

    /// When the next device is to be seen to.
    pub fn next_action_at(&self) -> Option<Timestamp> {
        self.actions.next_due()
    }

    /// Sees to a device that was taken, and says when it is due again, whatever happens.
    pub(crate) async fn run_action(&self, account: AccountId, device: DeviceId, is_look: bool) {
        if is_look {
            self.look_at(account, device).await;
        }
        let again = match self.drive(account, device).await {
            Ok(again) => again,
            Err(error) => {
                tracing::warn!(device.id = %device, error = %chain(&error), "an action is seen to a little later");
                let at = self.now().saturating_add(PAUSE).unwrap_or(self.now());
                Some(Again { at, look_at: None })
            }
        };
        self.actions.finish(account, device, again, self.now());
    }

    /// Has a device read now, to see what became of a command, before another is sent.
    async fn look_at(&self, account: AccountId, device: DeviceId) {
        if self.fleet.read_soon(account, device, self.now()) {
            self.poll_account(account, Trigger::RefreshHint).await;
        } else {
            self.ask_station_how_it_is(account, device).await;
        }
    }

    /// Takes the pending action of a device one step on; `None` if it has none any more.
    async fn drive(&self, account: AccountId, device: DeviceId) -> EngineResult<Option<Again>> {
        for _ in 0..MOST_TRIES {
            let pending = self.store.pending_actions(PendingOf::Device(device));
            let Some(stored) = pending.await?.pop() else {
                return Ok(None);
            };
            if stored.account_id != account {
                // It hangs on another account since.
                self.see_to(stored.account_id, device);
                return Ok(None);
            }
            match self.drive_once(stored).await {
                Err(error) if is_overtaken(&error) && self.owns(account) => {}
                done => return done,
            }
        }
        Ok(Some(self.at_once()))
    }

    async fn drive_once(&self, stored: StoredAction) -> EngineResult<Option<Again>> {
        let mut action = stored.action.clone();
        let now = self.now();
        let device = self
            .store
            .find_device(action.client_id, action.device_id)
            .await?
            .map(|device| self.presence.overlay(device));
        let found = self.store.find_account(stored.account_id).await?;
        let (Some(device), Some((account, _))) = (device, found) else {
            // It is pending, so it can be.
            let _ = action.cancel(Withdrawn::DeviceGone, now);
            self.save_action(&stored, action).await?;
            return Ok(None);
        };
        if device.account_id != stored.account_id {
            self.move_action(&stored, device.account_id).await?;
            return Ok(None);
        }
        let vendor = self.vendors.get(&account.integration).cloned();
        let (AccountStatus::Active, Some(vendor)) = (account.status, vendor) else {
            let what = "the vendor no longer accepts the user's sign-in".to_owned();
            action.answered(SendOutcome::Refused(what), now);
            self.save_action(&stored, action).await?;
            return Ok(None);
        };
        if action.observed(&device, now) {
            self.save_action(&stored, action).await?;
            return Ok(None);
        }
        let timing = vendor.manifest().actions.clone();
        match action.next(&timing, now) {
            Next::Over => Ok(None),
            Next::Close => {
                action.close(Some(&device), now);
                self.save_action(&stored, action).await?;
                Ok(None)
            }
            Next::Wait(until) => Ok(Some(again(&action, &timing, until, now))),
            Next::Send => self.send_action(stored, &account, &vendor, &device).await,
        }
    }

    /// Sends the command of an action, noting before and after that it does.
    async fn send_action(
        &self,
        stored: StoredAction,
        account: &Account,
        vendor: &SharedVendor,
        device: &Device,
    ) -> EngineResult<Option<Again>> {
        let timing = &vendor.manifest().actions;
        let mut action = stored.action.clone();
        let now = self.now();
        let integration = vendor.manifest().id;
        if let Some(until) = self.breakers.blocked_until(integration, now) {
            let until = until.max(now.saturating_add(PAUSE).unwrap_or(now));
            return Ok(Some(again(
                &action,
                timing,
                until.min(action.closes_at),
                now,
            )));
        }
        action.sending(now);
        let noted = self.save_action(&stored, action.clone()).await;
        if noted.is_err() {
            self.breakers.note_nothing(integration);
        }
        noted?;
        let outcome = self.command(account, vendor, device, &action.target).await;
        let outcome = outcome.unwrap_or_else(|error| {
            tracing::warn!(action.id = %action.id, error = %chain(&error), "a command was not sent");
            SendOutcome::Failed("the command could not be sent".to_owned())
        });
        let now = self.now();
        let sending = StoredAction {
            revision: stored.revision + 1,
            action,
            account_id: stored.account_id,
        };
        let mut action = sending.action.clone();
        action.answered(outcome.clone(), now);
        match self.save_action(&sending, action.clone()).await {
            Ok(()) => {}
            Err(error) if is_overtaken(&error) => {
                self.note_answered(&action, outcome).await?;
                self.release_next(device.id).await?;
                return Ok(Some(self.at_once()));
            }
            Err(error) => return Err(error),
        }
        Ok(match action.next(timing, now) {
            Next::Over => None,
            Next::Wait(until) => Some(again(&action, timing, until, now)),
            Next::Send | Next::Close => Some(self.at_once()),
        })
    }

    /// While a command was under way its action became something else: it was answered all the same.
    async fn note_answered(&self, action: &Action, outcome: SendOutcome) -> EngineResult<()> {
        for _ in 0..MOST_TRIES {
            let found = self.store.find_action(action.client_id, action.id).await?;
            let Some(stored) = found else {
                return Ok(());
            };
            let mut action = stored.action.clone();
            if !action.answered(outcome.clone(), self.now()) {
                return Ok(());
            }
            match self.save_action(&stored, action).await {
                Err(error) if error.is_conflict() => {}
                done => return done,
            }
        }
        Ok(())
    }

    /// While a command was under way its action ended; one that came after it need not wait any
    /// longer.
    async fn release_next(&self, device: DeviceId) -> EngineResult<()> {
        for _ in 0..MOST_TRIES {
            let pending = self.store.pending_actions(PendingOf::Device(device));
            let Some(stored) = pending.await?.pop() else {
                return Ok(());
            };
            let mut action = stored.action.clone();
            action.released();
            if action == stored.action {
                return Ok(());
            }
            match self.save_action(&stored, action).await {
                Err(error) if error.is_conflict() => {}
                done => return done,
            }
        }
        Ok(())
    }

    /// Stores what an action has become.
    async fn save_action(&self, before: &StoredAction, action: Action) -> EngineResult<()> {
        let client = action.client_id;
        if before.action.is_pending() && !action.is_pending() {
            tracing::info!(
                action.id = %action.id, device.id = %action.device_id, state = ?action.state,
                "action ended"
            );
        }
        let (account, device) = (before.account_id, action.device_id);
        let is_over = !action.is_pending();
        let mut unit = UnitOfWork::new(Some(self.own_fence(account)?));
        self.put_action(&mut unit, before, action);
        self.commit(client, unit).await?;
        self.schedules.remind(account, device, self.now());
        if is_over {
            self.smart.remind(account, device, self.now());
        }
        Ok(())
    }

    /// The device of an action hangs on another account since, whose owner goes on.
    async fn move_action(&self, stored: &StoredAction, account: AccountId) -> EngineResult<()> {
        let device = stored.action.device_id;
        let mut unit = self.unit_about(account, &Letter::Acted { account, device })?;
        unit.actions.push(ActionChange::Update {
            action: stored.action.clone(),
            account_id: account,
            from_revision: stored.revision,
        });
        self.commit(stored.action.client_id, unit).await?;
        self.see_to(account, device);
        Ok(())
    }

    fn at_once(&self) -> Again {
        Again {
            at: self.now(),
            look_at: None,
        }
    }
}

/// When an action is to be seen to again, if nothing is to be sent before `until`: then, or when its
/// device is to be read.
fn again(action: &Action, timing: &Timing, until: Timestamp, now: Timestamp) -> Again {
    let look_at = next_look(action, timing, now).filter(|at| *at <= until);
    Again {
        at: look_at.unwrap_or(until),
        look_at,
    }
}

/// When the device of an action is read next; `None` before anything was sent.
fn next_look(action: &Action, timing: &Timing, now: Timestamp) -> Option<Timestamp> {
    let sent_at = action.sends.last_at?;
    let after = |span: SignedDuration| sent_at.saturating_add(span).ok();
    let soon = LOOKS.into_iter().filter_map(after).find(|at| *at > now);
    let since = now.duration_since(sent_at).as_secs().max(0);
    let every = i64::from(timing.read_every_secs.max(1));
    let later = || after(SignedDuration::from_secs((since / every + 1) * every));
    soon.or_else(later)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_read_soon_after_a_command_and_then_now_and_then() {
        let at = |second| Timestamp::constant(second, 0);
        let mut action = crate::actions::send::tests::action(at(1_000));
        let timing = Timing {
            read_every_secs: 60,
            ..Timing::default()
        };
        let look = |action: &Action, second| next_look(action, &timing, at(second));
        assert_eq!(look(&action, 1_000), None);
        assert!(action.sending(at(1_000)));
        let mut now = 1_000;
        let mut looks = Vec::new();
        while looks.len() < 7 {
            now = look(&action, now).unwrap().as_second();
            looks.push(now - 1_000);
        }
        assert_eq!(looks, [3, 8, 15, 30, 60, 120, 180]);
        let next = again(&action, &timing, at(1_005), at(1_003));
        assert_eq!((next.at, next.look_at), (at(1_005), None));
        let next = again(&action, &timing, at(1_090), at(1_003));
        assert_eq!((next.at, next.look_at), (at(1_008), Some(at(1_008))));
    }
}
