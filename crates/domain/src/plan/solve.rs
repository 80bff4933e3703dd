//! The cheapest times to charge.
//!
//! Stopping once and starting once has three edges: where it stops, where it starts again, and where
//! it ends. Since the time of charging is given, two of them are free, and the cost is linear in both
//! as long as no edge crosses a change of the price. So there is a cheapest plan in which two of the
//! edges are where a price changes or a bound is, and it is enough to look at all those.

use std::cmp::Reverse;

use super::{Style, curve::Curve};

/// What is to be charged, and when that may be. Times are in ms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task<'c> {
    pub(super) curve: &'c Curve,
    pub(super) now: i64,
    /// So long it charges at once.
    pub(super) first: i64,
    /// So long it charges in all.
    pub(super) millis: i64,
    /// It must end by then.
    pub(super) latest: i64,
    /// It may charge for a while at first and then be stopped.
    pub(super) may_stop: bool,
}

/// When to charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Solution {
    /// In order, with gaps between them.
    pub(super) stretches: Vec<(i64, i64)>,
    /// The sum of prices over that time.
    pub(super) sum: i128,
}

impl Task<'_> {
    /// The cheapest solution in a style; of equally cheap ones the one that ends first. `None` if the
    /// prices that are known leave no room.
    pub(super) fn solve(&self, style: Style) -> Option<Solution> {
        if self.now + self.millis > self.latest {
            return None;
        }
        let stretches = match style {
            Style::Once => self.once(),
            Style::Several => self.several(),
        }?;
        let sum = self.curve.sum(&stretches)?;
        Some(Solution { stretches, sum })
    }

    fn once(&self) -> Option<Vec<(i64, i64)>> {
        let pieces = self.curve.within(self.now, self.latest);
        let mut edges: Vec<i64> = pieces.flat_map(|piece| [piece.from, piece.to]).collect();
        edges.extend([self.now, self.now + self.first, self.latest]);
        edges.sort_unstable();
        edges.dedup();
        let mut best = None;
        let mut look = |stop: i64, start: i64| {
            let end = start + self.millis - (stop - self.now);
            let is_allowed = stop >= self.now + self.first
                && (stop == self.now || self.may_stop)
                && start >= stop
                && (start..=self.latest).contains(&end);
            if !is_allowed {
                return;
            }
            let Some(sum) = self.curve.sum(&[(self.now, stop), (start, end)]) else {
                return;
            };
            let rank = (sum, end, Reverse(stop));
            if best.is_none_or(|(known, _)| rank < known) {
                best = Some((rank, (stop, start, end)));
            }
        };
        for &one in &edges {
            for &other in &edges {
                // It stops at one and starts at the other, or ends there.
                look(one, other);
                look(one, other - (self.millis - (one - self.now)));
                // It starts at one and ends at the other.
                look(self.now + self.millis - (other - one), one);
            }
        }
        let (_, (stop, start, end)) = best?;
        let stretches = if stop == start {
            vec![(self.now, end)]
        } else {
            vec![(self.now, stop), (start, end)]
        };
        let is_some = |(from, to): &(i64, i64)| from < to;
        Some(stretches.into_iter().filter(is_some).collect())
    }

    fn several(&self) -> Option<Vec<(i64, i64)>> {
        let begin = self.now + self.first;
        let mut left = self.millis - self.first;
        let mut pieces: Vec<_> = self.curve.within(begin, self.latest).collect();
        pieces.sort_by_key(|piece| (piece.price, piece.from));
        let mut taken = vec![(self.now, begin)];
        for piece in pieces {
            let length = (piece.to - piece.from).min(left);
            left -= length;
            let follows = taken.iter().any(|(_, to)| *to == piece.from);
            let leads = taken.iter().any(|(from, _)| *from == piece.to);
            // A part of a piece is put beside what is taken already, so that there are fewer stops.
            taken.push(if leads && !follows {
                (piece.to - length, piece.to)
            } else {
                (piece.from, piece.from + length)
            });
            if left == 0 {
                break;
            }
        }
        (left == 0).then(|| joined(taken))
    }
}

/// Stretches in order, those that touch as one.
fn joined(mut stretches: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    stretches.retain(|(from, to)| from < to);
    stretches.sort_unstable();
    let mut joined: Vec<(i64, i64)> = Vec::with_capacity(stretches.len());
    for (from, to) in stretches {
        match joined.last_mut() {
            Some((_, end)) if *end == from => *end = to,
            _ => joined.push((from, to)),
        }
    }
    joined
}
