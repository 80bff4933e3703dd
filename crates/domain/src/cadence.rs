//! How often a device is fetched, and why: a pure function.
//!
//! The promise to customers is [`target`]: 2 minutes while active (HVAC 1), 7
//! otherwise (HVAC 2), 20 for a vehicle asleep. A vendor's policy or budget can only slow this
//! down, and then the reason says so; a working push feed lets regular polls become a rare check.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::kind::DeviceKind;

/// What a device is doing, as far as freshness cares.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Activity {
    /// Takes or gives noticeable power.
    Active,
    /// Does not.
    Regular,
    /// A vehicle that must not be woken.
    Asleep,
}

/// Why a device is fetched as often as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum CadenceReason {
    /// It is active.
    Active,
    /// Nothing special.
    Regular,
    /// It sleeps.
    Asleep,
    /// Its vendor pushes; polls only check that nothing was missed.
    PushReconciliation,
    /// Its vendor permits no more.
    VendorPolicy,
    /// The vendor's quota, spread over its accounts, permits no more.
    Budget,
    /// Devices come to us; there is nothing to poll.
    PushOnly,
}

/// What a vendor permits or wants, as data of its adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CadencePolicy {
    /// Never poll more often than this.
    pub shortest: Option<SignedDuration>,
    /// With a healthy push feed, poll this often.
    pub reconcile: Option<SignedDuration>,
}

/// What the decision rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CadenceInput {
    /// Kind of the device.
    pub kind: DeviceKind,
    /// What it is doing.
    pub activity: Activity,
    /// The vendor's wishes.
    pub policy: CadencePolicy,
    /// A push feed exists and delivered recently.
    pub is_push_healthy: bool,
    /// The shortest interval that the budgets can sustain.
    pub budget_floor: Option<SignedDuration>,
}

/// The decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    /// Time between two fetches, before jitter.
    pub interval: SignedDuration,
    /// Why.
    pub reason: CadenceReason,
}

/// The age that data of such a device is promised not to exceed by more than one poll.
pub const fn target(kind: DeviceKind, activity: Activity) -> SignedDuration {
    match (kind, activity) {
        (DeviceKind::Hvac, Activity::Active) => SignedDuration::from_mins(1),
        (DeviceKind::Hvac, _) | (_, Activity::Active) => SignedDuration::from_mins(2),
        (_, Activity::Regular) => SignedDuration::from_mins(7),
        (_, Activity::Asleep) => SignedDuration::from_mins(20),
    }
}

/// How often to fetch a device.
pub fn decide(input: CadenceInput) -> Cadence {
    let reason = match input.activity {
        Activity::Active => CadenceReason::Active,
        Activity::Regular => CadenceReason::Regular,
        Activity::Asleep => CadenceReason::Asleep,
    };
    let mut cadence = Cadence {
        interval: target(input.kind, input.activity),
        reason,
    };
    if input.is_push_healthy
        && input.activity == Activity::Regular
        && let Some(reconcile) = input.policy.reconcile
    {
        cadence.slow_to(reconcile, CadenceReason::PushReconciliation);
    }
    if let Some(shortest) = input.policy.shortest {
        cadence.slow_to(shortest, CadenceReason::VendorPolicy);
    }
    if let Some(floor) = input.budget_floor {
        cadence.slow_to(floor, CadenceReason::Budget);
    }
    cadence
}

impl Cadence {
    /// Fraction by which due times are spread, so that many accounts do not march in step.
    pub const JITTER: f64 = 0.1;

    /// The factor by which an interval is varied, from a random number in `0..1`. Towards earlier
    /// where the interval is our promise, towards later where it is what a vendor permits.
    pub fn jitter(&self, unit: f64) -> f64 {
        match self.reason {
            CadenceReason::VendorPolicy | CadenceReason::Budget => unit.mul_add(Self::JITTER, 1.0),
            _ => unit.mul_add(-Self::JITTER, 1.0),
        }
    }

    fn slow_to(&mut self, interval: SignedDuration, reason: CadenceReason) {
        if interval > self.interval {
            *self = Self { interval, reason };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: CadencePolicy = CadencePolicy {
        shortest: None,
        reconcile: None,
    };

    fn input(kind: DeviceKind, activity: Activity) -> CadenceInput {
        CadenceInput {
            kind,
            activity,
            policy: FREE,
            is_push_healthy: false,
            budget_floor: None,
        }
    }

    #[test]
    fn the_promised_intervals() {
        let minutes = |kind, activity| decide(input(kind, activity)).interval.as_mins();
        assert_eq!(minutes(DeviceKind::Vehicle, Activity::Active), 2);
        assert_eq!(minutes(DeviceKind::Vehicle, Activity::Regular), 7);
        assert_eq!(minutes(DeviceKind::Vehicle, Activity::Asleep), 20);
        assert_eq!(minutes(DeviceKind::Hvac, Activity::Active), 1);
        assert_eq!(minutes(DeviceKind::Hvac, Activity::Regular), 2);
        assert_eq!(minutes(DeviceKind::Meter, Activity::Regular), 7);
    }

    #[test]
    fn a_push_feed_stretches_polls_only_while_it_works() {
        let policy = CadencePolicy {
            reconcile: Some(SignedDuration::from_mins(30)),
            ..FREE
        };
        let silent = CadenceInput {
            policy,
            ..input(DeviceKind::Vehicle, Activity::Regular)
        };
        assert_eq!(decide(silent).reason, CadenceReason::Regular);
        let healthy = CadenceInput {
            is_push_healthy: true,
            ..silent
        };
        assert_eq!(decide(healthy).reason, CadenceReason::PushReconciliation);
        assert_eq!(decide(healthy).interval.as_mins(), 30);
        let active = CadenceInput {
            activity: Activity::Active,
            ..healthy
        };
        assert_eq!(decide(active).reason, CadenceReason::Active);
    }

    #[test]
    fn promises_are_kept_early_and_limits_late() {
        let factors = |reason| {
            let interval = SignedDuration::from_mins(7);
            [0.0, 0.5, 1.0].map(|unit| Cadence { interval, reason }.jitter(unit))
        };
        assert!(
            factors(CadenceReason::Regular)
                .iter()
                .all(|f| (0.9..=1.0).contains(f))
        );
        assert!(
            factors(CadenceReason::Budget)
                .iter()
                .all(|f| (1.0..=1.1).contains(f))
        );
    }

    #[test]
    fn a_budget_can_only_slow_down() {
        let slow = CadenceInput {
            budget_floor: Some(SignedDuration::from_mins(10)),
            ..input(DeviceKind::Vehicle, Activity::Active)
        };
        assert_eq!(decide(slow).reason, CadenceReason::Budget);
        let ample = CadenceInput {
            budget_floor: Some(SignedDuration::from_secs(10)),
            ..slow
        };
        assert_eq!(decide(ample).reason, CadenceReason::Active);
    }
}
