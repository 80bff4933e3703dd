//! The volta push feed: who wants to hear, what they were last told, and what is worth telling.

use std::{collections::BTreeMap, sync::Arc};

use axum::{body::Bytes, extract::State, http::HeaderMap, response::Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use crate::{
    clock::{Seconds, timestamp},
    clouds::{
        Refusal,
        gate::{self, Reply},
        volta::{call, view},
    },
    push::Outbox,
    server::Shared,
    world::account::{Account, Meta},
};

/// Points of charge that make a push by themselves.
const LEVEL_STEP: f64 = 5.0;

/// Changes of these keys make a push.
const TELLING: [&str; 5] = [
    "plugged",
    "status",
    "limit_percent",
    "max_amps",
    "current_limit_amps",
];

/// One app that listens to one account.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) client: String,
    pub(crate) callback: Url,
    created_at: Seconds,
    told: BTreeMap<String, Told>,
}

/// What was last said of a device.
#[derive(Clone, Debug)]
struct Told {
    kind: Kind,
    online: bool,
    charge: Value,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Vehicle,
    Wallbox,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Vehicle => "vehicle",
            Kind::Wallbox => "wallbox",
        }
    }

    fn id_key(self) -> &'static str {
        match self {
            Kind::Vehicle => "vin",
            Kind::Wallbox => "serial",
        }
    }
}

#[derive(Deserialize)]
struct Wish {
    callback_url: Url,
}

pub(crate) async fn put_subscription(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    gate::serve(&shared, call("subscription"), &headers, |world, grant| {
        let wish: Wish = gate::json(&body)?;
        if !matches!(wish.callback_url.scheme(), "http" | "https") {
            return Err(Refusal::Invalid("callback_url must be http or https"));
        }
        let client = grant.client.clone().unwrap_or_default();
        let created_at = world.now().div_euclid(1000);
        let account = world
            .accounts
            .get_mut(&grant.account)
            .ok_or(Refusal::NotFound)?;
        let told = present(account).into_iter().collect();
        account
            .subscriptions
            .retain(|subscription| subscription.client != client);
        let subscription = Subscription {
            client,
            callback: wish.callback_url,
            created_at,
            told,
        };
        let reply = Reply::ok(describe(&subscription));
        account.subscriptions.push(subscription);
        reply
    })
    .await
}

pub(crate) async fn get_subscription(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Response {
    gate::serve(&shared, call("subscription"), &headers, |world, grant| {
        let client = grant.client.as_deref().unwrap_or_default();
        let mut all = world.accounts[&grant.account].subscriptions.iter();
        let mine = all.find(|subscription| subscription.client == client);
        Reply::ok(describe(mine.ok_or(Refusal::NotFound)?))
    })
    .await
}

pub(crate) async fn delete_subscription(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Response {
    gate::serve(&shared, call("subscription"), &headers, |world, grant| {
        let client = grant.client.clone().unwrap_or_default();
        if let Some(account) = world.accounts.get_mut(&grant.account) {
            account
                .subscriptions
                .retain(|subscription| subscription.client != client);
        }
        Reply::with(204, Value::Null)
    })
    .await
}

fn describe(subscription: &Subscription) -> Value {
    json!({
        "callback_url": subscription.callback,
        "created_at": timestamp(subscription.created_at),
    })
}

/// Puts into the outbox what each subscriber should hear now.
pub(crate) fn report(account: &mut Account, tick: Seconds, outbox: &mut Outbox) {
    if account.subscriptions.is_empty() || !worth_a_look(account, tick) {
        return;
    }
    let now = present(account);
    let mut subscriptions = std::mem::take(&mut account.subscriptions);
    for subscription in &mut subscriptions {
        let changes = tell(&mut subscription.told, &now, account);
        if !changes.is_empty() {
            account.stats.pushes_made += 1;
            outbox.put(&account.id, subscription, tick, changes);
        }
    }
    account.subscriptions = subscriptions;
}

/// A cheap look before the full comparison: did anything that makes a push change? A block that was
/// not seen to change at this grid point was looked at when it did.
fn worth_a_look(account: &Account, tick: Seconds) -> bool {
    account.subscriptions.iter().any(|subscription| {
        let vehicles = account.vehicles.iter().zip(&account.shown.vehicles);
        let wallboxes = account.wallboxes.iter().zip(&account.shown.wallboxes);
        vehicles.into_iter().any(|(device, shown)| {
            changed(&subscription.told, &device.meta, |told| {
                let block = &shown.charge.block;
                shown.charge.at >= tick
                    && (told["plugged"] != block.plugged
                        || told["status"] != block.status
                        || told["limit_percent"] != block.limit_percent
                        || told["max_amps"] != block.max_amps
                        || level_moved(told, block.level_percent))
            })
        }) || wallboxes.into_iter().any(|(device, shown)| {
            changed(&subscription.told, &device.meta, |told| {
                shown.at >= tick
                    && (told["status"] != shown.block.status
                        || told["current_limit_amps"] != shown.block.current_limit_amps)
            })
        })
    })
}

fn changed(told: &BTreeMap<String, Told>, meta: &Meta, differs: impl Fn(&Value) -> bool) -> bool {
    match told.get(&meta.id) {
        None => meta.is_present(),
        Some(_) if meta.stale => false,
        Some(told) => !meta.is_present() || told.online == meta.offline || differs(&told.charge),
    }
}

fn level_moved(told: &Value, level: f64) -> bool {
    told["level_percent"]
        .as_f64()
        .is_some_and(|before| (before - level).abs() >= LEVEL_STEP)
}

/// The devices of an account as a subscriber would be told of them.
fn present(account: &Account) -> Vec<(String, Told)> {
    let vehicles = account
        .vehicles
        .iter()
        .zip(&account.shown.vehicles)
        .map(|(device, shown)| (&device.meta, Kind::Vehicle, view::stamped(&shown.charge)));
    let wallboxes = account
        .wallboxes
        .iter()
        .zip(&account.shown.wallboxes)
        .map(|(device, shown)| (&device.meta, Kind::Wallbox, view::stamped(shown)));
    vehicles
        .chain(wallboxes)
        .filter(|(meta, ..)| meta.is_present())
        .map(|(meta, kind, charge)| {
            (
                meta.id.clone(),
                Told {
                    kind,
                    online: !meta.offline,
                    charge,
                },
            )
        })
        .collect()
}

/// The changes to tell, and notes that they were told.
fn tell(
    told: &mut BTreeMap<String, Told>,
    now: &[(String, Told)],
    account: &Account,
) -> Vec<Value> {
    let mut changes = Vec::new();
    let event = |kind: Kind, what: &str, id: &str| json!({"type": format!("{}_{what}", kind.word()), (kind.id_key()): id});
    told.retain(|id, told| {
        let stays = now.iter().any(|(other, _)| other == id);
        if !stays {
            changes.push(event(told.kind, "removed", id));
        }
        stays
    });
    for (id, now) in now {
        let stale = account
            .metas()
            .any(|(_, meta)| meta.id == *id && meta.stale);
        let Some(before) = told.get_mut(id) else {
            changes.push(event(now.kind, "added", id));
            told.insert(id.clone(), now.clone());
            continue;
        };
        if stale {
            continue;
        }
        if before.online != now.online {
            let what = if now.online { "online" } else { "offline" };
            changes.push(event(now.kind, what, id));
            before.online = now.online;
        }
        if let Some(charge) = difference(&before.charge, &now.charge) {
            changes.push(json!({
                "type": now.kind.word(),
                (now.kind.id_key()): id,
                "charge": charge,
            }));
            before.charge = now.charge.clone();
        }
    }
    changes
}

/// The changed keys and `at`, if a telling one is among them.
fn difference(before: &Value, now: &Value) -> Option<Map<String, Value>> {
    let now = now.as_object()?;
    let mut changed = Map::new();
    for (key, value) in now {
        if before[key] != *value {
            changed.insert(key.clone(), value.clone());
        }
    }
    let telling = TELLING.iter().any(|key| changed.contains_key(*key))
        || now
            .get("level_percent")
            .and_then(Value::as_f64)
            .is_some_and(|l| level_moved(before, l));
    changed.insert("at".into(), now["at"].clone());
    telling.then_some(changed)
}
