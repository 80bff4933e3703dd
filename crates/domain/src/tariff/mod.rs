//! Tariffs: named rates, the weekly hours at which they hold, and what energy costs at a moment.
//!
//! A customer puts a [`Tariff`]'s rates under an ID of their own, and hangs it on a Location with
//! [`Interval`]s of the week, by the Location's own wall clock. Weekday 0 is Monday and `24:00` the
//! end of a day; gaps are allowed, overlaps are not. [`Timetable`] holds all that was ever put for
//! a Location, and [`prices`] says what each quarter hour costs.

mod cost;
mod market;
mod timetable;
mod week;

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::{
    cost::{Cost, CostShare, Total},
    market::{MarketPrice, in_turn},
    timetable::{Price, PriceOrigin, PriceSource, Timetable, prices, prices_of},
    week::{Overlap, Week, WeekRow},
};
use crate::{id::LocationId, money::Decimal};

/// The customer's own name for a tariff: at most 36 letters, digits, hyphens and underscores.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TariffId(String);

/// The text is no ID of a tariff.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 36 letters, digits, hyphens and underscores")]
pub struct NotATariffId;

impl TariffId {
    /// The ID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TariffId {
    type Err = NotATariffId;

    fn from_str(text: &str) -> Result<Self, NotATariffId> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_id = (1..=36).contains(&text.len()) && text.bytes().all(is_word);
        is_id.then(|| Self(text.to_owned())).ok_or(NotATariffId)
    }
}

impl TryFrom<String> for TariffId {
    type Error = NotATariffId;

    fn try_from(text: String) -> Result<Self, NotATariffId> {
        text.parse()
    }
}

impl From<TariffId> for String {
    fn from(id: TariffId) -> Self {
        id.0
    }
}

impl fmt::Display for TariffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A named rate of a tariff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Its name, unique within the tariff.
    pub name: String,
    /// What a kWh costs; may be negative.
    pub cost: Decimal,
}

/// The rates of a tariff from a moment on, until the next version's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tariff {
    /// Its ID, unique within the client.
    pub id: TariffId,
    /// When they were put.
    pub since: Timestamp,
    /// The rates.
    pub rates: Vec<Rate>,
}

/// A time of the wall clock in minutes since midnight, 0 to 1440 (`24:00`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClockTime(u16);

/// The text is no time of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a time of day, 00:00 to 24:00")]
pub struct NotAClockTime;

impl ClockTime {
    /// The beginning of a day.
    pub const MIDNIGHT: Self = Self(0);
    /// The end of a day.
    pub const END: Self = Self(24 * 60);

    /// Minutes since midnight, by the clock.
    pub const fn minutes(self) -> u16 {
        self.0
    }

    /// Seconds since midnight, by the clock.
    pub const fn seconds(self) -> i32 {
        self.0 as i32 * 60
    }
}

impl FromStr for ClockTime {
    type Err = NotAClockTime;

    fn from_str(text: &str) -> Result<Self, NotAClockTime> {
        let (hour, minute) = text.split_once(':').ok_or(NotAClockTime)?;
        let number = |text: &str| -> Result<u16, NotAClockTime> {
            let is_plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse().map_err(|_| NotAClockTime)?;
            is_plain.then_some(number).ok_or(NotAClockTime)
        };
        match (number(hour)?, number(minute)?) {
            (hour @ 0..24, minute @ 0..60) => Ok(Self(hour * 60 + minute)),
            (24, 0) => Ok(Self::END),
            _ => Err(NotAClockTime),
        }
    }
}

impl TryFrom<String> for ClockTime {
    type Error = NotAClockTime;

    fn try_from(text: String) -> Result<Self, NotAClockTime> {
        text.parse()
    }
}

impl From<ClockTime> for String {
    fn from(time: ClockTime) -> Self {
        time.to_string()
    }
}

impl fmt::Display for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// When a rate holds, week by week, by the Location's own clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// Name of the rate.
    pub name: String,
    /// The beginning, inclusive.
    pub from: ClockTime,
    /// The end, exclusive; after the beginning.
    pub to: ClockTime,
    /// The days, 0 (Monday) to 6; all of them if absent.
    pub weekdays: Option<Vec<u8>>,
}

impl Interval {
    /// Whether it holds on a day of the week.
    pub fn is_on(&self, weekday: u8) -> bool {
        match &self.weekdays {
            Some(days) => days.contains(&weekday),
            None => true,
        }
    }
}

/// A tariff hung on a Location, from a moment on until the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocationTariff {
    /// The Location.
    pub location_id: LocationId,
    /// When it was hung there.
    pub since: Timestamp,
    /// The tariff.
    pub tariff_id: TariffId,
    /// When its rates hold.
    pub intervals: Vec<Interval>,
}

#[cfg(test)]
mod tests;
