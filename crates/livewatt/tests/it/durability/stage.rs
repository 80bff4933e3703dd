//! What lives on while the server dies: vendor clouds, the front, receivers and people.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use livewatt_domain::entropy::{Entropy as _, SeededEntropy};
use livewatt_sandbox::{
    AccountInfo, AccountSpec, Cloud, DevicePatch, FaultKind, FaultSpec, Sandbox, SandboxConfig,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use super::{
    front::Front,
    person::Person,
    program::Program,
    records::{Records, is_true, taken_once},
};
use crate::support::{
    http::Api,
    loopback,
    receiver::{Receiver, SECRET},
    vendor,
};

/// Virtual seconds per second: four minutes of fleet time.
const SPEED: f64 = 240.0;
/// Longest wait until the API shows the truth.
const SETTLING: Duration = Duration::from_secs(60);

/// What lives on while the server dies.
pub struct Stage {
    pub directory: TempDir,
    pub sandbox: Arc<Sandbox>,
    pub front: Front,
    pub receiver: Receiver,
    /// Another receiver, which fails now and then.
    pub failing: Receiver,
    pub client: (String, String),
    pub random: SeededEntropy,
    /// Users with the account each is to have.
    pub people: Vec<(String, AccountInfo)>,
    /// Links broken off, relinked and refreshed under fire.
    pub links_cut: usize,
    /// Where the server's database is; `None` if it is that of its directory.
    pub database: Option<String>,
}

impl Stage {
    /// Everything that lives on, and a server that was started once, with its accounts linked.
    pub async fn set(seed: u64) -> Self {
        Self::set_on(None, seed).await
    }

    /// The same with the server on a database of its own.
    pub async fn set_on(database: Option<String>, seed: u64) -> Self {
        let config = SandboxConfig {
            seed,
            speed: SPEED,
            ..SandboxConfig::default()
        };
        let mut stage = Self {
            directory: TempDir::new().unwrap(),
            sandbox: Arc::new(Sandbox::start(config, loopback().await)),
            front: Front::start(loopback().await),
            receiver: Receiver::start(loopback().await),
            failing: Receiver::start(loopback().await),
            client: Default::default(),
            random: SeededEntropy::new(seed),
            people: Vec::new(),
            links_cut: 0,
            database,
        };
        let mut program = stage.start();
        let said = program.ready().await;
        stage.client = (said[1].clone(), said[2].clone());
        let api = stage.enter(said.last().unwrap()).await;
        for receiver in [&stage.receiver, &stage.failing] {
            let webhook = json!({ "url": receiver.url, "secret": SECRET });
            let made = api.post("/webhooks", Some(webhook)).await;
            made.expect_status(200);
        }
        for (user, cloud) in [
            ("pushed", Cloud::Volta),
            ("push-only", Cloud::Volta),
            ("refreshed", Cloud::Volta),
            ("polled", Cloud::Rivoli),
            ("house", Cloud::Helios),
        ] {
            let account = stage.account(cloud, 3);
            stage.link(&api, user, &account).await.unwrap();
            stage.people.push((user.to_owned(), account));
        }
        stage.keep_unread().await;
        stage.front.leads_to(None);
        program.kill().await;
        stage
    }

    /// Reads of one account fail from now on: what is known of it came by pushes.
    async fn keep_unread(&self) {
        let account = self.people[1].1.id.clone();
        let unread = FaultSpec::new(FaultKind::ServerError { status: 503 });
        let unread = unread.account(account).endpoints(&["account"]);
        self.sandbox.add_fault(Cloud::Volta, unread).await.unwrap();
    }

    /// Those of some users whose login is lost.
    pub async fn lost_logins(&self, api: &Api, users: &[&'static str]) -> Vec<&'static str> {
        let mut lost = Vec::new();
        for user in users {
            if !is_valid(api, user).await {
                lost.push(*user);
            }
        }
        lost
    }

    /// Users link again what they had.
    pub async fn restore(&self, api: &Api, users: &[&str]) {
        if users.is_empty() {
            return;
        }
        self.sandbox.drop_all_faults().await;
        for (user, account) in &self.people {
            if users.contains(&user.as_str()) {
                self.link(api, user, account).await.unwrap();
            }
        }
        self.keep_unread().await;
    }

    pub fn account(&self, cloud: Cloud, vehicles: u32) -> AccountInfo {
        let spec = AccountSpec {
            vehicles: Some(vehicles),
            habits: Some(false),
            ..AccountSpec::default()
        };
        self.sandbox.create_account(cloud, spec).unwrap()
    }

    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The vehicles of some people, as the sandbox names them.
    pub fn vins(&self, users: &[&str]) -> BTreeSet<String> {
        let wanted = |(user, _): &&(String, AccountInfo)| users.contains(&user.as_str());
        let accounts = self.people.iter().filter(wanted);
        accounts
            .flat_map(|(_, account)| &account.devices)
            .filter(|device| device.kind == "vehicle")
            .map(|device| device.id.clone())
            .collect()
    }

    pub fn start(&self) -> Program {
        Program::start(
            self.directory.path(),
            self.database.as_deref(),
            self.sandbox.base_url(),
            &self.front.url,
        )
    }

    pub async fn ready(&self, program: &mut Program) -> Api {
        let said = program.ready().await;
        self.enter(said.last().unwrap()).await
    }

    /// Tells the front where the server is and logs in: at this speed, for a quarter of a minute.
    pub async fn enter(&self, base: &str) -> Api {
        self.front.leads_to(Some(base));
        Api::log_in_at(base, &self.client.0, &self.client.1).await
    }

    pub async fn wait_up_to(&self, millis: u64) {
        let micros = self.random.next_u64() % (millis * 1000);
        sleep(Duration::from_micros(micros)).await;
    }

    pub async fn link(&self, api: &Api, user: &str, account: &AccountInfo) -> Result<(), String> {
        link(api, &self.front.url, user, account, || {}).await
    }

    /// Links whoever is not linked, or no longer; returns how many logins were lost.
    pub async fn relink(&self, api: &Api) -> usize {
        let mut lost = 0;
        for (user, account) in &self.people {
            let linked = api.get(&format!("/users/{user}")).await;
            let is_lost = linked.status == 200 && !is_valid(api, user).await;
            let is_known = linked.status == 200 && !vendors_of(&linked.body).is_empty();
            lost += usize::from(is_lost);
            if is_lost || !is_known {
                self.link(api, user, account).await.unwrap();
            }
        }
        lost
    }

    /// Waits until the API shows the truth. That a login was lost is seen at the next visit only: its
    /// user links again then. Returns the number of vehicles compared and of such logins.
    pub async fn settle(&self, api: &Api, records: &mut Records) -> (usize, usize) {
        let (deadline, mut dead) = (Instant::now() + SETTLING, 0);
        loop {
            let api = &self.enter(&api.base).await;
            dead += self.relink(api).await;
            records.read_on(api).await;
            match is_true(api, &self.sandbox).await {
                Ok(compared) => return (compared, dead),
                Err(untrue) => assert!(Instant::now() < deadline, "not settled: {untrue}"),
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// The clouds say the same for ever now. Waits until the log has ended and is delivered.
    pub async fn fall_silent(&self, api: &Api, records: &mut Records) {
        for cloud in [Cloud::Volta, Cloud::Rivoli, Cloud::Helios] {
            let stale = FaultSpec::new(FaultKind::Stale);
            self.sandbox.add_fault(cloud, stale).await.unwrap();
        }
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let before = records.log.len();
            // More than the longest interval between two polls of who is awake.
            sleep(Duration::from_secs(2)).await;
            let api = &self.enter(&api.base).await;
            records.read_on(api).await;
            let taken = [&self.receiver, &self.failing].map(|r| taken_once(r).0.len());
            if records.log.len() == before && taken == [before, before] {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "no end: {} events, {taken:?} taken",
                records.log.len()
            );
        }
    }

    /// The vendor counted the acknowledgements that the front saw, and no quota was exceeded.
    pub fn check_truth(&self) -> (usize, Value) {
        let (acknowledged, _) = self.front.acknowledged();
        let truth = self.sandbox.truth(None, None).unwrap();
        let accounts = truth["accounts"].as_array().unwrap();
        let counted = accounts
            .iter()
            .map(|account| account["stats"]["pushes_acked"].as_u64().unwrap());
        assert_eq!(counted.sum::<u64>(), acknowledged as u64);
        assert_eq!(truth["stats"]["quota_exceeded"], 0, "a quota was exceeded");
        (acknowledged, truth)
    }
}

pub async fn link(
    api: &Api,
    front: &str,
    user: &str,
    account: &AccountInfo,
    at_the_end: impl FnOnce(),
) -> Result<(), String> {
    let body = json!({
        "vendor": vendor(account.cloud), "language": "en-US", "redirectUri": "https://app.example/",
        "scopes": ["vehicle:read:data", "vehicle:read:location", "charger:read:data",
            "hvac:read:data", "inverter:read:data", "battery:read:data", "meter:read:data"],
    });
    let made = api.post(&format!("/users/{user}/link"), Some(body)).await;
    let made = made.expect_status(200);
    let link_url = made["linkUrl"].as_str().unwrap();
    assert!(link_url.starts_with(front), "{link_url}");
    Person::new().link(link_url, account, at_the_end).await
}

fn vendors_of(user: &Value) -> &[Value] {
    user["linkedVendors"].as_array().map_or(&[], Vec::as_slice)
}

pub async fn is_valid(api: &Api, user: &str) -> bool {
    let user = api.get(&format!("/users/{user}")).await.expect_status(200);
    vendors_of(&user).iter().all(|row| row["isValid"] == true)
}

pub fn busiest(truth: &Value) -> u64 {
    let accounts = truth["accounts"].as_array().unwrap().iter();
    let strict = accounts.filter(|account| account["cloud"] == "rivoli");
    let calls = strict.map(|account| account["stats"]["busiest_10_minutes"].as_u64().unwrap());
    calls.max().unwrap_or(0)
}

/// Changes one vehicle after the other for as long as it goes. A limit differs from those before,
/// so that each change can be told from others; a vehicle's turn comes less often than the sandbox
/// looks at its clock, so that each has a time of its own.
pub async fn change(
    sandbox: Arc<Sandbox>,
    pushed: BTreeSet<String>,
    polled: BTreeSet<String>,
    is_over: Arc<AtomicBool>,
) {
    let vehicles: Vec<&String> = pushed.iter().chain(&polled).collect();
    for count in 0_usize.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let round = count / vehicles.len();
        let patch = DevicePatch {
            limit_percent: Some(50 + (round % 51) as u8),
            max_amps: Some(6 + (round % 27) as u8),
            plugged: round.is_multiple_of(3).then_some(round.is_multiple_of(2)),
            ..DevicePatch::default()
        };
        let vehicle = vehicles[count % vehicles.len()];
        sandbox.patch_device(vehicle, &patch).await.unwrap();
        sleep(Duration::from_millis(25)).await;
    }
}
