//! Which periods are to be asked for, and when.

use jiff::{SignedDuration, Timestamp};

use super::{Period, SETTLING};
use crate::zone::Zone;

/// Time between two questions about one inverter: linking brings some thirty at once.
pub const PACE: SignedDuration = SignedDuration::from_secs(10);

/// Days of the past whose quarter hours are asked for.
const DAYS_BACK: i64 = 30;
/// Months of the past whose days are asked for.
const MONTHS_BACK: i64 = 3;
/// The day that goes on is asked for again after this,
const DAY_AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// and the month, or what is over and has gaps, after this.
const REST_AGAIN: SignedDuration = SignedDuration::from_hours(6);

/// What is known of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The period.
    pub period: Period,
    /// When it was last told.
    pub fetched_at: Timestamp,
    /// Nothing of it is expected to change.
    pub is_final: bool,
}

/// A period that is to be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Not before this moment.
    pub at: Timestamp,
    /// The period.
    pub period: Period,
}

/// What is to be asked of an inverter that was installed at a moment: the present first, then by the
/// month, then by the day, the newest first. What is final, or further back, is not in it.
pub fn plan(now: Timestamp, zone: &Zone, installed_at: Timestamp, known: &[Known]) -> Vec<Due> {
    let (today, month) = (Period::day_at(now, zone), Period::month_at(now, zone));
    let past = |of: Period, count: i64| (1..=count).filter_map(move |back| of.earlier(back));
    let wanted = [today, month]
        .into_iter()
        .chain(past(month, MONTHS_BACK))
        .chain(past(today, DAYS_BACK));
    let due = wanted.filter_map(|period| {
        let end = period.end(zone);
        if end <= installed_at {
            return None;
        }
        let known = known.iter().find(|known| known.period == period);
        let at = match known {
            None => Some(now),
            Some(known) if known.is_final => None,
            Some(known) => Some(again(*known, end, now)),
        };
        at.map(|at| Due { at, period })
    });
    due.collect()
}

/// When a period is to be asked for again.
fn again(known: Known, end: Timestamp, now: Timestamp) -> Timestamp {
    let wait = match known.period {
        Period::Day(_) if known.fetched_at < end => DAY_AGAIN,
        _ => REST_AGAIN,
    };
    let after = |at: Timestamp, wait| at.saturating_add(wait).unwrap_or(at);
    let mut at = after(known.fetched_at, wait);
    let settled = after(end, SETTLING);
    if known.fetched_at < settled {
        at = at.min(settled);
    }
    // The clock may have been set back since.
    at.min(after(now, wait))
}

/// When more will be known of a period of a plan whose next question is asked at `next_at`; `None`
/// if nothing more is expected.
pub fn retry_after(
    plan: &[Due],
    period: Period,
    next_at: Timestamp,
    now: Timestamp,
) -> Option<Timestamp> {
    let place = plan.iter().position(|due| due.period == period)?;
    let due = plan[place];
    let before = plan[..place].iter().filter(|other| other.at <= due.at);
    let turns = i32::try_from(before.count()).unwrap_or(i32::MAX);
    let from = next_at.max(due.at).max(now);
    Some(from.saturating_add(PACE * (turns + 1)).unwrap_or(from))
}
