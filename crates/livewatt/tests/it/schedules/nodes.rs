//! Schedules on two nodes.

use livewatt_sandbox::{Cloud, DevicePatch};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    cluster::{
        crossing::{apart, shared},
        nodes::{Cluster, Node},
    },
    support::eventually,
};

/// Made at any node, carried out by the owner; and by the next owner, when that one leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_is_carried_out_by_the_owner() {
    let (cluster, a) = Cluster::begin().await;
    let b = cluster.join("b").await;
    shared(&cluster, &["a", "b"]).await;
    let account = cluster.account(Cloud::Volta);
    let leads_to = |node: &Node| {
        let address = format!("http://{}", node.server.address);
        cluster.front.leads_to(Some(&address));
    };
    leads_to(&a);
    let id = cluster.link(&a, "ann", &account).await;
    let owner = cluster.owner(id).await.unwrap();
    let car = &account.devices[0].id;
    let patch = DevicePatch {
        plugged: Some(true),
        level_percent: Some(20.0),
        ..DevicePatch::default()
    };
    cluster.sandbox.patch_device(car, &patch).await.unwrap();
    let (schedule, device) = {
        let nodes = [&a, &b];
        let (other, _) = apart(&cluster, &nodes, id).await;
        let listed = async || {
            let listed = other.api.get("/users/ann/chargers").await;
            listed.expect_status(200)["data"][0].clone()
        };
        eventually("it is plugged in", async || {
            listed().await["chargeState"]["isPluggedIn"] == true
        })
        .await;
        eventually("it charges", async || {
            listed().await["chargeState"]["powerDeliveryState"] == "PLUGGED_IN:CHARGING"
        })
        .await;
        let device = listed().await["id"].clone();
        let body = json!({
            "targetType": "charger", "targetId": device, "locationId": null,
            "defaultShouldCharge": false, "rules": [],
        });
        let made = other.api.post("/users/ann/schedules", Some(body)).await;
        let schedule = made.expect_status(200)["id"].as_str().unwrap().to_owned();
        eventually("it is stopped, at both nodes", async || {
            let mut is_so = true;
            for node in nodes {
                let status = node.api.get(&format!("/schedules/{schedule}/status")).await;
                let status = status.expect_status(200);
                is_so &= status["state"] == "ALIGNED" && status["isCharging"] == false;
            }
            is_so
        })
        .await;
        (schedule, device)
    };
    let (leaving, staying) = if owner == "a" { (a, b) } else { (b, a) };
    leads_to(&staying);
    leaving.server.shut_down().await.unwrap();
    let path = format!("/schedules/{schedule}");
    let body = json!({ "defaultShouldCharge": true });
    let changed = staying.api.call(Method::PUT, &path, Some(body)).await;
    changed.expect_status(200);
    eventually("the next owner starts it", async || {
        let status = staying.api.get(&format!("{path}/status")).await;
        let status = status.expect_status(200);
        status["state"] == "ALIGNED" && status["isCharging"] == true
    })
    .await;
    let log = staying.api.log().await;
    let starts = log.iter().filter(|event| {
        event["vendorAction"]["kind"] == "START"
            && event["vendorAction"]["targetId"] == device
            && event["vendorAction"]["completedAt"] == Value::Null
    });
    assert_eq!(starts.count(), 1);
    staying.server.shut_down().await.unwrap();
    cluster.sandbox.shutdown().await;
}
