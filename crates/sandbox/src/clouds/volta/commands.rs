//! Commands to volta vehicles and wall chargers.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    clouds::{
        Cloud, Refusal,
        gate::{self, Call, Reply},
        volta::call,
    },
    server::Shared,
    world::{
        account::{Meta, Remote},
        orders::Act,
    },
};

/// Virtual seconds between accepting and obeying.
const DELAY: i64 = 5;

#[derive(Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
enum Command {
    ChargeStart,
    ChargeStop,
    SetLimit { limit_percent: u8 },
    SetMaxAmps { amps: u8 },
    SetCurrentLimit { amps: u8 },
}

pub(crate) async fn command_vehicle(
    State(shared): State<Arc<Shared>>,
    Path(vin): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    command(&shared, "vehicle", &vin, &headers, &body).await
}

pub(crate) async fn command_wallbox(
    State(shared): State<Arc<Shared>>,
    Path(serial): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    command(&shared, "wallbox", &serial, &headers, &body).await
}

pub(crate) async fn get_command(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    gate::serve(&shared, call("command"), &headers, |world, grant| {
        let order = world
            .orders
            .get(&id)
            .filter(|order| order.account == grant.account);
        let (state, reason) = order.ok_or(Refusal::NotFound)?.state.words();
        Reply::ok(json!({"command_id": id, "state": state, "reason": reason}))
    })
    .await
}

async fn command(
    shared: &Arc<Shared>,
    kind: &'static str,
    device: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Response {
    let call = Call {
        device: Some(device),
        ..call("command")
    };
    gate::serve(shared, call, headers, |world, grant| {
        let is_it = |(kind_of, meta): &(&str, &Meta)| {
            *kind_of == kind && meta.id == device && meta.is_present()
        };
        let account = &world.accounts[&grant.account];
        let (_, meta) = account.metas().find(is_it).ok_or(Refusal::NotFound)?;
        let offline = meta.offline;
        let forbidden = match meta.remote {
            _ if account.forbids_commands => Some("missing_permission"),
            Remote::Allowed => None,
            Remote::NoKey => Some("no_key"),
            _ => Some("remote_access_off"),
        };
        let act = act(kind, gate::json(body)?)?;
        if let Some(code) = forbidden {
            return Err(Refusal::Forbidden(code));
        }
        if offline {
            return Err(Refusal::Unreachable(kind));
        }
        let id = world.order(Cloud::Volta, &grant.account, device, act, DELAY);
        let order = world.orders.get(&id).ok_or(Refusal::NotFound)?;
        let (state, _) = order.state.words();
        Reply::with(202, json!({"command_id": id, "state": state}))
    })
    .await
}

fn act(kind: &str, command: Command) -> Result<Act, Refusal> {
    match command {
        Command::ChargeStart => Ok(Act::ChargeStart),
        Command::ChargeStop => Ok(Act::ChargeStop),
        Command::SetLimit { limit_percent } if kind == "vehicle" => {
            if (50..=100).contains(&limit_percent) {
                Ok(Act::Limit(limit_percent))
            } else {
                Err(Refusal::Invalid("limit_percent must be 50 to 100"))
            }
        }
        Command::SetMaxAmps { amps } if kind == "vehicle" => amps_act(amps),
        Command::SetCurrentLimit { amps } if kind == "wallbox" => amps_act(amps),
        _ => Err(Refusal::Invalid("this device has no such command")),
    }
}

fn amps_act(amps: u8) -> Result<Act, Refusal> {
    if (6..=32).contains(&amps) {
        Ok(Act::MaxAmps(amps))
    } else {
        Err(Refusal::Invalid("amps must be 6 to 32"))
    }
}
