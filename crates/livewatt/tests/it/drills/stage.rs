//! What lives on while nodes and databases come and go: vendor clouds, the front that stands for
//! the balancer before the nodes, a receiver, people, and everybody's records.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use livewatt_domain::{
    SignedDuration, Timestamp,
    clock::{Clock as _, SystemClock},
};
use livewatt_sandbox::{AccountInfo, AccountSpec, Cloud, Sandbox, SandboxConfig};
use livewatt_store::contract::private_postgres::{PrivateDatabase, PrivatePostgres};
use serde_json::json;
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::sleep};

use super::{
    contact::Contacts,
    is_long, ledger,
    node::{Node, Site},
};
use crate::{
    durability::{
        front::Front,
        records::Records,
        stage::{change, link},
    },
    support::{
        loopback,
        receiver::{Receiver, SECRET},
        still,
    },
};

/// The speed of time itself.
const REAL: f64 = 1.0;

/// What a drill is made with.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Life of a lease, seconds.
    pub lease: u32,
    /// Virtual seconds per second.
    pub speed: f64,
    /// Accounts of the cloud that pushes.
    pub pushed: usize,
    /// Accounts of each of the others.
    pub polled: usize,
}

impl Shape {
    /// Short in the test command; as people run it in the long form.
    pub fn new() -> Self {
        match is_long() {
            true => Self {
                lease: 15,
                speed: 60.0,
                pushed: 100,
                polled: 50,
            },
            false => Self {
                lease: 3,
                speed: 240.0,
                pushed: 8,
                polled: 4,
            },
        }
    }

    /// The same in real time: nothing is fetched while it lasts unless somebody asks for it.
    pub fn in_real_time() -> Self {
        Self {
            speed: REAL,
            polled: 0,
            ..Self::new()
        }
    }

    /// So many leases, in real time.
    pub fn leases(&self, count: f64) -> Duration {
        Duration::from_secs(self.lease.into()).mul_f64(count)
    }

    /// Time between two rounds of a node.
    pub fn round(&self) -> Duration {
        self.leases(1.0 / 3.0)
    }
}

/// Makes the tables and a client, as people do before they start the nodes.
fn create_client(directory: &Path, database: &PrivateDatabase<'_>) -> (String, String) {
    let made = std::process::Command::new(crate::cli::PROGRAM)
        .args(["client", "create", "drill", "--data"])
        .arg(directory.join("data"))
        .env("LIVEWATT_STORE__URL", database.url())
        .env("LIVEWATT_SECRETS__KEYS", super::node::KEY)
        .output()
        .unwrap();
    let said = String::from_utf8(made.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&made.stderr);
    let value = |label: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(label));
        line.unwrap_or_else(|| panic!("{said}{complaint}"))
            .trim()
            .to_owned()
    };
    (value("client ID"), value("client secret"))
}

/// The stage of a drill.
pub struct Stage {
    pub shape: Shape,
    pub site: Site,
    pub sandbox: Arc<Sandbox>,
    pub contacts: Contacts,
    pub front: Front,
    pub receiver: Receiver,
    pub client: (String, String),
    pub database: PrivateDatabase<'static>,
    pub people: Vec<(String, AccountInfo)>,
    pub records: Records,
    /// What later releases have done to the schema.
    pub further: Vec<(&'static str, bool)>,
    pub(super) load: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
    _directory: TempDir,
}

impl Stage {
    /// A stage on a server, with nodes of these names that share the work, and accounts linked.
    pub async fn set(server: &'static PrivatePostgres, names: &[&str]) -> (Self, Vec<Node>) {
        Self::set_as(Shape::new(), server, names).await
    }

    /// The same of another shape.
    pub async fn set_as(
        shape: Shape,
        server: &'static PrivatePostgres,
        names: &[&str],
    ) -> (Self, Vec<Node>) {
        let mut config = SandboxConfig {
            speed: shape.speed,
            record_answers: true,
            ..SandboxConfig::default()
        };
        if shape.speed == REAL {
            config.start = SystemClock.now();
        }
        let sandbox = Arc::new(Sandbox::start(config, loopback().await));
        let (front, directory) = (Front::start(loopback().await), TempDir::new().unwrap());
        let site = Site {
            directory: directory.path().to_owned(),
            sandbox_url: sandbox.base_url().to_owned(),
            public_url: front.url.clone(),
            lease: shape.lease,
        };
        let database = server.database();
        let client = create_client(directory.path(), &database);
        ledger::begin(&database);
        ledger::announce(&database, names);
        let mut stage = Self {
            shape,
            site,
            contacts: Contacts::of(sandbox.clone()),
            sandbox,
            front,
            receiver: Receiver::start(loopback().await),
            client,
            database,
            people: Vec::new(),
            records: Records::default(),
            further: Vec::new(),
            load: None,
            _directory: directory,
        };
        let starting = names.iter().map(|name| stage.start(name));
        let nodes = futures::future::join_all(starting).await;
        stage.balance(&nodes);
        let api = nodes[0].api(&stage.client).await;
        let webhook = json!({ "url": stage.receiver.url, "secret": SECRET });
        api.post("/webhooks", Some(webhook))
            .await
            .expect_status(200);
        stage.link_people(&nodes).await;
        stage.shared(&nodes).await;
        (stage, nodes)
    }

    async fn link_people(&mut self, nodes: &[Node]) {
        let Shape { pushed, polled, .. } = self.shape;
        let mut apis = Vec::new();
        for node in nodes {
            apis.push(node.api(&self.client).await);
        }
        let clouds = [
            (Cloud::Volta, pushed),
            (Cloud::Rivoli, polled),
            (Cloud::Helios, polled),
        ];
        let before = self.people.len();
        for (cloud, count) in clouds {
            for number in 0..count {
                let user = format!("{cloud:?}-{number}").to_lowercase();
                self.people.push((user, self.account(cloud)));
            }
        }
        let people = self.people[before..].iter().enumerate();
        let linking = people.map(|(number, (user, account))| {
            let api = &apis[number % apis.len()];
            link(api, &self.front.url, user, account, || {})
        });
        // As many at once as a busy minute brings.
        let linked = stream::iter(linking).buffer_unordered(4);
        linked.for_each(async |linked| linked.unwrap()).await;
    }

    fn account(&self, cloud: Cloud) -> AccountInfo {
        let spec = AccountSpec {
            vehicles: Some(1),
            ..still()
        };
        self.sandbox.create_account(cloud, spec).unwrap()
    }

    /// Somebody new links an account; their session begins at a node.
    pub async fn link(&mut self, node: &Node, user: &str, cloud: Cloud) {
        let account = self.account(cloud);
        let api = node.api(&self.client).await;
        link(&api, &self.front.url, user, &account, || {})
            .await
            .unwrap();
        self.people.push((user.to_owned(), account));
    }

    /// One more node.
    pub async fn start(&self, name: &str) -> Node {
        Node::start(&self.site, name, &self.database).await
    }

    /// The balancer before the nodes knows these.
    pub fn balance<'n>(&self, nodes: impl IntoIterator<Item = &'n Node>) {
        self.front
            .leads_to_each(nodes.into_iter().map(|node| node.base.as_str()));
    }

    /// Waits until these nodes share all partitions.
    pub async fn shared<'n>(&self, nodes: impl IntoIterator<Item = &'n Node>) {
        let names: BTreeSet<String> = nodes.into_iter().map(|node| node.name.clone()).collect();
        // An even share of 256, and what chance makes of it.
        let least = 256 / names.len() / 2;
        self.until(
            Duration::from_secs(120),
            "the nodes share the partitions",
            || {
                let owned = ledger::owned(&self.database);
                owned.values().sum::<usize>() == 256
                    && owned.keys().all(|name| names.contains(name))
                    && owned.len() == names.len()
                    && owned.values().all(|count| *count >= least)
            },
        )
        .await;
    }

    /// Waits for something outside of this process; returns how long it took.
    pub async fn until(&self, limit: Duration, what: &str, is_so: impl Fn() -> bool) -> Duration {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < limit, "{what}: not within {limit:?}");
            sleep(Duration::from_millis(100)).await;
        }
        began.elapsed()
    }

    /// The numbers of the vehicles of some accounts.
    pub(super) fn vins(&self, is_it: impl Fn(&AccountInfo) -> bool) -> BTreeSet<String> {
        let accounts = self
            .people
            .iter()
            .map(|(_, account)| account)
            .filter(|a| is_it(a));
        let devices = accounts.flat_map(|account| &account.devices);
        let vehicles = devices.filter(|device| device.kind == "vehicle");
        vehicles.map(|device| device.id.clone()).collect()
    }

    /// Begins to change vehicles, one after the other, until [`Self::check`].
    pub fn begin_load(&mut self) {
        let is_over = Arc::new(AtomicBool::new(false));
        let changes = change(
            self.sandbox.clone(),
            self.vins(|account| account.cloud == Cloud::Volta),
            self.vins(|account| account.cloud == Cloud::Rivoli),
            is_over.clone(),
        );
        self.load = Some((is_over, tokio::spawn(changes)));
    }

    /// Lets the nodes work in peace for so many virtual minutes.
    pub async fn calm(&self, minutes: f64) {
        sleep(self.real(minutes)).await;
    }

    /// Virtual minutes in real time.
    pub fn real(&self, minutes: f64) -> Duration {
        Duration::from_secs_f64(minutes * 60.0 / self.shape.speed)
    }

    /// Real time in virtual time.
    pub fn virtually(&self, time: Duration) -> SignedDuration {
        SignedDuration::from_secs_f64(time.as_secs_f64() * self.shape.speed)
    }

    /// The vendors' ends of all linked accounts.
    pub fn accounts(&self) -> Vec<String> {
        self.people
            .iter()
            .map(|(_, account)| account.id.clone())
            .collect()
    }

    /// The vendors' ends of the accounts in partitions that a node owns.
    pub fn accounts_of(&self, node: &Node) -> Vec<String> {
        let known = ledger::accounts_of(&self.database, &node.name);
        let is_known = |account: &&AccountInfo| {
            known.contains(&account.id) || known.contains(&account.username)
        };
        let accounts = self.people.iter().map(|(_, account)| account);
        accounts
            .filter(is_known)
            .map(|account| account.id.clone())
            .collect()
    }

    /// Waits until each of these accounts was read since a time; returns how long it took from then,
    /// in real time.
    pub async fn fresh(&self, accounts: &[String], since: Timestamp) -> Duration {
        let limit = self.real(60.0) + self.shape.leases(4.0);
        self.until(limit, "all accounts are read again", || {
            self.contacts.missing(accounts, since).is_empty()
        })
        .await;
        let first = self.contacts.first_since(accounts, since);
        let last = first.values().map(|(at, _)| *at).max().unwrap_or(since);
        Duration::from_secs_f64(last.duration_since(since).as_secs_f64() / self.shape.speed)
    }

    /// Ends what still runs.
    pub async fn end(self, nodes: Vec<Node>) {
        for node in nodes {
            node.stop().await;
        }
    }
}
