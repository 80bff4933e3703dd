//! The gate every request to a cloud passes: who calls, is it counted, does a fault strike it,
//! and is the answer spoilt on its way out.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    answers::Said,
    clock::Millis,
    clouds::{Cloud, Refusal, rivoli, spoil},
    faults::FaultKind,
    server::Shared,
    world::{World, account::Stats, tokens::Grant},
};

/// A request as the gate sees it.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) cloud: Cloud,
    /// Name for statistics and for faults that pick endpoints.
    pub(crate) endpoint: &'static str,
    /// The device it is about, if it is about one.
    pub(crate) device: Option<&'a str>,
    /// Whether the answer is data, which can be spoilt.
    pub(crate) is_read: bool,
}

/// An answer before it is spoilt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn ok(body: Value) -> Result<Self, Refusal> {
        Ok(Self { status: 200, body })
    }

    pub(crate) fn with(status: u16, body: Value) -> Result<Self, Refusal> {
        Ok(Self { status, body })
    }
}

/// A fault that stands in the way.
struct Obstacle {
    /// Name of its kind.
    fault: &'static str,
    what: What,
}

enum What {
    Refuse(Refusal),
    Wait(Duration),
    /// Until the fault is over.
    Hang(String),
}

/// Serves a request that carries a bearer token.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    call: Call<'_>,
    headers: &HeaderMap,
    answer: impl FnOnce(&mut World, &Grant) -> Result<Reply, Refusal>,
) -> Response {
    let admitted = {
        let mut world = shared.world();
        admit(&mut world, &call, headers)
    };
    let grant = match admitted {
        Ok(grant) => grant,
        Err(refusal) => return refuse(call.cloud, &refusal),
    };
    if let Err(refusal) = pass_faults(shared, &call, Some(&grant.account)).await {
        return refuse(call.cloud, &refusal);
    }
    let mut world = shared.world();
    match answer(&mut world, &grant) {
        Ok(reply) if call.is_read => spoil::spoil(&mut world, &call, &grant.account, reply),
        outcome => conclude(&mut world, &call, Some(&grant.account), outcome),
    }
}

/// Serves a login or refresh. `account`: whose it is, as far as that can be told.
pub(crate) async fn serve_login(
    shared: &Arc<Shared>,
    call: Call<'_>,
    account: Option<String>,
    answer: impl FnOnce(&mut World) -> Result<Reply, Refusal>,
) -> Response {
    if let Err(refusal) = pass_login(shared, &call, account.as_deref()).await {
        return refuse(call.cloud, &refusal);
    }
    let mut world = shared.world();
    let outcome = answer(&mut world);
    conclude(&mut world, &call, account.as_deref(), outcome)
}

/// Renders an outcome that nothing can spoil, and records it.
fn conclude(
    world: &mut World,
    call: &Call<'_>,
    account: Option<&str>,
    outcome: Result<Reply, Refusal>,
) -> Response {
    match outcome {
        Ok(Reply { status, body }) => {
            let response = render(&Reply { status, body });
            let said = Said {
                status,
                ..Said::default()
            };
            record(world, call, account, said);
            response
        }
        Err(refusal) => {
            record(world, call, account, refused(call.cloud, &refusal, None));
            refuse(call.cloud, &refusal)
        }
    }
}

fn record(world: &mut World, call: &Call<'_>, account: Option<&str>, said: Said) {
    if let Some(account) = account {
        world.record(call.cloud, account, (call.endpoint, call.device), said);
    }
}

/// What a refusal says, and the fault behind it.
fn refused(cloud: Cloud, refusal: &Refusal, fault: Option<&'static str>) -> Said {
    Said {
        status: cloud.refuse(refusal).0,
        retry_after_seconds: match refusal {
            Refusal::TooMany(seconds) => Some(*seconds),
            _ => None,
        },
        faults: fault.into_iter().collect(),
        ..Said::default()
    }
}

/// Counts a login and lets faults strike it.
pub(crate) async fn pass_login(
    shared: &Arc<Shared>,
    call: &Call<'_>,
    account: Option<&str>,
) -> Result<(), Refusal> {
    {
        let mut world = shared.world();
        let now = world.now();
        if let Some(account) = account.and_then(|id| world.accounts.get_mut(id)) {
            account.stats.count(call.endpoint, now);
        }
    }
    pass_faults(shared, call, account).await
}

/// Whether a dead-token fault lies over an account.
pub(crate) fn tokens_are_dead(world: &mut World, cloud: Cloud, account: &str) -> bool {
    let mut dead = false;
    for fault in world.active_faults(cloud, account, None) {
        if fault.spec.kind == FaultKind::DeadToken {
            fault.hits += 1;
            dead = true;
            break;
        }
    }
    dead
}

pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

/// The JSON of a request body.
pub(crate) fn json<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|_| Refusal::Invalid("the body is not what it should be"))
}

fn admit(world: &mut World, call: &Call<'_>, headers: &HeaderMap) -> Result<Grant, Refusal> {
    let now = world.now();
    let app = match call.cloud {
        Cloud::Rivoli => Some(rivoli::app(headers)?),
        Cloud::Volta | Cloud::Helios => None,
    };
    let token = bearer(headers).ok_or(Refusal::Unauthorized)?;
    let Some(grant) = world.tokens.access(token, now) else {
        return Err(Refusal::Unauthorized);
    };
    let Some(account) = world
        .accounts
        .get(&grant.account)
        .filter(|a| a.cloud == call.cloud)
    else {
        return Err(Refusal::Unauthorized);
    };
    let id = account.id.clone();
    if tokens_are_dead(world, call.cloud, &id) {
        count(world, &id, call.endpoint, now).unauthorized += 1;
        let said = refused(call.cloud, &Refusal::Unauthorized, Some("dead_token"));
        record(world, call, Some(&id), said);
        return Err(Refusal::Unauthorized);
    }
    count(world, &id, call.endpoint, now);
    if let Some(app) = app
        && let Err(refusal) = rivoli::quota::spend(world, &id, app, now)
    {
        record(world, call, Some(&id), refused(call.cloud, &refusal, None));
        return Err(refusal);
    }
    Ok(grant)
}

fn count<'a>(
    world: &'a mut World,
    account: &str,
    endpoint: &'static str,
    now: Millis,
) -> &'a mut Stats {
    let stats = &mut world
        .accounts
        .get_mut(account)
        .expect("the account was just found")
        .stats;
    stats.count(endpoint, now);
    stats
}

async fn pass_faults(
    shared: &Arc<Shared>,
    call: &Call<'_>,
    account: Option<&str>,
) -> Result<(), Refusal> {
    let obstacles = {
        let mut world = shared.world();
        let obstacles = strike(&mut world, call, account);
        let limited = obstacles
            .iter()
            .any(|o| matches!(o.what, What::Refuse(Refusal::TooMany(_))));
        if let Some(account) = account.and_then(|id| world.accounts.get_mut(id))
            && limited
        {
            account.stats.rate_limited += 1;
        }
        for obstacle in &obstacles {
            let said = match &obstacle.what {
                What::Refuse(refusal) => refused(call.cloud, refusal, Some(obstacle.fault)),
                What::Wait(_) | What::Hang(_) => Said {
                    faults: vec![obstacle.fault],
                    ..Said::default()
                },
            };
            record(&mut world, call, account, said);
        }
        obstacles
    };
    for obstacle in obstacles {
        match obstacle.what {
            What::Refuse(refusal) => return Err(refusal),
            What::Wait(time) => shared.unless_stopped(tokio::time::sleep(time)).await,
            What::Hang(fault) => {
                shared.unless_stopped(until_over(shared, &fault)).await;
            }
        }
    }
    Ok(())
}

fn strike(world: &mut World, call: &Call<'_>, account: Option<&str>) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    for fault in world.active_faults(call.cloud, account.unwrap_or(""), call.device) {
        if !fault.strikes_endpoint(call.endpoint) {
            continue;
        }
        let what = match fault.spec.kind {
            FaultKind::RateLimited {
                retry_after_seconds,
            } => What::Refuse(Refusal::TooMany(retry_after_seconds)),
            FaultKind::ServerError { status } => What::Refuse(Refusal::Broken(status)),
            FaultKind::Slow { latency_ms } => What::Wait(Duration::from_millis(latency_ms)),
            FaultKind::Hang {
                seconds: Some(seconds),
            } => What::Wait(Duration::from_secs_f64(seconds)),
            FaultKind::Hang { seconds: None } => What::Hang(fault.id.clone()),
            _ => continue,
        };
        let is_refused = matches!(what, What::Refuse(_));
        obstacles.push(Obstacle {
            fault: fault.spec.kind.name(),
            what,
        });
        fault.hits += 1;
        if is_refused {
            // It meets nothing further, and no record may say that it was told more.
            break;
        }
    }
    obstacles
}

async fn until_over(shared: &Arc<Shared>, fault: &str) {
    const LOOK_EVERY: Duration = Duration::from_millis(20);
    loop {
        let lasts = {
            let world = shared.world();
            let now = world.now();
            world
                .faults
                .iter()
                .any(|other| other.id == fault && other.lasts(now))
        };
        if !lasts {
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

pub(crate) fn render(reply: &Reply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    if reply.body.is_null() {
        return status.into_response();
    }
    let body = Body::from(reply.body.to_string());
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

pub(crate) fn refuse(cloud: Cloud, refusal: &Refusal) -> Response {
    let (status, body) = cloud.refuse(refusal);
    let mut response = render(&Reply { status, body });
    if let Refusal::TooMany(seconds) = refusal {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, (*seconds).into());
    }
    response
}
