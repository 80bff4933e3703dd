//! Publication documents of prices, as ENTSO-E's transparency platform gives them out.
//!
//! A document has time series, a series has periods, and a period has points: a position, counted
//! from 1 in steps of the period's resolution, and an amount. A position that is left out has the
//! amount of the one before (curve type `A03`). Amounts are for a MWh or a kWh.

use livewatt_domain::{
    SignedDuration, Timestamp,
    money::{Currency, Decimal, decimal},
};
use quick_xml::{Reader, events::Event};

use super::Quote;
use crate::Issue;

/// What is known of the period that is being read.
#[derive(Debug, Default)]
struct Period {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    step: Option<SignedDuration>,
    points: Vec<(i64, Decimal)>,
}

/// What is known of the series that is being read.
#[derive(Debug, Default)]
struct Series {
    currency: Option<Currency>,
    /// How many kWh an amount is for.
    kwh: Option<Decimal>,
}

const NO_DOCUMENT: &str = "must be one Publication_MarketDocument";

/// The prices of a document.
pub(super) fn read(text: &str) -> Result<Vec<Quote>, Issue> {
    quotes(text).map_err(|what| Issue::new("", what))
}

fn quotes(text: &str) -> Result<Vec<Quote>, String> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().trim_text(true);
    let (mut path, mut content) = (Vec::<String>::new(), String::new());
    let (mut series, mut period) = (Series::default(), Period::default());
    let (mut position, mut amount) = (None, None);
    let (mut quotes, mut has_begun) = (Vec::new(), false);
    loop {
        let event = reader
            .read_event()
            .map_err(|error| format!("is not XML: {error}"))?;
        match event {
            Event::Start(start) => {
                let name = start.local_name().into_inner().to_owned();
                if path.is_empty() && (has_begun || name != "Publication_MarketDocument") {
                    return Err(NO_DOCUMENT.to_owned());
                }
                has_begun = true;
                match name.as_str() {
                    "TimeSeries" => series = Series::default(),
                    "Period" => period = Period::default(),
                    "Point" => (position, amount) = (None, None),
                    _ => {}
                }
                path.push(name);
                content.clear();
            }
            Event::Text(text) => content.push_str(text.trim()),
            Event::End(_) => {
                let name = path.pop().unwrap_or_default();
                let parent = path.last().map(String::as_str).unwrap_or_default();
                let value = content.as_str();
                match (parent, name.as_str()) {
                    ("TimeSeries", "currency_Unit.name") => {
                        series.currency = Some(currency(value)?)
                    }
                    ("TimeSeries", "price_Measure_Unit.name") => series.kwh = Some(unit(value)?),
                    ("timeInterval", "start") => period.start = Some(moment(value)?),
                    ("timeInterval", "end") => period.end = Some(moment(value)?),
                    ("Period", "resolution") => period.step = Some(resolution(value)?),
                    ("Point", "position") => {
                        let read = value.parse().map_err(|_| "a position must be a number");
                        position = Some(read?);
                    }
                    ("Point", "price.amount") => {
                        let read = decimal(value);
                        amount = Some(read.map_err(|error| format!("an amount {error}"))?);
                    }
                    ("Period", "Point") => {
                        let point = position.zip(amount);
                        let what = "a point must have a position and an amount";
                        period.points.push(point.ok_or(what)?);
                    }
                    ("TimeSeries", "Period") => quotes.extend(spread(&series, &period)?),
                    _ => {}
                }
                content.clear();
            }
            // Entities and the like have no place in numbers and dates.
            Event::GeneralRef(_) | Event::DocType(_) => {
                return Err("must not have entities or a document type".to_owned());
            }
            Event::Empty(_) if path.is_empty() => return Err(NO_DOCUMENT.to_owned()),
            Event::Eof if !has_begun => return Err(NO_DOCUMENT.to_owned()),
            Event::Eof if path.is_empty() => return Ok(quotes),
            Event::Eof => return Err("ends before its time".to_owned()),
            _ => {}
        }
    }
}

/// The prices of a period, one for each of its steps.
fn spread(series: &Series, period: &Period) -> Result<Vec<Quote>, String> {
    let missing = |what: &str| format!("a period has no {what}");
    let currency = series.currency.ok_or_else(|| missing("currency"))?;
    let kwh = series
        .kwh
        .ok_or_else(|| missing("price_Measure_Unit.name"))?;
    let start = period.start.ok_or_else(|| missing("start"))?;
    let end = period.end.ok_or_else(|| missing("end"))?;
    let step = period.step.ok_or_else(|| missing("resolution"))?;
    let steps = end.duration_since(start).as_secs() / step.as_secs();
    if !(1..=super::MOST_PRICES as i64).contains(&steps) {
        return Err("a period is too long or ends before it begins".to_owned());
    }
    let is_rising = period.points.is_sorted_by(|one, next| one.0 < next.0);
    let is_inside = |(position, _): &(i64, Decimal)| (1..=steps).contains(position);
    if !is_rising || !period.points.iter().all(is_inside) {
        return Err("the positions of a period must rise, from 1 to its last step".to_owned());
    }
    if period.points.first().map(|point| point.0) != Some(1) {
        return Err("the first position of a period must be 1".to_owned());
    }
    let at = |number: i64| {
        let seconds = start.as_second() + number * step.as_secs();
        Timestamp::from_second(seconds).map_err(|error| error.to_string())
    };
    (1..=steps)
        .map(|number| {
            let upto = period.points.partition_point(|point| point.0 <= number);
            let (_, amount) = period.points[upto - 1];
            Ok(Quote {
                from: at(number - 1)?,
                to: at(number)?,
                per_kwh: (amount / kwh).normalize(),
                currency,
            })
        })
        .collect()
}

fn currency(text: &str) -> Result<Currency, String> {
    text.parse()
        .map_err(|error| format!("currency_Unit.name {error}"))
}

fn unit(text: &str) -> Result<Decimal, String> {
    match text {
        "MWH" => Ok(Decimal::ONE_THOUSAND),
        "KWH" => Ok(Decimal::ONE),
        _ => Err("price_Measure_Unit.name must be MWH or KWH".to_owned()),
    }
}

fn moment(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|_| "a moment must be like 2026-03-02T06:00Z".to_owned())
}

fn resolution(text: &str) -> Result<SignedDuration, String> {
    let minutes = match text {
        "PT15M" => 15,
        "PT30M" => 30,
        "PT60M" | "PT1H" => 60,
        _ => return Err("a resolution must be PT15M, PT30M or PT60M".to_owned()),
    };
    Ok(SignedDuration::from_mins(minutes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A document of one period, in the form in which the platform gives them out.
    fn document(period: &str) -> String {
        format!(
            r#"<?xml version="1.0" encoding="utf-8"?>
<Publication_MarketDocument xmlns="urn:iec62325.351:tc57wg16:451-3:publicationdocument:7:3">
  <mRID>0</mRID>
  <type>A44</type>
  <period.timeInterval><start>2026-03-28T23:00Z</start><end>2026-03-29T22:00Z</end></period.timeInterval>
  <TimeSeries>
    <mRID>1</mRID>
    <in_Domain.mRID codingScheme="A01">10YNO-1--------2</in_Domain.mRID>
    <currency_Unit.name>EUR</currency_Unit.name>
    <price_Measure_Unit.name>MWH</price_Measure_Unit.name>
    <curveType>A03</curveType>
    <Period>{period}</Period>
  </TimeSeries>
</Publication_MarketDocument>"#
        )
    }

    fn point(position: i64, amount: &str) -> String {
        format!(
            "<Point><position>{position}</position><price.amount>{amount}</price.amount></Point>"
        )
    }

    const HEAD: &str = "<timeInterval><start>2026-03-28T23:00Z</start><end>2026-03-29T00:00Z</end>\
                        </timeInterval><resolution>PT15M</resolution>";

    #[test]
    fn a_position_that_is_left_out_has_the_amount_before_it() {
        let points = [point(1, "41.55"), point(2, "-0.1"), point(4, "120")].concat();
        let quotes = read(&document(&format!("{HEAD}{points}"))).unwrap();
        let told: Vec<(String, String)> = quotes
            .iter()
            .map(|quote| (quote.from.to_string(), quote.per_kwh.to_string()))
            .collect();
        let expected = [
            ("2026-03-28T23:00:00Z", "0.04155"),
            ("2026-03-28T23:15:00Z", "-0.0001"),
            ("2026-03-28T23:30:00Z", "-0.0001"),
            ("2026-03-28T23:45:00Z", "0.12"),
        ];
        assert_eq!(
            told,
            expected.map(|(at, price)| (at.to_owned(), price.to_owned()))
        );
        assert!(quotes.iter().all(|quote| quote.currency.as_str() == "EUR"));
        let ends = quotes.windows(2).all(|pair| pair[0].to == pair[1].from);
        assert!(ends, "{quotes:?}");
    }

    #[test]
    fn what_is_no_such_document_is_refused() {
        let good = document(&format!("{HEAD}{}", point(1, "1")));
        assert!(read(&good).is_ok());
        let period = |inside: String| document(&inside);
        for (what, text) in [
            ("empty", String::new()),
            ("text", "prices".to_owned()),
            (
                "another document",
                "<Acknowledgement_MarketDocument/>".to_owned(),
            ),
            ("another root", "<a><b/></a>".to_owned()),
            ("cut off", good[..good.len() - 10].to_owned()),
            ("no points", period(HEAD.to_owned())),
            (
                "a position too many",
                period(format!("{HEAD}{}{}", point(1, "1"), point(5, "1"))),
            ),
            (
                "no first position",
                period(format!("{HEAD}{}", point(2, "1"))),
            ),
            (
                "positions that fall",
                period(format!("{HEAD}{}{}", point(1, "1"), point(1, "2"))),
            ),
            (
                "an amount that is none",
                period(format!("{HEAD}{}", point(1, "NaN"))),
            ),
            (
                "another step",
                period(format!("{HEAD}{}", point(1, "1")).replace("PT15M", "P1D")),
            ),
            (
                "no currency",
                good.replace("currency_Unit.name", "currency"),
            ),
            ("a unit of gas", good.replace("MWH", "MTQ")),
            (
                "a period of ages",
                good.replace("2026-03-29T00:00Z", "9026-03-29T00:00Z"),
            ),
            ("entities", good.replace("EUR", "&euro;")),
        ] {
            let refused = read(&text);
            assert!(refused.is_err(), "{what}: {refused:?}");
        }
    }
}
