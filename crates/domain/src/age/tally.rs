//! Sums of ages, weighed by time. Two tallies of disjoint times add up to the tally of both.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{BreachReason, Second};
use crate::cadence::CadenceReason;

/// Upper bounds of the bins of ages, seconds; a last bin holds what is older. They grow by about a
/// half, and those that an hourly tally is asked about most are there exactly: the allowed ages of
/// the standards of 1, 2, 7 and 20 minutes.
///
/// Stored tallies have them in mind: they never change, or the old are migrated.
pub const BIN_BOUNDS: [Second; 27] = [
    10, 20, 30, 45, 67, 90, 133, 180, 240, 300, 360, 420, 463, 600, 900, 1_321, 1_800, 2_700,
    3_600, 5_400, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
];

/// Number of bins.
const BINS: usize = BIN_BOUNDS.len() + 1;

/// Why a device is promised less than the standard.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Slowed {
    /// Its vendor pushes; polls only check that nothing was missed.
    PushReconciliation,
    /// Its vendor permits no more.
    VendorPolicy,
    /// The vendor's quota, spread over its accounts, permits no more.
    Budget,
}

impl Slowed {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::PushReconciliation, Self::VendorPolicy, Self::Budget];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PushReconciliation => "pushReconciliation",
            Self::VendorPolicy => "vendorPolicy",
            Self::Budget => "budget",
        }
    }

    /// What a cadence's reason says about it; `None` for those that are the standard.
    pub const fn of(reason: CadenceReason) -> Option<Self> {
        match reason {
            CadenceReason::PushReconciliation => Some(Self::PushReconciliation),
            CadenceReason::VendorPolicy => Some(Self::VendorPolicy),
            CadenceReason::Budget => Some(Self::Budget),
            CadenceReason::Active
            | CadenceReason::Regular
            | CadenceReason::Asleep
            | CadenceReason::PushOnly => None,
        }
    }
}

/// A stretch of time during which nothing about a block changed but its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its beginning.
    pub from: Second,
    /// Its end.
    pub to: Second,
    /// When the block was last confirmed: not after `from`.
    pub confirmed: Second,
    /// The last second at which it was not too old.
    pub deadline: Second,
}

impl Span {
    /// Seconds of it before a moment.
    fn before(&self, moment: Second) -> u64 {
        u64::from(moment.clamp(self.from, self.to) - self.from)
    }
}

/// Ages of blocks over some time, in seconds of one block each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgeTally {
    /// Time during which the age was what was promised.
    pub within: u64,
    /// Time during which it was more.
    pub beyond: u64,
    /// Time during which it was what the standard asks for, whatever was promised.
    pub standard: u64,
    /// Time during which less than the standard was promised, by [`Slowed`].
    slowed: [u64; Slowed::ALL.len()],
    /// Time during which the device could not be reached, by [`BreachReason`].
    unreachable: [u64; BreachReason::ALL.len()],
    /// Time by age.
    bins: [u64; BINS],
    /// The greatest age.
    pub peak: Second,
    /// Breaches that began then and are counted here only, by [`BreachReason`].
    #[serde(default)]
    breaches: [u64; BreachReason::ALL.len()],
}

impl AgeTally {
    /// Adds a span. `slowed` says whether less than the standard was promised, and `standard` is
    /// the age that the standard allows.
    pub fn add(&mut self, span: Span, slowed: Option<Slowed>, standard: Second) {
        let length = u64::from(span.to.saturating_sub(span.from));
        if length == 0 {
            return;
        }
        let within = span.before(span.deadline);
        self.within += within;
        self.beyond += length - within;
        match slowed {
            None => self.standard += within,
            Some(slowed) => {
                self.standard += span.before(span.confirmed.saturating_add(standard));
                self.slowed[slowed as usize] += length;
            }
        }
        let mut counted = 0;
        for (bin, bound) in BIN_BOUNDS.iter().enumerate() {
            let up_to_here = span.before(span.confirmed.saturating_add(*bound));
            self.bins[bin] += up_to_here - counted;
            counted = up_to_here;
        }
        self.bins[BINS - 1] += length - counted;
        self.peak = self.peak.max(span.to - span.confirmed);
    }

    /// Adds time during which a device could not be reached.
    pub fn add_unreachable(&mut self, seconds: Second, reason: BreachReason) {
        self.unreachable[reason as usize] += u64::from(seconds);
    }

    /// Adds a breach that is not written down by itself.
    pub fn add_breach(&mut self, reason: BreachReason) {
        self.breaches[reason as usize] += 1;
    }

    /// Breaches that are counted here only.
    pub const fn breaches_for(&self, reason: BreachReason) -> u64 {
        self.breaches[reason as usize]
    }

    /// Adds another tally.
    pub fn merge(&mut self, other: &Self) {
        self.within += other.within;
        self.beyond += other.beyond;
        self.standard += other.standard;
        add_all(&mut self.slowed, &other.slowed);
        add_all(&mut self.unreachable, &other.unreachable);
        add_all(&mut self.bins, &other.bins);
        add_all(&mut self.breaches, &other.breaches);
        self.peak = self.peak.max(other.peak);
    }

    /// Time during which the age was watched against the promise.
    pub const fn reachable(&self) -> u64 {
        self.within + self.beyond
    }

    /// Time during which the device could not be reached.
    pub fn unreachable(&self) -> u64 {
        self.unreachable.iter().sum()
    }

    /// All time.
    pub fn observed(&self) -> u64 {
        self.reachable() + self.unreachable()
    }

    /// Time during which the device could not be reached for a reason.
    pub const fn unreachable_for(&self, reason: BreachReason) -> u64 {
        self.unreachable[reason as usize]
    }

    /// Time during which less than the standard was promised for a reason.
    pub const fn slowed_by(&self, slowed: Slowed) -> u64 {
        self.slowed[slowed as usize]
    }

    /// Time at ages up to each bound of [`BIN_BOUNDS`], and at all of them.
    pub fn bins(&self) -> impl Iterator<Item = u64> {
        self.bins.iter().copied()
    }

    /// The age that was not exceeded during this share of the time, seconds: exact at the bounds
    /// of bins, in proportion between them, and never more than the peak. `None` without any time.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let total = self.reachable();
        if total == 0 {
            return None;
        }
        let peak = f64::from(self.peak);
        let wanted = share.clamp(0.0, 1.0) * total as f64;
        let mut counted = 0.0;
        let mut floor = 0.0;
        for (bin, time) in self.bins.iter().map(|time| *time as f64).enumerate() {
            let ceiling = BIN_BOUNDS.get(bin).map_or(peak, |bound| f64::from(*bound));
            if time > 0.0 && counted + time >= wanted {
                let part = (wanted - counted) / time;
                return Some((floor + (ceiling.min(peak) - floor) * part).min(peak));
            }
            counted += time;
            floor = ceiling;
        }
        Some(peak)
    }
}

fn add_all(sums: &mut [u64], more: &[u64]) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += more;
    }
}

const HOUR: Second = 3_600;

/// The first second of an hour.
pub const fn hour_of(second: Second) -> Second {
    second - second % HOUR
}

/// The hours (as their first second) that a stretch of time touches, with its part in each. Of
/// more than a week the last week alone: a clock that jumps by a century must not make a million
/// rows of every block.
pub fn hours(from: Second, to: Second) -> impl Iterator<Item = (Second, Second, Second)> {
    const WEEK: Second = 7 * 24 * HOUR;
    let mut at = from.max(to.saturating_sub(WEEK));
    std::iter::from_fn(move || {
        (at < to).then(|| {
            let hour = hour_of(at);
            let begin = at;
            at = to.min(hour.saturating_add(HOUR));
            (hour, begin, at)
        })
    })
}
