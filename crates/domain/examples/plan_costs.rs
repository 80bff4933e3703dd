//! Prints what plans cost against charging at once, for shapes of hourly prices as markets have them.
//! The prices are made up; the shapes are those of a winter's day with two peaks, a summer's day with
//! much sun, a windy night and a flat tariff.
//!
//! `cargo run -p livewatt-domain --example plan_costs`

#![expect(clippy::print_stdout, reason = "it is what the example is for")]

use livewatt_domain::{
    SignedDuration, Timestamp,
    money::Decimal,
    plan::{Decision, Inputs, Margin, PriceSpan, Style, plan},
    zone::Zone,
};

/// Prices in hundredths by the hour, from 17:00 to 08:00.
const SHAPES: [(&str, [i64; 15]); 5] = [
    (
        "two peaks",
        [38, 42, 40, 34, 28, 24, 21, 18, 16, 15, 15, 16, 20, 28, 36],
    ),
    (
        "much sun",
        [12, 18, 26, 31, 29, 25, 22, 20, 19, 18, 18, 17, 18, 16, 10],
    ),
    (
        "windy night",
        [25, 24, 20, 15, 9, 4, 0, -2, -3, -3, -1, 2, 6, 12, 18],
    ),
    (
        "day and night",
        [30, 30, 30, 30, 30, 12, 12, 12, 12, 12, 12, 12, 12, 30, 30],
    ),
    ("flat", [25; 15]),
];

/// Level, capacity in kWh, and rate in kW.
const VEHICLES: [(&str, f64, f64, f64); 3] = [
    ("20 of 60 kWh at 7.4 kW", 33.0, 60.0, 7.4),
    ("55 of 77 kWh at 11 kW", 71.0, 77.0, 11.0),
    ("10 of 40 kWh at 3.7 kW", 25.0, 40.0, 3.7),
];

fn main() {
    let Ok(now) = "2026-01-12T17:00Z".parse::<Timestamp>() else {
        return;
    };
    println!("| prices | vehicle | at once | one stop | saved | several | saved |");
    println!("|---|---|---|---|---|---|---|");
    for (shape, prices) in SHAPES {
        for (vehicle, level, capacity, rate) in VEHICLES {
            let inputs = |style| Inputs {
                now,
                deadline: "08:00"
                    .parse()
                    .unwrap_or(livewatt_domain::tariff::ClockTime::END),
                zone: Zone::UTC,
                level: Some(level),
                capacity_kwh: Some(capacity),
                limit: 100.0,
                minimum: 0.0,
                rate_kw: Some(rate),
                minutes_remaining: None,
                is_charging: true,
                margin: Margin::default(),
                style,
                least_saving: Decimal::ZERO,
                more_prices_at: None,
                may_await: false,
                currency: "EUR".parse().ok(),
                prices: hourly(now, &prices),
            };
            let (once, several) = (plan(&inputs(Style::Once)), plan(&inputs(Style::Several)));
            let at_once = once.non_smart_cost.unwrap_or_default();
            let cell = |cost: Option<Decimal>, decision: Decision| {
                let cost = cost.unwrap_or_default();
                let saved = match decision {
                    Decision::Shift if !at_once.is_zero() => {
                        ((at_once - cost) * Decimal::from(100) / at_once)
                            .round()
                            .to_string()
                            + " %"
                    }
                    _ => "none".to_owned(),
                };
                format!("{} | {saved}", cost.round_dp(2))
            };
            let once = cell(once.smart_cost, once.decision);
            let several = cell(several.smart_cost, several.decision);
            println!(
                "| {shape} | {vehicle} | {} | {once} | {several} |",
                at_once.round_dp(2)
            );
        }
    }
}

fn hourly(from: Timestamp, prices: &[i64]) -> Vec<PriceSpan> {
    let hours = prices.iter().zip(0..).map(|(cents, hour)| {
        let after = |hours| {
            let at = from.saturating_add(SignedDuration::from_hours(hours));
            at.unwrap_or(Timestamp::MAX)
        };
        PriceSpan {
            from: after(hour),
            to: after(hour + 1),
            per_kwh: Decimal::new(*cents, 2),
        }
    });
    hours.collect()
}
