//! Nodes in this process, with real loops, one sandbox, and a clock that all of them share.

use std::{sync::Arc, time::Duration};

use livewatt::{
    config::Settings,
    serve::{ServeOptions, Server},
};
use livewatt_domain::{
    clock::{Clock, FastClock, SystemClock},
    id::{AccountId, ClientId, UserId},
};
use livewatt_engine::{
    EngineOptions,
    cluster::{Bus, ClusterOptions},
};
use livewatt_sandbox::{AccountInfo, AccountSpec, Cloud, Sandbox, SandboxConfig};
use livewatt_store::{
    AccountsOf, PostgresOptions, PostgresStore, Store,
    contract::private_postgres::{PrivateDatabase, PrivatePostgres},
};
use livewatt_vendors::Secret;
use tempfile::TempDir;

use crate::{
    durability::front::Front,
    support::{http::Api, link_in_sandbox, loopback, receiver::Receiver, show_logs, still},
};

/// Virtual seconds per second.
const SPEED: f64 = 60.0;

/// What all nodes share.
pub struct Cluster {
    pub sandbox: Sandbox,
    pub receiver: Receiver,
    /// Where vendors find the installation: leads to one of the nodes.
    pub front: Front,
    pub client: ClientId,
    pub secret: String,
    clock: Arc<dyn Clock>,
    settings: Settings,
    tune: fn(&mut EngineOptions),
    /// Opens the database beside the nodes.
    pub store: PostgresStore,
    _directory: TempDir,
    _database: PrivateDatabase<'static>,
}

/// A node.
pub struct Node {
    pub name: String,
    pub server: Server,
    pub api: Api,
}

/// What nodes have in common: the leases of real ones last five times as long.
pub fn tune(options: &mut EngineOptions, tick: Duration) {
    options.cluster = ClusterOptions {
        name: options.cluster.name.clone(),
        address: options.cluster.address.clone(),
        bus: options.cluster.bus.clone(),
        moves: 256,
        tick,
        ..ClusterOptions::with_lease(3)
    };
}

impl Cluster {
    /// A database, a sandbox, a receiver and the first node, `a`.
    pub async fn begin() -> (Self, Node) {
        Self::begin_with(
            |_| {},
            |options| tune(options, Duration::from_millis(200)),
            None,
        )
        .await
    }

    /// The same, whose nodes have other settings; the first is woken by another bus.
    pub async fn begin_with(
        change: impl FnOnce(&mut Settings),
        tune: fn(&mut EngineOptions),
        bus: Option<Arc<dyn Bus>>,
    ) -> (Self, Node) {
        show_logs();
        let database = PrivatePostgres::shared().database();
        let directory = TempDir::new().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(FastClock::new(Arc::new(SystemClock), SPEED));
        let sandbox = Sandbox::start(
            SandboxConfig {
                start: clock.now(),
                speed: SPEED,
                ..SandboxConfig::default()
            },
            loopback().await,
        );
        let mut settings = crate::support::settings(&directory, &sandbox);
        settings.store.url = Secret::new(database.url());
        let front = Front::start(loopback().await);
        settings.server.public_url = front.url.clone();
        change(&mut settings);
        let options = PostgresOptions::new(database.url());
        let store = PostgresStore::open(&options);
        let mut cluster = Self {
            sandbox,
            receiver: Receiver::start(loopback().await),
            front,
            client: ClientId(uuid::Uuid::nil()),
            secret: String::new(),
            clock,
            settings,
            tune,
            store: store.await.unwrap(),
            _directory: directory,
            _database: database,
        };
        let mut server = cluster.serve("a", bus).await;
        let (client, secret) = server.first_client.take().unwrap();
        cluster.client = client;
        cluster.secret = secret.reveal().to_owned();
        let node = cluster.enter("a", server).await;
        (cluster, node)
    }

    async fn serve(&self, name: &str, bus: Option<Arc<dyn Bus>>) -> Server {
        let mut settings = self.settings.clone();
        settings.cluster.name = name.to_owned();
        let options = ServeOptions {
            clock: Some(self.clock.clone()),
            bus,
            tune: Some(self.tune),
            ..ServeOptions::default()
        };
        Server::start(&settings, loopback().await, options)
            .await
            .unwrap()
    }

    async fn enter(&self, name: &str, server: Server) -> Node {
        let base = format!("http://{}", server.address);
        let api = Api::log_in_at(&base, &self.client.to_string(), &self.secret).await;
        Node {
            name: name.to_owned(),
            server,
            api,
        }
    }

    /// One more node.
    pub async fn join(&self, name: &str) -> Node {
        self.join_with(name, None).await
    }

    /// One more node, woken by another bus.
    pub async fn join_with(&self, name: &str, bus: Option<Arc<dyn Bus>>) -> Node {
        let server = self.serve(name, bus).await;
        self.enter(name, server).await
    }

    /// An account of the sandbox whose people stay at home.
    pub fn account(&self, cloud: Cloud) -> AccountInfo {
        let spec = AccountSpec {
            vehicles: Some(1),
            ..still()
        };
        self.sandbox.create_account(cloud, spec).unwrap()
    }

    /// Links an account of the sandbox at a node; returns its ID.
    pub async fn link(&self, node: &Node, user: &str, account: &AccountInfo) -> AccountId {
        let user: UserId = user.parse().unwrap();
        link_in_sandbox(&node.server, self.client, &user, account)
            .await
            .unwrap();
        let of = AccountsOf::User(self.client, user);
        let linked = self.store.list_accounts(of).await.unwrap();
        let is_it = |(a, _): &&(livewatt_domain::account::Account, _)| {
            a.vendor_account_id == account.username || a.vendor_account_id == account.id
        };
        linked.iter().find(is_it).unwrap_or(&linked[0]).0.id
    }

    /// The name of the node that owns an account's partition.
    pub async fn owner(&self, account: AccountId) -> Option<String> {
        self.owner_of(account.partition()).await
    }

    /// The name of the node that owns a partition.
    pub async fn owner_of(&self, partition: u16) -> Option<String> {
        let view = self.store.cluster().unwrap().view().await.unwrap();
        let lease = &view.leases[usize::from(partition)];
        Some(lease.owner.clone()?.0)
    }

    /// Number of partitions that each of these nodes owns.
    pub async fn owned(&self, names: &[&str]) -> Vec<usize> {
        let view = self.store.cluster().unwrap().view().await.unwrap();
        let of = |name: &str| {
            let owned = view
                .leases
                .iter()
                .filter(|lease| lease.owner.as_ref().is_some_and(|(owner, _)| owner == name));
            owned.count()
        };
        names.iter().map(|name| of(name)).collect()
    }
}
