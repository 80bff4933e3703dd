//! What `GET /freshness` says of the fleet, against the count.
//!
//! Both know the same moments: everything happens on the grid of the test, so sums agree to the second
//! where the record leaves no doubt, and need no tolerance. Only a push that was taken and not
//! acknowledged is in no record: each may have changed one promise of each of its devices. Blocks are counted apart by the server
//! and not by the record; where they differ it is by what the clouds' documentation says:
//! - volta pushes the charge of its devices: those blocks are never older than the record of its
//!   answers says, but may be younger;
//! - rivoli keeps the position of a car that drives to itself: the promise is broken then, earlier than
//!   for the rest, for the reason `notTold` and none else.

use std::collections::{BTreeMap, HashMap};

use livewatt_domain::Timestamp;
use livewatt_sandbox::Cloud;
use serde_json::Value;

use super::{
    Fleet,
    spans::{Bounds, Sums},
    told::Kind,
};
use crate::support::START;

/// The most devices of a kind that one account has.
const DEVICES_OF_A_PUSH: i64 = 3;

/// A row of the report.
struct Row {
    cloud: Cloud,
    kind: Kind,
    block: String,
    sums: Sums,
    breaches: BTreeMap<String, i64>,
}

impl Row {
    fn of(row: &Value) -> Self {
        let number = |name: &str| row[name].as_i64().unwrap();
        let breaches: BTreeMap<String, i64> =
            serde_json::from_value(row["breaches"].clone()).unwrap();
        let while_down = breaches.get("serverDown").copied().unwrap_or(0);
        let (beyond, unreachable) = (number("beyondSeconds"), number("unreachableSeconds"));
        let mut kinds = Kind::ALL.into_iter();
        Self {
            cloud: match row["vendor"].as_str().unwrap() {
                "TESLA" => Cloud::Volta,
                "RENAULT" => Cloud::Rivoli,
                _ => Cloud::Helios,
            },
            kind: kinds.find(|kind| row["kind"] == kind.name()).unwrap(),
            block: row["block"].as_str().unwrap().to_owned(),
            sums: Sums {
                watched: number("withinSeconds") + beyond + unreachable,
                beyond,
                unreachable,
                while_down,
                otherwise: breaches.values().sum::<i64>() - while_down,
            },
            breaches,
        }
    }

    /// What of it lies outside of the bounds, in words.
    fn wrong(&self, bounds: &Bounds) -> Vec<String> {
        let (sums, Bounds { least, most }) = (self.sums, bounds);
        let is_pushed = self.cloud == Cloud::Volta && self.block == "chargeState";
        let is_kept_back = self.cloud == Cloud::Rivoli && self.block == "location";
        let not_told = self.breaches.get("notTold").copied().unwrap_or(0);
        let floor = |least: i64| if is_pushed { 0 } else { least };
        // What is broken already is not broken again.
        let times_floor = |least: i64| if is_kept_back { 0 } else { floor(least) };
        let ceiling = |most: i64| if is_kept_back { i64::MAX } else { most };
        let otherwise = match is_kept_back {
            true => sums.otherwise - not_told,
            false => sums.otherwise,
        };
        // A doubtful answer may confirm some blocks and not others. Each break beyond those that are
        // sure may be of a block that was too old already when the server went down.
        let before_down = (otherwise - least.otherwise).max(0);
        let times = sums.while_down + otherwise;
        let checks = [
            (
                "times in all",
                times,
                times_floor(least.while_down + least.otherwise),
                most.while_down + most.otherwise,
            ),
            ("watched", sums.watched, least.watched, most.watched),
            (
                "beyond",
                sums.beyond,
                floor(least.beyond),
                ceiling(most.beyond),
            ),
            (
                "unreachable",
                sums.unreachable,
                least.unreachable,
                most.unreachable,
            ),
            (
                "while down",
                sums.while_down,
                times_floor(least.while_down - before_down),
                most.while_down,
            ),
            (
                "otherwise",
                otherwise,
                times_floor(least.otherwise),
                most.otherwise,
            ),
            // Nothing in the script makes a fetch late.
            (
                "late",
                self.breaches.get("late").copied().unwrap_or(0),
                0,
                0,
            ),
        ];
        let is_wrong =
            |(_, value, least, most): &(&str, i64, i64, i64)| value < least || value > most;
        checks
            .iter()
            .filter(|check| is_wrong(check))
            .map(|(what, value, least, most)| {
                let Self {
                    cloud, kind, block, ..
                } = self;
                format!("{cloud} {kind:?} {block}: {what} {value}, not {least} to {most}")
            })
            .collect()
    }
}

impl Fleet {
    /// The report over the whole run says what the record says.
    pub(super) async fn compare_freshness(&mut self, pushes_failed: u64) {
        let names = self.names();
        let deleted: HashMap<String, Timestamp> = self.ledger.read(|books| {
            let gone = books.devices.iter();
            gone.filter_map(|(id, book)| Some((names.get(id)?.clone(), book.deleted_at?)))
                .collect()
        });
        let now = self.world.now();
        let deleted_at = |name: &str| deleted.get(name).copied();
        let mut all = self.count.spans.bounds(now, deleted_at);
        for ((cloud, _), bounds) in &mut all {
            if *cloud == Cloud::Volta {
                bounds.widen(pushes_failed as i64 * DEVICES_OF_A_PUSH);
            }
        }
        let path = format!("/freshness?from={START}&to={now}");
        let report = self.world.api.get(&path).await.expect_status(200);
        let rows: Vec<Row> = report["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(Row::of)
            .collect();
        println!(
            "{:<8} {:<9} {:<16} {:>10} {:>24} {:>26} {:>16} {:>16}",
            "cloud",
            "kind",
            "block",
            "watched s",
            "beyond s",
            "unreachable s",
            "while down",
            "otherwise"
        );
        let mut wrong = Vec::new();
        for row in &rows {
            let bounds = all[&(row.cloud, row.kind)];
            let told = |pick: fn(&Sums) -> i64| {
                let (least, most) = (pick(&bounds.least), pick(&bounds.most));
                format!("{} of {least}-{most}", pick(&row.sums))
            };
            println!(
                "{:<8} {:<9} {:<16} {:>10} {:>24} {:>26} {:>16} {:>16}",
                row.cloud.name(),
                row.kind.name(),
                row.block,
                row.sums.watched,
                told(|sums| sums.beyond),
                told(|sums| sums.unreachable),
                told(|sums| sums.while_down),
                told(|sums| sums.otherwise),
            );
            wrong.extend(row.wrong(&bounds));
        }
        assert!(
            wrong.is_empty(),
            "the report and the record differ: {wrong:#?}"
        );
        for key in all.keys() {
            let is_told = rows.iter().any(|row| (row.cloud, row.kind) == *key);
            assert!(is_told, "{key:?} is not in the report");
        }
        let breaches: i64 = rows
            .iter()
            .map(|row| row.sums.while_down + row.sums.otherwise)
            .sum();
        assert_eq!(report["breachCount"], breaches);
    }
}
