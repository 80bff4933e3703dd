//! The vocabulary of the tests: a world with a sandbox, a server, a webhook receiver and one clock
//! that only moves when told to.

pub mod browser;
pub mod contract;
pub mod database;
pub mod http;
pub mod log;
pub mod nats;
pub mod python;
pub mod receiver;
pub mod station;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use livewatt::{
    config::{LogFormat, LogSettings, Settings},
    demo::{
        Demo, DemoArgs,
        link::{SandboxAccount, link},
    },
    serve::{ServeOptions, Server},
};
use livewatt_domain::{
    SignedDuration, Timestamp,
    clock::{Clock as _, ManualClock},
    entropy::SeededEntropy,
    id::{ClientId, UserId},
};
use livewatt_engine::Engine;
use livewatt_sandbox::{AccountInfo, AccountSpec, Cloud, DevicePatch, Sandbox, SandboxConfig};
use livewatt_vendors::Secret;
use tempfile::TempDir;
use tokio::net::TcpListener;

use self::{http::Api, receiver::Receiver};

/// A Monday in March, six in the morning.
pub const START: &str = "2026-03-02T06:00:00Z";

/// The grid of the sandbox's physics, and so the step of the world.
pub const STEP: SignedDuration = SignedDuration::from_secs(10);

/// A sandbox, a server and a receiver that share one clock.
pub struct World {
    pub sandbox: Sandbox,
    pub server: Server,
    pub clock: ManualClock,
    pub client: ClientId,
    pub secret: String,
    pub api: Api,
    pub receiver: Receiver,
    pub directory: TempDir,
    settings: Settings,
}

pub async fn loopback() -> TcpListener {
    TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap()
}

/// With `LIVEWATT_TEST_LOG` set to `text` or `json`, shows what the servers of tests log: also the
/// way to real lines for the documentation.
pub fn show_logs() {
    let format = match std::env::var("LIVEWATT_TEST_LOG").as_deref() {
        Ok("json") => LogFormat::Json,
        Ok(_) => LogFormat::Text,
        Err(_) => return,
    };
    let level = "info".to_owned();
    livewatt::telemetry::start_logs(&LogSettings { level, format }).unwrap();
}

/// A directory in memory where the system has such: a day of a world commits a hundred thousand
/// times, and what a disk makes of that is proven elsewhere.
fn in_memory() -> TempDir {
    TempDir::new_in("/dev/shm").unwrap_or_else(|_| TempDir::new().unwrap())
}

/// Links an account of the sandbox for a user of a client.
pub async fn link_in_sandbox(
    server: &Server,
    client: ClientId,
    user: &UserId,
    account: &AccountInfo,
) -> anyhow::Result<()> {
    link_as(server, client, user, account, integration(account.cloud)).await
}

/// Links an account of a sandbox through the integration of this name.
pub async fn link_as(
    server: &Server,
    client: ClientId,
    user: &UserId,
    account: &AccountInfo,
    integration: &'static str,
) -> anyhow::Result<()> {
    let known = SandboxAccount {
        integration,
        vendor: vendor(account.cloud),
        username: account.username.clone(),
        password: account.password.clone(),
    };
    link(&server.engine, client, user, known).await
}

/// Settings for a server in `directory` that offers the clouds of `sandbox`.
pub fn settings(directory: &TempDir, sandbox: &Sandbox) -> Settings {
    let mut settings = Settings::load(None, &[]).unwrap();
    settings.store.directory = directory.path().join("data");
    settings.store.url = Secret::new(database::url(&settings.store.directory));
    settings.sandbox.url = sandbox.base_url().to_owned();
    settings.webhooks.dangerous_allow_private_receivers = true;
    settings
}

/// A server that takes its steps when told to.
async fn serve(
    settings: &Settings,
    listener: TcpListener,
    clock: &ManualClock,
    seed: u64,
) -> anyhow::Result<Server> {
    let options = ServeOptions {
        clock: Some(Arc::new(clock.clone())),
        entropy: Some(Arc::new(SeededEntropy::new(seed))),
        stepped: true,
        // A test's token outlives the days that it lets go by.
        // Nobody renews the leases of a server that takes its steps when told to.
        tune: Some(|options| {
            options.token_lifetime = SignedDuration::from_hours(10_000);
            options.cluster.lease = SignedDuration::from_hours(1);
            options.cluster.self_stop = Duration::from_secs(3_600);
        }),
        ..ServeOptions::default()
    };
    Server::start(settings, listener, options).await
}

impl World {
    /// A world with nobody in it.
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A world with nobody in it, whose server has other settings.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::starting_at(START, change).await
    }

    /// The same at another time.
    pub async fn starting_at(start: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let config = SandboxConfig {
            start: start.parse().unwrap(),
            ..SandboxConfig::default()
        };
        Self::with_sandbox(config, change).await
    }

    /// The same with another sandbox, whose start is the world's.
    pub async fn with_sandbox(config: SandboxConfig, change: impl FnOnce(&mut Settings)) -> Self {
        show_logs();
        let clock = ManualClock::starting_at(config.start);
        let config = SandboxConfig {
            speed: 0.0,
            ..config
        };
        let sandbox = Sandbox::start(config, loopback().await);
        let directory = in_memory();
        let mut settings = settings(&directory, &sandbox);
        change(&mut settings);
        let mut server = serve(&settings, loopback().await, &clock, 42)
            .await
            .unwrap();
        let (client, secret) = server.first_client.take().unwrap();
        let secret = secret.reveal().to_owned();
        let api = Api::log_in(&server, &client.to_string(), &secret).await;
        let receiver = Receiver::start(loopback().await);
        Self {
            sandbox,
            server,
            clock,
            client,
            secret,
            api,
            receiver,
            directory,
            settings,
        }
    }

    /// Shuts the server down, lets `down` go by, and starts it again at the same address and on the
    /// same directory, with other settings.
    pub async fn restart(
        mut self,
        down: SignedDuration,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let address = self.server.address;
        self.server.shut_down().await.unwrap();
        self.sandbox
            .set_now(self.clock.advance(down))
            .await
            .unwrap();
        change(&mut self.settings);
        let mut server = None;
        // Within one process, what the last connections hold is let go a moment later.
        eventually("the database is free", async || {
            let listener = TcpListener::bind(address).await.unwrap();
            server = serve(&self.settings, listener, &self.clock, 43).await.ok();
            server.is_some()
        })
        .await;
        let server = server.unwrap();
        Self { server, ..self }
    }

    /// Another client of the same server.
    pub async fn other_client(&self, connection_limit: Option<u32>) -> Api {
        let made = self.engine().create_client("other", connection_limit).await;
        let (client, secret) = made.unwrap();
        Api::log_in(&self.server, &client.id.to_string(), secret.reveal()).await
    }

    pub fn engine(&self) -> &Arc<Engine> {
        &self.server.engine
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// An account of the sandbox, linked for `user`.
    pub async fn link(&self, user: &str, cloud: Cloud, spec: AccountSpec) -> AccountInfo {
        let account = self.sandbox.create_account(cloud, spec).unwrap();
        self.link_account(user, &account).await;
        account
    }

    /// Links an account of the sandbox, for the first time or again.
    pub async fn link_account(&self, user: &str, account: &AccountInfo) {
        self.try_link(user, account).await.unwrap();
    }

    /// Links an account of the sandbox, if its cloud lets that happen now.
    pub async fn try_link(&self, user: &str, account: &AccountInfo) -> anyhow::Result<()> {
        let user: UserId = user.parse().unwrap();
        link_in_sandbox(&self.server, self.client, &user, account).await
    }

    /// Pulls the plug of a vehicle or puts it in, which its cloud pushes at once.
    pub async fn plug(&self, device: &str, is_plugged: bool) {
        let patch = DevicePatch {
            plugged: Some(is_plugged),
            ..DevicePatch::default()
        };
        self.sandbox.patch_device(device, &patch).await.unwrap();
    }

    /// A webhook for all events, to the recording receiver.
    pub async fn subscribe(&self) -> String {
        let body = serde_json::json!({ "url": self.receiver.url, "secret": receiver::SECRET });
        let made = self
            .api
            .post("/webhooks", Some(body))
            .await
            .expect_status(200);
        made["id"].as_str().unwrap().to_owned()
    }

    /// Lets time go by, in steps of the sandbox's grid.
    pub async fn advance(&self, by: SignedDuration) {
        let end = self.now().checked_add(by).unwrap();
        while self.now() < end {
            self.step().await;
        }
    }

    /// Lets time go by as it does for a server that runs: what is due is done in its second, and not
    /// only on the sandbox's grid.
    pub async fn advance_exactly(&self, by: SignedDuration) {
        let end = self.now().checked_add(by).unwrap();
        while self.now() < end {
            let now = self.now();
            let into_step = now.as_millisecond().rem_euclid(STEP.as_millis() as i64);
            let to_grid = STEP - SignedDuration::from_millis(into_step);
            let mut next = now.checked_add(to_grid).unwrap().min(end);
            let due = [
                self.engine().next_poll_at(),
                self.engine().next_action_at(),
                self.engine().next_schedule_at(),
                self.engine().next_charge_at(),
            ];
            for due in due.into_iter().flatten().filter(|due| *due > now) {
                next = next.min(due);
            }
            self.clock.set(next);
            self.sandbox.set_now(next).await.unwrap();
            self.settle().await;
        }
    }

    /// One step of time: the devices move and push, what is due is fetched and delivered.
    pub async fn step(&self) {
        let now = self.clock.advance(STEP);
        // The sandbox delivers its pushes before it returns; they must find the same time here.
        self.sandbox.set_now(now).await.unwrap();
        self.settle().await;
    }

    /// Does all that is due now.
    pub async fn settle(&self) {
        while self.engine().place_due().await.unwrap() > 0 {}
        self.engine().schedules_due().await;
        self.engine().charge_due().await;
        self.engine().act_due().await;
        self.engine().poll_due().await;
        self.engine().schedules_due().await;
        self.engine().productions_due().await.unwrap();
        self.engine().watch_freshness();
        self.engine().deliver_due().await;
        self.engine().send_heartbeats().await;
        self.engine().flush_presence().await.unwrap();
    }

    pub async fn shut_down(self) {
        self.server.shut_down().await.unwrap();
        self.sandbox.shutdown().await;
    }
}

/// An account whose people stay at home: nothing is plugged in or out by itself.
pub fn still() -> AccountSpec {
    AccountSpec {
        habits: Some(false),
        ..AccountSpec::default()
    }
}

/// The integration that links accounts of a cloud.
pub fn integration(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::Volta => "volta",
        Cloud::Rivoli => "rivoli",
        Cloud::Helios => "helios",
    }
}

/// A vendor name under which the integration of a cloud is chosen.
pub fn vendor(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::Volta => "TESLA",
        Cloud::Rivoli => "RENAULT",
        Cloud::Helios => "SOLAREDGE",
    }
}

/// Waits until `is_so`, for things that happen in other processes; fails after ten seconds.
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not within ten seconds");
}

/// The demo as people start it, on a free port.
pub async fn start_demo() -> Demo {
    let args = DemoArgs {
        listen: ([127, 0, 0, 1], 0).into(),
        speed: 60.0,
        seed: 1,
    };
    Demo::start(&args, Settings::load(None, &[]).unwrap())
        .await
        .unwrap()
}
