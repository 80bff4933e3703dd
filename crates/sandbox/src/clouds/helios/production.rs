//! What the helios cloud recorded of an inverter: a day by the quarter hour, or a month by the day, in
//! the calendar of the site.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State},
    http::HeaderMap,
    response::Response,
};
use jiff::{ToSpan as _, civil::Date, tz::TimeZone};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    clock::Seconds,
    clouds::{
        Refusal,
        gate::{self, Call, Reply},
        helios::call,
    },
    server::Shared,
    world::{
        World,
        account::{Household, PartKind},
        record::QUARTER,
        site::Site,
        town::TOWNS,
    },
};

#[derive(Deserialize)]
pub(crate) struct Wanted {
    day: Option<String>,
    month: Option<String>,
}

pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Response {
    let call = Call {
        is_read: true,
        device: Some(&id),
        ..call("production")
    };
    gate::serve(&shared, call, &headers, |world, grant| {
        let (house, timezone) = find(world, &grant.account, &id)?;
        let step = match (&wanted.day, &wanted.month) {
            (Some(day), None) => Step::Quarter(date(day)?),
            (None, Some(month)) => Step::Day(date(&format!("{month}-01"))?),
            _ => return Err(Refusal::Invalid("either a day or a month")),
        };
        Reply::ok(told(house, &id, timezone, step)?)
    })
    .await
}

fn find<'a>(
    world: &'a World,
    account: &str,
    inverter: &str,
) -> Result<(&'a Household, &'static str), Refusal> {
    let account = &world.accounts[account];
    let house = account.households.iter().find(|house| {
        let part = house.part(PartKind::Inverter);
        part.id == inverter && part.is_present() && house.site.meta.is_present()
    });
    let house = house.ok_or(Refusal::NotFound)?;
    Ok((house, TOWNS[account.town].timezone))
}

fn date(text: &str) -> Result<Date, Refusal> {
    let parsed = text
        .parse()
        .ok()
        .filter(|_| text.len() == "2026-03-02".len());
    parsed.ok_or(Refusal::Invalid("no such date"))
}

/// How long the steps are, and the first day.
#[derive(Clone, Copy)]
enum Step {
    Quarter(Date),
    Day(Date),
}

fn told(
    house: &Household,
    inverter: &str,
    timezone: &'static str,
    step: Step,
) -> Result<Value, Refusal> {
    let zone = TimeZone::get(timezone).unwrap_or(TimeZone::UTC);
    let midnight = |date: Date| -> Result<Seconds, Refusal> {
        let begin = date
            .to_zoned(zone.clone())
            .and_then(|zoned| zoned.start_of_day());
        let begin = begin.map_err(|_| Refusal::Invalid("no such date"))?;
        Ok(begin.timestamp().as_second())
    };
    let history = History::of(house, &zone);
    let (word, from, values) = match step {
        Step::Quarter(day) => {
            let next = day
                .tomorrow()
                .map_err(|_| Refusal::Invalid("no such date"))?;
            let (from, to) = (midnight(day)?, midnight(next)?);
            let steps = (from..to).step_by(QUARTER as usize);
            let mut whole = Whole::default();
            let values: Vec<Value> = steps
                .map(|start| whole.told(history.of_quarter(start)))
                .collect();
            ("quarter", from, values)
        }
        Step::Day(first) => {
            let mut values = Vec::new();
            for number in 0..i64::from(first.days_in_month()) {
                let day = first
                    .checked_add(number.days())
                    .and_then(|day| Ok((day, day.tomorrow()?)));
                let (day, next) = day.map_err(|_| Refusal::Invalid("no such date"))?;
                let quarters = (midnight(day)?..midnight(next)?).step_by(QUARTER as usize);
                let known: Vec<i64> = quarters
                    .filter_map(|start| history.of_quarter(start))
                    .collect();
                let sum = (!known.is_empty()).then(|| known.iter().sum());
                values.push(Whole::default().told(sum));
            }
            ("day", midnight(first)?, values)
        }
    };
    Ok(json!({
        "inverter": inverter,
        "timezone": timezone,
        "step": word,
        "from": from * 1000,
        "wh": values,
    }))
}

/// What the cloud knows: from the day of installation until the gateway was last heard.
struct History<'a> {
    site: &'a Site,
    installed: Seconds,
}

impl<'a> History<'a> {
    fn of(house: &'a Household, zone: &TimeZone) -> Self {
        let device = &house.site;
        let installed = Date::new(device.meta.year, 5, 14)
            .and_then(|date| date.to_zoned(zone.clone()))
            .map_or(i64::MIN, |zoned| zoned.timestamp().as_second());
        let is_frozen = device.meta.is_frozen() || house.part(PartKind::Inverter).stale;
        Self {
            site: if is_frozen {
                device.shown()
            } else {
                &device.live
            },
            installed,
        }
    }

    /// Watt-seconds of the quarter hour that begins at a moment; `None` if there is nothing to know.
    fn of_quarter(&self, start: Seconds) -> Option<i64> {
        let is_known = start >= self.installed && start < self.site.tick;
        is_known.then(|| self.site.solar_in(start.div_euclid(QUARTER)))
    }
}

/// Whole watt-hours of a series: what is cut off of one goes to the next.
#[derive(Default)]
struct Whole {
    watt_seconds: i64,
}

impl Whole {
    fn told(&mut self, watt_seconds: Option<i64>) -> Value {
        let Some(more) = watt_seconds else {
            return Value::Null;
        };
        let before = self.watt_seconds / 3600;
        self.watt_seconds += more;
        json!((self.watt_seconds / 3600 - before).to_string())
    }
}
