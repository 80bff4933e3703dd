//! The rules of sums, by example and by property.

use jiff::{SignedDuration, Timestamp};
use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::{
    device::{VendorDevice, Via, charger, vehicle},
    fact::{Completeness, Observation},
    zone::Zone,
};

/// A moment of a quiet day, by its minute.
fn minute(minute: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 / 86_400 * 86_400 + minute * 60).unwrap()
}

fn rate(at: i64, rate: f64) -> Sample {
    Sample {
        rate: Some(rate),
        ..Sample::at(minute(at))
    }
}

fn counter(at: i64, taken: f64) -> Sample {
    Sample {
        taken: Some(taken),
        ..Sample::at(minute(at))
    }
}

fn level(at: i64, state: PowerState, level: f64) -> Sample {
    Sample {
        state: Some(state),
        level: Some(level),
        capacity: Some(50.0),
        ..Sample::at(minute(at))
    }
}

fn taken(kind: DeviceKind, samples: &[Sample]) -> FlowSum {
    Profile::of(kind, samples).sum(Flow::Taken, minute(0), minute(10_000))
}

#[track_caller]
fn assert_close(value: f64, expected: f64) {
    assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
}

#[test]
fn power_is_held_and_split_over_quarter_hours() {
    let samples = [rate(10, 6.0), rate(20, 12.0), rate(25, 0.0), rate(30, 0.0)];
    let quarters = Profile::of(DeviceKind::Charger, &samples).quarters();
    assert_close(quarters[&(minute(0), Flow::Taken)].kwh, 0.5);
    let second = quarters[&(minute(15), Flow::Taken)];
    assert_close(second.kwh, 0.5 + 1.0);
    assert_eq!((second.min_kw, second.max_kw), (Some(6.0), Some(12.0)));
    assert_eq!((second.active_ms, second.rate_ms), (600_000, 900_000));
}

#[test]
fn a_gap_never_creates_energy() {
    let samples = [rate(0, 7.0), rate(15, 7.0), rate(31, 7.0), rate(40, 7.0)];
    let sum = taken(DeviceKind::Charger, &samples);
    assert_close(sum.kwh, 7.0 * 24.0 / 60.0);
    assert_eq!(sum.covered_ms(), 24 * 60_000);
}

#[test]
fn a_counter_comes_before_power_and_bridges_gaps() {
    let samples = [
        Sample {
            rate: Some(9.0),
            ..counter(0, 100.0)
        },
        Sample {
            rate: Some(9.0),
            ..counter(10, 101.0)
        },
        Sample {
            rate: Some(9.0),
            ..counter(100, 104.0)
        },
    ];
    let sum = taken(DeviceKind::Charger, &samples);
    assert_close(sum.kwh, 4.0);
    assert_close(sum.counter_kwh, 4.0);
    assert_eq!(sum.bridged_ms, 90 * 60_000);
}

#[test]
fn a_counter_that_is_reset_or_wrong_once_adds_nothing() {
    for (told, expected) in [
        (vec![100.0, 101.0, 0.0, 2.0], 3.0),
        (vec![100.0, 101.0, 90.0, 102.0], 2.0),
        (vec![100.0, 101.0, 500.0, 102.0], 2.0),
        (vec![100.0, 1e9], 0.0),
    ] {
        let samples: Vec<_> = (0..)
            .step_by(10)
            .zip(&told)
            .map(|(at, kwh)| counter(at, *kwh))
            .collect();
        assert_close(taken(DeviceKind::Charger, &samples).kwh, expected);
    }
}

#[test]
fn a_level_tells_what_flowed_while_nothing_else_did() {
    use PowerState::{Active, Idle};
    // Outage for two hours while charging.
    let samples = [level(0, Active, 40.0), level(120, Active, 60.0)];
    let sum = taken(DeviceKind::Vehicle, &samples);
    assert_close(sum.level_kwh, 10.0);
    assert_eq!(sum.bridged_ms, 120 * 60_000);
    // A level that wavers while the car rests.
    let samples = [level(0, Idle, 40.0), level(120, Idle, 41.0)];
    assert_close(taken(DeviceKind::Vehicle, &samples).kwh, 0.0);
    // Charged at an unknown charger meanwhile; and driven.
    let samples = [
        level(0, Idle, 40.0),
        level(120, Idle, 70.0),
        level(240, Idle, 20.0),
    ];
    assert_close(taken(DeviceKind::Vehicle, &samples).kwh, 15.0);
    // What power accounts for is not counted twice: 2 kWh by 15 minutes of 8 kW, 3 kWh in the gap.
    let power = |sample| Sample {
        rate: Some(8.0),
        ..sample
    };
    let mut samples = vec![
        power(level(0, Active, 40.0)),
        power(level(120, Active, 50.0)),
    ];
    samples.insert(1, rate(15, 8.0));
    let sum = taken(DeviceKind::Vehicle, &samples);
    assert_close(sum.level_kwh, 3.0);
    assert_close(sum.rate_kwh(), 2.0);
}

#[test]
fn a_battery_gives_and_takes() {
    let samples = [rate(0, 3.0), rate(10, -6.0), rate(20, 0.0)];
    let profile = Profile::of(DeviceKind::Battery, &samples);
    assert_close(profile.sum(Flow::Taken, minute(0), minute(60)).kwh, 0.5);
    assert_close(profile.sum(Flow::Given, minute(0), minute(60)).kwh, 1.0);
}

fn seen(kind: DeviceKind, via: Via, at: i64) -> Observation {
    let id = "v1".to_owned();
    let device = VendorDevice { kind, id };
    Observation::new(device, Completeness::Partial, via, minute(at), minute(at))
}

#[test]
fn samples_are_of_the_vendors_moment_and_a_fetch_confirms_them() {
    use crate::device::charger::ChargerPowerDeliveryState as State;
    let mut poll = seen(DeviceKind::Charger, Via::Poll, 30);
    poll.tell(charger::CHARGE_RATE, Some(7.0), Some(minute(20)));
    poll.tell(
        charger::POWER_DELIVERY_STATE,
        Some(State::Charging),
        Some(minute(40)),
    );
    poll.count(Flow::Taken, 12.5, None);
    poll.count(Flow::Taken, f64::NAN, None);
    let samples = samples_of(&poll);
    assert_eq!(
        samples.len(),
        2,
        "what is told of the future is told of now"
    );
    assert_eq!((samples[0].at, samples[0].rate), (minute(20), Some(7.0)));
    assert_eq!((samples[1].at, samples[1].rate), (minute(30), Some(7.0)));
    assert_eq!(samples[1].state, Some(PowerState::Active));
    assert_eq!((samples[1].taken, poll.rejected), (Some(12.5), 1));
    // A push tells only what was then, and a description is no sample.
    let mut push = seen(DeviceKind::Vehicle, Via::Push, 30);
    push.tell(vehicle::BATTERY_LEVEL, Some(50.0), Some(minute(20)));
    push.tell(vehicle::MODEL, Some("One".to_owned()), None);
    let samples = samples_of(&push);
    assert_eq!(samples.len(), 1);
    assert_eq!((samples[0].at, samples[0].level), (minute(20), Some(50.0)));
}

/// Samples of two days, a few minutes apart, as any vendor may send them.
fn any_samples() -> impl Strategy<Value = Vec<Sample>> {
    let one = (
        1_i64..40,
        option::of(-8.0..12.0_f64),
        option::weighted(0.3, 0.0..3.0_f64),
        option::weighted(0.1, Just(())),
        option::of(0.0..100.0_f64),
    );
    vec(one, 2..80).prop_map(|told| {
        let (mut at, mut total) = (0, 0.0);
        let samples = told.into_iter().map(|(gap, rate, step, reset, level)| {
            at += gap;
            total = if reset.is_some() {
                0.0
            } else {
                total + step.unwrap_or(0.0)
            };
            Sample {
                rate,
                taken: step.map(|_| total),
                level,
                capacity: Some(60.0),
                ..Sample::at(minute(at))
            }
        });
        samples.collect()
    })
}

proptest! {
    #[test]
    fn energy_is_the_same_in_buckets_of_any_size(samples in any_samples()) {
        for kind in DeviceKind::ALL {
            let profile = Profile::of(kind, &samples);
            for flow in Flow::ALL {
                let whole = profile.sum(flow, minute(0), minute(5_000));
                let mut sum = FlowSum::default();
                for ((_, of), quarter) in profile.quarters() {
                    if of == flow {
                        sum.add(&quarter);
                    }
                }
                prop_assert!((sum.kwh - whole.kwh).abs() < 1e-6);
                prop_assert!(sum.kwh >= 0.0);
                prop_assert_eq!(sum.covered_ms(), whole.covered_ms());
                prop_assert_eq!(sum.min_kw, whole.min_kw);
                for resolution in Resolution::ALL {
                    let (mut at, mut total) = (resolution.start(minute(0), &Place::UTC), 0.0);
                    while at < minute(5_000) {
                        let end = resolution.end(at, &Place::UTC);
                        total += profile.sum(flow, at, end).kwh;
                        at = end;
                    }
                    prop_assert!((total - whole.kwh).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn what_is_told_is_merged_in_any_order(samples in any_samples(), seed in any::<u64>()) {
        let mut shuffled = samples.clone();
        let mut state = seed | 1;
        for place in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(place, (state >> 33) as usize % (place + 1));
        }
        shuffled.extend(samples.iter().take(3));
        prop_assert_eq!(merge_samples(shuffled), merge_samples(samples));
    }
}

#[test]
fn places_are_so_many_hours_ahead() {
    assert!(Place::ahead(25.0).is_none() && Place::ahead(f64::NAN).is_none());
    let kathmandu = Place::ahead(5.75).unwrap();
    let start = Resolution::Day.start(minute(0), &kathmandu);
    assert_eq!(start, minute(0) - SignedDuration::from_mins(345));
}

/// Days, weeks and months partition the time of a place, with the nights in which clocks change.
#[test]
fn buckets_of_a_place_follow_each_other_over_changes_of_the_clock() {
    for (zone, day, hours) in [
        ("Europe/Oslo", "2026-03-29T00:00", 23.0),
        ("Europe/Oslo", "2026-10-25T00:00", 25.0),
        ("America/New_York", "2026-03-08T00:00", 23.0),
        ("America/New_York", "2026-11-01T00:00", 25.0),
        ("Australia/Lord_Howe", "2026-10-04T00:00", 23.5),
        ("Australia/Lord_Howe", "2026-04-05T00:00", 24.5),
    ] {
        let zone: Zone = zone.parse().unwrap();
        let place = Place::from(zone.clone());
        let day: jiff::civil::DateTime = day.parse().unwrap();
        let start = day.to_zoned(zone.rules().clone()).unwrap().timestamp();
        let end = Resolution::Day.end(start, &place);
        assert_close(end.duration_since(start).as_secs_f64() / 3600.0, hours);
        for resolution in Resolution::ALL {
            let mut quarter = quarter_of(start - SignedDuration::from_hours(48));
            for _ in 0..4 * 24 * 5 {
                let bucket = resolution.start(quarter, &place);
                let end = resolution.end(bucket, &place);
                assert!(
                    bucket <= quarter && quarter < end,
                    "{resolution:?} of {quarter}"
                );
                assert_eq!(resolution.start(bucket, &place), bucket);
                assert_eq!(
                    resolution.start(end, &place),
                    end,
                    "{resolution:?} after {quarter}"
                );
                quarter = quarter_end(quarter);
            }
        }
    }
}
