//! How a good answer goes bad: garbage, wrong clocks, missing devices.

use std::convert::Infallible;

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse, Response},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    answers::Said,
    clouds::gate::{Call, Reply, render},
    faults::{Fault, FaultKind, Garbage},
    world::World,
};

/// Keys whose values are identities; garbage leaves them, so that a reader gets as far as the
/// values.
const IDENTITIES: [&str; 8] = [
    "id",
    "inverter",
    "vin",
    "serial",
    "site",
    "account_id",
    "email",
    "vehicle_vin",
];
/// Keys whose values are times.
const TIMES: [&str; 6] = ["at", "time", "ts", "hold_until", "sent_at", "from"];

const TEN_YEARS: i64 = 3_653 * 86_400;
const HUGE: usize = 50 << 20;

const MAINTENANCE: &str = "<!doctype html><html><head><title>Maintenance</title></head>\
    <body><h1>We will be right back</h1></body></html>";

/// Applies the faults that touch an answer, and renders it.
pub(crate) fn spoil(
    world: &mut World,
    call: &Call<'_>,
    account: &str,
    mut reply: Reply,
) -> Response {
    let now = world.now();
    let username = world
        .accounts
        .get(account)
        .map(|a| a.username.clone())
        .unwrap_or_default();
    let (mut garbage, mut struck) = (None, Vec::new());
    for fault in &mut world.faults {
        let in_scope = fault.is_active(now)
            && fault.covers_account(call.cloud, account, &username)
            && fault.strikes_endpoint(call.endpoint)
            && holds(fault, call, &reply.body);
        if !in_scope {
            continue;
        }
        match &fault.spec.kind {
            FaultKind::ClockSkew { seconds } => shift_times(&mut reply.body, *seconds),
            FaultKind::ListingWithoutDevice => {
                // The call to the device itself is no listing.
                if call
                    .device
                    .is_some_and(|id| fault.spec.device.as_deref() == Some(id))
                {
                    continue;
                }
                leave_out(
                    &mut reply.body,
                    fault.spec.device.as_deref().unwrap_or_default(),
                );
            }
            FaultKind::Garbage { variant } => garbage = Some(*variant),
            _ => continue,
        }
        fault.hits += 1;
        struck.push(fault.spec.kind.name());
    }
    let (response, body) = match garbage {
        None => (render(&reply), reply.body),
        Some(variant) => render_garbage(variant, reply),
    };
    let said = Said {
        status: response.status().as_u16(),
        faults: struck,
        body,
        ..Said::default()
    };
    world.record(call.cloud, account, (call.endpoint, call.device), said);
    response
}

/// Whether an answer is about the device of a fault, or the fault is of no device.
fn holds(fault: &Fault, call: &Call<'_>, body: &Value) -> bool {
    match fault.spec.device.as_deref() {
        None => true,
        Some(id) => call.device == Some(id) || mentions(body, id),
    }
}

fn mentions(value: &Value, id: &str) -> bool {
    match value {
        Value::Object(map) => names(value, id) || map.values().any(|value| mentions(value, id)),
        Value::Array(list) => list.iter().any(|value| mentions(value, id)),
        _ => false,
    }
}

/// Whether an object is the device itself.
fn names(value: &Value, id: &str) -> bool {
    ["id", "vin", "serial", "site"]
        .iter()
        .any(|key| value[*key] == *id)
}

fn leave_out(value: &mut Value, id: &str) {
    match value {
        Value::Array(list) => {
            list.retain(|item| !names(item, id));
            list.iter_mut().for_each(|item| leave_out(item, id));
        }
        Value::Object(map) => {
            map.retain(|_, item| !(item.is_object() && names(item, id)));
            map.values_mut().for_each(|item| leave_out(item, id));
        }
        _ => {}
    }
}

fn shift_times(value: &mut Value, seconds: i64) {
    walk(value, &mut |key, value| {
        if !TIMES.contains(&key) {
            return;
        }
        if let Some(millis) = value.as_i64() {
            *value = json!(millis.saturating_add(seconds.saturating_mul(1000)));
        } else if let Some(time) = value
            .as_str()
            .and_then(|text| text.parse::<Timestamp>().ok())
        {
            let shifted = time.saturating_add(SignedDuration::from_secs(seconds));
            *value = json!(shifted.unwrap_or(Timestamp::MAX));
        }
    });
}

/// Visits every leaf that is not an identity, with the key it hangs on.
fn walk(value: &mut Value, visit: &mut impl FnMut(&str, &mut Value)) {
    fn inner(key: &str, value: &mut Value, visit: &mut impl FnMut(&str, &mut Value)) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    inner(key, value, visit);
                }
            }
            Value::Array(list) => list.iter_mut().for_each(|value| inner(key, value, visit)),
            _ if IDENTITIES.contains(&key) => {}
            leaf => visit(key, leaf),
        }
    }
    inner("", value, visit);
}

/// The answer, and its body where that is still JSON.
fn render_garbage(variant: Garbage, mut reply: Reply) -> (Response, Value) {
    let json_type = [(header::CONTENT_TYPE, "application/json")];
    let response = match variant {
        Garbage::Html => ([(header::CONTENT_TYPE, "text/html")], MAINTENANCE).into_response(),
        Garbage::Empty => (json_type, "").into_response(),
        Garbage::HugeBody => (json_type, Body::from_stream(huge_body())).into_response(),
        Garbage::CutJson => {
            let whole = reply.body.to_string();
            let half = whole.floor_char_boundary(whole.len() / 2);
            (json_type, whole[..half].to_owned()).into_response()
        }
        Garbage::WrongTypes => {
            walk(&mut reply.body, &mut |_, value| {
                *value = match &*value {
                    Value::Number(number) => json!(format!("about {number}")),
                    Value::Bool(on) => json!(if *on { "yes" } else { "no" }),
                    Value::String(_) => json!({}),
                    other => other.clone(),
                }
            });
            return (render(&reply), reply.body);
        }
        Garbage::AbsurdNumbers => {
            walk(&mut reply.body, &mut |key, value| {
                if TIMES.contains(&key) {
                    return;
                }
                let number = value
                    .as_str()
                    .map_or(value.as_f64(), |text| text.parse().ok());
                if let Some(number) = number {
                    let absurd = -(number + 1.0) * 1e9;
                    *value = if value.is_string() {
                        json!(format!("{absurd}"))
                    } else {
                        json!(absurd)
                    };
                }
            });
            return (render(&reply), reply.body);
        }
        Garbage::FarFuture => {
            shift_times(&mut reply.body, TEN_YEARS);
            return (render(&reply), reply.body);
        }
    };
    (response, Value::Null)
}

/// 50 MB of well-formed JSON, a piece at a time.
fn huge_body() -> impl futures::Stream<Item = Result<Bytes, Infallible>> {
    const PIECE: &[u8] = &[b' '; 64 << 10];
    let pieces = std::iter::repeat_n(Bytes::from_static(PIECE), HUGE / PIECE.len());
    let ends = |text: &'static str| std::iter::once(Bytes::from_static(text.as_bytes()));
    futures::stream::iter(
        ends("{\"padding\":\"")
            .chain(pieces)
            .chain(ends("\"}"))
            .map(Ok),
    )
}
