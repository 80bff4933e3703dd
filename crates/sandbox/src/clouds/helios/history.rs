//! Days and months of the past, as the helios cloud tells them: a day by the quarter hour, or a month
//! by the day, in the calendar of the site.

use jiff::{ToSpan as _, civil::Date, tz::TimeZone};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    clock::Seconds,
    clouds::Refusal,
    world::{
        account::{Household, PartKind},
        record::{QUARTER, Quarter},
        site::Site,
    },
};

/// Either of them.
#[derive(Deserialize)]
pub(crate) struct Wanted {
    day: Option<String>,
    month: Option<String>,
}

/// The steps of a day or a month.
pub(crate) struct Steps {
    /// Local midnight.
    pub(crate) from: Seconds,
    /// When the quarter hours of each step begin.
    quarters: Vec<Vec<Seconds>>,
    is_day: bool,
}

impl Steps {
    pub(crate) fn of(wanted: &Wanted, zone: &TimeZone) -> Result<Self, Refusal> {
        let no_such = |_| Refusal::Invalid("no such date");
        let midnight = |date: Date| -> Result<Seconds, Refusal> {
            let begin = date
                .to_zoned(zone.clone())
                .and_then(|zoned| zoned.start_of_day());
            Ok(begin.map_err(no_such)?.timestamp().as_second())
        };
        let of_day = |day: Date| -> Result<Vec<Seconds>, Refusal> {
            let next = day.tomorrow().map_err(no_such)?;
            Ok((midnight(day)?..midnight(next)?)
                .step_by(QUARTER as usize)
                .collect())
        };
        match (&wanted.day, &wanted.month) {
            (Some(day), None) => {
                let day = date(day)?;
                let quarters = of_day(day)?.into_iter().map(|start| vec![start]);
                Ok(Self {
                    from: midnight(day)?,
                    quarters: quarters.collect(),
                    is_day: true,
                })
            }
            (None, Some(month)) => {
                let first = date(&format!("{month}-01"))?;
                let days = 0..i64::from(first.days_in_month());
                let quarters = days.map(|number| {
                    let day = first.checked_add(number.days()).map_err(no_such)?;
                    of_day(day)
                });
                Ok(Self {
                    from: midnight(first)?,
                    quarters: quarters.collect::<Result<_, _>>()?,
                    is_day: false,
                })
            }
            _ => Err(Refusal::Invalid("either a day or a month")),
        }
    }

    /// How long a step is, in a word.
    pub(crate) fn word(&self) -> &'static str {
        match self.is_day {
            true => "quarter",
            false => "day",
        }
    }

    /// Whether these are the quarter hours of a day.
    pub(crate) fn is_day(&self) -> bool {
        self.is_day
    }

    /// Whole watt-hours of each step, of the watt-seconds of its quarter hours.
    pub(crate) fn watt_hours(&self, of_quarter: impl Fn(Seconds) -> Option<i64>) -> Vec<Value> {
        let mut whole = Whole::default();
        let told = self.quarters.iter().map(|quarters| {
            let known: Vec<i64> = quarters.iter().filter_map(|q| of_quarter(*q)).collect();
            let sum = (!known.is_empty()).then(|| known.iter().sum());
            if !self.is_day {
                whole = Whole::default();
            }
            whole.told(sum)
        });
        told.collect()
    }

    /// A value of each step that is a quarter hour.
    pub(crate) fn values(&self, of_quarter: impl Fn(Seconds) -> Value) -> Vec<Value> {
        let starts = self.quarters.iter().filter_map(|quarters| quarters.first());
        starts.map(|start| of_quarter(*start)).collect()
    }
}

fn date(text: &str) -> Result<Date, Refusal> {
    let parsed = text
        .parse()
        .ok()
        .filter(|_| text.len() == "2026-03-02".len());
    parsed.ok_or(Refusal::Invalid("no such date"))
}

/// What the cloud knows by a part of a site: from the day of installation until the gateway was last
/// heard.
pub(crate) struct Kept<'a> {
    site: &'a Site,
    installed: Seconds,
}

impl<'a> Kept<'a> {
    pub(crate) fn of(house: &'a Household, part: PartKind, zone: &TimeZone) -> Self {
        let device = &house.site;
        let installed = Date::new(device.meta.year, 5, 14)
            .and_then(|date| date.to_zoned(zone.clone()))
            .map_or(i64::MIN, |zoned| zoned.timestamp().as_second());
        let is_frozen = device.meta.is_frozen() || house.part(part).stale;
        Self {
            site: if is_frozen {
                device.shown()
            } else {
                &device.live
            },
            installed,
        }
    }

    fn is_known(&self, start: Seconds) -> bool {
        start >= self.installed && start < self.site.tick
    }

    /// Watt-seconds that the roof gave in the quarter hour that begins at a moment; `None` if there
    /// is nothing to know.
    pub(crate) fn solar(&self, start: Seconds) -> Option<i64> {
        let quarter = start.div_euclid(QUARTER);
        self.is_known(start).then(|| self.site.solar_in(quarter))
    }

    /// All that flowed in it; `None` also of the time before the site was lived.
    pub(crate) fn quarter(&self, start: Seconds) -> Option<Quarter> {
        let quarter = start.div_euclid(QUARTER);
        self.is_known(start).then(|| self.site.record.of(quarter))?
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
