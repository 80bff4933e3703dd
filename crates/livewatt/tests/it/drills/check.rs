//! What must be true after every drill: the records of everybody are compared.

use std::{
    collections::BTreeSet,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use livewatt_sandbox::{Cloud, FaultKind, FaultSpec};
use livewatt_store::{PostgresOptions, PostgresStore};
use tokio::time::sleep;

use super::{ledger, node::Node, stage::Stage};
use crate::{
    durability::{
        records::{is_true, taken_once},
        stage::{is_valid, link},
    },
    support::http::Api,
};

impl Stage {
    /// Users whose login was lost link again; returns how many.
    async fn relink(&self, api: &Api) -> BTreeSet<String> {
        let mut lost = BTreeSet::new();
        for (user, account) in &self.people {
            if !is_valid(api, user).await {
                link(api, &self.front.url, user, account, || {})
                    .await
                    .unwrap();
                lost.extend(account.devices.iter().map(|device| device.id.clone()));
            }
        }
        lost
    }

    /// Ends the load and compares all records: what was acknowledged to the vendors, the log, what
    /// the receiver got, what the API shows, what the vendors know, and what the database noted.
    pub async fn check(&mut self, nodes: &[Node]) -> String {
        if let Some((is_over, changes)) = self.load.take() {
            is_over.store(true, Ordering::Relaxed);
            changes.await.unwrap();
        }
        self.balance(nodes);
        let lost = self.relink(&nodes[0].api(&self.client).await).await;
        let compared = self.settle(nodes).await;
        self.fall_silent(nodes).await;
        let (_, told) = self.front.acknowledged();
        let pushed = self.vins(|account| account.cloud == Cloud::Volta);
        let pushed: BTreeSet<String> = pushed.difference(&lost).cloned().collect();
        self.records.check_acknowledged(&told, &pushed);
        for node in nodes {
            let api = node.api(&self.client).await;
            self.records.check_unchanged(&api).await;
            self.records.check_api(&api).await;
        }
        let deliveries = self.records.check_receiver(&self.receiver);
        let url = PostgresOptions::new(self.database.url());
        self.records
            .check_versions(
                &PostgresStore::open_later(&url, &self.further)
                    .await
                    .unwrap(),
            )
            .await;
        let truth = self.sandbox.truth(None, None).unwrap();
        let accounts = truth["accounts"].as_array().unwrap();
        let counted = accounts
            .iter()
            .map(|a| a["stats"]["pushes_acked"].as_u64().unwrap());
        // Some come again long after they failed. A vendor may have given up waiting before the node
        // answered, and then counts less.
        let (acknowledged, _) = self.front.acknowledged();
        assert!(counted.sum::<u64>() <= acknowledged as u64);
        assert_eq!(truth["stats"]["quota_exceeded"], 0, "a quota was exceeded");
        let proven = ledger::check(&self.database);
        assert!(
            acknowledged > 20 && self.records.log.len() > 50,
            "hardly anything happened"
        );
        format!(
            "{acknowledged} pushes acknowledged, {} events, {} deliveries ({} came twice), {} writes \
             of devices and {} moves of partitions noted, {compared} vehicles as in truth, {} \
             logins lost: nothing lost, skipped, doubled or out of order, no write past a fence",
            self.records.log.len(),
            deliveries.distinct,
            deliveries.duplicates,
            proven.writes,
            proven.moves,
            lost.len(),
        )
    }

    /// Waits until each node shows the truth.
    async fn settle(&mut self, nodes: &[Node]) -> usize {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let mut compared = Ok(0);
            for node in nodes {
                let api = node.api(&self.client).await;
                self.records.read_on(&api).await;
                compared = is_true(&api, &self.sandbox).await;
                if compared.is_err() {
                    break;
                }
            }
            match compared {
                Ok(compared) => return compared,
                Err(untrue) => assert!(Instant::now() < deadline, "not settled: {untrue}"),
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// The clouds say the same for ever now. Waits until the log has ended and is delivered.
    async fn fall_silent(&mut self, nodes: &[Node]) {
        for cloud in [Cloud::Volta, Cloud::Rivoli, Cloud::Helios] {
            let stale = FaultSpec::new(FaultKind::Stale);
            self.sandbox.add_fault(cloud, stale).await.unwrap();
        }
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let before = self.records.log.len();
            // More than the longest interval between two polls of who is awake; in real time, longer
            // than a push and a delivery take.
            sleep(self.real(8.0).min(Duration::from_secs(8))).await;
            let api = nodes[0].api(&self.client).await;
            self.records.read_on(&api).await;
            let taken = taken_once(&self.receiver).0.len();
            if self.records.log.len() == before && taken == before {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "no end: {} events, {taken} taken",
                self.records.log.len()
            );
        }
    }
}
