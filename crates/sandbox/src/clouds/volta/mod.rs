//! The volta cloud: vehicles and wall chargers. OAuth2, the whole account in one call, signed
//! pushes, a time stamp per block.

pub(crate) mod commands;
pub(crate) mod feed;
pub(crate) mod oauth;
pub(crate) mod page;
pub(crate) mod view;

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::HeaderMap,
    response::Response,
    routing::{get, post},
};
use serde_json::{Value, json};

use crate::{
    clouds::{
        Cloud, Refusal,
        gate::{self, Call, Reply},
    },
    server::Shared,
};

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route(
            "/oauth/authorize",
            get(oauth::show_login).post(oauth::decide),
        )
        .route("/oauth/token", post(oauth::token))
        .route("/v1/account", get(get_account))
        .route(
            "/v1/subscription",
            get(feed::get_subscription)
                .put(feed::put_subscription)
                .delete(feed::delete_subscription),
        )
        .route(
            "/v1/vehicles/{vin}/commands",
            post(commands::command_vehicle),
        )
        .route(
            "/v1/wallboxes/{serial}/commands",
            post(commands::command_wallbox),
        )
        .route("/v1/commands/{id}", get(commands::get_command))
}

/// A call to this cloud.
fn call(endpoint: &'static str) -> Call<'static> {
    Call {
        cloud: Cloud::Volta,
        endpoint,
        device: None,
        is_read: false,
    }
}

async fn get_account(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let call = Call {
        is_read: true,
        ..call("account")
    };
    gate::serve(&shared, call, &headers, |world, grant| {
        let now = world.now().div_euclid(1000);
        Reply::ok(view::account(&world.accounts[&grant.account], now))
    })
    .await
}

pub(crate) fn refuse(refusal: &Refusal) -> (u16, Value) {
    let (status, code, message) = match refusal {
        Refusal::Unauthorized => (
            401,
            "invalid_token",
            "the access token is missing, dead or late",
        ),
        Refusal::OAuth(status, code) => {
            let description = "the token request was refused";
            return (
                *status,
                json!({"error": code, "error_description": description}),
            );
        }
        Refusal::BadLogin => {
            let description = "the grant is dead or was never alive";
            return (
                400,
                json!({"error": "invalid_grant", "error_description": description}),
            );
        }
        Refusal::NotFound => (404, "not_found", "there is no such thing in this account"),
        Refusal::Invalid(message) => (400, "invalid_request", *message),
        Refusal::MissingApp => (400, "invalid_request", "the app is missing"),
        Refusal::Forbidden(code) => (403, *code, "this must not be commanded"),
        Refusal::Unreachable("wallbox") => (409, "wallbox_offline", "the wallbox is offline"),
        Refusal::Unreachable(_) => (409, "vehicle_offline", "the vehicle is offline"),
        Refusal::TooMany(_) => (429, "rate_limited", "too many requests"),
        Refusal::Broken(status) => (*status, "server_error", "something broke on our side"),
    };
    (status, json!({"error": code, "message": message}))
}
