//! From inputs to a plan: what is needed, what is doubtful, and what the cheapest times mean.

use jiff::Timestamp;

use super::{
    Decision, Doubt, Inputs, Plan, Stretch, Why,
    curve::{self, Curve},
    solve::{Solution, Task},
};
use crate::money::Decimal;

/// How long it must charge.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    /// Until it is full, ms.
    pub(super) millis: i64,
    /// Until it has its minimum level, ms; `None` if that is not known.
    first: Option<i64>,
    /// Its power, W.
    watts: i64,
    /// What it is charged by in a second, %; `None` without a level.
    percent_per_sec: Option<f64>,
}

/// What takes longer is not known that well.
const LONGEST_SECS: f64 = 14.0 * 86_400.0;

impl Need {
    pub(super) fn of(inputs: &Inputs) -> Option<Self> {
        let positive = |number: &f64| (0.001..=10_000.0).contains(number);
        let rate = inputs.rate_kw.filter(positive)?;
        let capacity = inputs.capacity_kwh.filter(positive);
        let level = inputs.level.filter(|level| level.is_finite());
        let missing = level.map(|level| inputs.limit - level);
        let of_level = missing.zip(capacity);
        let of_level =
            of_level.map(|(missing, capacity)| missing / 100.0 * capacity / rate * 3600.0);
        let estimate = |minutes: &f64| minutes.is_finite() && *minutes >= 0.0;
        let of_vehicle = inputs.minutes_remaining.filter(estimate);
        let of_vehicle = of_vehicle.map(|minutes| minutes * 60.0);
        let secs = match (of_level, of_vehicle) {
            (Some(own), Some(told)) => own.max(told),
            (Some(secs), None) | (None, Some(secs)) => secs,
            (None, None) => return None,
        };
        let secs = secs.ceil();
        if !(0.0..=LONGEST_SECS).contains(&secs) {
            return None;
        }
        let percent_per_sec = missing.map(|missing| missing / secs);
        let minimum = inputs.minimum.min(inputs.limit);
        let first = match (level, percent_per_sec) {
            (Some(level), Some(speed)) if minimum > level => {
                Some(((minimum - level) / speed).ceil().min(secs))
            }
            (Some(_), _) => Some(0.0),
            (None, _) => (minimum <= 0.0).then_some(0.0),
        };
        Some(Self {
            millis: secs as i64 * 1_000,
            first: first.map(|secs| secs as i64 * 1_000),
            watts: (rate * 1_000.0).round().max(1.0) as i64,
            percent_per_sec,
        })
    }
}

/// A plan in the making.
pub(super) struct Draft<'i> {
    inputs: &'i Inputs,
    need: &'i Need,
    curve: Curve,
    now: i64,
    due: Option<i64>,
}

impl<'i> Draft<'i> {
    pub(super) fn of(inputs: &'i Inputs, need: &'i Need, due_at: Option<Timestamp>) -> Self {
        Self {
            inputs,
            need,
            curve: Curve::new(&inputs.prices),
            now: inputs.now.as_millisecond(),
            due: due_at.map(Timestamp::as_millisecond),
        }
    }

    /// When it must be full at the latest, with the margin.
    fn latest_finish(&self) -> Option<i64> {
        let margin = self.inputs.margin;
        let slower = self.need.millis / 100 * i64::from(margin.percent);
        Some(self.due? - i64::from(margin.secs) * 1_000 - slower)
    }

    pub(super) fn plan(&self, nothing: Plan) -> Plan {
        let Need { millis, first, .. } = *self.need;
        let at_once = [(self.now, self.now + millis)];
        let non_smart = self.curve.sum(&at_once);
        let priced = Plan {
            charge_secs: Some(millis / 1_000),
            non_smart_cost: non_smart.map(|sum| self.cost(sum)),
            ..nothing
        };
        let charge_now = |doubt| self.charge_now(priced.clone(), doubt);
        let (Some(due), Some(latest)) = (self.due, self.latest_finish()) else {
            return charge_now(Doubt::NoDeadline);
        };
        let priced = Plan {
            latest_start_at: moment(latest - millis),
            ..priced.clone()
        };
        let charge_now = |doubt| self.charge_now(priced.clone(), doubt);
        if self.now + millis > due {
            return charge_now(Doubt::DeadlineInfeasible);
        }
        if self.now + millis > latest {
            return charge_now(Doubt::DeadlineNear);
        }
        let Some(first) = first else {
            return charge_now(Doubt::NoLevel);
        };
        let latest_start = latest - (millis - first);
        let has_gaps = !self.curve.is_known(self.now, latest);
        let more_at = self.inputs.more_prices_at.filter(|at| {
            let is_in_time = at.as_millisecond() <= latest_start;
            has_gaps && is_in_time && *at > self.inputs.now
        });
        let priced = Plan {
            replan_at: more_at,
            latest_start_at: moment(latest_start),
            ..priced
        };
        let may_await = more_at.is_some() && self.inputs.may_await && first < millis;
        let Some(non_smart) = non_smart else {
            // Charging at once was compared when it was paused.
            return if may_await && !self.inputs.is_charging {
                self.wait(priced, first)
            } else {
                self.charge_now(priced, Doubt::NoPrice)
            };
        };
        let task = Task {
            curve: &self.curve,
            now: self.now,
            first,
            millis,
            latest,
            may_stop: self.inputs.is_charging || first > 0,
        };
        let best = task.solve(self.inputs.style);
        let saving = best.as_ref().map(|best| non_smart - best.sum);
        let is_worth = |saving: i128| {
            let amount = self.cost(saving);
            saving > 0 && amount > Decimal::ZERO && amount >= self.inputs.least_saving
        };
        match best.filter(|_| saving.is_some_and(is_worth)) {
            Some(best) => {
                let later = Task {
                    latest: self.curve.end().max(latest),
                    ..task
                };
                let unbound = later.solve(self.inputs.style);
                let is_bound = unbound.is_some_and(|unbound| unbound.sum < best.sum);
                self.shift(priced, &best, first, is_bound, has_gaps)
            }
            None if may_await => self.wait(priced, first),
            None => self.charge_now(priced, Doubt::NoSaving),
        }
    }

    fn charge_now(&self, plan: Plan, doubt: Doubt) -> Plan {
        let end = self.now + self.need.millis;
        let stretch = self.stretch(self.now, end, 0, vec![Why::AtOnce]);
        Plan {
            decision: Decision::ChargeNow(doubt),
            charge: vec![stretch],
            finish_at: moment(end),
            smart_cost: plan.non_smart_cost,
            saving: plan.non_smart_cost.map(|_| Decimal::ZERO),
            ..plan
        }
    }

    fn shift(
        &self,
        plan: Plan,
        best: &Solution,
        first: i64,
        is_bound: bool,
        has_gaps: bool,
    ) -> Plan {
        let mut charged = 0;
        let mut charge = Vec::with_capacity(best.stretches.len());
        for &(from, to) in &best.stretches {
            let is_first = from == self.now && first > 0;
            let is_more = !is_first || to > self.now + first;
            let why = [
                (is_first, Why::MinimumLevel),
                (is_more, Why::CheapestPrice),
                (is_more && is_bound, Why::Deadline),
                (is_more && has_gaps, Why::NoPrice),
            ];
            let why = why.into_iter().filter(|(holds, _)| *holds);
            let why = why.map(|(_, why)| why).collect();
            charge.push(self.stretch(from, to, charged, why));
            charged += to - from;
        }
        let begins_now = charge
            .first()
            .is_some_and(|first| first.from == self.inputs.now);
        let start_at = charge.get(usize::from(begins_now)).map(|next| next.from);
        let stop_at = if begins_now {
            charge.first().and_then(|first| first.to)
        } else {
            Some(self.inputs.now)
        };
        let smart_cost = self.cost(best.sum);
        Plan {
            decision: Decision::Shift,
            stop_at,
            start_at,
            finish_at: charge.last().and_then(|last| last.to),
            charge,
            smart_cost: Some(smart_cost),
            saving: plan.non_smart_cost.map(|cost| cost - smart_cost),
            ..plan
        }
    }

    fn wait(&self, plan: Plan, first: i64) -> Plan {
        let stop = self.now + first;
        let stretch = || self.stretch(self.now, stop, 0, vec![Why::MinimumLevel]);
        let remaining = self.need.millis - first;
        let latest = plan.latest_start_at.map_or(stop, Timestamp::as_millisecond);
        Plan {
            decision: Decision::Await,
            charge: (first > 0).then(stretch).into_iter().collect(),
            stop_at: moment(stop),
            finish_at: moment(latest + remaining),
            ..plan
        }
    }

    fn stretch(&self, from: i64, to: i64, charged: i64, why: Vec<Why>) -> Stretch {
        let energy = i128::from(to - from) * i128::from(self.need.watts);
        // Watt milliseconds in a tenth of a Wh.
        let kwh = rounded(energy, 360_000);
        let secs = (charged + to - from) as f64 / 1_000.0;
        let level = self.inputs.level.zip(self.need.percent_per_sec);
        let level = level.map(|(level, speed)| (level + secs * speed).min(self.inputs.limit));
        Stretch {
            from: moment(from).unwrap_or(self.inputs.now),
            to: moment(to),
            kwh: Some(Decimal::from_i128_with_scale(kwh, 4)),
            level: level.map(|level| (level * 100.0).round() / 100.0),
            cost: self.curve.sum(&[(from, to)]).map(|sum| self.cost(sum)),
            why,
        }
    }

    /// What the sum of prices over time comes to, in millionths of the currency.
    fn cost(&self, sum: i128) -> Decimal {
        let millionths = rounded(sum * i128::from(self.need.watts), curve::PER_MILLIONTH);
        Decimal::from_i128_with_scale(millionths, 6)
    }
}

fn moment(millis: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(millis).ok()
}

/// The quotient, rounded to the nearest; halves away from zero.
fn rounded(number: i128, divisor: i128) -> i128 {
    let half = divisor / 2 * number.signum();
    (number + half) / divisor
}
