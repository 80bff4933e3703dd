//! Actions: what devices are told, what clouds make of it, and what callers learn.

mod outcomes;
mod refusals;
mod restarts;

use livewatt_domain::SignedDuration;
use livewatt_sandbox::{AccountInfo, Cloud, DevicePatch, FaultKind, FaultSpec};
use serde_json::{Value, json};

use crate::support::{STEP, World, still};

/// Longest that an action of these clouds may take.
pub const WINDOW: SignedDuration = SignedDuration::from_mins(30);

pub fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

pub fn seconds(count: i64) -> SignedDuration {
    SignedDuration::from_secs(count)
}

/// A device as the API names it.
pub struct Asset<'w> {
    world: &'w World,
    pub plural: &'static str,
    pub id: String,
}

impl<'w> Asset<'w> {
    /// The only device of a kind.
    pub async fn only(world: &'w World, plural: &'static str) -> Self {
        let all = world.api.all(plural).await;
        assert_eq!(all.len(), 1, "{plural}");
        let id = all[0]["id"].as_str().unwrap().to_owned();
        Self { world, plural, id }
    }

    pub async fn get(&self) -> Value {
        let path = format!("/{}/{}", self.plural, self.id);
        self.world.api.get(&path).await.expect_status(200)
    }

    /// Tells it something.
    pub async fn tell(&self, what: &str, body: Value) -> Value {
        self.try_to_tell(what, body).await.expect_status(200)
    }

    pub async fn try_to_tell(&self, what: &str, body: Value) -> crate::support::http::Answer {
        let path = format!("/{}/{}/{what}", self.plural, self.id);
        let body = (!body.is_null()).then_some(body);
        self.world.api.post(&path, body).await
    }

    pub async fn start(&self) -> Value {
        self.tell("charging", json!({ "action": "START" })).await
    }

    pub async fn stop(&self) -> Value {
        self.tell("charging", json!({ "action": "STOP" })).await
    }

    /// An action of it as it is now.
    async fn action(&self, action: &Value) -> Value {
        let path = self.action_path(action);
        self.world.api.get(&path).await.expect_status(200)
    }

    fn action_path(&self, action: &Value) -> String {
        format!(
            "/{}/actions/{}",
            self.plural,
            action["id"].as_str().unwrap()
        )
    }

    async fn cancel(&self, action: &Value) -> crate::support::http::Answer {
        let path = format!("{}/cancel", self.action_path(action));
        self.world.api.post(&path, None).await
    }

    /// Lets time go by until an action is over; how long that took.
    async fn settled(&self, action: &Value, within: SignedDuration) -> (Value, SignedDuration) {
        let began = self.world.now();
        loop {
            let now = self.action(action).await;
            let took = self.world.now().duration_since(began);
            if now["state"] != "PENDING" {
                return (now, took);
            }
            assert!(took < within, "still {now:#} after {took:?}");
            self.world.step().await;
        }
    }

    /// Lets time go by until an action has come true.
    pub async fn confirmed(&self, action: &Value, within: SignedDuration) -> SignedDuration {
        assert_eq!(action["state"], "PENDING", "{action:#}");
        assert_eq!(action["completedAt"], Value::Null);
        assert_eq!(action["targetId"], self.id);
        let (ended, took) = self.settled(action, within).await;
        assert_eq!(ended["state"], "CONFIRMED", "{ended:#}");
        assert_eq!(ended["failureReason"], Value::Null);
        assert!(ended["completedAt"].is_string());
        assert!(ended["updatedAt"].as_str() > ended["createdAt"].as_str());
        took
    }

    /// How power flows to or from it.
    pub async fn power(&self) -> String {
        let device = self.get().await;
        let state = &device["chargeState"]["powerDeliveryState"];
        state.as_str().unwrap().to_owned()
    }
}

/// What a cloud was told so far for an account.
pub fn commands(world: &World, account: &AccountInfo) -> u64 {
    calls(world, account, "command")
}

fn calls(world: &World, account: &AccountInfo, endpoint: &str) -> u64 {
    let truth = world.sandbox.truth(Some(account.cloud), Some(&account.id));
    let stats = truth.unwrap()["accounts"][0]["stats"].clone();
    stats["calls"][endpoint].as_u64().unwrap_or(0)
}

/// The sandbox's device of a kind.
pub fn of_kind<'a>(account: &'a AccountInfo, kind: &str) -> &'a str {
    let mut devices = account.devices.iter();
    &devices.find(|device| device.kind == kind).unwrap().id
}

/// Has a car be plugged in with a battery that has room, and lets it begin to charge.
pub async fn charge(world: &World, device: &str) {
    let patch = DevicePatch {
        plugged: Some(true),
        level_percent: Some(30.0),
        ..DevicePatch::default()
    };
    world.sandbox.patch_device(device, &patch).await.unwrap();
    world.advance(minutes(8)).await;
}

pub async fn fault(world: &World, cloud: Cloud, kind: FaultKind) {
    let spec = FaultSpec::new(kind);
    world.sandbox.add_fault(cloud, spec).await.unwrap();
}

/// A world with one account whose car charges.
pub async fn charging(cloud: Cloud) -> (World, AccountInfo) {
    let world = World::new().await;
    let account = world.link("ann", cloud, still()).await;
    let kind = if cloud == Cloud::Helios {
        "charger"
    } else {
        "vehicle"
    };
    charge(&world, of_kind(&account, kind)).await;
    (world, account)
}

/// Links an account of volta for ann, who grants these scopes alone.
pub async fn link_with(world: &World, account: &AccountInfo, scopes: &[&str]) {
    let body = json!({
        "scopes": scopes,
        "language": "en-US",
        "redirectUri": "https://app.example/done",
    });
    let started = world.api.post("/users/ann/link", Some(body)).await;
    let started = started.expect_status(200);
    let known = livewatt::demo::link::SandboxAccount {
        integration: "volta",
        vendor: "TESLA",
        username: account.username.clone(),
        password: account.password.clone(),
    };
    let token = started["linkToken"].as_str().unwrap();
    livewatt::demo::link::walk(world.engine(), token, &known)
        .await
        .unwrap();
}

/// What was told of actions, in order: state and updated fields.
fn told(world: &World) -> Vec<(String, Value)> {
    let events = world.receiver.events();
    let of_actions = events
        .iter()
        .filter(|event| event["event"] == "user:vendor-action:updated");
    let told = |event: &Value| {
        let state = event["vendorAction"]["state"].as_str().unwrap().to_owned();
        (state, event["updatedFields"].clone())
    };
    of_actions.map(told).collect()
}

/// Every cloud stops and starts, and nothing is believed but what the device shows.
#[tokio::test(flavor = "multi_thread")]
async fn charging_is_stopped_and_started() {
    for (cloud, kinds) in [
        (Cloud::Volta, vec!["vehicles", "chargers"]),
        (Cloud::Rivoli, vec!["vehicles"]),
        (Cloud::Helios, vec!["chargers"]),
    ] {
        let (world, account) = charging(cloud).await;
        world.subscribe().await;
        // Rivoli obeys after three quarters of a minute; helios after a quarter, and its charger then
        // shows no power until the car has begun; volta at once.
        let slowest = match cloud {
            Cloud::Volta => minutes(1),
            Cloud::Helios => minutes(2),
            Cloud::Rivoli => minutes(3),
        };
        for plural in kinds {
            let asset = Asset::only(&world, plural).await;
            assert_eq!(
                asset.power().await,
                "PLUGGED_IN:CHARGING",
                "{cloud:?} {plural}"
            );
            let before = commands(&world, &account);
            world.receiver.clear();
            let stop = asset.stop().await;
            assert_eq!(stop["kind"], "STOP");
            asset.confirmed(&stop, slowest).await;
            assert_eq!(asset.power().await, "PLUGGED_IN:STOPPED");
            let start = asset.start().await;
            assert_ne!(start["id"], stop["id"]);
            asset.confirmed(&start, slowest).await;
            assert_eq!(asset.power().await, "PLUGGED_IN:CHARGING");
            assert_eq!(commands(&world, &account) - before, 2, "{cloud:?} {plural}");
            world.advance(STEP).await;
            let told = told(&world);
            let states: Vec<&str> = told.iter().map(|(state, _)| state.as_str()).collect();
            assert_eq!(states, ["PENDING", "CONFIRMED", "PENDING", "CONFIRMED"]);
            let ending = json!(["updatedAt", "completedAt", "state"]);
            assert_eq!(told[1].1, ending);
            assert!(told[0].1.as_array().unwrap().contains(&json!("kind")));
        }
        world.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn currents_are_limited() {
    for (cloud, kinds) in [
        (Cloud::Volta, vec!["vehicles", "chargers"]),
        (Cloud::Rivoli, vec!["vehicles"]),
        (Cloud::Helios, vec!["chargers"]),
    ] {
        let world = World::new().await;
        let account = world.link("ann", cloud, still()).await;
        world.advance(minutes(1)).await;
        for plural in kinds {
            let asset = Asset::only(&world, plural).await;
            let action = asset
                .tell("max-current", json!({ "maxCurrent": 9.6 }))
                .await;
            assert_eq!(action["targetState"], json!({ "maxCurrent": 9.6 }));
            asset.confirmed(&action, minutes(3)).await;
            assert_eq!(asset.get().await["chargeState"]["maxCurrent"], 10.0);
        }
        assert!(commands(&world, &account) <= 2);
        world.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heat_pump_holds_and_follows_its_program() {
    let world = World::new().await;
    world.link("ann", Cloud::Helios, still()).await;
    world.advance(minutes(1)).await;
    let unit = Asset::only(&world, "hvacs").await;
    for (hold, mode, heat, cool) in [
        (
            json!({ "mode": "HEAT", "heatSetpoint": 22.5 }),
            "HEAT",
            22.5,
            25.0,
        ),
        (
            json!({ "mode": "HEAT", "heatSetpoint": 27.0 }),
            "HEAT",
            27.0,
            28.0,
        ),
        (
            json!({ "mode": "COOL", "coolSetpoint": 19.0 }),
            "COOL",
            18.0,
            19.0,
        ),
        (
            json!({ "mode": "AUTO", "heatSetpoint": 19.0, "coolSetpoint": 24.0 }),
            "AUTO",
            19.0,
            24.0,
        ),
        (json!({ "mode": "OFF" }), "OFF", 19.0, 24.0),
    ] {
        let action = unit.tell("permanent-hold", hold.clone()).await;
        assert_eq!(action["target"]["holdType"], "PERMANENT");
        assert_eq!(action["target"]["mode"], mode);
        unit.confirmed(&action, minutes(2)).await;
        let state = unit.get().await["thermostatState"].clone();
        assert_eq!(state["mode"], mode);
        assert_eq!(state["holdType"], "PERMANENT");
        assert_eq!(state["heatSetpoint"], heat, "{hold}");
        assert_eq!(state["coolSetpoint"], cool, "{hold}");
    }
    let action = unit.tell("follow-schedule", Value::Null).await;
    assert_eq!(action["target"], json!({ "holdType": "SCHEDULED" }));
    unit.confirmed(&action, minutes(2)).await;
    let state = unit.get().await["thermostatState"].clone();
    assert_eq!(
        (&state["holdType"], &state["mode"]),
        (&json!("SCHEDULED"), &json!("AUTO"))
    );
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_battery_pursues_what_it_is_told() {
    let world = World::new().await;
    world.link("ann", Cloud::Helios, still()).await;
    world.advance(minutes(1)).await;
    let battery = Asset::only(&world, "batteries").await;
    for mode in ["IMPORT_FOCUS", "IDLE", "SELF_RELIANCE"] {
        let wish = json!({ "operationMode": mode });
        let action = battery.tell("operation-mode", wish.clone()).await;
        assert_eq!(action["targetState"], wish);
        battery.confirmed(&action, minutes(2)).await;
        assert_eq!(battery.get().await["config"]["operationMode"], mode);
    }
    world.shut_down().await;
}
