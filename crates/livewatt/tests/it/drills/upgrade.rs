//! Releases that run side by side: a newer one has migrated the database, older ones go on, until a
//! step takes away what they need.

use std::sync::Arc;

use livewatt::{sandbox::clock_of, serve::ServeOptions};
use livewatt_store::{PostgresOptions, PostgresStore, contract::private_postgres::PrivatePostgres};

use super::{
    node::{Node, start_in_vain},
    report,
    stage::Stage,
};

/// What a later release adds: nobody before it misses it, or fills it.
const EXPANSION: (&str, bool) = ("alter table devices add column nickname text", false);
/// What the one after takes away.
const CONTRACTION: (&str, bool) = ("alter table devices drop column nickname", true);

/// A node of a later release, which knows these steps as well.
async fn start_later(stage: &Stage, name: &str, further: &[(&'static str, bool)]) -> Node {
    // Told apart by the name under which it connects, like all.
    let url = stage.database.url();
    let url = format!("{url}&application_name={name}");
    let store = PostgresStore::open_later(&PostgresOptions::new(url), further)
        .await
        .unwrap();
    let options = ServeOptions {
        store: Some(Arc::new(store)),
        clock: Some(
            clock_of(&stage.site.sandbox_url.parse().unwrap())
                .await
                .unwrap(),
        ),
        ..ServeOptions::default()
    };
    Node::start_here(&stage.site, name, &stage.database, options).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_upgraded_one_after_the_other() {
    let (mut stage, mut nodes) = Stage::set(PrivatePostgres::shared(), &["a", "b"]).await;
    stage.begin_load();
    stage.calm(10.0).await;

    // The first is upgraded: it adds to the database, and those before it go on.
    nodes.remove(0).stop().await;
    nodes.push(start_later(&stage, "a2", &[EXPANSION]).await);
    stage.balance(&nodes);
    stage.shared(&nodes).await;
    stage.calm(10.0).await;
    // One of them may even be started again.
    nodes.remove(0).stop().await;
    nodes.push(stage.start("b").await);
    stage.balance(&nodes);
    stage.shared(&nodes).await;
    stage.calm(10.0).await;

    // The next release takes something away: whoever does not know it stops, and says why.
    stage.further = vec![EXPANSION, CONTRACTION];
    let newest = start_later(&stage, "a3", &stage.further).await;
    stage.balance([&newest]);
    for node in nodes {
        let (name, (ended_well, log)) = (node.name.clone(), node.ended().await);
        if name == "b" {
            assert!(!ended_well, "it ended as if it had been asked to");
            assert!(log.contains("the database has schema version "), "{log}");
        }
    }
    stage.shared([&newest]).await;
    let refused = start_in_vain(&stage.site, "late", &stage.database).await;
    assert!(refused.contains("use the newer program"), "{refused}");
    let nodes = vec![newest];
    let proof = stage.check(&nodes).await;
    report(
        "two nodes upgraded one after the other, across two migrations",
        &[
            "an older release goes on, and may start, beside one that has added to the schema"
                .to_owned(),
            "once something was taken away it stops by itself, and is refused".to_owned(),
            proof,
        ],
    );
    stage.end(nodes).await;
}
