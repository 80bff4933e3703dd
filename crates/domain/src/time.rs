//! How moments are written on the wire: RFC 3339 in UTC with exactly three decimals.

use jiff::Timestamp;
use serde::Serializer;

/// A moment as the contract prints it, for example `2024-01-07T17:04:26.000Z`.
pub fn wire(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A moment cut to whole milliseconds, the resolution of everything stored and served.
pub fn to_millisecond(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
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
}
