use std::ops::Range;

use jiff::SignedDuration;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{energy::quarter_of, money::Currency, zone::Zone};

fn interval(name: &str, from: &str, to: &str, weekdays: Option<&[u8]>) -> Interval {
    Interval {
        name: name.to_owned(),
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        weekdays: weekdays.map(<[u8]>::to_vec),
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn id(text: &str) -> TariffId {
    text.parse().unwrap()
}

fn tariff(name: &str, since: Timestamp, rates: &[(&str, i64)]) -> Tariff {
    let rate = |(name, hundredths): &(&str, i64)| Rate {
        name: (*name).to_owned(),
        cost: Decimal::new(*hundredths, 2),
    };
    Tariff {
        id: id(name),
        since,
        rates: rates.iter().map(rate).collect(),
    }
}

fn hung(tariff: &str, since: Timestamp, intervals: Vec<Interval>) -> LocationTariff {
    LocationTariff {
        location_id: LocationId(Uuid::nil()),
        since,
        tariff_id: id(tariff),
        intervals,
    }
}

fn euro() -> Option<Currency> {
    "EUR".parse().ok()
}

/// Day and night, at ten and at thirty hundredths.
fn day_and_night(since: Timestamp) -> Timetable {
    let intervals = vec![
        interval("night", "00:00", "06:00", None),
        interval("day", "06:00", "24:00", None),
    ];
    Timetable::new(
        euro(),
        vec![hung("home", since, intervals)],
        vec![tariff("home", since, &[("night", 10), ("day", 30)])],
        vec![],
    )
}

fn hundredths(timetable: &Timetable, zone: &str, range: Range<Timestamp>) -> Vec<Option<i64>> {
    let zone: Zone = zone.parse().unwrap();
    let hundred = Decimal::from(100);
    let rows = prices(timetable, &zone, range);
    rows.map(|(_, price)| price.map(|price| (price.per_kwh * hundred).try_into().unwrap()))
        .collect()
}

/// The quarter hours at night and by day of the local day that begins at a moment.
fn count(zone: &str, from: &str, to: &str) -> (usize, usize) {
    let timetable = day_and_night(at("2020-01-01T00:00:00Z"));
    let prices = hundredths(&timetable, zone, at(from)..at(to));
    let of = |cost| prices.iter().filter(|price| **price == Some(cost)).count();
    assert_eq!(of(10) + of(30), prices.len(), "no price is missing");
    (of(10), of(30))
}

#[test]
fn a_skipped_hour_is_not_there_and_a_repeated_one_is_there_twice() {
    // An ordinary day, the day that lacks an hour, and the day that has one more.
    let oslo = "Europe/Oslo";
    let day = |from, to| count(oslo, from, to);
    assert_eq!(
        day("2026-03-28T00:00+01:00", "2026-03-29T00:00+01:00"),
        (24, 72)
    );
    assert_eq!(
        day("2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00"),
        (20, 72)
    );
    assert_eq!(
        day("2026-10-25T00:00+02:00", "2026-10-26T00:00+01:00"),
        (28, 72)
    );
    let new_york = "America/New_York";
    let day = |from, to| count(new_york, from, to);
    assert_eq!(
        day("2026-03-08T00:00-05:00", "2026-03-09T00:00-04:00"),
        (20, 72)
    );
    assert_eq!(
        day("2026-11-01T00:00-04:00", "2026-11-02T00:00-05:00"),
        (28, 72)
    );
    // Half an hour, the other way round in the year.
    let lord_howe = "Australia/Lord_Howe";
    let day = |from, to| count(lord_howe, from, to);
    assert_eq!(
        day("2026-10-04T00:00+10:30", "2026-10-05T00:00+11:00"),
        (22, 72)
    );
    assert_eq!(
        day("2026-04-05T00:00+11:00", "2026-04-06T00:00+10:30"),
        (26, 72)
    );
}

#[test]
fn a_gap_has_the_markets_price_or_none() {
    let since = at("2026-01-05T00:00Z");
    let market = |from, to, cents| MarketPrice {
        from: at(from),
        to: at(to),
        per_kwh: Decimal::new(cents, 2),
        currency: "EUR".parse().unwrap(),
        source: "upload".to_owned(),
        received_at: since,
    };
    let timetable = Timetable::new(
        euro(),
        vec![hung(
            "home",
            since,
            vec![interval("day", "01:00", "24:00", None)],
        )],
        vec![tariff("home", since, &[("day", 30)])],
        vec![
            market("2026-01-05T00:30Z", "2026-01-05T00:45Z", 7),
            market("2026-01-05T00:15Z", "2026-01-05T00:30Z", -2),
        ],
    );
    let range = at("2026-01-04T23:45Z")..at("2026-01-05T01:15Z");
    assert_eq!(
        hundredths(&timetable, "UTC", range),
        [None, None, Some(-2), Some(7), None, Some(30)]
    );
    let rows: Vec<_> = prices(
        &timetable,
        &Zone::UTC,
        at("2026-01-05T00:31Z")..at("2026-01-05T01:00:00.001Z"),
    )
    .collect();
    assert_eq!(rows.len(), 3, "the first began before the range");
    assert_eq!(rows[0].0, at("2026-01-05T00:30Z"));
    let source =
        |row: &(Timestamp, Option<Price>)| row.1.as_ref().map(|price| price.source.clone());
    assert_eq!(
        source(&rows[0]),
        Some(PriceSource::Market("upload".to_owned()))
    );
    let rate = PriceSource::Tariff {
        id: id("home"),
        rate: "day".to_owned(),
    };
    assert_eq!(source(&rows[2]), Some(rate));
}

#[test]
fn what_was_before_keeps_its_price() {
    let whole = |name: &str| vec![interval(name, "00:00", "24:00", None)];
    let timetable = Timetable::new(
        euro(),
        vec![
            hung("b", at("2026-01-05T02:00Z"), whole("one")),
            hung("a", at("2026-01-05T00:20Z"), whole("one")),
        ],
        vec![
            tariff("a", at("2026-01-05T01:05Z"), &[("one", 20)]),
            tariff("a", at("2026-01-01T00:00Z"), &[("one", 10)]),
            tariff("b", at("2026-01-05T02:10Z"), &[("one", 40)]),
            tariff("b", at("2026-01-05T00:00Z"), &[("one", 30)]),
            tariff("b", at("2026-01-05T02:20Z"), &[("other", 50)]),
        ],
        vec![],
    );
    let range = at("2026-01-05T00:00Z")..at("2026-01-05T02:30Z");
    assert_eq!(
        hundredths(&timetable, "UTC", range),
        [
            None,
            Some(10),
            Some(10),
            Some(10),
            Some(20),
            Some(20),
            Some(20),
            Some(20),
            Some(40),
            None
        ]
    );
}

#[test]
fn a_quarter_hour_with_two_rates_costs_their_mean() {
    let since = at("2026-01-05T00:00Z");
    let intervals = vec![
        interval("low", "00:00", "00:05", None),
        interval("high", "00:05", "00:16", None),
    ];
    let timetable = Timetable::new(
        euro(),
        vec![hung("home", since, intervals)],
        vec![tariff("home", since, &[("low", 15), ("high", 30)])],
        vec![],
    );
    let rows: Vec<_> = prices(&timetable, &Zone::UTC, since..at("2026-01-05T00:30Z")).collect();
    let price = rows[0].1.clone().unwrap();
    assert_eq!(price.per_kwh, Decimal::new(25, 2));
    assert!(matches!(price.source, PriceSource::Tariff { rate, .. } if rate == "high"));
    assert_eq!(rows[1].1, None, "a part of it has no price");
}

#[test]
fn overlaps_are_named() {
    let week = |intervals: &[Interval]| Week::of(intervals).map(drop);
    let first = interval("a", "08:00", "12:00", Some(&[0, 1]));
    let beside = interval("b", "12:00", "24:00", Some(&[0, 1]));
    let elsewhere = interval("b", "00:00", "24:00", Some(&[2, 3, 4, 5, 6]));
    assert_eq!(
        week(&[first.clone(), beside.clone(), elsewhere.clone()]),
        Ok(())
    );
    let every_day = interval("c", "11:59", "12:00", None);
    let overlap = Overlap {
        interval: 2,
        other: 1,
        weekday: 2,
    };
    let list = [beside, elsewhere, every_day.clone()];
    assert_eq!(week(&list), Err(overlap));
    let overlap = Overlap {
        interval: 1,
        other: 0,
        weekday: 0,
    };
    assert_eq!(week(&[first, every_day]), Err(overlap));
}

#[test]
fn clock_times_and_ids_are_read_as_the_contract_writes_them() {
    for text in ["00:00", "09:05", "23:59", "24:00"] {
        assert_eq!(text.parse::<ClockTime>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "24:01",
        "25:00",
        "9:05",
        "09:5",
        "09:60",
        "+9:05",
        "09:05:00",
        "٠٩:٠٥",
    ] {
        assert_eq!(text.parse::<ClockTime>(), Err(NotAClockTime), "{text}");
    }
    assert!("a-B_9".parse::<TariffId>().is_ok());
    for text in [
        "",
        "a b",
        "ä",
        "a/b",
        "1234567890123456789012345678901234567",
    ] {
        assert_eq!(text.parse::<TariffId>(), Err(NotATariffId), "{text}");
    }
}

/// The obvious way: minute by minute, each looked up anew on the wall clock.
fn slowly(
    hung: &[LocationTariff],
    tariffs: &[Tariff],
    market: &[MarketPrice],
    zone: &Zone,
    quarter: Timestamp,
) -> Option<Decimal> {
    let mut sum = Decimal::ZERO;
    for minute in 0..15 {
        let now = quarter + SignedDuration::from_mins(minute);
        let local = now.to_zoned(zone.rules().clone());
        let clock: ClockTime = local.strftime("%H:%M").to_string().parse().unwrap();
        let weekday = local.weekday().to_monday_zero_offset() as u8;
        let of_tariff = hung
            .iter()
            .filter(|row| quarter_of(row.since) <= quarter)
            .max_by_key(|row| row.since)
            .and_then(|row| {
                let interval = row.intervals.iter().find(|interval| {
                    interval.is_on(weekday) && interval.from <= clock && clock < interval.to
                })?;
                let until = hung
                    .iter()
                    .map(|other| other.since)
                    .filter(|at| *at > row.since)
                    .min();
                let version = tariffs
                    .iter()
                    .filter(|tariff| tariff.id == row.tariff_id)
                    .filter(|tariff| {
                        tariff.since <= row.since || quarter_of(tariff.since) <= quarter
                    })
                    .filter(|tariff| until.is_none_or(|until| tariff.since < until))
                    .max_by_key(|tariff| tariff.since)?;
                let mut rates = version.rates.iter();
                rates
                    .find(|rate| rate.name == interval.name)
                    .map(|rate| rate.cost)
            });
        let of_market = market
            .iter()
            .find(|price| price.from <= now && now < price.to)
            .map(|price| price.per_kwh);
        sum += of_tariff.or(of_market)?;
    }
    Some(sum / Decimal::from(15))
}

fn clock_times() -> impl Strategy<Value = (ClockTime, ClockTime)> {
    // Mostly on the quarter hour, as people write them, but not always.
    let time = prop_oneof![
        4 => (0_u16..=96).prop_map(|quarter| quarter * 15),
        1 => 0_u16..=1440,
    ];
    (time.clone(), time)
        .prop_filter("an interval has a length", |(from, to)| from != to)
        .prop_map(|(a, b)| (ClockTime(a.min(b)), ClockTime(a.max(b))))
}

fn intervals() -> impl Strategy<Value = Vec<Interval>> {
    let weekdays = prop::option::of(prop::collection::vec(0_u8..7, 1..5));
    let one = (clock_times(), weekdays, 0_usize..4).prop_map(|((from, to), weekdays, rate)| {
        let name = ["a", "b", "c", "not there"][rate].to_owned();
        Interval {
            name,
            from,
            to,
            weekdays,
        }
    });
    // Those that overlap with what is there already are left out.
    prop::collection::vec(one, 0..8).prop_map(|candidates| {
        let mut kept: Vec<Interval> = Vec::new();
        for candidate in candidates {
            kept.push(candidate);
            if Week::of(&kept).is_err() {
                kept.pop();
            }
        }
        kept
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Two days and nights around the change of the clock, both ways, in three zones.
    #[test]
    fn prices_are_those_of_the_obvious_way(
        night in prop::sample::select(vec![
            ("Europe/Oslo", "2026-03-29T01:00:00Z"), ("Europe/Oslo", "2026-10-25T01:00:00Z"),
            ("America/New_York", "2026-03-08T07:00:00Z"), ("America/New_York", "2026-11-01T06:00:00Z"),
            ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
            ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
            ("Asia/Kathmandu", "2026-06-01T00:00:00Z"),
        ]),
        weeks in prop::collection::vec((intervals(), -2_000_i64..2_000, 0_usize..2), 0..3),
        versions in prop::collection::vec(
            (0_usize..2, -3_000_i64..2_000, prop::collection::vec(-500_i64..500, 0..=3)), 0..5,
        ),
        market in prop::collection::vec(prop::option::of(-100_i64..100), 96),
        into_quarter in 0_i64..900,
    ) {
        let (zone, middle) = night;
        let zone: Zone = zone.parse().unwrap();
        let middle = at(middle);
        let shifted = |minutes: i64| middle + SignedDuration::from_mins(minutes);
        let mut hung_up: Vec<LocationTariff> = Vec::new();
        for (intervals, minutes, name) in weeks {
            let since = shifted(minutes);
            // Of two at one moment the store keeps one.
            if hung_up.iter().all(|row| row.since != since) {
                hung_up.push(hung(["x", "y"][name], since, intervals));
            }
        }
        let mut tariffs: Vec<Tariff> = Vec::new();
        for (name, minutes, costs) in versions {
            let since = shifted(minutes);
            if tariffs.iter().all(|tariff| tariff.since != since) {
                let rates: Vec<_> = ["a", "b", "c"].into_iter().zip(costs).collect();
                tariffs.push(tariff(["x", "y"][name], since, &rates));
            }
        }
        let market: Vec<MarketPrice> = (0..)
            .zip(market)
            .filter_map(|(half_hour, cents)| Some(MarketPrice {
                from: shifted(half_hour * 30 - 1_440),
                to: shifted(half_hour * 30 - 1_410),
                per_kwh: Decimal::new(cents?, 2),
                currency: "EUR".parse().unwrap(),
                source: "test".to_owned(),
                received_at: middle,
            }))
            .collect();
        let timetable = Timetable::new(euro(), hung_up.clone(), tariffs.clone(), market.clone());
        let start = shifted(-1_440) + SignedDuration::from_secs(into_quarter);
        let range = start..shifted(1_440);
        let mut expected_start = quarter_of(start);
        let mut rows = 0;
        for (start, price) in prices(&timetable, &zone, range.clone()) {
            prop_assert_eq!(start, expected_start);
            expected_start += SignedDuration::from_mins(15);
            rows += 1;
            let slow = slowly(&hung_up, &tariffs, &market, &zone, start);
            // A mean of thirds is cut at another digit by each way.
            let rounded = |price: Option<Decimal>| price.map(|price| price.round_dp(12));
            prop_assert_eq!(rounded(price.map(|price| price.per_kwh)), rounded(slow), "{}", start);
        }
        prop_assert!(expected_start >= range.end);
        prop_assert_eq!(rows, 192);
    }

    /// The first source that tells a price of a minute is believed.
    #[test]
    fn sources_are_believed_in_turn(
        told in prop::collection::vec(prop::collection::vec((0_i64..12, 0_i64..4), 0..6), 0..4),
    ) {
        let minute = |minutes: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes);
        let sources: Vec<Vec<MarketPrice>> = (0..)
            .zip(told)
            .map(|(number, stretches)| {
                let (mut at, mut prices) = (0, Vec::new());
                for (gap, length) in stretches {
                    let (from, to) = (at + gap, at + gap + length + 1);
                    prices.push(MarketPrice {
                        from: minute(from),
                        to: minute(to),
                        per_kwh: Decimal::from(number * 100 + prices.len() as i64),
                        currency: "EUR".parse().unwrap(),
                        source: number.to_string(),
                        received_at: minute(0),
                    });
                    at = to;
                }
                prices
            })
            .collect();
        let at = |prices: &[MarketPrice], moment| -> Vec<Decimal> {
            let holds = |price: &&MarketPrice| price.from <= moment && moment < price.to;
            prices.iter().filter(holds).map(|price| price.per_kwh).collect()
        };
        let merged = in_turn(sources.clone());
        for number in 0..100 {
            let moment = minute(number);
            let first = sources.iter().flat_map(|source| at(source, moment)).next();
            prop_assert_eq!(at(&merged, moment), Vec::from_iter(first));
        }
        prop_assert!(merged.is_sorted_by_key(|price| price.from));
    }
}
