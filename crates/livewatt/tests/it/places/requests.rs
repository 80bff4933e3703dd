//! What is refused, and how it is said; and that clients do not see each other's places.

use serde_json::{Value, json};

use super::{place, put};
use crate::support::{World, still};
use livewatt_sandbox::Cloud;

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_names_its_fields() {
    let world = World::new().await;
    world.link("ann", Cloud::Helios, still()).await;
    let api = &world.api;
    let create = async |body: Value| api.post("/users/ann/locations", Some(body)).await;
    let good = json!({ "name": "", "latitude": -90, "longitude": 180.0 });
    let made = create(good.clone()).await.expect_status(200);
    assert_eq!(made["timezoneName"], "UTC");
    let one = format!("/locations/{}", made["id"].as_str().unwrap());
    for (change, fields) in [
        (
            json!({ "name": 1, "latitude": "1", "longitude": null }),
            &["name", "latitude", "longitude"][..],
        ),
        (
            json!({ "latitude": 90.01, "longitude": -180.5 }),
            &["latitude", "longitude"],
        ),
        (json!({ "timezoneName": "Mars/Olympus" }), &["timezoneName"]),
        (json!({ "timezoneName": null }), &["timezoneName"]),
        (json!({ "name": "a\u{0}b" }), &["name"]),
        (json!({ "name": "a".repeat(257), "extra": 1 }), &["extra"]),
    ] {
        let mut body = good.clone();
        body.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        assert_eq!(create(body).await.expect_issues(), fields, "{change}");
        assert_eq!(
            put(api, &one, change.clone()).await.expect_issues(),
            fields,
            "{change}"
        );
    }
    assert_eq!(
        create(json!({})).await.expect_issues(),
        ["name", "latitude", "longitude"]
    );
    let nobody = api
        .post("/users/nobody/locations", Some(good.clone()))
        .await;
    assert_eq!(nobody.expect_status(404)["title"], "User does not exist");
    for path in [NOBODY, "x"].map(|id| format!("/locations/{id}")) {
        api.get(&path).await.expect_status(404);
        api.delete(&path).await.expect_status(404);
        put(api, &path, json!({ "name": "x" }))
            .await
            .expect_status(404);
        api.get(&format!("{path}/tariff")).await.expect_status(404);
        api.get(&format!("{path}/pricing")).await.expect_status(404);
    }
    let chargers = api.all("chargers").await;
    let charger = format!("/chargers/{}", chargers[0]["id"].as_str().unwrap());
    for body in [
        json!({}),
        json!({ "locationId": "home" }),
        json!({ "locationId": 7 }),
        json!({ "locationId": NOBODY }),
    ] {
        let refused = put(api, &charger, body.clone()).await;
        assert_eq!(refused.expect_issues(), ["locationId"], "{body}");
    }
    // Another user's place is not theirs.
    world.link("bob", Cloud::Helios, still()).await;
    let bobs = place(api, "bob", 1.0, 2.0, "UTC").await;
    let refused = put(api, &charger, json!({ "locationId": bobs })).await;
    assert_eq!(refused.expect_issues(), ["locationId"]);
    put(
        api,
        &format!("/chargers/{NOBODY}"),
        json!({ "locationId": null }),
    )
    .await
    .expect_status(404);
    let inverters = api.all("inverters").await;
    let inverter = format!("/inverters/{}", inverters[0]["id"].as_str().unwrap());
    put(api, &inverter, json!({ "locationId": null }))
        .await
        .expect_status(405);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tariffs_that_make_no_sense_are_refused() {
    let world = World::new().await;
    world.link("ann", Cloud::Helios, still()).await;
    let api = &world.api;
    let rates = async |body: Value| put(api, "/tariffs/t-1", body).await;
    rates(json!([{ "name": "a", "cost": "+.5" }, { "name": "b", "cost": "-1." }]))
        .await
        .expect_status(204);
    let told = api.get("/tariffs/t-1").await.expect_status(200);
    assert_eq!(
        told,
        json!([{ "name": "a", "cost": "0.5" }, { "name": "b", "cost": "-1" }])
    );
    for (body, fields) in [
        (json!({}), &[""][..]),
        (json!([{ "name": "a" }]), &["0.cost"]),
        (json!([{ "name": "a", "cost": 1 }]), &["0.cost"]),
        (
            json!([{ "name": "a", "cost": "1,5" }, { "name": "a", "cost": "" }]),
            &["0.cost", "1.name", "1.cost"],
        ),
        (
            json!([{ "name": "a", "cost": "1", "currency": "EUR" }]),
            &["0.currency"],
        ),
    ] {
        assert_eq!(rates(body.clone()).await.expect_issues(), fields, "{body}");
    }
    let refused = put(api, "/tariffs/no%20id", json!([])).await;
    assert_eq!(refused.expect_issues(), ["tariffId"]);
    api.get("/tariffs/unknown").await.expect_status(404);
    assert_eq!(
        api.get("/tariffs/t-1").await.expect_status(200),
        told,
        "as it was"
    );

    let home = place(api, "ann", 59.9, 10.7, "Europe/Oslo").await;
    let path = format!("/locations/{home}/tariff");
    let hang = async |intervals: Value| {
        put(
            api,
            &path,
            json!({ "tariffId": "t-1", "tariffIntervals": intervals }),
        )
        .await
    };
    let interval =
        |name: &str, from: &str, to: &str| json!({ "name": name, "from": from, "to": to });
    for (intervals, fields) in [
        (
            json!([interval("c", "00:00", "24:00")]),
            &["tariffIntervals.0.name"][..],
        ),
        (
            json!([interval("a", "8:00", "24:01")]),
            &["tariffIntervals.0.from", "tariffIntervals.0.to"],
        ),
        (
            json!([interval("a", "22:00", "06:00")]),
            &["tariffIntervals.0.to"],
        ),
        (
            json!([interval("a", "22:00", "22:00")]),
            &["tariffIntervals.0.to"],
        ),
        (
            json!([
                interval("a", "00:00", "12:00"),
                interval("b", "11:59", "24:00")
            ]),
            &["tariffIntervals.1"],
        ),
        (
            json!([{ "name": "a", "from": "00:00", "to": "01:00", "weekdays": [7, -1, 1.5] }]),
            &[
                "tariffIntervals.0.weekdays.0",
                "tariffIntervals.0.weekdays.1",
                "tariffIntervals.0.weekdays.2",
            ],
        ),
        (
            json!([{ "name": "a", "from": "00:00", "to": "01:00", "weekdays": [] }]),
            &["tariffIntervals.0.weekdays"],
        ),
        (json!({}), &["tariffIntervals"]),
    ] {
        assert_eq!(
            hang(intervals.clone()).await.expect_issues(),
            fields,
            "{intervals}"
        );
    }
    assert_eq!(api.get(&path).await.expect_status(200), json!([]));
    let unknown = json!({ "tariffId": "unknown", "tariffIntervals": [] });
    put(api, &path, unknown.clone()).await.expect_status(404);
    let nowhere = format!("/locations/{NOBODY}/tariff");
    put(api, &nowhere, unknown).await.expect_status(404);

    let prices = format!("/locations/{home}/prices");
    for (query, field) in [
        ("", "from"),
        ("?from=2026-01-01T00:00:00Z", "to"),
        ("?from=yesterday&to=2026-01-01T00:00:00Z", "from"),
        ("?from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
        ("?from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z", "to"),
    ] {
        let refused = api.get(&format!("{prices}{query}")).await;
        assert_eq!(refused.expect_issues(), [field], "{query}");
    }
    for (path, body, fields) in [
        ("/pricing".to_owned(), json!({}), &["currency"][..]),
        (
            "/pricing".to_owned(),
            json!({ "currency": "eur" }),
            &["currency"],
        ),
        (
            format!("/locations/{home}/pricing"),
            json!({ "currency": 1, "priceArea": "a b" }),
            &["currency", "priceArea"],
        ),
    ] {
        assert_eq!(
            put(api, &path, body).await.expect_issues(),
            fields,
            "{path}"
        );
    }
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_client_sees_none_of_it() {
    let world = World::new().await;
    world.link("ann", Cloud::Helios, still()).await;
    let home = place(&world.api, "ann", 59.9, 10.7, "Europe/Oslo").await;
    put(
        &world.api,
        "/tariffs/t",
        json!([{ "name": "a", "cost": "1" }]),
    )
    .await
    .expect_status(204);
    put(&world.api, "/pricing", json!({ "currency": "NOK" }))
        .await
        .expect_status(204);
    let other = world.other_client(None).await;
    let one = format!("/locations/{home}");
    for path in [
        one.clone(),
        format!("{one}/tariff"),
        format!("{one}/pricing"),
        "/tariffs/t".to_owned(),
    ] {
        other.get(&path).await.expect_status(404);
    }
    put(&other, &one, json!({ "name": "mine" }))
        .await
        .expect_status(404);
    other.delete(&one).await.expect_status(404);
    for list in ["/locations", "/users/ann/locations"] {
        let listed = other.get(list).await.expect_status(200);
        assert_eq!(listed["data"], json!([]), "{list}");
    }
    let pricing = other.get("/pricing").await.expect_status(200);
    assert_eq!(pricing["currency"], Value::Null);
    put(
        &other,
        "/tariffs/t",
        json!([{ "name": "theirs", "cost": "2" }]),
    )
    .await
    .expect_status(204);
    let ours = world.api.get("/tariffs/t").await.expect_status(200);
    assert_eq!(ours[0]["name"], "a");
    world.api.get(&one).await.expect_status(200);
    world.shut_down().await;
}
