//! Between two answers that tell of a device: how old it became, and why.

use std::collections::{BTreeMap, BTreeSet};

use livewatt_domain::Timestamp;
use livewatt_sandbox::Cloud;

use super::{Count, Device, plus, with_jitter};
use crate::proof::{
    figures::ToldFigures,
    told::{Doing, Kind, News},
};

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

impl Count {
    #[expect(clippy::too_many_arguments, reason = "who told what of whom, when")]
    pub(super) fn tell(
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
                figures: ToldFigures::default(),
            });
        device.asked_at = at;
        let Some(news) = news else {
            // Lost to its cloud, or nonsense: asked about at the pace of what is not known to do
            // anything, and no younger for it.
            if faults.contains("garbage") {
                device.figures.doubt(at);
            }
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
        if faults.contains("clock_skew") {
            device.figures.doubt(at);
        } else {
            device.figures.take(news.figure, figure_at);
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

    pub(super) fn close_gap(&mut self, name: &str, at: Timestamp) {
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
}
