//! How moments are written on the wire: RFC 3339 in UTC with exactly three decimals.

use jiff::{
    Timestamp, civil,
    tz::{Offset, TimeZone},
};
use serde::Serializer;

/// A moment as the contract prints it, for example `2024-01-07T17:04:26.000Z`.
pub fn wire(at: Timestamp) -> String {
    let utc = Offset::UTC.to_datetime(at);
    let Ok(year @ 0..=9_999) = u32::try_from(utc.year()) else {
        return at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    };
    // By hand: a format is interpreted anew each time, and a device has five moments.
    let mut text = String::with_capacity("2024-01-07T17:04:26.000Z".len());
    let mut part = |number: u32, digits: u32, then: char| {
        for place in (0..digits).rev() {
            let digit = number / 10_u32.pow(place) % 10;
            text.push(char::from_digit(digit, 10).unwrap_or('0'));
        }
        text.push(then);
    };
    let two = |number: i8| u32::from(number.unsigned_abs());
    part(year, 4, '-');
    part(two(utc.month()), 2, '-');
    part(two(utc.day()), 2, 'T');
    part(two(utc.hour()), 2, ':');
    part(two(utc.minute()), 2, ':');
    part(two(utc.second()), 2, '.');
    part(u32::from(utc.millisecond().unsigned_abs()), 3, 'Z');
    text
}

/// A moment cut to whole milliseconds, the resolution of everything stored and served.
pub fn to_millisecond(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// A moment as people and programs write it; one without a zone is UTC. `None` if it is none.
pub fn read(text: &str) -> Option<Timestamp> {
    let naive = || {
        let local: civil::DateTime = text.parse().ok()?;
        Some(local.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    text.parse().ok().or_else(naive)
}

/// For `#[serde(serialize_with = "time::serialize")]`.
///
/// # Errors
/// Only those of the serializer.
pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&wire(*at))
}

/// For `#[serde(serialize_with = "time::serialize_option")]`.
///
/// # Errors
/// Only those of the serializer.
pub fn serialize_option<S: Serializer>(
    at: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serialize(at, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_three_decimals() {
        let at: Timestamp = "2024-01-07T18:04:26+01:00".parse().unwrap();
        assert_eq!(wire(at), "2024-01-07T17:04:26.000Z");
        let at: Timestamp = "2024-01-07T17:04:26.0605999Z".parse().unwrap();
        assert_eq!(wire(to_millisecond(at)), "2024-01-07T17:04:26.060Z");
    }

    #[test]
    fn a_moment_without_a_zone_is_utc() {
        for text in [
            "2024-01-07T18:04:26+01:00",
            "2024-01-07T17:04:26Z",
            "2024-01-07T17:04:26",
        ] {
            assert_eq!(
                read(text).map(wire).unwrap(),
                "2024-01-07T17:04:26.000Z",
                "{text}"
            );
        }
        assert_eq!(
            read("2024-01-07").map(wire).unwrap(),
            "2024-01-07T00:00:00.000Z"
        );
        assert_eq!(read("tomorrow"), None);
    }

    proptest::proptest! {
        #[test]
        fn moments_are_printed_as_their_format_says(
            second in -377_705_023_201_i64..253_402_207_200, nano in 0..1_000_000_000,
        ) {
            let at = Timestamp::new(second, nano).unwrap();
            let format = "%Y-%m-%dT%H:%M:%S%.3fZ";
            proptest::prop_assert_eq!(wire(at), at.strftime(format).to_string());
        }
    }
}
