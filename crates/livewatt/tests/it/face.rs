//! The HTTP face: who may see what, what a refusal looks like, and what a restart leaves as it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
};

use futures::StreamExt as _;
use livewatt::demo::link::{SandboxAccount, walk};
use livewatt_api::{Auth, Content, Operation, operations};
use livewatt_domain::{SignedDuration, kind::DeviceKind};
use livewatt_sandbox::{AccountInfo, AccountSpec, Cloud, FaultKind, FaultSpec};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::{
    STEP, World,
    contract::check_schema,
    eventually,
    http::{Answer, Api},
    integration, still, vendor,
};

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

/// Two users with devices of all kinds that the clouds have.
async fn neighbours(world: &World) -> Vec<AccountInfo> {
    let mut accounts = Vec::new();
    for (user, cloud) in [("ann", Cloud::Volta), ("ann", Cloud::Helios), ("bob", Cloud::Rivoli)] {
        accounts.push(world.link(user, cloud, still()).await);
    }
    world.advance(minutes(1)).await;
    accounts
}

/// What a customer sees of everything.
async fn picture(api: &Api) -> BTreeMap<String, Value> {
    let mut picture = BTreeMap::new();
    let lists = DeviceKind::ALL.map(DeviceKind::plural);
    for list in lists.into_iter().chain(["users", "webhooks"]) {
        picture.insert(list.to_owned(), json!(api.all(list).await));
    }
    picture
}

/// The paths of an operation, its variables filled in with what there is in `world`.
async fn paths(world: &World, operation: &Operation, webhook: &str) -> Vec<String> {
    let mut ids = BTreeMap::from([
        ("userId", "ann".to_owned()),
        ("vendor", "TESLA".to_owned()),
        ("vendorType", "vehicle".to_owned()),
        ("webhookId", webhook.to_owned()),
        ("integration", "volta".to_owned()),
        ("stationId", "station-1".to_owned()),
    ]);
    for (variable, kind) in [
        ("vehicleId", "vehicles"),
        ("chargerId", "chargers"),
        ("hvacId", "hvacs"),
        ("inverterId", "inverters"),
        ("batteryId", "batteries"),
        ("meterId", "meters"),
        ("assetId", "meters"),
    ] {
        let device = world.api.all(kind).await.remove(0);
        ids.insert(variable, device["id"].as_str().unwrap().to_owned());
    }
    let mut path = operation.path.clone();
    for (variable, id) in &ids {
        path = path.replace(&format!("{{{variable}}}"), id);
    }
    assert!(!path.contains('{'), "{path}: say here what its variables stand for");
    vec![path.clone(), format!("{path}?pageSize=1")]
}

fn raw(world: &World, method: &Method, path: &str) -> RequestBuilder {
    reqwest::Client::new().request(method.clone(), format!("{}{path}", world.api.base))
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// A refusal has the contract's form, and no other keys.
#[track_caller]
fn assert_problem(body: &Value, slug: &str) {
    check_schema("Problem", body);
    let kind = body["type"].as_str().unwrap();
    assert_eq!(kind, format!("https://developers.enode.com/api/problems/{slug}"));
    let known = ["type", "title", "detail", "issues"];
    assert!(body.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_refuses_strangers() {
    let world = World::new().await;
    neighbours(&world).await;
    let webhook = world.subscribe().await;
    let before = picture(&world.api).await;
    for operation in operations() {
        for path in paths(&world, &operation, &webhook).await {
            for token in [None, Some("nonsense"), Some(""), Some("a b")] {
                let mut request = raw(&world, &operation.method, &path);
                if let Some(token) = token {
                    request = request.bearer_auth(token);
                }
                let (status, body) = answer(request.body("{}")).await;
                let what = format!("{} {token:?}: {status} {body}", operation.id);
                match operation.auth {
                    Auth::Bearer => {
                        assert_eq!(status, 401, "{what}");
                        assert_problem(&body, "unauthorized");
                    }
                    Auth::Basic | Auth::Signature => assert!((400..=426).contains(&status), "{what}"),
                    Auth::Optional | Auth::None => assert!((200..300).contains(&status), "{what}"),
                }
            }
        }
    }
    assert_eq!(picture(&world.api).await, before);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_operation_shows_or_touches_what_is_another_clients() {
    let world = World::new().await;
    neighbours(&world).await;
    let webhook = world.subscribe().await;
    let before = picture(&world.api).await;
    let stranger = world.other_client(None).await;
    for operation in operations().into_iter().filter(|row| row.auth == Auth::Bearer) {
        // A stream of nothing never ends; and a user's name is each client's own.
        let is_stream = operation.answers.iter().any(|answer| answer.content == Content::Events);
        if is_stream || operation.id == "postUsersUseridLink" {
            continue;
        }
        let path = paths(&world, &operation, &webhook).await.remove(0);
        let body = match operation.id {
            "postAssetsAssetidRelink" => {
                Some(json!({ "language": "en-US", "redirectUri": "app://done" }))
            }
            "createWebhook" => continue,
            _ => (operation.body != Content::Empty).then(|| json!({})),
        };
        let answer = stranger.call(operation.method.clone(), &path, body).await;
        let is_list = operation.query.iter().any(|query| query.name == "after");
        match operation.id {
            _ if is_list => assert_eq!(answer.expect_status(200)["data"], json!([]), "{path}"),
            "postAssetsAssetidRelink" => assert_problem(&answer.expect_status(400), "bad-request"),
            _ => assert_problem(&answer.expect_status(404), "not-found"),
        }
    }
    assert_eq!(picture(&world.api).await, before);
    let of_nobody = world.api.get("/users/nobody/vehicles").await.expect_status(200);
    assert_eq!(of_nobody["data"], json!([]));
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_lead_forwards_and_back() {
    let world = World::new().await;
    for user in 0..3 {
        let spec = AccountSpec { vehicles: Some(2), ..still() };
        world.link(&format!("user-{user}"), Cloud::Volta, spec).await;
        world.advance(STEP).await;
    }
    let all = world.api.all("vehicles").await;
    let page = async |query: String| {
        world.api.get(&format!("/vehicles?pageSize=4{query}")).await.expect_status(200)
    };
    let first = page(String::new()).await;
    // Somebody who comes meanwhile moves nothing.
    world.link("late", Cloud::Volta, still()).await;
    let after = first["pagination"]["after"].as_str().unwrap();
    let second = page(format!("&after={after}")).await;
    let seen: Vec<Value> =
        [&first, &second].iter().flat_map(|page| page["data"].as_array().unwrap().clone()).collect();
    let ids = |devices: &[Value]| devices.iter().map(|device| device["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&seen), ids(&all));
    assert_eq!(second["pagination"]["after"], Value::Null);
    let before = second["pagination"]["before"].as_str().unwrap();
    let back = page(format!("&before={before}")).await;
    assert_eq!(back["data"], first["data"]);
    // The newest comes first, and is found by going back.
    let before = back["pagination"]["before"].as_str().unwrap();
    let newest = page(format!("&before={before}")).await;
    assert_eq!(newest["data"].as_array().unwrap().len(), 1);
    assert_eq!(newest["data"][0]["userId"], "late");
    assert_eq!(newest["pagination"]["before"], Value::Null);
    for query in ["after=x", "before=%00", "pageSize=0", "pageSize=501", "pageSize=a", "pageSize=-1"] {
        let answer = world.api.get(&format!("/vehicles?{query}")).await;
        assert_eq!(answer.expect_issues(), [query.split('=').next().unwrap()]);
    }
    let both = format!("/vehicles?after={after}&before={before}");
    assert!(!world.api.get(&both).await.expect_issues().is_empty());
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_make_no_sense_get_problems() {
    let world = World::with(|settings| settings.server.body_limit_bytes = 1000).await;
    let post = |path: &str| raw(&world, &Method::POST, path).bearer_auth(&world.api.token);
    let users = || raw(&world, &Method::GET, "/users").bearer_auth(&world.api.token);
    for (request, status, slug) in [
        (users().header("enode-user-id", "ann"), 400, "bad-request"),
        (users().header("enode-version", "2023-08-01"), 400, "bad-request"),
        (raw(&world, &Method::GET, "/nowhere"), 404, "not-found"),
        (raw(&world, &Method::PUT, "/users"), 405, "method-not-allowed"),
        (post("/webhooks").body(" ".repeat(1001)), 413, "payload-too-large"),
        (post("/webhooks").body("{"), 400, "bad-request"),
        (post("/webhooks").body(""), 400, "bad-request"),
        (post("/webhooks").body("[]"), 400, "bad-request"),
        (post("/webhooks").body("[".repeat(900)), 400, "bad-request"),
        (post("/webhooks").body(vec![0xff; 10]), 400, "bad-request"),
        (post("/webhooks").body(r#"{"url":1,"url":2}"#), 400, "bad-request"),
        (post("/users/%00/link").body("{}"), 400, "bad-request"),
        (post("/vendors/volta/push").body("{}"), 401, "unauthorized"),
        (post("/vendors/none/push").body("{}"), 404, "not-found"),
    ] {
        let (got, body) = answer(request).await;
        assert_eq!(got, status, "{body}");
        assert_problem(&body, slug);
    }
    let body = json!({ "scopes": ["vehicle:read:data", "x"], "redirectUri": "about:blank", "a": 1 });
    let refused = world.api.post("/users/ann/link", Some(body)).await;
    assert_eq!(refused.expect_issues(), ["scopes.1", "language", "a"]);
    let versioned = users().header("enode-version", "2024-10-01").send().await.unwrap();
    assert_eq!(versioned.headers()["enode-version"], "2024-10-01");

    let token = |form: &'static str| {
        raw(&world, &Method::POST, "/oauth2/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)
    };
    let id = world.client.to_string();
    for (request, status, error) in [
        (token("grant_type=client_credentials"), 401, "invalid_client"),
        (token("grant_type=client_credentials").basic_auth(&id, Some("x")), 401, "invalid_client"),
        (token("grant_type=client_credentials").basic_auth("x", Some("x")), 401, "invalid_client"),
        (token("grant_type=password").basic_auth(&id, Some("x")), 400, "unsupported_grant_type"),
        (token("").basic_auth(&id, Some("x")), 400, "invalid_request"),
        (raw(&world, &Method::POST, "/oauth2/token").json(&json!({})), 400, "invalid_request"),
    ] {
        let (got, body) = answer(request).await;
        assert_eq!((got, &body["error"]), (status, &json!(error)), "{body}");
    }
    world.shut_down().await;
}

/// Reads events from a stream until there are so many; each with its ID.
async fn follow(world: &World, last: Option<&str>, count: usize) -> Vec<(String, Value)> {
    let mut request = raw(world, &Method::GET, "/events/stream").bearer_auth(&world.api.token);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let mut pieces = request.send().await.unwrap().bytes_stream();
    let (mut text, mut events) = (String::new(), Vec::new());
    while events.len() < count {
        text.push_str(std::str::from_utf8(&pieces.next().await.unwrap().unwrap()).unwrap());
        while let Some((frame, rest)) = text.split_once("\n\n") {
            let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
            if let Some(data) = field("data: ") {
                let event: Value = serde_json::from_str(data).unwrap();
                assert_eq!(field("event: "), event["event"].as_str());
                events.push((field("id: ").unwrap().to_owned(), event));
            }
            text = rest.to_owned();
        }
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_tells_what_the_log_tells_and_resumes() {
    let world = World::new().await;
    let start = world.api.get("/events").await.expect_status(200);
    let start = start["pagination"]["after"].as_str().unwrap();
    let accounts = neighbours(&world).await;
    let log = world.api.log().await;
    let told = follow(&world, Some(start), log.len()).await;
    assert_eq!(told.iter().map(|(_, event)| event.clone()).collect::<Vec<_>>(), log);
    let (middle, _) = &told[log.len() / 2];
    let rest = follow(&world, Some(middle), log.len() - log.len() / 2 - 1).await;
    assert_eq!(rest, told[log.len() / 2 + 1..]);
    // From now on, live.
    let live = {
        let mut live = pin!(follow(&world, None, 3));
        let mut is_plugged = false;
        loop {
            tokio::select! {
                live = &mut live => break live,
                () = world.plug(&accounts[0].devices[0].id, is_plugged) => {}
            }
            is_plugged = !is_plugged;
            world.advance(STEP).await;
        }
    };
    let log = world.api.log().await;
    let at = log.iter().position(|event| *event == live[0].1).unwrap();
    assert_eq!(live.iter().map(|(_, event)| event.clone()).collect::<Vec<_>>(), log[at..at + 3]);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_changes_nothing_and_starts_no_stampede() {
    let mut world = World::new().await;
    world.subscribe().await;
    for user in 0..20 {
        world.link(&format!("user-{user}"), Cloud::Rivoli, still()).await;
    }
    world.advance(minutes(10)).await;
    let due = async |world: &World| {
        let mut due = BTreeSet::new();
        for vehicle in world.api.all("vehicles").await {
            let path = format!("/vehicles/{}/freshness", vehicle["id"].as_str().unwrap());
            let why = world.api.get(&path).await.expect_status(200);
            due.insert((vehicle["id"].to_string(), why["nextDueAt"].to_string()));
        }
        due
    };
    let (before, due_before, log) =
        (picture(&world.api).await, due(&world).await, world.api.log().await);
    world = world.restart(SignedDuration::ZERO, |_| {}).await;
    assert_eq!(picture(&world.api).await, before);
    assert_eq!(due(&world).await, due_before);
    assert_eq!(world.api.log().await, log);

    // After an hour, everything is due; it is fetched within a minute, and not at once.
    world.receiver.answer_with(500);
    world = world.restart(minutes(60), |_| {}).await;
    let calls = |world: &World| {
        world.sandbox.truth(None, None).unwrap()["stats"]["calls_total"].as_i64().unwrap()
    };
    let start = calls(&world);
    let mut rounds = Vec::new();
    for _ in 0..7 {
        world.step().await;
        rounds.push(calls(&world) - start - rounds.iter().sum::<i64>());
    }
    assert!(rounds.iter().sum::<i64>() >= 20 && rounds.iter().all(|count| *count < 20), "{rounds:?}");
    world.receiver.answer_with(200);
    world = world.restart(minutes(30), |_| {}).await;
    world.advance(minutes(5)).await;
    // Each event was taken once, and only ever sent under one ID.
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    for attempt in world.receiver.attempts().into_iter().filter(|attempt| attempt.is_of_log()) {
        for event in attempt.events {
            let first = ids.entry(event.to_string()).or_insert_with(|| attempt.id.clone());
            assert_eq!(*first, attempt.id, "{event}");
        }
    }
    let told: BTreeSet<String> = world.receiver.events().iter().map(Value::to_string).collect();
    assert_eq!(told.len(), world.receiver.events().len());
    assert_eq!(told, world.api.log().await.iter().map(Value::to_string).collect());
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_users_linked_is_undone_as_far_as_asked() {
    let world = World::new().await;
    world.subscribe().await;
    let accounts = neighbours(&world).await;
    let before = picture(&world.api).await;
    world.receiver.clear();

    // Deauthorizing is silent, and relinking brings back the same.
    world.api.delete("/users/ann/authorization").await.expect_status(204);
    world.plug(&accounts[0].devices[0].id, false).await;
    world.advance(minutes(20)).await;
    let is_anns = |event: &&Value| event["user"]["id"] == "ann";
    assert_eq!(world.receiver.events().iter().filter(is_anns).count(), 0);
    assert_eq!(world.api.all("vehicles").await.len(), 2);
    for account in &accounts[..2] {
        world.link_account("ann", account).await;
    }
    world.advance(STEP).await;
    let ids = |value: &Value| -> BTreeSet<String> {
        value.as_array().unwrap().iter().map(|row| row["id"].to_string()).collect()
    };
    for (list, rows) in picture(&world.api).await {
        assert_eq!(ids(&rows), ids(&before[&list]), "{list}");
    }

    world.receiver.clear();
    let deleted = || -> Vec<String> {
        let mut names = world.receiver.names();
        names.retain(|name| name.ends_with(":deleted"));
        names
    };
    world.api.delete("/users/ann/vendors/TESLA/charger").await.expect_status(204);
    world.advance(minutes(20)).await;
    assert_eq!(deleted(), ["user:charger:deleted"]);
    world.api.delete("/users/ann/vendors/TESLA").await.expect_status(204);
    world.advance(minutes(20)).await;
    assert_eq!(deleted(), ["user:charger:deleted", "user:vehicle:deleted"]);
    let user = world.api.get("/users/ann").await.expect_status(200);
    let vendors: Vec<&Value> =
        user["linkedVendors"].as_array().unwrap().iter().map(|row| &row["vendor"]).collect();
    assert!(!vendors.is_empty() && !vendors.contains(&&json!("TESLA")), "{user}");

    // A user who is deleted leaves nothing and nobody is told.
    world.receiver.clear();
    let meter = world.api.all("meters").await.remove(0);
    world.api.delete("/users/ann").await.expect_status(204);
    world.advance(minutes(20)).await;
    assert_eq!(world.receiver.events().iter().filter(is_anns).count(), 0);
    for path in ["/users/ann".to_owned(), format!("/meters/{}", meter["id"].as_str().unwrap())] {
        assert_problem(&world.api.get(&path).await.expect_status(404), "not-found");
    }
    let log = json!(world.api.log().await).to_string();
    assert!(log.contains("bob") && !log.contains("\"ann\""));
    world.shut_down().await;
}

fn link_body() -> Value {
    json!({
        "scopes": ["vehicle:read:data", "charger:read:data"],
        "language": "en-US",
        "redirectUri": "https://app.example/done",
    })
}

fn known(account: &AccountInfo) -> SandboxAccount {
    SandboxAccount {
        integration: integration(account.cloud),
        vendor: vendor(account.cloud),
        username: account.username.clone(),
        password: account.password.clone(),
    }
}

fn token_of(started: &Value) -> &str {
    started["linkToken"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_links_no_more_accounts_than_it_may() {
    let world = World::new().await;
    let api = world.other_client(Some(1)).await;
    let start = async |user: &str| -> Answer {
        api.post(&format!("/users/{user}/link"), Some(link_body())).await
    };
    // Two sessions begun while there was room for one.
    let sessions = [start("ann").await.expect_status(200), start("bob").await.expect_status(200)];
    let accounts = [0, 1].map(|_| world.sandbox.create_account(Cloud::Volta, still()).unwrap());
    walk(world.engine(), token_of(&sessions[0]), &known(&accounts[0])).await.unwrap();
    assert!(walk(world.engine(), token_of(&sessions[1]), &known(&accounts[1])).await.is_err());
    let refused = start("cid").await.expect_status(403);
    assert_problem(&refused, "forbidden");
    assert_eq!(refused["title"], "Connections limit reached.");
    assert_eq!(api.all("vehicles").await.len(), 1);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_session_works_once_and_for_a_day() {
    let world = World::new().await;
    let start = async || world.api.post("/users/ann/link", Some(link_body())).await.expect_status(200);
    let page = async |started: &Value| {
        reqwest::get(started["linkUrl"].as_str().unwrap()).await.unwrap().status().as_u16()
    };
    let (used, left) = (start().await, start().await);
    assert_eq!((page(&used).await, page(&left).await), (200, 200));
    let account = world.sandbox.create_account(Cloud::Volta, still()).unwrap();
    walk(world.engine(), token_of(&used), &known(&account)).await.unwrap();
    assert_eq!(page(&used).await, 410);
    assert!(walk(world.engine(), token_of(&used), &known(&account)).await.is_err());
    world.clock.advance(minutes(24 * 60));
    assert_eq!(page(&left).await, 410);
    let unknown = format!("{}/link/nothing", world.api.base);
    assert_eq!(reqwest::get(unknown).await.unwrap().status(), 404);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_neither_sent_nor_stored_in_the_open() {
    let world = World::new().await;
    let header = json!({ "headerName": "x-key", "headerValue": "canary-header" });
    let body = json!({
        "url": world.receiver.url, "secret": "canary-secret", "authentication": header,
    });
    world.receiver.expect_secret("canary-secret");
    let webhook = world.api.post("/webhooks", Some(body)).await.expect_status(200);
    let started = world.api.post("/users/ann/link", Some(link_body())).await.expect_status(200);
    for cloud in [Cloud::Volta, Cloud::Rivoli, Cloud::Helios] {
        let spec = AccountSpec { password: Some("canary-password".to_owned()), ..still() };
        world.link("ann", cloud, spec).await;
    }
    world.advance(minutes(20)).await;
    let canaries = ["canary-", &world.secret, &world.api.token, token_of(&started)];

    let mut said = vec![webhook.to_string()];
    for operation in operations().into_iter().filter(|row| row.method == Method::GET) {
        if operation.answers.iter().any(|answer| answer.content == Content::Events) {
            continue;
        }
        let webhook = webhook["id"].as_str().unwrap();
        for path in paths(&world, &operation, webhook).await {
            let request = raw(&world, &Method::GET, &path).bearer_auth(&world.api.token);
            said.push(answer(request).await.1.to_string());
        }
    }
    let test = format!("/webhooks/{}/test", webhook["id"].as_str().unwrap());
    said.push(world.api.post(&test, None).await.expect_status(200).to_string());
    said.push(reqwest::get(started["linkUrl"].as_str().unwrap()).await.unwrap().text().await.unwrap());
    said.push(json!(world.api.log().await).to_string());
    said.extend(world.receiver.attempts().into_iter().map(|attempt| attempt.body));
    for text in &said[..said.len()] {
        let found = canaries[..3].iter().find(|canary| text.contains(**canary));
        assert_eq!(found, None, "{text}");
    }
    let directory = world.directory.path().join("data");
    let files = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|file| file.is_file()) {
        let bytes = std::fs::read(&file).unwrap();
        for canary in canaries {
            let is_found = bytes.windows(canary.len()).any(|piece| piece == canary.as_bytes());
            assert!(!is_found, "{canary} is in {}", file.display());
        }
    }
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn linking_again_while_dead_credentials_are_tried_brings_the_account_back() {
    let world = World::new().await;
    world.subscribe().await;
    let account = world.link("ann", Cloud::Volta, still()).await;
    world.sandbox.revoke_tokens(Cloud::Volta, &account.id).unwrap();
    // The vendor takes its time to refuse the refresh; the user is quicker.
    let slow = FaultSpec::new(FaultKind::Hang { seconds: Some(1.0) }).endpoints(&["token"]).times(1);
    world.sandbox.add_fault(Cloud::Volta, slow).await.unwrap();
    world.sandbox.set_now(world.clock.advance(minutes(10))).await.unwrap();
    let engine = world.engine().clone();
    let poll = tokio::spawn(async move { engine.poll_due().await });
    eventually("the refresh", async || world.sandbox.faults().iter().all(|fault| fault.hits > 0)).await;
    world.link_account("ann", &account).await;
    assert!(!poll.is_finished());
    poll.await.unwrap();
    world.advance(minutes(10)).await;
    assert!(!world.receiver.names().contains(&"user:credentials:invalidated".to_owned()));
    assert!(world.api.all("vehicles").await.iter().all(|vehicle| vehicle["isReachable"] == true));
    world.shut_down().await;
}
