//! When a time of day comes next.

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::AmbiguousOffset};

use crate::{tariff::ClockTime, zone::Zone};

/// When a clock of a zone next shows a time of day, after `now`. It comes once a day: of an hour that
/// the clock repeats, the first one counts, and a time that it skips comes when the clock jumps.
/// `None` only at the end of all times.
pub fn due(now: Timestamp, time: ClockTime, zone: &Zone) -> Option<Timestamp> {
    let today = now.to_zoned(zone.rules().clone()).date();
    // Yesterday's `24:00` may be ahead of a `now` within a repeated hour around midnight.
    (-1..=2).find_map(|days| {
        let date = today.checked_add(days.days()).ok()?;
        of_day(date, time, zone).filter(|at| *at > now)
    })
}

/// When a clock shows a time of day on a date; of several times the first, and the moment of the
/// jump if it never does.
pub(crate) fn of_day(date: Date, time: ClockTime, zone: &Zone) -> Option<Timestamp> {
    let (date, minutes) = match time.minutes() {
        1440 => (date.tomorrow().ok()?, 0),
        minutes => (date, minutes),
    };
    let (hour, minute) = ((minutes / 60) as i8, (minutes % 60) as i8);
    let ambiguous = zone.rules().to_ambiguous_zoned(date.at(hour, minute, 0, 0));
    let is_skipped = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
    let earlier = ambiguous.earlier().ok()?.timestamp();
    if is_skipped {
        // By the clock of after the jump it is before the jump: that is the next transition.
        return zone
            .rules()
            .following(earlier)
            .next()
            .map(|next| next.timestamp());
    }
    Some(earlier)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(now: &str, time: &str, zone: &str) -> String {
        let now: Timestamp = now.parse().unwrap();
        due(now, time.parse().unwrap(), &zone.parse().unwrap())
            .unwrap()
            .to_string()
    }

    #[test]
    fn a_deadline_is_the_next_of_its_kind() {
        let oslo = "Europe/Oslo";
        assert_eq!(
            next("2026-06-01T20:00Z", "07:00", oslo),
            "2026-06-02T05:00:00Z"
        );
        assert_eq!(
            next("2026-06-01T04:59Z", "07:00", oslo),
            "2026-06-01T05:00:00Z"
        );
        assert_eq!(
            next("2026-06-01T05:00Z", "07:00", oslo),
            "2026-06-02T05:00:00Z"
        );
        assert_eq!(
            next("2026-06-01T12:00Z", "24:00", oslo),
            "2026-06-01T22:00:00Z"
        );
        assert_eq!(
            next("2026-06-01T12:00Z", "00:00", oslo),
            "2026-06-01T22:00:00Z"
        );
        assert_eq!(
            next("2026-06-01T22:00Z", "24:00", oslo),
            "2026-06-02T22:00:00Z"
        );
        // The night that lacks an hour, and the one that has one more.
        assert_eq!(
            next("2026-03-28T20:00Z", "07:00", oslo),
            "2026-03-29T05:00:00Z"
        );
        assert_eq!(
            next("2026-10-24T20:00Z", "07:00", oslo),
            "2026-10-25T06:00:00Z"
        );
        // 02:30 is skipped: the clock jumps at 01:00 UTC.
        assert_eq!(
            next("2026-03-28T20:00Z", "02:30", oslo),
            "2026-03-29T01:00:00Z"
        );
        assert_eq!(
            next("2026-03-28T20:00Z", "02:00", oslo),
            "2026-03-29T01:00:00Z"
        );
        assert_eq!(
            next("2026-03-29T01:00Z", "02:30", oslo),
            "2026-03-30T00:30:00Z"
        );
        // 02:30 is there twice: the first one counts, and the second is no deadline.
        assert_eq!(
            next("2026-10-24T20:00Z", "02:30", oslo),
            "2026-10-25T00:30:00Z"
        );
        assert_eq!(
            next("2026-10-25T00:45Z", "02:30", oslo),
            "2026-10-26T01:30:00Z"
        );
        // A whole day that never was: its 07:00 came when the clock jumped. And a jump at midnight.
        assert_eq!(
            next("2011-12-30T09:00Z", "07:00", "Pacific/Apia"),
            "2011-12-30T10:00:00Z"
        );
        assert_eq!(
            next("2018-11-03T12:00Z", "24:00", "America/Sao_Paulo"),
            "2018-11-04T03:00:00Z"
        );
        assert_eq!(
            next("2018-11-03T12:00Z", "00:30", "America/Sao_Paulo"),
            "2018-11-04T03:00:00Z"
        );
    }

    proptest::proptest! {
        /// Never more than two days away (a day may be skipped), and the clock shows that time,
        /// unless it never does.
        #[test]
        fn a_deadline_is_near_and_shown_by_the_clock(
            second in 1_300_000_000_i64..1_900_000_000,
            minutes in 0..1440_u16,
            zone in proptest::sample::select(vec![
                "UTC", "Europe/Oslo", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu",
            ]),
        ) {
            let now = Timestamp::from_second(second).unwrap();
            let time: ClockTime = format!("{:02}:{:02}", minutes / 60, minutes % 60).parse().unwrap();
            let zone: Zone = zone.parse().unwrap();
            let at = due(now, time, &zone).unwrap();
            let hours = at.duration_since(now).as_hours();
            proptest::prop_assert!(at > now && hours <= 49, "{hours}");
            let local = at.to_zoned(zone.rules().clone());
            let shown = local.hour() as u16 * 60 + local.minute() as u16;
            let before = zone.rules().preceding(at + jiff::SignedDuration::from_secs(1)).next();
            let has_jumped = before.is_some_and(|jump| jump.timestamp() == at);
            proptest::prop_assert!(shown == minutes || has_jumped);
        }
    }
}
