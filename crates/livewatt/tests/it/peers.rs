//! Programs made by others, against the running server: the contract's published Python client, a
//! charge point, and a browser.

use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, Instant},
};

use livewatt::{
    demo::{USER, link},
    serve::{ServeOptions, Server},
};
use livewatt_domain::id::UserId;
use livewatt_engine::link::LinkStep;
use livewatt_sandbox::{AccountSpec, Cloud};
use livewatt_vendors::{LinkInput, Secret};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    World, contract, database, eventually,
    http::Api,
    loopback,
    python::Program,
    receiver::{Receiver, SECRET},
    start_demo,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_published_python_client_parses_every_answer() {
    let demo = start_demo().await;
    let (engine, client) = (&demo.server.engine, demo.client.0.parse().unwrap());
    let throwaway: UserId = "bob".parse().unwrap();
    for cloud in link::CLOUDS {
        link::link(engine, client, &throwaway, &cloud)
            .await
            .unwrap();
    }
    let receiver = Receiver::start(loopback().await);
    let base = format!("http://{}", demo.server.address);
    let (token_url, (id, secret)) = (format!("{base}/oauth2/token"), &demo.client);
    let program = Program::start(
        "enode_client.py",
        &[
            "--api",
            &base,
            "--token-url",
            &token_url,
            "--client-id",
            id,
            "--client-secret",
            secret,
            "--user-id",
            USER,
            "--throwaway-user-id",
            "bob",
            "--devices-expected",
            "vehicle=4,charger=2,hvac=1,inverter=1,battery=1,meter=1",
            "--webhook-url",
            &receiver.any_url(),
        ],
    );
    let said = program.finish().await;
    let called = said.iter().find_map(|line| line.strip_prefix("called: "));
    let called: BTreeSet<&str> = called.unwrap().split(' ').collect();
    for operation in contract::operations() {
        let id = operation["operationId"].as_str().unwrap();
        let is_served = livewatt_api::operations().iter().any(|row| row.id == id);
        for method in operation["pythonClient"].as_array().unwrap() {
            let method = method.as_str().unwrap();
            assert!(
                !is_served || called.contains(method),
                "{method} was not called"
            );
        }
    }
    demo.shut_down().await.unwrap();
}

/// A server with its loops and the system's clock, for what takes its own time.
struct Live {
    server: Server,
    api: Api,
    receiver: Receiver,
    _directory: TempDir,
}

impl Live {
    async fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let mut settings = livewatt::config::Settings::load(None, &[]).unwrap();
        settings.store.directory = directory.path().join("data");
        settings.store.url = Secret::new(database::url(&settings.store.directory));
        settings.webhooks.dangerous_allow_private_receivers = true;
        let mut server = Server::start(&settings, loopback().await, ServeOptions::default())
            .await
            .unwrap();
        let (client, secret) = server.first_client.take().unwrap();
        let api = Api::log_in(&server, &client.to_string(), secret.reveal()).await;
        let receiver = Receiver::start(loopback().await);
        let body = json!({ "url": receiver.url, "secret": SECRET });
        api.post("/webhooks", Some(body)).await.expect_status(200);
        Self {
            server,
            api,
            receiver,
            _directory: directory,
        }
    }

    /// Waits until the webhook was told that the charger is so.
    async fn charger_becomes(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let asked_at = Instant::now();
        let newest = || {
            self.receiver
                .events()
                .iter()
                .rev()
                .find_map(|event| event.get("charger").cloned())
        };
        eventually(what, async || {
            newest().is_some_and(|charger| is_so(&charger))
        })
        .await;
        let took = asked_at.elapsed();
        println!("{what}: told after {took:?}");
        // A second is the promise; the rest is for machines that do much else besides.
        assert!(
            took < Duration::from_secs(5),
            "{what}: the webhook came after {took:?}"
        );
        let told = newest().unwrap();
        let path = format!("/chargers/{}", told["id"].as_str().unwrap());
        let stored = self.api.get(&path).await.expect_status(200);
        assert!(
            is_so(&stored),
            "{what}: the webhook knows more than the API: {stored:#}"
        );
        stored
    }
}

fn state(charger: &Value) -> &str {
    charger["chargeState"]["powerDeliveryState"]
        .as_str()
        .unwrap()
}

async fn link_session(api: &Api, user: &str, extra: Value) -> String {
    let mut body = json!({
        "scopes": [
            "vehicle:read:data", "vehicle:read:location", "charger:read:data",
            "charger:control:charging", "hvac:read:data", "inverter:read:data",
            "battery:read:data", "meter:read:data",
        ],
        "language": "en-US",
        "redirectUri": REDIRECT,
    });
    body.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    let made = api
        .post(&format!("/users/{user}/link"), Some(body))
        .await
        .expect_status(200);
    made["linkUrl"].as_str().unwrap().to_owned()
}

const REDIRECT: &str = "http://127.0.0.1/app/linked";

/// Where the pictures of the pages go, to be looked at.
fn shots(name: &str) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("link-pages")
        .join(name);
    folder.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_point_is_claimed_charges_and_drops_off() {
    let live = Live::start().await;
    let only = json!({ "vendorType": "charger", "scopes": ["charger:read:data"] });
    let link_url = link_session(&live.api, "ann", only).await;
    let mut browser = Program::start(
        "link_pages.py",
        &[
            "--link-url",
            &link_url,
            "--redirect-uri",
            REDIRECT,
            "--flow",
            "ocpp",
            "--brand",
            "Wallbox",
            "--shots",
            &shots("ocpp"),
        ],
    );
    let shown = browser.json().await["instructions"].clone();
    let entry = |label: &str| {
        shown[label]
            .as_str()
            .unwrap_or_else(|| panic!("{shown}"))
            .to_owned()
    };
    let (id, password) = (entry("Charge point ID"), entry("Password"));
    let url = entry("Server address (URL)");

    let wrong = Program::start(
        "charge_point.py",
        &[
            "--url",
            &url,
            "--id",
            &id,
            "--password",
            "wrong-password-000",
            "bye",
        ],
    );
    let refused = tokio::spawn(wrong.finish()).await;
    assert!(refused.is_err(), "a wrong password was accepted");

    let mut station = Program::start(
        "charge_point.py",
        &[
            "--url",
            &url,
            "--id",
            &id,
            "--password",
            &password,
            "--listen-control",
        ],
    );
    station.json().await;
    let told = live
        .charger_becomes("found", |charger| charger["isReachable"] == true)
        .await;
    assert_eq!(told["vendor"], "WALLBOX");
    station.tell("wait TriggerMessage 3").await;
    station.tell("boot").await;
    station.tell("available").await;
    live.charger_becomes("unplugged", |charger| state(charger) == "UNPLUGGED")
        .await;
    // The page that waits for the charger has seen it, and the browser is back in the app.
    browser.finish().await;

    station.tell("preparing").await;
    live.charger_becomes("plugged in", |c| state(c) == "PLUGGED_IN:INITIALIZING")
        .await;
    station.tell("start").await;
    station.tell("meter 7.4 1.25").await;
    let charging = live
        .charger_becomes("charging", |charger| {
            charger["chargeState"]["chargeRate"] == 7.4
        })
        .await;
    assert_eq!(state(&charging), "PLUGGED_IN:CHARGING");
    assert_eq!(charging["chargeState"]["isCharging"], true);
    station.tell("suspend ev").await;
    let paused = live
        .charger_becomes("paused", |c| state(c) == "PLUGGED_IN:STOPPED")
        .await;
    assert_eq!(paused["chargeState"]["chargeRate"], Value::Null);
    station.tell("finish").await;
    station.tell("unplug").await;
    live.charger_becomes("unplugged again", |charger| state(charger) == "UNPLUGGED")
        .await;
    station.tell("drop").await;
    let gone = live
        .charger_becomes("dropped off", |charger| charger["isReachable"] == false)
        .await;
    assert_eq!(state(&gone), "UNPLUGGED", "data is kept, never blanked");
    station.tell("connect").await;
    let back = live
        .charger_becomes("back", |charger| charger["isReachable"] == true)
        .await;
    assert_eq!(back["id"], gone["id"]);
    assert!(back["lastSeen"].as_str() > gone["lastSeen"].as_str());
    station.finish().await;

    let log = live
        .api
        .get("/events?pageSize=500")
        .await
        .expect_status(200);
    let names: Vec<&str> = log["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["event"]["event"].as_str().unwrap())
        .collect();
    assert_eq!(names[0], "user:charger:discovered");
    assert!(
        names[1..]
            .iter()
            .all(|name| *name == "user:charger:updated"),
        "{names:?}"
    );
    live.server.shut_down().await.unwrap();
}

/// The charger of a user that was linked without a browser, and its station, which says who it is.
async fn plugged_station(live: &Live) -> (String, Program) {
    let scopes = json!(["charger:read:data", "charger:control:charging"]);
    let only = json!({ "vendorType": "charger", "scopes": scopes });
    let link_url = link_session(&live.api, "ann", only).await;
    let token = link_url.rsplit('/').next().unwrap();
    let engine = &live.server.engine;
    engine.link_consent(token).await.unwrap();
    engine.link_choose(token, "ocpp", "WALLBOX").await.unwrap();
    let step = engine.link_step(token, LinkInput::Begin).await.unwrap();
    let LinkStep::Instructions { rows } = step else {
        panic!("no instructions: {step:?}");
    };
    let row = |name: &str| {
        let mut rows = rows.iter();
        rows.find(|(label, _)| *label == name).unwrap().1.clone()
    };
    let (id, password) = (row("Charge point ID"), row("Password"));
    let mut station = Program::start(
        "charge_point.py",
        &[
            "--url",
            &row("Server address (URL)"),
            "--id",
            &id,
            "--password",
            &password,
            "--listen-control",
        ],
    );
    station.json().await;
    station.tell("wait TriggerMessage 3").await;
    station.tell("boot").await;
    station.tell("preparing").await;
    let charger = live
        .charger_becomes("plugged in", |c| state(c) == "PLUGGED_IN:INITIALIZING")
        .await;
    (charger["id"].as_str().unwrap().to_owned(), station)
}

/// Waits until an action of a charger is over.
async fn action_ends(live: &Live, action: &Value) -> Value {
    let path = format!("/chargers/actions/{}", action["id"].as_str().unwrap());
    let mut ended = Value::Null;
    eventually("the action is over", async || {
        ended = live.api.get(&path).await.expect_status(200);
        ended["state"] != "PENDING"
    })
    .await;
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_point_does_what_it_is_told() {
    let live = Live::start().await;
    let (charger, mut station) = plugged_station(&live).await;
    let tell = async |what: &str, body: Value| {
        let path = format!("/chargers/{charger}/{what}");
        live.api.post(&path, Some(body)).await.expect_status(200)
    };
    let confirmed = async |action: &Value| {
        let ended = action_ends(&live, action).await;
        assert_eq!(ended["state"], "CONFIRMED", "{ended:#}");
    };
    let start = tell("charging", json!({ "action": "START" })).await;
    let said = station.tell("wait RemoteStartTransaction").await;
    assert_eq!(said["status"], "Charging", "{said}");
    confirmed(&start).await;

    let limit = tell("max-current", json!({ "maxCurrent": 13 })).await;
    let said = station.tell("wait SetChargingProfile").await;
    assert_eq!(said["limit"], 13.0);
    confirmed(&limit).await;
    let told = live
        .charger_becomes("limited", |c| c["chargeState"]["maxCurrent"] == 13.0)
        .await;
    assert_eq!(state(&told), "PLUGGED_IN:CHARGING");

    let stop = tell("charging", json!({ "action": "STOP" })).await;
    let said = station.tell("wait RemoteStopTransaction").await;
    assert_eq!(said["transaction"], Value::Null, "{said}");
    confirmed(&stop).await;
    live.charger_becomes("stopped", |c| state(c) == "PLUGGED_IN:STOPPED")
        .await;

    // It rejects what it cannot do, and then is gone: the action waits for it, and can be withdrawn.
    station.tell("start").await;
    live.charger_becomes("charging", |c| state(c) == "PLUGGED_IN:CHARGING")
        .await;
    station.tell("drop").await;
    live.charger_becomes("dropped off", |c| c["isReachable"] == false)
        .await;
    let stop = tell("charging", json!({ "action": "STOP" })).await;
    let path = format!("/chargers/actions/{}", stop["id"].as_str().unwrap());
    assert_eq!(
        live.api.get(&path).await.expect_status(200)["state"],
        "PENDING"
    );
    let cancelled = live.api.post(&format!("{path}/cancel"), None).await;
    assert_eq!(cancelled.expect_status(200)["state"], "CANCELLED");
    station.tell("connect").await;
    live.charger_becomes("back", |c| c["isReachable"] == true)
        .await;
    station.finish().await;
    live.server.shut_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_links_accounts_in_a_browser() {
    let world = World::new().await;
    let spec = || AccountSpec::default();
    let volta = world.sandbox.create_account(Cloud::Volta, spec()).unwrap();
    let helios = world.sandbox.create_account(Cloud::Helios, spec()).unwrap();
    for (flow, brand, account, extra) in [
        ("oauth", Some("Tesla"), &volta, json!({})),
        (
            "form",
            None,
            &helios,
            json!({ "vendor": "SOLAREDGE", "colorScheme": "dark" }),
        ),
    ] {
        let link_url = link_session(&world.api, "ann", extra).await;
        let shots = shots(flow);
        let mut arguments = vec![
            "--link-url",
            &link_url,
            "--redirect-uri",
            REDIRECT,
            "--flow",
            flow,
            "--email",
            &account.username,
            "--password",
            &account.password,
            "--shots",
            &shots,
            "--mistype",
        ];
        if let Some(brand) = brand {
            arguments.extend(["--brand", brand]);
        }
        Program::start("link_pages.py", &arguments).finish().await;
    }
    let user = world.api.get("/users/ann").await.expect_status(200);
    let linked = user["linkedVendors"].as_array().unwrap();
    assert_eq!(linked.len(), 7, "{linked:#?}");
    assert!(
        !world.api.all("vehicles").await.is_empty(),
        "listed right after linking"
    );

    let link_url = link_session(&world.api, "ann", json!({})).await;
    let shots = shots("cancel");
    let arguments = [
        "--link-url",
        &link_url,
        "--redirect-uri",
        REDIRECT,
        "--flow",
        "cancel",
        "--shots",
        &shots,
    ];
    Program::start("link_pages.py", &arguments).finish().await;
    world.shut_down().await;
}
