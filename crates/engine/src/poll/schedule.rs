//! When to come again, and what the answer means for that.

use livewatt_domain::{
    SignedDuration, Timestamp,
    account::{Attempt, Trigger},
    cadence::{Activity, Cadence, CadenceInput, CadenceReason, decide},
    device::Device,
    fact::Observation,
    id::AccountId,
    kind::DeviceKind,
    retry::scaled,
};
use livewatt_vendors::{AccountOutcome, Harvest, ReadShape, Wanted, vendor::SharedVendor};

use crate::{
    Engine,
    fleet::{AccountSlot, DeviceSlot, Plan},
};

/// How a fetch ended, as far as the schedule is concerned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// All that was asked was answered.
    Ok,
    /// Not before `until`; nobody's fault.
    Limited {
        until: Timestamp,
        outcome: &'static str,
    },
    /// It failed.
    Failed { outcome: &'static str },
    /// The integration's breaker is open.
    Blocked { until: Timestamp },
    /// Its devices come to us; look again at `until`.
    Watched { until: Timestamp },
    /// The credentials are dead.
    Revoked,
    /// The account is not fetched (any more).
    NotPolled,
}

impl Verdict {
    pub(super) fn of(outcome: &AccountOutcome) -> Self {
        let name = outcome.name();
        match outcome {
            AccountOutcome::Ok => Self::Ok,
            AccountOutcome::RateLimited { until, .. } | AccountOutcome::OverBudget { until } => {
                Self::Limited {
                    until: *until,
                    outcome: name,
                }
            }
            AccountOutcome::LoginExpired
            | AccountOutcome::Unreachable(_)
            | AccountOutcome::Malformed(_)
            | AccountOutcome::Refused(_) => Self::Failed { outcome: name },
        }
    }

    pub(super) const fn is_ok(&self) -> bool {
        matches!(self, Self::Ok)
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Limited { outcome, .. } | Self::Failed { outcome } => outcome,
            Self::Blocked { .. } => "vendorPaused",
            Self::Watched { .. } => "watched",
            Self::Revoked => "credentialsInvalid",
            Self::NotPolled => "notPolled",
        }
    }
}

/// What a device is doing, as far as freshness cares.
pub(crate) fn activity(device: &Device) -> Activity {
    if device.is_asleep && device.kind() == DeviceKind::Vehicle {
        Activity::Asleep
    } else if device.is_active() {
        Activity::Active
    } else {
        Activity::Regular
    }
}

/// An account without devices is looked at this often.
const EMPTY_ACCOUNT_INTERVAL: SignedDuration = SignedDuration::from_mins(7);

impl Engine {
    /// How often to fetch a device.
    pub(super) fn cadence(
        &self,
        device: &Device,
        vendor: &SharedVendor,
        pushed_at: Option<Timestamp>,
    ) -> Cadence {
        let manifest = vendor.manifest();
        if manifest.reads == ReadShape::PushOnly {
            let interval = EMPTY_ACCOUNT_INTERVAL;
            return Cadence {
                interval,
                reason: CadenceReason::PushOnly,
            };
        }
        let now = self.now();
        let is_push_healthy =
            pushed_at.is_some_and(|at| now.duration_since(at).abs() < self.options.push_health);
        let count = self
            .fleet
            .read(device.account_id, |slot| slot.devices.len());
        let calls = vendor.calls_per_read(count.unwrap_or(1).max(1));
        let sharing = match manifest.budgets.is_empty() {
            true => 1,
            false => self.fleet.accounts_of(manifest.id).max(1) as u32,
        };
        decide(CadenceInput {
            kind: device.kind(),
            activity: activity(device),
            policy: manifest.cadence,
            is_push_healthy,
            budget_floor: self.budgets.sustainable_interval(
                manifest.id,
                Some(device.account_id),
                calls,
                sharing,
            ),
        })
    }

    /// After a fetch that was merged: what each device is doing now and when it is due again.
    pub(super) fn note_fetched(
        &self,
        id: AccountId,
        devices: &[Device],
        harvest: &Harvest,
        wanted: &Wanted,
    ) {
        self.fit_slots(id, devices, |slot, cadence, device| {
            let seen = harvest
                .observations
                .iter()
                .find(|o| o.device == device.vendor_device);
            slot.fingerprint = seen.map(Observation::fingerprint);
            if let Some(seen) = seen {
                slot.confirmed_at = Some(seen.received_at);
                slot.due_at = self.after(cadence.interval);
            } else if wanted.devices.contains(&device.vendor_device) {
                // Asked and not told: next time, like everybody.
                slot.due_at = self.after(cadence.interval);
            }
        });
    }

    /// After a fetch that said nothing new.
    pub(super) fn confirm_known(&self, id: AccountId, harvest: &Harvest) {
        self.fleet.update(id, |slot| {
            for seen in &harvest.observations {
                if let Some(device) = slot.device(&seen.device) {
                    device.confirmed_at = Some(seen.received_at);
                    device.due_at = self.after(device.interval);
                    self.presence.note_seen(device.id, seen.received_at);
                }
            }
        });
    }

    /// After a push was merged: activity may have changed, and with it the next due time, which a
    /// push only ever brings forward: it need not have told everything.
    pub(crate) fn note_pushed(&self, id: AccountId, devices: &[Device], wants_listing: bool) {
        let now = self.now();
        self.fleet.update(id, |slot| {
            slot.pushed_at = Some(now);
            slot.wants_listing |= wants_listing;
        });
        self.fit_slots(id, devices, |slot, cadence, _| {
            slot.fingerprint = None;
            slot.due_at = slot
                .due_at
                .min(self.after(cadence.interval))
                .or(slot.due_at);
        });
        self.fleet.update(id, |slot| {
            let is_free = slot.failures == 0 && slot.not_before.is_none_or(|at| at <= now);
            if is_free && slot.shape != ReadShape::PushOnly {
                let earliest = if wants_listing {
                    Some(now)
                } else {
                    slot.earliest_device()
                };
                slot.due_at = earliest.min(slot.due_at).or(slot.due_at);
            }
        });
        self.poll_wake.notify_one();
    }

    /// Brings the slots of an account in line with its devices.
    fn fit_slots(
        &self,
        id: AccountId,
        devices: &[Device],
        mut change: impl FnMut(&mut DeviceSlot, Cadence, &Device),
    ) {
        let Some((integration, pushed_at)) = self
            .fleet
            .read(id, |slot| (slot.integration, slot.pushed_at))
        else {
            return;
        };
        let Some(vendor) = self.vendors.get(integration) else {
            return;
        };
        let cadences: Vec<Cadence> = devices
            .iter()
            .map(|device| self.cadence(device, vendor, pushed_at))
            .collect();
        self.fleet.update(id, |slot| {
            slot.devices
                .retain(|known| devices.iter().any(|device| device.id == known.id));
            for (device, cadence) in devices.iter().zip(cadences) {
                let known = match slot.devices.iter().position(|known| known.id == device.id) {
                    Some(index) => &mut slot.devices[index],
                    None => {
                        slot.devices.push(DeviceSlot {
                            id: device.id,
                            vendor_device: device.vendor_device.clone(),
                            activity: activity(device),
                            interval: cadence.interval,
                            reason: cadence.reason,
                            // Known by name only: to be read at once.
                            due_at: Some(self.now()),
                            fingerprint: None,
                            confirmed_at: None,
                            hinted_at: None,
                        });
                        let last = slot.devices.len() - 1;
                        &mut slot.devices[last]
                    }
                };
                known.activity = activity(device);
                known.interval = cadence.interval;
                known.reason = cadence.reason;
                change(known, cadence, device);
            }
        });
    }

    /// Whether devices must count as unreachable after this verdict: the vendor failed, or what
    /// holds us back will outlast the freshness promised for some device.
    pub(super) fn is_losing_touch(&self, id: AccountId, verdict: &Verdict) -> bool {
        match verdict {
            Verdict::Failed { .. } => true,
            Verdict::Limited { until, .. } => self
                .fleet
                .read(id, |slot| {
                    slot.devices.iter().any(|device| {
                        let limit = device.interval + device.interval / 10;
                        device
                            .confirmed_at
                            .is_none_or(|at| until.duration_since(at) > limit)
                    })
                })
                .unwrap_or(false),
            _ => false,
        }
    }

    /// Ends a fetch: notes the attempt and sets the account's next due time.
    pub(super) fn settle_poll(
        &self,
        id: AccountId,
        plan: &Plan,
        verdict: Verdict,
        attempt: Attempt,
    ) {
        let now = self.now();
        let integration = plan.integration;
        match &verdict {
            Verdict::Failed {
                outcome: "unreachable",
            } => {
                self.breakers
                    .note_failure(integration, now, self.entropy.as_ref());
            }
            Verdict::Blocked { .. } => {}
            Verdict::NotPolled
            | Verdict::Limited {
                outcome: "overBudget",
                ..
            } => {
                self.breakers.note_nothing(integration);
            }
            _ => self.breakers.note_answer(integration),
        }
        if matches!(verdict, Verdict::Revoked | Verdict::NotPolled) {
            self.fleet.remove(id);
            return;
        }
        self.fleet.update(id, |slot| {
            slot.attempts.insert(0, attempt);
            slot.attempts
                .truncate(livewatt_domain::account::AccountSchedule::KEPT_ATTEMPTS);
            let was_hinted = slot.trigger != plan.trigger;
            let due_at = self.next_due(slot, &verdict, now);
            // A hint that came in during the fetch is served by it.
            slot.trigger = Trigger::Schedule;
            if !verdict.is_ok() {
                slot.devices
                    .iter_mut()
                    .for_each(|device| device.fingerprint = None);
            }
            tracing::trace!(account.id = %id, ?due_at, was_hinted, "due again");
            slot.is_running = false;
            slot.due_at = Some(due_at);
        });
        if let Some(schedule) = self.fleet.schedule(id) {
            self.presence.note_schedule(id, schedule);
        }
    }

    fn next_due(&self, slot: &mut AccountSlot, verdict: &Verdict, now: Timestamp) -> Timestamp {
        match verdict {
            Verdict::Limited { until, .. } => {
                slot.not_before = Some(*until);
                // Never early; a little late, so that accounts do not come back all at once.
                until.saturating_add(scaled(SignedDuration::from_secs(10), self.entropy.unit()))
            }
            Verdict::Blocked { until } => {
                until.saturating_add(scaled(SignedDuration::from_secs(5), self.entropy.unit()))
            }
            Verdict::Failed { .. } => {
                slot.failures = slot.failures.saturating_add(1);
                now.saturating_add(
                    self.options
                        .backoff
                        .wait(slot.failures, self.entropy.jitter(0.2)),
                )
            }
            Verdict::Watched { until } => return *until,
            Verdict::Ok | Verdict::Revoked | Verdict::NotPolled => {
                slot.failures = 0;
                slot.not_before = None;
                return slot
                    .earliest_device()
                    .unwrap_or_else(|| self.after(EMPTY_ACCOUNT_INTERVAL).unwrap_or(now))
                    .max(now);
            }
        }
        .unwrap_or(now)
    }

    /// Now plus an interval, with jitter.
    fn after(&self, interval: SignedDuration) -> Option<Timestamp> {
        let jitter = self.entropy.jitter(Cadence::JITTER);
        self.now().saturating_add(scaled(interval, jitter)).ok()
    }
}

impl AccountSlot {
    /// The earliest due time of a device.
    fn earliest_device(&self) -> Option<Timestamp> {
        self.devices.iter().filter_map(|device| device.due_at).min()
    }
}
