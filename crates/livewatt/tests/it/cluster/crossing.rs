//! Any node serves everything; what concerns an account happens at its owner.

use livewatt_sandbox::{Cloud, DevicePatch};
use serde_json::json;

use super::nodes::{Cluster, Node};
use crate::support::{eventually, receiver::SECRET};

/// Waits until all partitions are shared between these nodes as they should be.
pub async fn shared(cluster: &Cluster, names: &[&str]) {
    eventually("the partitions are shared", async || {
        let owned = cluster.owned(names).await;
        owned.iter().sum::<usize>() == 256 && owned.iter().all(|count| *count > 256 / 6)
    })
    .await;
}

/// A node that does not own an account, and the one that does.
pub async fn apart<'n>(
    cluster: &Cluster,
    nodes: &[&'n Node],
    account: livewatt_domain::id::AccountId,
) -> (&'n Node, &'n Node) {
    let owner = cluster.owner(account).await.unwrap();
    let other = nodes.iter().find(|node| node.name != owner).unwrap();
    let own = nodes.iter().find(|node| node.name == owner).unwrap();
    (other, own)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_serves_everything() {
    let (cluster, a) = Cluster::begin().await;
    assert_eq!(cluster.owned(&["a"]).await, [256], "alone from the start");
    let b = cluster.join("b").await;
    shared(&cluster, &["a", "b"]).await;
    let nodes = [&a, &b];
    let webhook = json!({ "url": cluster.receiver.url, "secret": SECRET });
    b.api
        .post("/webhooks", Some(webhook))
        .await
        .expect_status(200);

    // Linked at either node; the devices are there when the user is back in the app.
    let mut linked = Vec::new();
    for number in 0..8 {
        let user = format!("user-{number}");
        let cloud = [Cloud::Volta, Cloud::Helios][number % 2];
        let account = cluster.account(cloud);
        let node = nodes[number / 2 % 2];
        let id = cluster.link(node, &user, &account).await;
        for node in nodes {
            let devices = node.api.get(&format!("/users/{user}/vehicles")).await;
            let devices = devices.expect_status(200);
            let count = devices["data"].as_array().unwrap().len();
            assert_eq!(
                count,
                usize::from(cloud == Cloud::Volta),
                "{user} at {}",
                node.name
            );
        }
        linked.push((user, account, id));
    }

    // A push that arrives at the other node is merged by the owner, and told.
    for (user, account, id) in linked.iter().filter(|(_, a, _)| a.cloud == Cloud::Volta) {
        let (other, _) = apart(&cluster, &nodes, *id).await;
        let vin = &account.devices[0].id;
        let address = format!("http://{}", other.server.address);
        cluster.front.leads_to(Some(&address));
        let patch = DevicePatch {
            limit_percent: Some(61),
            ..DevicePatch::default()
        };
        cluster.sandbox.patch_device(vin, &patch).await.unwrap();
        eventually("a push is shown at both nodes", async || {
            let mut shown = true;
            for node in nodes {
                let devices = node.api.get(&format!("/users/{user}/vehicles")).await;
                let devices = devices.expect_status(200);
                shown &= devices["data"][0]["chargeState"]["chargeLimit"] == 61.0;
            }
            shown
        })
        .await;
    }

    // Both nodes show the same log, and the receiver has all of it.
    eventually("everything is delivered", async || {
        let log = a.api.log_for_all().await;
        !log.is_empty() && cluster.receiver.events().len() >= log.len()
    })
    .await;
    // What was read later may have grown meanwhile, at its end.
    let (earlier, later) = (a.api.log().await, b.api.log().await);
    assert_eq!(later[..earlier.len()], earlier);

    // A node that leaves hands everything over.
    a.server.shut_down().await.unwrap();
    assert_eq!(cluster.owned(&["a"]).await, [0]);
    eventually("the other node has all", async || {
        cluster.owned(&["b"]).await == [256]
    })
    .await;
    b.server.shut_down().await.unwrap();
    cluster.sandbox.shutdown().await;
}

/// A Location that is made at any node has the devices at once, whoever owns them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_are_followed_at_every_node() {
    let (cluster, a) = Cluster::begin().await;
    let b = cluster.join("b").await;
    shared(&cluster, &["a", "b"]).await;
    let nodes = [&a, &b];
    let first = async |node: &Node, user: &str, plural: &str| {
        let listed = node.api.get(&format!("/users/{user}/{plural}")).await;
        listed.expect_status(200)["data"][0].clone()
    };
    for number in 0..4 {
        let user = format!("user-{number}");
        let account = cluster.account(Cloud::Helios);
        let id = cluster.link(&a, &user, &account).await;
        let (other, own) = apart(&cluster, &nodes, id).await;
        let inverter = first(other, &user, "inverters").await;
        let body = json!({
            "name": "Home", "latitude": inverter["location"]["latitude"],
            "longitude": inverter["location"]["longitude"],
        });
        let path = format!("/users/{user}/locations");
        let home = other.api.post(&path, Some(body)).await.expect_status(200);
        let home = home["id"].clone();
        eventually("the inverter is at home at both nodes", async || {
            let mut at_home = true;
            for node in nodes {
                at_home &= first(node, &user, "inverters").await["location"]["id"] == home;
            }
            at_home
        })
        .await;
        let charger = first(other, &user, "chargers").await;
        let path = format!("/chargers/{}", charger["id"].as_str().unwrap());
        let body = json!({ "locationId": home });
        let assigned = other.api.call(reqwest::Method::PUT, &path, Some(body));
        let assigned = assigned.await.expect_status(200);
        assert_eq!(assigned["location"]["id"], home);
        for node in [own, other] {
            let shown = node.api.get(&path).await.expect_status(200);
            assert_eq!(shown["location"]["id"], home, "at {}", node.name);
        }
        let one = format!("/locations/{}", home.as_str().unwrap());
        own.api.delete(&one).await.expect_status(200);
        eventually("nothing is at home any more", async || {
            let mut is_gone = true;
            for plural in ["inverters", "chargers"] {
                let shown = first(other, &user, plural).await;
                is_gone &= shown["location"]["id"].is_null();
            }
            is_gone
        })
        .await;
    }
    a.server.shut_down().await.unwrap();
    b.server.shut_down().await.unwrap();
    cluster.sandbox.shutdown().await;
}

/// What a device is told at any node, its owner sends, once; and every node shows what came of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn actions_are_carried_out_by_the_owner() {
    let (cluster, a) = Cluster::begin().await;
    let b = cluster.join("b").await;
    shared(&cluster, &["a", "b"]).await;
    let nodes = [&a, &b];
    for number in 0..4 {
        let user = format!("user-{number}");
        let account = cluster.account(Cloud::Volta);
        let id = cluster.link(&a, &user, &account).await;
        let (other, own) = apart(&cluster, &nodes, id).await;
        let listed = other.api.get(&format!("/users/{user}/vehicles")).await;
        let car = listed.expect_status(200)["data"][0]["id"].clone();
        let path = format!("/vehicles/{}/max-current", car.as_str().unwrap());
        let wish = |amps: u32| Some(json!({ "maxCurrent": amps }));
        let replaced = other.api.post(&path, wish(9)).await.expect_status(200);
        let made = own.api.post(&path, wish(8)).await.expect_status(200);
        let action = |made: &serde_json::Value| {
            format!("/vehicles/actions/{}", made["id"].as_str().unwrap())
        };
        for node in nodes {
            let shown = node.api.get(&action(&replaced)).await.expect_status(200);
            assert_ne!(shown["state"], "PENDING", "at {}", node.name);
        }
        eventually("the action has come true at both nodes", async || {
            let mut confirmed = true;
            for node in nodes {
                let shown = node.api.get(&action(&made)).await.expect_status(200);
                confirmed &= shown["state"] == "CONFIRMED";
            }
            confirmed
        })
        .await;
        let truth = cluster.sandbox.truth(Some(Cloud::Volta), Some(&account.id));
        let calls = truth.unwrap()["accounts"][0]["stats"]["calls"].clone();
        assert!(calls["command"].as_u64() <= Some(2), "{calls}");

        // Withdrawn at the node that is not the owner.
        let made = own.api.post(&path, wish(12)).await.expect_status(200);
        let cancel = format!("{}/cancel", action(&made));
        let ended = other.api.call(reqwest::Method::POST, &cancel, None).await;
        assert!(matches!(ended.status.as_u16(), 200 | 409), "{}", ended.body);
    }
    a.server.shut_down().await.unwrap();
    b.server.shut_down().await.unwrap();
    cluster.sandbox.shutdown().await;
}
