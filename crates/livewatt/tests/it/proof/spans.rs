//! What the freshness report must say, by the sandbox's record alone: for how long each device's data
//! was as fresh as promised, too old, or not to be had, and how often it became too old.
//!
//! The rules are those that people are told (`docs/operations.md`): a promise is the cadence, a tenth
//! of it and a second; data is confirmed by an answer that tells of the device; a device cannot be
//! reached from the first visit that failed to the next answer that tells of it.
//!
//! Most of a record leaves no doubt. Where it does, a device is read in four ways, and the report must
//! lie between them:
//! - nonsense, or a clock that is wrong, may be believed (and confirms) or not;
//! - a cloud that says "too many requests" is lost for us if the wait outlasts the promise, which its
//!   record alone does not tell, and so may be a device of which nonsense was told.

use std::collections::{BTreeMap, HashMap};

use livewatt_domain::Timestamp;
use livewatt_sandbox::Cloud;

use super::told::{Contact, Doing, Kind};

/// Fetches that fell due while the server was down come within this time of its start, seconds.
const CATCHING_UP: i64 = 61;
/// The grid of the test. Within the step in which a visit fails, the server may have been waiting for
/// it since its due time, which it does not hold against itself.
const STEP: i64 = 10;

/// The age that is promised, seconds.
fn allowed(kind: Kind, doing: Doing) -> i64 {
    let cadence = kind.cadence(doing).as_secs();
    cadence + (cadence + 9) / 10 + 1
}

/// How sure the record is of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    Certain,
    Doubtful,
}

/// Seconds and numbers of one device, or of many.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sums {
    pub watched: i64,
    pub beyond: i64,
    pub unreachable: i64,
    /// Times that it became too old because the server was down, and else.
    pub while_down: i64,
    pub otherwise: i64,
}

impl Sums {
    fn zip(self, other: Self, join: impl Fn(i64, i64) -> i64) -> Self {
        Self {
            watched: join(self.watched, other.watched),
            beyond: join(self.beyond, other.beyond),
            unreachable: join(self.unreachable, other.unreachable),
            while_down: join(self.while_down, other.while_down),
            otherwise: join(self.otherwise, other.otherwise),
        }
    }
}

/// Between what and what the report must lie.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bounds {
    pub least: Sums,
    pub most: Sums,
}

impl Bounds {
    /// So many promises may have been others than the record tells.
    pub fn widen(&mut self, promises: i64) {
        let seconds = promises * allowed(Kind::Vehicle, Doing::Regular);
        let doubt = Sums {
            watched: 0,
            beyond: seconds,
            unreachable: seconds,
            while_down: promises,
            otherwise: promises,
        };
        self.least = self.least.zip(doubt, |sum, doubt| (sum - doubt).max(0));
        self.most = self.most.zip(doubt, |sum, doubt| sum + doubt);
    }
}

/// One way to read the record of a device.
#[derive(Debug, Clone, Copy, Default)]
struct Reading {
    believes: bool,
    gives_up: bool,
    confirmed: Option<i64>,
    deadline: i64,
    until: i64,
    is_lost: bool,
    is_late: bool,
    sums: Sums,
}

impl Reading {
    fn advance(&mut self, now: i64, down: &[(i64, i64)]) {
        let (from, length) = (self.until, now - self.until);
        self.until = now;
        if self.confirmed.is_none() {
            return;
        }
        self.sums.watched += length;
        if self.is_lost {
            self.sums.unreachable += length;
            return;
        }
        self.sums.beyond += (now - self.deadline.max(from)).max(0);
        if now > self.deadline && !self.is_late {
            self.is_late = true;
            let began = self.deadline;
            let is_down =
                |(from, until): &(i64, i64)| (*from..=until + CATCHING_UP).contains(&began);
            match down.iter().any(is_down) {
                true => self.sums.while_down += 1,
                false => self.sums.otherwise += 1,
            }
        }
    }

    fn takes(&self, certainty: Certainty, flag: bool) -> bool {
        certainty == Certainty::Certain || flag
    }

    fn told(&mut self, now: i64, allowed: i64, certainty: Certainty) {
        if self.takes(certainty, self.believes) {
            (self.confirmed, self.deadline) = (Some(now), now + allowed);
            (self.is_lost, self.is_late) = (false, false);
        }
    }

    fn lost(&mut self, certainty: Certainty) {
        if self.takes(certainty, self.gives_up) {
            (self.is_lost, self.is_late) = (true, false);
        }
    }

    /// It is there again, which says nothing about the rest.
    fn back(&mut self, now: i64, allowed: i64) {
        if self.is_lost && self.confirmed.is_some() {
            (self.is_lost, self.deadline) = (false, now + allowed);
        }
    }

    /// Another promise: a tighter one binds from now, or as the old one if that ends earlier.
    fn promise(&mut self, now: i64, allowed: i64) {
        let Some(confirmed) = self.confirmed.filter(|_| !self.is_lost) else {
            return;
        };
        let plain = confirmed + allowed;
        if self.is_late && plain < now {
            return;
        }
        self.deadline = match self.is_late {
            true => plain,
            false => plain.max(self.deadline.min(now + allowed)),
        };
        self.is_late = false;
    }
}

#[derive(Debug)]
struct Watch {
    cloud: Cloud,
    kind: Kind,
    doing: Doing,
    readings: [Reading; 4],
    /// Times that the server went down while the readings differed.
    doubts: i64,
    removed_at: Option<i64>,
}

impl Watch {
    fn step(
        &mut self,
        at: Timestamp,
        down: &[(i64, i64)],
        mut change: impl FnMut(&mut Reading, i64),
    ) {
        if self.removed_at.is_some() {
            return;
        }
        let now = at.as_second();
        for reading in &mut self.readings {
            reading.advance(now, down);
            change(reading, now);
        }
    }
}

/// The spans of all devices.
#[derive(Debug, Default)]
pub struct Spans {
    devices: HashMap<String, Watch>,
    /// When the server was down.
    down: Vec<(i64, i64)>,
}

impl Spans {
    /// An answer told of a device.
    pub fn told(
        &mut self,
        (cloud, kind, name): (Cloud, Kind, &str),
        at: Timestamp,
        doing: Doing,
        certainty: Certainty,
    ) {
        let watch = self.devices.entry(name.to_owned()).or_insert_with(|| {
            let flags = [(false, false), (false, true), (true, false), (true, true)];
            let readings = flags.map(|(believes, gives_up)| Reading {
                believes,
                gives_up,
                ..Reading::default()
            });
            Watch {
                cloud,
                kind,
                doing,
                readings,
                doubts: 0,
                removed_at: None,
            }
        });
        watch.doing = doing;
        let allowed = allowed(kind, doing);
        watch.step(at, &self.down, |reading, now| {
            reading.told(now, allowed, certainty)
        });
    }

    /// It could not be had.
    pub fn lost(&mut self, name: &str, at: Timestamp, certainty: Certainty) {
        if let Some(watch) = self.devices.get_mut(name) {
            for reading in &mut watch.readings {
                let late = at.as_second() - reading.deadline;
                if reading.gives_up && !reading.is_late && (1..=STEP).contains(&late) {
                    reading.deadline = at.as_second();
                }
            }
            watch.step(at, &self.down, |reading, _| reading.lost(certainty));
        }
    }

    /// A push told of it.
    pub fn pushed(&mut self, name: &str, at: Timestamp, contact: Contact) {
        let Some(watch) = self.devices.get_mut(name) else {
            return;
        };
        if let Contact::Does(doing) = contact {
            watch.doing = doing;
        }
        let allowed = allowed(watch.kind, watch.doing);
        watch.step(at, &self.down, |reading, now| match contact {
            Contact::Lost => reading.lost(Certainty::Certain),
            Contact::Made => reading.back(now, allowed),
            Contact::Does(_) => {
                reading.back(now, allowed);
                reading.promise(now, allowed);
            }
        });
    }

    /// It was taken away; its cloud tells of it no more.
    pub fn removed(&mut self, name: &str, at: Timestamp) {
        if let Some(watch) = self.devices.get_mut(name) {
            watch.step(at, &self.down, |_, _| ());
            watch.removed_at = Some(at.as_second());
        }
    }

    /// The server was down.
    pub fn restarted(&mut self, from: Timestamp, until: Timestamp) {
        for watch in self.devices.values_mut() {
            let state = |reading: &Reading| (reading.confirmed, reading.deadline, reading.is_lost);
            let first = state(&watch.readings[0]);
            watch.doubts += i64::from(watch.readings.iter().any(|reading| state(reading) != first));
        }
        self.down.push((from.as_second(), until.as_second()));
    }

    /// The bounds at the end. `deleted` says when the server told that a device that was taken away is
    /// gone: until then all is in doubt.
    pub fn bounds(
        &mut self,
        now: Timestamp,
        deleted: impl Fn(&str) -> Option<Timestamp>,
    ) -> BTreeMap<(Cloud, Kind), Bounds> {
        let mut all: BTreeMap<(Cloud, Kind), Bounds> = BTreeMap::new();
        for (name, watch) in &mut self.devices {
            watch.step(now, &self.down, |_, _| ());
            let sums = watch.readings.map(|reading| reading.sums);
            let mut least = sums.into_iter().reduce(|a, b| a.zip(b, i64::min)).unwrap();
            let mut most = sums.into_iter().reduce(|a, b| a.zip(b, i64::max)).unwrap();
            // Some of the doubtful may be so and some not: then it may have become too old then or before.
            least.while_down = (least.while_down - watch.doubts).max(0);
            least.otherwise = (least.otherwise - watch.doubts).max(0);
            most.while_down += watch.doubts;
            most.otherwise += watch.doubts;
            if let Some(removed_at) = watch.removed_at {
                let until = deleted(name).unwrap_or(now).as_second();
                let doubt = (until - removed_at).max(0);
                least.watched += doubt;
                most.watched += doubt;
                most.beyond += doubt;
                most.unreachable += doubt;
                most.otherwise += 1;
            }
            let bounds = all.entry((watch.cloud, watch.kind)).or_default();
            bounds.least = bounds.least.zip(least, |a, b| a + b);
            bounds.most = bounds.most.zip(most, |a, b| a + b);
        }
        all
    }
}
