//! Tariffs of customers, where they hang, and what energy costs at a Location.

use std::{collections::HashSet, ops::Range};

use livewatt_domain::{
    Timestamp,
    id::ClientId,
    money::{Currency, decimal},
    tariff::{
        ClockTime, Interval, LocationTariff, Price, Rate, Tariff, TariffId, Timetable, Week, prices,
    },
    zone::Zone,
};
use livewatt_store::{LocationPrices, LocationPricing};

use crate::{
    Engine, EngineError, EngineResult, Issue,
    locations::{location_id, name_issue, not_found},
};

/// Rates of a tariff, and intervals of a week, that are taken at most.
const MOST_ROWS: usize = 1_000;
/// Longest time that prices are asked for at once.
const LONGEST_RANGE_HOURS: i64 = 32 * 24;

/// A rate as it comes in.
#[derive(Debug, Clone)]
pub struct RateInput {
    /// Its name.
    pub name: String,
    /// What a kWh costs, as a decimal number.
    pub cost: String,
}

/// An interval as it comes in.
#[derive(Debug, Clone)]
pub struct IntervalInput {
    /// Name of the rate.
    pub name: String,
    /// The beginning.
    pub from: String,
    /// The end.
    pub to: String,
    /// The days of the week; all if absent.
    pub weekdays: Option<Vec<u8>>,
}

/// Which tariff hangs at a Location, as it comes in.
#[derive(Debug, Clone)]
pub struct LocationTariffInput {
    /// The tariff.
    pub tariff_id: String,
    /// When its rates hold.
    pub intervals: Vec<IntervalInput>,
}

/// A rate at a Location on a day of the week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRow {
    /// The day, 0 (Monday) to 6.
    pub weekday: u8,
    /// The beginning.
    pub from: ClockTime,
    /// The end.
    pub to: ClockTime,
    /// The tariff.
    pub tariff_id: TariffId,
    /// Name of the rate.
    pub name: String,
}

/// What energy costs at a Location, quarter hour by quarter hour.
#[derive(Debug, Clone, PartialEq)]
pub struct PriceList {
    /// The zone of the Location.
    pub zone: Zone,
    /// The beginning of each quarter hour, and its price if it has one.
    pub prices: Vec<(Timestamp, Option<Price>)>,
}

impl Engine {
    /// Puts the rates of a tariff: they hold from now on, wherever it hangs.
    ///
    /// # Errors
    /// [`EngineError::Invalid`], or if the database fails.
    pub async fn put_tariff(
        &self,
        client: ClientId,
        id: &str,
        rates: Vec<RateInput>,
    ) -> EngineResult<()> {
        let id: TariffId = id
            .parse()
            .map_err(|error: livewatt_domain::tariff::NotATariffId| {
                EngineError::invalid("tariffId", error.to_string())
            })?;
        let rates = checked_rates(rates)?;
        let since = self.now();
        let tariff = Tariff { id, since, rates };
        self.store.save_tariff(client, tariff).await?;
        self.prices_changed();
        Ok(())
    }

    /// A tariff with its present rates.
    ///
    /// # Errors
    /// [`EngineError::TariffNotFound`], or if the database fails.
    pub async fn get_tariff(&self, client: ClientId, id: &str) -> EngineResult<Tariff> {
        let unknown = || EngineError::TariffNotFound(id.chars().take(64).collect());
        let known: TariffId = id.parse().map_err(|_| unknown())?;
        let found = self.store.find_tariff(client, known).await?;
        found.ok_or_else(unknown)
    }

    /// Hangs a tariff at a Location, from now on, in place of the one before.
    ///
    /// # Errors
    /// [`EngineError::Invalid`], [`EngineError::LocationNotFound`],
    /// [`EngineError::TariffNotFound`], or if the database fails.
    pub async fn hang_tariff(
        &self,
        client: ClientId,
        location: &str,
        input: LocationTariffInput,
    ) -> EngineResult<()> {
        let location = self.get_location(client, location).await?;
        let tariff = self.get_tariff(client, &input.tariff_id).await?;
        let intervals = checked_intervals(input.intervals, &tariff)?;
        let hung = LocationTariff {
            location_id: location.id,
            since: self.now(),
            tariff_id: tariff.id,
            intervals,
        };
        match self.store.hang_tariff(client, hung).await? {
            true => {
                self.prices_changed();
                Ok(())
            }
            false => Err(not_found(&location.id.to_string())),
        }
    }

    /// The tariff that hangs at a Location, by day and time; empty if none does.
    ///
    /// # Errors
    /// [`EngineError::LocationNotFound`], or if the database fails.
    pub async fn location_schedule(
        &self,
        client: ClientId,
        location: &str,
    ) -> EngineResult<Vec<ScheduleRow>> {
        let known = self.location_prices(client, location).await?;
        let Some(hung) = known.hung.last() else {
            return Ok(Vec::new());
        };
        let week = Week::of(&hung.intervals)
            .map_err(|error| EngineError::internal("a stored tariff overlaps itself", error))?;
        let rows = week.rows(&hung.intervals).map(|row| ScheduleRow {
            weekday: row.weekday,
            from: row.from,
            to: row.to,
            tariff_id: hung.tariff_id.clone(),
            name: row.name.to_owned(),
        });
        Ok(rows.collect())
    }

    /// The currency of a client's tariffs.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn client_currency(&self, client: ClientId) -> EngineResult<Option<Currency>> {
        Ok(self.store.client_currency(client).await?)
    }

    /// Sets the currency of a client's tariffs, or none.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn set_client_currency(
        &self,
        client: ClientId,
        currency: Option<Currency>,
    ) -> EngineResult<()> {
        Ok(self.store.set_client_currency(client, currency).await?)
    }

    /// What was settled about prices at a Location beside its tariff.
    ///
    /// # Errors
    /// [`EngineError::LocationNotFound`], or if the database fails.
    pub async fn location_pricing(
        &self,
        client: ClientId,
        location: &str,
    ) -> EngineResult<LocationPricing> {
        Ok(self.location_prices(client, location).await?.pricing)
    }

    /// Settles currency and price area of a Location.
    ///
    /// # Errors
    /// [`EngineError::LocationNotFound`], or if the database fails.
    pub async fn set_location_pricing(
        &self,
        client: ClientId,
        location: &str,
        pricing: LocationPricing,
    ) -> EngineResult<()> {
        let id = location_id(location)?;
        match self.store.set_location_pricing(client, id, pricing).await? {
            true => {
                self.prices_changed();
                Ok(())
            }
            false => Err(not_found(location)),
        }
    }

    /// What energy costs at a Location in a range of time.
    ///
    /// # Errors
    /// [`EngineError::LocationNotFound`], [`EngineError::Invalid`] if the range is empty or too
    /// long, or if the database fails.
    pub async fn price_list(
        &self,
        client: ClientId,
        location: &str,
        range: Range<Timestamp>,
    ) -> EngineResult<PriceList> {
        check_range(&range)?;
        let (zone, timetable) = self.timetable(client, location, range.clone()).await?;
        let prices = prices(&timetable, &zone, range).collect();
        Ok(PriceList { zone, prices })
    }

    /// All that decides prices at a Location in a range of time, and the Location's zone.
    ///
    /// # Errors
    /// [`EngineError::LocationNotFound`], or if the database fails.
    pub async fn timetable(
        &self,
        client: ClientId,
        location: &str,
        range: Range<Timestamp>,
    ) -> EngineResult<(Zone, Timetable)> {
        let known = self.location_prices(client, location).await?;
        let market = match &known.pricing.price_area {
            Some(area) => self.market(client, area, range).await?,
            None => Vec::new(),
        };
        let currency = known.pricing.currency.or(known.client_currency);
        let timetable = Timetable::new(currency, known.hung, known.tariffs, market);
        Ok((known.location.zone, timetable))
    }

    async fn location_prices(
        &self,
        client: ClientId,
        location: &str,
    ) -> EngineResult<LocationPrices> {
        let found = self
            .store
            .location_prices(client, location_id(location)?)
            .await?;
        found.ok_or_else(|| not_found(location))
    }
}

/// Whether prices of a range of time can be told.
pub(crate) fn check_range(range: &Range<Timestamp>) -> EngineResult<()> {
    if range.end <= range.start {
        return Err(EngineError::invalid("to", "must be after from"));
    }
    if range.end.duration_since(range.start).as_hours() > LONGEST_RANGE_HOURS {
        let days = LONGEST_RANGE_HOURS / 24;
        let message = format!("must be at most {days} days after from");
        return Err(EngineError::invalid("to", message));
    }
    Ok(())
}

fn checked_rates(rates: Vec<RateInput>) -> EngineResult<Vec<Rate>> {
    if rates.len() > MOST_ROWS {
        let message = format!("must have at most {MOST_ROWS} rates");
        return Err(EngineError::invalid("", message));
    }
    let (mut checked, mut issues, mut names) = (Vec::new(), Vec::new(), HashSet::new());
    for (index, rate) in rates.into_iter().enumerate() {
        let path = format!("{index}.name");
        issues.extend(name_issue(&path, &rate.name));
        if !names.insert(rate.name.clone()) {
            issues.push(Issue::new(path, "is the name of another rate"));
        }
        match decimal(&rate.cost) {
            Ok(cost) => checked.push(Rate {
                name: rate.name,
                cost,
            }),
            Err(error) => issues.push(Issue::new(format!("{index}.cost"), error.to_string())),
        }
    }
    match issues.is_empty() {
        true => Ok(checked),
        false => Err(EngineError::Invalid(issues)),
    }
}

fn checked_intervals(
    intervals: Vec<IntervalInput>,
    tariff: &Tariff,
) -> EngineResult<Vec<Interval>> {
    if intervals.len() > MOST_ROWS {
        let message = format!("must have at most {MOST_ROWS} intervals");
        return Err(EngineError::invalid("tariffIntervals", message));
    }
    let (mut checked, mut issues) = (Vec::new(), Vec::new());
    for (index, row) in intervals.into_iter().enumerate() {
        let path = |field: &str| format!("tariffIntervals.{index}.{field}");
        if !tariff.rates.iter().any(|rate| rate.name == row.name) {
            issues.push(Issue::new(path("name"), "is not a rate of this tariff"));
        }
        let mut time = |field: &str, text: &str| -> Option<ClockTime> {
            let read: Result<ClockTime, _> = text.parse();
            if let Err(error) = &read {
                issues.push(Issue::new(path(field), error.to_string()));
            }
            read.ok()
        };
        let (from, to) = (time("from", &row.from), time("to", &row.to));
        if from.zip(to).is_some_and(|(from, to)| to <= from) {
            let message = "must be after from; what goes over midnight is two intervals";
            issues.push(Issue::new(path("to"), message));
        }
        let days = row.weekdays.as_deref();
        if days.is_some_and(|days| days.is_empty() || days.iter().any(|day| *day > 6)) {
            let message = "must name days of the week, 0 (Monday) to 6 (Sunday)";
            issues.push(Issue::new(path("weekdays"), message));
        }
        if let Some((from, to)) = from.zip(to) {
            checked.push(Interval {
                name: row.name,
                from,
                to,
                weekdays: row.weekdays,
            });
        }
    }
    if issues.is_empty()
        && let Err(overlap) = Week::of(&checked)
    {
        let path = format!("tariffIntervals.{}", overlap.interval);
        issues.push(Issue::new(path, overlap.to_string()));
    }
    match issues.is_empty() {
        true => Ok(checked),
        false => Err(EngineError::Invalid(issues)),
    }
}
