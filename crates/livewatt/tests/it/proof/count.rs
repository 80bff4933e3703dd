//! The independent count: how old what a reader knows of each device was at every moment, computed
//! from the sandbox's own record of what it answered to whom. Nothing here asks Livewatt.
//!
//! Two promises are judged.
//! - Of a device: between two answers that tell of it there passes no more than its cadence (by what
//!   it did at the first of them), a tenth for jitter, and one step of the test. More needs a reason:
//!   a bad answer or a fault, a restart, dead credentials.
//! - Of an account: whatever the last visit came to, the next one comes in time. After a good answer
//!   that is the cadence, after a bad one the announced back-off, after a 429 its `Retry-After`. So a
//!   fault explains the age that it causes itself and not an hour more.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use livewatt_domain::{SignedDuration, Timestamp};
use livewatt_sandbox::{Answer, Cloud};

use super::{
    ledger::Figures,
    told::{Doing, Kind, News, devices, pushed},
};

/// One step of the test, and a second of rounding in the timer wheel.
const STEP: SignedDuration = SignedDuration::from_secs(11);
/// Longest wait of an integration's breaker, jitter and spreading included, twice: a probe may be
/// struck by a fault of its own account.
const BREAKER: SignedDuration = SignedDuration::from_secs(2 * (144 + 5) + 60);
/// Accounts that fell due while the server was down are spread over this time.
const RESTART_SPREAD: SignedDuration = SignedDuration::from_secs(60);

/// A span of time in which something explains old data.
#[derive(Debug, Clone)]
pub struct Excuse {
    /// `None`: all of them.
    pub cloud: Option<Cloud>,
    /// Account or device; `None`: all of the cloud.
    pub name: Option<String>,
    pub from: Timestamp,
    pub until: Timestamp,
    pub reason: &'static str,
}

#[derive(Debug)]
struct Account {
    cloud: Cloud,
    /// The latest moment at which the next visit is in time; `None`: none is owed.
    owed_by: Option<Timestamp>,
    failures: u32,
    /// Its credentials are dead: whoever knocks does so to link it again.
    is_dead: bool,
    /// The last visits, in words, for whoever has to find out why.
    visits: VecDeque<String>,
    devices: BTreeSet<String>,
    /// Moments of counted calls within the last day (rivoli).
    calls: VecDeque<Timestamp>,
}

#[derive(Debug)]
pub struct Device {
    pub account: String,
    pub kind: Kind,
    cloud: Cloud,
    doing: Doing,
    /// What it must be asked as often as at least, until the next answer.
    pace: Doing,
    told_at: Timestamp,
    /// When it was last asked about, whatever the answer told.
    asked_at: Timestamp,
    /// What went wrong with visits since it was told of.
    troubles: BTreeSet<&'static str>,
    /// The figure as it was served.
    pub figures: Figures,
    figure_at: Option<Timestamp>,
    /// It was told things that a reader may or must not believe: its figures prove nothing.
    pub is_blurred: bool,
}

/// Ages over time.
#[derive(Debug, Default, Clone)]
pub struct Ages {
    /// Seconds that were spent at an age, by age in steps of ten seconds.
    spent: BTreeMap<i64, i64>,
    pub total: i64,
    pub longest: i64,
}

impl Ages {
    /// A device was told of twice, so many seconds apart: its age went from 0 to that.
    pub fn add(&mut self, gap: i64) {
        for age in (0..gap).step_by(10) {
            *self.spent.entry(age + 10).or_default() += (gap - age).min(10);
        }
        self.total += gap;
        self.longest = self.longest.max(gap);
    }

    /// The age not exceeded for a share of the time, seconds.
    pub fn quantile(&self, share: f64) -> i64 {
        let mut left = (self.total as f64 * share) as i64;
        for (age, spent) in &self.spent {
            left -= spent;
            if left <= 0 {
                return *age;
            }
        }
        self.longest
    }
}

/// Data older than promised.
#[derive(Debug, Clone)]
pub struct Breach {
    pub device: String,
    pub from: Timestamp,
    pub until: Timestamp,
    pub reasons: BTreeSet<&'static str>,
}

/// The count.
#[derive(Debug, Default)]
pub struct Count {
    accounts: HashMap<String, Account>,
    pub devices: HashMap<String, Device>,
    pub excuses: Vec<Excuse>,
    /// By cloud, kind and activity.
    pub ages: BTreeMap<(Cloud, Kind, Doing), Ages>,
    pub breaches: Vec<Breach>,
    /// What nothing explains, in words.
    pub wrong: Vec<String>,
    pub reads: u64,
    pub bad_visits: BTreeMap<&'static str, u64>,
    app_calls: VecDeque<Timestamp>,
    pub busiest: [usize; 3],
}

fn plus(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap()
}

fn with_jitter(interval: SignedDuration) -> SignedDuration {
    interval + interval / 10 + STEP
}

/// The longest permitted wait after so many failures in a row.
fn backoff(failures: u32) -> SignedDuration {
    let wait = (30_i64 << (failures.clamp(1, 10) - 1)).min(900);
    SignedDuration::from_secs(wait * 12 / 10) + STEP
}

impl Count {
    /// An account was linked, or linked again: it is owed a visit at once.
    pub fn linked(&mut self, cloud: Cloud, id: &str, at: Timestamp) {
        let account = self.account(cloud, id);
        account.failures = 0;
        account.is_dead = false;
        account.owed_by = Some(plus(at, STEP));
    }

    /// The credentials of an account are dead from now on, and whoever tries them learns it.
    pub fn died(&mut self, cloud: Cloud, id: &str) {
        let account = self.account(cloud, id);
        account.owed_by = None;
        account.is_dead = true;
        for device in account.devices.clone() {
            if let Some(device) = self.devices.get_mut(&device) {
                device.troubles.insert("dead credentials");
            }
        }
    }

    /// The accounts whose credentials are dead.
    pub fn dead(&self) -> impl Iterator<Item = &String> {
        let dead = self.accounts.iter().filter(|(_, account)| account.is_dead);
        dead.map(|(id, _)| id)
    }

    /// A device was taken away: nothing more is owed for it.
    pub fn removed(&mut self, device: &str) {
        if let Some(gone) = self.devices.remove(device)
            && let Some(account) = self.accounts.get_mut(&gone.account)
        {
            account.devices.remove(device);
        }
    }

    /// The server was down and is up again. It plans anew: by what devices do now, and pushes may
    /// have told that since the last visit.
    pub fn restarted(&mut self, from: Timestamp, until: Timestamp) {
        for account in self.accounts.values_mut() {
            let devices = account.devices.iter();
            let planned = devices
                .filter_map(|device| self.devices.get(device))
                .map(|device| {
                    let cadence = device.kind.cadence(device.pace);
                    plus(device.asked_at, with_jitter(cadence))
                })
                .min();
            if let Some(owed_by) = &mut account.owed_by {
                *owed_by = (*owed_by).max(plus(until, RESTART_SPREAD + STEP));
                *owed_by = planned.map_or(*owed_by, |planned| planned.max(*owed_by));
            }
        }
        self.excuses.push(Excuse {
            cloud: None,
            name: None,
            from,
            until: plus(until, RESTART_SPREAD + STEP),
            reason: "restart",
        });
    }

    /// A whole cloud fails for a while: its breaker may keep visits back for a little longer.
    pub fn failing_cloud(&mut self, cloud: Cloud, from: Timestamp, until: Timestamp) {
        self.excuses.push(Excuse {
            cloud: Some(cloud),
            name: None,
            from,
            until: plus(until, BREAKER),
            reason: "cloud",
        });
    }

    fn account(&mut self, cloud: Cloud, id: &str) -> &mut Account {
        self.accounts
            .entry(id.to_owned())
            .or_insert_with(|| Account {
                cloud,
                owed_by: None,
                failures: 0,
                is_dead: false,
                visits: VecDeque::new(),
                devices: BTreeSet::new(),
                calls: VecDeque::new(),
            })
    }

    /// Takes what was answered within one step of the test.
    pub fn take(&mut self, answers: Vec<Answer>) {
        let mut visits: BTreeMap<String, Vec<Answer>> = BTreeMap::new();
        for answer in answers {
            self.count_call(&answer);
            match answer.endpoint {
                "push" => self.take_push(&answer),
                "subscription" | "authorize" | "command" => {}
                _ => visits
                    .entry(answer.account.clone())
                    .or_default()
                    .push(answer),
            }
        }
        for (account, answers) in visits {
            self.take_visit(&account, &answers);
        }
    }

    /// Counts a call against rivoli's quotas: 40 in ten minutes and 3,000 in a day for an account,
    /// 20,000 in ten minutes for the app. Refused calls are not counted there, so neither here.
    fn count_call(&mut self, answer: &Answer) {
        if answer.cloud != Cloud::Rivoli
            || !matches!(answer.endpoint, "car" | "cars" | "command")
            || matches!(answer.status, 401 | 429)
        {
            return;
        }
        let (at, [mut in_10_minutes, mut in_a_day, mut of_app]) = (answer.at, self.busiest);
        let since = |minutes: i64| {
            at.saturating_sub(SignedDuration::from_mins(minutes))
                .unwrap()
        };
        let calls = &mut self.account(Cloud::Rivoli, &answer.account.clone()).calls;
        calls.push_back(at);
        while calls.front().is_some_and(|call| *call <= since(24 * 60)) {
            calls.pop_front();
        }
        in_a_day = in_a_day.max(calls.len());
        in_10_minutes = in_10_minutes.max(
            calls
                .iter()
                .rev()
                .take_while(|call| **call > since(10))
                .count(),
        );
        self.app_calls.push_back(at);
        while self
            .app_calls
            .front()
            .is_some_and(|call| *call <= since(10))
        {
            self.app_calls.pop_front();
        }
        of_app = of_app.max(self.app_calls.len());
        self.busiest = [in_10_minutes, in_a_day, of_app];
    }

    fn take_push(&mut self, answer: &Answer) {
        let is_dead = self.account(answer.cloud, &answer.account.clone()).is_dead;
        for (vehicle, level, at) in pushed(answer) {
            if let Some(device) = self.devices.get_mut(&vehicle)
                && at >= device.figure_at
            {
                device.figures.take(Some(level));
                device.figure_at = at;
                // Dead credentials may have been noticed or not: then it is taken, or is nobody's.
                device.is_blurred |= is_dead;
            }
        }
    }

    fn take_visit(&mut self, id: &str, answers: &[Answer]) {
        let (cloud, at) = (answers[0].cloud, answers[0].at);
        self.account(cloud, id);
        let is_read = |a: &&Answer| matches!(a.endpoint, "account" | "car" | "live");
        self.reads += answers.iter().filter(is_read).count() as u64;
        let faults: BTreeSet<&'static str> =
            answers.iter().flat_map(|a| a.faults.clone()).collect();
        // A car that its cloud cannot reach, or no longer has, is an answer too; and so is a mere list
        // of devices, of which the rest is asked next.
        let is_well = |answer: &Answer| matches!(answer.status, 200 | 201);
        let is_list = |answer: &Answer| {
            !matches!(answer.endpoint, "cars" | "sites") || !answer.body.is_null()
        };
        let is_limited = answers.iter().any(|a| a.status == 429);
        let is_good = !is_limited
            && (answers
                .iter()
                .all(|a| !is_read(&a) && is_well(a) && is_list(a))
                || answers.iter().filter(is_read).any(|a| match a.status {
                    200 => !a.body.is_null(),
                    404 | 408 => true,
                    _ => false,
                }));
        self.judge_promptness(id, at);
        let mut owed_by = Timestamp::MAX;
        for answer in answers.iter().filter(is_read) {
            if answer.body.is_null()
                && is_good
                && let Some(device) = &answer.device
                && let Some(device) = self.devices.get_mut(device)
            {
                // Its cloud is well: the trouble is the car's own, and it waits for its turn.
                device.asked_at = at;
                device.troubles.insert(match answer.status {
                    404 => "gone",
                    408 => "offline",
                    _ => "device",
                });
            }
            for told in devices(answer) {
                self.devices_of(id).insert(told.device.clone());
                self.tell(id, cloud, at, &told.device, told.kind, told.news, &faults);
            }
        }
        for device in self.accounts[id].devices.clone() {
            let device = self.devices.get_mut(&device).unwrap();
            if is_good && cloud != Cloud::Rivoli {
                // One call asks about all of them, told or not.
                device.asked_at = at;
            }
            if device.told_at != at {
                device.troubles.extend(&faults);
            }
            owed_by = owed_by.min(plus(
                device.asked_at,
                with_jitter(device.kind.cadence(device.pace)),
            ));
        }
        let account = self.accounts.get_mut(id).unwrap();
        let said: Vec<_> = answers
            .iter()
            .map(|a| (a.endpoint, a.device.clone(), a.status))
            .collect();
        account
            .visits
            .push_back(format!("{at} {said:?} {faults:?}"));
        if account.visits.len() > 6 {
            account.visits.pop_front();
        }
        let retry_after = answers.iter().filter_map(|a| a.retry_after_seconds).max();
        // A refused refresh is the end; rivoli has none and logs in again.
        let is_dead = faults.contains("dead_token") && cloud != Cloud::Rivoli && !is_good;
        account.owed_by = if is_dead || account.is_dead {
            None
        } else if is_good {
            account.failures = 0;
            Some(owed_by.min(plus(at, SignedDuration::from_mins(23))))
        } else if let Some(seconds) = retry_after {
            Some(plus(
                at,
                SignedDuration::from_secs(i64::from(seconds) + 10) + STEP,
            ))
        } else {
            account.failures += 1;
            Some(plus(at, backoff(account.failures)))
        };
        if is_dead {
            self.died(cloud, id);
        }
        if !is_good {
            for fault in &faults {
                *self.bad_visits.entry(fault).or_default() += 1;
            }
            if faults.is_empty() {
                let endpoints: Vec<_> = answers.iter().map(|a| (a.endpoint, a.status)).collect();
                // Tokens that were revoked are refused without any fault.
                if !endpoints
                    .iter()
                    .any(|(_, status)| matches!(status, 400 | 401))
                {
                    self.note(format!(
                        "{id} at {at}: a bad visit without a fault: {endpoints:?}"
                    ));
                }
                self.died(cloud, id);
            }
        }
    }

    fn devices_of(&mut self, account: &str) -> &mut BTreeSet<String> {
        &mut self.accounts.get_mut(account).unwrap().devices
    }

    /// Whether a visit, or the end of the count, comes when it was owed.
    fn judge_promptness(&mut self, id: &str, at: Timestamp) {
        let account = &self.accounts[id];
        let Some(owed_by) = account.owed_by.filter(|owed_by| at > *owed_by) else {
            return;
        };
        let is_excused = self.excuses.iter().any(|excuse| {
            excuse.name.is_none()
                && excuse.cloud.is_none_or(|cloud| cloud == account.cloud)
                && excuse.from <= at
                && excuse.until >= owed_by
                && at <= excuse.until.max(owed_by)
        });
        if !is_excused {
            let text = format!(
                "{id}: visited at {at}, owed by {owed_by}, {} failures, after {:#?}",
                account.failures, account.visits
            );
            self.note(text);
        }
    }

    fn note(&mut self, what: String) {
        if self.wrong.len() < 40 {
            self.wrong.push(what);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "who told what of whom, when")]
    fn tell(
        &mut self,
        account: &str,
        cloud: Cloud,
        at: Timestamp,
        name: &str,
        kind: Kind,
        news: Option<News>,
        faults: &BTreeSet<&'static str>,
    ) {
        let is_new = !self.devices.contains_key(name);
        let device = self
            .devices
            .entry(name.to_owned())
            .or_insert_with(|| Device {
                account: account.to_owned(),
                kind,
                cloud,
                doing: Doing::Regular,
                pace: Doing::Regular,
                told_at: at,
                asked_at: at,
                troubles: BTreeSet::new(),
                figures: Figures::default(),
                figure_at: None,
                is_blurred: false,
            });
        device.asked_at = at;
        device.is_blurred |= faults.contains("clock_skew");
        let Some(news) = news else {
            // Lost to its cloud, or nonsense: asked about at the pace of what is not known to do
            // anything, and no younger for it.
            device.is_blurred |= faults.contains("garbage");
            device.troubles.extend(faults);
            device.troubles.insert("nothing told");
            // Nonsense may sound like a car asleep.
            device.pace = match cloud {
                Cloud::Rivoli => Doing::Asleep,
                _ => Doing::Regular,
            };
            return;
        };
        // A time in the future is no more than now; and what is older than what is known does not count.
        let figure_at = news.at.map(|told| told.min(at));
        if figure_at >= device.figure_at {
            device.figures.take(news.figure);
            device.figure_at = figure_at;
        }
        if !is_new {
            self.close_gap(name, at);
        }
        let device = self.devices.get_mut(name).unwrap();
        // What comes with an old time may not be believed, and the device keep another pace.
        let is_doubtful = faults.contains("clock_skew") && news.doing == Doing::Active;
        device.pace = if is_doubtful {
            Doing::Regular
        } else {
            news.doing
        };
        device.doing = news.doing;
        device.told_at = at;
        device.troubles.clear();
    }

    fn close_gap(&mut self, name: &str, at: Timestamp) {
        let device = &self.devices[name];
        let gap = at.duration_since(device.told_at);
        let (cloud, kind, doing) = (device.cloud, device.kind, device.doing);
        self.ages
            .entry((cloud, kind, doing))
            .or_default()
            .add(gap.as_secs());
        let told_at = device.told_at;
        if gap <= with_jitter(kind.cadence(doing)) {
            return;
        }
        let mut reasons = device.troubles.clone();
        for excuse in &self.excuses {
            let is_mine = excuse.cloud.is_none_or(|cloud| cloud == device.cloud)
                && excuse
                    .name
                    .as_ref()
                    .is_none_or(|n| *n == name || *n == device.account);
            if is_mine && excuse.from <= at && excuse.until >= told_at {
                reasons.insert(excuse.reason);
            }
        }
        if reasons.is_empty() {
            let text = format!("{name} ({kind:?}, {doing:?}): {gap:?} old at {at} for no reason");
            self.note(text);
        }
        self.breaches.push(Breach {
            device: name.to_owned(),
            from: plus(told_at, kind.cadence(doing)),
            until: at,
            reasons,
        });
    }

    /// Ends the count: whatever is owed by now must have been done.
    pub fn finish(&mut self, now: Timestamp) {
        let ids: Vec<String> = self.accounts.keys().cloned().collect();
        for id in ids {
            self.judge_promptness(&id, now);
        }
    }

    /// When a device was last told of.
    pub fn told_at(&self, device: &str) -> Option<Timestamp> {
        Some(self.devices.get(device)?.told_at)
    }

    /// The last visits to the account of a device, in words.
    pub fn visits(&self, device: &str) -> String {
        let account = &self.accounts[&self.devices[device].account];
        format!("{:#?}", account.visits)
    }
}
