//! `kill -9` at any moment, again and again, while everything moves. The vendor clouds, the front
//! and the receiver live on in this process; afterwards their records are compared.

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
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::{
    front::Front,
    is_long,
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

/// When to kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    StartUp,
    Anytime,
    DuringPush,
    AfterAcknowledgement,
    /// The server has connected to the receiver: a delivery is frozen and hardly sent.
    Connection,
    /// The receiver has a delivery and has not answered.
    HeldDelivery,
    /// The receiver has answered: a delivery is sent and hardly settled.
    AnsweredDelivery,
    Flush,
    Link,
    Refresh,
}

const MOMENTS: [Moment; 10] = [
    Moment::StartUp,
    Moment::Anytime,
    Moment::DuringPush,
    Moment::AfterAcknowledgement,
    Moment::Connection,
    Moment::HeldDelivery,
    Moment::AnsweredDelivery,
    Moment::Flush,
    Moment::Link,
    Moment::Refresh,
];

/// Users of whom pushes tell, and whose acknowledgements are checked.
const PUSHED: [&str; 2] = ["pushed", "push-only"];

/// What lives on while the server dies.
struct Stage {
    directory: TempDir,
    sandbox: Arc<Sandbox>,
    front: Front,
    receiver: Receiver,
    /// Another receiver, which fails now and then.
    failing: Receiver,
    client: (String, String),
    random: SeededEntropy,
    /// Users with the account each is to have.
    people: Vec<(String, AccountInfo)>,
    /// Links broken off, relinked and refreshed under fire.
    links_cut: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_by_kill_9_at_any_moment() {
    let began = Instant::now();
    let kills = if is_long() { 1_000 } else { 50 };
    let seed = std::env::var("LIVEWATT_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("seed {seed} (LIVEWATT_SEED)");
    let mut stage = Stage::set(seed).await;
    let vins = stage.vins(&PUSHED);
    let is_over = Arc::new(AtomicBool::new(false));
    let changes = tokio::spawn(change(
        stage.sandbox.clone(),
        stage.vins(&["pushed", "push-only", "refreshed"]),
        stage.vins(&["polled"]),
        is_over.clone(),
    ));
    let mut records = Records::default();
    let mut lost_logins = 0;
    let mut reached = 0;
    for kill in 0..kills {
        let moment = MOMENTS[kill % MOMENTS.len()];
        let status = [204, 500, 204, 204, 302, 503, 204][kill % 7];
        stage.failing.answer_with(status);
        let (_, told) = stage.front.acknowledged();
        let mut program = stage.start();
        if moment == Moment::StartUp {
            stage.wait_up_to(250).await;
            program.kill().await;
            reached += 1;
            continue;
        }
        let api = stage.ready(&mut program).await;
        records.read_on(&api).await;
        // A kill in the middle of a rotating refresh costs the login, and what is pushed of an
        // account that is linked no longer is nobody's: its user links it again.
        let lost = stage.lost_logins(&api, &PUSHED).await;
        let nobodys = stage.vins(&lost);
        records.check_acknowledged(&told, &vins.difference(&nobodys).cloned().collect());
        lost_logins += lost.len();
        stage.restore(&api, &lost).await;
        reached += usize::from(stage.meet(moment, &api).await);
        stage.front.leads_to(None);
        program.kill().await;
        stage.receiver.release();
    }
    assert!(
        reached > kills * 9 / 10,
        "only {reached} of {kills} moments came"
    );

    is_over.store(true, Ordering::Relaxed);
    changes.await.unwrap();
    stage.sandbox.drop_all_faults().await;
    stage.failing.answer_with(204);
    let (_, told) = stage.front.acknowledged();
    let mut program = stage.start();
    let api = stage.ready(&mut program).await;
    records.read_on(&api).await;
    let nobodys = stage.vins(&stage.lost_logins(&api, &PUSHED).await);
    records.check_acknowledged(&told, &vins.difference(&nobodys).cloned().collect());
    let dead = lost_logins + stage.relink(&api).await;
    let compared = stage.settle(&api, &mut records).await;
    stage.fall_silent(&api, &mut records).await;
    records.check_unchanged(&api).await;
    records.check_api(&api).await;
    program.stop().await;
    let figures = records.check_receiver(&stage.receiver);
    let of_failing = records.check_receiver(&stage.failing);
    records.check_versions(&stage.data()).await;
    let (acknowledged, truth) = stage.check_truth();
    println!(
        "{kills} kills ({reached} at the moment meant) in {:?}: {acknowledged} pushes acknowledged, \
         {} vendor calls, {} events, {} deliveries, {} attempts, {} came again after they were \
         taken; {} links cut, {dead} logins lost in a refresh; {compared} vehicles as in truth; \
         busiest 10 minutes of the strict vendor: {} calls of 40; the receiver that fails: {} \
         attempts at {} deliveries, {} again after they were taken",
        began.elapsed(),
        truth["stats"]["calls_total"],
        records.log.len(),
        figures.distinct,
        figures.attempts,
        figures.duplicates,
        stage.links_cut,
        busiest(&truth),
        of_failing.attempts,
        of_failing.distinct,
        of_failing.duplicates,
    );
    assert!(records.log.len() > kills * 5, "hardly anything happened");
}

impl Stage {
    /// Everything that lives on, and a server that was started once, with its accounts linked.
    async fn set(seed: u64) -> Self {
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
    async fn lost_logins(&self, api: &Api, users: &[&'static str]) -> Vec<&'static str> {
        let mut lost = Vec::new();
        for user in users {
            if !is_valid(api, user).await {
                lost.push(*user);
            }
        }
        lost
    }

    /// Users link again what they had.
    async fn restore(&self, api: &Api, users: &[&str]) {
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

    fn account(&self, cloud: Cloud, vehicles: u32) -> AccountInfo {
        let spec = AccountSpec {
            vehicles: Some(vehicles),
            habits: Some(false),
            ..AccountSpec::default()
        };
        self.sandbox.create_account(cloud, spec).unwrap()
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The vehicles of some people, as the sandbox names them.
    fn vins(&self, users: &[&str]) -> BTreeSet<String> {
        let wanted = |(user, _): &&(String, AccountInfo)| users.contains(&user.as_str());
        let accounts = self.people.iter().filter(wanted);
        accounts
            .flat_map(|(_, account)| &account.devices)
            .filter(|device| device.kind == "vehicle")
            .map(|device| device.id.clone())
            .collect()
    }

    fn start(&self) -> Program {
        Program::start(
            self.directory.path(),
            self.sandbox.base_url(),
            &self.front.url,
        )
    }

    async fn ready(&self, program: &mut Program) -> Api {
        let said = program.ready().await;
        self.enter(said.last().unwrap()).await
    }

    async fn enter(&self, base: &str) -> Api {
        self.front.leads_to(Some(base));
        Api::log_in_at(base, &self.client.0, &self.client.1).await
    }

    async fn wait_up_to(&self, millis: u64) {
        let micros = self.random.next_u64() % (millis * 1000);
        sleep(Duration::from_micros(micros)).await;
    }

    /// Lets the server work until the moment has come. False if it did not come.
    async fn meet(&mut self, moment: Moment, api: &Api) -> bool {
        let limit = Duration::from_secs(5);
        match moment {
            Moment::StartUp | Moment::Anytime => {
                self.wait_up_to(1200).await;
                true
            }
            Moment::DuringPush => {
                let has_come = timeout(limit, self.front.next_push()).await.is_ok();
                self.wait_up_to(4).await;
                has_come
            }
            Moment::AfterAcknowledgement => {
                self.wait_up_to(200).await;
                let acknowledged = self.front.next_acknowledgement();
                timeout(limit, acknowledged).await.is_ok()
            }
            Moment::Connection => {
                let before = self.receiver.connections();
                until(limit, || self.receiver.connections() > before).await
            }
            Moment::HeldDelivery => {
                self.receiver.hold();
                let before = self.receiver.attempts().len();
                let has_come = until(limit, || self.receiver.attempts().len() > before).await;
                self.wait_up_to(20).await;
                has_come
            }
            Moment::AnsweredDelivery => {
                let before = self.receiver.deliveries().len();
                until(limit, || self.receiver.deliveries().len() > before).await
            }
            Moment::Flush => {
                // Quiet writes go out every second from the start.
                sleep(Duration::from_millis(900)).await;
                self.wait_up_to(200).await;
                true
            }
            Moment::Link => self.cut_link(api).await,
            Moment::Refresh => self.provoke_refresh(api).await,
        }
    }

    /// Somebody new links an account; the moment comes with the last step.
    async fn cut_link(&mut self, api: &Api) -> bool {
        let cloud = [Cloud::Helios, Cloud::Volta][self.links_cut % 2];
        let user = format!("cut-{}", self.links_cut);
        let account = self.account(cloud, 1);
        self.links_cut += 1;
        let is_ending = Arc::new(Notify::new());
        let (api, front) = (api.clone(), self.front.url.clone());
        let (person, ending) = ((user.clone(), account.clone()), is_ending.clone());
        self.people.push((user, account));
        tokio::spawn(async move {
            // However it ends: the server dies on the way.
            let _ = link(&api, &front, &person.0, &person.1, || ending.notify_one()).await;
        });
        let has_come = timeout(Duration::from_secs(5), is_ending.notified()).await;
        self.wait_up_to(60).await;
        has_come.is_ok()
    }

    /// Access tokens end before their time; the moment comes when the vendor is asked for others.
    async fn provoke_refresh(&mut self, api: &Api) -> bool {
        let place = self.random.next_u64() % 2;
        let (user, cloud, endpoint, plural) = [
            ("refreshed", Cloud::Volta, "token", "vehicles"),
            ("house", Cloud::Helios, "refresh", "batteries"),
        ][place as usize];
        let (_, account) = self.people.iter().find(|(name, _)| name == user).unwrap();
        let calls = || {
            let truth = self.sandbox.truth(Some(cloud), Some(&account.id)).unwrap();
            truth["accounts"][0]["stats"]["calls"][endpoint].as_u64()
        };
        let before = calls();
        self.sandbox.expire_tokens(cloud, &account.id).unwrap();
        let devices = api.get(&format!("/users/{user}/{plural}")).await;
        let devices = devices.expect_status(200);
        let id = devices["data"][0]["id"].as_str().unwrap();
        let hint = format!("/{plural}/{id}/refresh-hint");
        api.post(&hint, None).await.expect_status(204);
        let has_come = until(Duration::from_secs(5), || calls() > before).await;
        self.wait_up_to(3).await;
        // A login that was lost is not refreshed any more.
        has_come || !is_valid(api, user).await
    }

    async fn link(&self, api: &Api, user: &str, account: &AccountInfo) -> Result<(), String> {
        link(api, &self.front.url, user, account, || {}).await
    }

    /// Links whoever is not linked, or no longer; returns how many logins were lost.
    async fn relink(&self, api: &Api) -> usize {
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

    /// Waits until the API shows the truth; returns the number of vehicles compared.
    async fn settle(&self, api: &Api, records: &mut Records) -> usize {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            records.read_on(api).await;
            match is_true(api, &self.sandbox).await {
                Ok(compared) => return compared,
                Err(untrue) => assert!(Instant::now() < deadline, "not settled: {untrue}"),
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// The clouds say the same for ever now. Waits until the log has ended and is delivered.
    async fn fall_silent(&self, api: &Api, records: &mut Records) {
        for cloud in [Cloud::Volta, Cloud::Rivoli, Cloud::Helios] {
            let stale = FaultSpec::new(FaultKind::Stale);
            self.sandbox.add_fault(cloud, stale).await.unwrap();
        }
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let before = records.log.len();
            // More than the longest interval between two polls of who is awake.
            sleep(Duration::from_secs(2)).await;
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
    fn check_truth(&self) -> (usize, Value) {
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

async fn link(
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

async fn is_valid(api: &Api, user: &str) -> bool {
    let user = api.get(&format!("/users/{user}")).await.expect_status(200);
    vendors_of(&user).iter().all(|row| row["isValid"] == true)
}

fn busiest(truth: &Value) -> u64 {
    let accounts = truth["accounts"].as_array().unwrap().iter();
    let strict = accounts.filter(|account| account["cloud"] == "rivoli");
    let calls = strict.map(|account| account["stats"]["busiest_10_minutes"].as_u64().unwrap());
    calls.max().unwrap_or(0)
}

/// Waits for something outside of this process.
async fn until(limit: Duration, is_so: impl Fn() -> bool) -> bool {
    let looking = async {
        while !is_so() {
            sleep(Duration::from_micros(500)).await;
        }
    };
    timeout(limit, looking).await.is_ok()
}

/// Changes one vehicle after the other for as long as it goes. A limit differs from those before,
/// so that each change can be told from others; a vehicle's turn comes less often than the sandbox
/// looks at its clock, so that each has a time of its own.
async fn change(
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
