//! A node whose machine's clock is an hour ahead, or behind.

use std::{sync::Arc, time::Duration};

use livewatt::serve::ServeOptions;
use livewatt_domain::{
    SignedDuration, Timestamp,
    clock::{Clock, SharedClock, SystemClock},
};
use livewatt_sandbox::Cloud;
use livewatt_store::contract::private_postgres::PrivatePostgres;
use tokio::time::sleep;

use super::{
    node::Node,
    report,
    stage::{Shape, Stage},
};

/// The clock of a machine that nobody sets.
#[derive(Debug)]
struct Wrong(SignedDuration);

impl Clock for Wrong {
    fn now(&self) -> Timestamp {
        SystemClock.now().checked_add(self.0).unwrap()
    }
}

/// So far may a time be off that a node tells: the tolerance, and what a machine at work takes.
const NEAR: SignedDuration = SignedDuration::from_secs(5);

/// Fails if a time is in the future, or older than `oldest`.
fn check_age(time: &serde_json::Value, oldest: SignedDuration, of: &serde_json::Value) {
    let at: Timestamp = time.as_str().unwrap().parse().unwrap();
    let age = SystemClock.now().duration_since(at);
    assert!(age > -NEAR && age < oldest, "{age:#} old: {of}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_order_and_freshness_do_not_hang_on_a_machines_clock() {
    let server = PrivatePostgres::shared();
    let (mut stage, mut nodes) = Stage::set_as(Shape::in_real_time(), server, &["a", "b"]).await;
    stage.begin_load();
    let mut seen = 0;
    for (name, hours) in [("ahead", 1), ("behind", -1)] {
        let wrong = Wrong(SignedDuration::from_hours(hours));
        let options = ServeOptions {
            clock: Some(Arc::new(SharedClock::new(Arc::new(wrong)))),
            ..ServeOptions::default()
        };
        let node = Node::start_here(&stage.site, name, &stage.database, options).await;
        nodes.push(node);
        stage.balance(&nodes);
        stage.shared(&nodes).await;
        // What is linked now is fetched by its owner, which may be the one whose clock is wrong.
        for number in 0..6 {
            let user = format!("{name}-{number}");
            stage.link(&nodes[number % 3], &user, Cloud::Volta).await;
        }
        sleep(Duration::from_secs(3)).await;
        let owned = stage.accounts_of(&nodes[2]).len();
        assert!(owned > 0, "it owns nothing");
        for node in &nodes {
            let api = node.api(&stage.client).await;
            for vehicle in api.all("vehicles").await {
                let charge = &vehicle["chargeState"];
                check_age(&vehicle["lastSeen"], SignedDuration::from_mins(2), &vehicle);
                check_age(
                    &charge["lastUpdated"],
                    SignedDuration::from_mins(10),
                    &vehicle,
                );
            }
        }
        let api = nodes[0].api(&stage.client).await;
        stage.records.read_on(&api).await;
        for event in &stage.records.log[seen..] {
            check_age(&event["createdAt"], SignedDuration::from_mins(10), event);
        }
        seen = stage.records.log.len();
        let gone = nodes.pop().unwrap();
        stage.balance(&nodes);
        gone.stop().await;
        stage.shared(&nodes).await;
    }
    // Long enough for each vehicle to be changed once more, and shown so by the others.
    sleep(Duration::from_secs(2)).await;
    let proof = stage.check(&nodes).await;
    report(
        "the clock of a node is an hour ahead, then of another an hour behind",
        &[
            format!("no time that was told is off by more than {NEAR:#}"),
            proof,
        ],
    );
    stage.end(nodes).await;
}
