//! Pushes on their way out: the outbox of the volta cloud, its retries, and the faults that touch
//! a push. Deliveries of one account go one after the other; accounts do not wait for each other.

use std::{collections::BTreeMap, time::Duration};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use url::Url;

use crate::{
    answers::Said,
    clock::{Millis, Seconds, timestamp},
    clouds::{Cloud, volta::feed::Subscription},
    faults::FaultKind,
    server::Shared,
    world::World,
};

/// Virtual seconds to the next attempt after each failed one.
const RETRY_AFTER: [i64; 5] = [30, 120, 600, 1_800, 3_600];
/// Real time a receiver has to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
struct Delivery {
    id: String,
    account: String,
    client: String,
    body: String,
    due: Millis,
    failures: usize,
}

/// A delivery with all it takes to send it.
#[derive(Debug)]
pub(crate) struct Parcel {
    delivery: Delivery,
    callback: Url,
    secret: String,
    sent_at: Seconds,
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    made: u64,
    waiting: Vec<Delivery>,
    /// By account: a push held back to go out of order.
    held: BTreeMap<String, Delivery>,
}

impl Outbox {
    pub(crate) fn put(
        &mut self,
        account: &str,
        to: &Subscription,
        tick: Seconds,
        changes: Vec<Value>,
    ) {
        self.made += 1;
        let id = format!("evt_{:09}", self.made);
        let body = json!({
            "id": id,
            "account_id": account,
            "sent_at": timestamp(tick),
            "changes": changes,
        });
        self.waiting.push(Delivery {
            id,
            account: account.into(),
            client: to.client.clone(),
            body: body.to_string(),
            due: tick * 1000,
            failures: 0,
        });
    }

    pub(crate) fn forget(&mut self, account: &str) {
        self.waiting.retain(|delivery| delivery.account != account);
        self.held.remove(account);
    }

    pub(crate) fn has_due(&self, now: Millis) -> bool {
        !self.held.is_empty() || self.waiting.iter().any(|delivery| delivery.due <= now)
    }
}

impl World {
    /// Takes the pushes to send now, in order, as faults leave them.
    pub(crate) fn take_due_pushes(&mut self) -> Vec<Parcel> {
        let now = self.now();
        let (mut due, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.outbox.waiting)
            .into_iter()
            .partition(|d| d.due <= now);
        self.outbox.waiting = waiting;
        due.sort_by(|a, b| (a.due, &a.id).cmp(&(b.due, &b.id)));
        let mut sending = self.release_held();
        for delivery in due {
            self.let_faults_at(delivery, &mut sending);
        }
        sending
            .into_iter()
            .filter_map(|delivery| self.parcel(delivery, now))
            .collect()
    }

    /// Held pushes whose fault is over.
    fn release_held(&mut self) -> Vec<Delivery> {
        let held = std::mem::take(&mut self.outbox.held);
        let mut released = Vec::new();
        for (account, delivery) in held {
            let still_held = self
                .active_faults(Cloud::Volta, &account, None)
                .any(|fault| fault.spec.kind == FaultKind::OutOfOrderPush);
            if still_held {
                self.outbox.held.insert(account, delivery);
            } else {
                released.push(delivery);
            }
        }
        released
    }

    fn let_faults_at(&mut self, delivery: Delivery, sending: &mut Vec<Delivery>) {
        if delivery.failures > 0 {
            sending.push(delivery);
            return;
        }
        let (mut copies, mut lost, mut swapped) = (1, false, false);
        for fault in self.active_faults(Cloud::Volta, &delivery.account, None) {
            match fault.spec.kind {
                FaultKind::DuplicatePush => copies = 2,
                FaultKind::LostPush => lost = true,
                FaultKind::OutOfOrderPush => swapped = true,
                _ => continue,
            }
            fault.hits += 1;
        }
        if lost {
            if let Some(account) = self.accounts.get_mut(&delivery.account) {
                account.stats.pushes_dropped += 1;
            }
            return;
        }
        if swapped {
            match self.outbox.held.remove(&delivery.account) {
                None => {
                    self.outbox.held.insert(delivery.account.clone(), delivery);
                    return;
                }
                Some(earlier) => sending.extend([delivery.clone(), earlier]),
            }
        } else {
            sending.push(delivery.clone());
        }
        sending.extend(std::iter::repeat_n(delivery, copies - 1));
    }

    /// Addresses a delivery; nothing if nobody listens any more.
    fn parcel(&mut self, delivery: Delivery, now: Millis) -> Option<Parcel> {
        let account = self.accounts.get_mut(&delivery.account)?;
        let subscription = account
            .subscriptions
            .iter()
            .find(|s| s.client == delivery.client);
        let client = self
            .clients
            .iter()
            .find(|client| client.client_id == delivery.client);
        let (Some(subscription), Some(client)) = (subscription, client) else {
            account.stats.pushes_dropped += 1;
            return None;
        };
        account.stats.pushes_sent += 1;
        Some(Parcel {
            callback: subscription.callback.clone(),
            secret: client.client_secret.clone(),
            sent_at: now.div_euclid(1000),
            delivery,
        })
    }

    fn record_push(&mut self, delivery: &Delivery) {
        if self.answers.is_some() {
            let said = Said {
                status: 200,
                body: serde_json::from_str(&delivery.body).unwrap_or_default(),
                ..Said::default()
            };
            self.record(Cloud::Volta, &delivery.account, ("push", None), said);
        }
    }

    fn note_outcome(&mut self, mut delivery: Delivery, acknowledged: bool) {
        let now = self.now();
        let Some(account) = self.accounts.get_mut(&delivery.account) else {
            return;
        };
        if acknowledged {
            account.stats.pushes_acked += 1;
            self.record_push(&delivery);
            return;
        }
        account.stats.pushes_failed += 1;
        match RETRY_AFTER.get(delivery.failures) {
            None => account.stats.pushes_dropped += 1,
            Some(seconds) => {
                delivery.failures += 1;
                delivery.due = now + seconds * 1000;
                self.outbox.waiting.push(delivery);
            }
        }
    }
}

/// Sends what is due and notes what became of it.
pub(crate) async fn deliver_due(shared: &Shared) {
    let parcels = shared.world().take_due_pushes();
    let mut by_account: BTreeMap<String, Vec<Parcel>> = BTreeMap::new();
    for parcel in parcels {
        by_account
            .entry(parcel.delivery.account.clone())
            .or_default()
            .push(parcel);
    }
    let rounds = by_account.into_values().map(|parcels| async {
        for parcel in parcels {
            let acknowledged = send(&shared.http, &parcel).await;
            shared.world().note_outcome(parcel.delivery, acknowledged);
        }
    });
    futures::future::join_all(rounds).await;
}

async fn send(http: &reqwest::Client, parcel: &Parcel) -> bool {
    let body = parcel.delivery.body.clone();
    let signature = sign(&parcel.secret, parcel.sent_at, &body);
    let answer = http
        .post(parcel.callback.clone())
        .header("content-type", "application/json")
        .header("volta-delivery", &parcel.delivery.id)
        .header("volta-signature", signature)
        .body(body)
        .send()
        .await;
    match answer {
        Ok(answer) => answer.status().is_success(),
        Err(error) => {
            tracing::debug!(delivery.id = parcel.delivery.id, error = %error, "push not delivered");
            false
        }
    }
}

fn sign(secret: &str, time: Seconds, body: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key length will do");
    mac.update(format!("{time}.{body}").as_bytes());
    format!("t={time},v1={}", hex::encode(mac.finalize().into_bytes()))
}
