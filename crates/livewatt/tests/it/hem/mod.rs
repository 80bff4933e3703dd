//! HEM systems: found, seen and gone with their devices, against the counters and the record of the
//! sandbox's cloud.

mod life;
mod statistics;
mod today;

use livewatt_domain::SignedDuration;
use livewatt_sandbox::{AccountInfo, AccountSpec, Cloud, FaultKind, FaultSpec};
use serde_json::Value;

use crate::support::World;

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

/// In a town whose people stay at home.
fn in_town(town: &str) -> AccountSpec {
    AccountSpec {
        town: Some(town.into()),
        habits: Some(false),
        ..AccountSpec::default()
    }
}

/// A world with one linked site.
struct Story {
    world: World,
    account: AccountInfo,
}

impl Story {
    async fn begin(start: &str, town: &str) -> Self {
        let world = World::starting_at(start, |_| {}).await;
        world.subscribe().await;
        let account = world.link("ann", Cloud::Helios, in_town(town)).await;
        Self { world, account }
    }

    /// The only system there is.
    async fn system(&self) -> Value {
        let mut systems = self.world.api.all("hem-systems").await;
        assert_eq!(systems.len(), 1, "{systems:?}");
        systems.remove(0)
    }

    async fn today(&self) -> Value {
        self.system().await["status"]["energy"]["today"].clone()
    }

    /// The device of a kind, given by its plural.
    async fn device(&self, plural: &str) -> Value {
        let mut devices = self.world.api.all(plural).await;
        assert_eq!(devices.len(), 1, "{plural}");
        devices.remove(0)
    }

    /// Bodies of the events about systems so far.
    async fn events(&self) -> Vec<Value> {
        let log = self.world.api.log().await.into_iter();
        log.filter(|event| {
            event["event"]
                .as_str()
                .unwrap()
                .starts_with("user:hem-system:")
        })
        .collect()
    }

    async fn event_names(&self) -> Vec<String> {
        let events = self.events().await.into_iter();
        let name = |event: Value| event["event"].as_str().unwrap().to_owned();
        events.map(name).collect()
    }

    /// Fetches at the end of the next step, whatever is due.
    async fn fetch(&self) {
        let meter = self.device("meters").await;
        let path = format!("/meters/{}/refresh-hint", meter["id"].as_str().unwrap());
        self.world.api.post(&path, None).await.expect_status(204);
        self.world.step().await;
    }

    /// What the devices counted in all their life, kWh.
    fn counters(&self) -> Counters {
        let sandbox = &self.world.sandbox;
        let truth = sandbox.truth(Some(Cloud::Helios), Some(&self.account.id));
        let truth = truth.unwrap();
        let devices = truth["accounts"][0]["devices"].as_array().unwrap();
        let of = |kind: &str, field: &str| {
            let device = devices.iter().find(|device| device["kind"] == kind);
            device.unwrap()["state"][field].as_f64().unwrap()
        };
        Counters {
            generation: of("inverter", "total_kwh"),
            import: of("meter", "import_kwh"),
            export: of("meter", "export_kwh"),
            charge: of("battery", "charged_kwh"),
            discharge: of("battery", "discharged_kwh"),
        }
    }

    /// The device that the sandbox has of a kind.
    fn sandbox_device(&self, kind: &str) -> String {
        let device = self
            .account
            .devices
            .iter()
            .find(|device| device.kind == kind);
        device.unwrap().id.clone()
    }

    /// Calls to the cloud at an endpoint.
    fn calls(&self, endpoint: &str) -> i64 {
        let sandbox = &self.world.sandbox;
        let truth = sandbox.truth(Some(Cloud::Helios), Some(&self.account.id));
        let calls = &truth.unwrap()["accounts"][0]["stats"]["calls"];
        calls[endpoint].as_i64().unwrap_or(0)
    }

    /// What is told of an interval: status, type of the content, body.
    async fn ask(&self, interval: &str) -> (u16, String, Value) {
        let system = self.system().await;
        let id = system["id"].as_str().unwrap();
        let path = format!("/hem-systems/{id}/statistics?interval={interval}");
        let answer = self.world.api.get(&path).await;
        let content = answer.headers["content-type"].to_str().unwrap().to_owned();
        (answer.status.as_u16(), content, answer.body)
    }

    /// A series of an interval.
    async fn series(&self, interval: &str, name: &str) -> Value {
        let (status, _, told) = self.ask(interval).await;
        assert_eq!(status, 200, "{told}");
        told["timeseries"][name].clone()
    }

    /// What the cloud has on record, kWh.
    async fn record(&self, interval: &str, key: &str) -> Vec<Option<f64>> {
        let sandbox = &self.world.sandbox;
        let token = sandbox.grant_tokens(Cloud::Helios, &self.account.id, None);
        let of = if interval.len() > 7 { "day" } else { "month" };
        let (base, site) = (sandbox.base_url(), &self.account.sites[0]);
        let url = format!("{base}/helios/api/sites/{site}/flows?{of}={interval}");
        let answer = reqwest::Client::new()
            .get(url)
            .bearer_auth(token.unwrap().access_token);
        let record: Value = answer.send().await.unwrap().json().await.unwrap();
        let wh = record[key].as_array().unwrap().iter();
        wh.map(|wh| wh.as_str().map(|wh| wh.parse::<f64>().unwrap() / 1000.0))
            .collect()
    }

    /// A fault of the cloud, at one endpoint if given.
    async fn fault(&self, kind: FaultKind, endpoint: Option<&str>) -> String {
        let spec = match endpoint {
            Some(endpoint) => FaultSpec::new(kind).endpoints(&[endpoint]),
            None => FaultSpec::new(kind),
        };
        let fault = self.world.sandbox.add_fault(Cloud::Helios, spec).await;
        fault.unwrap().id
    }
}

#[derive(Debug, Clone, Copy)]
struct Counters {
    generation: f64,
    import: f64,
    export: f64,
    charge: f64,
    discharge: f64,
}

impl Counters {
    fn since(self, before: Self) -> [(&'static str, f64); 6] {
        let generation = self.generation - before.generation;
        let import = self.import - before.import;
        let export = self.export - before.export;
        let charge = self.charge - before.charge;
        let discharge = self.discharge - before.discharge;
        [
            ("generation", generation),
            ("import", import),
            ("export", export),
            ("charge", charge),
            ("discharge", discharge),
            (
                "consumption",
                generation + import + discharge - export - charge,
            ),
        ]
    }
}
