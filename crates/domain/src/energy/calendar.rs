//! Larger buckets than quarter hours, by the calendar of a place.

use jiff::{
    SignedDuration, Timestamp, ToSpan as _, Zoned,
    civil::Weekday,
    tz::{Offset, TimeZone},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::zone::Zone;

/// Whose clock says when a day begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Place(TimeZone);

impl Place {
    /// Nowhere in particular.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// Where clocks are always so many hours ahead of UTC, perhaps a fraction of them; `None` if that
    /// is more than a day.
    pub fn ahead(hours: f64) -> Option<Self> {
        let seconds = (hours * 3600.0).round();
        let is_offset = seconds.abs() <= 24.0 * 3600.0;
        let offset = is_offset.then(|| Offset::from_seconds(seconds as i32).ok())?;
        offset.map(|offset| Self(offset.to_time_zone()))
    }
}

impl From<Zone> for Place {
    /// Where a zone is in force.
    fn from(zone: Zone) -> Self {
        Self(zone.rules().clone())
    }
}

/// How long a bucket is.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Resolution {
    /// A quarter of an hour.
    QuarterHour,
    /// Half an hour.
    HalfHour,
    /// An hour.
    Hour,
    /// A day.
    #[default]
    Day,
    /// A week from Monday on.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl Resolution {
    /// All of them, the shortest first.
    pub const ALL: [Self; 7] = [
        Self::QuarterHour,
        Self::HalfHour,
        Self::Hour,
        Self::Day,
        Self::Week,
        Self::Month,
        Self::Year,
    ];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::QuarterHour => "QUARTER_HOUR",
            Self::HalfHour => "HALF_HOUR",
            Self::Hour => "HOUR",
            Self::Day => "DAY",
            Self::Week => "WEEK",
            Self::Month => "MONTH",
            Self::Year => "YEAR",
        }
    }

    /// The resolution of a name on the wire.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// When the bucket begins that a moment is in. Buckets up to an hour are those of UTC wherever
    /// the place is; longer ones begin at its midnight, be the days of 23, 24 or 25 hours.
    pub fn start(self, at: Timestamp, place: &Place) -> Timestamp {
        let minutes = match self {
            Self::QuarterHour => 15,
            Self::HalfHour => 30,
            Self::Hour => 60,
            Self::Day | Self::Week | Self::Month | Self::Year => {
                let zoned = at.to_zoned(place.0.clone());
                return self.first_day(&zoned).map_or(at, |day| day.timestamp());
            }
        };
        let length = minutes * 60_000;
        let start = at.as_millisecond().div_euclid(length) * length;
        Timestamp::from_millisecond(start).unwrap_or(at)
    }

    /// When the bucket ends that begins at `start`.
    pub fn end(self, start: Timestamp, place: &Place) -> Timestamp {
        let fixed = |minutes| {
            start
                .saturating_add(SignedDuration::from_mins(minutes))
                .ok()
        };
        let zoned = start.to_zoned(place.0.clone());
        let after = |span| {
            Some(
                zoned
                    .checked_add(span)
                    .ok()?
                    .start_of_day()
                    .ok()?
                    .timestamp(),
            )
        };
        let end = match self {
            Self::QuarterHour => fixed(15),
            Self::HalfHour => fixed(30),
            Self::Hour => fixed(60),
            Self::Day => after(1.day()),
            Self::Week => after(1.week()),
            Self::Month => after(1.month()),
            Self::Year => after(1.year()),
        };
        end.unwrap_or(Timestamp::MAX)
    }

    fn first_day(self, zoned: &Zoned) -> Result<Zoned, jiff::Error> {
        let date = zoned.date();
        let first = match self {
            Self::Week => {
                let days = date.weekday().since(Weekday::Monday);
                date.checked_sub(i64::from(days).days())?
            }
            Self::Month => date.first_of_month(),
            Self::Year => date.first_of_year(),
            Self::QuarterHour | Self::HalfHour | Self::Hour | Self::Day => date,
        };
        first.to_zoned(zoned.time_zone().clone())?.start_of_day()
    }
}
