//! Days and months of a calendar.

use std::{fmt, str::FromStr};

use jiff::{SignedDuration, Timestamp, ToSpan as _, civil::Date};

use crate::{energy::Resolution, zone::Zone};

/// A day or a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Period {
    /// A day.
    Day(Date),
    /// The month that begins on this day.
    Month(Date),
}

/// A text is no period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is neither a day like 2026-03-02 nor a month like 2026-03")]
pub struct NotAPeriod;

impl Period {
    /// A day, or without one a month; `None` if there is no such.
    pub fn of(year: i16, month: i8, day: Option<i8>) -> Option<Self> {
        let date = Date::new(year, month, day.unwrap_or(1)).ok()?;
        Some(match day {
            Some(_) => Self::Day(date),
            None => Self::Month(date),
        })
    }

    /// The day that a moment is in.
    pub fn day_at(at: Timestamp, zone: &Zone) -> Self {
        Self::Day(at.to_zoned(zone.rules().clone()).date())
    }

    /// The month that a moment is in.
    pub fn month_at(at: Timestamp, zone: &Zone) -> Self {
        Self::Month(at.to_zoned(zone.rules().clone()).date().first_of_month())
    }

    /// The same length so many periods earlier; `None` before all calendars.
    pub fn earlier(self, count: i64) -> Option<Self> {
        match self {
            Self::Day(date) => date.checked_sub(count.days()).ok().map(Self::Day),
            Self::Month(first) => first.checked_sub(count.months()).ok().map(Self::Month),
        }
    }

    /// When it begins in a zone.
    pub fn begin(self, zone: &Zone) -> Timestamp {
        let (Self::Day(date) | Self::Month(date)) = self;
        midnight(date, zone).unwrap_or(Timestamp::MIN)
    }

    /// When it ends in a zone.
    pub fn end(self, zone: &Zone) -> Timestamp {
        let next = match self {
            Self::Day(date) => date.tomorrow(),
            Self::Month(first) => first.checked_add(1.month()),
        };
        let end = next.ok().and_then(|date| midnight(date, zone));
        end.unwrap_or(Timestamp::MAX)
    }

    /// When its buckets begin in a zone: the quarter hours of a day, the days of a month.
    pub fn buckets(self, zone: &Zone) -> Vec<Timestamp> {
        let (begin, end) = (self.begin(zone), self.end(zone));
        let start = |number: i64| match self {
            Self::Day(_) => begin
                .saturating_add(SignedDuration::from_mins(15 * number))
                .ok(),
            Self::Month(first) => {
                let date = first.checked_add(number.days()).ok()?;
                midnight(date, zone)
            }
        };
        let starts = (0..).map_while(start);
        starts.take_while(|start| *start < end).collect()
    }

    /// How long its buckets are.
    pub const fn resolution(self) -> Resolution {
        match self {
            Self::Day(_) => Resolution::QuarterHour,
            Self::Month(_) => Resolution::Day,
        }
    }

    /// Its year.
    pub fn year(self) -> i16 {
        let (Self::Day(date) | Self::Month(date)) = self;
        date.year()
    }

    /// Its month, 1 to 12.
    pub fn month(self) -> i8 {
        let (Self::Day(date) | Self::Month(date)) = self;
        date.month()
    }

    /// Its day of the month; `None` of a month.
    pub fn day(self) -> Option<i8> {
        match self {
            Self::Day(date) => Some(date.day()),
            Self::Month(_) => None,
        }
    }
}

/// When a date begins in a zone.
fn midnight(date: Date, zone: &Zone) -> Option<Timestamp> {
    let begin = date.to_zoned(zone.rules().clone()).ok()?;
    Some(begin.start_of_day().ok()?.timestamp())
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(date) => write!(f, "{date}"),
            Self::Month(first) => write!(f, "{:04}-{:02}", first.year(), first.month()),
        }
    }
}

impl FromStr for Period {
    type Err = NotAPeriod;

    fn from_str(text: &str) -> Result<Self, NotAPeriod> {
        let mut parts = text.splitn(3, '-');
        let mut number = |length: usize| -> Result<Option<i16>, NotAPeriod> {
            let Some(part) = parts.next() else {
                return Ok(None);
            };
            let is_number = part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
            let read = is_number.then(|| part.parse().ok()).flatten();
            read.map(Some).ok_or(NotAPeriod)
        };
        let year = number(4)?.ok_or(NotAPeriod)?;
        let month = number(2)?.ok_or(NotAPeriod)?;
        let day = number(2)?;
        // Two digits fit.
        Self::of(year, month as i8, day.map(|day| day as i8)).ok_or(NotAPeriod)
    }
}
