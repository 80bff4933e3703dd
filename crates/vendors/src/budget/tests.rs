use std::collections::BTreeMap;

use livewatt_domain::entropy::SeededEntropy;
use proptest::prelude::*;

use super::*;

const WINDOW_MILLIS: i64 = 600_000;

const SPECS: [BudgetSpec; 2] = [
    BudgetSpec {
        id: "account",
        scope: BudgetScope::Account,
        limit: 7,
        window: SignedDuration::from_millis(WINDOW_MILLIS),
        reserve: 2,
    },
    BudgetSpec {
        id: "app",
        scope: BudgetScope::App,
        limit: 10,
        window: SignedDuration::from_millis(WINDOW_MILLIS),
        reserve: 1,
    },
];

fn payer(account: Option<AccountId>) -> Payer<'static> {
    Payer {
        integration: "acme",
        account,
        share: 0,
    }
}

fn budgets() -> Budgets {
    let budgets = Budgets::default();
    budgets.register("acme", &SPECS);
    budgets
}

fn account(seed: u64) -> AccountId {
    AccountId::new(Timestamp::UNIX_EPOCH, &SeededEntropy::new(seed))
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(1_772_431_200_000 + millis).unwrap()
}

/// The largest number of moments within any window, both ends included.
fn busiest(moments: &[i64], window: i64) -> usize {
    let mut sorted = moments.to_vec();
    sorted.sort_unstable();
    let within = |end: &i64| {
        sorted
            .iter()
            .filter(|m| *m <= end && *end - *m <= window)
            .count()
    };
    sorted.iter().map(within).max().unwrap_or(0)
}

/// Whatever can wait takes no more than a quarter, and nothing while others take that.
#[test]
fn what_can_wait_leaves_most_of_a_budget_to_others() {
    let budgets = budgets();
    let draw = |seed, priority| budgets.draw("acme", Some(account(seed)), priority, at(0));
    draw(1, Priority::Spare).unwrap();
    draw(1, Priority::Spare).unwrap_err();
    for _ in 0..4 {
        draw(1, Priority::Routine).unwrap();
    }
    // The app's budget is past its quarter, though this account has not been asked about at all.
    draw(2, Priority::Spare).unwrap_err();
    draw(2, Priority::Routine).unwrap();
}

#[test]
fn routine_calls_leave_the_reserve_alone() {
    let budgets = budgets();
    let draw = |priority| budgets.draw("acme", Some(account(1)), priority, at(0));
    for _ in 0..5 {
        draw(Priority::Routine).unwrap();
    }
    draw(Priority::Routine).unwrap_err();
    draw(Priority::Asked).unwrap();
    draw(Priority::Asked).unwrap();
    draw(Priority::Asked).unwrap_err();
}

#[test]
fn a_call_draws_from_all_budgets_or_from_none() {
    let budgets = budgets();
    let draw = |seed| budgets.draw("acme", Some(account(seed)), Priority::Routine, at(0));
    for _ in 0..5 {
        draw(1).unwrap();
    }
    // Refused by the account's budget: must not have spent the app's.
    for _ in 0..20 {
        draw(1).unwrap_err();
    }
    for _ in 0..4 {
        draw(2).unwrap();
    }
    // Refused by the app's budget: must not have spent the account's.
    for _ in 0..20 {
        draw(3).unwrap_err();
    }
    let later = at(2 * WINDOW_MILLIS);
    for _ in 0..5 {
        budgets
            .draw("acme", Some(account(3)), Priority::Routine, later)
            .unwrap();
    }
}

#[test]
fn there_is_room_at_the_moment_told_and_not_before() {
    let budgets = budgets();
    let who = Some(account(1));
    for step in 0..5 {
        budgets
            .draw("acme", who, Priority::Routine, at(step * 60_000))
            .unwrap();
    }
    let over = budgets
        .draw("acme", who, Priority::Routine, at(300_000))
        .unwrap_err();
    let just_before = over.until - SignedDuration::from_millis(1);
    budgets
        .draw("acme", who, Priority::Routine, just_before)
        .unwrap_err();
    budgets
        .draw("acme", who, Priority::Routine, over.until)
        .unwrap();
    // Late by less than a slot.
    let wait = over.until.duration_since(at(0)).as_millis();
    assert!((600_000..=610_000).contains(&wait), "{wait}");
}

#[test]
fn calls_without_an_account_concern_the_app_only() {
    let budgets = budgets();
    for _ in 0..9 {
        budgets
            .draw("acme", None, Priority::Routine, at(0))
            .unwrap();
    }
    budgets
        .draw("acme", None, Priority::Routine, at(0))
        .unwrap_err();
    budgets
        .draw("other", None, Priority::Routine, at(0))
        .unwrap();
}

#[test]
fn a_clock_set_back_frees_nothing_and_stalls_nothing_for_long() {
    let year = 365 * 24 * 3_600_000;
    for back in [1, 5_000, 300_000, WINDOW_MILLIS, year] {
        let budgets = budgets();
        let draw = |millis| budgets.draw("acme", Some(account(1)), Priority::Routine, at(millis));
        for _ in 0..5 {
            draw(0).unwrap();
        }
        draw(-back).unwrap_err();
        let over = draw(-back).unwrap_err();
        let wait = over.until.duration_since(at(-back)).as_millis();
        assert!(wait <= 2 * i128::from(WINDOW_MILLIS) + 20_000, "{wait}");
        assert!(wait >= i128::from(WINDOW_MILLIS), "{wait}");
        budgets
            .draw("acme", Some(account(1)), Priority::Routine, over.until)
            .unwrap();
    }
}

#[test]
fn the_sustainable_interval_can_be_kept_up() {
    let budgets = budgets();
    let alone = budgets
        .sustainable_interval("acme", Some(account(1)), 1, 1)
        .unwrap();
    assert_eq!(alone.as_millis(), 122_000);
    for poll in 0..50 {
        let now = at(0) + SignedDuration::from_millis(poll * 122_000);
        budgets
            .draw("acme", Some(account(1)), Priority::Routine, now)
            .unwrap();
    }
    let shared = budgets
        .sustainable_interval("acme", Some(account(1)), 3, 4)
        .unwrap();
    assert_eq!(shared.as_millis(), 813_334);
    assert_eq!(budgets.sustainable_interval("other", None, 1, 1), None);
}

#[test]
fn rows_are_few() {
    let budgets = budgets();
    let mut keys = std::collections::BTreeSet::new();
    for minute in 0..5_000 {
        let (who, now) = (Some(account(1)), at(minute * 60_000));
        if budgets.draw("acme", who, Priority::Routine, now).is_ok() {
            budgets.settle(payer(who), now, now);
        }
        keys.extend(budgets.take_changes(now).into_iter().map(|row| row.key));
        budgets.confirm();
    }
    // The slots and the lease of two budgets.
    assert!(keys.len() <= 2 * (SLOTS as usize + 1), "{}", keys.len());
    assert!(budgets.take_changes(at(0)).is_empty());
}

#[test]
fn a_lease_covers_some_calls_without_a_write_each() {
    let budgets = Budgets::default();
    let spec = BudgetSpec {
        limit: 20_000,
        reserve: 0,
        ..SPECS[1].clone()
    };
    budgets.register("acme", &[spec]);
    let mut writes = 0;
    for call in 0..1_000 {
        let now = at(call);
        let drawn = budgets.draw("acme", None, Priority::Routine, now).unwrap();
        if !drawn.is_covered {
            writes += 1;
            assert!(!budgets.take_changes(now).is_empty());
            budgets.confirm();
        }
        assert!(budgets.is_covered(payer(None)));
        budgets.settle(payer(None), now, now);
    }
    assert!((10..=1_000 / 64 + 1).contains(&writes), "{writes} writes");
}

#[test]
fn a_server_that_ends_in_good_order_gives_its_leases_back() {
    let budgets = budgets();
    let draw = |budgets: &Budgets| budgets.draw("acme", None, Priority::Asked, at(0));
    assert_eq!(draw(&budgets).map(|drawn| drawn.is_covered), Ok(false));
    budgets.settle(payer(None), at(0), at(0));
    let mut stored = BTreeMap::new();
    store(&budgets, &mut stored, at(0));
    let crashed = restarted(&stored, at(0));
    budgets.close();
    store(&budgets, &mut stored, at(0));
    let stopped = restarted(&stored, at(0));
    let left = |budgets: &Budgets| (0..20).filter(|_| draw(budgets).is_ok()).count();
    // Of ten, one was called; after a crash the lease of one more counts as well.
    assert_eq!((left(&crashed), left(&stopped)), (8, 9));
}

type Stored = BTreeMap<String, (Timestamp, u64)>;

fn put(stored: &mut Stored, rows: Vec<Spent>) {
    stored.extend(
        rows.into_iter()
            .map(|row| (row.key, (row.window_start, row.spent))),
    );
}

/// Writes what changed.
fn store(budgets: &Budgets, stored: &mut Stored, now: Timestamp) {
    put(stored, budgets.take_changes(now));
    budgets.confirm();
}

fn restarted(stored: &Stored, now: Timestamp) -> Budgets {
    let budgets = budgets();
    let rows = stored.iter().map(|(key, (window_start, spent))| Spent {
        partition: 0,
        key: key.clone(),
        window_start: *window_start,
        spent: *spent,
    });
    budgets.restore(rows, now);
    budgets
}

#[test]
fn nonsense_rows_are_ignored() {
    let budgets = budgets();
    let row = |key: &str| Spent {
        partition: 0,
        key: key.to_owned(),
        window_start: at(0),
        spent: 3,
    };
    let nonsense = [
        "",
        "a/b",
        "acme/app/app/x/1",
        "acme/app/app/leased",
        "acme/account/nobody/10000/1",
        "acme/account/nobody/lease",
    ];
    budgets.restore(nonsense.map(row), at(0));
    let huge = Spent {
        partition: 0,
        spent: u64::MAX,
        ..row("acme/app/app/10000/5")
    };
    budgets.restore([huge], at(0));
    budgets
        .draw("acme", None, Priority::Asked, at(0))
        .unwrap_err();
    budgets
        .draw("acme", None, Priority::Asked, at(2 * WINDOW_MILLIS))
        .unwrap();
}

/// What happens next in a random run.
#[derive(Debug, Clone)]
enum Step {
    Wait(i64),
    Draw {
        who: u64,
        is_asked: bool,
        latency: i64,
        arrives: f64,
    },
    /// The periodic write, and whether it is cut off: stored, but not known to be.
    Write {
        is_cut_off: bool,
    },
    /// `kill -9`: calls under way have reached the vendor or never will.
    Kill,
    /// An end in good order: calls under way end first.
    Stop,
    SetBack(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let latency = prop_oneof![Just(0), 0..2_000_i64, 0..WINDOW_MILLIS / 2];
    prop_oneof![
        3 => prop_oneof![0..2_000_i64, 0..30_000_i64, 0..2 * WINDOW_MILLIS].prop_map(Step::Wait),
        10 => (0..3_u64, any::<bool>(), latency, 0.0..=1.0).prop_map(
            |(who, is_asked, latency, arrives)| Step::Draw { who, is_asked, latency, arrives }
        ),
        3 => any::<bool>().prop_map(|is_cut_off| Step::Write { is_cut_off }),
        2 => Just(Step::Kill),
        1 => Just(Step::Stop),
        1 => prop_oneof![0..20_000_i64, 0..3 * WINDOW_MILLIS].prop_map(Step::SetBack),
    ]
}

/// A call under way: whose, when it was drawn, when it ends, and its place among those received.
struct InFlight {
    who: u64,
    drawn_at: Timestamp,
    ends: i64,
    index: usize,
}

/// Plays a random run; answers with the moments at which the vendor received calls, by account.
fn play(steps: &[Step], with_setbacks: bool) -> Vec<(u64, bool, i64)> {
    let mut budgets = budgets();
    let mut stored = Stored::new();
    // True time and how far the clock lags behind it.
    let (mut now, mut lag) = (0, 0);
    let mut in_flight: Vec<InFlight> = Vec::new();
    let mut received: Vec<(u64, bool, i64)> = Vec::new();
    let settle = |budgets: &Budgets, call: &InFlight, end: Timestamp| {
        budgets.settle(payer(Some(account(call.who))), call.drawn_at, end);
    };
    for step in steps {
        match step {
            Step::Wait(millis) => {
                now += millis;
                for call in in_flight.extract_if(.., |call| call.ends <= now) {
                    settle(&budgets, &call, at(call.ends.max(now) - lag));
                }
            }
            Step::Draw {
                who,
                is_asked,
                latency,
                arrives,
            } => {
                let clock = at(now - lag);
                let priority = if *is_asked {
                    Priority::Asked
                } else {
                    Priority::Routine
                };
                let who = *who;
                if let Ok(drawn) = budgets.draw("acme", Some(account(who)), priority, clock) {
                    if !drawn.is_covered {
                        store(&budgets, &mut stored, clock);
                    }
                    let arrival = now + (*latency as f64 * arrives) as i64;
                    in_flight.push(InFlight {
                        who,
                        drawn_at: clock,
                        ends: now + latency,
                        index: received.len(),
                    });
                    received.push((who, *is_asked, arrival));
                }
            }
            Step::Write { is_cut_off: true } => {
                put(&mut stored, budgets.take_changes(at(now - lag)));
            }
            Step::Write { is_cut_off: false } => store(&budgets, &mut stored, at(now - lag)),
            Step::Kill => {
                for call in in_flight.drain(..) {
                    let arrival = &mut received[call.index].2;
                    *arrival = now.min(*arrival);
                }
                budgets = restarted(&stored, at(now - lag));
            }
            Step::Stop => {
                now = in_flight.iter().map(|call| call.ends).fold(now, i64::max);
                for call in in_flight.drain(..) {
                    settle(&budgets, &call, at(now - lag));
                }
                budgets.close();
                store(&budgets, &mut stored, at(now - lag));
                budgets = restarted(&stored, at(now - lag));
            }
            Step::SetBack(millis) if with_setbacks => lag += millis,
            Step::SetBack(_) => {}
        }
    }
    received
}

fn check(received: &[(u64, bool, i64)]) -> Result<(), TestCaseError> {
    let all = received.iter().map(|(_, _, at)| *at).collect::<Vec<_>>();
    prop_assert!(busiest(&all, WINDOW_MILLIS) <= 10);
    for who in 0..3 {
        let of = |(seen, _, at): &(u64, bool, i64)| (*seen == who).then_some(*at);
        let own = received.iter().filter_map(of).collect::<Vec<_>>();
        prop_assert!(busiest(&own, WINDOW_MILLIS) <= 7);
        let of =
            |(seen, is_asked, at): &(u64, bool, i64)| (*seen == who && !is_asked).then_some(*at);
        let routine = received.iter().filter_map(of).collect::<Vec<_>>();
        prop_assert!(busiest(&routine, WINDOW_MILLIS) <= 5);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_window_of_the_vendor_ever_exceeds_its_limit(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        check(&play(&steps, false))?;
    }

    #[test]
    fn nor_if_the_clock_is_set_back(steps in proptest::collection::vec(step(), 1..120)) {
        check(&play(&steps, true))?;
    }
}

/// Two nodes that share a budget of the app, each with half of the partitions; then one hands its
/// half over, and at last dies.
#[test]
fn nodes_together_never_spend_more_than_the_whole() {
    let spec = BudgetSpec {
        limit: 1_000,
        reserve: 0,
        ..SPECS[1].clone()
    };
    let node = || {
        let budgets = Budgets::default().shared();
        budgets.register("acme", std::slice::from_ref(&spec));
        budgets
    };
    let spend = |budgets: &Budgets, most: usize| {
        (0..most)
            .filter(|_| budgets.draw("acme", None, Priority::Routine, at(0)).is_ok())
            .count()
    };
    let take = |budgets: &Budgets, stored: &Stored, partitions: &Partitions| {
        let rows = stored.iter().map(|(key, (window_start, spent))| Spent {
            partition: 0,
            key: key.clone(),
            window_start: *window_start,
            spent: *spent,
        });
        budgets.restore(rows, at(0));
        budgets.take_partitions(partitions);
    };
    let half: Partitions = (0..128).collect();
    let rest = Partitions::ALL.without(&half);
    let (first, second) = (node(), node());
    let mut stored = Stored::new();
    // An integration without a budget of its app needs no share of one.
    first.register("plain", &SPECS[..1]);
    let plain = first.draw("plain", Some(account(1)), Priority::Routine, at(0));
    assert!(plain.is_ok());
    assert_eq!(spend(&first, 10), 0, "nothing is owned yet");
    take(&first, &stored, &half);
    take(&second, &stored, &rest);
    let mut spent = spend(&first, 300) + spend(&second, 5_000);
    assert!((700..1_000).contains(&spent), "{spent}");

    // Handed over in good order: what is left of the half can be spent elsewhere, and no more.
    first.close_for(&half);
    put(&mut stored, first.take_changes(at(0)));
    first.confirm();
    first.forget_partitions(&half);
    assert_eq!(spend(&first, 5_000), 0);
    let of_half = stored.clone();
    take(&second, &of_half, &half);
    spent += spend(&second, 5_000);
    assert_eq!(spent, 1_000);

    // The one that is left dies: what it had leased counts as spent.
    put(&mut stored, second.take_changes(at(0)));
    let third = node();
    take(&third, &stored, &Partitions::ALL);
    assert_eq!(spend(&third, 5_000), 0);
}
