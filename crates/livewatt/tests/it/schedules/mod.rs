//! Schedules: what devices do by the clock, and what customers are told of it.

mod charging;
mod clocks;
mod nodes;
mod refusals;
mod restarts;
mod standing;
mod temperature;

use livewatt_domain::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    actions::Asset,
    places::{place, position},
    support::{World, http::Answer},
};

/// A schedule as the API names it.
struct Schedule<'w> {
    world: &'w World,
    id: String,
}

impl<'w> Schedule<'w> {
    /// Makes one of ann's.
    async fn make(world: &'w World, body: Value) -> Self {
        let made = try_to_make(world, body).await.expect_status(200);
        let id = made["id"].as_str().unwrap().to_owned();
        Self { world, id }
    }

    async fn get(&self) -> Value {
        let path = format!("/schedules/{}", self.id);
        self.world.api.get(&path).await.expect_status(200)
    }

    async fn change(&self, body: Value) -> Value {
        self.try_to_change(body).await.expect_status(200)
    }

    async fn try_to_change(&self, body: Value) -> Answer {
        let path = format!("/schedules/{}", self.id);
        self.world.api.call(Method::PUT, &path, Some(body)).await
    }

    async fn delete(&self) {
        let path = format!("/schedules/{}", self.id);
        self.world.api.delete(&path).await.expect_status(204);
    }

    async fn status(&self) -> Value {
        let path = format!("/schedules/{}/status", self.id);
        self.world.api.get(&path).await.expect_status(200)
    }

    async fn state(&self) -> String {
        self.status().await["state"].as_str().unwrap().to_owned()
    }

    /// The state in which it is a few minutes later.
    #[track_caller]
    fn will_be(&self, state: &'static str) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            self.world.advance(crate::actions::minutes(4)).await;
            let status = self.status().await;
            assert_eq!(status["state"], state, "{place}: {status:#}");
        }
    }
}

async fn try_to_make(world: &World, body: Value) -> Answer {
    world.api.post("/users/ann/schedules", Some(body)).await
}

/// A charge schedule of a device at a place, with windows of the day in which it should charge.
fn charge_schedule(device: &Asset<'_>, place: Option<&str>, windows: &[(&str, &str)]) -> Value {
    let rules = windows.iter().map(
        |(from, to)| json!({ "hourMinute": { "from": from, "to": to }, "shouldCharge": true }),
    );
    let kind = device.plural.trim_end_matches('s');
    json!({
        "targetType": kind,
        "targetId": device.id,
        "locationId": place,
        "defaultShouldCharge": false,
        "rules": rules.collect::<Vec<_>>(),
    })
}

/// A Location of ann where a vehicle stands.
async fn home_of(world: &World, vehicle: &Asset<'_>, zone: &str) -> String {
    let (latitude, longitude) = position(&vehicle.get().await);
    let home = place(&world.api, "ann", latitude, longitude, zone).await;
    world.settle().await;
    assert_eq!(vehicle.get().await["location"]["id"], home);
    home
}

/// Lets time go by until a moment.
async fn until(world: &World, moment: &str) {
    let moment: Timestamp = moment.parse().unwrap();
    let left = moment.duration_since(world.now());
    assert!(left.is_positive(), "it is {} already", world.now());
    world.advance(left).await;
}

/// The actions that were made, as the log tells: when each was, and what it was to do.
async fn made(world: &World) -> Vec<(String, Value)> {
    let log = world.api.log().await;
    let pending = log.iter().filter(|event| {
        event["event"] == "user:vendor-action:updated"
            && event["vendorAction"]["state"] == "PENDING"
            && event["updatedFields"]
                .as_array()
                .unwrap()
                .contains(&json!("id"))
    });
    let told = |event: &Value| {
        let action = &event["vendorAction"];
        let what = match &action["kind"] {
            Value::Null => action["target"].clone(),
            kind => kind.clone(),
        };
        (action["createdAt"].as_str().unwrap().to_owned(), what)
    };
    pending.map(told).collect()
}

/// The states that were told of schedules, one after the other.
async fn told(world: &World) -> Vec<String> {
    let log = world.api.log().await;
    let executions = log
        .iter()
        .filter(|event| event["event"] == "user:schedule:execution-updated");
    let mut states: Vec<String> = executions
        .map(|event| {
            crate::support::contract::check_schema("UserScheduleExecutionUpdated", event);
            let fields = event["updatedFields"].as_array().unwrap();
            assert!(!fields.is_empty(), "{event:#}");
            event["status"]["state"].as_str().unwrap().to_owned()
        })
        .collect();
    states.dedup();
    states
}
