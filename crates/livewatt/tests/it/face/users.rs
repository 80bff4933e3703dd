//! Users: how they link, and how far it is undone.

use std::collections::BTreeSet;

use livewatt::demo::link::{SandboxAccount, walk};
use livewatt_sandbox::{AccountInfo, Cloud, FaultKind, FaultSpec};
use serde_json::{Value, json};

use super::{assert_problem, link_body, minutes, neighbours, picture};
use crate::support::{STEP, World, eventually, http::Answer, integration, still, vendor};

#[tokio::test(flavor = "multi_thread")]
async fn what_users_linked_is_undone_as_far_as_asked() {
    let world = World::new().await;
    world.subscribe().await;
    let accounts = neighbours(&world).await;
    let before = picture(&world.api).await;
    world.receiver.clear();

    // Deauthorizing is silent, and relinking brings back the same.
    world
        .api
        .delete("/users/ann/authorization")
        .await
        .expect_status(204);
    world.plug(&accounts[0].devices[0].id, false).await;
    world.advance(minutes(20)).await;
    let is_anns = |event: &&Value| event["user"]["id"] == "ann";
    assert_eq!(world.receiver.events().iter().filter(is_anns).count(), 0);
    assert_eq!(world.api.all("vehicles").await.len(), 2);
    for account in &accounts[..2] {
        world.link_account("ann", account).await;
    }
    world.advance(STEP).await;
    let ids = |value: &Value| -> BTreeSet<String> {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].to_string())
            .collect()
    };
    for (list, rows) in picture(&world.api).await {
        assert_eq!(ids(&rows), ids(&before[&list]), "{list}");
    }

    world.receiver.clear();
    let deleted = || -> Vec<String> {
        let mut names = world.receiver.names();
        names.retain(|name| name.ends_with(":deleted"));
        names
    };
    world
        .api
        .delete("/users/ann/vendors/TESLA/charger")
        .await
        .expect_status(204);
    world.advance(minutes(20)).await;
    assert_eq!(deleted(), ["user:charger:deleted"]);
    world
        .api
        .delete("/users/ann/vendors/TESLA")
        .await
        .expect_status(204);
    world.advance(minutes(20)).await;
    assert_eq!(deleted(), ["user:charger:deleted", "user:vehicle:deleted"]);
    let user = world.api.get("/users/ann").await.expect_status(200);
    let vendors: Vec<&Value> = user["linkedVendors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["vendor"])
        .collect();
    assert!(
        !vendors.is_empty() && !vendors.contains(&&json!("TESLA")),
        "{user}"
    );

    // A user who is deleted leaves nothing and nobody is told.
    world.receiver.clear();
    let meter = world.api.all("meters").await.remove(0);
    world.api.delete("/users/ann").await.expect_status(204);
    world.advance(minutes(20)).await;
    assert_eq!(world.receiver.events().iter().filter(is_anns).count(), 0);
    for path in [
        "/users/ann".to_owned(),
        format!("/meters/{}", meter["id"].as_str().unwrap()),
    ] {
        assert_problem(&world.api.get(&path).await.expect_status(404), "not-found");
    }
    let log = json!(world.api.log().await).to_string();
    assert!(log.contains("bob") && !log.contains("\"ann\""));
    world.shut_down().await;
}

fn known(account: &AccountInfo) -> SandboxAccount {
    SandboxAccount {
        integration: integration(account.cloud),
        vendor: vendor(account.cloud),
        username: account.username.clone(),
        password: account.password.clone(),
    }
}

fn token_of(started: &Value) -> &str {
    started["linkToken"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_links_no_more_accounts_than_it_may() {
    let world = World::new().await;
    let api = world.other_client(Some(1)).await;
    let start = async |user: &str| -> Answer {
        api.post(&format!("/users/{user}/link"), Some(link_body()))
            .await
    };
    // Two sessions begun while there was room for one.
    let sessions = [
        start("ann").await.expect_status(200),
        start("bob").await.expect_status(200),
    ];
    let accounts = [0, 1].map(|_| world.sandbox.create_account(Cloud::Volta, still()).unwrap());
    walk(world.engine(), token_of(&sessions[0]), &known(&accounts[0]))
        .await
        .unwrap();
    assert!(
        walk(world.engine(), token_of(&sessions[1]), &known(&accounts[1]))
            .await
            .is_err()
    );
    let refused = start("cid").await.expect_status(403);
    assert_problem(&refused, "forbidden");
    assert_eq!(refused["title"], "Connections limit reached.");
    assert_eq!(api.all("vehicles").await.len(), 1);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_session_works_once_and_for_a_day() {
    let world = World::new().await;
    let start = async || {
        world
            .api
            .post("/users/ann/link", Some(link_body()))
            .await
            .expect_status(200)
    };
    let page = async |started: &Value| {
        reqwest::get(started["linkUrl"].as_str().unwrap())
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    let (used, left) = (start().await, start().await);
    assert_eq!((page(&used).await, page(&left).await), (200, 200));
    let account = world.sandbox.create_account(Cloud::Volta, still()).unwrap();
    walk(world.engine(), token_of(&used), &known(&account))
        .await
        .unwrap();
    assert_eq!(page(&used).await, 410);
    assert!(
        walk(world.engine(), token_of(&used), &known(&account))
            .await
            .is_err()
    );
    world.clock.advance(minutes(24 * 60));
    assert_eq!(page(&left).await, 410);
    let unknown = format!("{}/link/nothing", world.api.base);
    assert_eq!(reqwest::get(unknown).await.unwrap().status(), 404);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn linking_again_while_dead_credentials_are_tried_brings_the_account_back() {
    let world = World::new().await;
    world.subscribe().await;
    let account = world.link("ann", Cloud::Volta, still()).await;
    world
        .sandbox
        .revoke_tokens(Cloud::Volta, &account.id)
        .unwrap();
    // The vendor takes its time to refuse the refresh; the user is quicker.
    let slow = FaultSpec::new(FaultKind::Hang { seconds: Some(1.0) })
        .endpoints(&["token"])
        .times(1);
    world.sandbox.add_fault(Cloud::Volta, slow).await.unwrap();
    world
        .sandbox
        .set_now(world.clock.advance(minutes(10)))
        .await
        .unwrap();
    let engine = world.engine().clone();
    let poll = tokio::spawn(async move { engine.poll_due().await });
    eventually("the refresh", async || {
        world.sandbox.faults().iter().all(|fault| fault.hits > 0)
    })
    .await;
    world.link_account("ann", &account).await;
    assert!(!poll.is_finished());
    poll.await.unwrap();
    world.advance(minutes(10)).await;
    assert!(
        !world
            .receiver
            .names()
            .contains(&"user:credentials:invalidated".to_owned())
    );
    assert!(
        world
            .api
            .all("vehicles")
            .await
            .iter()
            .all(|vehicle| vehicle["isReachable"] == true)
    );
    world.shut_down().await;
}
