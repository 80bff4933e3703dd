//! Intervals of a week, spread over its days.

use super::{ClockTime, Interval};

/// Days of a week.
pub(super) const DAYS: u8 = 7;

/// A stretch of a day at which a rate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeekRow<'i> {
    /// The day, 0 (Monday) to 6.
    pub weekday: u8,
    /// The beginning, inclusive.
    pub from: ClockTime,
    /// The end, exclusive.
    pub to: ClockTime,
    /// Name of the rate.
    pub name: &'i str,
}

/// Two intervals hold at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("overlaps with interval {other} on weekday {weekday}")]
pub struct Overlap {
    /// Index of the later one in the list.
    pub interval: usize,
    /// Index of the one it overlaps with.
    pub other: usize,
    /// The first day on which they do.
    pub weekday: u8,
}

/// A stretch of a day and the index of its interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) from: ClockTime,
    pub(super) to: ClockTime,
    pub(super) interval: usize,
}

/// Intervals by day and time, no two at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Week {
    days: [Vec<Stretch>; DAYS as usize],
}

impl Week {
    /// Spreads intervals over the days. Those that end before they begin hold never.
    ///
    /// # Errors
    /// If two of them overlap; names the first such pair, later one first.
    pub fn of(intervals: &[Interval]) -> Result<Self, Overlap> {
        let mut days: [Vec<Stretch>; DAYS as usize] = Default::default();
        for (interval, row) in intervals.iter().enumerate() {
            for (weekday, day) in (0..DAYS).zip(&mut days) {
                if !row.is_on(weekday) || row.from >= row.to {
                    continue;
                }
                let clash = |held: &&Stretch| row.from < held.to && held.from < row.to;
                if let Some(held) = day.iter().find(clash) {
                    let other = held.interval;
                    return Err(Overlap {
                        interval,
                        other,
                        weekday,
                    });
                }
                day.push(Stretch {
                    from: row.from,
                    to: row.to,
                    interval,
                });
            }
        }
        for day in &mut days {
            day.sort_by_key(|stretch| stretch.from);
        }
        Ok(Self { days })
    }

    /// A week at which nothing holds.
    pub(super) fn empty() -> Self {
        Self {
            days: Default::default(),
        }
    }

    /// The rows of the week, by day and time. `intervals` is what it was made of.
    pub fn rows<'i>(&'i self, intervals: &'i [Interval]) -> impl Iterator<Item = WeekRow<'i>> {
        (0..DAYS).zip(&self.days).flat_map(move |(weekday, day)| {
            day.iter().filter_map(move |stretch| {
                Some(WeekRow {
                    weekday,
                    from: stretch.from,
                    to: stretch.to,
                    name: &intervals.get(stretch.interval)?.name,
                })
            })
        })
    }

    /// The interval that holds at so many seconds of a day, and until when of that day what is
    /// said holds.
    pub(super) fn at(&self, weekday: u8, second: i32) -> (Option<usize>, i32) {
        let day = self.days.get(usize::from(weekday));
        let next = day
            .into_iter()
            .flatten()
            .find(|stretch| second < stretch.to.seconds());
        match next {
            Some(stretch) if stretch.from.seconds() <= second => {
                (Some(stretch.interval), stretch.to.seconds())
            }
            Some(stretch) => (None, stretch.from.seconds()),
            None => (None, ClockTime::END.seconds()),
        }
    }
}
