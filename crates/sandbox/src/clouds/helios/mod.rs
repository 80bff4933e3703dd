//! The helios cloud: home-energy sites, one call each, watts and strings, one time stamp.

pub(crate) mod commands;
pub(crate) mod flows;
pub(crate) mod history;
pub(crate) mod production;
pub(crate) mod view;

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
    routing::{get, post, put},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    clouds::{
        Cloud, Refusal,
        gate::{self, Call, Reply},
        login,
    },
    server::Shared,
    world::{World, account::Household, tokens::Grant},
};

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/login", post(log_in))
        .route("/api/refresh", post(refresh))
        .route("/api/sites", get(list_sites))
        .route("/api/sites/{id}/live", get(get_live))
        .route("/api/sites/{id}/flows", get(flows::get))
        .route("/api/inverters/{id}/production", get(production::get))
        .route("/api/sites/{id}/heatpump", put(commands::heat_pump))
        .route("/api/sites/{id}/battery", put(commands::battery))
        .route("/api/sites/{id}/charger", put(commands::charger))
}

fn call(endpoint: &'static str) -> Call<'static> {
    Call {
        cloud: Cloud::Helios,
        endpoint,
        device: None,
        is_read: false,
    }
}

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

async fn log_in(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let Credentials { username, password } = match gate::json(&body) {
        Ok(credentials) => credentials,
        Err(refusal) => return gate::refuse(Cloud::Helios, &refusal),
    };
    let account = shared
        .world()
        .find_account(Cloud::Helios, &username)
        .map(|a| a.id.clone());
    gate::serve_login(&shared, call("login"), account, |world| {
        let account = login::check_password(world, Cloud::Helios, &username, &password)?;
        let tokens = login::grant(
            world,
            Cloud::Helios,
            Grant {
                account,
                client: None,
            },
        );
        Reply::ok(json!({
            "access": tokens.access_token,
            "access_ttl": tokens.expires_in,
            "refresh": tokens.refresh_token,
        }))
    })
    .await
}

#[derive(Deserialize)]
struct Refresh {
    refresh: String,
}

async fn refresh(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let Refresh { refresh } = match gate::json(&body) {
        Ok(refresh) => refresh,
        Err(refusal) => return gate::refuse(Cloud::Helios, &refusal),
    };
    let account = shared
        .world()
        .tokens
        .refresh(&refresh)
        .map(|grant| grant.account);
    gate::serve_login(&shared, call("refresh"), account, |world| {
        let grant = login::check_refresh(world, Cloud::Helios, &refresh)?;
        let tokens = login::grant_access(world, Cloud::Helios, grant);
        Reply::ok(json!({"access": tokens.access_token, "access_ttl": tokens.expires_in}))
    })
    .await
}

async fn list_sites(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let call = Call {
        is_read: true,
        ..call("sites")
    };
    gate::serve(&shared, call, &headers, |world, grant| {
        let account = &world.accounts[&grant.account];
        let houses = account
            .households
            .iter()
            .filter(|house| house.site.meta.is_present());
        let sites: Value = houses.map(|house| view::summary(account, house)).collect();
        Reply::ok(json!({"sites": sites}))
    })
    .await
}

async fn get_live(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let call = Call {
        is_read: true,
        device: Some(&id),
        ..call("live")
    };
    gate::serve(&shared, call, &headers, |world, grant| {
        Reply::ok(view::live(find(world, &grant.account, &id)?))
    })
    .await
}

fn find<'a>(world: &'a World, account: &str, id: &str) -> Result<&'a Household, Refusal> {
    let mut houses = world.accounts[account].households.iter();
    houses
        .find(|house| house.site.meta.id == id && house.site.meta.is_present())
        .ok_or(Refusal::NotFound)
}

pub(crate) fn refuse(refusal: &Refusal) -> (u16, Value) {
    let (status, code, detail) = match refusal {
        Refusal::Unauthorized | Refusal::BadLogin | Refusal::OAuth(..) => {
            (401, "E_AUTH", "log in, or refresh")
        }
        Refusal::NotFound => (404, "E_NOT_FOUND", "no such site or device"),
        Refusal::Invalid(detail) => (400, "E_INPUT", *detail),
        Refusal::MissingApp => (400, "E_INPUT", "the app is missing"),
        Refusal::Forbidden(code) => (403, *code, "the device is not operated by apps"),
        Refusal::Unreachable(_) => (409, "E_OFFLINE", "the gateway has lost the device"),
        Refusal::TooMany(_) => (429, "E_BUSY", "too many calls"),
        Refusal::Broken(status) => (*status, "E_INTERNAL", "internal error"),
    };
    (status, json!({"code": code, "detail": detail}))
}
