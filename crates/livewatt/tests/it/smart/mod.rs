//! Smart charging: nights of a car whose prices fall after midnight, and what can come in between.

mod exclusive;
mod nights;
mod refusals;
mod troubles;

use livewatt_domain::{SignedDuration, Timestamp};
use livewatt_sandbox::{AccountInfo, Cloud, DevicePatch, FaultKind, FaultSpec};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{World, http::Answer, still};

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The evening on which the car comes home, and its deadline, seven o'clock in Oslo.
const EVENING: &str = "2026-03-02T18:00:00Z";
const DUE: &str = "2026-03-03T06:00:00Z";

/// Prices of the hours from the evening on: dear until eleven, cheap from one to five.
fn night() -> Vec<f64> {
    let price = |hour: i64| match hour {
        ..5 => 0.5,
        5..7 => 0.3,
        7..11 => 0.1,
        _ => 0.4,
    };
    (0..24).map(price).collect()
}

/// A car at a Location in an area of a market.
struct Home {
    world: World,
    account: AccountInfo,
    vehicle: String,
    location: String,
}

impl Home {
    /// The car is at home, unplugged, with room in its battery; nothing costs anything yet.
    async fn unpriced() -> Self {
        let world = World::starting_at(EVENING, |_| {}).await;
        let account = world.link("ann", Cloud::Volta, still()).await;
        world.subscribe().await;
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
        Self {
            vehicle: vehicle["id"].as_str().unwrap().to_owned(),
            world,
            account,
            location,
        }
    }

    async fn with_prices(prices: &[f64]) -> Self {
        let home = Self::unpriced().await;
        home.join_market().await;
        home.upload(EVENING, prices).await;
        home
    }

    /// The same, and the car is plugged in and charges.
    async fn charging(prices: &[f64]) -> Self {
        let home = Self::with_prices(prices).await;
        home.plug_in(40.0).await;
        home
    }

    async fn join_market(&self) {
        let market = json!({ "currency": "NOK", "priceArea": "NO1" });
        let path = format!("/locations/{}/pricing", self.location);
        let put = self.world.api.call(Method::PUT, &path, Some(market)).await;
        put.expect_status(204);
    }

    async fn upload(&self, from: &str, prices: &[f64]) {
        let rows = prices.iter().enumerate().map(|(hour, price)| {
            let from = at(from) + minutes(60 * hour as i64);
            format!("{from},{},{price},NOK\n", from + minutes(60))
        });
        let csv = format!("from,to,price,currency\n{}", rows.collect::<String>());
        let put = self
            .world
            .api
            .put_text("/market-prices/NO1", "text/csv", &csv);
        put.await.expect_status(204);
    }

    async fn patch(&self, patch: DevicePatch) {
        let vin = &self.account.devices[0].id;
        self.world.sandbox.patch_device(vin, &patch).await.unwrap();
    }

    async fn plug_in(&self, level: f64) {
        self.patch(DevicePatch {
            plugged: Some(true),
            level_percent: Some(level),
            limit_percent: Some(80),
            ..DevicePatch::default()
        })
        .await;
        self.world.advance(minutes(8)).await;
        assert_eq!(self.power().await, "PLUGGED_IN:CHARGING");
    }

    fn path(&self, what: &str) -> String {
        format!("/vehicles/{}/{what}", self.vehicle)
    }

    async fn get(&self, what: &str) -> Value {
        let got = self.world.api.get(&self.path(what)).await;
        got.expect_status(200)
    }

    async fn put_policy(&self, change: Value) -> Answer {
        let path = self.path("smart-charging-policy");
        self.world.api.call(Method::PUT, &path, Some(change)).await
    }

    async fn enable(&self) {
        let change = json!({ "isEnabled": true, "deadline": "07:00" });
        let policy = self.put_policy(change).await.expect_status(200);
        let expected = json!({ "isEnabled": true, "deadline": "07:00", "minimumChargeLimit": 0.0 });
        assert_eq!(policy, expected);
    }

    async fn status(&self) -> Value {
        self.get("smart-charging-status").await
    }

    async fn state(&self) -> String {
        self.status().await["state"].as_str().unwrap().to_owned()
    }

    async fn car(&self) -> Value {
        let path = format!("/vehicles/{}", self.vehicle);
        self.world.api.get(&path).await.expect_status(200)
    }

    async fn power(&self) -> String {
        let car = self.car().await;
        let state = &car["chargeState"]["powerDeliveryState"];
        state.as_str().unwrap().to_owned()
    }

    /// How often the cloud was told something.
    fn commands(&self) -> u64 {
        let cloud = self.account.cloud;
        let truth = self
            .world
            .sandbox
            .truth(Some(cloud), Some(&self.account.id));
        let stats = truth.unwrap()["accounts"][0]["stats"].clone();
        stats["calls"]["command"].as_u64().unwrap_or(0)
    }

    /// Lets time go by until the status has a state; how it is then.
    async fn until(&self, state: &str, end: &str) -> Value {
        loop {
            let status = self.status().await;
            if status["state"] == state {
                return status;
            }
            let now = self.world.now();
            assert!(now < at(end), "at {now} there is no {state} but {status:#}");
            self.world.step().await;
        }
    }

    async fn advance_to(&self, moment: &str) {
        let by = at(moment).duration_since(self.world.now());
        self.world.advance(by).await;
    }

    async fn fault(&self, kind: FaultKind) {
        let spec = FaultSpec::new(kind);
        let added = self.world.sandbox.add_fault(Cloud::Volta, spec);
        added.await.unwrap();
    }

    /// The states that were told, in order, one after the other.
    fn told(&self) -> Vec<String> {
        let events = self.world.receiver.events();
        let name = "user:vehicle:smart-charging-status-updated";
        let mut told: Vec<String> = events
            .iter()
            .filter(|event| event["event"] == name)
            .map(|event| {
                let fields = event["updatedFields"].as_array().unwrap();
                assert!(fields.iter().any(|field| field != "updatedAt"), "{event:#}");
                let state = &event["smartChargingStatus"]["state"];
                state.as_str().unwrap().to_owned()
            })
            .collect();
        told.dedup();
        told
    }
}
