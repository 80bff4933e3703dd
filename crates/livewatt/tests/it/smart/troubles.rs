//! Nights in which people, clouds or prices come in between.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_override_charges_at_once_and_gives_back() {
    let home = Home::charging(&night()).await;
    home.enable().await;
    home.until("PLAN:EXECUTING:STOPPED", "2026-03-02T18:20:00Z")
        .await;
    let path = home.path("smart-override");
    home.world.api.delete(&path).await.expect_status(404);
    let begun = home.world.api.post(&path, None).await.expect_status(200);
    assert_eq!(begun["endedAt"], Value::Null);
    assert_eq!(begun["targetId"], home.vehicle);
    assert!(begun["vendorActionId"].is_string(), "{begun:#}");
    assert_eq!(home.state().await, "PLAN:EXECUTING:OVERRIDDEN");
    home.world.advance(minutes(3)).await;
    assert_eq!(home.power().await, "PLUGGED_IN:CHARGING");
    assert_eq!(home.commands(), 2);
    let again = home.world.api.post(&path, None).await.expect_status(200);
    assert_eq!(again, begun, "it goes on");
    let ended = home.world.api.delete(&path).await.expect_status(200);
    assert!(ended["endedAt"].is_string());
    home.until("PLAN:EXECUTING:STOPPED", "2026-03-02T18:40:00Z")
        .await;
    assert_eq!(home.commands(), 3);
    home.until("PLAN:ENDED:FINISHED", DUE).await;
    home.world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_nobody_ordered_here_is_respected() {
    let home = Home::charging(&night()).await;
    home.enable().await;
    home.until("PLAN:EXECUTING:STOPPED", "2026-03-02T18:20:00Z")
        .await;
    home.patch(DevicePatch {
        charging: Some(true),
        ..DevicePatch::default()
    })
    .await;
    let status = home
        .until("PLAN:EXECUTING:OVERRIDDEN", "2026-03-02T18:40:00Z")
        .await;
    assert_eq!(status["smartOverride"]["vendorActionId"], Value::Null);
    home.world.advance(minutes(60)).await;
    assert_eq!(home.power().await, "PLUGGED_IN:CHARGING");
    assert_eq!(home.commands(), 1, "it is not fought");
    home.world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_car_that_cannot_be_stopped_charges_on_and_the_status_says_why() {
    let home = Home::charging(&night()).await;
    home.fault(FaultKind::CommandIgnored).await;
    home.enable().await;
    let status = home
        .until("PLAN:EXECUTING:STOP_FAILED", "2026-03-02T19:00:00Z")
        .await;
    assert_eq!(status["plan"]["stopConfirmedAt"], Value::Null);
    assert_eq!(home.power().await, "PLUGGED_IN:CHARGING");
    home.advance_to("2026-03-02T23:00:00Z").await;
    assert_eq!(home.car().await["chargeState"]["isFullyCharged"], true);
    home.world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prices_that_are_late_are_waited_for() {
    // Dear and the same until midnight; what comes then is not known.
    let home = Home::with_prices(&[0.5; 5]).await;
    home.plug_in(50.0).await;
    home.enable().await;
    let waiting = home
        .until(
            "PLAN:EXECUTING:STOPPED:AWAITING_PRICES",
            "2026-03-02T18:40:00Z",
        )
        .await;
    assert_eq!(waiting["plan"]["startAt"], Value::Null);
    assert_eq!(waiting["plan"]["smartCost"], Value::Null);
    home.world.advance(minutes(30)).await;
    home.upload(EVENING, &night()).await;
    let planned = home
        .until("PLAN:EXECUTING:STOPPED", "2026-03-02T20:00:00Z")
        .await;
    assert!(planned["plan"]["startAt"].is_string());
    let ended = home.until("PLAN:ENDED:FINISHED", DUE).await;
    let plan = &ended["plan"];
    assert!(plan["smartCost"].as_f64() < plan["nonSmartCost"].as_f64());
    home.world.shut_down().await;
}
