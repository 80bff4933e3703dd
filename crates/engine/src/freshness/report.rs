//! How fresh data was over a time: shares, ages and broken promises.

use std::collections::BTreeMap;

use livewatt_domain::{
    SignedDuration, Timestamp,
    age::{AgeTally, Breach, BreachReason, Slowed},
    id::{ClientId, DeviceId, UserId},
    kind::DeviceKind,
    time,
    vendor::VendorName,
};
use livewatt_store::{AgeHour, AgeQuery, BreachCount, BreachRecord};
use serde::{Deserialize, Serialize};

use crate::{Engine, EngineResult};

/// Breaches listed in a report, the newest of those that have rows; all are counted.
pub const LISTED_BREACHES: u32 = 500;

/// What a report is to be about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportQuery {
    /// Whose devices; those of the whole installation if absent.
    pub client: Option<ClientId>,
    /// From the hour of this moment on.
    pub from: Timestamp,
    /// Up to the end of the hour of this moment.
    pub to: Timestamp,
    /// This kind only.
    pub kind: Option<DeviceKind>,
    /// This vendor only.
    pub vendor: Option<VendorName>,
}

/// Number of breaches for a reason.
pub type ByReason<T> = BTreeMap<BreachReason, T>;

/// How fresh one block of the devices of a kind and vendor was.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FreshnessRow {
    /// The vendor.
    pub vendor: VendorName,
    /// The kind of device.
    pub kind: DeviceKind,
    /// The block.
    pub block: String,
    /// Time watched, hours of one device each.
    pub device_hours: f64,
    /// Share of the reachable time, 0 to 1, in which the age was what was promised; null without
    /// any.
    pub share_within: Option<f64>,
    /// Share of the reachable time, 0 to 1, in which the age was what the standard asks for,
    /// whatever was promised.
    pub share_within_standard: Option<f64>,
    /// The age at a random moment is in half of all cases not greater, seconds.
    pub p50_seconds: Option<f64>,
    /// The same in 99 of 100 cases.
    pub p99_seconds: Option<f64>,
    /// The greatest age while reachable, seconds.
    pub max_seconds: Option<f64>,
    /// Share of all time, 0 to 1, in which the device could not be reached.
    pub share_unreachable: f64,
    /// The same, hours by reason.
    pub unreachable_hours: ByReason<f64>,
    /// Hours in which less than the standard was promised, by reason.
    pub slower_hours: BTreeMap<Slowed, f64>,
    /// Breaches by reason.
    pub breaches: ByReason<u64>,
    /// Of these, how many last.
    pub open_breaches: u64,
    /// Seconds within the promise, exactly.
    pub within_seconds: u64,
    /// Seconds beyond it, exactly.
    pub beyond_seconds: u64,
    /// Seconds not reachable, exactly.
    pub unreachable_seconds: u64,
}

/// A period during which a block was older than promised.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BreachView {
    /// The device.
    pub device_id: DeviceId,
    /// The end user.
    pub user_id: UserId,
    /// The vendor.
    pub vendor: VendorName,
    /// The kind of device.
    pub kind: DeviceKind,
    /// The block.
    pub block: String,
    /// When its age passed what was allowed.
    #[serde(serialize_with = "time::serialize")]
    pub began: Timestamp,
    /// When that ended; null while it lasts.
    #[serde(serialize_with = "time::serialize_option")]
    pub ended: Option<Timestamp>,
    /// The greatest age, up to now, seconds.
    pub worst_age_seconds: u64,
    /// The standard interval, seconds.
    pub target_seconds: u32,
    /// The interval promised, seconds.
    pub interval_seconds: u32,
    /// What kept us.
    pub reason: BreachReason,
    /// How the last attempt before it ended, if that was the reason.
    pub outcome: Option<String>,
}

impl BreachView {
    fn of(record: BreachRecord, now: Timestamp) -> Self {
        let BreachRecord { user_id, breach } = record;
        Self {
            worst_age_seconds: breach.worst_age(now),
            user_id,
            device_id: breach.device,
            vendor: breach.vendor,
            kind: breach.kind,
            block: breach.block.to_owned(),
            began: breach.began,
            ended: breach.ended,
            target_seconds: breach.target_seconds,
            interval_seconds: breach.interval_seconds,
            reason: breach.reason,
            outcome: breach.outcome,
        }
    }
}

/// How fresh data was.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FreshnessReport {
    /// Beginning of the first hour counted.
    #[serde(serialize_with = "time::serialize")]
    pub from: Timestamp,
    /// End of the last hour counted, or now.
    #[serde(serialize_with = "time::serialize")]
    pub to: Timestamp,
    /// By vendor, kind and block.
    pub rows: Vec<FreshnessRow>,
    /// Breaches in that time.
    pub breach_count: u64,
    /// The newest of them, newest first.
    pub breaches: Vec<BreachView>,
}

impl FreshnessReport {
    /// Whether every promise was kept.
    pub const fn is_kept(&self) -> bool {
        self.breach_count == 0
    }
}

/// A breach that lasts, as a block tells it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CurrentBreach {
    /// When the block's age passed what was allowed.
    #[serde(serialize_with = "time::serialize")]
    pub began: Timestamp,
    /// What keeps us.
    pub reason: BreachReason,
    /// How the last attempt before it ended, if that was the reason.
    pub outcome: Option<String>,
}

impl From<Breach> for CurrentBreach {
    fn from(breach: Breach) -> Self {
        Self {
            began: breach.began,
            reason: breach.reason,
            outcome: breach.outcome,
        }
    }
}

type Key = (VendorName, DeviceKind, &'static str);

impl Engine {
    /// Watches freshness: opens the breaches whose time has come, and counts all time every few
    /// minutes; returns how many breaches began. Costs what is due, not what there is.
    pub fn watch_freshness(&self) -> usize {
        let now = self.now();
        self.fleet.count_ages(now);
        self.fleet.look(now)
    }

    /// How fresh data was over a time, up to now.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn freshness_report(&self, query: ReportQuery) -> EngineResult<FreshnessReport> {
        self.watch_freshness();
        // Then all that is counted is in the store, and the rest is what is pending.
        self.flush_presence().await?;
        let pending = self.fleet.pending_ages(query.client, self.now());
        let unwritten = self.fleet.ages.unwritten_breaches(query.client);
        self.report(query, pending, unwritten).await
    }

    /// How fresh data was over a time, as far as it is stored: for an engine that opened the
    /// database of a server that does not run, and must not count for it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn stored_freshness_report(
        &self,
        query: ReportQuery,
    ) -> EngineResult<FreshnessReport> {
        self.report(query, Vec::new(), Vec::new()).await
    }

    async fn report(
        &self,
        query: ReportQuery,
        pending: Vec<AgeHour>,
        unwritten: Vec<BreachCount>,
    ) -> EngineResult<FreshnessReport> {
        let now = self.now();
        let query = AgeQuery {
            client_id: query.client,
            from: hour_of(query.from),
            to: end_of_hour(query.to),
            kind: query.kind,
            vendor: query.vendor,
        };
        let mut tallies: BTreeMap<Key, AgeTally> = BTreeMap::new();
        let stored = self.store.age_hours(query.clone()).await?;
        let pending = pending.into_iter().filter(|row| is_asked(&query, row));
        for row in stored.into_iter().chain(pending) {
            let key = (row.vendor, row.kind, row.block);
            tallies.entry(key).or_default().merge(&row.tally);
        }
        let mut breaches = self.store.breaches(query.clone(), LISTED_BREACHES).await?;
        if query.to > now {
            let asked = |count: &BreachCount| query.is_about(count.kind, &count.vendor);
            breaches.counts.extend(unwritten.into_iter().filter(asked));
        }
        for ((vendor, kind, block), tally) in &tallies {
            let counted = BreachReason::ALL.map(|reason| (reason, tally.breaches_for(reason)));
            for (reason, count) in counted.into_iter().filter(|(_, count)| *count > 0) {
                breaches.counts.push(BreachCount {
                    vendor: vendor.clone(),
                    kind: *kind,
                    block,
                    reason,
                    count,
                    open: 0,
                });
            }
        }
        let rows = tallies.into_iter();
        Ok(FreshnessReport {
            from: query.from,
            to: query.to.min(now),
            rows: rows
                .map(|(key, tally)| row(key, &tally, &breaches.counts))
                .collect(),
            breach_count: breaches.counts.iter().map(|count| count.count).sum(),
            breaches: breaches
                .newest
                .into_iter()
                .map(|record| BreachView::of(record, now))
                .collect(),
        })
    }
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn hour_of(at: Timestamp) -> Timestamp {
    let second = at.as_second();
    Timestamp::from_second(second - second.rem_euclid(HOUR.as_secs())).unwrap_or(at)
}

/// The first full hour that is not before a moment.
fn end_of_hour(at: Timestamp) -> Timestamp {
    match hour_of(at) {
        hour if hour == at => at,
        hour => hour.saturating_add(HOUR).unwrap_or(at),
    }
}

fn is_asked(query: &AgeQuery, row: &AgeHour) -> bool {
    row.hour >= query.from && row.hour < query.to && query.is_about(row.kind, &row.vendor)
}

fn row(key: Key, tally: &AgeTally, counts: &[BreachCount]) -> FreshnessRow {
    let (vendor, kind, block) = key;
    let hours = |seconds: u64| seconds as f64 / 3_600.0;
    let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
    let reachable = tally.reachable();
    let own = counts
        .iter()
        .filter(|count| count.vendor == vendor && count.kind == kind && count.block == block);
    let (mut breaches, mut open_breaches) = (ByReason::new(), 0);
    for count in own {
        *breaches.entry(count.reason).or_default() += count.count;
        open_breaches += count.open;
    }
    FreshnessRow {
        device_hours: hours(tally.observed()),
        share_within: share(tally.within, reachable),
        share_within_standard: share(tally.standard, reachable),
        p50_seconds: tally.quantile(0.5),
        p99_seconds: tally.quantile(0.99),
        max_seconds: tally.quantile(1.0),
        share_unreachable: share(tally.unreachable(), tally.observed()).unwrap_or(0.0),
        unreachable_hours: BreachReason::ALL
            .into_iter()
            .map(|reason| (reason, hours(tally.unreachable_for(reason))))
            .filter(|(_, hours)| *hours > 0.0)
            .collect(),
        slower_hours: Slowed::ALL
            .into_iter()
            .map(|slowed| (slowed, hours(tally.slowed_by(slowed))))
            .filter(|(_, hours)| *hours > 0.0)
            .collect(),
        breaches,
        open_breaches,
        within_seconds: tally.within,
        beyond_seconds: tally.beyond,
        unreachable_seconds: tally.unreachable(),
        vendor,
        kind,
        block: block.to_owned(),
    }
}
