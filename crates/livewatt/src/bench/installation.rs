//! An installation to measure: a real database on disk with accounts put straight into it, and a
//! real engine over it whose only vendor is the minimal one.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context as _, ensure};
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use livewatt_domain::{
    SignedDuration, Timestamp,
    account::{Account, AccountSchedule, AccountStatus, LinkedVendor},
    client::Client,
    clock::Clock,
    device::{Device, NewDevice},
    entropy::{Entropy as _, SeededEntropy},
    fact::Observation,
    id::{AccountId, ClientId, DeviceId, LinkSessionId, UserId},
    kind::DeviceKind,
    link::{LinkProgress, LinkSession, LinkState},
    merge::{Part as MergedPart, discover, merge},
    scope::Scope,
};
use livewatt_engine::{Engine, EngineOptions, EngineParts, SystemEntropy, Vault};
use livewatt_store::{
    AccountChange, CommitStats, CredentialsChange, DeviceChange, PostgresOptions, PostgresStore,
    PresenceFlush, SqliteOptions, SqliteStore, Store, UnitOfWork,
};
use livewatt_vendors::{
    Registry, Secret,
    vendor::SharedVendor,
    volta::{Volta, VoltaOptions},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Plan;

/// Accounts of one user: what a user's row costs is not what is measured.
const ACCOUNTS_OF_A_USER: u32 = 100;
/// Accounts written at the same time.
const WRITTEN_AT_ONCE: usize = 256;
/// A token good for longer than any bench.
const FOREVER: &str = "2200-01-01T00:00:00Z";
/// What volta's pushes are signed with.
pub(super) const APP_SECRET: &str = "bench-app-secret";

/// What the client of a bench is called.
const CLIENT: &str = "Bench";

/// Where a database is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// In a directory, as a file.
    Directory(PathBuf),
    /// At a PostgreSQL server, by its address.
    Server(String),
}

/// A directory that goes when it is dropped.
#[derive(Debug)]
pub(super) struct Directory(pub(super) PathBuf);

impl Directory {
    /// A new one below `base`, or below the system's directory for such.
    pub(super) fn make(base: Option<&PathBuf>) -> Self {
        let base = base.cloned().unwrap_or_else(std::env::temp_dir);
        Self(base.join(format!("livewatt-bench-{:016x}", SystemEntropy.next_u64())))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed is in the system's directory for such.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A database to which accounts are being added.
#[derive(Debug)]
pub(super) struct Installation {
    pub(super) directory: Directory,
    pub(super) client: ClientId,
    pub(super) opened: Opened,
}

/// A database and the key of its secrets.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) store: Arc<dyn Store>,
    pub(super) place: Place,
    pub(super) key: String,
    sqlite: Option<Arc<SqliteStore>>,
}

/// An account to be added.
#[derive(Debug)]
pub(super) struct NewAccount {
    /// Its number at the vendor.
    pub(super) number: u32,
    /// When it is first fetched.
    pub(super) due_at: Timestamp,
    /// What its vendor said of its device, if that is known already.
    pub(super) seen: Option<Observation>,
}

impl Installation {
    /// An empty database with one client.
    pub(super) async fn make(plan: &Plan, now: Timestamp) -> anyhow::Result<Self> {
        let directory = Directory::make(plan.directory.as_ref());
        // A database remembers its key, and one at a server is used again by the next bench: it has
        // no secrets but those of the bench's own vendor.
        let key = Vault::generate_key(&SeededEntropy::new(1)).to_string();
        let place = match &plan.database_url {
            Some(url) => Place::Server(url.clone()),
            None => Place::Directory(directory.0.clone()),
        };
        let opened = Opened::open(&place, key).await?;
        clear(opened.store.as_ref()).await?;
        let client = Client {
            id: ClientId::new(now, &SystemEntropy),
            name: CLIENT.to_owned(),
            created_at: now,
            connection_limit: None,
        };
        let id = client.id;
        let store = &opened.store;
        store.create_client(client, "no secret".to_owned()).await?;
        Ok(Self {
            directory,
            client: id,
            opened,
        })
    }

    /// Adds accounts with sealed credentials, as linking them would have.
    pub(super) async fn add(
        &self,
        accounts: impl Stream<Item = anyhow::Result<NewAccount>>,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let vault = Vault::from_text(&self.opened.key)?;
        let fences = self.opened.store.take_fences().await?;
        let (vault, fences) = (&vault, &fences);
        accounts
            // One after the other: the accounts of a user come after it.
            .then(|new| async move {
                let new = new?;
                let user: UserId = format!("user-{}", new.number / ACCOUNTS_OF_A_USER).parse()?;
                if new.number.is_multiple_of(ACCOUNTS_OF_A_USER) {
                    self.add_user(user.clone(), now).await?;
                }
                anyhow::Ok((new, user))
            })
            .map(|found| async move {
                let (new, user) = found?;
                let account = self.account(new.number, user, now)?;
                let mut unit = UnitOfWork::new(Some(fences.of(account.id.partition())));
                let mut quiet = PresenceFlush::default();
                if let Some(seen) = &new.seen {
                    let device = device(&account, seen)?;
                    quiet.seen.push((device.id, device.last_seen));
                    unit.devices.push(DeviceChange::Insert(device));
                }
                let secret = credentials(new.number);
                let sealed = vault.seal(secret.reveal(), &account.id.to_string(), &SystemEntropy);
                unit.accounts.push(AccountChange::Save {
                    account,
                    from_credentials: None,
                    credentials: CredentialsChange::Replace(sealed),
                    schedule: Some(AccountSchedule::new(Some(new.due_at))),
                });
                self.opened.store.commit(unit).await?;
                self.opened.store.flush_presence(quiet).await?;
                anyhow::Ok(())
            })
            .buffered(WRITTEN_AT_ONCE)
            .try_collect::<()>()
            .await
            .context("the accounts cannot be stored")
    }

    fn account(&self, number: u32, user_id: UserId, now: Timestamp) -> anyhow::Result<Account> {
        Ok(Account {
            id: AccountId::new(now, &SystemEntropy),
            client_id: self.client,
            user_id,
            integration: "volta".to_owned(),
            vendor_account_id: format!("bench-{number}"),
            linked: vec![LinkedVendor {
                vendor: "TESLA".parse()?,
                kind: DeviceKind::Vehicle,
            }],
            scopes: Scope::of_kind(DeviceKind::Vehicle).collect(),
            status: AccountStatus::Active,
            // Before anything was read of it.
            created_at: now.saturating_sub(SignedDuration::from_hours(24))?,
            listed_at: None,
            credentials_version: 1,
        })
    }

    /// Closes the database; one in a directory stays for as long as that is held.
    pub(super) fn close(self) -> (Directory, Place, String) {
        (self.directory, self.opened.place, self.opened.key)
    }

    /// Users come with their first link session.
    async fn add_user(&self, user_id: UserId, now: Timestamp) -> anyhow::Result<()> {
        let mut hash = [0; 32];
        SystemEntropy.fill(&mut hash);
        let session = LinkSession {
            id: LinkSessionId::new(now, &SystemEntropy),
            client_id: self.client,
            user_id,
            scopes: Vec::new(),
            language: "browser".to_owned(),
            redirect_uri: "http://127.0.0.1/".to_owned(),
            color_scheme: "system".to_owned(),
            vendor: None,
            kind: None,
            relink: None,
            created_at: now,
            state: LinkState::Open,
            progress: LinkProgress::default(),
        };
        Ok(self.opened.store.create_link_session(session, hash).await?)
    }
}

impl Opened {
    /// Opens a database again.
    pub(super) async fn open(place: &Place, key: String) -> anyhow::Result<Self> {
        let mut sqlite = None;
        let store: Arc<dyn Store> = match place {
            Place::Directory(directory) => {
                let options = SqliteOptions::new(directory);
                let open = move || SqliteStore::open(&options);
                let store = Arc::new(tokio::task::spawn_blocking(open).await??);
                sqlite = Some(store.clone());
                store
            }
            Place::Server(url) => {
                let store = PostgresStore::open(&PostgresOptions::new(url)).await;
                Arc::new(store.context("the database of --database-url cannot be used")?)
            }
        };
        Ok(Self {
            store,
            place: place.clone(),
            key,
            sqlite,
        })
    }

    /// How writes are grouped; nothing where that is not counted.
    pub(super) fn commit_stats(&self) -> CommitStats {
        let sqlite = self.sqlite.as_deref();
        sqlite.map(SqliteStore::commit_stats).unwrap_or_default()
    }

    /// Starts an engine over it that reads from this vendor. Its loops do not run yet.
    pub(super) async fn start(
        &self,
        vendor: SocketAddr,
        clock: Arc<dyn Clock>,
        tune: impl FnOnce(&mut EngineOptions),
    ) -> anyhow::Result<Arc<Engine>> {
        let mut options = engine_options()?;
        tune(&mut options);
        Engine::start(EngineParts {
            store: self.store.clone(),
            vendors: Registry::new(vec![volta(vendor)?]),
            clock,
            entropy: Arc::new(SystemEntropy),
            vault: Vault::from_text(&self.key)?,
            options,
        })
        .await
        .context("the engine cannot start")
    }
}

/// Removes what an earlier bench left in a database; refuses one that holds anything else.
async fn clear(store: &dyn Store) -> anyhow::Result<()> {
    for client in store.list_clients().await? {
        ensure!(
            client.name == CLIENT,
            "the database holds the client {:?}: give an empty one, since a bench fills it",
            client.name
        );
        store.delete_client(client.id).await?;
    }
    Ok(())
}

/// The usual settings; nobody calls the public address.
pub(super) fn engine_options() -> anyhow::Result<EngineOptions> {
    Ok(EngineOptions::new("http://127.0.0.1:1/".parse()?))
}

/// The real adapter, in front of the minimal vendor.
pub(super) fn volta(vendor: SocketAddr) -> anyhow::Result<SharedVendor> {
    Ok(Arc::new(Volta::new(VoltaOptions {
        base_url: format!("http://{vendor}/volta").parse()?,
        client_id: "bench".to_owned(),
        client_secret: Secret::new(APP_SECRET.to_owned()),
    })))
}

/// What volta's adapter would have kept of a sign-in.
pub(super) fn credentials(number: u32) -> Secret {
    Secret::new(format!(
        r#"{{"access":"bench-{number}","refresh":"bench-{number}","usable_until":"{FOREVER}"}}"#
    ))
}

/// The device that an account has after this was said of it.
fn device(account: &Account, seen: &Observation) -> anyhow::Result<Device> {
    let vendor = account.vendor_of(seen.device.kind).cloned();
    let found = discover(
        NewDevice {
            id: DeviceId::new(account.created_at, &SystemEntropy),
            client_id: account.client_id,
            user_id: account.user_id.clone(),
            account_id: account.id,
            vendor_device: seen.device.clone(),
            vendor: vendor.context("its kind is linked")?,
            brand: "Tesla (sandbox)".to_owned(),
            scopes: account.scopes.clone(),
            found_at: account.created_at,
        },
        seen,
    );
    Ok(merge(&found, seen, MergedPart::Everything).device)
}

/// The engine's loops, as they run in a server.
#[derive(Debug)]
pub(super) struct Loops {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Loops {
    pub(super) fn start(engine: Arc<Engine>) -> Self {
        let stop = CancellationToken::new();
        Self {
            task: tokio::spawn(livewatt_engine::runtime::run(engine, stop.clone())),
            stop,
        }
    }

    /// Lets what is under way end.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.task.await.context("the loops broke")
    }
}
