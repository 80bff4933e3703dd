//! A world in which every operation of the contract can be called, and how each is called.

use std::{cell::Cell, collections::BTreeMap};

use livewatt::demo::link::{SandboxAccount, walk};
use livewatt_domain::{SignedDuration, intervention::CONSENT};
use livewatt_sandbox::{Cloud, DevicePatch};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{World, contract, integration, still, vendor};

/// A request.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: Method,
    pub path: String,
    pub body: Option<Value>,
}

pub struct Stage {
    pub world: World,
    /// What the variables of paths stand for, unless an operation needs its own.
    ids: BTreeMap<&'static str, String>,
    /// The same of devices that may only be looked at.
    pub only_seen: BTreeMap<&'static str, String>,
    made: Cell<u32>,
}

/// Variables of paths that are devices, and where they are listed.
const DEVICES: [(&str, &str); 6] = [
    ("vehicleId", "vehicles"),
    ("chargerId", "chargers"),
    ("hvacId", "hvacs"),
    ("inverterId", "inverters"),
    ("batteryId", "batteries"),
    ("meterId", "meters"),
];

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

impl Stage {
    pub async fn set() -> Self {
        let world = World::new().await;
        for cloud in [Cloud::Volta, Cloud::Helios] {
            world.link("ann", cloud, still()).await;
            link_to_look(&world, "eve", cloud).await;
        }
        world.link("bob", Cloud::Rivoli, still()).await;
        world.link("cut-off", Cloud::Rivoli, still()).await;
        world.advance(minutes(1)).await;
        // What stands at home unplugged can neither be started nor stopped.
        for account in world.sandbox.accounts(None) {
            for device in account.devices {
                if matches!(device.kind.as_str(), "vehicle" | "charger") {
                    world.plug(&device.id, true).await;
                }
            }
        }
        world.advance(minutes(8)).await;
        let cut_off = world.api.delete("/users/cut-off/authorization").await;
        cut_off.expect_status(204);
        let mut ids = BTreeMap::from([
            ("userId", "ann".to_owned()),
            ("tariffId", "home".to_owned()),
            ("interventionId", CONSENT.to_string()),
            ("smartChargingPlanId", "latest".to_owned()),
            ("assetId", newest(&world, "cut-off", "vehicles").await),
            ("webhookId", world.subscribe().await),
        ]);
        let mut only_seen = BTreeMap::new();
        for (variable, plural) in DEVICES {
            ids.insert(variable, newest(&world, "ann", plural).await);
            only_seen.insert(variable, newest(&world, "eve", plural).await);
        }
        let systems = world.api.get("/users/ann/hem-systems").await;
        let system = &systems.expect_status(200)["data"][0]["id"];
        ids.insert("hemSystemId", text(system));
        let stage = Self {
            world,
            ids,
            only_seen,
            made: Cell::new(0),
        };
        furnish(&stage.world, &stage.ids["vehicleId"]).await;
        stage
    }

    /// A name that was not used before.
    fn new_name(&self, of: &str) -> String {
        self.made.set(self.made.get() + 1);
        format!("{of}-{}", self.made.get())
    }

    /// A user of their own, with an account.
    async fn new_user(&self, cloud: Cloud) -> String {
        let user = self.new_name("user");
        self.world.link(&user, cloud, still()).await;
        user
    }

    /// How an operation of the contract is called so that it succeeds. What it destroys, or needs to
    /// be there, is made for it.
    pub async fn call_for(&self, operation: &Value) -> Call {
        let id = operation["operationId"].as_str().unwrap();
        let mut ids = self.ids.clone();
        let mut path = operation["path"].as_str().unwrap().to_owned();
        if path.contains("{locationId}") {
            ids.insert("locationId", self.new_location().await);
        }
        if path.contains("{scheduleId}") {
            ids.insert("scheduleId", self.new_schedule().await);
        }
        if path.contains("{actionId}") {
            ids.insert("actionId", self.new_action(&path).await);
        }
        match id {
            "deleteUsersUserid" | "deleteUsersUseridAuthorization" => {
                ids.insert("userId", self.new_user(Cloud::Rivoli).await);
            }
            "disconnectUserVendor" | "disconnectUserVendorVendorType" => {
                ids.insert("userId", self.new_user(Cloud::Volta).await);
                ids.insert("vendor", "TESLA".to_owned());
                ids.insert("vendorType", "charger".to_owned());
            }
            "deleteWebhook" => {
                ids.insert("webhookId", self.new_webhook().await);
            }
            "getUserLocationTariff" => {
                let location = &ids["locationId"];
                let path = format!("/locations/{location}/tariff");
                let body = Some(body_of("LocationTariffInterval"));
                let put = self.world.api.call(Method::PUT, &path, body).await;
                put.expect_status(204);
            }
            "vehicleEndSmartOverride" => {
                let path = format!("/vehicles/{}/smart-override", ids["vehicleId"]);
                self.world.api.post(&path, None).await.expect_status(200);
            }
            "getVehiclesVehicleidSmartchargingplans" => {
                begin_plan(&self.world, &ids["vehicleId"]).await;
            }
            _ => {}
        }
        for (variable, value) in &ids {
            path = path.replace(&format!("{{{variable}}}"), value);
        }
        assert!(
            !path.contains('{'),
            "{id}: {path}: say here what it stands for"
        );
        let schema = operation["requestBody"]["schema"].as_str();
        let body = schema.map(|path| self.body_for(path.rsplit('/').next().unwrap()));
        Call {
            method: operation["method"].as_str().unwrap().parse().unwrap(),
            path: path + &query_of(operation),
            body,
        }
    }

    /// What an operation is sent; some of it must not have been there before, or be of one's own.
    fn body_for(&self, schema: &str) -> Value {
        let mut body = body_of(schema);
        match schema {
            "WebhookCreatePayload" => {
                let url = format!(
                    "{}?{}",
                    self.world.receiver.any_url(),
                    self.new_name("hook")
                );
                body["url"] = url.into();
            }
            "Schedule" => body["targetId"] = self.ids["chargerId"].clone().into(),
            _ => {}
        }
        body
    }

    async fn new_location(&self) -> String {
        let body = Some(body_of("LocationPayload"));
        let made = self.world.api.post("/users/ann/locations", body).await;
        text(&made.expect_status(200)["id"])
    }

    async fn new_webhook(&self) -> String {
        let body = Some(self.body_for("WebhookCreatePayload"));
        let made = self.world.api.post("/webhooks", body).await;
        text(&made.expect_status(200)["id"])
    }

    async fn new_schedule(&self) -> String {
        // A device has one enabled schedule, which is made by the operation itself.
        let mut body = self.body_for("Schedule");
        body["isEnabled"] = false.into();
        let made = self.world.api.post("/users/ann/schedules", Some(body));
        let made = made.await;
        text(&made.expect_status(200)["id"])
    }

    /// An action of the kind whose operations begin like this path.
    async fn new_action(&self, path: &str) -> String {
        let (plural, variable, what, schema) = match path.split('/').nth(1).unwrap() {
            "vehicles" => ("vehicles", "vehicleId", "max-current", "TargetMaxCurrent"),
            "chargers" => ("chargers", "chargerId", "max-current", "TargetMaxCurrent"),
            "hvacs" => (
                "hvacs",
                "hvacId",
                "permanent-hold",
                "HVACSetPermanentHoldPayload",
            ),
            "batteries" => (
                "batteries",
                "batteryId",
                "operation-mode",
                "SetBatteryOperationModePayload",
            ),
            other => panic!("{other} have no actions"),
        };
        let path = format!("/{plural}/{}/{what}", self.ids[variable]);
        let made = self.world.api.post(&path, Some(body_of(schema))).await;
        text(&made.expect_status(200)["id"])
    }
}

/// The newest device of a kind that a user has.
async fn newest(world: &World, user: &str, plural: &str) -> String {
    let page = world.api.get(&format!("/users/{user}/{plural}")).await;
    text(&page.expect_status(200)["data"][0]["id"])
}

/// Links an account for somebody who lets it be looked at only.
async fn link_to_look(world: &World, user: &str, cloud: Cloud) {
    let account = world.sandbox.create_account(cloud, still()).unwrap();
    let kinds = DEVICES.map(|(variable, _)| variable.strip_suffix("Id").unwrap());
    let scopes = kinds.map(|kind| format!("{kind}:read:data"));
    let body = json!({
        "scopes": scopes, "language": "en-US", "redirectUri": "https://app.example/done",
    });
    let started = world
        .api
        .post(&format!("/users/{user}/link"), Some(body))
        .await;
    let known = SandboxAccount {
        integration: integration(cloud),
        vendor: vendor(cloud),
        username: account.username,
        password: account.password,
    };
    let token = text(&started.expect_status(200)["linkToken"]);
    walk(world.engine(), &token, &known).await.unwrap();
}

/// Ann's home, where her car is, and a tariff with cheap nights.
pub async fn furnish(world: &World, vehicle: &str) {
    let api = &world.api;
    let vehicle = api.get(&format!("/vehicles/{vehicle}")).await;
    let vehicle = vehicle.expect_status(200);
    let place = json!({
        "name": "Home", "timezoneName": "Europe/Amsterdam",
        "latitude": vehicle["location"]["latitude"],
        "longitude": vehicle["location"]["longitude"],
    });
    let made = api.post("/users/ann/locations", Some(place)).await;
    let home = text(&made.expect_status(200)["id"]);
    let rates = Some(body_of("Tariff"));
    api.call(Method::PUT, "/tariffs/home", rates)
        .await
        .expect_status(204);
    let path = format!("/locations/{home}/tariff");
    let intervals = Some(body_of("LocationTariffInterval"));
    api.call(Method::PUT, &path, intervals)
        .await
        .expect_status(204);
    world.advance(minutes(1)).await;
}

/// Has the car charge by day, which smart charging puts off until night.
pub async fn begin_plan(world: &World, vehicle: &str) {
    let path = format!("/vehicles/{vehicle}");
    let shown = world.api.get(&path).await.expect_status(200);
    let patch = DevicePatch {
        plugged: Some(true),
        charging: Some(true),
        level_percent: Some(40.0),
        ..DevicePatch::default()
    };
    let vin = text(&shown["information"]["vin"]);
    world.sandbox.patch_device(&vin, &patch).await.unwrap();
    world.advance(minutes(8)).await;
    let path = format!("{path}/smart-charging-policy");
    let body = Some(body_of("PartialVehicleSmartChargingPolicy"));
    let put = world.api.call(Method::PUT, &path, body).await;
    put.expect_status(200);
    world.advance(minutes(10)).await;
}

/// The query without which an operation refuses everybody.
fn query_of(operation: &Value) -> String {
    let all = operation["parameters"].as_array().unwrap();
    let needed = all
        .iter()
        .filter(|one| one["in"] == "query" && one["required"] == true);
    let pairs: Vec<String> = needed
        .map(|one| {
            let name = one["name"].as_str().unwrap();
            let value = match name {
                "startDate" => "2026-03-01T00:00:00Z",
                "type" => "vehicle",
                "year" => "2026",
                "month" => "3",
                "interval" => "2026-03-02",
                other => panic!("what would {other} be? Say so here"),
            };
            format!("{name}={value}")
        })
        .collect();
    match pairs.is_empty() {
        true => String::new(),
        false => format!("?{}", pairs.join("&")),
    }
}

/// A body that is right, by the name of its schema.
pub fn body_of(schema: &str) -> Value {
    let body = match schema {
        "LinkUserPayload" => json!({
            "scopes": ["vehicle:read:data"], "language": "en-US", "redirectUri": "app://done",
        }),
        "RelinkUserPayload" => json!({ "language": "en-US", "redirectUri": "app://done" }),
        "WebhookCreatePayload" => json!({
            "url": "https://a.example/hook", "secret": "a secret", "apiVersion": "2024-10-01",
        }),
        "WebhookUpdatePayload" => json!({ "events": ["*"] }),
        "ChargerUpdatePayload" | "HvacUpdatePayload" => json!({ "locationId": null }),
        "LocationPayload" => json!({ "name": "Cabin", "latitude": 61.5, "longitude": 8.5 }),
        "PartialLocation" => json!({ "name": "Mine" }),
        "Tariff" => json!([{ "name": "day", "cost": "0.4" }, { "name": "night", "cost": "0.1" }]),
        "LocationTariffInterval" => json!({ "tariffId": "home", "tariffIntervals": [
            { "name": "day", "from": "06:00", "to": "22:00" },
            { "name": "night", "from": "22:00", "to": "24:00" },
            { "name": "night", "from": "00:00", "to": "06:00" },
        ]}),
        "ControlChargingPayload" => json!({ "action": "STOP" }),
        "TargetMaxCurrent" => json!({ "maxCurrent": 8 }),
        "HVACSetPermanentHoldPayload" => json!({ "mode": "OFF" }),
        "SetBatteryOperationModePayload" => json!({ "operationMode": "IDLE" }),
        "Schedule" => json!({
            "targetType": "charger", "targetId": "somebody's", "locationId": null,
            "defaultShouldCharge": true,
            "rules": [{
                "shouldCharge": false, "weekdays": [0, 1, 2, 3, 4, 5, 6],
                "hourMinute": { "from": "10:00", "to": "12:00" },
            }],
        }),
        "PartialSchedule" => json!({ "targetType": "charger", "defaultShouldCharge": true }),
        "PartialVehicleSmartChargingPolicy" => json!({
            "isEnabled": true, "deadline": "06:30", "minimumChargeLimit": 20,
        }),
        other => panic!("what would a {other} be? Say so here"),
    };
    // What is sent is of the contract's form, like what comes back.
    contract::check_schema(schema, &body);
    body
}
