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
use livewatt_sandbox::Cloud;

use super::{
    figures::ToldFigures,
    spans::{Certainty, Spans},
    told::{Doing, Kind},
};

mod gaps;
mod quotas;
mod visits;

pub use gaps::{Ages, Breach};

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
    pub figures: ToldFigures,
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
    /// What comes of the same record for the freshness report.
    pub spans: Spans,
    /// Accounts whose credentials are dead, and by when the server must have noticed.
    unnoticed: Vec<(Timestamp, String)>,
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

    /// The credentials of an account are dead from now on, and whoever tries them learns it: at the
    /// next visit at the latest, of which there is no record if its cloud does not know them any more.
    pub fn died(&mut self, cloud: Cloud, id: &str, at: Timestamp) {
        let account = self.account(cloud, id);
        let owed_by = account.owed_by.take().unwrap_or(at);
        account.is_dead = true;
        for device in account.devices.clone() {
            self.spans.lost(&device, at, Certainty::Doubtful);
            if let Some(device) = self.devices.get_mut(&device) {
                device.troubles.insert("dead credentials");
            }
        }
        self.unnoticed.push((owed_by, id.to_owned()));
    }

    /// The visits that were owed by now have found what is dead.
    fn notice_dead(&mut self, now: Timestamp) {
        let owed = self
            .unnoticed
            .extract_if(.., |(owed_by, _)| *owed_by <= now);
        for (_, id) in owed {
            let account = &self.accounts[&id];
            for device in account.devices.iter().filter(|_| account.is_dead) {
                self.spans.lost(device, now, Certainty::Certain);
            }
        }
    }

    /// The accounts whose credentials are dead.
    pub fn dead(&self) -> impl Iterator<Item = &String> {
        let dead = self.accounts.iter().filter(|(_, account)| account.is_dead);
        dead.map(|(id, _)| id)
    }

    /// A device was taken away: nothing more is owed for it.
    pub fn removed(&mut self, device: &str, at: Timestamp) {
        self.spans.removed(device, at);
        if let Some(gone) = self.devices.remove(device)
            && let Some(account) = self.accounts.get_mut(&gone.account)
        {
            account.devices.remove(device);
        }
    }

    /// The server was down and is up again. It plans anew: by what devices do now, and pushes may
    /// have told that since the last visit.
    pub fn restarted(&mut self, from: Timestamp, until: Timestamp) {
        self.spans.restarted(from, until);
        for (owed_by, _) in &mut self.unnoticed {
            *owed_by = (*owed_by).max(plus(until, RESTART_SPREAD + STEP));
        }
        for account in self.accounts.values_mut() {
            let devices = account.devices.iter();
            // The visit saw it active, and a push may have said since that it is not.
            let may_have_told = account.cloud == Cloud::Volta;
            let planned = devices
                .filter_map(|device| self.devices.get(device))
                .map(|device| {
                    let seen = device.kind.cadence(device.pace);
                    let cadence = match may_have_told {
                        true => seen.max(device.kind.cadence(Doing::Regular)),
                        false => seen,
                    };
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
