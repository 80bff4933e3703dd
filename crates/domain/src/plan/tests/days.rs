//! Many random days.

use super::*;
use crate::entropy::{Entropy as _, SeededEntropy};

/// A random evening somewhere.
fn random_day(entropy: &SeededEntropy, style: Style) -> Inputs {
    let pick = |count: u64| entropy.next_u64() % count;
    let zones = [
        "UTC",
        "Europe/Oslo",
        "America/New_York",
        "Australia/Lord_Howe",
    ];
    // A third of the days are those on which clocks change.
    let changes = [
        "2026-03-28T12:00Z",
        "2026-10-24T12:00Z",
        "2026-03-07T18:00Z",
        "2026-10-31T18:00Z",
    ];
    let now = match pick(3) {
        0 => at(changes[pick(4) as usize]) + SignedDuration::from_mins(pick(1440) as i64),
        _ => at("2026-01-01T00:00Z") + SignedDuration::from_secs(pick(365 * 86_400) as i64),
    };
    let hour = now.as_second().div_euclid(3600) * 3600;
    // Some days are flat and known for a few hours only, until more prices come.
    let is_short = pick(5) == 0;
    let count = if is_short { 2 + pick(9) } else { 20 + pick(20) };
    let has_gaps = !is_short && pick(4) == 0;
    let flat = is_short.then(|| pick(60) as i64 - 8);
    let prices: Vec<_> = (0..count)
        .map(|_| (!has_gaps || pick(8) > 0).then(|| flat.unwrap_or_else(|| pick(60) as i64 - 8)))
        .collect();
    let minutes = pick(96) * 15;
    Inputs {
        now,
        deadline: format!("{:02}:{:02}", minutes / 60, minutes % 60)
            .parse()
            .unwrap(),
        zone: zones[pick(4) as usize].parse().unwrap(),
        level: Some((pick(1000) as f64) / 10.0),
        capacity_kwh: Some(20.0 + pick(80) as f64),
        limit: 70.0 + pick(31) as f64,
        minimum: [0.0, 0.0, 20.0, 50.0][pick(4) as usize],
        rate_kw: Some(2.0 + pick(20) as f64),
        minutes_remaining: (pick(5) == 0).then(|| pick(600) as f64),
        is_charging: true,
        margin: Margin::default(),
        style,
        least_saving: Decimal::ZERO,
        more_prices_at: (is_short || pick(4) == 0)
            .then(|| now + SignedDuration::from_hours(pick(8) as i64)),
        may_await: pick(2) == 0,
        currency: "EUR".parse().ok(),
        prices: hourly(Timestamp::from_second(hour).unwrap(), &prices),
    }
}

/// The cost of charging at times, summed up in another way than the planner does.
fn slow_cost(inputs: &Inputs, stretches: &[(Timestamp, Timestamp)]) -> Option<Decimal> {
    let mut sum = Decimal::ZERO;
    let watts = Decimal::from((inputs.rate_kw? * 1000.0).round() as i64);
    for (from, to) in stretches {
        let mut priced = 0;
        for span in &inputs.prices {
            let millis = to.min(&span.to).as_millisecond() - from.max(&span.from).as_millisecond();
            if millis > 0 {
                priced += millis;
                sum +=
                    Decimal::from(millis) * watts * span.per_kwh / Decimal::from(3_600_000_000_i64);
            }
        }
        if priced != to.as_millisecond() - from.as_millisecond() {
            return None;
        }
    }
    Some(sum)
}

#[test]
fn no_random_day_costs_more_than_without_a_plan() {
    let entropy = SeededEntropy::new(41);
    let (mut shifted, mut awaited) = (0, 0);
    for day in 0..10_000 {
        let style = if day % 2 == 0 {
            Style::Once
        } else {
            Style::Several
        };
        let inputs = random_day(&entropy, style);
        let made = plan(&inputs);
        let again: Inputs = serde_json::from_str(&serde_json::to_string(&inputs).unwrap()).unwrap();
        let text = serde_json::to_string(&made).unwrap();
        assert_eq!(serde_json::to_string(&plan(&again)).unwrap(), text);
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), made);
        awaited += usize::from(made.decision == Decision::Await);
        if made.decision != Decision::Shift {
            continue;
        }
        shifted += 1;
        let stretches: Vec<_> = made
            .charge
            .iter()
            .map(|one| (one.from, one.to.unwrap()))
            .collect();
        let length: i64 = stretches
            .iter()
            .map(|(from, to)| to.as_millisecond() - from.as_millisecond())
            .sum();
        let end = inputs.now + SignedDuration::from_millis(length);
        let without = slow_cost(&inputs, &[(inputs.now, end)]).unwrap();
        let with = slow_cost(&inputs, &stretches).unwrap();
        assert!(with < without, "{inputs:?}");
        let near =
            |told: Option<Decimal>, own: Decimal| (told.unwrap() - own).abs() <= Decimal::new(1, 6);
        assert!(
            near(made.smart_cost, with) && near(made.non_smart_cost, without),
            "{made:?}"
        );
        let reserve = SignedDuration::from_millis(length / 10) + SignedDuration::from_mins(15);
        assert!(
            made.finish_at.unwrap() + reserve <= made.due_at.unwrap(),
            "{made:?}"
        );
        if style == Style::Once {
            assert!(stretches.len() <= 2, "{made:?}");
        }
    }
    assert!(shifted > 2_000 && awaited > 20, "{shifted} {awaited}");
}

/// Drives a vehicle by plans, made anew now and then: its rate is not what was expected, and it
/// starts late. Returns whether it is full at its deadline.
fn is_full_in_time(
    inputs: &Inputs,
    rate: f64,
    delay: i64,
    replan: i64,
    awaits: &mut usize,
) -> bool {
    let tick = 5 * 60;
    let due = plan(inputs).due_at.unwrap();
    let capacity = inputs.capacity_kwh.unwrap();
    let (mut now, mut level) = (inputs.now, inputs.level.unwrap());
    let mut current = plan(inputs);
    let (mut is_charging, mut has_stopped, mut start_in) = (true, false, delay);
    let mut ticks = 0;
    while now < due && level < inputs.limit {
        let may_stop = inputs.style == Style::Several || !has_stopped || !is_charging;
        if ticks % replan == 0 && may_stop {
            let with = |level, now| Inputs {
                now,
                level: Some(level),
                minutes_remaining: None,
                is_charging,
                ..inputs.clone()
            };
            current = plan(&with(level, now));
            *awaits += usize::from(current.decision == Decision::Await);
        }
        let last = current.charge.last().map(|last| last.from);
        let is_in = current.charge.iter().any(|one| {
            let is_open = Some(one.from) == last && current.decision != Decision::Await;
            one.from <= now && (is_open || one.to.is_none_or(|to| now < to))
        });
        let is_late = current.latest_start_at.is_some_and(|latest| now >= latest);
        let is_wanted = is_in || is_late || matches!(current.decision, Decision::ChargeNow(_));
        if !is_wanted && may_stop {
            has_stopped |= is_charging;
            is_charging = false;
            start_in = delay;
        } else if !is_charging {
            is_charging = start_in <= 0;
            start_in -= tick;
        }
        if is_charging {
            level += rate * tick as f64 / 3600.0 / capacity * 100.0;
        }
        now += SignedDuration::from_secs(tick);
        ticks += 1;
    }
    level >= inputs.limit - 1e-6
}

#[test]
fn no_random_day_leaves_a_car_below_what_it_would_have_had() {
    let entropy = SeededEntropy::new(43);
    let (mut filled, mut unfilled, mut awaits) = (0, 0, 0);
    for day in 0..10_000 {
        let style = if day % 2 == 0 {
            Style::Once
        } else {
            Style::Several
        };
        let inputs = Inputs {
            minutes_remaining: None,
            ..random_day(&entropy, style)
        };
        // Down to a tenth slower than expected, and up to ten minutes late.
        let rate = inputs.rate_kw.unwrap() * (1.0 / 1.1 + entropy.unit() * 0.3);
        let delay = (entropy.next_u64() % 3) as i64 * 300;
        let Some(due) = due(inputs.now, inputs.deadline, &inputs.zone) else {
            unreachable!("there is always a next day")
        };
        let missing = (inputs.limit - inputs.level.unwrap()).max(0.0) / 100.0;
        let hours = missing * inputs.capacity_kwh.unwrap() / rate;
        let is_possible = hours * 3600.0 <= due.duration_since(inputs.now).as_secs_f64() - 300.0;
        // Most days are planned every hour; a few at every reading.
        let replan = if day % 50 == 0 { 1 } else { 12 };
        let is_full = is_full_in_time(&inputs, rate, delay, replan, &mut awaits);
        assert!(is_full || !is_possible, "{inputs:?} {rate} {delay}");
        filled += usize::from(is_full);
        unfilled += usize::from(!is_possible);
    }
    assert!(
        filled > 5_000 && unfilled > 500 && awaits > 100,
        "{filled} {unfilled} {awaits}"
    );
}
