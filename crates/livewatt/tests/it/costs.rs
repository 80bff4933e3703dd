//! What charging cost: a charge over changes of the price, midnight and a night in which the clock
//! skips an hour, against a sum of the sandbox's own power by a table of prices made by hand.

use std::collections::BTreeMap;

use livewatt_domain::{
    SignedDuration, Timestamp,
    energy::{Resolution, quarter_of},
};
use livewatt_sandbox::{AccountInfo, Cloud, DevicePatch};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{STEP, World, http::Answer, python::Program, still};

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("no number: {value}"))
}

fn decimal(value: &Value) -> f64 {
    let text = value.as_str();
    let text = text.unwrap_or_else(|| panic!("no text: {value}"));
    text.parse().unwrap()
}

#[track_caller]
fn assert_within(told: f64, truth: f64, by: f64, what: &str) {
    println!("{what}: told {told:.6}, in truth {truth:.6}");
    assert!((told - truth).abs() <= by, "{what}: {told} is not {truth}");
}

async fn put(world: &World, path: &str, body: Value) {
    let put = world.api.call(Method::PUT, path, Some(body)).await;
    put.expect_status(204);
}

async fn put_rates(world: &World, evening: &str) {
    let rates = json!([
        { "name": "evening", "cost": evening },
        { "name": "night", "cost": "0.1" },
    ]);
    put(world, "/tariffs/home", rates).await;
}

/// What a kWh costs in the quarter hour that begins at a moment. The evening's rate rises at 21:30;
/// midnight in Oslo is at 23:00 UTC, and its four o'clock, the clock having skipped an hour, at
/// 02:00. Then the tariff says nothing, and the market does.
fn price(quarter: Timestamp) -> f64 {
    match quarter {
        before if before < at("2026-03-28T21:30Z") => 0.5,
        before if before < at("2026-03-28T23:00Z") => 0.625,
        before if before < at("2026-03-29T02:00Z") => 0.1,
        _ => 0.25,
    }
}

/// A car at a Location with a tariff and a market that fills its gaps.
struct Home {
    world: World,
    account: AccountInfo,
    vehicle: String,
    location: String,
}

impl Home {
    async fn begin() -> Self {
        let world = World::starting_at("2026-03-28T20:00:00Z", |_| {}).await;
        let account = world.link("ann", Cloud::Volta, still()).await;
        world.advance(minutes(1)).await;
        let vehicle = world.api.all("vehicles").await.remove(0);
        let place = json!({
            "name": "Home", "timezoneName": "Europe/Oslo",
            "latitude": vehicle["location"]["latitude"],
            "longitude": vehicle["location"]["longitude"],
        });
        let made = world.api.post("/users/ann/locations", Some(place)).await;
        let location = made.expect_status(200)["id"].as_str().unwrap().to_owned();
        world.settle().await;
        put(&world, "/pricing", json!({ "currency": "NOK" })).await;
        put_rates(&world, "0.5").await;
        let week = json!({ "tariffId": "home", "tariffIntervals": [
            { "name": "evening", "from": "18:00", "to": "24:00" },
            { "name": "night", "from": "00:00", "to": "04:00", "weekdays": [6] },
        ] });
        put(&world, &format!("/locations/{location}/tariff"), week).await;
        let market = json!({ "currency": null, "priceArea": "NO1" });
        put(&world, &format!("/locations/{location}/pricing"), market).await;
        let hours = (0..15).map(|hour| {
            let from = at("2026-03-28T20:00Z") + minutes(60 * hour);
            format!("{from},{},0.25,NOK\n", from + minutes(60))
        });
        let csv = format!("from,to,price,currency\n{}", hours.collect::<String>());
        let csv = world
            .api
            .put_text("/market-prices/NO1", "text/csv", &csv)
            .await;
        csv.expect_status(204);
        Self {
            vehicle: vehicle["id"].as_str().unwrap().to_owned(),
            world,
            account,
            location,
        }
    }

    async fn patch(&self, patch: DevicePatch) {
        let vin = &self.account.devices[0].id;
        self.world.sandbox.patch_device(vin, &patch).await.unwrap();
    }

    /// Power of the car, kW, by the sandbox's own account of it.
    fn power(&self) -> f64 {
        let cloud = self.account.cloud;
        let truth = self
            .world
            .sandbox
            .truth(Some(cloud), Some(&self.account.id));
        let truth = truth.unwrap();
        let devices = truth["accounts"][0]["devices"].as_array().unwrap();
        let car = devices.iter().find(|device| device["kind"] == "vehicle");
        number(&car.unwrap()["state"]["power_kw"])
    }

    /// Lets the car charge until a moment; returns the energy of each quarter hour.
    async fn charge_until(&self, end: Timestamp, rise_at: Timestamp) -> BTreeMap<Timestamp, f64> {
        let mut flowed = BTreeMap::new();
        while self.world.now() < end {
            if self.world.now() == rise_at {
                put_rates(&self.world, "0.625").await;
            }
            self.world.step().await;
            let quarter = quarter_of(self.world.now() - STEP);
            let kwh = self.power() * STEP.as_secs_f64() / 3600.0;
            *flowed.entry(quarter).or_default() += kwh;
        }
        flowed
    }

    async fn statistics(&self, query: &str) -> Answer {
        let path = format!("/users/ann/statistics/{query}&startDate=2026-03-28T00:00:00Z");
        self.world.api.get(&path).await
    }

    async fn rows(&self, query: &str) -> Vec<Value> {
        let rows = self.statistics(query).await.expect_status(200);
        rows.as_array().unwrap().clone()
    }

    async fn charges(&self) -> Vec<Value> {
        let path = "/users/ann/charging-sessions?from=2026-03-28T00:00:00Z";
        let told = self.world.api.get(path).await.expect_status(200);
        told["data"].as_array().unwrap().clone()
    }
}

fn sum(rows: &[Value], field: &str) -> f64 {
    rows.iter().map(|row| number(&row[field])).sum()
}

fn header(answer: &Answer, name: &str) -> Option<String> {
    let value = answer.headers.get(name)?;
    Some(value.to_str().unwrap().to_owned())
}

const QUARTERS: &str = "charging?type=vehicle&resolution=QUARTER_HOUR";

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_over_changes_of_the_price_costs_what_the_sandbox_says() {
    let home = Home::begin().await;
    home.world.advance(minutes(14)).await;
    home.patch(DevicePatch {
        level_percent: Some(5.0),
        limit_percent: Some(100),
        max_amps: Some(10),
        ..DevicePatch::default()
    })
    .await;
    let vin = home.account.devices[0].id.clone();
    home.world.plug(&vin, true).await;
    let (rise_at, end) = (at("2026-03-28T21:40Z"), at("2026-03-29T03:00Z"));
    let truth = home.charge_until(end, rise_at).await;
    home.world.plug(&vin, false).await;
    home.world.advance(minutes(30)).await;
    let kwh: f64 = truth.values().sum();
    let cost: f64 = truth.iter().map(|(at, kwh)| kwh * price(*at)).sum();
    assert!(kwh > 30.0, "it hardly charged: {kwh}");

    // Quarter hour by quarter hour, in the form of the contract, which `get` compares.
    let answer = home.statistics(QUARTERS).await;
    assert_eq!(header(&answer, "livewatt-currency").as_deref(), Some("NOK"));
    assert_eq!(
        header(&answer, "livewatt-left-out-kwh").as_deref(),
        Some("0")
    );
    let quarters = home.rows(QUARTERS).await;
    for row in &quarters {
        let start = at(row["date"].as_str().unwrap());
        let mean = price(start);
        let spread = json!({ "min": mean, "max": mean, "mean": mean });
        assert_eq!(row["price"], spread, "{row}");
        let product = number(&row["kwhSum"]) * mean;
        assert!((number(&row["costSum"]) - product).abs() < 2e-6, "{row}");
        assert_eq!(row["estimatedSavings"], Value::Null);
    }
    assert_within(sum(&quarters, "kwhSum"), kwh, kwh * 0.02, "kWh");
    assert_within(sum(&quarters, "costSum"), cost, cost * 0.02, "cost");

    // The same sums in buckets of every length, by the place's own days.
    for resolution in Resolution::ALL {
        let name = resolution.name();
        let query = format!("charging?type=vehicle&resolution={name}&timezone=Europe/Oslo");
        let rows = home.rows(&query).await;
        for field in ["kwhSum", "costSum"] {
            assert_within(sum(&rows, field), sum(&quarters, field), 1e-4, name);
        }
        if resolution == Resolution::Day {
            let dates: Vec<_> = rows.iter().map(|row| row["date"].clone()).collect();
            assert_eq!(
                dates,
                ["2026-03-27T23:00:00.000Z", "2026-03-28T23:00:00.000Z"]
            );
            let midnight = at("2026-03-28T23:00Z");
            let of_night = truth.range(midnight..);
            let of_night: f64 = of_night.map(|(at, kwh)| kwh * price(*at)).sum();
            let second = number(&rows[1]["costSum"]);
            assert_within(second, of_night, of_night * 0.02, "the second day");
            let prices = json!([rows[1]["price"]["min"], rows[1]["price"]["max"]]);
            assert_eq!(prices, json!([0.1, 0.25]));
        }
    }
    let sessions = home.rows("charging/sessions?type=vehicle").await;
    assert_eq!(sessions.len(), 1, "{sessions:#?}");
    assert_eq!(sessions[0]["locationId"], home.location);
    assert_within(
        number(&sessions[0]["costSum"]),
        cost,
        cost * 0.02,
        "the session",
    );

    // Our own surfaces say who says so, and tell money by decimal numbers.
    let charges = home.charges().await;
    assert_eq!(charges.len(), 1, "{charges:#?}");
    let told = &charges[0]["cost"];
    assert_within(decimal(&told["amount"]), cost, cost * 0.02, "the charge");
    assert_eq!(
        (&told["currency"], &told["unpricedKwh"]),
        (&json!("NOK"), &json!(0.0))
    );
    assert_eq!(charges[0]["locationId"], home.location);
    let sources = told["sources"].as_array().unwrap();
    let origins: Vec<_> = sources.iter().map(|of| of["source"].clone()).collect();
    let origin =
        |kind: &str, id: &str, rate: Option<&str>| json!({ "kind": kind, "id": id, "rate": rate });
    let expected = [
        origin("tariff", "home", Some("evening")),
        origin("tariff", "home", Some("night")),
        origin("market", "upload", None),
    ];
    assert_eq!(origins, expected);
    let night = number(&sources[1]["kwh"]) * 0.1;
    assert_within(decimal(&sources[1]["amount"]), night, 2e-6, "the night");
    let from = "from=2026-03-28T00:00:00Z&resolution=MONTH";
    let path = format!("/vehicles/{}/history?{from}", home.vehicle);
    let history = home.world.api.get(&path).await.expect_status(200);
    let month = &history["flows"][0]["data"][0]["cost"];
    assert_within(
        decimal(&month["amount"]),
        sum(&quarters, "costSum"),
        1e-4,
        "the history",
    );

    what_was_paid_stays_so(&home, &quarters).await;
    published_client_reads(&home, &quarters).await;
    nothing_is_made_up(&home, &quarters).await;
    home.world.shut_down().await;
}

/// Neither new rates nor the car's going elsewhere change what was.
async fn what_was_paid_stays_so(home: &Home, quarters: &[Value]) {
    put_rates(&home.world, "99").await;
    home.patch(DevicePatch {
        place: Some("work".to_owned()),
        ..DevicePatch::default()
    })
    .await;
    home.world.advance(minutes(30)).await;
    let vehicle = home.world.api.all("vehicles").await.remove(0);
    assert_eq!(vehicle["location"]["id"], Value::Null, "it is gone");
    let here = format!("{QUARTERS}&locationId={}", home.location);
    for query in [QUARTERS, &here] {
        assert_eq!(home.rows(query).await, quarters, "{query}");
    }
    let nowhere = "00000000-0000-7000-8000-000000000000";
    let elsewhere = format!("{QUARTERS}&locationId={nowhere}");
    assert_eq!(home.rows(&elsewhere).await, [] as [Value; 0]);
}

async fn published_client_reads(home: &Home, quarters: &[Value]) {
    let base = format!("http://{}", home.world.server.address);
    let (kwh, cost) = (sum(quarters, "kwhSum"), sum(quarters, "costSum"));
    let program = Program::start(
        "enode_client.py",
        &[
            "--api",
            &base,
            "--token-url",
            &format!("{base}/oauth2/token"),
            "--client-id",
            &home.world.client.to_string(),
            "--client-secret",
            &home.world.secret,
            "--user-id",
            "ann",
            "--throwaway-user-id",
            "nobody",
            "--only-costs",
            &format!("vehicle={kwh}:{cost}"),
            "--since",
            "2026-03-28T00:00:00Z",
            "--until",
            "2026-03-30T00:00:00Z",
        ],
    );
    program.finish().await;
}

/// What has no price is left out of the contract's answers, and null in ours; two currencies are not
/// added up.
async fn nothing_is_made_up(home: &Home, quarters: &[Value]) {
    // Nobody has said where the charger of this charge is.
    let charger = home.statistics("charging?type=charger").await;
    let left_out = header(&charger, "livewatt-left-out-kwh").unwrap();
    let kwh = sum(quarters, "kwhSum");
    assert_within(left_out.parse().unwrap(), kwh, kwh * 0.03, "the charger");
    assert_eq!(header(&charger, "livewatt-currency"), None);
    assert_eq!(charger.expect_status(200), json!([]));
    let reading = &home.charges().await[0]["readings"][1];
    assert_eq!(reading["kind"], "charger");
    assert_eq!(
        (&reading["cost"]["amount"], &reading["locationId"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(reading["cost"]["unpricedKwh"], reading["energy"]["kwh"]);

    // The tariff in another currency than the market's prices.
    let pricing = format!("/locations/{}/pricing", home.location);
    let swedish = json!({ "currency": "SEK", "priceArea": "NO1" });
    put(&home.world, &pricing, swedish).await;
    let of_market = |row: &&Value| row["price"]["mean"] == 0.25;
    let market: f64 = quarters
        .iter()
        .filter(of_market)
        .map(|row| number(&row["kwhSum"]))
        .sum();
    assert!(market > 1.0, "{market}");
    let answer = home.statistics(QUARTERS).await;
    assert_eq!(header(&answer, "livewatt-currency").as_deref(), Some("SEK"));
    let left_out = header(&answer, "livewatt-left-out-kwh").unwrap();
    assert_within(left_out.parse().unwrap(), market, 1e-4, "the market's");
    let rows = answer.expect_status(200);
    let (told, all) = (rows.as_array().unwrap(), quarters.iter());
    assert_eq!(
        *told,
        all.filter(|row| !of_market(row))
            .cloned()
            .collect::<Vec<_>>()
    );
    let session = "charging/sessions?type=vehicle";
    assert_eq!(home.rows(session).await, [] as [Value; 0]);
    let cost = home.charges().await[0]["cost"].clone();
    assert_eq!(
        (&cost["amount"], &cost["unpricedKwh"]),
        (&Value::Null, &json!(0.0))
    );
    assert_eq!(cost["sources"].as_array().unwrap().len(), 3, "{cost:#}");

    // With the Location its tariff goes, and what was charged there has no price any more.
    let path = format!("/locations/{}", home.location);
    home.world.api.delete(&path).await.expect_status(200);
    let gone = home.statistics(QUARTERS).await;
    let left_out = header(&gone, "livewatt-left-out-kwh").unwrap();
    assert_within(left_out.parse().unwrap(), kwh, 1e-4, "without the Location");
    assert_eq!(gone.expect_status(200), json!([]));
}
