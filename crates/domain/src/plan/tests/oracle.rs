//! Small cases, in which every plan is tried.

use super::*;

/// A case small enough to try every plan. All times are in units.
#[derive(Debug, Clone)]
struct Small {
    prices: Vec<Option<i64>>,
    latest: usize,
    millis: usize,
    first: usize,
    may_stop: bool,
}

const UNIT: i64 = 900_000;

fn small() -> impl Strategy<Value = Small> {
    let price = prop_oneof![30 => (-3..8_i64).prop_map(Some), 1 => Just(None)];
    (
        prop::collection::vec((price, 1..4_usize), 2..7),
        0..4_usize,
        1..7_usize,
        0..4_usize,
        any::<bool>(),
    )
        .prop_map(|(mut runs, after, millis, first, may_stop)| {
            runs.dedup_by_key(|(price, _)| *price);
            let units = |(price, length)| std::iter::repeat_n(price, length);
            let mut prices: Vec<_> = runs.into_iter().flat_map(units).collect();
            prices.truncate(13);
            Small {
                latest: prices.len() - after.min(prices.len() - 1),
                prices,
                millis,
                first: first.min(millis),
                may_stop: may_stop || first > 0,
            }
        })
}

impl Small {
    /// The cost of charging in the units of a set; `None` if that is not allowed.
    fn cost(&self, set: u32, style: Style) -> Option<i64> {
        let is_on = |unit: usize| set >> unit & 1 == 1;
        let is_first_charged = (0..self.first).all(is_on);
        if set.count_ones() as usize != self.millis || !is_first_charged {
            return None;
        }
        let starts =
            (0..self.latest).filter(|unit| is_on(*unit) && (*unit == 0 || !is_on(unit - 1)));
        let starts: Vec<_> = starts.collect();
        let is_once = match starts.as_slice() {
            [_] => true,
            [0, _] => self.may_stop,
            _ => false,
        };
        if style == Style::Once && !is_once {
            return None;
        }
        (0..self.latest)
            .filter(|unit| is_on(*unit))
            .map(|unit| self.prices[unit])
            .sum()
    }

    fn cheapest(&self, style: Style) -> Option<i64> {
        (0..1_u32 << self.latest)
            .filter_map(|set| self.cost(set, style))
            .min()
    }

    fn spans(&self) -> Vec<PriceSpan> {
        let moment = |unit: usize| Timestamp::from_millisecond(unit as i64 * UNIT).unwrap();
        // Longer than a unit, so that the planner must find out where within them to stop and start.
        let mut spans: Vec<PriceSpan> = Vec::new();
        for (unit, price) in self.prices.iter().enumerate() {
            let Some(per_kwh) = price.map(Decimal::from) else {
                continue;
            };
            let (from, to) = (moment(unit), moment(unit + 1));
            match spans.last_mut() {
                Some(last) if last.to == from && last.per_kwh == per_kwh => last.to = to,
                _ => spans.push(PriceSpan { from, to, per_kwh }),
            }
        }
        spans
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// No plan is cheaper than the planner's: every single one is tried.
    #[test]
    fn nothing_is_cheaper(small in small()) {
        let curve = Curve::new(&small.spans());
        let task = Task {
            curve: &curve,
            now: 0,
            first: small.first as i64 * UNIT,
            millis: small.millis as i64 * UNIT,
            latest: small.latest as i64 * UNIT,
            may_stop: small.may_stop,
        };
        for style in [Style::Once, Style::Several] {
            let solution = task.solve(style);
            let found = solution.as_ref().map(|solution| solution.sum);
            let expected = small.cheapest(style);
            // Prices are in units of 1e-12, and time in ms.
            let expected = expected.map(|price| i128::from(price) * 1_000_000_000_000 * i128::from(UNIT));
            prop_assert_eq!(found, expected, "{:?}", style);
            let Some(solution) = solution else { continue };
            let length: i64 = solution.stretches.iter().map(|(from, to)| to - from).sum();
            prop_assert_eq!(length, task.millis);
            prop_assert!(solution.stretches.iter().all(|(from, to)| 0 <= *from && from < to && *to <= task.latest));
            prop_assert!(solution.stretches.windows(2).all(|pair| pair[0].1 < pair[1].0));
            let begins = solution.stretches[0];
            prop_assert!(task.first == 0 || (begins.0 == 0 && begins.1 >= task.first));
            if style == Style::Once {
                let most = if task.may_stop { 2 } else { 1 };
                prop_assert!(solution.stretches.len() <= most);
                prop_assert!(solution.stretches.len() < 2 || begins.0 == 0);
            }
        }
    }

    /// The whole planner against the same: its cost is that of the cheapest plan, or of none.
    #[test]
    fn a_plan_costs_what_the_cheapest_does(small in small(), several in any::<bool>()) {
        let style = if several { Style::Several } else { Style::Once };
        let small = Small { first: 0, may_stop: true, ..small };
        // One unit is a quarter hour, and a quarter of a kWh.
        let minutes = small.latest as i64 * 15;
        let inputs = Inputs {
            now: Timestamp::UNIX_EPOCH,
            deadline: format!("{:02}:{:02}", minutes / 60, minutes % 60).parse().unwrap(),
            level: None,
            minutes_remaining: Some(small.millis as f64 * 15.0),
            rate_kw: Some(1.0),
            style,
            prices: small.spans(),
            ..evening(&[])
        };
        let plan = plan(&inputs);
        let at_once: Option<i64> = (0..small.millis).map(|unit| small.prices.get(unit).copied().flatten()).sum();
        let quarter = |price: i64| Decimal::new(price * 25, 2);
        if small.millis > small.latest {
            prop_assert_eq!(plan.decision, Decision::ChargeNow(Doubt::DeadlineInfeasible));
            return Ok(());
        }
        prop_assert_eq!(plan.non_smart_cost, at_once.map(quarter));
        let cheapest = at_once.and(small.cheapest(style));
        prop_assert_eq!(plan.smart_cost, cheapest.map(quarter));
        let is_shifted = cheapest.zip(at_once).is_some_and(|(cheapest, at_once)| cheapest < at_once);
        prop_assert_eq!(plan.decision == Decision::Shift, is_shifted);
    }
}
