use std::collections::{BTreeMap, BTreeSet};

use livewatt_domain::{
    SignedDuration, Timestamp,
    energy::{Flow, FlowSum, Place, Resolution},
    id::{ChargingSessionId, DeviceId, LocationId},
    money::{Currency, Decimal},
    session::{ChargingSession, Opened},
    stay::Stay,
    tariff::{
        ClockTime, Interval, LocationTariff, MarketPrice, Price, PriceSource, Rate, Tariff,
        Timetable, Week,
    },
    zone::Zone,
};
use livewatt_store::Quarter;
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    Spread,
    buckets::charging,
    costs::EnergyCost,
    earnings::earnings,
    prices::{PricedQuarter, located, told},
    sessions::priced_session,
};

const CAR: DeviceId = DeviceId(Uuid::nil());

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

fn quarter(start: Timestamp, kwh: f64) -> Quarter {
    Quarter {
        device_id: CAR,
        flow: Flow::Taken,
        start,
        version: 1,
        restated: None,
        sum: FlowSum {
            kwh,
            min_kw: Some(kwh * 4.0),
            max_kw: Some(kwh * 4.0),
            active_ms: 900_000,
            rate_ms: 900_000,
            ..FlowSum::default()
        },
    }
}

fn euro() -> Option<Currency> {
    "EUR".parse().ok()
}

fn price(text: &str, currency: Option<Currency>) -> Price {
    Price {
        per_kwh: text.parse().unwrap(),
        currency,
        source: PriceSource::Market("test".to_owned()),
    }
}

fn priced(start: Timestamp, kwh: f64, price: Option<Price>) -> PricedQuarter {
    PricedQuarter {
        quarter: quarter(start, kwh),
        location: None,
        price,
    }
}

/// The nights in which clocks change, in three places: whatever the buckets, nothing is lost or
/// counted twice, and the local days have the hours that they had.
#[test]
fn days_of_a_place_have_their_own_length() {
    for (zone, noon, quarters_of_day) in [
        ("Europe/Oslo", "2026-03-29T12:00:00Z", 92),
        ("Europe/Oslo", "2026-10-25T12:00:00Z", 100),
        ("America/New_York", "2026-11-01T18:00:00Z", 100),
        ("Australia/Lord_Howe", "2026-04-05T00:00:00Z", 98),
    ] {
        let place = Place::from(zone.parse::<Zone>().unwrap());
        let begin = at(noon) - SignedDuration::from_hours(72);
        let quarters: Vec<_> = (0..6 * 96)
            .map(|n| priced(begin + minutes(15 * n), 1.0, Some(price("0.1", None))))
            .collect();
        for resolution in Resolution::ALL {
            let charged = charging(&quarters, resolution, &place);
            let sum: f64 = charged.rows.iter().map(|bucket| bucket.kwh_sum).sum();
            assert_eq!(sum, quarters.len() as f64, "{zone} {resolution:?}");
            assert_eq!(charged.left_out_kwh, 0.0);
        }
        let days = charging(&quarters, Resolution::Day, &place).rows;
        let start = Resolution::Day.start(at(noon), &place);
        let day = days.iter().find(|day| day.date == start).unwrap();
        assert_eq!(day.kwh_sum, f64::from(quarters_of_day), "{zone}");
        assert_eq!(day.kw.mean, Some(4.0));
        assert_eq!(day.cost.cost_sum, f64::from(quarters_of_day) / 10.0);
    }
}

#[test]
fn what_has_no_price_or_another_currency_is_left_out_of_all_buckets_alike() {
    let start = |quarter: i64| at("2026-01-05T00:00Z") + minutes(15 * quarter);
    let crowns = "SEK".parse().ok();
    let quarters = [
        priced(start(0), 1.0, Some(price("0.5", euro()))),
        priced(start(1), 3.0, Some(price("-0.1", euro()))),
        priced(start(2), 2.0, None),
        priced(start(3), 3.5, Some(price("3", crowns))),
        priced(start(9), 0.25, Some(price("0.2", euro()))),
    ];
    let hours = charging(&quarters, Resolution::Hour, &Place::UTC);
    assert_eq!((hours.currency, hours.left_out_kwh), (euro(), 5.5));
    let sums: Vec<_> = hours
        .rows
        .iter()
        .map(|row| (row.kwh_sum, row.cost.cost_sum))
        .collect();
    assert_eq!(sums, [(4.0, 0.2), (0.25, 0.05)]);
    let first = serde_json::to_value(&hours.rows[0]).unwrap();
    assert_eq!(
        first,
        serde_json::json!({
            "date": "2026-01-05T00:00:00.000Z", "kw": { "min": 4.0, "max": 12.0, "mean": 8.0 },
            "kwhSum": 4.0, "price": { "min": -0.1, "max": 0.5, "mean": 0.05 }, "costSum": 0.2,
            "nonSmartPrice": { "min": null, "max": null, "mean": null }, "estimatedSavings": null,
        })
    );
    let days = charging(&quarters, Resolution::Day, &Place::UTC);
    assert_eq!(days.rows[0].cost.cost_sum, 0.25);
    let nothing = charging(&quarters[2..3], Resolution::Day, &Place::UTC);
    assert_eq!((nothing.rows, nothing.left_out_kwh), (Vec::new(), 2.0));
}

fn session(from: Timestamp, to: Timestamp, kwh: f64) -> ChargingSession {
    ChargingSession {
        id: ChargingSessionId(Uuid::nil()),
        from,
        to,
        opened: Opened::Charging,
        closed: None,
        readings: 2,
        gaps: Vec::new(),
        sum: FlowSum {
            kwh,
            ..FlowSum::default()
        },
        level_from: None,
        level_to: None,
        seen_at: to,
        paused_since: None,
        is_plugged_in: true,
    }
}

/// Two sessions that share a quarter hour share its energy.
#[test]
fn a_session_costs_its_share_of_its_quarter_hours() {
    let start = |quarter: i64| at("2026-01-05T00:00Z") + minutes(15 * quarter);
    let here = Some(LocationId(Uuid::from_u128(1)));
    let mut quarters = [
        priced(start(0), 1.0, Some(price("1", euro()))),
        priced(start(1), 0.8, Some(price("10", euro()))),
        priced(start(2), 1.0, Some(price("100", euro()))),
    ];
    quarters[1].quarter.sum.active_ms = 12 * 60_000;
    quarters[2].location = here;
    // The first ends after eight minutes of the second quarter hour, the other begins at its last
    // four.
    let first = session(start(0), start(1) + minutes(8), 1.0 + 0.8 * 8.0 / 12.0);
    let first = priced_session(CAR, first, &quarters);
    let amount = |cost| EnergyCost::from(&cost).amount.unwrap();
    assert_eq!(amount(first.cost), "6.333333");
    assert_eq!(first.location, None);
    let second = session(start(1) + minutes(11), start(3), 0.8 * 4.0 / 12.0 + 1.0);
    let second = priced_session(CAR, second, &quarters);
    assert_eq!(amount(second.cost), "102.666667");
    assert_eq!(second.location, here, "most of it");
    let unknown = priced_session(CAR, session(start(9), start(10), 1.0), &quarters);
    let told = EnergyCost::from(&unknown.cost);
    assert_eq!((told.amount, told.unpriced_kwh), (None, 1.0));
}

// ---- against the obvious way ----------------------------------------------------------------

/// A place as it is known: all that was hung there, versions of rates, prices of its market.
#[derive(Debug, Clone)]
struct Site {
    zone: Zone,
    currency: Option<Currency>,
    hung: Vec<LocationTariff>,
    tariffs: Vec<Tariff>,
    market: Vec<MarketPrice>,
}

/// What a kWh cost in a quarter hour, looked up minute by minute on the wall clock.
fn slow_price(site: &Site, start: Timestamp) -> Option<(Decimal, Option<Currency>)> {
    let is_before = |since: Timestamp| since < start + minutes(15);
    let hung = site.hung.iter().filter(|row| is_before(row.since));
    let hung = hung.max_by_key(|row| row.since);
    let mut minute_prices = Vec::new();
    for minute in 0..15 {
        let now = start + minutes(minute);
        let local = now.to_zoned(site.zone.rules().clone());
        let clock: ClockTime = local.strftime("%H:%M").to_string().parse().unwrap();
        let weekday = local.weekday().to_monday_zero_offset() as u8;
        let of_tariff = hung.and_then(|row| {
            let holds = |interval: &&Interval| {
                interval.is_on(weekday) && interval.from <= clock && clock < interval.to
            };
            let name = &row.intervals.iter().find(holds)?.name;
            let versions = site.tariffs.iter();
            let versions = versions.filter(|tariff| tariff.id == row.tariff_id);
            let version = versions
                .filter(|tariff| is_before(tariff.since))
                .max_by_key(|tariff| tariff.since)?;
            let rate = version.rates.iter().find(|rate| rate.name == *name)?;
            Some((rate.cost, site.currency))
        });
        let holds = |price: &&MarketPrice| price.from <= now && now < price.to;
        let of_market = site.market.iter().find(holds);
        let of_market = of_market.map(|price| (price.per_kwh, Some(price.currency)));
        minute_prices.push(of_tariff.or(of_market)?);
    }
    let currency = minute_prices[0].1;
    let is_one = minute_prices.iter().all(|(_, other)| *other == currency);
    let sum: Decimal = minute_prices.iter().map(|(cost, _)| *cost).sum();
    is_one.then(|| (sum / Decimal::from(15), currency))
}

/// Where the car was for most of the minutes of a quarter hour in which it was anywhere.
fn slow_place(stays: &[Stay], start: Timestamp) -> Option<LocationId> {
    let mut counts: Vec<(LocationId, usize)> = Vec::new();
    for minute in 0..15 {
        let now = start + minutes(minute);
        let stay = stays.iter().filter(|stay| stay.since <= now);
        let here = stay.max_by_key(|stay| stay.since);
        let Some(here) = here.and_then(|stay| stay.location) else {
            continue;
        };
        match counts.iter_mut().find(|(known, _)| *known == here) {
            Some((_, count)) => *count += 1,
            None => counts.push((here, 1)),
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max();
    let longest = counts.iter().find(|(_, count)| Some(*count) == most);
    longest.map(|(location, _)| *location)
}

fn intervals() -> impl Strategy<Value = Vec<Interval>> {
    let time = prop_oneof![
        4 => (0_u16..=24).prop_map(|hour| format!("{hour:02}:00")),
        1 => (0_u16..24, 0_u16..60).prop_map(|(hour, minute)| format!("{hour:02}:{minute:02}")),
    ];
    let weekdays = prop::option::of(prop::collection::vec(0_u8..7, 1..6));
    let one = (time.clone(), time, weekdays, 0_usize..4);
    let one = one.prop_map(|(one, other, weekdays, rate)| Interval {
        name: ["a", "b", "c", "not there"][rate].to_owned(),
        from: one.clone().min(other.clone()).parse().unwrap(),
        to: one.max(other).parse().unwrap(),
        weekdays,
    });
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

/// A site whose tariff came and changed within some hours of a moment. One tariff for all, so that
/// the obvious way need not know which version another one had while it did not hang.
fn site(zone: &'static str, middle: Timestamp) -> impl Strategy<Value = Site> {
    let shifted = move |minutes_on: i64| middle + minutes(minutes_on);
    let hung = prop::collection::vec((intervals(), -1_500_i64..1_000), 0..3);
    let rates = prop::collection::vec(-500_i64..500, 0..=3);
    let versions = prop::collection::vec((rates, -1_500_i64..1_000), 0..4);
    let market = prop::collection::vec(prop::option::of(-100_i64..100), 48);
    let currencies = (prop::option::of(0_usize..2), 0_usize..2);
    (hung, versions, market, currencies).prop_map(move |(hung, versions, market, currencies)| {
        let code = |index: usize| -> Currency { ["EUR", "SEK"][index].parse().unwrap() };
        let mut site = Site {
            zone: zone.parse().unwrap(),
            currency: currencies.0.map(code),
            hung: Vec::new(),
            tariffs: Vec::new(),
            market: Vec::new(),
        };
        for (intervals, since) in hung {
            site.hung.push(LocationTariff {
                location_id: LocationId(Uuid::nil()),
                since: shifted(since),
                tariff_id: "t".parse().unwrap(),
                intervals,
            });
        }
        for (costs, since) in versions {
            let rates = ["a", "b", "c"].into_iter().zip(costs);
            let rates = rates.map(|(name, cost)| Rate {
                name: name.to_owned(),
                cost: Decimal::new(cost, 3),
            });
            site.tariffs.push(Tariff {
                id: "t".parse().unwrap(),
                since: shifted(since),
                rates: rates.collect(),
            });
        }
        // Of two at one moment the store keeps one.
        site.hung.sort_by_key(|row| row.since);
        site.hung.dedup_by_key(|row| row.since);
        site.tariffs.sort_by_key(|tariff| tariff.since);
        site.tariffs.dedup_by_key(|tariff| tariff.since);
        for (hour, cost) in (0..).zip(market) {
            site.market.extend(cost.map(|cost| MarketPrice {
                from: shifted(hour * 60 - 1_440),
                to: shifted(hour * 60 - 1_380),
                per_kwh: Decimal::new(cost, 3),
                currency: code(currencies.1),
                source: "test".to_owned(),
                received_at: middle,
            }));
        }
        site
    })
}

const NIGHTS: [(&str, &str); 6] = [
    ("Europe/Oslo", "2026-03-29T01:00:00Z"),
    ("Europe/Oslo", "2026-10-25T01:00:00Z"),
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
];

/// Two days of a car that charges at two places, around a night in which the clock changes at one
/// of them.
#[derive(Debug, Clone)]
struct Story {
    zone: &'static str,
    sites: [(LocationId, Site); 2],
    stays: Vec<Stay>,
    quarters: Vec<(Timestamp, f64)>,
}

fn story() -> impl Strategy<Value = Story> {
    (0..NIGHTS.len()).prop_flat_map(|night| {
        let (zone, middle) = NIGHTS[night];
        let middle = at(middle);
        let stays = prop::collection::vec((-1_500_i64..1_400, 0_u128..3), 1..8);
        let energy = prop::collection::vec(prop::option::of(0.0..6.0_f64), 192);
        let sites = (site(zone, middle), site("Asia/Kathmandu", middle));
        (sites, stays, energy).prop_map(move |((one, other), stays, energy)| {
            let id = |number| LocationId(Uuid::from_u128(number));
            let mut stays: Vec<Stay> = stays
                .into_iter()
                .map(|(since, location)| Stay {
                    since: middle + minutes(since),
                    location: (location > 0).then(|| id(location)),
                })
                .collect();
            stays.sort_by_key(|stay| stay.since);
            stays.dedup_by_key(|stay| stay.since);
            let energy = (0..).zip(energy);
            let quarters = energy
                .filter_map(|(index, kwh)| Some((middle + minutes(15 * index - 1_440), kwh?)));
            Story {
                zone,
                sites: [(id(1), one), (id(2), other)],
                stays,
                quarters: quarters.collect(),
            }
        })
    })
}

/// The quarter hours of a story, priced as the product prices them: first by the tariff, then what is
/// open by all.
fn price_story(story: &Story) -> Vec<PricedQuarter> {
    let quarters = story.quarters.iter();
    let quarters = quarters.map(|(start, kwh)| quarter(*start, *kwh)).collect();
    let stays = story.stays.iter().map(|stay| (CAR, *stay)).collect();
    let mut priced = located(quarters, stays);
    for (location, site) in &story.sites {
        let mut here: Vec<&mut PricedQuarter> = priced
            .iter_mut()
            .filter(|quarter| quarter.location == Some(*location))
            .collect();
        let starts: BTreeSet<_> = here.iter().map(|quarter| quarter.quarter.start).collect();
        let timetable = |market| {
            let (hung, tariffs) = (site.hung.clone(), site.tariffs.clone());
            Timetable::new(site.currency, hung, tariffs, market)
        };
        let (mut known, open) = told(&timetable(Vec::new()), &site.zone, starts.clone());
        known.extend(told(&timetable(site.market.clone()), &site.zone, open).0);
        let (at_once, _) = told(&timetable(site.market.clone()), &site.zone, starts);
        assert_eq!(known, at_once, "asking the market last changes nothing");
        for quarter in &mut here {
            quarter.price = known.get(&quarter.quarter.start).cloned();
        }
    }
    priced
}

/// Energy and cost of the local days of a story in a currency, minute by minute; what is left out
/// beside them.
fn slow_days(story: &Story, currency: Option<Currency>) -> (BTreeMap<String, (f64, Decimal)>, f64) {
    let zone: Zone = story.zone.parse().unwrap();
    let (mut days, mut left_out) = (BTreeMap::<String, (f64, Decimal)>::new(), 0.0);
    for (start, kwh) in story.quarters.iter().filter(|(_, kwh)| *kwh > 0.0) {
        let place = slow_place(&story.stays, *start);
        let site = story.sites.iter().find(|(id, _)| Some(*id) == place);
        let price = site.and_then(|(_, site)| slow_price(site, *start));
        match price.filter(|(_, of)| *of == currency) {
            Some((price, _)) => {
                let local = start.to_zoned(zone.rules().clone());
                let day = days.entry(local.strftime("%F").to_string()).or_default();
                day.0 += kwh;
                day.1 += Decimal::try_from(*kwh).unwrap() * price;
            }
            None => left_out += kwh,
        }
    }
    (days, left_out)
}

/// What was produced in a local day, by a look at each quarter hour: energy, energy without a price,
/// and worth by currency.
#[derive(Debug, Default)]
struct SlowDay {
    kwh: f64,
    unpriced: f64,
    worth: BTreeMap<Option<Currency>, Decimal>,
    prices: Vec<Decimal>,
    kw: Vec<f64>,
}

fn slow_production(story: &Story) -> BTreeMap<String, SlowDay> {
    let zone: Zone = story.zone.parse().unwrap();
    let mut days = BTreeMap::<String, SlowDay>::new();
    for (start, kwh) in story.quarters.iter().filter(|(_, kwh)| *kwh > 0.0) {
        let local = start.to_zoned(zone.rules().clone());
        let day = days.entry(local.strftime("%F").to_string()).or_default();
        day.kwh += kwh;
        day.kw.push(kwh * 4.0);
        let here = slow_place(&story.stays, *start);
        let site = story.sites.iter().find(|(id, _)| Some(*id) == here);
        match site.and_then(|(_, site)| slow_price(site, *start)) {
            Some((price, currency)) => {
                day.prices.push(price);
                *day.worth.entry(currency).or_default() += Decimal::try_from(*kwh).unwrap() * price;
            }
            None => day.unpriced += kwh,
        }
    }
    days
}

fn is_near(one: f64, other: f64, by: f64) -> bool {
    (one - other).abs() <= by
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// What charging cost is the sum of energy by price, whatever tariffs, gaps, currencies and
    /// places there were, and is the same for buckets of every length.
    #[test]
    fn costs_are_those_of_the_obvious_way(story in story()) {
        let priced = price_story(&story);
        let place = Place::from(story.zone.parse::<Zone>().unwrap());
        let zone: Zone = story.zone.parse().unwrap();
        let days = charging(&priced, Resolution::Day, &place);
        // Where nobody said a currency, that is one as well.
        let told: BTreeSet<_> = priced.iter().filter_map(|q| Some(q.price.as_ref()?.currency)).collect();
        let total = |currency| -> f64 { slow_days(&story, currency).0.values().map(|day| day.0).sum() };
        if let Some(other) = told.iter().find(|other| total(**other) > total(days.currency) + 1e-6) {
            prop_assert!(false, "more was charged in {:?} than in {:?}", other, days.currency);
        }
        let (slow, left_out) = slow_days(&story, days.currency);
        prop_assert!(is_near(days.left_out_kwh, left_out, 1e-5), "{} {left_out}", days.left_out_kwh);
        prop_assert_eq!(days.rows.len(), slow.len());
        for (row, (day, (kwh, cost))) in days.rows.iter().zip(&slow) {
            let local = row.date.to_zoned(zone.rules().clone());
            prop_assert_eq!(&local.strftime("%F").to_string(), day);
            prop_assert!(is_near(row.kwh_sum, *kwh, 1e-5), "{day}: {} {kwh}", row.kwh_sum);
            let cost = f64::try_from(*cost).unwrap();
            prop_assert!(is_near(row.cost.cost_sum, cost, 1e-5), "{day}: {} {cost}", row.cost.cost_sum);
        }
        let sums = |resolution| -> (f64, f64) {
            let rows = charging(&priced, resolution, &place).rows;
            let kwh = rows.iter().map(|row| row.kwh_sum).sum();
            (kwh, rows.iter().map(|row| row.cost.cost_sum).sum())
        };
        let whole = sums(Resolution::Year);
        for resolution in Resolution::ALL {
            let (kwh, cost) = sums(resolution);
            // Each row is rounded to a millionth.
            let is_same = is_near(kwh, whole.0, 2e-4) && is_near(cost, whole.1, 2e-4);
            prop_assert!(is_same, "{resolution:?}: {kwh} {cost} {whole:?}");
        }
    }

    /// What was produced is told whole. It has a worth, the sum of energy by price, if all of it has
    /// a price in one currency, and none otherwise.
    #[test]
    fn earnings_are_those_of_the_obvious_way(story in story()) {
        let zone: Zone = story.zone.parse().unwrap();
        let place = Place::from(zone.clone());
        let mut priced = price_story(&story);
        for quarter in &mut priced {
            quarter.quarter.flow = Flow::Given;
        }
        // What an inverter takes is no production.
        let mut taken = quarter(priced.first().map_or(at("2026-01-01T00:00Z"), |q| q.quarter.start), 7.0);
        taken.flow = Flow::Taken;
        priced.push(PricedQuarter { quarter: taken, location: None, price: None });
        let days = earnings(&priced, Resolution::Day, &place);
        let slow = slow_production(&story);
        prop_assert_eq!(days.len(), slow.len());
        for (row, (day, slow)) in days.iter().zip(&slow) {
            let local = row.date.to_zoned(zone.rules().clone());
            prop_assert_eq!(&local.strftime("%F").to_string(), day);
            prop_assert!(is_near(row.kwh_sum, slow.kwh, 1e-5), "{day}: {} {}", row.kwh_sum, slow.kwh);
            prop_assert!(is_near(row.unpriced_kwh, slow.unpriced, 1e-5), "{day}: {row:?}");
            let (least, most) = slow.kw.iter().fold((f64::MAX, f64::MIN), |(least, most), kw| {
                (least.min(*kw), most.max(*kw))
            });
            prop_assert!(is_near(row.kw.min.unwrap(), least, 1e-5), "{day}: {row:?}");
            prop_assert!(is_near(row.kw.max.unwrap(), most, 1e-5), "{day}: {row:?}");
            // Energy below what counts is nowhere.
            if slow.unpriced > 0.0 && slow.unpriced < 1e-6 {
                continue;
            }
            let mut worth = slow.worth.iter();
            match (worth.next(), worth.next()) {
                (Some((currency, amount)), None) if slow.unpriced == 0.0 => {
                    let (amount, told) = (f64::try_from(*amount).unwrap(), row.earnings_sum.unwrap());
                    prop_assert!(is_near(told, amount, 1e-5), "{day}: {told} {amount}");
                    prop_assert_eq!(row.currency, *currency);
                    let extreme = |price: Option<&Decimal>| f64::try_from(*price.unwrap()).unwrap();
                    prop_assert!(is_near(row.price.min.unwrap(), extreme(slow.prices.iter().min()), 1e-8));
                    prop_assert!(is_near(row.price.max.unwrap(), extreme(slow.prices.iter().max()), 1e-8));
                    prop_assert!(is_near(row.price.mean.unwrap(), amount / slow.kwh, 1e-5));
                }
                _ => {
                    prop_assert_eq!(row.earnings_sum, None, "{}", day);
                    prop_assert_eq!(row.price, Spread::default());
                    prop_assert_eq!(row.currency, None);
                }
            }
        }
        let whole: f64 = days.iter().map(|row| row.kwh_sum).sum();
        for resolution in Resolution::ALL {
            let rows = earnings(&priced, resolution, &place);
            let kwh: f64 = rows.iter().map(|row| row.kwh_sum).sum();
            prop_assert!(is_near(kwh, whole, 2e-4), "{resolution:?}: {kwh} {whole}");
        }
    }
}
