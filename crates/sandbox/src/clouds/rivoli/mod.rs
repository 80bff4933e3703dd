//! The rivoli cloud: vehicles, one call each, strict quotas, no time stamps, miles and amps, cars
//! that sleep and obey late.

pub(crate) mod quota;
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
    world::{
        World,
        account::{Device, Remote},
        orders::Act,
        tokens::Grant,
        vehicle::Vehicle,
    },
};

/// Virtual seconds between accepting and obeying.
const DELAY: i64 = 45;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v2/sessions", post(create_session))
        .route("/v2/cars", get(list_cars))
        .route("/v2/cars/{id}", get(get_car))
        .route("/v2/cars/{id}/charge", post(charge))
        .route("/v2/cars/{id}/settings", put(change_settings))
}

/// The app that calls, by its header.
pub(crate) fn app(headers: &HeaderMap) -> Result<&str, Refusal> {
    headers
        .get("x-rivoli-app")
        .and_then(|app| app.to_str().ok())
        .filter(|app| !app.trim().is_empty())
        .ok_or(Refusal::MissingApp)
}

fn call(endpoint: &'static str) -> Call<'static> {
    Call {
        cloud: Cloud::Rivoli,
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

async fn create_session(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let credentials = app(&headers).and_then(|_| gate::json::<Credentials>(&body));
    let Credentials { username, password } = match credentials {
        Ok(credentials) => credentials,
        Err(refusal) => return gate::refuse(Cloud::Rivoli, &refusal),
    };
    let account = shared
        .world()
        .find_account(Cloud::Rivoli, &username)
        .map(|a| a.id.clone());
    gate::serve_login(&shared, call("sessions"), account, |world| {
        let account = login::check_password(world, Cloud::Rivoli, &username, &password)?;
        let tokens = login::grant(
            world,
            Cloud::Rivoli,
            Grant {
                account,
                client: None,
            },
        );
        let body = json!({"token": tokens.access_token, "expires_in": tokens.expires_in});
        Reply::with(201, body)
    })
    .await
}

async fn list_cars(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let call = Call {
        is_read: true,
        ..call("cars")
    };
    gate::serve(&shared, call, &headers, |world, grant| {
        let cars = world.accounts[&grant.account].vehicles.iter();
        Reply::ok(
            cars.filter(|car| car.meta.is_present())
                .map(|car| json!({"id": car.meta.id, "name": car.meta.name}))
                .collect(),
        )
    })
    .await
}

async fn get_car(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let call = Call {
        is_read: true,
        device: Some(&id),
        ..call("car")
    };
    gate::serve(&shared, call, &headers, |world, grant| {
        let car = find(world, &grant.account, &id)?;
        if car.meta.offline {
            return Err(Refusal::Unreachable("car"));
        }
        Reply::ok(view::car(car))
    })
    .await
}

#[derive(Deserialize)]
struct ChargeOrder {
    action: Action,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Start,
    Stop,
}

async fn charge(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    command(&shared, &id, &headers, || {
        let act = match gate::json::<ChargeOrder>(&body)?.action {
            Action::Start => Act::ChargeStart,
            Action::Stop => Act::ChargeStop,
        };
        Ok(vec![act])
    })
    .await
}

#[derive(Deserialize)]
struct Settings {
    target_percent: Option<u8>,
    amps_limit: Option<u8>,
}

async fn change_settings(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    command(&shared, &id, &headers, || {
        let settings: Settings = gate::json(&body)?;
        if settings
            .target_percent
            .is_some_and(|percent| !(50..=100).contains(&percent))
        {
            return Err(Refusal::Invalid("target_percent must be 50 to 100"));
        }
        if settings
            .amps_limit
            .is_some_and(|amps| !(6..=32).contains(&amps))
        {
            return Err(Refusal::Invalid("amps_limit must be 6 to 32"));
        }
        let limit = settings.target_percent.map(Act::Limit);
        let amps = settings.amps_limit.map(Act::MaxAmps);
        let acts: Vec<Act> = limit.into_iter().chain(amps).collect();
        if acts.is_empty() {
            return Err(Refusal::Invalid("nothing to set"));
        }
        Ok(acts)
    })
    .await
}

async fn command(
    shared: &Arc<Shared>,
    id: &str,
    headers: &HeaderMap,
    acts: impl FnOnce() -> Result<Vec<Act>, Refusal>,
) -> Response {
    let call = Call {
        device: Some(id),
        ..call("command")
    };
    gate::serve(shared, call, headers, |world, grant| {
        let meta = &find(world, &grant.account, id)?.meta;
        let (offline, remote) = (meta.offline, meta.remote);
        let acts = acts()?;
        if remote != Remote::Allowed {
            return Err(Refusal::Forbidden("services_expired"));
        }
        if offline {
            return Err(Refusal::Unreachable("car"));
        }
        for act in acts {
            world.order(Cloud::Rivoli, &grant.account, id, act, DELAY);
        }
        Reply::ok(json!({"accepted": true}))
    })
    .await
}

fn find<'a>(world: &'a World, account: &str, id: &str) -> Result<&'a Device<Vehicle>, Refusal> {
    let mut cars = world.accounts[account].vehicles.iter();
    cars.find(|car| car.meta.id == id && car.meta.is_present())
        .ok_or(Refusal::NotFound)
}

pub(crate) fn refuse(refusal: &Refusal) -> (u16, Value) {
    let (status, code, text) = match refusal {
        Refusal::Unauthorized => (401, "session_expired", "log in again"),
        Refusal::BadLogin | Refusal::OAuth(..) => {
            (401, "bad_credentials", "wrong user name or password")
        }
        Refusal::NotFound => (404, "not_found", "no such car"),
        Refusal::Invalid(text) => (400, "bad_request", *text),
        Refusal::MissingApp => (400, "missing_app", "the header x-rivoli-app is missing"),
        Refusal::Forbidden(code) => (403, *code, "the services of this car have ended"),
        Refusal::Unreachable(_) => (408, "car_unreachable", "the car does not answer"),
        Refusal::TooMany(_) => (429, "quota_exceeded", "too many calls"),
        Refusal::Broken(status) => (*status, "internal", "internal error"),
    };
    (status, json!({"error": {"code": code, "text": text}}))
}
