//! A node: a process of the real program, with a way to the database of its own; or, where another
//! clock or another release is drilled, a server in this process.

use std::path::{Path, PathBuf};

use livewatt::{
    config::Settings,
    serve::{ServeOptions, Server},
};
use livewatt_store::contract::private_postgres::PrivateDatabase;
use livewatt_vendors::Secret;

use super::gate::{Gate, Target};
use crate::{durability::program::Program, support::http::Api};

/// 32 bytes for the secrets at rest, which all nodes must share.
pub const KEY: &str = "ZHJpbGxzLWRyaWxscy1kcmlsbHMtZHJpbGxzLWRyaWw=";

/// What nodes have in common.
#[derive(Debug, Clone)]
pub struct Site {
    pub directory: PathBuf,
    pub sandbox_url: String,
    pub public_url: String,
    /// Life of a lease, seconds.
    pub lease: u32,
}

/// A node that runs.
pub struct Node {
    pub name: String,
    pub gate: Gate,
    pub base: String,
    run: Run,
    directory: PathBuf,
}

enum Run {
    Process(Program),
    Here(Server),
}

impl Node {
    /// Starts a node.
    pub async fn start(site: &Site, name: &str, database: &PrivateDatabase<'_>) -> Self {
        let gate = Gate::start(Target::Socket(database.server().socket())).await;
        let directory = site.directory.join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let mut program = launch(site, name, &gate, database.name(), &directory);
        let said = program.ready().await;
        Self {
            name: name.to_owned(),
            gate,
            base: said.last().unwrap().clone(),
            run: Run::Process(program),
            directory,
        }
    }

    /// Starts a node in this process.
    pub async fn start_here(
        site: &Site,
        name: &str,
        database: &PrivateDatabase<'_>,
        options: ServeOptions,
    ) -> Self {
        let gate = Gate::start(Target::Socket(database.server().socket())).await;
        let directory = site.directory.join(name);
        let mut settings = Settings::load(None, &[]).unwrap();
        settings.store.directory = directory.clone();
        settings.store.url = Secret::new(url(name, &gate, database.name()));
        settings.cluster.name = name.to_owned();
        settings.cluster.lease_secs = site.lease;
        settings.secrets.keys = Secret::new(KEY.to_owned());
        settings.sandbox.url = site.sandbox_url.clone();
        settings.server.public_url = site.public_url.clone();
        settings.webhooks.dangerous_allow_private_receivers = true;
        let listener = crate::support::loopback().await;
        let server = Server::start(&settings, listener, options).await.unwrap();
        Self {
            name: name.to_owned(),
            gate,
            base: format!("http://{}", server.address),
            run: Run::Here(server),
            directory,
        }
    }

    fn program(&self) -> &Program {
        match &self.run {
            Run::Process(program) => program,
            Run::Here(_) => panic!("{} is no process", self.name),
        }
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        log_of(&self.directory)
    }

    /// Logs in.
    pub async fn api(&self, client: &(String, String)) -> Api {
        Api::log_in_at(&self.base, &client.0, &client.1).await
    }

    /// `kill -9`.
    pub async fn kill(self) {
        match self.run {
            Run::Process(program) => program.kill().await,
            Run::Here(_) => panic!("{} is no process", self.name),
        }
    }

    /// Asks it to end in good order, and waits.
    pub async fn stop(self) {
        match self.run {
            Run::Process(program) => program.stop().await,
            Run::Here(server) => server.shut_down().await.unwrap(),
        }
    }

    /// Holds its process up.
    pub async fn freeze(&self) {
        self.program().signal("STOP").await;
    }

    /// Lets it go on.
    pub async fn thaw(&self) {
        self.program().signal("CONT").await;
    }

    /// Waits until it has ended by itself; whether it ended well, and its log.
    pub async fn ended(self) -> (bool, String) {
        match self.run {
            Run::Process(mut program) => (program.ended().await, log_of(&self.directory)),
            Run::Here(server) => (server.wait().await.is_ok(), String::new()),
        }
    }

    /// A number of its metrics: all lines of a name summed up.
    pub async fn metric(&self, name: &str) -> f64 {
        let answer = reqwest::get(format!("{}/metrics", self.base)).await;
        let text = answer.unwrap().text().await.unwrap();
        let is_it = |line: &&str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with([' ', '{']))
        };
        let values = text.lines().filter(is_it);
        values
            .map(|line| line.split_whitespace().last().unwrap())
            .map(|value| value.parse::<f64>().unwrap())
            .sum()
    }

    /// How it answers, without a client's token.
    pub async fn status(&self, path: &str) -> u16 {
        let answer = reqwest::get(format!("{}{path}", self.base)).await;
        answer.unwrap().status().as_u16()
    }
}

/// Starts a node that does not come as far as to serve; returns its log.
pub async fn start_in_vain(site: &Site, name: &str, database: &PrivateDatabase<'_>) -> String {
    let gate = Gate::start(Target::Socket(database.server().socket())).await;
    let directory = site.directory.join(name);
    std::fs::create_dir_all(&directory).unwrap();
    let mut program = launch(site, name, &gate, database.name(), &directory);
    assert!(!program.ended().await, "it ended well");
    log_of(&directory)
}

fn log_of(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("server.log")).unwrap()
}

/// Where the database is; the name tells there who writes.
fn url(name: &str, gate: &Gate, database: &str) -> String {
    format!(
        "postgres://livewatt@{}/{database}?sslmode=disable&application_name={name}",
        gate.address
    )
}

fn launch(site: &Site, name: &str, gate: &Gate, database: &str, directory: &Path) -> Program {
    let settings = [
        ("LIVEWATT_STORE__URL", url(name, gate, database)),
        ("LIVEWATT_CLUSTER__NAME", name.to_owned()),
        ("LIVEWATT_CLUSTER__LEASE_SECS", site.lease.to_string()),
        ("LIVEWATT_SECRETS__KEYS", KEY.to_owned()),
        (
            "LIVEWATT_LOG__LEVEL",
            "info,livewatt_engine=debug".to_owned(),
        ),
    ];
    Program::start_with(directory, &site.sandbox_url, &site.public_url, &settings)
}
