//! Nodes that die, freeze, join and leave.

use std::{collections::BTreeMap, time::Duration};

use livewatt_store::contract::private_postgres::PrivatePostgres;

use super::{is_long, ledger, ledger::Move, node::Node, report, seconds, stage::Stage};

/// What a machine at work with much else may take longer.
const SLACK: Duration = Duration::from_secs(5);

fn between(from: i64, to: i64) -> Duration {
    Duration::from_micros((to - from).try_into().unwrap())
}

/// When the last partition that `node` owned came to another; from the notes of the database.
fn taken_over_at(moves: &[Move], node: &Node) -> i64 {
    let taken = moves.iter().filter(|change| {
        change.was.as_ref() == Some(&node.name)
            && change
                .owner
                .as_ref()
                .is_some_and(|owner| *owner != node.name)
    });
    taken
        .map(|change| change.micros)
        .max()
        .expect("partitions were taken over")
}

/// Nobody who was touched by it was read later than it was due, or than the others could begin.
fn check_fresh(
    stage: &Stage,
    accounts: &[String],
    since: livewatt_domain::Timestamp,
    took: Duration,
) {
    let excused = since + stage.virtually(took) + jiff_minute();
    for (account, (first, due)) in stage.contacts.first_since(accounts, since) {
        // One poll.
        let due = due.max(excused) + stage.virtually(Duration::from_secs(2));
        assert!(first <= due, "{account} was read at {first}, due at {due}");
    }
}

/// Over so long a node spreads what fell due before it took over.
fn jiff_minute() -> livewatt_domain::SignedDuration {
    livewatt_domain::SignedDuration::from_mins(1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dies_is_replaced() {
    let (mut stage, mut nodes) = Stage::set(PrivatePostgres::shared(), &["a", "b", "c"]).await;
    stage.begin_load();
    stage.calm(15.0).await;
    let victim = nodes.pop().unwrap();
    let (mine, name) = (stage.accounts_of(&victim), victim.name.clone());
    assert!(!mine.is_empty(), "nothing to take over");
    let (killed_at, moment) = (ledger::now(&stage.database), stage.sandbox.now());
    victim.kill().await;
    stage.balance(&nodes);
    stage.shared(&nodes).await;
    let moves = ledger::moves_since(&stage.database, killed_at);
    let last = moves
        .iter()
        .filter(|change| change.was.as_ref() == Some(&name));
    let took = between(killed_at, last.map(|change| change.micros).max().unwrap());
    let fresh = stage.fresh(&mine, moment).await;
    let promised = stage.shape.leases(1.0) + stage.shape.round();
    assert!(took <= promised + SLACK, "taken over after {took:?}");
    check_fresh(&stage, &mine, moment, promised + SLACK);
    let proof = stage.check(&nodes).await;
    report(
        "kill -9 of one node of three",
        &[
            format!(
                "{} accounts taken over after {} (lease {} s)",
                mine.len(),
                seconds(took),
                stage.shape.lease
            ),
            format!("all of them read again after {}", seconds(fresh)),
            proof,
        ],
    );
    stage.end(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_freezes_is_fenced_and_comes_back() {
    let (mut stage, nodes) = Stage::set(PrivatePostgres::shared(), &["a", "b", "c"]).await;
    stage.begin_load();
    stage.calm(15.0).await;
    let frozen = &nodes[1];
    let mine = stage.accounts_of(frozen);
    let moment = stage.sandbox.now();
    let began = ledger::now(&stage.database);
    // What it has sent stays on the way, so that it arrives when others have the partitions.
    frozen.gate.fall_silent();
    tokio::time::sleep(Duration::from_millis(50)).await;
    frozen.freeze().await;
    let others = || nodes.iter().filter(|node| node.name != frozen.name);
    stage.balance(others());
    let lasts = match is_long() {
        true => Duration::from_secs(60),
        false => stage.shape.leases(2.5),
    };
    tokio::time::sleep(lasts).await;
    stage.shared(others()).await;
    let took = between(
        began,
        taken_over_at(&ledger::moves_since(&stage.database, began), frozen),
    );
    let fresh = stage.fresh(&mine, moment).await;
    let thawed = ledger::now(&stage.database);
    frozen.gate.open();
    frozen.thaw().await;
    stage.balance(&nodes);
    stage.shared(&nodes).await;
    let back = ledger::moves_since(&stage.database, thawed);
    let back = back
        .iter()
        .filter(|change| change.owner.as_ref() == Some(&frozen.name));
    let back = between(thawed, back.map(|change| change.micros).min().unwrap());
    assert!(
        took <= stage.shape.leases(1.0) + stage.shape.round() + SLACK,
        "taken over after {took:?}"
    );
    let lost = frozen.metric("livewatt_partitions_lost_total").await;
    assert!(lost >= 1.0, "it lost nothing");
    let refused = frozen.log().matches("has a newer owner").count();
    let proof = stage.check(&nodes).await;
    report(
        &format!("SIGSTOP of one node of three for {} s", lasts.as_secs()),
        &[
            format!("taken over after {}", seconds(took)),
            format!("all read again after {}", seconds(fresh)),
            format!("takes part again {} after SIGCONT", seconds(back)),
            format!("it lost {lost} partitions and told of {refused} late writes refused"),
            proof,
        ],
    );
    stage.end(nodes).await;
}

/// The most partitions that a node gave in one round.
fn most_given_at_once(moves: &[Move], round: Duration) -> usize {
    let mut given: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for change in moves.iter().filter(|change| change.owner.is_none()) {
        given
            .entry(change.was.as_deref().unwrap_or_default())
            .or_default()
            .push(change.micros);
    }
    // A round may begin a little early, when somebody wakes the node.
    let window = round.mul_f64(0.5).as_micros() as i64;
    let in_window = |times: &Vec<i64>| {
        let counts = times.iter().map(|from| {
            times
                .iter()
                .filter(|at| (*from..*from + window).contains(at))
                .count()
        });
        counts.max().unwrap_or(0)
    };
    given.values().map(in_window).max().unwrap_or(0)
}

/// The longest that a partition belonged to nobody.
fn longest_without_owner(moves: &[Move]) -> Duration {
    let mut free: BTreeMap<u16, i64> = BTreeMap::new();
    let mut longest = Duration::ZERO;
    for change in moves {
        match &change.owner {
            None => {
                free.insert(change.partition, change.micros);
            }
            Some(_) => {
                if let Some(since) = free.remove(&change.partition) {
                    longest = longest.max(between(since, change.micros));
                }
            }
        }
    }
    assert!(free.is_empty(), "partitions that nobody took: {free:?}");
    longest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_join_and_leave_in_good_order() {
    let (mut stage, mut nodes) = Stage::set(PrivatePostgres::shared(), &["a", "b"]).await;
    stage.begin_load();
    stage.calm(25.0).await;
    let (calm, began) = (stage.sandbox.now(), ledger::now(&stage.database));
    nodes.push(stage.start("c").await);
    stage.balance(&nodes);
    stage.shared(&nodes).await;
    let joining = ledger::moves_since(&stage.database, began);
    let joined = between(
        began,
        joining.iter().map(|change| change.micros).max().unwrap(),
    );
    let given = most_given_at_once(&joining, stage.shape.round());
    assert!(given <= 32, "{given} partitions were given in one round");
    stage.calm(10.0).await;
    let left_at = ledger::now(&stage.database);
    let leaver = nodes.remove(0);
    stage.balance(&nodes);
    leaver.stop().await;
    stage.shared(&nodes).await;
    let leaving = ledger::moves_since(&stage.database, left_at);
    let left = between(
        left_at,
        leaving.iter().map(|change| change.micros).max().unwrap(),
    );
    let gap = longest_without_owner(&joining).max(longest_without_owner(&leaving));
    assert!(
        gap < stage.shape.round() + SLACK,
        "a partition was nobody's for {gap:?}"
    );
    stage.calm(15.0).await;
    let end = stage.sandbox.now();
    let longest = stage.contacts.longest_gap(calm, end);
    // The longest interval, its tenth, one poll, and while nobody owned the account.
    let most =
        super::contact::LONGEST + stage.virtually(gap + Duration::from_secs(2)) + jiff_minute();
    assert!(longest <= most, "an account was not read for {longest:#}");
    let proof = stage.check(&nodes).await;
    report(
        "a node joins two others, another leaves (SIGTERM)",
        &[
            format!("has its share after {}", seconds(joined)),
            format!("at most {given} partitions given in a round"),
            format!("everything handed over {} after SIGTERM", seconds(left)),
            format!(
                "no partition without an owner for longer than {} ms",
                gap.as_millis()
            ),
            format!(
                "no account unread for longer than {:.1} min",
                longest.as_secs_f64() / 60.0
            ),
            proof,
        ],
    );
    stage.end(nodes).await;
}
