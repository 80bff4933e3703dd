//! What a policy cannot be.

use super::*;

/// The paths of what is wrong.
async fn refused(home: &Home, change: Value) -> Vec<String> {
    home.put_policy(change).await.expect_issues()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_cannot_be_is_refused_with_the_field() {
    let home = Home::unpriced().await;
    let enabled = || json!({ "isEnabled": true, "deadline": "07:00" });
    assert_eq!(
        refused(&home, json!({ "isEnabled": true })).await,
        ["deadline"]
    );
    assert_eq!(refused(&home, enabled()).await, ["isEnabled"], "no prices");
    for (field, value) in [
        ("deadline", json!("25:00")),
        ("isEnabled", json!("yes")),
        ("minimumChargeLimit", json!(101)),
        ("minimumChargeLimit", json!("half")),
    ] {
        assert_eq!(refused(&home, json!({ field: value })).await, [field]);
    }
    home.join_market().await;
    home.upload(EVENING, &night()).await;
    home.plug_in(40.0).await;
    let above = json!({ "isEnabled": true, "deadline": "07:00", "minimumChargeLimit": 81 });
    assert_eq!(refused(&home, above).await, ["minimumChargeLimit"]);
    let status = home.status().await;
    assert_eq!(status["state"], "DISABLED");
    assert_eq!(status["plan"], Value::Null);
    assert_eq!(status["smartOverride"], Value::Null);
    home.enable().await;
    let above = json!({ "minimumChargeLimit": 90 });
    assert_eq!(refused(&home, above).await, ["minimumChargeLimit"]);

    // The same car in another user's account.
    home.world.link_account("bob", &home.account).await;
    home.world.advance(minutes(1)).await;
    let theirs = home.world.api.get("/users/bob/vehicles").await;
    let theirs = theirs.expect_status(200)["data"][0]["id"].clone();
    let place = json!({
        "name": "Home", "timezoneName": "Europe/Oslo", "latitude": 1.0, "longitude": 1.0,
    });
    let made = home.world.api.post("/users/bob/locations", Some(place));
    let made = made.await.expect_status(200);
    let pricing = format!("/locations/{}/pricing", made["id"].as_str().unwrap());
    let market = json!({ "currency": "NOK", "priceArea": "NO1" });
    let put = home.world.api.call(Method::PUT, &pricing, Some(market));
    put.await.expect_status(204);
    let path = format!(
        "/vehicles/{}/smart-charging-policy",
        theirs.as_str().unwrap()
    );
    let put = home.world.api.call(Method::PUT, &path, Some(enabled()));
    assert_eq!(put.await.expect_issues(), ["isEnabled"]);

    for missing in [
        "smart-charging-plans/x",
        "smart-charging-plans/latest/explain",
    ] {
        let got = home.world.api.get(&format!("/vehicles/x/{missing}")).await;
        got.expect_status(404);
    }
    let unknown = home.path("smart-charging-plans/01900000-0000-7000-8000-000000000000");
    home.world.api.get(&unknown).await.expect_status(404);
    home.world.shut_down().await;
}
