//! When to come again, and what the answer means for that.

use std::collections::{HashMap, HashSet};

use livewatt_domain::{
    SignedDuration, Timestamp,
    account::{Attempt, AttemptOutcome, Trigger},
    cadence::{Activity, Cadence, CadenceInput, CadenceReason, decide},
    device::{Device, VendorDevice},
    fact::{Observation, Presence},
    id::{AccountId, DeviceId},
    kind::DeviceKind,
    retry::scaled,
};
use livewatt_vendors::{AccountOutcome, Harvest, ReadShape, Wanted, vendor::SharedVendor};

use crate::{
    Engine,
    fleet::{AccountSlot, DeviceSlot, Moment, Plan, place_near},
};

/// How a fetch ended, as far as the schedule is concerned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// All that was asked was answered.
    Ok,
    /// Not before `until`; nobody's fault.
    Limited {
        until: Timestamp,
        outcome: AttemptOutcome,
    },
    /// It failed.
    Failed { outcome: AttemptOutcome },
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
        let kind = outcome.kind();
        match outcome {
            AccountOutcome::Ok => Self::Ok,
            AccountOutcome::RateLimited { until, .. } | AccountOutcome::OverBudget { until } => {
                Self::Limited {
                    until: *until,
                    outcome: kind,
                }
            }
            AccountOutcome::LoginExpired
            | AccountOutcome::Unreachable(_)
            | AccountOutcome::Malformed(_)
            | AccountOutcome::Refused(_) => Self::Failed { outcome: kind },
        }
    }

    pub(super) const fn is_ok(&self) -> bool {
        matches!(self, Self::Ok)
    }

    pub(super) const fn outcome(&self) -> AttemptOutcome {
        match self {
            Self::Ok => AttemptOutcome::Ok,
            Self::Limited { outcome, .. } | Self::Failed { outcome } => *outcome,
            Self::Blocked { .. } => AttemptOutcome::VendorPaused,
            Self::Watched { .. } => AttemptOutcome::Watched,
            Self::Revoked => AttemptOutcome::CredentialsInvalid,
            Self::NotPolled => AttemptOutcome::NotPolled,
        }
    }
}

/// What a device is doing, as far as freshness cares.
pub(super) fn activity(device: &Device) -> Activity {
    activity_of(device.kind(), device.is_asleep, device.is_active())
}

/// What a device that sleeps or is active is doing, as far as freshness cares.
pub(super) fn activity_of(kind: DeviceKind, is_asleep: bool, is_active: bool) -> Activity {
    if is_asleep && kind == DeviceKind::Vehicle {
        Activity::Asleep
    } else if is_active {
        Activity::Active
    } else {
        Activity::Regular
    }
}

/// An account without devices is looked at this often.
const EMPTY_ACCOUNT: Cadence = Cadence {
    interval: SignedDuration::from_mins(7),
    reason: CadenceReason::Regular,
};

impl Engine {
    /// How often to fetch a device of an account.
    pub(super) fn cadence(
        &self,
        kind: DeviceKind,
        activity: Activity,
        account: Household,
        vendor: &SharedVendor,
    ) -> Cadence {
        let manifest = vendor.manifest();
        if manifest.reads == ReadShape::PushOnly {
            let interval = EMPTY_ACCOUNT.interval;
            return Cadence {
                interval,
                reason: CadenceReason::PushOnly,
            };
        }
        let now = Moment::from(self.now());
        let is_push_healthy = account
            .pushed_at
            .is_some_and(|at| now.since(at).abs() < self.options.push_health);
        let calls = vendor.calls_per_read(account.devices.max(1));
        let sharing = match manifest.budgets.is_empty() {
            true => 1,
            false => self.fleet.accounts_of(manifest.id).max(1) as u32,
        };
        decide(CadenceInput {
            kind,
            activity,
            policy: manifest.cadence,
            is_push_healthy,
            budget_floor: self.budgets.sustainable_interval(
                manifest.id,
                Some(account.id),
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
        let observations = harvest.observations.iter();
        let seen: HashMap<&VendorDevice, &Observation> =
            observations.map(|seen| (&seen.device, seen)).collect();
        let wanted: HashSet<&VendorDevice> = wanted.devices.iter().collect();
        self.fit_slots(id, devices, |slot, cadence, device| {
            let seen = seen.get(&device.vendor_device).copied();
            slot.set_fingerprint(seen.map(Observation::fingerprint));
            if let Some(seen) = seen {
                slot.confirmed_at = Some(seen.received_at.into());
                slot.due_at = self.after(cadence);
                if seen.presence != Presence::Offline {
                    self.presence.note_seen(slot.id, seen.received_at);
                }
            } else if harvest.account == AccountOutcome::Ok
                && wanted.contains(&device.vendor_device)
            {
                // Asked and not told: next time, like everybody. After a failure it stays due, so
                // that the next attempt asks for it and does not succeed by asking for nothing.
                slot.due_at = self.after(cadence);
            }
        });
    }

    /// After a fetch that said nothing new.
    pub(super) fn confirm_known(&self, id: AccountId, harvest: &Harvest) {
        let now = self.now();
        self.fleet.update(id, |slot| {
            let facts = slot.facts();
            let mut near = 0;
            for seen in &harvest.observations {
                let is_it = |device: &DeviceSlot| device.is(&seen.device);
                if let Some(place) = place_near(&slot.devices, &mut near, is_it) {
                    let device = &mut slot.devices[place];
                    self.fleet.ages.note_repeated(&facts, device, seen, now);
                    device.confirmed_at = Some(seen.received_at.into());
                    device.due_at = self.after(device.cadence());
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
            slot.pushed_at = Some(now.into());
            slot.wants_listing |= wants_listing;
        });
        self.fit_slots(id, devices, |slot, cadence, _| {
            slot.set_fingerprint(None);
            slot.due_at = slot.due_at.min(self.after(cadence)).or(slot.due_at);
        });
        self.fleet.update(id, |slot| {
            let is_free = slot.failures == 0 && slot.not_before.is_none_or(|at| at <= now.into());
            if is_free && slot.shape != ReadShape::PushOnly {
                let earliest = if wants_listing {
                    Some(now.into())
                } else {
                    slot.earliest_device()
                };
                slot.due_at = earliest.min(slot.due_at).or(slot.due_at);
            }
        });
        self.poll_wake.notify_one();
    }

    /// After a look at an account whose devices come to us: what it found, or (`None`) that they
    /// are still connected.
    pub(crate) fn note_watched(&self, id: AccountId, found: Option<&[Device]>) {
        match found {
            Some(devices) => self.fit_slots(id, devices, |_, _, _| {}),
            None => {
                let now = self.now();
                self.fleet.update(id, |slot| {
                    let facts = slot.facts();
                    for device in &mut slot.devices {
                        self.fleet.ages.note_connected(&facts, device, now);
                    }
                });
            }
        }
    }

    /// Brings the slots of an account in line with its devices.
    fn fit_slots(
        &self,
        id: AccountId,
        devices: &[Device],
        mut change: impl FnMut(&mut DeviceSlot, Cadence, &Device),
    ) {
        let Some((integration, account)) = self
            .fleet
            .read(id, |slot| (slot.integration, Household::of(id, slot)))
        else {
            return;
        };
        let Some(vendor) = self.vendors.get(integration) else {
            return;
        };
        let cadences: Vec<Cadence> = devices
            .iter()
            .map(|device| self.cadence(device.kind(), activity(device), account, vendor))
            .collect();
        let now = self.now();
        let stay: HashSet<DeviceId> = devices.iter().map(|device| device.id).collect();
        self.fleet.update(id, |slot| {
            let facts = slot.facts();
            slot.devices.retain_mut(|known| {
                let stays = stay.contains(&known.id);
                if !stays {
                    self.fleet.ages.leave(&facts, known, now);
                }
                stays
            });
            let known = slot.devices.iter().enumerate();
            let places: HashMap<DeviceId, usize> =
                known.map(|(at, known)| (known.id, at)).collect();
            for (device, cadence) in devices.iter().zip(cadences) {
                let known = match places.get(&device.id) {
                    Some(place) => &mut slot.devices[*place],
                    None => {
                        let mut new = DeviceSlot::new(device.id, device.vendor_device.clone());
                        // Known by name only: to be read at once.
                        new.due_at = Some(self.now().into());
                        slot.add_device(new)
                    }
                };
                let before = known.before();
                known.activity = activity(device);
                known.set_cadence(cadence);
                change(known, cadence, device);
                (self.fleet.ages).note_merged(&facts, known, before, device, now);
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
                        let limit = device.interval() + device.interval() / 10;
                        device
                            .confirmed_at
                            .is_none_or(|at| Moment::from(*until).since(at) > limit)
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
                outcome: AttemptOutcome::Unreachable,
            } => {
                self.breakers
                    .note_failure(integration, now, self.entropy.as_ref());
            }
            Verdict::Blocked { .. } => {}
            Verdict::NotPolled
            | Verdict::Limited {
                outcome: AttemptOutcome::OverBudget,
                ..
            } => {
                self.breakers.note_nothing(integration);
            }
            _ => self.breakers.note_answer(integration),
        }
        match &verdict {
            Verdict::Revoked => return self.fleet.park(id, now),
            Verdict::NotPolled => return drop(self.fleet.remove(id, now)),
            _ => {}
        }
        let to_write = self.fleet.update(id, |slot| {
            slot.attempts.note(&attempt);
            let was_troubled = slot.is_troubled();
            let due_at = self.next_due(slot, &verdict, now);
            // A hint that came in during the fetch is served by it.
            slot.trigger = Trigger::Schedule;
            if !verdict.is_ok() {
                slot.devices
                    .iter_mut()
                    .for_each(|device| device.set_fingerprint(None));
            }
            slot.is_running = false;
            slot.due_at = Some(due_at);
            (was_troubled || slot.is_troubled()).then(|| slot.schedule())
        });
        // While all goes well, the due time follows from when its devices were last seen.
        if let Some(schedule) = to_write.flatten() {
            self.presence.note_schedule(id, schedule);
        }
    }

    fn next_due(&self, slot: &mut AccountSlot, verdict: &Verdict, now: Timestamp) -> Moment {
        let due_at = match verdict {
            Verdict::Limited { until, .. } => {
                slot.not_before = Some((*until).into());
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
            Verdict::Watched { until } => Ok(*until),
            Verdict::Ok | Verdict::Revoked | Verdict::NotPolled => {
                slot.failures = 0;
                slot.not_before = None;
                return slot
                    .earliest_device()
                    .or_else(|| self.after(EMPTY_ACCOUNT))
                    .map_or(now.into(), |at| at.max(now.into()));
            }
        };
        due_at.unwrap_or(now).into()
    }

    /// When a device fetched now is due again.
    fn after(&self, cadence: Cadence) -> Option<Moment> {
        let wait = scaled(cadence.interval, cadence.jitter(self.entropy.unit()));
        Some(self.now().saturating_add(wait).ok()?.into())
    }
}

/// What cadences depend on beside the device itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Household {
    id: AccountId,
    /// Number of its devices.
    devices: usize,
    pushed_at: Option<Moment>,
}

impl Household {
    pub(super) fn of(id: AccountId, slot: &AccountSlot) -> Self {
        Self {
            id,
            devices: slot.devices.len(),
            pushed_at: slot.pushed_at,
        }
    }
}
