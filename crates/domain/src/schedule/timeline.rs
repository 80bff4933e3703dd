//! What is wanted at a moment, and when that changes.

use jiff::{
    SignedDuration, Timestamp, ToSpan as _,
    civil::{Date, DateTime, Weekday},
    tz::AmbiguousOffset,
};

use super::{HourMinute, Rule, When};
use crate::{tariff::ClockTime, zone::Zone};

/// A week, whatever a clock may skip of it, and one more: between the dates that rules name, what does
/// not change within it never changes.
const DENSE: SignedDuration = SignedDuration::from_hours(15 * 24);

/// What is wanted over time.
#[derive(Debug, Clone, Copy)]
pub struct Timeline<'s, R: Rule> {
    /// What is wanted where no rule holds.
    pub default: R::Wanted,
    /// The rules; of several that hold, the last one counts.
    pub rules: &'s [R],
    /// By whose clock.
    pub zone: &'s Zone,
}

/// From a moment on something else is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition<W> {
    /// From when on.
    pub at: Timestamp,
    /// What is wanted then.
    pub wanted: W,
}

impl<R: Rule> Timeline<'_, R> {
    /// What is wanted at a moment.
    pub fn at(&self, at: Timestamp) -> R::Wanted {
        let local = self.zone.rules().to_datetime(at);
        let mut rules = self.rules.iter().rev();
        let holding = rules.find(|rule| holds(&rule.when(), at, local));
        holding.map_or(self.default, Rule::wanted)
    }

    /// The next moments, at most `most`, from which on something else is wanted.
    pub fn upcoming(&self, after: Timestamp, most: usize) -> Vec<Transition<R::Wanted>> {
        let next = |at: &Timestamp| self.next(*at);
        let first = next(&after);
        let transitions = std::iter::successors(first, |last| next(&last.at));
        transitions.take(most).collect()
    }

    /// The next moment from which on something else is wanted; `None` if there is none.
    pub fn next(&self, after: Timestamp) -> Option<Transition<R::Wanted>> {
        let now = self.at(after);
        let mut begin = after;
        loop {
            let date = self.dates().filter(|date| *date > begin).min();
            let end = begin.saturating_add(DENSE).unwrap_or(Timestamp::MAX);
            let end = date.map_or(end, |date| date.min(end));
            for at in self.moments(begin, end) {
                let wanted = self.at(at);
                if at > after && wanted != now {
                    return Some(Transition { at, wanted });
                }
            }
            // Nothing changes by the clock: on from the next date that a rule names.
            begin = date?;
        }
    }

    /// Since when that is wanted which is wanted at a moment; `None` if it always was.
    pub fn since(&self, at: Timestamp) -> Option<Timestamp> {
        let now = self.at(at);
        let mut end = at;
        loop {
            let date = self.dates().filter(|date| *date < end).max();
            let begin = end.saturating_sub(DENSE).unwrap_or(Timestamp::MIN);
            let begin = date.map_or(begin, |date| date.max(begin));
            for moment in self.moments(begin, end).into_iter().rev() {
                // Between two such moments nothing changes.
                let before = moment.saturating_sub(SignedDuration::from_nanos(1)).ok()?;
                if self.at(before) != now {
                    return Some(moment);
                }
            }
            end = date?;
        }
    }

    /// The dates that rules name.
    fn dates(&self) -> impl Iterator<Item = Timestamp> {
        let when = self.rules.iter().map(Rule::when);
        when.flat_map(|when| [when.from, when.to]).flatten()
    }

    /// All moments from `begin` to `end`, in order, at which something may change.
    fn moments(&self, begin: Timestamp, end: Timestamp) -> Vec<Timestamp> {
        let windows = self.rules.iter().filter_map(|rule| rule.when().hour_minute);
        let mut times: Vec<ClockTime> = windows
            .flat_map(|HourMinute { from, to }| [from, to])
            .chain([ClockTime::MIDNIGHT])
            .collect();
        times.sort_unstable();
        times.dedup();
        let rules = self.zone.rules();
        let mut moments: Vec<Timestamp> = self.dates().collect();
        let jumps = rules.following(begin).map(|jump| jump.timestamp());
        moments.extend(jumps.take_while(|jump| *jump <= end));
        let last = rules.to_datetime(end).date();
        let mut day = Some(rules.to_datetime(begin).date());
        while let Some(date) = day.filter(|date| *date <= last) {
            let shown = times.iter().flat_map(|time| self.shown(date, *time));
            moments.extend(shown.flatten());
            day = date.tomorrow().ok();
        }
        moments.retain(|at| (begin..=end).contains(at));
        moments.sort_unstable();
        moments.dedup();
        moments
    }

    /// When the clock shows a time of a day: once as a rule, never, or twice.
    fn shown(&self, date: Date, time: ClockTime) -> [Option<Timestamp>; 2] {
        let midnight = date.to_datetime(jiff::civil::Time::midnight());
        let Ok(local) = midnight.checked_add(i64::from(time.minutes()).minutes()) else {
            return [None; 2];
        };
        let ambiguous = self.zone.rules().to_ambiguous_timestamp(local);
        let at = |offset: jiff::tz::Offset| offset.to_timestamp(local).ok();
        match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { offset } => [at(offset), None],
            AmbiguousOffset::Fold { before, after } => [at(before), at(after)],
            // The jump itself is looked at anyway.
            AmbiguousOffset::Gap { .. } => [None; 2],
        }
    }
}

/// Whether a rule holds at a moment, at which the clock shows `local`.
fn holds(when: &When<'_>, at: Timestamp, local: DateTime) -> bool {
    if when.from.is_some_and(|from| at < from) || when.to.is_some_and(|to| at >= to) {
        return false;
    }
    let is_day = |date: Option<Date>| {
        let weekday = date.map(|date| date.weekday().since(Weekday::Monday));
        let day = weekday.and_then(|day| u8::try_from(day).ok());
        when.weekdays
            .is_none_or(|days| day.is_some_and(|day| days.contains(&day)))
    };
    let today = Some(local.date());
    let Some(HourMinute { from, to }) = when.hour_minute else {
        return is_day(today);
    };
    let seconds =
        i32::from(local.hour()) * 3600 + i32::from(local.minute()) * 60 + i32::from(local.second());
    let (from, to) = (from.seconds(), to.seconds());
    if from < to {
        return (from..to).contains(&seconds) && is_day(today);
    }
    let began_today = seconds >= from && is_day(today);
    let began_yesterday = seconds < to && is_day(local.date().yesterday().ok());
    began_today || began_yesterday
}
