//! Locations, what stands at them, and what energy costs there.

mod devices;
mod prices;
mod requests;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{World, http::Api};

pub async fn put(api: &Api, path: &str, body: Value) -> crate::support::http::Answer {
    api.call(Method::PUT, path, Some(body)).await
}

/// A place of a user; returns its ID.
pub async fn place(api: &Api, user: &str, latitude: f64, longitude: f64, zone: &str) -> String {
    let body = json!({
        "name": "A place", "latitude": latitude, "longitude": longitude, "timezoneName": zone,
    });
    let path = format!("/users/{user}/locations");
    let made = api.post(&path, Some(body)).await.expect_status(200);
    assert_eq!(made["userId"], user);
    made["id"].as_str().unwrap().to_owned()
}

/// The only device of a user and kind.
async fn only(world: &World, user: &str, plural: &str) -> Value {
    let listed = world.api.get(&format!("/users/{user}/{plural}")).await;
    let listed = listed.expect_status(200);
    let listed = listed["data"].as_array().unwrap();
    assert_eq!(listed.len(), 1, "{listed:#?}");
    listed[0].clone()
}

pub fn position(device: &Value) -> (f64, f64) {
    let degrees = |name: &str| device["location"][name].as_f64().unwrap();
    (degrees("latitude"), degrees("longitude"))
}
