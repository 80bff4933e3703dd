//! The proof of the fleet: thousands of accounts over all clouds live through a random but seeded
//! day of faults, restarts and outages, and a count that never asks Livewatt ([`count`]) says whether
//! what was promised was kept. `LIVEWATT_SEED` chooses another day, `LIVEWATT_LONG=1` makes it a
//! month of 2,000 accounts.

pub mod count;
mod ledger;
mod script;
pub mod told;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Instant,
};

use livewatt_domain::{SignedDuration, Timestamp, webhook::Position};
use livewatt_sandbox::{AccountInfo, AccountSpec, Cloud, DeviceKind, SandboxConfig};
use serde_json::json;

use crate::support::{STEP, World, loopback, receiver::SECRET};
use count::{Breach, Count};
use ledger::{Books, Ledger};
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
        let (accounts, hours) = if is_long { (2_000, 30 * 24) } else { (400, 24) };
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
        let world = World::with_sandbox(config, |settings| settings.vendors.timeout_secs = 2).await;
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
        self.count.take(self.world.sandbox.take_answers());
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
                self.world = self
                    .world
                    .restart(SignedDuration::from_mins(minutes), |_| ())
                    .await;
                self.count.restarted(now, self.world.now());
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
                self.count.removed(&device);
            }
            Act::AddDevice(_) | Act::RemoveDevice => {}
        }
        self
    }

    fn kill(&mut self, id: &str) {
        let account = self.accounts.get_mut(id).unwrap();
        let sandbox = &self.world.sandbox;
        if account.cloud == Cloud::Rivoli {
            account.password.push('!');
            sandbox
                .set_password(account.cloud, id, &account.password)
                .unwrap();
        }
        sandbox.revoke_tokens(account.cloud, id).unwrap();
        self.count.died(account.cloud, id);
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

    /// What the API shows of one kind of device was seen when its cloud last told of it.
    async fn check_hour(&mut self, hour: i64) {
        let kind = Kind::ALL[hour as usize % 6];
        let names = self.names();
        let mut compared = 0;
        for device in self.world.api.all(kind.plural()).await {
            let Some(name) = names.get(device["id"].as_str().unwrap()) else {
                continue;
            };
            if let Some(told_at) = self.count.told_at(name)
                && device["isReachable"] == true
            {
                compared += 1;
                let seen: Timestamp = device["lastSeen"].as_str().unwrap().parse().unwrap();
                assert!(
                    seen >= told_at,
                    "{name}: told of at {told_at}, lastSeen {seen}, after {}",
                    self.count.visits(name)
                );
            }
        }
        assert!(compared > 0, "no {} were compared", kind.plural());
        let wrong = self.ledger.read(|books| std::mem::take(&mut books.wrong));
        assert!(wrong.is_empty(), "events that cannot be: {wrong:#?}");
        self.expect_explained().await;
    }

    /// Fails if the count has found what nothing explains; tells what the server says of it.
    async fn expect_explained(&self) {
        let Some(first) = self.count.wrong.first() else {
            return;
        };
        for (id, name) in self.names() {
            let device = self.count.devices.get(&name);
            if first.contains(&name) || device.is_some_and(|device| first.contains(&device.account))
            {
                let kind = self.ledger.read(|books| books.devices[&id].kind);
                let path = format!("/{}/{id}/freshness", kind.plural());
                println!("{name}: {}", self.world.api.get(&path).await.body);
            }
        }
        panic!("nothing explains: {:#?}", self.count.wrong);
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

    /// Lets time go by until everything that is logged is delivered.
    async fn catch_up(&mut self) {
        for _ in 0..3 * 360 {
            if self.log().await.events == self.ledger.read(|books| books.events) {
                return;
            }
            self.world.advance(STEP * 30).await;
            self.record();
        }
        panic!("the webhook does not catch up");
    }

    /// Books over the whole log.
    async fn log(&self) -> Books {
        let mut books = Books::default();
        let mut after = Position::default();
        loop {
            let page = self
                .world
                .engine()
                .events_after(self.world.client, after, 500)
                .await
                .unwrap();
            let Some(last) = page.events.last() else {
                return books;
            };
            after = last.position;
            page.events
                .iter()
                .for_each(|entry| books.enter(&entry.event.body));
        }
    }

    async fn judge(&mut self) {
        self.count.finish(self.world.now());
        self.print();
        self.expect_explained().await;
        let truth = self.world.sandbox.truth(Some(Cloud::Rivoli), None).unwrap();
        assert_eq!(truth["stats"]["quota_exceeded"], 0, "a quota was exceeded");
        let [in_10_minutes, in_a_day, of_app] = self.count.busiest;
        assert!(
            in_10_minutes <= 40 && in_a_day <= 3_000 && of_app <= 20_000,
            "{:?}",
            self.count.busiest
        );
        let log = self.log().await;
        self.ledger.read(|books| {
            assert!(
                books.wrong.is_empty(),
                "events that cannot be: {:#?}",
                books.wrong
            );
            assert_eq!(books.events, log.events);
            assert_eq!(books.devices.len(), log.devices.len());
            for (id, book) in &books.devices {
                assert_eq!(
                    book.chain, log.devices[id].chain,
                    "{id}: webhook and log differ"
                );
            }
            assert_eq!(books.invalidated, log.invalidated);
        });
        self.compare_figures();
    }

    /// Each value that a cloud told is an event, in the order in which it was told. What is an event
    /// without having been told, by the record, is a push that was taken but whose acknowledgement
    /// did not reach the cloud: it counts that attempt as failed.
    fn compare_figures(&self) {
        let names = self.names();
        let (mut compared, mut values, mut unacknowledged) = (0, 0, 0);
        self.ledger.read(|books| {
            for (id, book) in &books.devices {
                let found = names.get(id).and_then(|name| self.count.devices.get(name));
                let Some(device) = found.filter(|device| !device.is_blurred) else {
                    continue;
                };
                compared += 1;
                values += book.figures.all.len();
                let same = |ours: &Option<f64>, theirs: &Option<f64>| match (ours, theirs) {
                    (Some(ours), Some(theirs)) => (ours - theirs).abs() < 1e-6,
                    (ours, theirs) => ours == theirs,
                };
                let (told, events) = (&device.figures.all, &book.figures.all);
                let mut rest = events.iter();
                for (index, value) in told.iter().enumerate() {
                    let skipped = rest.position(|event| same(value, event));
                    let skipped = skipped.unwrap_or_else(|| {
                        let name = &names[id];
                        let (told, came) = (told.len(), events.len());
                        panic!(
                            "{name} ({id}): value {index} of {told}, {value:?}, is missing among {came} events"
                        )
                    });
                    unacknowledged += skipped;
                }
                unacknowledged += rest.count();
            }
        });
        let truth = self.world.sandbox.truth(None, None).unwrap();
        let accounts = truth["accounts"].as_array().unwrap();
        let failed = accounts
            .iter()
            .map(|account| account["stats"]["pushes_failed"].as_u64().unwrap())
            .sum::<u64>();
        assert!(
            unacknowledged as u64 <= failed,
            "{unacknowledged} values came that nobody told, {failed} pushes failed"
        );
        println!(
            "{values} values of {compared} devices were told and came as events, in the same order; \
             {unacknowledged} of them by pushes of which {failed} were not acknowledged"
        );
        assert!(
            compared > self.accounts.len() / 2,
            "only {compared} devices were compared"
        );
    }

    fn print(&self) {
        let count = &self.count;
        let events = self.ledger.read(|books| books.events);
        let (taken, refused) = self.ledger.deliveries();
        println!(
            "{} reads, {events} events in {taken} deliveries ({refused} refused), {} hints, {} restarts",
            count.reads, self.hints, self.restarts,
        );
        println!("bad visits by fault: {:?}", count.bad_visits);
        println!(
            "busiest: {:?} calls (account in 10 min, account in a day, app in 10 min)",
            count.busiest
        );
        println!(
            "{:<8} {:<9} {:<8} {:>8} {:>6} {:>6} {:>6} {:>8}",
            "cloud", "kind", "doing", "promise", "p50 s", "p99 s", "max s", "hours"
        );
        for ((cloud, kind, doing), ages) in &count.ages {
            println!(
                "{:<8} {:<9} {:<8} {:>8} {:>6} {:>6} {:>6} {:>8}",
                cloud.name(),
                kind.name(),
                format!("{doing:?}"),
                kind.cadence(*doing).as_secs(),
                ages.quantile(0.5),
                ages.quantile(0.99),
                ages.longest,
                ages.total / 3600,
            );
        }
        let mut reasons: BTreeMap<String, (u64, i64)> = BTreeMap::new();
        for breach in &count.breaches {
            let names: Vec<_> = breach.reasons.iter().copied().collect();
            let entry = reasons.entry(names.join("+")).or_default();
            entry.0 += 1;
            entry.1 = entry
                .1
                .max(breach.until.duration_since(breach.from).as_secs());
        }
        println!("{} times older than promised:", count.breaches.len());
        for (reason, (times, longest)) in reasons {
            println!("  {times:>5} x {reason}, at most {longest} s too old");
        }
        let length = |breach: &&Breach| breach.until.duration_since(breach.from);
        if let Some(breach) = count.breaches.iter().max_by_key(length) {
            println!("the longest: {} until {}", breach.device, breach.until);
        }
    }
}
