//! What must be true of the fleet, every hour and at the end.

use std::collections::BTreeMap;

use livewatt_domain::{Timestamp, event::ENERGY_RESTATED, webhook::Position};
use livewatt_sandbox::Cloud;

use super::{Fleet, count::Breach, figures::Told, ledger::Books, told::Kind};
use crate::support::STEP;

impl Fleet {
    /// What the API shows of one kind of device was seen when its cloud last told of it.
    pub(super) async fn check_hour(&mut self, hour: i64) {
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
    pub(super) async fn expect_explained(&self) {
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

    /// Lets time go by until everything that is logged is delivered.
    pub(super) async fn catch_up(&mut self) {
        for _ in 0..3 * 360 {
            if self.log().await.events == self.ledger.read(|books| books.events) {
                return;
            }
            self.world.advance(STEP * 30).await;
            self.record();
        }
        panic!("the webhook does not catch up");
    }

    /// Books over what the webhook should get of the log.
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
            // The webhook gets what all webhooks do.
            let of_all = |name: &str| name != ENERGY_RESTATED;
            let entries = page.events.iter().map(|entry| &entry.event);
            entries
                .filter(|event| of_all(&event.name))
                .for_each(|event| books.enter(&event.body));
        }
    }

    pub(super) async fn judge(&mut self) {
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
            assert_eq!(books.of_users, log.of_users);
        });
        let failed = self.compare_figures();
        self.compare_freshness(failed).await;
    }

    /// Each value that a cloud told is an event, in the order in which it was told. What is an event
    /// without having been told, by the record, is a push that was taken but whose acknowledgement
    /// did not reach the cloud: it counts that attempt as failed. One push may tell of all devices
    /// of its account, of each one value.
    ///
    /// Returns the number of pushes that failed while the server was there.
    fn compare_figures(&self) -> u64 {
        let names = self.names();
        let (mut compared, mut values, mut doubtful) = (0, 0, 0);
        // By account: values that nobody told, devices that one push can tell of, and of whom.
        let mut unacknowledged: BTreeMap<&str, (u64, u64, Vec<String>)> = BTreeMap::new();
        self.ledger.read(|books| {
            for (id, book) in &books.devices {
                let found = names.get(id).and_then(|name| self.count.devices.get(name));
                let Some(device) = found else {
                    continue;
                };
                let (told, events) = (&device.figures.all, &book.figures.all);
                compared += 1;
                values += events.len();
                doubtful += told.iter().filter(|told| **told == Told::Doubt).count();
                let untold = device.figures.untold_among(events).unwrap_or_else(|index| {
                    let (name, missing, came) = (&names[id], told[index], events.len());
                    panic!("{name} ({id}): {index} of what was told, {missing:?}, is missing among {came} events")
                });
                let of_account = unacknowledged.entry(device.account.as_str()).or_default();
                of_account.0 += untold as u64;
                of_account.1 += 1;
                if untold > 0 {
                    of_account.2.push(format!("{}: {told:?} came as {events:?}", names[id]));
                }
            }
        });
        let (mut failed, mut came_untold) = (0, 0);
        for (id, pushes) in self.pushes_failed() {
            let pushes = pushes - self.knocked.get(&id).copied().unwrap_or(0);
            failed += pushes;
            let (untold, devices, who) = unacknowledged.remove(id.as_str()).unwrap_or_default();
            assert!(
                untold <= pushes * devices,
                "{id}: {untold} values came that nobody told, {pushes} pushes failed: {who:#?}"
            );
            came_untold += untold;
        }
        println!(
            "{values} values of {compared} devices were told and came as events, in the same order; \
             {came_untold} of them by pushes of which {failed} were not acknowledged; {doubtful} times it \
             was told what may be believed or not"
        );
        assert!(
            compared >= self.accounts.len() && doubtful < values / 4,
            "only {compared} devices were compared, {doubtful} of {values} values are in doubt"
        );
        failed
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
