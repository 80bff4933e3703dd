//! What is held of an account and its devices between two fetches.

use livewatt_domain::{
    SignedDuration, Timestamp,
    account::{Attempt, Trigger},
    cadence::{Activity, CadenceReason, target},
    device::VendorDevice,
    id::DeviceId,
    kind::DeviceKind,
};
use livewatt_vendors::ReadShape;

/// What is held of an account.
#[derive(Debug, Clone)]
pub(crate) struct AccountSlot {
    pub integration: &'static str,
    pub shape: ReadShape,
    pub devices: Vec<DeviceSlot>,
    /// When it is next fetched; `None` while it is not polled.
    pub due_at: Option<Timestamp>,
    /// What sets off the next fetch.
    pub trigger: Trigger,
    pub is_running: bool,
    /// Failures in a row.
    pub failures: u32,
    /// The vendor, or a budget, permits nothing before this.
    pub not_before: Option<Timestamp>,
    /// Newest first.
    pub attempts: Vec<Attempt>,
    pub listed_at: Option<Timestamp>,
    pub wants_listing: bool,
    pub pushed_at: Option<Timestamp>,
    /// Arrival of the newest pushed observation.
    pub arrived_at: Option<Timestamp>,
}

/// What is held of a device.
#[derive(Debug, Clone)]
pub(crate) struct DeviceSlot {
    pub id: DeviceId,
    pub vendor_device: VendorDevice,
    pub activity: Activity,
    pub interval: SignedDuration,
    pub reason: CadenceReason,
    /// Its own due time; the account's is the earliest of them.
    pub due_at: Option<Timestamp>,
    /// Of the newest fetched observation; an equal one needs no merge.
    pub fingerprint: Option<u64>,
    /// When a fetch last confirmed all of it.
    pub confirmed_at: Option<Timestamp>,
    pub hinted_at: Option<Timestamp>,
}

/// A device's schedule, for people to read.
#[derive(Debug, Clone)]
pub(crate) struct SlotView {
    pub activity: Activity,
    pub interval: SignedDuration,
    pub reason: CadenceReason,
    pub due_at: Option<Timestamp>,
    pub confirmed_at: Option<Timestamp>,
    pub not_before: Option<Timestamp>,
    pub failures: u32,
    pub attempts: Vec<Attempt>,
}

impl Default for SlotView {
    fn default() -> Self {
        Self {
            activity: Activity::Regular,
            interval: target(DeviceKind::Vehicle, Activity::Regular),
            reason: CadenceReason::Regular,
            due_at: None,
            confirmed_at: None,
            not_before: None,
            failures: 0,
            attempts: Vec::new(),
        }
    }
}

impl AccountSlot {
    /// Devices due at `now`. Those due within the next tenth of their interval come along, so that
    /// an account is not visited for each of its devices apart.
    pub(super) fn due_devices(&self, now: Timestamp) -> Vec<VendorDevice> {
        self.devices
            .iter()
            .filter(|device| {
                let slack = device.interval / 10;
                device
                    .due_at
                    .is_none_or(|at| now.saturating_add(slack).is_ok_and(|soon| at <= soon))
            })
            .map(|device| device.vendor_device.clone())
            .collect()
    }

    pub(super) fn hint(
        &mut self,
        device: DeviceId,
        now: Timestamp,
        coalesce: SignedDuration,
    ) -> bool {
        let is_backing_off = self.failures > 0 || self.not_before.is_some_and(|at| at > now);
        if self.due_at.is_none() || is_backing_off || self.shape == ReadShape::PushOnly {
            return false;
        }
        let Some(slot) = self.devices.iter_mut().find(|slot| slot.id == device) else {
            return false;
        };
        // A clock that was set back must not silence hints for longer than the interval.
        if slot
            .hinted_at
            .is_some_and(|at| now.duration_since(at).abs() < coalesce)
        {
            return false;
        }
        slot.hinted_at = Some(now);
        slot.due_at = Some(now);
        self.due_at = Some(now);
        self.trigger = Trigger::RefreshHint;
        true
    }

    pub(super) fn view(&self, device: DeviceId) -> SlotView {
        let found = self.devices.iter().find(|slot| slot.id == device);
        let base = SlotView {
            due_at: self.due_at,
            not_before: self.not_before,
            failures: self.failures,
            attempts: self.attempts.clone(),
            ..SlotView::default()
        };
        match found {
            None => base,
            Some(slot) => SlotView {
                activity: slot.activity,
                interval: slot.interval,
                reason: slot.reason,
                confirmed_at: slot.confirmed_at,
                // While backing off the account's own time counts, not the device's wish.
                due_at: slot.due_at.max(self.due_at),
                ..base
            },
        }
    }

    /// The slot of a device as its vendor calls it.
    pub(crate) fn device(&mut self, vendor_device: &VendorDevice) -> Option<&mut DeviceSlot> {
        self.devices
            .iter_mut()
            .find(|slot| slot.vendor_device == *vendor_device)
    }
}
