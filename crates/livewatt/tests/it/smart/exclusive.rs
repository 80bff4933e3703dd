//! Of schedules and smart charging one drives a vehicle: the one that was enabled last.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_enabled_last_drives_the_vehicle() {
    let home = Home::charging(&night()).await;
    let api = &home.world.api;
    let always = json!({
        "targetType": "vehicle", "targetId": home.vehicle, "locationId": home.location,
        "defaultShouldCharge": true, "rules": [],
    });
    let made = api.post("/users/ann/schedules", Some(always)).await;
    let made = made.expect_status(200);
    assert_eq!(made["isEnabled"], true);
    let path = format!("/schedules/{}", made["id"].as_str().unwrap());

    home.enable().await;
    let schedule = api.get(&path).await.expect_status(200);
    assert_eq!(schedule["isEnabled"], false);
    home.until("PLAN:EXECUTING:STOPPED", "2026-03-02T18:20:00Z")
        .await;
    let status = api.get(&format!("{path}/status")).await.expect_status(200);
    assert_eq!(status["state"], "INACTIVE:DISABLED");

    let enabled = json!({ "isEnabled": true });
    api.call(Method::PUT, &path, Some(enabled))
        .await
        .expect_status(200);
    assert_eq!(home.get("smart-charging-policy").await["isEnabled"], false);
    let shown = home.car().await["smartChargingPolicy"].clone();
    assert_eq!(shown["isEnabled"], false);
    home.world.advance(minutes(10)).await;
    assert_eq!(home.state().await, "DISABLED");
    assert_eq!(home.power().await, "PLUGGED_IN:CHARGING");
    let status = api.get(&format!("{path}/status")).await.expect_status(200);
    assert_eq!(status["state"], "ALIGNED");
    let wish = Some(json!({ "action": "STOP" }));
    let refused = api.post(&home.path("charging"), wish).await;
    refused.expect_status(422);
    home.world.shut_down().await;
}
