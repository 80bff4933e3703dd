//! Commands to the devices of a helios site.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::{
    clouds::{
        Cloud, Refusal,
        gate::{self, Call, Reply},
        helios::{call, find},
    },
    server::Shared,
    world::{
        account::{Household, PartKind, Remote},
        heatpump::{HvacMode, Program},
        orders::{Act, HeatPumpOrder},
        site::BatteryMode,
    },
};

/// Virtual seconds between accepting and obeying.
const DELAY: i64 = 15;

#[derive(Deserialize)]
struct HeatPumpBody {
    mode: Option<String>,
    heat_to: Option<f64>,
    cool_to: Option<f64>,
    program: Option<String>,
    #[serde(default, deserialize_with = "given")]
    hold_until: Option<Option<i64>>,
}

/// Tells a null from an absent key.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<i64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
struct BatteryBody {
    mode: String,
}

#[derive(Deserialize)]
struct ChargerBody {
    action: Option<String>,
    limit_a: Option<u8>,
}

pub(crate) async fn heat_pump(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    command(&shared, &id, PartKind::HeatPump, &headers, |house| {
        let body: HeatPumpBody = gate::json(&body)?;
        Ok(vec![Act::HeatPump(heat_pump_order(&body, house)?)])
    })
    .await
}

fn heat_pump_order(body: &HeatPumpBody, house: &Household) -> Result<HeatPumpOrder, Refusal> {
    let now = &house.site.live.heat_pump;
    let mode = match body.mode.as_deref() {
        None => None,
        Some(word) => Some(HvacMode::parse(word).ok_or(Refusal::Invalid("unknown mode"))?),
    };
    let (heat_to, cool_to) = (
        body.heat_to.unwrap_or(now.heat_to),
        body.cool_to.unwrap_or(now.cool_to),
    );
    if !(10.0..=28.0).contains(&heat_to) || !(18.0..=32.0).contains(&cool_to) {
        return Err(Refusal::Invalid(
            "heat_to must be 10 to 28 and cool_to 18 to 32",
        ));
    }
    if cool_to < heat_to + 1.0 {
        return Err(Refusal::Invalid("cool_to must be at least 1 above heat_to"));
    }
    let sets_temperature = body.heat_to.is_some() || body.cool_to.is_some();
    let hold = Program::Hold(body.hold_until.flatten());
    let program = match body.program.as_deref() {
        Some("schedule") => Some(Program::Schedule),
        Some("hold") => Some(hold),
        Some(_) => return Err(Refusal::Invalid("unknown program")),
        None => (sets_temperature || body.hold_until.is_some()).then_some(hold),
    };
    Ok(HeatPumpOrder {
        mode,
        heat_to: body.heat_to,
        cool_to: body.cool_to,
        program,
    })
}

pub(crate) async fn battery(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    command(&shared, &id, PartKind::Battery, &headers, |_| {
        let body: BatteryBody = gate::json(&body)?;
        let mode = BatteryMode::parse(&body.mode).ok_or(Refusal::Invalid("unknown mode"))?;
        Ok(vec![Act::Battery(mode)])
    })
    .await
}

pub(crate) async fn charger(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    command(&shared, &id, PartKind::Charger, &headers, |_| {
        let body: ChargerBody = gate::json(&body)?;
        let mut acts = Vec::new();
        match body.limit_a {
            None => {}
            Some(amps @ 6..=32) => acts.push(Act::MaxAmps(amps)),
            Some(_) => return Err(Refusal::Invalid("limit_a must be 6 to 32")),
        }
        match body.action.as_deref() {
            None => {}
            Some("start") => acts.push(Act::ChargeStart),
            Some("stop") => acts.push(Act::ChargeStop),
            Some(_) => return Err(Refusal::Invalid("unknown action")),
        }
        Ok(acts)
    })
    .await
}

async fn command(
    shared: &Arc<Shared>,
    site: &str,
    kind: PartKind,
    headers: &HeaderMap,
    acts: impl FnOnce(&Household) -> Result<Vec<Act>, Refusal>,
) -> Response {
    let call = Call {
        device: Some(site),
        ..call("command")
    };
    gate::serve(shared, call, headers, |world, grant| {
        let house = find(world, &grant.account, site)?;
        let part = house.part(kind);
        if !part.is_present() {
            return Err(Refusal::NotFound);
        }
        let (device, offline) = (part.id.clone(), part.offline);
        let remote = part.remote;
        let acts = acts(house)?;
        if remote != Remote::Allowed {
            return Err(Refusal::Forbidden("E_CONTROL"));
        }
        if acts.is_empty() {
            return Err(Refusal::Invalid("nothing to do"));
        }
        if offline {
            return Err(Refusal::Unreachable("part"));
        }
        for act in acts {
            world.order(Cloud::Helios, &grant.account, &device, act, DELAY);
        }
        Reply::with(202, json!({"queued": true}))
    })
    .await
}
