//! What is wanted, held against a clock that is read minute by minute.

use jiff::{SignedDuration, civil::Weekday};
use proptest::prelude::*;

use super::*;
use crate::zone::Zone;

fn rule(window: Option<(&str, &str)>, weekdays: Option<&[u8]>, should_charge: bool) -> ChargeRule {
    ChargeRule {
        hour_minute: window.map(|(from, to)| HourMinute {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
        }),
        from_timestamp: None,
        to_timestamp: None,
        weekdays: weekdays.map(<[u8]>::to_vec),
        should_charge,
    }
}

fn transitions(rules: &[ChargeRule], zone: &str, after: &str) -> Vec<(String, bool)> {
    let zone: Zone = zone.parse().unwrap();
    let timeline = Timeline {
        default: false,
        rules,
        zone: &zone,
    };
    let upcoming = timeline.upcoming(at(after), MOST_TRANSITIONS);
    upcoming
        .iter()
        .map(|next| (next.at.to_string(), next.wanted))
        .collect()
}

fn expect(transitions: Vec<(String, bool)>, expected: &[(&str, bool)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(at, wanted)| ((*at).to_owned(), *wanted))
        .collect();
    assert_eq!(transitions, expected);
}

#[test]
fn a_window_across_midnight_belongs_to_the_day_on_which_it_begins() {
    // Friday night only, in Oslo's summer.
    let friday = [rule(Some(("22:00", "06:00")), Some(&[4]), true)];
    let oslo = "Europe/Oslo";
    expect(
        transitions(&friday, oslo, "2026-06-01T00:00Z"),
        &[
            ("2026-06-05T20:00:00Z", true),
            ("2026-06-06T04:00:00Z", false),
        ],
    );
    expect(
        transitions(&friday, oslo, "2026-06-06T01:00Z"),
        &[
            ("2026-06-06T04:00:00Z", false),
            ("2026-06-12T20:00:00Z", true),
        ],
    );
    let zone: Zone = oslo.parse().unwrap();
    let timeline = Timeline {
        default: false,
        rules: &friday,
        zone: &zone,
    };
    assert_eq!(
        timeline.since(at("2026-06-06T01:00Z")),
        Some(at("2026-06-05T20:00Z"))
    );
    assert_eq!(
        timeline.since(at("2026-06-05T20:00Z")),
        Some(at("2026-06-05T20:00Z"))
    );
    assert_eq!(
        timeline.since(at("2026-06-05T19:59Z")),
        Some(at("2026-05-30T04:00Z"))
    );
}

#[test]
fn skipped_hours_never_come_and_repeated_ones_come_twice() {
    let half_past_two = [rule(Some(("02:15", "02:45")), None, true)];
    let oslo = "Europe/Oslo";
    expect(
        transitions(&half_past_two, oslo, "2026-03-28T12:00Z"),
        &[
            ("2026-03-30T00:15:00Z", true),
            ("2026-03-30T00:45:00Z", false),
        ],
    );
    expect(
        transitions(&half_past_two, oslo, "2026-10-25T00:15Z"),
        &[
            ("2026-10-25T00:45:00Z", false),
            ("2026-10-25T01:15:00Z", true),
        ],
    );
    // A window that begins in the skipped hour begins with the jump.
    let from_half_past = [rule(Some(("02:30", "05:00")), None, true)];
    expect(
        transitions(&from_half_past, oslo, "2026-03-28T12:00Z"),
        &[
            ("2026-03-29T01:00:00Z", true),
            ("2026-03-29T03:00:00Z", false),
        ],
    );
}

#[test]
fn the_last_rule_counts_and_dates_may_be_far_away() {
    let mut holiday = rule(None, None, false);
    holiday.from_timestamp = Some(at("2027-07-01T00:00Z"));
    holiday.to_timestamp = Some(at("2027-08-01T00:00Z"));
    let always = rule(None, None, true);
    let rules = [always, holiday];
    expect(
        transitions(&rules, "UTC", "2026-01-01T00:00Z"),
        &[
            ("2027-07-01T00:00:00Z", false),
            ("2027-08-01T00:00:00Z", true),
        ],
    );
    expect(transitions(&rules, "UTC", "2027-08-01T00:00Z"), &[]);
    let zone = Zone::UTC;
    let timeline = Timeline {
        default: false,
        rules: &rules,
        zone: &zone,
    };
    assert_eq!(
        timeline.since(at("2030-01-01T00:00Z")),
        Some(at("2027-08-01T00:00Z"))
    );
    assert_eq!(timeline.since(at("2026-01-01T00:00Z")), None);
    // In the other order the holiday is never seen.
    let rules = [rules[1].clone(), rules[0].clone()];
    expect(transitions(&rules, "UTC", "2026-01-01T00:00Z"), &[]);
    // A whole day may be written in three ways, and nothing is no day.
    for (from, to) in [("00:00", "24:00"), ("00:00", "00:00"), ("24:00", "24:00")] {
        expect(
            transitions(
                &[rule(Some((from, to)), None, true)],
                "UTC",
                "2026-01-01T00:00Z",
            ),
            &[],
        );
    }
    expect(
        transitions(&[rule(None, Some(&[]), true)], "UTC", "2026-01-01T00:00Z"),
        &[],
    );
}

/// What is wanted at a minute, by reading the clock and the rules word by word.
fn slow(rules: &[ChargeRule], zone: &Zone, at: Timestamp) -> bool {
    let local = at.to_zoned(zone.rules().clone());
    let minute = u16::from(local.hour() as u8) * 60 + u16::from(local.minute() as u8);
    let mut wanted = false;
    for rule in rules {
        let weekday = |days_ago: i8| {
            let today = local.date().weekday().since(Weekday::Monday);
            (today - days_ago).rem_euclid(7) as u8
        };
        // Before Pacific/Apia skipped a Friday, yesterday was always the weekday before.
        let is_on = |days_ago| {
            rule.weekdays
                .as_ref()
                .is_none_or(|days| days.contains(&weekday(days_ago)))
        };
        let is_in_window = match rule.hour_minute {
            None => is_on(0),
            Some(window) => {
                let (from, to) = (window.from.minutes(), window.to.minutes());
                // The window of today and that of yesterday, in minutes since their midnight.
                let end = if to > from { to } else { to + 1440 };
                let is_within = |minute: u16| from <= minute && minute < end;
                (is_within(minute) && is_on(0)) || (is_within(minute + 1440) && is_on(1))
            }
        };
        let is_begun = rule.from_timestamp.is_none_or(|from| from <= at);
        let is_over = rule.to_timestamp.is_some_and(|to| to <= at);
        if is_in_window && is_begun && !is_over {
            wanted = rule.should_charge;
        }
    }
    wanted
}

fn rules() -> impl Strategy<Value = Vec<ChargeRule>> {
    let time =
        || (0..97_u16).prop_map(|quarter| format!("{:02}:{:02}", quarter / 4, quarter % 4 * 15));
    let window = (time(), time()).prop_map(|(from, to)| HourMinute {
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
    });
    let weekdays = prop::collection::vec(0..7_u8, 0..5);
    let date = || prop::option::weighted(0.2, 0..40 * 24 * 4_i64);
    let rule = (
        prop::option::weighted(0.8, window),
        prop::option::of(weekdays),
        date(),
        date(),
        any::<bool>(),
    );
    prop::collection::vec(rule, 0..5).prop_map(|rules| {
        let rules =
            rules.into_iter().map(
                |(hour_minute, weekdays, from, to, should_charge)| ChargeRule {
                    hour_minute,
                    weekdays,
                    from_timestamp: from.map(quarter),
                    to_timestamp: to.map(quarter),
                    should_charge,
                },
            );
        rules.collect()
    })
}

/// A quarter hour within forty days from the middle of a month on, in which clocks change.
fn quarter(index: i64) -> Timestamp {
    at("2026-10-11T00:00Z") + SignedDuration::from_mins(15 * index)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// For forty days, in zones whose clocks change meanwhile: every minute, every transition and
    /// since when.
    #[test]
    fn every_minute_is_as_the_clock_says(
        rules in rules(),
        zone in prop::sample::select(vec![
            "UTC", "Europe/Oslo", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "America/Asuncion",
        ]),
        shift in prop::sample::select(vec![0, -205]),
        start in 0..20 * 1440_i64,
    ) {
        // The same rules in spring, when the clock skips.
        let move_by = |at: Timestamp| at + SignedDuration::from_hours(24 * shift);
        let rules: Vec<_> = rules.into_iter().map(|mut rule| {
            rule.from_timestamp = rule.from_timestamp.map(move_by);
            rule.to_timestamp = rule.to_timestamp.map(move_by);
            rule
        }).collect();
        let zone: Zone = zone.parse().unwrap();
        let timeline = Timeline { default: false, rules: &rules, zone: &zone };
        let start = move_by(quarter(0)) + SignedDuration::from_mins(start);
        let minutes = 18 * 1440;
        let minute = |index: i64| start + SignedDuration::from_mins(index);
        let (mut before, mut changes) = (slow(&rules, &zone, start), Vec::new());
        prop_assert_eq!(timeline.at(start), before);
        for index in 1..minutes {
            let at = minute(index);
            let wanted = slow(&rules, &zone, at);
            if index % 7 == 0 || wanted != before {
                prop_assert_eq!(timeline.at(at), wanted, "{}", at);
            }
            if wanted != before {
                changes.push(Transition { at, wanted });
            }
            before = wanted;
        }
        let end = minute(minutes);
        let mut upcoming = timeline.upcoming(start, changes.len() + 1);
        let next = upcoming.get(changes.len()).copied();
        upcoming.truncate(changes.len());
        prop_assert_eq!(&upcoming, &changes);
        prop_assert!(next.is_none_or(|next| next.at >= end));
        if let Some(last) = changes.last() {
            prop_assert_eq!(timeline.since(minute(minutes - 1)), Some(last.at));
            prop_assert_eq!(timeline.since(last.at), Some(last.at));
        }
    }
}
