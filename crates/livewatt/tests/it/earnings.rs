//! What production was worth, against the quarter hours of the inverter's history and a table of
//! prices made by hand.

use livewatt_domain::{SignedDuration, Timestamp, energy::Resolution};
use livewatt_sandbox::{AccountSpec, Cloud};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::World;

const SPAN: &str = "from=2026-06-01T00:00:00Z";

fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("no number: {value}"))
}

/// What a kWh is worth in the quarter hour that begins at a moment: the tariff changes at noon in
/// Oslo, and says nothing from two o'clock on.
fn price(quarter: Timestamp) -> Option<f64> {
    match quarter {
        morning if morning < at("2026-06-01T10:00Z") => Some(0.5),
        noon if noon < at("2026-06-01T12:00Z") => Some(0.125),
        _ => None,
    }
}

async fn rows(world: &World, query: &str) -> Vec<Value> {
    let path = format!("/users/ann/statistics/production?{SPAN}{query}");
    let told = world.api.get(&path).await.expect_status(200);
    told["data"].as_array().unwrap().clone()
}

fn sum(rows: &[Value], field: &str) -> f64 {
    rows.iter().map(|row| number(&row[field])).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn production_is_worth_what_a_kwh_costs_where_it_is_produced() {
    let world = World::starting_at("2026-06-01T06:00:00Z", |_| {}).await;
    let spec = AccountSpec {
        town: Some("oslo".into()),
        habits: Some(false),
        ..AccountSpec::default()
    };
    world.link("ann", Cloud::Helios, spec).await;
    world.step().await;
    let inverter = world.api.all("inverters").await.remove(0);
    let id = inverter["id"].as_str().unwrap();
    let place = json!({
        "name": "Home", "timezoneName": "Europe/Oslo",
        "latitude": inverter["location"]["latitude"],
        "longitude": inverter["location"]["longitude"],
    });
    let made = world.api.post("/users/ann/locations", Some(place)).await;
    let location = made.expect_status(200)["id"].as_str().unwrap().to_owned();
    world.settle().await;
    let put = async |path: &str, body: Value| {
        let put = world.api.call(Method::PUT, path, Some(body)).await;
        put.expect_status(204);
    };
    put("/pricing", json!({ "currency": "NOK" })).await;
    let rates = json!([{ "name": "high", "cost": "0.5" }, { "name": "low", "cost": "0.125" }]);
    put("/tariffs/home", rates).await;
    let week = json!({ "tariffId": "home", "tariffIntervals": [
        { "name": "high", "from": "00:00", "to": "12:00" },
        { "name": "low", "from": "12:00", "to": "14:00" },
    ] });
    put(&format!("/locations/{location}/tariff"), week).await;
    world.advance(hours(8)).await;

    let path = format!("/inverters/{id}/history?{SPAN}&resolution=QUARTER_HOUR");
    let history = world.api.get(&path).await.expect_status(200);
    let flows = history["flows"].as_array().unwrap();
    let produced = flows.iter().find(|flow| flow["flow"] == "production");
    let produced = produced.unwrap()["data"].as_array().unwrap();
    let quarters: Vec<(Timestamp, f64)> = produced
        .iter()
        .map(|row| (at(row["date"].as_str().unwrap()), number(&row["kwh"])))
        .filter(|(_, kwh)| *kwh > 0.0)
        .collect();
    let all: f64 = quarters.iter().map(|(_, kwh)| kwh).sum();
    assert!(quarters.len() > 28 && all > 1.0, "{quarters:?}");

    let told = rows(&world, "&resolution=QUARTER_HOUR").await;
    assert_eq!(told.len(), quarters.len());
    // The one in which the inverter was put at its Location may be of neither.
    for (row, (start, kwh)) in told.iter().zip(&quarters).skip(1) {
        assert_eq!(at(row["date"].as_str().unwrap()), *start);
        assert!((number(&row["kwhSum"]) - kwh).abs() < 1e-6, "{row}");
        match price(*start) {
            Some(price) => {
                let worth = number(&row["earningsSum"]);
                assert!((worth - kwh * price).abs() < 2e-6, "{row}");
                let spread = json!({ "min": price, "max": price, "mean": price });
                assert_eq!((&row["price"], &row["currency"]), (&spread, &json!("NOK")));
                assert_eq!(number(&row["unpricedKwh"]), 0.0);
            }
            None => {
                let unknown = json!({ "min": null, "max": null, "mean": null });
                assert_eq!(row["price"], unknown);
                assert_eq!(
                    (&row["earningsSum"], &row["currency"]),
                    (&Value::Null, &Value::Null)
                );
                assert_eq!(row["unpricedKwh"], row["kwhSum"]);
            }
        }
    }
    for resolution in Resolution::ALL {
        let query = format!("&resolution={}&timezone=Europe/Oslo", resolution.name());
        let rows = rows(&world, &query).await;
        let of = |field| (sum(&rows, field), sum(&told, field));
        for (longer, quarters) in [of("kwhSum"), of("unpricedKwh")] {
            assert!(
                (longer - quarters).abs() < 1e-4,
                "{query}: {longer} {quarters}"
            );
        }
    }
    // One call for the user, the device or the place.
    let days = rows(&world, "").await;
    assert_eq!(days.len(), 1);
    assert_eq!(
        days[0]["earningsSum"],
        Value::Null,
        "the afternoon has no price"
    );
    assert_eq!(rows(&world, &format!("&inverterId={id}")).await, days);
    let here = format!("&locationId={location}");
    let of_place = rows(&world, &here).await;
    assert!(sum(&of_place, "kwhSum") > 0.9 * all);
    let morning = format!("{here}&to=2026-06-01T10:00:00Z");
    let morning = rows(&world, &morning).await;
    let truth = quarters
        .iter()
        .filter(|(start, _)| *start < at("2026-06-01T10:00Z"));
    let truth: f64 = truth.skip(1).map(|(_, kwh)| kwh * 0.5).sum();
    let worth = number(&morning[0]["earningsSum"]);
    assert!((worth - truth).abs() < 0.05 * truth, "{worth} {truth}");

    let elsewhere = json!({
        "name": "Far away", "latitude": -54.4, "longitude": 3.4, "timezoneName": "Europe/Oslo",
    });
    let made = world
        .api
        .post("/users/ann/locations", Some(elsewhere))
        .await;
    let elsewhere = made.expect_status(200)["id"].as_str().unwrap().to_owned();
    assert_eq!(
        rows(&world, &format!("&locationId={elsewhere}")).await,
        Vec::<Value>::new()
    );
    let ask = async |query: &str| {
        let path = format!("/users/ann/statistics/production?{query}");
        world.api.get(&path).await
    };
    for (query, field) in [
        ("from=never", "from"),
        ("from=2026-06-02T00:00:00Z&to=2026-06-01T00:00:00Z", "to"),
        ("resolution=MINUTE", "resolution"),
        ("timezone=Oslo", "timezone"),
        ("locationId=home", "locationId"),
    ] {
        assert_eq!(ask(query).await.expect_issues(), [field], "{query}");
    }
    let nobody = "00000000-0000-7000-8000-000000000000";
    for query in [
        "inverterId=x",
        &format!("inverterId={nobody}"),
        &format!("locationId={nobody}"),
    ] {
        ask(query).await.expect_status(404);
    }
    let stranger = world.api.get("/users/nobody/statistics/production").await;
    stranger.expect_status(404);
    world.shut_down().await;
}
