use proptest::prelude::*;

use super::{curve::Curve, solve::Task, *};

mod days;
mod oracle;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Hourly prices in hundredths, from a moment on; `None` for none.
fn hourly(from: Timestamp, prices: &[Option<i64>]) -> Vec<PriceSpan> {
    let spans = prices.iter().enumerate().filter_map(|(hour, cents)| {
        let from = from + SignedDuration::from_hours(hour as i64);
        let to = from + SignedDuration::from_hours(1);
        let per_kwh = Decimal::new((*cents)?, 2);
        Some(PriceSpan { from, to, per_kwh })
    });
    spans.collect()
}

/// A vehicle that charges 40 kWh in four hours, due at seven.
fn evening(prices: &[Option<i64>]) -> Inputs {
    let now = at("2026-06-01T18:00Z");
    Inputs {
        now,
        deadline: "07:00".parse().unwrap(),
        zone: Zone::UTC,
        level: Some(20.0),
        capacity_kwh: Some(50.0),
        limit: 100.0,
        minimum: 0.0,
        rate_kw: Some(10.0),
        minutes_remaining: None,
        is_charging: true,
        margin: Margin {
            secs: 0,
            percent: 0,
        },
        style: Style::Once,
        least_saving: Decimal::ZERO,
        more_prices_at: None,
        may_await: false,
        currency: "EUR".parse().ok(),
        prices: hourly(now, prices),
    }
}

fn known(prices: &[i64]) -> Vec<Option<i64>> {
    prices.iter().copied().map(Some).collect()
}

fn cents(amount: Option<Decimal>) -> i64 {
    (amount.unwrap() * Decimal::from(100)).try_into().unwrap()
}

/// From 18:00 to 07:00: dear in the evening, cheapest at 02:00 and 03:00, and at 20:00.
const NIGHT: [i64; 13] = [30, 40, 10, 40, 30, 20, 20, 15, 5, 5, 15, 20, 30];

#[test]
fn it_stops_once_and_starts_when_it_is_cheapest() {
    let plan = plan(&evening(&known(&NIGHT)));
    assert_eq!(plan.decision, Decision::Shift);
    assert_eq!(plan.due_at, Some(at("2026-06-02T07:00Z")));
    assert_eq!(plan.stop_at, Some(at("2026-06-01T18:00Z")));
    assert_eq!(plan.start_at, Some(at("2026-06-02T01:00Z")));
    assert_eq!(plan.finish_at, Some(at("2026-06-02T05:00Z")));
    assert_eq!(plan.latest_start_at, Some(at("2026-06-02T03:00Z")));
    assert_eq!(cents(plan.non_smart_cost), 1200);
    assert_eq!(cents(plan.smart_cost), 400);
    assert_eq!(cents(plan.saving), 800);
    let [stretch] = plan.charge.as_slice() else {
        panic!("{plan:?}")
    };
    assert_eq!(stretch.kwh, Some(Decimal::from(40)));
    assert_eq!(stretch.level, Some(100.0));
    assert_eq!(stretch.why, [Why::CheapestPrice]);
}

#[test]
fn several_stretches_cost_less_than_one() {
    let inputs = Inputs {
        style: Style::Several,
        ..evening(&known(&NIGHT))
    };
    let plan = plan(&inputs);
    assert_eq!(cents(plan.smart_cost), 350);
    let times: Vec<_> = plan.charge.iter().map(|stretch| stretch.from).collect();
    assert_eq!(times, [at("2026-06-01T20:00Z"), at("2026-06-02T01:00Z")]);
    assert_eq!(plan.start_at, Some(times[0]));
    let levels: Vec<_> = plan.charge.iter().map(|stretch| stretch.level).collect();
    assert_eq!(levels, [Some(40.0), Some(100.0)]);
    let sum: Decimal = plan.charge.iter().filter_map(|stretch| stretch.cost).sum();
    assert_eq!(Some(sum), plan.smart_cost);
}

#[test]
fn up_to_the_minimum_level_it_charges_at_once() {
    let inputs = Inputs {
        minimum: 40.0,
        ..evening(&known(&NIGHT))
    };
    let first = plan(&inputs);
    let times: Vec<_> = first
        .charge
        .iter()
        .map(|stretch| (stretch.from, stretch.to))
        .collect();
    let stop = at("2026-06-01T19:00Z");
    assert_eq!(times[0], (inputs.now, Some(stop)));
    assert_eq!(first.charge[0].why, [Why::MinimumLevel]);
    assert_eq!(first.charge[0].level, Some(40.0));
    assert_eq!(
        (first.stop_at, first.start_at),
        (Some(stop), Some(at("2026-06-02T01:00Z")))
    );
    assert_eq!(cents(first.smart_cost), 300 + 50 + 50 + 150);
    // A vehicle that is not charging, but below its minimum, starts, stops and starts.
    let paused = Inputs {
        is_charging: false,
        ..inputs.clone()
    };
    assert_eq!(plan(&paused).charge, first.charge);
    // Without a level nobody knows.
    let unknown = Inputs {
        level: None,
        minutes_remaining: Some(240.0),
        ..inputs
    };
    assert_eq!(plan(&unknown).decision, Decision::ChargeNow(Doubt::NoLevel));
}

#[test]
fn in_doubt_it_charges_at_once() {
    let inputs = evening(&known(&NIGHT));
    let decide = |change: &dyn Fn(&mut Inputs)| {
        let mut inputs = inputs.clone();
        change(&mut inputs);
        let plan = plan(&inputs);
        let is_at_once = plan
            .charge
            .first()
            .is_some_and(|first| first.from == inputs.now);
        assert!(
            is_at_once && plan.stop_at.is_none() && plan.start_at.is_none(),
            "{plan:?}"
        );
        plan.decision
    };
    let doubt = Decision::ChargeNow;
    assert_eq!(
        decide(&|inputs| inputs.rate_kw = None),
        doubt(Doubt::NoEstimate)
    );
    assert_eq!(
        decide(&|inputs| inputs.rate_kw = Some(0.0)),
        doubt(Doubt::NoEstimate)
    );
    assert_eq!(
        decide(&|inputs| inputs.capacity_kwh = None),
        doubt(Doubt::NoEstimate)
    );
    assert_eq!(
        decide(&|inputs| inputs.level = None),
        doubt(Doubt::NoEstimate)
    );
    assert_eq!(
        decide(&|inputs| inputs.level = Some(f64::NAN)),
        doubt(Doubt::NoEstimate)
    );
    let slow = |inputs: &mut Inputs| inputs.rate_kw = Some(3.0);
    assert_eq!(decide(&slow), doubt(Doubt::DeadlineInfeasible));
    let near = |inputs: &mut Inputs| inputs.deadline = "22:10".parse().unwrap();
    assert_eq!(
        decide(&|inputs| {
            near(inputs);
            inputs.margin.secs = 601;
        }),
        doubt(Doubt::DeadlineNear)
    );
    assert_eq!(
        decide(&|inputs| {
            near(inputs);
            inputs.margin.percent = 5;
        }),
        doubt(Doubt::DeadlineNear)
    );
    assert_eq!(
        decide(&|inputs| inputs.prices.clear()),
        doubt(Doubt::NoPrice)
    );
    assert_eq!(
        decide(&|inputs| {
            inputs.prices.remove(2);
        }),
        doubt(Doubt::NoPrice)
    );
    let flat = |inputs: &mut Inputs| inputs.prices = hourly(inputs.now, &[Some(20); 13]);
    assert_eq!(decide(&flat), doubt(Doubt::NoSaving));
    let little = |inputs: &mut Inputs| inputs.least_saving = Decimal::new(801, 2);
    assert_eq!(decide(&little), doubt(Doubt::NoSaving));
    // The vehicle's own, longer estimate counts: ten hours leave no cheaper ones.
    let long = |inputs: &mut Inputs| inputs.minutes_remaining = Some(790.0);
    assert_eq!(decide(&long), doubt(Doubt::DeadlineInfeasible));
    let full = plan(&Inputs {
        level: Some(100.0),
        ..inputs.clone()
    });
    assert_eq!((full.decision, full.charge.len()), (Decision::Full, 0));
    let full = plan(&Inputs {
        level: Some(80.0),
        limit: 80.0,
        ..inputs
    });
    assert_eq!(full.decision, Decision::Full);
}

#[test]
fn it_tells_what_bound_it() {
    // The cheapest hours come after the deadline.
    let mut prices = NIGHT.to_vec();
    prices.extend([1; 4]);
    let inputs = evening(&known(&prices));
    let bound = plan(&inputs);
    assert_eq!(bound.charge[0].why, [Why::CheapestPrice, Why::Deadline]);
    // Some hours have no price: they are not used.
    let mut prices = known(&NIGHT);
    prices[8] = None;
    let gap = plan(&evening(&prices));
    assert_eq!(gap.charge[0].why, [Why::CheapestPrice, Why::NoPrice]);
    assert_eq!(cents(gap.smart_cost), 50 + 150 + 200 + 300);
}

#[test]
fn it_waits_for_prices_only_if_it_may_and_no_longer_than_is_safe() {
    // Known until 23:00, and flat.
    let inputs = Inputs {
        more_prices_at: Some(at("2026-06-01T21:00Z")),
        ..evening(&[Some(20); 5])
    };
    assert_eq!(plan(&inputs).decision, Decision::ChargeNow(Doubt::NoSaving));
    let waiting = Inputs {
        may_await: true,
        ..inputs
    };
    let waits = plan(&waiting);
    assert_eq!(waits.decision, Decision::Await);
    assert_eq!((waits.stop_at, waits.start_at), (Some(waiting.now), None));
    assert_eq!((waits.smart_cost, cents(waits.non_smart_cost)), (None, 800));
    assert_eq!(waits.replan_at, waiting.more_prices_at);
    assert_eq!(waits.latest_start_at, Some(at("2026-06-02T03:00Z")));
    // Later, when it was stopped and charging at once has no price any more.
    let mut later = Inputs {
        now: at("2026-06-01T20:00Z"),
        is_charging: false,
        ..waiting.clone()
    };
    assert_eq!(plan(&later).decision, Decision::Await);
    later.is_charging = true;
    assert_eq!(plan(&later).decision, Decision::ChargeNow(Doubt::NoPrice));
    // Prices that are expected too late, or were expected in vain.
    for expected in ["2026-06-02T03:00:01Z", "2026-06-01T18:00Z"] {
        let inputs = Inputs {
            more_prices_at: Some(at(expected)),
            ..waiting.clone()
        };
        assert_eq!(plan(&inputs).decision, Decision::ChargeNow(Doubt::NoSaving));
    }
    // What the known prices allow is planned, and again when there are more.
    let cheaper = waiting.with_prices(
        waiting.currency,
        hourly(waiting.now, &known(&[30, 20, 20, 20, 10])),
    );
    let shift = plan(&cheaper);
    assert_eq!(shift.decision, Decision::Shift);
    assert_eq!(
        (shift.start_at, shift.replan_at),
        (Some(at("2026-06-01T19:00Z")), waiting.more_prices_at)
    );
}

#[test]
fn nights_of_changing_clocks_have_their_own_length() {
    // Oslo, from 22:00 to 07:00: eight hours, nine, and ten.
    for (now, hours) in [
        ("2026-03-28T21:00Z", 8),
        ("2026-06-01T20:00Z", 9),
        ("2026-10-24T20:00Z", 10),
    ] {
        let now = at(now);
        // Falling: the last four hours are the cheapest.
        let prices: Vec<_> = (0..hours).map(|hour| Some(50 - hour)).collect();
        let inputs = Inputs {
            now,
            zone: "Europe/Oslo".parse().unwrap(),
            prices: hourly(now, &prices),
            ..evening(&[])
        };
        let plan = plan(&inputs);
        let due = now + SignedDuration::from_hours(hours);
        assert_eq!(plan.due_at, Some(due));
        assert_eq!(plan.finish_at, Some(due));
        assert_eq!(plan.start_at, Some(due - SignedDuration::from_hours(4)));
        let last_four: i64 = (hours - 4..hours).map(|hour| 10 * (50 - hour)).sum();
        assert_eq!(cents(plan.smart_cost), last_four);
    }
}

#[test]
fn quarter_hours_become_spans() {
    let start = at("2026-06-01T00:00Z");
    let price = |cents, currency: &str| Price {
        per_kwh: Decimal::new(cents, 2),
        currency: currency.parse().ok(),
        source: crate::tariff::PriceSource::Market("x".to_owned()),
    };
    let quarters = [
        Some(price(1, "EUR")),
        Some(price(1, "EUR")),
        Some(price(2, "EUR")),
        None,
        Some(price(2, "EUR")),
        Some(price(2, "NOK")),
    ];
    let quarters = quarters
        .into_iter()
        .enumerate()
        .map(|(index, price)| (start + SignedDuration::from_mins(15 * index as i64), price));
    let (currency, spans) = spans(quarters);
    assert_eq!(currency, "EUR".parse().ok());
    let lengths: Vec<_> = spans
        .iter()
        .map(|span| (span.to.duration_since(span.from).as_mins(), span.per_kwh))
        .collect();
    assert_eq!(
        lengths,
        [
            (30, Decimal::new(1, 2)),
            (15, Decimal::new(2, 2)),
            (15, Decimal::new(2, 2))
        ]
    );
}
