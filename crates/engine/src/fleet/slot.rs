//! What is held of an account and its devices between two fetches. A fleet has millions of these,
//! so every field is as small as it can be: one account with one device takes some 400 bytes, the
//! maps around it and the ages of its blocks included.

use std::num::NonZeroU64;

use livewatt_domain::{
    SignedDuration, Timestamp,
    account::{AccountSchedule, Attempt, AttemptOutcome, Trigger},
    age::Second,
    cadence::{Activity, Cadence, CadenceReason, target},
    device::VendorDevice,
    id::{ClientId, DeviceId},
    kind::DeviceKind,
};
use livewatt_vendors::ReadShape;

use super::{ages::DeviceAges, moment::Moment};

/// What is held of an account.
#[derive(Debug, Clone)]
pub(crate) struct AccountSlot {
    pub client: ClientId,
    /// Its partition.
    pub partition: u16,
    pub integration: &'static str,
    pub shape: ReadShape,
    pub devices: Vec<DeviceSlot>,
    /// When it is next fetched; `None` while it is not polled.
    pub due_at: Option<Moment>,
    /// What sets off the next fetch.
    pub trigger: Trigger,
    pub is_running: bool,
    pub wants_listing: bool,
    /// Failures in a row.
    pub failures: u32,
    /// The vendor, or a budget, permits nothing before this.
    pub not_before: Option<Moment>,
    pub attempts: Attempts,
    pub listed_at: Option<Moment>,
    pub pushed_at: Option<Moment>,
    /// Arrival of the newest pushed observation.
    pub arrived_at: Option<Moment>,
    /// When its ages are next looked at: not after the first of them becomes too great.
    pub look_at: Option<Second>,
}

/// What is held of a device.
#[derive(Debug, Clone)]
pub(crate) struct DeviceSlot {
    pub id: DeviceId,
    kind: DeviceKind,
    /// The vendor's identifier; with the kind it names the device at its vendor.
    vendor_id: Box<str>,
    pub activity: Activity,
    pub reason: CadenceReason,
    interval_seconds: u32,
    /// Its own due time; the account's is the earliest of them.
    pub due_at: Option<Moment>,
    /// Of the newest fetched observation; an equal one needs no merge.
    fingerprint: Option<NonZeroU64>,
    /// When a fetch last confirmed all of it.
    pub confirmed_at: Option<Moment>,
    pub hinted_at: Option<Moment>,
    pub ages: DeviceAges,
}

/// The newest attempts to fetch an account, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attempts([Option<CompactAttempt>; AccountSchedule::KEPT_ATTEMPTS]);

#[derive(Debug, Clone, Copy)]
struct CompactAttempt {
    at: Moment,
    duration_ms: u32,
    trigger: Trigger,
    outcome: AttemptOutcome,
}

impl Attempts {
    /// Remembers an attempt and forgets the oldest.
    pub(crate) fn note(&mut self, attempt: &Attempt) {
        self.0.rotate_left(1);
        if let Some(last) = self.0.last_mut() {
            *last = Some(CompactAttempt {
                at: attempt.at.into(),
                duration_ms: u32::try_from(attempt.duration_ms).unwrap_or(u32::MAX),
                trigger: attempt.trigger,
                outcome: attempt.outcome,
            });
        }
    }

    /// The newest: when it began and how it ended.
    pub(crate) fn last(&self) -> Option<(Moment, AttemptOutcome)> {
        let last = self.0.last().copied().flatten();
        last.map(|attempt| (attempt.at, attempt.outcome))
    }

    /// Newest first.
    pub(crate) fn to_vec(&self) -> Vec<Attempt> {
        let newest_first = self.0.iter().rev().flatten();
        newest_first
            .map(|attempt| Attempt {
                at: attempt.at.into(),
                trigger: attempt.trigger,
                outcome: attempt.outcome,
                duration_ms: attempt.duration_ms.into(),
            })
            .collect()
    }
}

impl FromIterator<Attempt> for Attempts {
    /// From the newest first.
    fn from_iter<I: IntoIterator<Item = Attempt>>(newest_first: I) -> Self {
        let mut attempts = Self::default();
        let kept: Vec<_> = newest_first.into_iter().collect();
        kept.iter().rev().for_each(|attempt| attempts.note(attempt));
        attempts
    }
}

/// A device's schedule, for people to read.
#[derive(Debug, Clone)]
pub(crate) struct SlotView {
    pub activity: Activity,
    pub interval: SignedDuration,
    pub reason: CadenceReason,
    pub due_at: Option<Timestamp>,
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
            not_before: None,
            failures: 0,
            attempts: Vec::new(),
        }
    }
}

impl DeviceSlot {
    /// A device known by name only.
    pub(crate) fn new(id: DeviceId, vendor_device: VendorDevice) -> Self {
        let VendorDevice {
            kind,
            id: vendor_id,
        } = vendor_device;
        let mut slot = Self {
            id,
            kind,
            vendor_id: vendor_id.into_boxed_str(),
            activity: Activity::Regular,
            reason: CadenceReason::Regular,
            interval_seconds: 0,
            due_at: None,
            fingerprint: None,
            confirmed_at: None,
            hinted_at: None,
            ages: DeviceAges::default(),
        };
        slot.set_interval(target(kind, Activity::Regular));
        slot
    }

    /// What kind of device it is.
    pub(crate) const fn kind(&self) -> DeviceKind {
        self.kind
    }

    /// What its vendor calls it.
    pub(crate) fn vendor_device(&self) -> VendorDevice {
        VendorDevice {
            kind: self.kind,
            id: self.vendor_id.to_string(),
        }
    }

    /// Whether this is what its vendor calls it.
    pub(crate) fn is(&self, vendor_device: &VendorDevice) -> bool {
        self.kind == vendor_device.kind && *self.vendor_id == *vendor_device.id
    }

    /// Time between two fetches, before jitter.
    pub(crate) const fn interval(&self) -> SignedDuration {
        SignedDuration::from_secs(self.interval_seconds as i64)
    }

    /// How often it is fetched, and why.
    pub(crate) const fn cadence(&self) -> Cadence {
        Cadence {
            interval: self.interval(),
            reason: self.reason,
        }
    }

    /// Sets how often it is fetched, and why.
    pub(crate) fn set_cadence(&mut self, cadence: Cadence) {
        self.reason = cadence.reason;
        self.set_interval(cadence.interval);
    }

    fn set_interval(&mut self, interval: SignedDuration) {
        // Rounded up: never more often than permitted.
        let seconds = interval.as_secs() + i64::from(interval.subsec_nanos() > 0);
        self.interval_seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    }

    /// Remembers what a fetch said; `None` if nobody knows.
    pub(crate) fn set_fingerprint(&mut self, fingerprint: Option<u64>) {
        self.fingerprint = fingerprint.map(compact);
    }

    /// Whether the newest fetch said just this.
    pub(crate) fn has_fingerprint(&self, fingerprint: u64) -> bool {
        self.fingerprint == Some(compact(fingerprint))
    }
}

/// A fingerprint that is never zero; two of 2⁶⁴ become one.
const fn compact(fingerprint: u64) -> NonZeroU64 {
    match NonZeroU64::new(fingerprint) {
        Some(fingerprint) => fingerprint,
        None => NonZeroU64::MIN,
    }
}

/// Where in a list the first one `is_it`, looking from `near` on and then from the start; `near`
/// becomes the place behind it. Vendors tell of devices in the same order each time: so a thousand
/// are found in one round.
pub(crate) fn place_near<T>(
    list: &[T],
    near: &mut usize,
    is_it: impl Fn(&T) -> bool,
) -> Option<usize> {
    let (before, after) = list.split_at((*near).min(list.len()));
    let place = match after.iter().position(&is_it) {
        Some(place) => before.len() + place,
        None => before.iter().position(is_it)?,
    };
    *near = place + 1;
    Some(place)
}

impl AccountSlot {
    /// What a fetch at `now` asks about: where each device is asked by itself, those that are due.
    /// Devices due within the next tenth of their interval come along, so that an account is not
    /// visited for each of its devices apart.
    pub(super) fn devices_to_ask(&self, now: Moment) -> Vec<VendorDevice> {
        let is_due = |device: &&DeviceSlot| {
            let soon = now.plus(device.interval() / 10);
            self.shape != ReadShape::PerDevice || device.due_at.is_none_or(|at| at <= soon)
        };
        self.devices
            .iter()
            .filter(is_due)
            .map(DeviceSlot::vendor_device)
            .collect()
    }

    pub(super) fn hint(&mut self, device: DeviceId, now: Moment, coalesce: SignedDuration) -> bool {
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
            .is_some_and(|at| now.since(at).abs() < coalesce)
        {
            return false;
        }
        slot.hinted_at = Some(now);
        slot.due_at = Some(now);
        self.due_at = Some(now);
        self.trigger = Trigger::RefreshHint;
        true
    }

    pub(crate) fn view(&self, device: DeviceId) -> SlotView {
        let found = self.devices.iter().find(|slot| slot.id == device);
        let base = SlotView {
            due_at: self.due_at.map(Into::into),
            not_before: self.not_before.map(Into::into),
            failures: self.failures,
            attempts: self.attempts.to_vec(),
            ..SlotView::default()
        };
        match found {
            None => base,
            Some(slot) => SlotView {
                activity: slot.activity,
                interval: slot.interval(),
                reason: slot.reason,
                // While backing off the account's own time counts, not the device's wish.
                due_at: slot.due_at.max(self.due_at).map(Into::into),
                ..base
            },
        }
    }

    /// Takes in a device. Few are added later, so no room is kept for more.
    pub(crate) fn add_device(&mut self, device: DeviceSlot) -> &mut DeviceSlot {
        self.devices.reserve_exact(1);
        self.devices.push(device);
        let last = self.devices.len() - 1;
        &mut self.devices[last]
    }

    /// Moves all that lies ahead by a span towards the past.
    pub(super) fn come_nearer(&mut self, span: SignedDuration) {
        let nearer = |at: &mut Option<Moment>| *at = at.map(|at| at.plus(-span));
        nearer(&mut self.due_at);
        nearer(&mut self.not_before);
        for device in &mut self.devices {
            nearer(&mut device.due_at);
            nearer(&mut device.confirmed_at);
        }
    }

    /// Whether there is more to say of its schedule than how often its devices are fetched.
    pub(crate) const fn is_troubled(&self) -> bool {
        self.failures > 0 || self.not_before.is_some()
    }

    /// The earliest due time of a device.
    pub(crate) fn earliest_device(&self) -> Option<Moment> {
        self.devices.iter().filter_map(|device| device.due_at).min()
    }

    /// The schedule as it is stored.
    pub(crate) fn schedule(&self) -> AccountSchedule {
        AccountSchedule {
            due_at: self.due_at.map(Into::into),
            failures: self.failures,
            not_before: self.not_before.map(Into::into),
            attempts: self.attempts.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_small() {
        assert!(
            size_of::<AccountSlot>() <= 232,
            "{}",
            size_of::<AccountSlot>()
        );
        assert!(
            size_of::<DeviceSlot>() <= 104,
            "{}",
            size_of::<DeviceSlot>()
        );
    }

    #[test]
    fn places_are_found_from_anywhere() {
        let list = ["a", "b", "c"];
        let mut near = 0;
        let mut find = |wanted: &str| place_near(&list, &mut near, |known| *known == wanted);
        assert_eq!(["b", "c", "a", "a"].map(&mut find), [1, 2, 0, 0].map(Some));
        assert_eq!([find("d"), find("c")], [None, Some(2)]);
        assert_eq!(place_near(&list[..0], &mut near, |_| true), None);
    }

    #[test]
    fn the_newest_attempts_are_kept() {
        let attempt = |second: i64| Attempt {
            at: Timestamp::constant(second, 0),
            trigger: Trigger::Schedule,
            outcome: AttemptOutcome::Ok,
            duration_ms: 7,
        };
        let mut attempts = Attempts::default();
        for second in 1..=7 {
            attempts.note(&attempt(second));
        }
        let kept: Vec<_> = [7, 6, 5, 4, 3].map(attempt).to_vec();
        assert_eq!(attempts.to_vec(), kept);
        let again: Attempts = kept.clone().into_iter().collect();
        assert_eq!(again.to_vec(), kept);
    }
}
