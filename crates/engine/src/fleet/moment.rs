//! A point in time in eight bytes, `None` included: fleets are large, and every slot holds several.

use std::num::NonZeroI64;

use livewatt_domain::{SignedDuration, Timestamp};

/// Milliseconds since 1970. The very first one counts as the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(NonZeroI64);

impl Moment {
    /// So much later; as late as can be told if that is beyond all times.
    pub(crate) fn plus(self, span: SignedDuration) -> Self {
        Timestamp::from(self)
            .saturating_add(span)
            .map_or(self, Self::from)
    }

    /// Time since `earlier`; negative if that is later.
    pub(crate) fn since(self, earlier: Self) -> SignedDuration {
        Timestamp::from(self).duration_since(Timestamp::from(earlier))
    }
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        Self(
            NonZeroI64::new(at.as_millisecond())
                .unwrap_or(NonZeroI64::new(1).unwrap_or(NonZeroI64::MAX)),
        )
    }
}

impl From<Moment> for Timestamp {
    fn from(Moment(millis): Moment) -> Self {
        Self::from_millisecond(millis.get()).unwrap_or(Self::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_eight_bytes_and_tells_milliseconds() {
        assert_eq!(size_of::<Option<Moment>>(), 8);
        let at: Timestamp = "2026-11-23T12:00:00.123Z".parse().unwrap();
        assert_eq!(Timestamp::from(Moment::from(at)), at);
        let later = Moment::from(at).plus(SignedDuration::from_secs(2));
        assert_eq!(later.since(at.into()), SignedDuration::from_secs(2));
    }
}
