//! A history that is written piece by piece is the one that all samples make at once.

use jiff::{SignedDuration, Timestamp};
use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::{
    energy::{Flow, FlowSum, PowerState, quarter_of},
    entropy::SeededEntropy,
    session::{Closed, Opened},
};

fn minute(minute: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 / 86_400 * 86_400 + minute * 60).unwrap()
}

/// What flowed in a quarter hour.
type Told = ((Timestamp, Flow), FlowSum);

/// A history as a store keeps it.
struct Book {
    kind: DeviceKind,
    hours: BTreeMap<Timestamp, Vec<Sample>>,
    quarters: BTreeMap<(Timestamp, Flow), (FlowSum, u32)>,
    sessions: BTreeMap<ChargingSessionId, ChargingSession>,
    entropy: SeededEntropy,
    loads: usize,
}

impl Book {
    fn new(kind: DeviceKind) -> Self {
        Self {
            kind,
            hours: BTreeMap::new(),
            quarters: BTreeMap::new(),
            sessions: BTreeMap::new(),
            entropy: SeededEntropy::new(7),
            loads: 0,
        }
    }

    fn sessions(&self) -> Vec<ChargingSession> {
        let mut sessions: Vec<_> = self.sessions.values().cloned().collect();
        sessions.sort_by_key(|session| session.from);
        sessions
    }

    fn piece(&self, from: Timestamp) -> Piece {
        let sessions = self.sessions();
        let first = sessions.partition_point(|session| session.seen_at < from);
        Piece {
            from,
            samples: self
                .hours
                .range(from..)
                .flat_map(|(_, samples)| samples)
                .copied()
                .collect(),
            sessions: sessions[first.saturating_sub(1)..].to_vec(),
        }
    }

    fn take(&mut self, new: &[Sample]) {
        let new = merge_samples(new.iter().copied());
        let mut from = Piece::first_reach(new[0].at);
        let change = loop {
            self.loads += 1;
            let piece = self.piece(from);
            let entropy = &self.entropy;
            let mut mint = |at| ChargingSessionId::new(at, entropy);
            match absorb(self.kind, &piece, &new, &mut mint) {
                Ok(change) => break change,
                Err(farther) => {
                    assert!(farther < from, "asks for more");
                    from = farther;
                }
            }
        };
        self.hours.extend(change.hours);
        for bucket in change.buckets {
            let slot = self
                .quarters
                .entry((bucket.start, bucket.flow))
                .or_default();
            *slot = (bucket.sum, slot.1 + u32::from(bucket.restated.is_some()));
        }
        for id in change.withdrawn {
            assert!(self.sessions.remove(&id).is_some());
        }
        for session in change.sessions {
            self.sessions.insert(session.id, session);
        }
    }

    /// What there is, without what depends on the order in which it came.
    fn told(&self) -> (Vec<Told>, Vec<ChargingSession>) {
        let quarters = self.quarters.iter().map(|(place, (sum, _))| (*place, *sum));
        let quarters = quarters.filter(|(_, sum)| sum.covered_ms() > 0);
        let nobody = ChargingSessionId(uuid::Uuid::nil());
        let sessions = self.sessions().into_iter();
        let sessions = sessions.map(|session| ChargingSession {
            id: nobody,
            ..session
        });
        (quarters.collect(), sessions.collect())
    }

    fn assert_is_as(&self, other: &Self) -> Result<(), TestCaseError> {
        let (quarters, sessions) = self.told();
        let (others, other_sessions) = other.told();
        prop_assert_eq!(quarters.len(), others.len());
        for (one, two) in quarters.iter().zip(&others) {
            prop_assert_eq!(one, two);
        }
        prop_assert_eq!(sessions.len(), other_sessions.len());
        for (mut one, two) in sessions.into_iter().zip(other_sessions) {
            prop_assert!((one.sum.kwh - two.sum.kwh).abs() < 1e-9);
            one.sum = two.sum;
            prop_assert_eq!(one, two);
        }
        Ok(())
    }
}

fn car(at: i64, state: PowerState, rate: f64, level: f64) -> Sample {
    Sample {
        state: Some(state),
        rate: (state == PowerState::Active).then_some(rate),
        level: Some(level),
        capacity: Some(60.0),
        ..Sample::at(minute(at))
    }
}

use PowerState::{Active, Full, Idle, Unplugged};

/// The sessions of a car by its states, two minutes apart: `(minutes, state)`, at 6 kW.
fn drive(spans: &[(i64, Option<PowerState>)]) -> Vec<ChargingSession> {
    let mut book = Book::new(DeviceKind::Vehicle);
    let (mut at, mut level) = (0, 20.0);
    for (minutes, state) in spans {
        for _ in 0..*minutes / 2 {
            if let Some(state) = *state {
                book.take(&[car(at, state, 6.0, level)]);
            }
            level += if *state == Some(Active) {
                0.2 / 0.6
            } else {
                0.0
            };
            at += 2;
        }
    }
    book.sessions()
}

fn shapes(sessions: &[ChargingSession]) -> Vec<(Opened, Option<Closed>, i64)> {
    let length = |s: &ChargingSession| s.to.duration_since(s.from).as_mins();
    sessions
        .iter()
        .map(|s| (s.opened, s.closed, length(s)))
        .collect()
}

#[test]
fn a_session_ends_when_the_cable_is_pulled() {
    let sessions = drive(&[
        (20, Some(Unplugged)),
        (60, Some(Active)),
        (10, Some(Unplugged)),
    ]);
    assert_eq!(
        shapes(&sessions),
        [(Opened::Charging, Some(Closed::Unplugged), 60)]
    );
    assert!((sessions[0].sum.kwh - 6.0).abs() < 1e-9, "{sessions:?}");
    assert_eq!(sessions[0].level_from, Some(20.0));
}

#[test]
fn a_short_stop_is_a_pause_and_a_long_one_an_end() {
    let pause = drive(&[
        (30, Some(Active)),
        (10, Some(Idle)),
        (30, Some(Active)),
        (20, Some(Full)),
    ]);
    assert_eq!(shapes(&pause), [(Opened::Charging, Some(Closed::Full), 70)]);
    let end = drive(&[
        (30, Some(Active)),
        (40, Some(Idle)),
        (30, Some(Active)),
        (2, Some(Unplugged)),
    ]);
    assert_eq!(
        shapes(&end),
        [
            (Opened::Charging, Some(Closed::Stopped), 30),
            (Opened::Charging, Some(Closed::Unplugged), 30)
        ]
    );
}

#[test]
fn topping_up_a_full_battery_is_no_session() {
    let mut spans = vec![(60, Some(Active)), (60, Some(Full))];
    spans.extend([(2, Some(Active)), (60, Some(Full))].repeat(2));
    assert_eq!(drive(&spans).len(), 1);
    // Pulled and plugged in again, it is one.
    spans.extend([(2, Some(Unplugged)), (10, Some(Active)), (4, Some(Full))]);
    assert_eq!(drive(&spans).len(), 2);
}

#[test]
fn a_flicker_is_not_shown() {
    let sessions = drive(&[(10, Some(Idle)), (2, Some(Active)), (10, Some(Idle))]);
    assert_eq!(sessions.len(), 1);
    assert!(!sessions[0].is_confirmed());
}

#[test]
fn an_outage_is_a_gap_and_not_an_end() {
    let sessions = drive(&[
        (30, Some(Active)),
        (60, None),
        (30, Some(Active)),
        (2, Some(Full)),
    ]);
    assert_eq!(
        shapes(&sessions),
        [(Opened::Charging, Some(Closed::Full), 120)]
    );
    assert_eq!(sessions[0].gaps.len(), 1);
}

#[test]
fn an_outage_at_plug_out_ends_the_session_where_it_was_seen_last() {
    let sessions = drive(&[(30, Some(Active)), (60, None), (10, Some(Unplugged))]);
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].closed, Some(Closed::Unplugged));
    // The level had not moved on: it ended at the last reading but one third of a percent.
    assert!(sessions[0].to <= minute(90));
}

#[test]
fn a_charge_that_nobody_saw_is_told_by_the_level() {
    let mut book = Book::new(DeviceKind::Vehicle);
    book.take(&[car(0, Idle, 0.0, 30.0)]);
    book.take(&[car(300, Idle, 0.0, 80.0)]);
    let sessions = book.sessions();
    assert_eq!(
        shapes(&sessions),
        [(Opened::Measured, Some(Closed::Unseen), 300)]
    );
    assert!((sessions[0].sum.level_kwh - 30.0).abs() < 1e-9);
    assert!(sessions[0].is_confirmed());
}

#[test]
fn another_car_at_the_charger_is_another_session() {
    let at = |at, state, taken| Sample {
        state: Some(state),
        taken: Some(taken),
        ..Sample::at(minute(at))
    };
    let mut book = Book::new(DeviceKind::Charger);
    for (place, (state, taken)) in [
        (Active, 0.0),
        (Active, 1.0),
        (Unplugged, 1.5),
        (Active, 1.5),
        (Active, 2.5),
        (Idle, 3.0),
    ]
    .into_iter()
    .enumerate()
    {
        book.take(&[at(place as i64 * 5, state, taken)]);
    }
    let sums: Vec<_> = book
        .sessions()
        .iter()
        .map(|session| session.sum.kwh)
        .collect();
    assert_eq!(sums, [1.5, 1.5]);
}

#[test]
fn two_readings_of_one_charge_are_found() {
    let all = drive(&[
        (60, Some(Active)),
        (20, Some(Unplugged)),
        (30, Some(Active)),
        (20, Some(Unplugged)),
    ]);
    let moved = |session: &ChargingSession, by: i64, kwh: f64| {
        let by = SignedDuration::from_mins(by);
        let mut moved = session.clone();
        (moved.from, moved.to) = (session.from + by, session.to + by);
        moved.sum.kwh *= kwh;
        moved
    };
    let chargers = [
        moved(&all[1], 3, 1.1),
        moved(&all[0], -2, 1.08),
        moved(&all[0], 25, 1.0),
    ];
    assert_eq!(crate::session::pair(&all, &chargers), [(0, 1), (1, 0)]);
    // Another car took much more in the same time.
    assert_eq!(
        crate::session::pair(&all[..1], &[moved(&all[0], 5, 4.0)]),
        []
    );
}

#[test]
fn what_comes_late_restates_and_keeps_the_session() {
    let mut book = Book::new(DeviceKind::Charger);
    let at = |at, taken| Sample {
        state: Some(Active),
        taken: Some(taken),
        ..Sample::at(minute(at))
    };
    book.take(&[at(0, 0.0)]);
    book.take(&[at(120, 12.0)]);
    let id = book.sessions()[0].id;
    assert_eq!(book.quarters[&(minute(0), Flow::Taken)].0.kwh, 1.5);
    book.take(&[at(60, 0.0)]);
    assert_eq!(
        book.quarters[&(minute(0), Flow::Taken)],
        (
            FlowSum {
                counter_ms: 900_000,
                bridged_ms: 900_000,
                ..FlowSum::default()
            },
            1
        )
    );
    assert_eq!(book.quarters[&(minute(60), Flow::Taken)].0.kwh, 3.0);
    let sessions = book.sessions();
    assert_eq!((sessions.len(), sessions[0].id), (1, id));
    assert!((sessions[0].sum.kwh - 12.0).abs() < 1e-9);
}

#[test]
fn what_comes_in_order_needs_a_short_piece() {
    let mut book = Book::new(DeviceKind::Charger);
    for place in 0..600 {
        let state = Some(Active);
        let taken = Some(place as f64 / 10.0);
        book.take(&[Sample {
            state,
            taken,
            ..Sample::at(minute(place * 2))
        }]);
    }
    // One more for the first ones, before there is anything to reach back to.
    assert!(book.loads < 640, "{}", book.loads);
    assert_eq!(book.sessions().len(), 1);
}

/// A story of a car or a charger: what was told, minutes apart.
fn any_story() -> impl Strategy<Value = Vec<Sample>> {
    let state = prop_oneof![
        4 => Just(Active), 2 => Just(Idle), 1 => Just(Full), 2 => Just(Unplugged)
    ];
    let one = (
        prop_oneof![8 => 1_i64..12, 1 => 12_i64..400],
        option::weighted(0.8, (state, 1_u32..4)),
        option::weighted(0.7, 1.0..11.0_f64),
        option::weighted(0.4, 0.0..2.0_f64),
        option::weighted(0.7, 0.0..4.0_f64),
    );
    vec(one, 2..50).prop_map(|told| {
        let (mut at, mut total, mut charge) = (0, 0.0, 10.0);
        let samples = told.into_iter().map(|(gap, state, rate, step, rise)| {
            at += gap;
            total += step.unwrap_or(0.0);
            charge = (charge + rise.unwrap_or(0.0)) % 100.0;
            Sample {
                state: state.map(|(state, _)| state),
                rate: rate.filter(|_| state.is_some_and(|(state, _)| state == Active)),
                taken: step.map(|_| total),
                given: None,
                level: rise.map(|_| charge),
                capacity: Some(60.0),
                at: minute(at),
            }
        });
        samples.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_order_and_delay_of_the_same_samples_gives_the_same_history(
        story in any_story(),
        delays in vec(prop_oneof![6 => Just(0_usize), 2 => 1_usize..4, 1 => 4_usize..60], 50),
        is_charger in any::<bool>(),
    ) {
        let kind = if is_charger { DeviceKind::Charger } else { DeviceKind::Vehicle };
        let story: Vec<_> = story.into_iter().map(|sample| Sample {
            level: sample.level.filter(|_| !is_charger),
            taken: sample.taken.filter(|_| is_charger),
            ..sample
        }).collect();
        let mut at_once = Book::new(kind);
        at_once.take(&story);
        let mut arrivals: Vec<_> = story.iter().enumerate().collect();
        arrivals.sort_by_key(|(place, _)| place + delays[place % delays.len()]);
        let mut one_by_one = Book::new(kind);
        for (_, sample) in &arrivals {
            one_by_one.take(&[**sample]);
        }
        one_by_one.assert_is_as(&at_once)?;
        // Told again, nothing changes.
        let before = one_by_one.sessions();
        one_by_one.take(&story);
        prop_assert_eq!(before, one_by_one.sessions());
        one_by_one.assert_is_as(&at_once)?;
    }

    #[test]
    fn sessions_do_not_overlap_and_have_the_energy_of_their_quarters(story in any_story()) {
        let mut book = Book::new(DeviceKind::Vehicle);
        book.take(&story);
        let sessions = book.sessions();
        for pair in sessions.windows(2) {
            prop_assert!(pair[0].to <= pair[1].from);
        }
        let of_sessions: f64 = sessions.iter().map(|session| session.sum.kwh).sum();
        let quarters = book.quarters.values().map(|(sum, _)| sum.kwh);
        prop_assert!(of_sessions <= quarters.sum::<f64>() + 1e-9);
        for start in book.quarters.keys().map(|(start, _)| *start) {
            prop_assert_eq!(quarter_of(start), start);
        }
    }

    #[test]
    fn times_before_1970_are_hours_too(second in -1_000_000_i64..1_000_000) {
        let at = Timestamp::from_second(second).unwrap();
        let hour = hour_of(at);
        prop_assert!(hour <= at && at < hour + SignedDuration::from_hours(1));
    }
}
