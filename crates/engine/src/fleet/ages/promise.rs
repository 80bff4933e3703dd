//! What is promised of a device at a moment.

use livewatt_domain::{
    SignedDuration,
    age::{Second, Slowed, allowed},
    cadence::{Activity, CadenceReason, target},
    kind::DeviceKind,
};

/// What is promised of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Promise {
    /// The standard interval of such a device, seconds.
    pub target: Second,
    /// The interval in force, seconds.
    pub interval: Second,
    /// The age that the interval in force allows.
    pub allowed: Second,
    /// The age that the standard allows.
    pub standard: Second,
    /// Why the interval is longer than the standard.
    pub slowed: Option<Slowed>,
}

impl Promise {
    pub(super) fn of(
        kind: DeviceKind,
        activity: Activity,
        interval: SignedDuration,
        reason: CadenceReason,
    ) -> Self {
        let target = target(kind, activity);
        let interval = match reason {
            // Nothing is fetched: what comes by itself must come as if it were.
            CadenceReason::PushOnly => target,
            _ => interval.max(target),
        };
        let seconds = |interval: SignedDuration| {
            Second::try_from(interval.as_secs().max(0)).unwrap_or(Second::MAX)
        };
        Self {
            target: seconds(target),
            interval: seconds(interval),
            allowed: allowed(interval),
            standard: allowed(target),
            slowed: Slowed::of(reason).filter(|_| interval > target),
        }
    }
}
