//! Three records of the same story, kept apart: what was acknowledged to the vendor, what the log
//! holds, and what the receiver got.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use livewatt_domain::{Timestamp, diff, kind::DeviceKind};
use livewatt_sandbox::{Cloud, Sandbox};
use livewatt_store::{AccountsOf, Store};
use serde_json::Value;

use super::front::Told;
use crate::support::{
    http::Api,
    log::{check_differences, device_of, is_for_all},
    receiver::{Delivery, Receiver},
};

/// The log as a reader with a cursor sees it grow, over all deaths of the server; of it what webhooks
/// get.
#[derive(Debug, Default)]
pub struct Records {
    pub log: Vec<Value>,
    pub cursor: Option<String>,
    /// What the log said of a vehicle's charge, by its number.
    charges: HashMap<String, Vec<(Timestamp, Value)>>,
    /// Acknowledgements checked so far.
    checked: usize,
}

impl Records {
    /// Reads on where the last reading ended.
    pub async fn read_on(&mut self, api: &Api) {
        loop {
            let after = self.cursor.as_ref();
            let after = after.map_or_else(String::new, |cursor| format!("&after={cursor}"));
            let page = api.get(&format!("/events?pageSize=500{after}")).await;
            let page = page.expect_status(200);
            self.cursor = page["pagination"]["after"].as_str().map(str::to_owned);
            let entries = page["data"].as_array().unwrap();
            if entries.is_empty() {
                return;
            }
            for entry in entries {
                let event = entry["event"].clone();
                if !is_for_all(&event) {
                    continue;
                }
                self.note_charge(&event["vehicle"]);
                self.log.push(event);
            }
        }
    }

    fn note_charge(&mut self, vehicle: &Value) {
        let charge = &vehicle["chargeState"];
        if let (Some(vin), Some(at)) = (
            vehicle["information"]["vin"].as_str(),
            charge["lastUpdated"].as_str(),
        ) {
            let said = (at.parse().unwrap(), charge["chargeLimit"].clone());
            self.charges.entry(vin.to_owned()).or_default().push(said);
        }
    }

    /// Each of these acknowledged changes is in the log, or something newer of the same vehicle is.
    /// A change of the limit is never one back to what the log said before, so it always makes an
    /// event.
    pub fn check_acknowledged(&mut self, told: &[Told], vins: &BTreeSet<String>) {
        let mut said_at: HashMap<(&str, &str), Vec<&Value>> = HashMap::new();
        for change in told {
            let place = said_at.entry((&change.vin, &change.at)).or_default();
            place.extend(&change.limit);
        }
        for change in told[self.checked..]
            .iter()
            .filter(|c| vins.contains(&c.vin))
        {
            let Some(limit) = &change.limit else { continue };
            let at: Timestamp = change.at.parse().unwrap();
            let logged = self.charges.get(&change.vin).map(Vec::as_slice);
            let is_known = logged.unwrap_or_default().iter().any(|(time, value)| {
                *time > at
                    || *time == at
                        && said_at[&(change.vin.as_str(), change.at.as_str())]
                            .iter()
                            .any(|said| said.as_f64() == value.as_f64())
            });
            assert!(
                is_known,
                "acknowledged and lost: {} had limit {limit} at {at}; the log ends with {:?}",
                change.vin,
                logged.unwrap_or_default().last()
            );
        }
        self.checked = told.len();
    }

    /// The log read anew is the one that grew.
    pub async fn check_unchanged(&self, api: &Api) {
        assert!(api.log_for_all().await == self.log, "the log has changed");
    }

    /// The API shows of each device what its last event said, times aside.
    pub async fn check_api(&self, api: &Api) {
        let last = check_differences(&self.log);
        let mut shown = 0;
        for kind in DeviceKind::ALL {
            for device in api.all(kind.plural()).await {
                let told = &last[device["id"].as_str().unwrap()];
                let of = |value: &Value| value.as_object().unwrap().clone();
                for path in diff::changed_paths(&of(told), &of(&device)) {
                    assert!(diff::is_time_only(&path), "{path} changed without event");
                }
                shown += 1;
            }
        }
        assert_eq!(shown, last.len(), "devices that only one of the two knows");
    }

    /// A device's version is the number of its events: none is missing, none was made twice.
    pub async fn check_versions(&self, store: &dyn Store) {
        let mut counts: HashMap<String, u64> = HashMap::new();
        for (_, device) in self.log.iter().filter_map(device_of) {
            let id = device["id"].as_str().unwrap().to_owned();
            *counts.entry(id).or_default() += 1;
        }
        let mut versions = HashMap::new();
        for (account, _) in store.list_accounts(AccountsOf::Everyone).await.unwrap() {
            for device in store.devices_of_account(account.id).await.unwrap() {
                versions.insert(device.id.to_string(), device.version);
            }
        }
        assert_eq!(versions, counts);
    }

    /// The receiver took the whole log and nothing else, each device's events in order, and what
    /// came twice was the same delivery.
    pub fn check_receiver(&self, receiver: &Receiver) -> Deliveries {
        let (taken, figures) = taken_once(receiver);
        assert!(
            by_device(&taken) == by_device(&self.log),
            "the log has {} events, the receiver {}",
            self.log.len(),
            taken.len()
        );
        figures
    }
}

/// How much came to a receiver.
#[derive(Debug)]
pub struct Deliveries {
    pub attempts: usize,
    pub distinct: usize,
    /// Attempts at a delivery that was taken before: the answer was lost.
    pub duplicates: usize,
}

/// The events a receiver took that remembers the IDs of deliveries. Whatever came under one ID was
/// the same.
pub fn taken_once(receiver: &Receiver) -> (Vec<Value>, Deliveries) {
    let mut bodies: HashMap<String, String> = HashMap::new();
    let (mut taken, mut events) = (BTreeSet::new(), Vec::new());
    let mut attempts = receiver.attempts();
    attempts.retain(Delivery::is_of_log);
    let mut figures = Deliveries {
        attempts: attempts.len(),
        distinct: 0,
        duplicates: 0,
    };
    for attempt in attempts {
        let first = bodies
            .entry(attempt.id.clone())
            .or_insert_with(|| attempt.body.clone());
        assert!(*first == attempt.body, "two deliveries under one ID");
        if taken.contains(&attempt.id) {
            figures.duplicates += 1;
        } else if attempt.is_taken {
            taken.insert(attempt.id);
            events.extend(attempt.events);
        }
    }
    figures.distinct = taken.len();
    (events, figures)
}

/// Events by device, in the order in which they are given.
pub fn by_device(events: &[Value]) -> BTreeMap<String, Vec<String>> {
    let mut sorted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in events {
        let device = device_of(event).and_then(|(_, device)| device["id"].as_str());
        let user = event["user"]["id"].as_str().unwrap_or("nobody");
        let key = device.unwrap_or(user).to_owned();
        sorted.entry(key).or_default().push(event.to_string());
    }
    sorted
}

/// Whether the API shows each vehicle as it is in truth.
pub async fn is_true(api: &Api, sandbox: &Sandbox) -> Result<usize, String> {
    let mut shown = HashMap::new();
    for vehicle in api.all("vehicles").await {
        let vin = vehicle["information"]["vin"].as_str();
        let vin = vin
            .ok_or_else(|| format!("no number: {vehicle}"))?
            .to_owned();
        shown.insert(vin, vehicle["chargeState"].clone());
    }
    let mut compared = 0;
    for cloud in [Cloud::Volta, Cloud::Rivoli] {
        let truth = sandbox.truth(Some(cloud), None).unwrap();
        for account in truth["accounts"].as_array().unwrap() {
            for device in account["devices"].as_array().unwrap() {
                if device["kind"] != "vehicle" {
                    continue;
                }
                let (id, state) = (device["id"].as_str().unwrap(), &device["state"]);
                // Rivoli's own IDs are not its vehicles' numbers, which end alike.
                let number = id.trim_start_matches(|c: char| !c.is_ascii_digit());
                let charge = match cloud {
                    Cloud::Volta => shown.get(id),
                    _ => shown
                        .iter()
                        .find(|(vin, _)| vin.starts_with("RVL") && vin.ends_with(number))
                        .map(|(_, charge)| charge),
                };
                let charge = charge.ok_or_else(|| format!("{id} is not shown"))?;
                let is_same = charge["isPluggedIn"] == state["plugged"]
                    && charge["chargeLimit"].as_f64() == state["limit_percent"].as_f64();
                if !is_same {
                    return Err(format!("{id} is {state}, shown is {charge}"));
                }
                compared += 1;
            }
        }
    }
    match compared == shown.len() {
        true => Ok(compared),
        false => Err(format!("{} shown of {compared}", shown.len())),
    }
}
