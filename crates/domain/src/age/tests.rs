use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

/// The plain way: second by second.
fn slowly(span: Span) -> AgeTally {
    let mut tally = AgeTally::default();
    for at in span.from..span.to {
        let step = Span {
            from: at,
            to: at + 1,
            ..span
        };
        tally.add(step, None, 0);
    }
    tally
}

#[test]
fn what_is_allowed_is_the_interval_its_jitter_and_a_second() {
    let of = |secs| allowed(SignedDuration::from_secs(secs));
    assert_eq!([60, 120, 420, 1200].map(of), [67, 133, 463, 1321]);
    for age in [60, 120, 420, 1200].map(of) {
        assert!(BIN_BOUNDS.contains(&age), "{age} is told exactly");
    }
}

#[test]
fn a_gap_is_split_at_its_deadline() {
    let mut tally = AgeTally::default();
    let block = BlockAge::confirmed_at(1_000, 463);
    tally.add(block.span(0, 2_000, Grace(0)).unwrap(), None, 463);
    assert_eq!((tally.within, tally.beyond), (463, 537));
    assert_eq!((tally.standard, tally.peak), (463, 1_000));
    assert_eq!(tally.quantile(0.463), Some(463.0));
    assert_eq!(tally.quantile(1.0), Some(1_000.0));
    let polled = block.span(0, 1_470, Grace(7)).unwrap();
    let mut tally = AgeTally::default();
    tally.add(polled, None, 463);
    assert_eq!(tally.beyond, 0, "the poll took seven seconds");
}

#[test]
fn a_slower_promise_is_kept_and_seen() {
    let mut tally = AgeTally::default();
    let block = BlockAge::confirmed_at(1_000, 1_981);
    let span = block.span(1_000, 2_800, Grace(0)).unwrap();
    tally.add(span, Some(Slowed::PushReconciliation), 463);
    assert_eq!(
        (tally.within, tally.beyond, tally.standard),
        (1_800, 0, 463)
    );
    assert_eq!(tally.slowed_by(Slowed::PushReconciliation), 1_800);
    assert_eq!(tally.slowed_by(Slowed::Budget), 0);
}

#[test]
fn a_tighter_promise_binds_from_when_we_learned_of_it() {
    let mut block = BlockAge::confirmed_at(1_000, 463);
    assert!(!block.retarget(1_300, 133));
    assert_eq!(block.deadline(), Some(1_433), "133 s from then");
    let mut block = BlockAge::confirmed_at(1_000, 463);
    block.retarget(1_400, 133);
    assert_eq!(block.deadline(), Some(1_463), "the old one ends earlier");
    block.retarget(1_410, 463);
    assert_eq!(block.deadline(), Some(1_463));
    let mut block = BlockAge::confirmed_at(1_000, 463);
    block.retarget(1_010, 133);
    assert_eq!(block.deadline(), Some(1_143));
}

#[test]
fn a_breach_opens_once_and_ends_when_the_promise_is_loosened() {
    let mut block = BlockAge::confirmed_at(1_000, 133);
    assert_eq!(block.overdue(1_133, Grace(0)), None);
    assert_eq!(block.overdue(1_134, Grace(0)), Some(1_133));
    assert_eq!(block.overdue(1_134, Grace(5)), None);
    block.open();
    assert!(block.is_open());
    assert_eq!(block.overdue(9_999, Grace(0)), None);
    let span = block.span(1_133, 1_200, Grace(0)).unwrap();
    let mut tally = AgeTally::default();
    tally.add(span, None, 133);
    assert_eq!((tally.within, tally.beyond), (0, 67));
    assert!(!block.retarget(1_200, 133));
    assert!(block.retarget(1_200, 463));
    assert_eq!(block.deadline(), Some(1_463));
}

#[test]
fn a_clock_set_back_lets_nothing_be_from_the_future() {
    let mut block = BlockAge::confirmed_at(5_000, 463);
    block.rewind(1_000, 463);
    assert_eq!(block, BlockAge::confirmed_at(1_000, 463));
    let mut block = BlockAge::confirmed_at(5_000, 463);
    block.rewind(5_100, 463);
    assert_eq!(block, BlockAge::confirmed_at(5_000, 463));
}

#[test]
fn what_was_never_told_has_no_age() {
    let mut block = BlockAge::default();
    assert_eq!(block.span(0, 9_999, Grace(0)), None);
    assert_eq!(block.overdue(9_999, Grace(0)), None);
    assert!(!block.retarget(5, 5) && !block.is_open());
    block.restart(5, 5);
    assert_eq!(block, BlockAge::default());
    assert_eq!(AgeTally::default().quantile(0.5), None);
}

#[test]
fn reasons_have_names() {
    for reason in BreachReason::ALL {
        assert_eq!(reason.name().parse(), Ok(reason));
        let json = serde_json::to_value(reason).unwrap();
        assert_eq!(json, reason.name());
    }
    for (index, reason) in BreachReason::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, index);
    }
    for (index, slowed) in Slowed::ALL.into_iter().enumerate() {
        assert_eq!(slowed as usize, index);
        assert_eq!(serde_json::to_value(slowed).unwrap(), slowed.name());
    }
}

fn spans() -> impl Strategy<Value = Span> {
    (1u32..5_000, 0u32..3_000, 0u32..3_000, 0u32..9_000).prop_map(
        |(confirmed, wait, length, deadline)| Span {
            from: confirmed + wait,
            to: confirmed + wait + length,
            confirmed,
            deadline,
        },
    )
}

proptest! {
    #[test]
    fn spans_are_counted_as_if_second_by_second(span in spans()) {
        let mut tally = AgeTally::default();
        tally.add(span, None, 0);
        prop_assert_eq!(&tally, &slowly(span));
        prop_assert_eq!(tally.reachable(), u64::from(span.to - span.from));
        prop_assert_eq!(tally.bins().sum::<u64>(), tally.reachable());
    }

    #[test]
    fn tallies_add_up_however_time_is_cut(span in spans(), cut in 0u32..9_000) {
        let cut = cut.clamp(span.from, span.to);
        let mut whole = AgeTally::default();
        whole.add(span, Some(Slowed::Budget), 463);
        let mut parts = AgeTally::default();
        let mut rest = AgeTally::default();
        parts.add(Span { to: cut, ..span }, Some(Slowed::Budget), 463);
        rest.add(Span { from: cut, ..span }, Some(Slowed::Budget), 463);
        parts.merge(&rest);
        prop_assert_eq!(parts, whole);
    }

    #[test]
    fn quantiles_rise_and_end_at_the_peak(spans in prop::collection::vec(spans(), 1..8)) {
        let mut tally = AgeTally::default();
        spans.iter().for_each(|span| tally.add(*span, None, 0));
        let ages: Vec<f64> = (0..=10)
            .filter_map(|tenth| tally.quantile(f64::from(tenth) / 10.0))
            .collect();
        prop_assert!(ages.is_sorted(), "{ages:?}");
        if tally.reachable() > 0 {
            prop_assert_eq!(ages.last().copied(), Some(f64::from(tally.peak)));
        }
    }

    #[test]
    fn hours_of_a_century_are_those_of_its_last_week(from in 0u32..1_000, to in 3_000_000_000u32..) {
        let told: Vec<_> = hours(from, to).collect();
        prop_assert!((168..=169).contains(&told.len()));
        prop_assert_eq!(told.first().map(|(_, begin, _)| *begin), Some(to - 604_800));
        prop_assert_eq!(told.last().map(|(_, _, end)| *end), Some(to));
    }

    #[test]
    fn hours_cover_a_time_without_gap(from in 0u32..100_000, length in 0u32..50_000) {
        let mut at = from;
        for (hour, begin, end) in hours(from, from + length) {
            prop_assert_eq!(begin, at);
            prop_assert!(hour % 3_600 == 0 && hour <= begin && end <= hour + 3_600 && begin < end);
            at = end;
        }
        prop_assert_eq!(at, from + length);
    }

    /// A deadline is never later than a promise from now, nor earlier than the promise itself.
    #[test]
    fn a_new_promise_is_neither_harsh_nor_lax(
        old in 1u32..2_000, new in 1u32..2_000, wait in 0u32..2_000,
    ) {
        let mut block = BlockAge::confirmed_at(1_000, old);
        let now = 1_000 + wait.min(old);
        block.retarget(now, new);
        let deadline = block.deadline().unwrap();
        prop_assert!(deadline >= 1_000 + new);
        prop_assert!(deadline <= (now + new).max(1_000 + new));
        prop_assert!(deadline <= (1_000 + old).max(1_000 + new));
    }
}
