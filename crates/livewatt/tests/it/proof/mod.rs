//! The proof of the fleet: thousands of accounts over all clouds live through a random but seeded
//! half day of faults, restarts and outages, and a count that never asks Livewatt ([`count`]) says whether
//! what was promised was kept. `LIVEWATT_SEED` chooses another one, `LIVEWATT_LONG=1` makes it a
//! month of 2,000 accounts.

pub mod count;
mod figures;
mod judge;
mod ledger;
mod report;
mod script;
mod spans;
pub mod told;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Instant,
};

use livewatt_domain::SignedDuration;
use livewatt_sandbox::{AccountInfo, AccountSpec, Cloud, DeviceKind, SandboxConfig};
use serde_json::json;

use crate::support::{World, loopback, receiver::SECRET};
use count::Count;
use ledger::Ledger;
use script::{Act, Script};
use told::Kind;

/// How large a run is.
struct Size {
    accounts: usize,
    hours: i64,
    /// Faults that begin in an hour.
    faults: u64,
    seed: u64,
}

impl Size {
    fn of_this_run() -> Self {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
        let is_long = std::env::var("LIVEWATT_LONG").is_ok_and(|value| value == "1");
        let (accounts, hours) = if is_long { (2_000, 30 * 24) } else { (200, 12) };
        let accounts = number("LIVEWATT_ACCOUNTS").unwrap_or(accounts);
        Self {
            accounts: accounts as usize,
            hours: number("LIVEWATT_HOURS").map_or(hours, |hours| hours as i64),
            faults: (accounts / 25).max(20),
            seed: number("LIVEWATT_SEED").unwrap_or(20_260_302),
        }
    }
}

/// The fleet, its world and the books about it.
struct Fleet {
    world: World,
    count: Count,
    ledger: Ledger,
    /// Accounts as people know them: passwords change.
    accounts: BTreeMap<String, AccountInfo>,
    /// Those whose credentials were killed and whose users have not noticed.
    killed: BTreeSet<String>,
    added: Vec<String>,
    hints: u64,
    restarts: u64,
    /// Pushes that failed since the server was down, by account: nobody took them.
    knocked: BTreeMap<String, u64>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_under_faults_is_as_fresh_as_promised() {
    let size = Size::of_this_run();
    println!(
        "LIVEWATT_SEED={} ({} accounts, {} hours, {} faults an hour)",
        size.seed, size.accounts, size.hours, size.faults
    );
    let began = Instant::now();
    let mut fleet = Fleet::found(size.accounts).await;
    let accounts: Vec<AccountInfo> = fleet.accounts.values().cloned().collect();
    let start = fleet.world.now();
    let script = Script::new(size.seed, &accounts, start, size.hours, size.faults);
    fleet.count.excuses.extend(script.excuses);
    for (cloud, from, until) in script.cloud_failures {
        fleet.count.failing_cloud(cloud, from, until);
    }
    println!("linked after {:?}", began.elapsed());
    let end = start
        .saturating_add(SignedDuration::from_hours(size.hours))
        .unwrap();
    let mut acts = script.acts.into_iter().peekable();
    let mut checked = 0;
    while fleet.world.now() < end {
        while let Some((_, act)) = acts.next_if(|(at, _)| *at <= fleet.world.now()) {
            fleet = fleet.perform(act).await;
        }
        fleet.step().await;
        let passed = fleet.world.now().duration_since(start).as_secs();
        if passed / 3600 > checked {
            checked += 1;
            fleet.check_hour(checked).await;
        }
    }
    fleet.ledger.set_away(false);
    // A receiver that was away is asked again within two hours at most.
    fleet.catch_up().await;
    fleet.judge().await;
    println!("{:?} in all", began.elapsed());
    fleet.world.shut_down().await;
}

impl Fleet {
    /// Links so many accounts, each for a user of its own named like it.
    async fn found(size: usize) -> Self {
        let config = SandboxConfig {
            record_answers: true,
            ..SandboxConfig::default()
        };
        // Long enough for a machine that stands still for some seconds: an answer that was given and
        // came too late would be in the clouds' record and nowhere else.
        let world =
            World::with_sandbox(config, |settings| settings.vendors.timeout_secs = 10).await;
        let ledger = Ledger::start(loopback().await);
        let body = json!({ "url": ledger.url, "secret": SECRET });
        world
            .api
            .post("/webhooks", Some(body))
            .await
            .expect_status(200);
        let mut fleet = Self {
            world,
            count: Count::default(),
            ledger,
            accounts: BTreeMap::new(),
            killed: BTreeSet::new(),
            added: Vec::new(),
            hints: 0,
            restarts: 0,
            knocked: BTreeMap::new(),
        };
        for index in 0..size {
            let cloud = match index % 20 {
                0..13 => Cloud::Volta,
                13..19 => Cloud::Rivoli,
                _ => Cloud::Helios,
            };
            // Some have two cars.
            let spec = AccountSpec {
                vehicles: Some(1 + u32::from(index % 7 == 0)),
                ..AccountSpec::default()
            };
            let account = fleet.world.sandbox.create_account(cloud, spec).unwrap();
            fleet.count.linked(cloud, &account.id, fleet.world.now());
            fleet.world.link_account(&account.id, &account).await;
            fleet.accounts.insert(account.id.clone(), account);
        }
        fleet.record();
        fleet
    }

    fn record(&mut self) {
        let mut answers = self.world.sandbox.take_answers();
        // Questions about the past say nothing of the present, and are asked beside the fetches.
        answers.retain(|answer| answer.endpoint != "production");
        self.count.take(answers, self.world.now());
    }

    async fn step(&mut self) {
        self.world.step().await;
        self.record();
        // At once: the server remembers its last attempts only.
        self.expect_explained().await;
    }

    async fn perform(mut self, act: Act) -> Self {
        let now = self.world.now();
        match act {
            Act::Faults(entries) => {
                let over: Vec<_> = self.world.sandbox.faults();
                for fault in over
                    .iter()
                    .filter(|fault| fault.spec.until.is_some_and(|until| until <= now))
                {
                    self.world.sandbox.drop_fault(&fault.id).await.unwrap();
                }
                self.world.sandbox.add_script(entries).await.unwrap();
            }
            Act::Restart(minutes) => {
                self.restarts += 1;
                let failed_before = self.pushes_failed();
                self.world = self
                    .world
                    .restart(SignedDuration::from_mins(minutes), |_| ())
                    .await;
                self.count.restarted(now, self.world.now());
                for (account, failed) in self.pushes_failed() {
                    *self.knocked.entry(account.clone()).or_default() +=
                        failed - failed_before.get(&account).copied().unwrap_or(0);
                }
                self.record();
            }
            Act::ReceiverAway(is_away) => self.ledger.set_away(is_away),
            Act::Kill(account) => self.kill(&account.id),
            Act::Relink(account) => self.relink(&account.id).await,
            Act::Hint => self.hint().await,
            Act::AddDevice(account) if account.cloud != Cloud::Helios => {
                let kind = DeviceKind::Vehicle;
                let made = self
                    .world
                    .sandbox
                    .add_device(account.cloud, &account.id, kind)
                    .await
                    .unwrap();
                self.added.extend(made.into_iter().map(|device| device.id));
            }
            Act::RemoveDevice if !self.added.is_empty() => {
                let device = self.added.remove(0);
                self.world.sandbox.remove_device(&device).await.unwrap();
                self.count.removed(&device, now);
            }
            Act::AddDevice(_) | Act::RemoveDevice => {}
        }
        self
    }

    fn kill(&mut self, id: &str) {
        let now = self.world.now();
        let account = self.accounts.get_mut(id).unwrap();
        let sandbox = &self.world.sandbox;
        if account.cloud == Cloud::Rivoli {
            account.password.push('!');
            sandbox
                .set_password(account.cloud, id, &account.password)
                .unwrap();
        }
        sandbox.revoke_tokens(account.cloud, id).unwrap();
        self.count.died(account.cloud, id, now);
        self.killed.insert(id.to_owned());
    }

    /// Links all accounts again whose credentials are dead, but for those killed lately; a vendor
    /// that fails right now is tried again the next time.
    async fn relink(&mut self, id: &str) {
        self.killed.remove(id);
        let mut waiting: Vec<String> = self.count.dead().cloned().collect();
        waiting.retain(|dead| !self.killed.contains(dead));
        waiting.sort();
        for id in waiting {
            let account = self.accounts[&id].clone();
            if self.world.try_link(&id, &account).await.is_ok() {
                self.count.linked(account.cloud, &id, self.world.now());
            }
        }
    }

    /// Hints at some device.
    async fn hint(&mut self) {
        self.hints += 1;
        let hints = self.hints as usize;
        let target = self.ledger.read(|books| {
            let mut ids: Vec<_> = books
                .devices
                .iter()
                .map(|(id, book)| (id.clone(), book.kind))
                .collect();
            ids.sort();
            ids.get(hints * 7919 % ids.len().max(1)).cloned()
        });
        if let Some((id, kind)) = target {
            let path = format!("/{}/{id}/refresh-hint", kind.plural());
            let answer = self.world.api.post(&path, None).await;
            assert!(
                matches!(answer.status.as_u16(), 204 | 404),
                "{}",
                answer.body
            );
        }
    }

    /// Pushes that their cloud counted as failed, by account.
    fn pushes_failed(&self) -> BTreeMap<String, u64> {
        let truth = self.world.sandbox.truth(None, None).unwrap();
        let accounts = truth["accounts"].as_array().unwrap().iter();
        accounts
            .map(|account| {
                let failed = account["stats"]["pushes_failed"].as_u64().unwrap();
                (account["id"].as_str().unwrap().to_owned(), failed)
            })
            .collect()
    }

    /// The sandbox's names of the API's devices.
    fn names(&self) -> HashMap<String, String> {
        self.ledger.read(|books| {
            let named = books.devices.iter().filter_map(|(id, book)| {
                let name = match (&book.vendor_name, book.kind) {
                    (Some(vin), Kind::Vehicle) if vin.starts_with("RVL") => {
                        format!("rc_{}", &vin[vin.len() - 6..])
                    }
                    (Some(name), _) => name.clone(),
                    (None, Kind::Vehicle) => return None,
                    (None, kind) => {
                        let word = if kind == Kind::Hvac {
                            "heatpump"
                        } else {
                            kind.name()
                        };
                        let devices = &self.accounts.get(&book.user)?.devices;
                        devices
                            .iter()
                            .find(|device| device.kind == word)?
                            .id
                            .clone()
                    }
                };
                Some((id.clone(), name))
            });
            named.collect()
        })
    }
}
