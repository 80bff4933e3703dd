//! Databases that cannot be reached, that are killed, and that are replaced by their standby.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use livewatt_store::contract::private_postgres::PrivatePostgres;
use tokio::time::{sleep, timeout};

use super::{gate::Target, is_long, node::Node, report, seconds, stage::Stage};

/// How each node answers while it has no database.
async fn check_refusals(nodes: &[Node], tokens: &[String]) -> Duration {
    let mut slowest = Duration::ZERO;
    for (node, token) in nodes.iter().zip(tokens) {
        assert_eq!(node.status("/health/ready").await, 503);
        assert_eq!(node.status("/metrics").await, 200);
        let asked = Instant::now();
        let answer = reqwest::Client::new()
            .get(format!("{}/vehicles", node.base))
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        slowest = slowest.max(asked.elapsed());
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key("retry-after"));
    }
    slowest
}

async fn tokens(stage: &Stage, nodes: &[Node]) -> Vec<String> {
    let mut tokens = Vec::new();
    for node in nodes {
        tokens.push(node.api(&stage.client).await.token);
    }
    tokens
}

/// Waits until the nodes share the work again; how long that and reading all accounts took.
async fn recovered(stage: &Stage, nodes: &[Node]) -> (Duration, Duration) {
    let (began, moment) = (Instant::now(), stage.sandbox.now());
    stage.shared(nodes).await;
    let shared = began.elapsed();
    let accounts = stage.accounts();
    (shared, stage.fresh(&accounts, moment).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_stand_still_without_their_database_and_go_on_with_it() {
    static SERVER: LazyLock<PrivatePostgres> = LazyLock::new(PrivatePostgres::start);
    let (mut stage, nodes) = Stage::set(&SERVER, &["a", "b"]).await;
    stage.begin_load();
    stage.calm(10.0).await;
    let outage = match is_long() {
        true => Duration::from_secs(60),
        false => stage.shape.leases(2.0),
    };

    // All connections end, and no new one is made.
    let known = tokens(&stage, &nodes).await;
    nodes.iter().for_each(|node| node.gate.cut());
    let slowest = check_refusals(&nodes, &known).await;
    // A lease less the time at which they stop by themselves, and what was under way then.
    sleep(stage.shape.leases(1.0) + Duration::from_secs(1)).await;
    let stopped = stage.sandbox.now();
    sleep(outage).await;
    assert_eq!(
        stage.contacts.since(stopped),
        0,
        "vendors were asked without a right"
    );
    nodes.iter().for_each(|node| node.gate.open());
    let cut = recovered(&stage, &nodes).await;

    // Nothing comes through and nothing ends: then what was sent arrives.
    stage.calm(10.0).await;
    nodes.iter().for_each(|node| node.gate.fall_silent());
    sleep(outage).await;
    check_not_ready(&nodes).await;
    nodes.iter().for_each(|node| node.gate.open());
    let silent = recovered(&stage, &nodes).await;

    // All connections are dead, and nobody has told the nodes: they wait for answers as long as a
    // server may take for one.
    let mut forgotten = None;
    if is_long() {
        stage.calm(10.0).await;
        nodes.iter().for_each(|node| node.gate.forget_connections());
        sleep(Duration::from_secs(40)).await;
        forgotten = Some(recovered(&stage, &nodes).await);
    }

    // The server is killed and started again.
    stage.calm(10.0).await;
    SERVER.restart();
    let restarted = recovered(&stage, &nodes).await;

    let proof = stage.check(&nodes).await;
    let again = |(shared, fresh): (Duration, Duration)| {
        format!(
            "shared after {}, all read after {}",
            seconds(shared),
            seconds(fresh)
        )
    };
    report(
        &format!(
            "the database cut off for {} s, and what else may befall it",
            outage.as_secs()
        ),
        &[
            format!(
                "cut off: 503 within {}; then {}",
                seconds(slowest),
                again(cut)
            ),
            format!("silent for as long: 503; then {}", again(silent)),
            forgotten.map_or_else(
                || "connections that are dead unheard: in the long form".to_owned(),
                |forgotten| {
                    format!(
                        "all connections dead unheard, 40 s later: {}",
                        again(forgotten)
                    )
                },
            ),
            format!("killed and restarted: {}", again(restarted)),
            proof,
        ],
    );
    stage.end(nodes).await;
}

async fn check_not_ready(nodes: &[Node]) {
    for node in nodes {
        assert_eq!(node.status("/health/ready").await, 503);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_takes_over_with_everything_that_was_acknowledged() {
    static SERVER: LazyLock<PrivatePostgres> = LazyLock::new(PrivatePostgres::start);
    let (mut stage, mut nodes) = Stage::set(&SERVER, &["a", "b"]).await;
    SERVER.begin_standby();
    stage.begin_load();
    stage.calm(20.0).await;
    let highest = |stage: &Stage| -> u64 {
        let fence = stage.database.ask("select max(fence) from partitions");
        fence.parse().unwrap()
    };
    let before = highest(&stage);
    // In the middle of the load, as long as acknowledgements come.
    timeout(Duration::from_secs(10), stage.front.next_acknowledgement())
        .await
        .unwrap();
    let killed = Instant::now();
    SERVER.stop();
    // Somebody has to notice; leases end meanwhile.
    sleep(stage.shape.leases(1.5)).await;
    SERVER.promote();
    let promoted = killed.elapsed();
    assert!(highest(&stage) >= before, "fences fell");
    nodes
        .iter()
        .for_each(|node| node.gate.lead_to(Target::Socket(SERVER.socket())));
    let (shared, fresh) = recovered(&stage, &nodes).await;
    // Fences are raised on from where they stood.
    let moment = stage.sandbox.now();
    let victim = nodes.pop().unwrap();
    let mine = stage.accounts_of(&victim);
    victim.kill().await;
    stage.balance(&nodes);
    stage.shared(&nodes).await;
    stage.fresh(&mine, moment).await;
    assert!(highest(&stage) > before, "nobody was fenced");
    let proof = stage.check(&nodes).await;
    report(
        "the primary is killed, its synchronous standby promoted",
        &[
            format!("promoted after {}", seconds(promoted)),
            format!(
                "shared {} after that, all read after {}",
                seconds(shared),
                seconds(fresh)
            ),
            format!("highest fence {before} before, {} now", highest(&stage)),
            proof,
        ],
    );
    stage.end(nodes).await;
}
