//! Requests, and a charge point, that come to a node that does not own the account.

use livewatt_domain::Timestamp;
use livewatt_sandbox::{Cloud, DevicePatch};
use livewatt_store::contract::private_postgres::PrivatePostgres;
use serde_json::{Value, json};

use super::{
    gate::{Gate, Target},
    node::Node,
    report,
    stage::{Shape, Stage},
};
use crate::{
    durability::stage::{is_valid, link},
    support::{browser::Browser, eventually, http::Api, python::Program, station::Credentials},
};

/// Who owns the account of a vendor's end, and who does not.
fn owner_and_other(stage: &Stage, nodes: &[Node], vendor_accounts: &[&str]) -> (usize, usize) {
    let names = vendor_accounts.join("', '");
    let owner = stage.database.ask(&format!(
        "select owner from accounts join partitions using (partition)
         where vendor_account_id in ('{names}')"
    ));
    let owner = nodes.iter().position(|node| node.name == owner).unwrap();
    (owner, 1 - owner)
}

async fn vehicle_of(api: &Api, user: &str) -> Value {
    let page = api.get(&format!("/users/{user}/vehicles")).await;
    page.expect_status(200)["data"][0].clone()
}

/// In real time nothing is fetched of its own accord as soon as this.
async fn read_soon(stage: &Stage, account: &str, since: Timestamp) {
    let accounts = [account.to_owned()];
    eventually("its owner reads it", async || {
        stage.contacts.missing(&accounts, since).is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_of_the_wrong_node_happens_at_the_right_one() {
    let shape = Shape {
        pushed: 4,
        ..Shape::in_real_time()
    };
    let (mut stage, nodes) = Stage::set_as(shape, PrivatePostgres::shared(), &["a", "b"]).await;
    for (user, account) in &stage.people {
        let ends = [account.id.as_str(), account.username.as_str()];
        let (owner, other) = owner_and_other(&stage, &nodes, &ends);
        let api = nodes[other].api(&stage.client).await;
        let owners = nodes[owner].api(&stage.client).await;
        // All that a user's browser and the vendor say comes to the node that does not own it.
        stage.balance([&nodes[other]]);

        let device = vehicle_of(&api, user).await;
        let path = format!("/vehicles/{}", device["id"].as_str().unwrap());
        let freshness = async |api: &Api| {
            api.get(&format!("{path}/freshness"))
                .await
                .expect_status(200)
        };
        // What the owner knows is written down a moment later.
        eventually("both nodes tell when it is due", async || {
            let told = freshness(&api).await;
            told["nextDueAt"].is_string() && told["intervalSeconds"].is_number()
        })
        .await;
        let moment = stage.sandbox.now();
        let hint = format!("{path}/refresh-hint");
        api.post(&hint, None).await.expect_status(204);
        read_soon(&stage, &account.id, moment).await;

        // The login dies: the next fetch finds out, and the user links again.
        stage
            .sandbox
            .revoke_tokens(Cloud::Volta, &account.id)
            .unwrap();
        // A hint counts once in a minute.
        let patch = DevicePatch {
            limit_percent: Some(63),
            ..DevicePatch::default()
        };
        stage
            .sandbox
            .patch_device(&account.devices[0].id, &patch)
            .await
            .unwrap();
        link(&api, &stage.front.url, user, account, || {})
            .await
            .unwrap();
        assert!(is_valid(&api, user).await);
        eventually("it is as in truth", async || {
            let mut shown = true;
            for api in [&api, &owners] {
                let vehicle = vehicle_of(api, user).await;
                assert_eq!(
                    vehicle["id"], device["id"],
                    "linked again it is the same device"
                );
                shown &= vehicle["chargeState"]["chargeLimit"] == 63.0;
            }
            shown
        })
        .await;
    }

    // A user who disconnects a vendor, and one who is deleted, while their cars push.
    stage.begin_load();
    let gone: Vec<_> = stage.people.drain(..2).collect();
    for (number, (user, account)) in gone.iter().enumerate() {
        let ends = [account.id.as_str(), account.username.as_str()];
        let (_, other) = owner_and_other(&stage, &nodes, &ends);
        let api = nodes[other].api(&stage.client).await;
        let path = match number {
            0 => format!("/users/{user}/vendors/TESLA"),
            _ => format!("/users/{user}"),
        };
        api.delete(&path).await.expect_status(204);
        for node in &nodes {
            let shown = node.api(&stage.client).await.all("vehicles").await;
            let vin = account.devices[0].id.as_str();
            assert!(
                shown
                    .iter()
                    .all(|vehicle| vehicle["information"]["vin"] != vin)
            );
        }
        // Its owner has told the vendor: it pushes no more.
        let truth = || {
            stage
                .sandbox
                .truth(Some(Cloud::Volta), Some(&account.id))
                .unwrap()
        };
        let made = || {
            truth()["accounts"][0]["stats"]["pushes_made"]
                .as_u64()
                .unwrap()
        };
        let before = made();
        stage.calm(0.02).await;
        assert_eq!(made(), before, "it is pushed on");
    }
    report(
        "refresh hints, relinking, disconnecting and deleting at the wrong node",
        &["done by the owner".to_owned()],
    );
    stage.end(nodes).await;
}

fn state(charger: &Value) -> &str {
    charger["chargeState"]["powerDeliveryState"]
        .as_str()
        .unwrap_or_default()
}

/// Waits until these nodes show that the only charger is so.
async fn charger_becomes(
    stage: &Stage,
    nodes: &[Node],
    what: &str,
    is_so: impl Fn(&Value) -> bool,
) {
    let mut apis = Vec::new();
    for node in nodes {
        apis.push(node.api(&stage.client).await);
    }
    eventually(what, async || {
        let mut shown = true;
        for api in &apis {
            let chargers = api.all("chargers").await;
            shown &= chargers.len() == 1 && is_so(&chargers[0]);
        }
        shown
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_point_on_another_node_is_served_and_follows_when_that_dies() {
    let shape = Shape {
        pushed: 0,
        ..Shape::in_real_time()
    };
    let (stage, mut nodes) = Stage::set_as(shape, PrivatePostgres::shared(), &["a", "b"]).await;
    let api = nodes[0].api(&stage.client).await;
    let body = json!({
        "scopes": ["charger:read:data"], "language": "en-US", "redirectUri": "https://app.example/done",
    });
    let started = api
        .post("/users/ann/link", Some(body))
        .await
        .expect_status(200);
    let browser = Browser::default();
    let sign_in = browser
        .choose(started["linkUrl"].as_str().unwrap(), "ocpp")
        .await;
    let credentials = Credentials::on(&browser.get(&sign_in).await);
    let (_, other) = owner_and_other(&stage, &nodes, &[&credentials.id]);
    let address =
        |node: &Node| Target::Address(node.base.trim_start_matches("http://").parse().unwrap());
    let balancer = Gate::start(address(&nodes[other])).await;
    let url = format!("ws://{}/ocpp", balancer.address);
    let mut station = Program::start(
        "charge_point.py",
        &[
            "--url",
            &url,
            "--id",
            &credentials.id,
            "--password",
            &credentials.password,
            "--listen-control",
        ],
    );
    station.json().await;
    station.tell("wait TriggerMessage 3").await;
    let booted = station.tell("boot").await;
    assert!(
        booted["answers"].to_string().contains("Accepted"),
        "{booted}"
    );
    station.tell("available").await;
    charger_becomes(&stage, &nodes, "unplugged", |charger| {
        state(charger) == "UNPLUGGED"
    })
    .await;
    station.tell("start").await;
    station.tell("meter 7.4 1.25").await;
    charger_becomes(&stage, &nodes, "charging", |charger| {
        charger["chargeState"]["chargeRate"] == 7.4 && charger["isReachable"] == true
    })
    .await;

    // The node at which its socket ends dies, and the balancer leads it to the other.
    nodes.remove(other).kill().await;
    station.tell("closed 10").await;
    balancer.lead_to(address(&nodes[0]));
    station.tell("connect").await;
    station.tell("suspend ev").await;
    charger_becomes(&stage, &nodes, "paused", |charger| {
        state(charger) == "PLUGGED_IN:STOPPED"
    })
    .await;
    station.tell("finish").await;
    station.tell("unplug").await;
    charger_becomes(&stage, &nodes, "unplugged again", |charger| {
        state(charger) == "UNPLUGGED" && charger["isReachable"] == true
    })
    .await;
    let api = nodes[0].api(&stage.client).await;
    let log = api.log().await;
    crate::support::log::check_differences(&log);
    let told: Vec<&str> = log.iter().map(|event| state(&event["charger"])).collect();
    let mut told: Vec<&str> = told.into_iter().filter(|state| !state.is_empty()).collect();
    told.dedup();
    for states in [
        ["UNPLUGGED", "PLUGGED_IN:CHARGING"],
        ["PLUGGED_IN:STOPPED", "UNPLUGGED"],
    ] {
        assert!(told.windows(2).any(|pair| pair == states), "{told:?}");
    }

    // Given up at a node: wherever its socket ends, it is closed.
    nodes.push(stage.start("c").await);
    stage.shared(&nodes).await;
    let third = nodes[1].api(&stage.client).await;
    third.delete("/users/ann").await.expect_status(204);
    station.tell("closed 20").await;
    drop(station);
    super::ledger::check(&stage.database);
    report(
        "a charge point whose socket ends at a node that does not own it, and that dies",
        &["every word in the log, in order; connected again at the other node".to_owned()],
    );
    stage.end(nodes).await;
}
