//! Prices over time, summed exactly.

use super::PriceSpan;
use crate::money::Decimal;

/// Digits after the point that a price keeps.
const DIGITS: u32 = 12;

/// Price units times milliseconds times watts, in a millionth of the currency: a kWh is 3.6e9 watt
/// milliseconds, and a price unit is a 1e-12th.
pub(super) const PER_MILLIONTH: i128 = 3_600_000_000 * 1_000_000;

/// A piece of time with one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// From when, ms.
    pub(super) from: i64,
    /// Until when, ms.
    pub(super) to: i64,
    /// In units of 1e-12 of the currency for a kWh.
    pub(super) price: i128,
}

/// Prices over time.
#[derive(Debug)]
pub(super) struct Curve {
    /// In order, without overlaps.
    pieces: Vec<Piece>,
    /// The sum of prices over time before each piece.
    before: Vec<i128>,
    /// How many gaps there are before each piece.
    gaps: Vec<usize>,
}

/// A price beyond this is a mistake, and counts as none.
const MOST: i64 = 1_000_000_000;

impl Curve {
    /// The curve of spans in order; where two overlap, the first one counts.
    pub(super) fn new(spans: &[PriceSpan]) -> Self {
        let mut pieces: Vec<Piece> = Vec::with_capacity(spans.len());
        for span in spans {
            let end = pieces.last().map_or(i64::MIN, |last| last.to);
            let from = span.from.as_millisecond().max(end);
            let to = span.to.as_millisecond();
            if span.per_kwh.abs() > Decimal::from(MOST) || from >= to {
                continue;
            }
            let price = span.per_kwh.round_dp(DIGITS);
            let missing = DIGITS.saturating_sub(price.scale());
            let price = price.mantissa() * 10_i128.pow(missing);
            pieces.push(Piece { from, to, price });
        }
        let (mut sum, mut count) = (0, 0);
        let (mut before, mut gaps) = (Vec::new(), Vec::new());
        let mut end = None;
        for piece in &pieces {
            count += usize::from(end != Some(piece.from));
            end = Some(piece.to);
            gaps.push(count);
            before.push(sum);
            sum += piece.price * i128::from(piece.to - piece.from);
        }
        Self {
            pieces,
            before,
            gaps,
        }
    }

    /// When the last price ends, ms.
    pub(super) fn end(&self) -> i64 {
        self.pieces.last().map_or(i64::MIN, |last| last.to)
    }

    /// The pieces within a stretch of time.
    pub(super) fn within(&self, from: i64, to: i64) -> impl Iterator<Item = Piece> {
        let first = self.pieces.partition_point(|piece| piece.to <= from);
        let pieces = self.pieces.iter().skip(first);
        let pieces = pieces.take_while(move |piece| piece.from < to);
        pieces.map(move |piece| Piece {
            from: piece.from.max(from),
            to: piece.to.min(to),
            price: piece.price,
        })
    }

    /// Whether there is a price all the time.
    pub(super) fn is_known(&self, from: i64, to: i64) -> bool {
        let known: i64 = self
            .within(from, to)
            .map(|piece| piece.to - piece.from)
            .sum();
        known == (to - from).max(0)
    }

    /// The sum of prices over stretches of time; `None` if there is not always one.
    pub(super) fn sum(&self, stretches: &[(i64, i64)]) -> Option<i128> {
        let mut sum = 0;
        for &(from, to) in stretches {
            if from < to {
                if !self.is_unbroken(from, to) {
                    return None;
                }
                sum += self.until(to) - self.until(from);
            }
        }
        Some(sum)
    }

    fn is_unbroken(&self, from: i64, to: i64) -> bool {
        let first = self.pieces.partition_point(|piece| piece.to <= from);
        let last = self.pieces.partition_point(|piece| piece.to < to);
        let begins = self
            .pieces
            .get(first)
            .is_some_and(|piece| piece.from <= from);
        let ends = self.pieces.get(last).is_some_and(|piece| piece.from < to);
        begins && ends && self.gaps.get(first) == self.gaps.get(last)
    }

    /// The sum of prices over all time before.
    fn until(&self, at: i64) -> i128 {
        let index = self.pieces.partition_point(|piece| piece.to <= at);
        match (self.pieces.get(index), self.before.get(index)) {
            (Some(piece), Some(before)) => {
                before + piece.price * i128::from((at - piece.from).max(0))
            }
            _ => self
                .pieces
                .last()
                .zip(self.before.last())
                .map_or(0, |(piece, before)| {
                    before + piece.price * i128::from(piece.to - piece.from)
                }),
        }
    }
}
