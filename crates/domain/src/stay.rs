//! Where a device was, and from when on: energy is paid for where it flowed, wherever the device
//! went afterwards.

use std::cmp::Reverse;

use jiff::Timestamp;

use crate::{
    device::Device,
    energy::{quarter_end, quarter_of},
    id::LocationId,
    location::{is_positioned, of_document},
};

/// From when on a device is at a Location, or at none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay {
    /// The moment.
    pub since: Timestamp,
    /// The Location.
    pub location: Option<LocationId>,
}

/// Where a device stands before it is told of anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    location: Option<LocationId>,
    last_seen: Timestamp,
}

impl Standing {
    /// That of a device.
    pub fn of(device: &Device) -> Self {
        Self {
            location: of_document(&device.document),
            last_seen: device.last_seen,
        }
    }
}

/// The stay that begins with what a device has become, if it is elsewhere than it was; `before` is
/// absent for one that is new. It begins at the position's own time, but never before the device
/// was last seen where it was.
pub fn stay_of(before: Option<Standing>, after: &Device, now: Timestamp) -> Option<Stay> {
    let location = of_document(&after.document);
    if location == before.and_then(|standing| standing.location) {
        return None;
    }
    let kind = after.kind();
    let positioned = is_positioned(kind)
        .then(|| after.stamps.block_updated(kind, "location"))
        .flatten();
    let earliest = before.map_or(Timestamp::MIN, |standing| standing.last_seen);
    let since = positioned.unwrap_or(now).max(earliest).min(now);
    Some(Stay { since, location })
}

/// The stays of a device, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stays(Vec<Stay>);

impl Stays {
    /// Those of a device, in any order.
    pub fn new(mut stays: Vec<Stay>) -> Self {
        stays.sort_by_key(|stay| stay.since);
        Self(stays)
    }

    /// Where the device was in the quarter hour that a moment is in: of the Locations it was at
    /// meanwhile, the one at which it was longest. A car that comes home within the quarter hour
    /// and charges was at home.
    pub fn in_quarter(&self, at: Timestamp) -> Option<LocationId> {
        let start = quarter_of(at);
        let end = quarter_end(start);
        let first = self.0.partition_point(|stay| stay.since <= start);
        let first = first.saturating_sub(1);
        let mut lengths: Vec<(LocationId, i64)> = Vec::new();
        for (index, stay) in self.0.iter().enumerate().skip(first) {
            if stay.since >= end {
                break;
            }
            let next = self.0.get(index + 1);
            let until = next.map_or(end, |next| next.since.min(end));
            let length = until.as_millisecond() - stay.since.max(start).as_millisecond();
            let Some(location) = stay.location.filter(|_| length > 0) else {
                continue;
            };
            match lengths.iter_mut().find(|(known, _)| *known == location) {
                Some((_, sum)) => *sum += length,
                None => lengths.push((location, length)),
            }
        }
        let longest = lengths.iter().min_by_key(|(_, length)| Reverse(*length));
        longest.map(|(location, _)| *location)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_quarter_hour_belongs_to_where_the_device_was_longest() {
        let id = |number| LocationId(Uuid::from_u128(number));
        let minute = |minutes| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes);
        let stay = |since, location: Option<u128>| Stay {
            since: minute(since),
            location: location.map(id),
        };
        let stays = Stays::new(vec![
            stay(74, None),
            stay(20, Some(1)),
            stay(34, Some(2)),
            stay(41, Some(1)),
            stay(75, Some(3)),
        ]);
        for (quarter, location) in [
            (0, None),
            (15, Some(1)),
            // Four minutes here, seven there, four here again.
            (30, Some(1)),
            (45, Some(1)),
            // Gone in the last minute.
            (60, Some(1)),
            (75, Some(3)),
            (9_000, Some(3)),
        ] {
            let into_it = minute(quarter) + SignedDuration::from_secs(7);
            assert_eq!(
                stays.in_quarter(into_it),
                location.map(id),
                "minute {quarter}"
            );
        }
        assert_eq!(Stays::default().in_quarter(minute(0)), None);
    }
}
