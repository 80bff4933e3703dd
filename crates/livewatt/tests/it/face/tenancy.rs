//! What is one client's does not exist for another: every operation of the table, tried by a
//! stranger who knows all names. The refusal is the one for what never existed, letter by letter,
//! so that nobody learns what there is.

use std::collections::BTreeMap;

use livewatt_api::{Auth, Content, Operation, QueryKind, operations};
use livewatt_sandbox::Cloud;
use reqwest::Method;
use serde_json::{Value, json};

use super::{assert_problem, neighbours, picture, raw};
use crate::support::{World, http::Api, still};

/// Something of the other client's and something that never was, as one variable of paths.
struct Names {
    variable: &'static str,
    foreign: String,
    unknown: &'static str,
}

const UNKNOWN_ID: &str = "01900000-0000-7000-8000-000000000000";

async fn names(world: &World, webhook: &str) -> BTreeMap<&'static str, Names> {
    let mut names = BTreeMap::new();
    let mut add = |variable, foreign: String, unknown| {
        names.insert(
            variable,
            Names {
                variable,
                foreign,
                unknown,
            },
        );
    };
    add("userId", "ann".to_owned(), "nob");
    add("webhookId", webhook.to_owned(), UNKNOWN_ID);
    add("tariffId", "home".to_owned(), "nothing");
    add("area", "NO1".to_owned(), "NO9");
    add("actionId", super::action(world).await, UNKNOWN_ID);
    add("scheduleId", super::schedule(world).await, UNKNOWN_ID);
    add("smartChargingPlanId", "latest".to_owned(), UNKNOWN_ID);
    for (variable, plural) in [
        ("vehicleId", "vehicles"),
        ("chargerId", "chargers"),
        ("hvacId", "hvacs"),
        ("inverterId", "inverters"),
        ("batteryId", "batteries"),
        ("meterId", "meters"),
        ("assetId", "meters"),
        ("locationId", "locations"),
        ("hemSystemId", "hem-systems"),
    ] {
        let device = world.api.all(plural).await.remove(0);
        add(
            variable,
            device["id"].as_str().unwrap().to_owned(),
            UNKNOWN_ID,
        );
    }
    names
}

/// A path with its variables filled in. Vendors and kinds belong to nobody.
fn path_of(operation: &Operation, value: impl Fn(&str) -> Option<String>) -> String {
    let segments = operation.path.split('/').map(|segment| {
        let variable = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}'));
        match variable {
            None => segment.to_owned(),
            Some("vendor") => "TESLA".to_owned(),
            Some("vendorType") => "vehicle".to_owned(),
            Some(name) => value(name)
                .unwrap_or_else(|| panic!("{}: whose is {name}? Say so here", operation.id)),
        }
    });
    segments.collect::<Vec<_>>().join("/")
}

/// The query without which the operation refuses everybody.
fn query_of(operation: &Operation) -> String {
    let needed = operation.query.iter().filter(|query| query.is_required);
    let pairs = needed.map(|query| match query.kind {
        QueryKind::Moment(example) | QueryKind::Interval(example) | QueryKind::Integer(example) => {
            format!("{}={example}", query.name)
        }
        QueryKind::Choice(all) => format!("{}={}", query.name, all[0]),
        QueryKind::Text => {
            panic!(
                "{}: what would {} be? Say so here",
                operation.id, query.name
            )
        }
    });
    match pairs.collect::<Vec<_>>().join("&") {
        none if none.is_empty() => none,
        pairs => format!("?{pairs}"),
    }
}

/// A body that is right but for whom it is about; an operation that takes one must have it here.
fn body_of(operation: &Operation) -> Option<Value> {
    let Content::Json(schema) = operation.body else {
        let is_bare = matches!(operation.body, Content::Empty | Content::Csv(_));
        assert!(is_bare, "{}", operation.id);
        return None;
    };
    Some(match schema {
        "LinkUserPayload" => super::link_body(),
        "RelinkUserPayload" => json!({ "language": "en-US", "redirectUri": "app://done" }),
        "WebhookCreatePayload" => json!({ "url": "https://a.example/hook", "secret": "secret" }),
        "WebhookUpdatePayload" => json!({ "events": ["*"] }),
        "ChargerUpdatePayload" | "HvacUpdatePayload" => json!({ "locationId": null }),
        "LocationPayload" => json!({
            "name": "Home", "latitude": 59.9, "longitude": 10.7, "timezoneName": "Europe/Oslo",
        }),
        "ControlChargingPayload" => json!({ "action": "START" }),
        "TargetMaxCurrent" => json!({ "maxCurrent": 8 }),
        "HVACSetPermanentHoldPayload" => json!({ "mode": "OFF" }),
        "SetBatteryOperationModePayload" => json!({ "operationMode": "IDLE" }),
        "Schedule" => json!({
            "targetType": "vehicle", "targetId": UNKNOWN_ID, "locationId": null,
            "defaultShouldCharge": true, "rules": [],
        }),
        "PartialSchedule" => json!({ "isEnabled": false }),
        "PartialVehicleSmartChargingPolicy" => json!({ "minimumChargeLimit": 10 }),
        "OtherPrices" => json!({ "prices": [] }),
        "PartialLocation" => json!({ "name": "Mine" }),
        "LocationPricingSettings" => json!({ "currency": "NOK", "priceArea": null }),
        "LocationTariffInterval" => json!({ "tariffId": "home", "tariffIntervals": [] }),
        other => panic!("{}: what would a {other} be? Say so here", operation.id),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_another_clients_does_not_exist() {
    let world = World::new().await;
    neighbours(&world).await;
    let webhook = world.subscribe().await;
    let names = names(&world, &webhook).await;
    let before = picture(&world.api).await;
    let log = world.api.log().await;
    let stranger = world.other_client(None).await;
    for operation in operations() {
        let is_stream = operation
            .answers
            .iter()
            .any(|answer| answer.content == Content::Events);
        // Streams have a test of their own; makers make what is the caller's own.
        let is_maker = matches!(
            operation.id,
            "createWebhook"
                | "postUsersUseridLink"
                | "sendTariffInformation"
                | "updatePricing"
                | "uploadMarketPrices"
        );
        // The same for everybody.
        let is_catalogue = operation.tag == "Interventions";
        if operation.auth != Auth::Bearer || is_stream || is_maker || is_catalogue {
            continue;
        }
        let call = async |unknown: bool| {
            let pick = |name: &str| {
                let name = names.get(name)?;
                Some(match unknown {
                    true => name.unknown.to_owned(),
                    false => name.foreign.clone(),
                })
            };
            let path = path_of(&operation, pick) + &query_of(&operation);
            let body = body_of(&operation);
            let answer = stranger.call(operation.method.clone(), &path, body).await;
            let mut text = answer.body.to_string();
            // The name asked for is all that may differ.
            for name in names
                .values()
                .filter(|name| operation.path.contains(name.variable))
            {
                text = text.replace(&name.foreign, name.unknown);
            }
            (answer.status.as_u16(), text, answer.body)
        };
        let (status, text, body) = call(false).await;
        let (unknown_status, unknown_text, _) = call(true).await;
        let is_list = operation.query.iter().any(|query| query.name == "after");
        let what = format!("{}: {status} {body}", operation.id);
        match operation.id {
            // The caller's own, of which there is nothing yet.
            "getPricing" => assert_eq!(body["currency"], Value::Null, "{what}"),
            "getMarketPrices" => assert_eq!(body, json!([]), "{what}"),
            "listEvents" => assert_eq!(body["data"], json!([]), "{what}"),
            "getFreshness" => {
                let (rows, breaches) = (&body["rows"], &body["breaches"]);
                assert_eq!((rows, breaches), (&json!([]), &json!([])), "{what}");
            }
            _ if is_list => assert_eq!(
                body,
                json!({ "data": [], "pagination": { "after": null, "before": null } }),
                "{what}"
            ),
            // The contract answers 400 for an asset that cannot be linked again.
            "postAssetsAssetidRelink" => {
                assert_eq!(status, 400, "{what}");
                assert_problem(&body, "bad-request");
            }
            _ => {
                assert!(operation.path.contains('{'), "{what}");
                assert_eq!(status, 404, "{what}");
                assert_problem(&body, "not-found");
            }
        }
        assert_eq!((status, text), (unknown_status, unknown_text), "{what}");
    }
    assert_eq!(picture(&world.api).await, before);
    assert_eq!(world.api.log().await, log);
    world.shut_down().await;
}

/// Cursors and positions say where to read on, not in whose log.
#[tokio::test(flavor = "multi_thread")]
async fn cursors_of_another_client_show_nothing_of_theirs() {
    let world = World::new().await;
    neighbours(&world).await;
    world.subscribe().await;
    let stranger = world.other_client(None).await;
    for operation in operations() {
        let is_paged = operation.query.iter().any(|query| query.name == "after");
        let is_stream = operation.id == "streamEvents";
        if operation.method != Method::GET || !is_paged || is_stream {
            continue;
        }
        let user = |name: &str| (name == "userId").then(|| "ann".to_owned());
        let path = path_of(&operation, user);
        let page = world
            .api
            .get(&format!("{path}?pageSize=1"))
            .await
            .expect_status(200);
        for (from, cursor) in [
            ("after", &page["pagination"]["after"]),
            ("before", &page["pagination"]["after"]),
        ] {
            let Some(cursor) = cursor.as_str() else {
                continue;
            };
            if operation.id == "listEvents" && from == "before" {
                continue;
            }
            let shown = stranger.get(&format!("{path}?{from}={cursor}")).await;
            assert_eq!(shown.expect_status(200)["data"], json!([]), "{path} {from}");
        }
    }
    world.shut_down().await;
}

/// A cursor of one list is no cursor of another, and says so instead of failing.
#[tokio::test(flavor = "multi_thread")]
async fn cursors_of_other_lists_are_refused() {
    let world = World::new().await;
    neighbours(&world).await;
    let page = world.api.get("/users?pageSize=1").await.expect_status(200);
    let cursor = page["pagination"]["after"].as_str().unwrap();
    for list in ["vehicles", "users/ann/chargers", "webhooks", "events"] {
        for name in ["after", "before"] {
            let refused = world.api.get(&format!("/{list}?{name}={cursor}")).await;
            assert_eq!(refused.expect_issues(), [name], "{list}");
        }
    }
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_nothing_of_other_clients() {
    let world = World::new().await;
    let accounts = neighbours(&world).await;
    let page = world.api.get("/events?pageSize=1").await.expect_status(200);
    let first = page["pagination"]["after"].as_str().unwrap();
    let stranger = world.other_client(None).await;
    let mut streams = Vec::new();
    for resumed in [None, Some(first)] {
        let mut request = raw(&world, &Method::GET, "/events/stream").bearer_auth(&stranger.token);
        if let Some(position) = resumed {
            request = request.header("last-event-id", position);
        }
        let stream = request.send().await.unwrap();
        assert_eq!(stream.status(), 200);
        streams.push(stream);
    }
    // Something of the neighbours', and then something of the stranger's own: that comes first.
    world.plug(&accounts[0].devices[0].id, false).await;
    let own = world
        .sandbox
        .create_account(Cloud::Rivoli, still())
        .unwrap();
    link_as(&world, &stranger, &own).await;
    world.advance(crate::support::STEP).await;
    for mut stream in streams {
        let mut text = String::new();
        while !text.contains("data: ") {
            let piece = stream.chunk().await.unwrap().unwrap();
            text.push_str(std::str::from_utf8(&piece).unwrap());
        }
        assert!(
            text.contains("\"mine\"") && !text.contains("\"ann\""),
            "{text}"
        );
    }
    world.shut_down().await;
}

/// Links an account for the stranger's user `mine`.
async fn link_as(world: &World, stranger: &Api, account: &livewatt_sandbox::AccountInfo) {
    let started = stranger
        .post("/users/mine/link", Some(super::link_body()))
        .await;
    let started = started.expect_status(200);
    let known = livewatt::demo::link::SandboxAccount {
        integration: crate::support::integration(account.cloud),
        vendor: crate::support::vendor(account.cloud),
        username: account.username.clone(),
        password: account.password.clone(),
    };
    let token = started["linkToken"].as_str().unwrap();
    livewatt::demo::link::walk(world.engine(), token, &known)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_names_are_different_things_to_different_clients() {
    let world = World::new().await;
    neighbours(&world).await;
    let before = picture(&world.api).await;
    let stranger = world.other_client(None).await;
    // A user of the same name, and a webhook of the same address: makers make what is their own.
    let linked = stranger
        .post("/users/ann/link", Some(super::link_body()))
        .await;
    let token = linked.expect_status(200)["linkToken"]
        .as_str()
        .unwrap()
        .to_owned();
    let body = json!({ "url": world.receiver.any_url(), "secret": "secret" });
    let hook = stranger
        .post("/webhooks", Some(body))
        .await
        .expect_status(200);
    assert_eq!(
        stranger.get("/users/ann").await.expect_status(200)["linkedVendors"],
        json!([])
    );
    // A link token opens a page, not the API, and none of the other client's.
    let request = raw(&world, &Method::GET, "/users").bearer_auth(&token);
    assert_eq!(super::answer(request).await.0, 401);
    stranger.delete("/users/ann").await.expect_status(204);
    let path = format!("/webhooks/{}", hook["id"].as_str().unwrap());
    world.api.delete(&path).await.expect_status(404);
    stranger.delete(&path).await.expect_status(204);
    assert_eq!(picture(&world.api).await, before);

    // With a client go its tokens and its sessions.
    let linked = stranger
        .post("/users/cid/link", Some(super::link_body()))
        .await;
    let link = linked.expect_status(200)["linkUrl"]
        .as_str()
        .unwrap()
        .to_owned();
    let clients = world.engine().list_clients().await.unwrap();
    let other = clients
        .iter()
        .find(|client| client.id != world.client)
        .unwrap();
    assert!(world.engine().delete_client(other.id).await.unwrap());
    stranger.get("/users").await.expect_status(401);
    assert_eq!(reqwest::get(link).await.unwrap().status(), 404);
    assert_eq!(picture(&world.api).await, before);
    world.shut_down().await;
}
