use jiff::civil::date;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn zone(name: &str) -> Zone {
    name.parse().unwrap()
}

const LONG_AGO: &str = "2021-05-14T00:00:00Z";

#[test]
fn periods_are_written_as_they_are_read() {
    for text in [
        "2026-03-02",
        "2026-03",
        "0001-12",
        "9999-12-31",
        "2028-02-29",
    ] {
        assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "2026",
        "2026-3",
        "2026-13",
        "2026-02-29",
        "2026-03-02T00",
        "2026-03-",
        "+026-03",
        "2026-03-2",
        "26-03-02",
        "2026-00",
        "2026-+3",
    ] {
        assert_eq!(text.parse::<Period>(), Err(period::NotAPeriod), "{text}");
    }
    assert_eq!(Period::of(2026, 2, Some(30)), None);
    assert_eq!(Period::of(2026, 0, None), None);
}

#[test]
fn days_have_the_quarter_hours_of_their_place() {
    for (name, day, count, midnight) in [
        ("Europe/Oslo", date(2026, 3, 29), 92, "2026-03-28T23:00:00Z"),
        (
            "Europe/Oslo",
            date(2026, 10, 25),
            100,
            "2026-10-24T22:00:00Z",
        ),
        ("Europe/Oslo", date(2026, 7, 1), 96, "2026-06-30T22:00:00Z"),
        (
            "Australia/Lord_Howe",
            date(2026, 4, 5),
            98,
            "2026-04-04T13:00:00Z",
        ),
        (
            "Asia/Kathmandu",
            date(2026, 4, 5),
            96,
            "2026-04-04T18:15:00Z",
        ),
        // Midnight itself is left out.
        (
            "America/Santiago",
            date(2026, 9, 6),
            92,
            "2026-09-06T04:00:00Z",
        ),
    ] {
        let zone = zone(name);
        let starts = Period::Day(day).buckets(&zone);
        assert_eq!(starts.len(), count, "{name} {day}");
        assert_eq!(starts[0], at(midnight), "{name} {day}");
        let month = Period::month_at(starts[0], &zone);
        let days = month.buckets(&zone);
        assert_eq!(days.len(), usize::try_from(day.days_in_month()).unwrap());
        assert!(days.contains(&starts[0]), "{name} {day}");
    }
}

#[test]
fn what_is_told_is_final_when_nothing_more_is_expected() {
    let zone = zone("Europe/Oslo");
    let day = Period::Day(date(2026, 3, 2));
    let told = |kwh: Vec<Option<f64>>, now: &str| {
        Production::told(day, zone.clone(), Some(kwh), at(now), at(LONG_AGO))
    };
    let whole = || vec![Some(0.25); 96];
    assert!(!told(whole(), "2026-03-02T12:00:00Z").is_final);
    assert!(!told(whole(), "2026-03-03T00:59:59Z").is_final);
    assert!(told(whole(), "2026-03-03T01:00:00Z").is_final);
    let short = told(vec![Some(0.25); 90], "2026-03-03T01:00:00Z");
    let kwh = short.kwh.unwrap();
    assert_eq!((kwh.len(), kwh[89], kwh[90]), (96, Some(0.25), None));
    assert!(!short.is_final);
    assert!(told(vec![None], "2026-03-09T23:00:00Z").is_final);
    let values = vec![Some(-0.1), Some(1e9), Some(f64::NAN)];
    let absurd = told(values, "2026-03-12T12:00:00Z");
    assert!(!absurd.is_final);
    assert_eq!(absurd.kwh.unwrap(), vec![None; 96]);
    let fine = told(vec![Some(0.1 + 0.2)], "2026-03-02T12:00:00Z");
    assert_eq!(fine.kwh.unwrap()[0], Some(0.3));
    // Before it was installed there is nothing to wait for.
    let mut late = vec![None; 40];
    late.extend(vec![Some(1.0); 56]);
    let (now, installed) = (at("2026-03-03T01:00:00Z"), at("2026-03-02T09:00:00Z"));
    assert!(Production::told(day, zone.clone(), Some(late), now, installed).is_final);
    let nothing = Production::told(day, zone.clone(), None, now, installed);
    assert!(
        nothing.is_final
            && nothing.statistics().resolutions[&Resolution::QuarterHour]
                .data
                .is_none()
    );
}

#[test]
fn statistics_have_the_form_of_the_contract() {
    let zone = zone("Europe/Oslo");
    let month = Period::of(2026, 3, None).unwrap();
    let kwh = Some(vec![Some(1.5), None]);
    let told = Production::told(month, zone, kwh, at("2026-03-02T12:00:00Z"), at(LONG_AGO));
    let json = serde_json::to_value(told.statistics()).unwrap();
    assert_eq!(json["timezone"], "Europe/Oslo");
    let entry = &json["resolutions"]["DAY"];
    assert_eq!(entry["unit"], "kWh");
    let expected = serde_json::json!({"date": "2026-03-01T00:00:00+01:00", "value": 1.5});
    assert_eq!(entry["data"][0], expected);
    let last = serde_json::json!({"date": "2026-03-31T00:00:00+02:00", "value": null});
    assert_eq!(entry["data"][30], last);
    assert_eq!(entry["data"].as_array().unwrap().len(), 31);
}

/// Asks as a plan says, until it has nothing more for now; returns what was asked.
fn fill(known: &mut Vec<Known>, now: Timestamp, zone: &Zone, installed: Timestamp) -> Vec<Period> {
    let mut asked = Vec::new();
    loop {
        let plan = plan(now, zone, installed, known);
        let Some(due) = plan.iter().find(|due| due.at <= now) else {
            return asked;
        };
        let told = Production::told(due.period, zone.clone(), None, now, installed);
        known.retain(|known| known.period != due.period);
        known.push(Known {
            period: due.period,
            fetched_at: now,
            is_final: told.is_final,
        });
        asked.push(due.period);
    }
}

#[test]
fn linking_fills_in_thirty_days_and_three_months() {
    let zone = zone("Europe/Oslo");
    let now = at("2026-03-02T06:00:00Z");
    let mut known = Vec::new();
    let asked = fill(&mut known, now, &zone, at(LONG_AGO));
    let names: Vec<String> = asked.iter().map(Period::to_string).collect();
    assert_eq!(names.len(), 2 + 3 + 30);
    assert_eq!(
        names[..7],
        [
            "2026-03-02",
            "2026-03",
            "2026-02",
            "2026-01",
            "2025-12",
            "2026-03-01",
            "2026-02-28",
        ]
    );
    assert_eq!(names[34], "2026-01-31");
    // From then on the day by the hour, the month less often, and each once more when it is over.
    let (mut of_day, mut all) = (0, 0);
    for minutes in 1..=24 * 60 {
        let now = now + SignedDuration::from_mins(minutes);
        for period in fill(&mut known, now, &zone, at(LONG_AGO)) {
            all += 1;
            of_day += usize::from(period == asked[0]);
        }
    }
    assert!((15..=20).contains(&of_day), "{of_day}");
    assert!((24..=32).contains(&all), "{all}");
    let first = known.iter().find(|known| known.period == asked[0]).unwrap();
    assert!(first.is_final);
    // Nothing from before it was there.
    let installed = at("2026-02-27T12:00:00Z");
    let asked = fill(&mut Vec::new(), now, &zone, installed);
    let names: Vec<String> = asked.iter().map(Period::to_string).collect();
    let expected = [
        "2026-03-02",
        "2026-03",
        "2026-02",
        "2026-03-01",
        "2026-02-28",
        "2026-02-27",
    ];
    assert_eq!(names, expected);
}

#[test]
fn who_asks_is_told_when_more_is_known() {
    let zone = zone("Europe/Oslo");
    let now = at("2026-03-02T06:00:00Z");
    let plan = plan(now, &zone, at(LONG_AGO), &[]);
    let after = |text: &str| retry_after(&plan, text.parse().unwrap(), now, now);
    assert_eq!(after("2026-03-02"), Some(now + PACE));
    assert_eq!(after("2026-02-28"), Some(now + 7 * PACE));
    assert_eq!(after("2026-01-30"), None);
    assert_eq!(after("2024-01"), None);
}

#[test]
fn a_clock_that_goes_back_stops_nothing() {
    let zone = zone("Europe/Oslo");
    let (now, ahead) = (at("2026-03-02T06:00:00Z"), at("2026-03-02T20:00:00Z"));
    let mut known = Vec::new();
    fill(&mut known, ahead, &zone, at(LONG_AGO));
    let plan = plan(now, &zone, at(LONG_AGO), &known);
    assert!(
        plan[0].at <= now + SignedDuration::from_hours(1),
        "{plan:?}"
    );
}
