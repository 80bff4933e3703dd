//! When a vehicle is to charge: the planner of smart charging.
//!
//! All that it goes by is in [`Inputs`], which can be stored; [`plan`] is a function of them, so a
//! plan can be made anew years later, and with other prices. It is exact for its model, in which a
//! vehicle charges at a constant rate until it is full: no other plan of the same style costs less.
//!
//! What must stay true:
//! - A vehicle that would be full at its deadline without a plan is so with one, even if it charges
//!   slower than expected by [`Margin::percent`] and starts late by [`Margin::secs`].
//! - By the prices that were known, a plan costs less than charging at once, or there is none.
//!   [`Decision::Await`], which is made only if [`Inputs::may_await`], is a bet and the exception.
//! - In doubt it charges at once: without a price, a level, a rate, or the time.
//! - The same inputs make the same plan, byte for byte.

mod curve;
mod draft;
mod due;
mod solve;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use self::draft::{Draft, Need};
pub use self::due::due;
use crate::{
    money::{Currency, Decimal},
    tariff::{ClockTime, Price},
    zone::Zone,
};

/// How often a plan may stop and start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Style {
    /// Stop once and start once, which is all that the contract's plans can tell.
    #[default]
    Once,
    /// Charge whenever it is cheapest.
    Several,
}

/// How much earlier than the deadline a plan ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Margin {
    /// For commands that take effect late, s.
    pub secs: u32,
    /// For charging that is slower than expected, % of the time that it takes.
    pub percent: u32,
}

impl Default for Margin {
    fn default() -> Self {
        Self {
            secs: 15 * 60,
            percent: 10,
        }
    }
}

/// What a kWh costs for a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PriceSpan {
    /// From when, inclusive.
    #[serde(serialize_with = "crate::time::serialize")]
    pub from: Timestamp,
    /// Until when, exclusive.
    #[serde(serialize_with = "crate::time::serialize")]
    pub to: Timestamp,
    /// The amount for a kWh; may be negative.
    pub per_kwh: Decimal,
}

/// All that a plan goes by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inputs {
    /// The moment of planning.
    #[serde(serialize_with = "crate::time::serialize")]
    pub now: Timestamp,
    /// The time of day by which the vehicle must be full.
    pub deadline: ClockTime,
    /// The zone of the place where it charges.
    pub zone: Zone,
    /// State of charge, %.
    pub level: Option<f64>,
    /// Usable capacity, kWh.
    pub capacity_kwh: Option<f64>,
    /// Level at which charging ends, %.
    pub limit: f64,
    /// Up to this level it charges at once, %.
    pub minimum: f64,
    /// Power at which it is expected to charge, kW.
    pub rate_kw: Option<f64>,
    /// Minutes until it is full by its own estimate, if it makes one; the longer estimate counts.
    pub minutes_remaining: Option<f64>,
    /// Whether it charges now, so that it can be stopped.
    pub is_charging: bool,
    /// How much earlier than the deadline the plan ends.
    pub margin: Margin,
    /// How often the plan may stop and start.
    pub style: Style,
    /// A plan that saves less is none; 0 for any.
    pub least_saving: Decimal,
    /// When prices of later times are expected.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub more_prices_at: Option<Timestamp>,
    /// Whether to wait for those, at a risk, where the prices that are known save nothing.
    pub may_await: bool,
    /// The currency of the prices.
    pub currency: Option<Currency>,
    /// The prices, in order; times between them have none.
    pub prices: Vec<PriceSpan>,
}

impl Inputs {
    /// The same with other prices.
    pub fn with_prices(&self, currency: Option<Currency>, prices: Vec<PriceSpan>) -> Self {
        Self {
            currency,
            prices,
            ..self.clone()
        }
    }
}

/// Quarter hours with their prices, as [`crate::tariff::prices`] tells them, as spans: as few as
/// possible. What is in another currency than the first price has no price.
pub fn spans(
    quarters: impl IntoIterator<Item = (Timestamp, Option<Price>)>,
) -> (Option<Currency>, Vec<PriceSpan>) {
    let mut currency = None;
    let mut spans: Vec<PriceSpan> = Vec::new();
    for (from, price) in quarters {
        let Some(price) = price else { continue };
        let to = from.saturating_add(SignedDuration::from_mins(15));
        let to = to.unwrap_or(Timestamp::MAX);
        if spans.is_empty() {
            currency = price.currency;
        } else if price.currency != currency {
            continue;
        }
        let per_kwh = price.per_kwh;
        match spans.last_mut() {
            Some(last) if last.to == from && last.per_kwh == per_kwh => last.to = to,
            _ => spans.push(PriceSpan { from, to, per_kwh }),
        }
    }
    (currency, spans)
}

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Decision {
    /// There is nothing to charge.
    Full,
    /// Charge at once.
    ChargeNow(Doubt),
    /// Charge when it is cheap.
    Shift,
    /// Pause until prices come, but no longer than until [`Plan::latest_start_at`].
    Await,
}

/// Why there is no better than to charge at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Doubt {
    /// It is not known how much to charge, or how fast.
    NoEstimate,
    /// It is not known whether the minimum level is reached.
    NoLevel,
    /// There is no next deadline.
    NoDeadline,
    /// It cannot be full at its deadline anyway.
    DeadlineInfeasible,
    /// It would be full at its deadline, with too little time to spare.
    DeadlineNear,
    /// It is not known what charging at once costs.
    NoPrice,
    /// Nothing, or too little, would be saved.
    NoSaving,
}

/// Why it charges just then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Why {
    /// There is no better than at once; see [`Decision::ChargeNow`].
    AtOnce,
    /// The level is below the minimum.
    MinimumLevel,
    /// That is cheapest.
    CheapestPrice,
    /// It would be cheaper later, but not in time.
    Deadline,
    /// Other times in reach have no price yet.
    NoPrice,
}

/// A stretch of time in which it charges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stretch {
    /// From when.
    #[serde(serialize_with = "crate::time::serialize")]
    pub from: Timestamp,
    /// Until when; `None` if nobody knows when it will be full.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub to: Option<Timestamp>,
    /// Expected energy, kWh.
    pub kwh: Option<Decimal>,
    /// Expected level at its end, %.
    pub level: Option<f64>,
    /// What it costs; `None` where there is no price.
    pub cost: Option<Decimal>,
    /// What makes it be then.
    pub why: Vec<Why>,
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// What is decided.
    pub decision: Decision,
    /// The deadline.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub due_at: Option<Timestamp>,
    /// When it charges. Only the end of the last stretch is an estimate: it charges until it is full.
    pub charge: Vec<Stretch>,
    /// How long it charges in all, s; `None` if that is not known.
    pub charge_secs: Option<i64>,
    /// When charging is stopped first.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub stop_at: Option<Timestamp>,
    /// When it is started again.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub start_at: Option<Timestamp>,
    /// When it will be full.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub finish_at: Option<Timestamp>,
    /// When it must charge without a break to be full in time.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub latest_start_at: Option<Timestamp>,
    /// When to plan again, since more prices are expected then.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub replan_at: Option<Timestamp>,
    /// The currency of what follows.
    pub currency: Option<Currency>,
    /// What charging at once costs.
    pub non_smart_cost: Option<Decimal>,
    /// What the plan costs.
    pub smart_cost: Option<Decimal>,
    /// What it saves.
    pub saving: Option<Decimal>,
}

/// Makes the plan.
pub fn plan(inputs: &Inputs) -> Plan {
    let due_at = due(inputs.now, inputs.deadline, &inputs.zone);
    let nothing = Plan {
        decision: Decision::Full,
        due_at,
        charge: Vec::new(),
        charge_secs: None,
        stop_at: None,
        start_at: None,
        finish_at: None,
        latest_start_at: None,
        replan_at: None,
        currency: inputs.currency,
        non_smart_cost: None,
        smart_cost: None,
        saving: None,
    };
    if inputs.level.is_some_and(|level| level >= inputs.limit) {
        return nothing;
    }
    let Some(need) = Need::of(inputs) else {
        let stretch = Stretch {
            from: inputs.now,
            to: None,
            kwh: None,
            level: None,
            cost: None,
            why: vec![Why::AtOnce],
        };
        return Plan {
            decision: Decision::ChargeNow(Doubt::NoEstimate),
            charge: vec![stretch],
            ..nothing
        };
    };
    if need.millis == 0 {
        return nothing;
    }
    let draft = Draft::of(inputs, &need, due_at);
    draft.plan(nothing)
}

#[cfg(test)]
mod tests;
