//! A receiver that keeps books instead of deliveries: it checks each event as it comes and keeps
//! one document a device, so that a month of events fits into memory.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use livewatt_domain::{Timestamp, diff::changed_paths};
use serde_json::{Map, Value, json, value::RawValue};
use tokio::net::TcpListener;

use super::{figures::Figures, told::Kind};

/// Books over events, of a webhook or of the log.
#[derive(Debug, Default)]
pub struct Books {
    /// By the API's ID of the device.
    pub devices: HashMap<String, DeviceBook>,
    /// Number of events that are about no device, by user and name.
    pub of_users: HashMap<(String, String), u32>,
    pub events: u64,
    pub by_name: HashMap<String, u64>,
    /// What was wrong, in words; at most some.
    pub wrong: Vec<String>,
}

/// What is kept of a device.
#[derive(Debug)]
pub struct DeviceBook {
    pub kind: Kind,
    pub user: String,
    /// VIN or serial number, where the contract has one.
    pub vendor_name: Option<String>,
    /// Number of its events, and a hash over all of them in the order in which they came.
    pub events: u64,
    pub chain: u64,
    pub figures: Figures,
    last: Map<String, Value>,
    pub deleted_at: Option<Timestamp>,
}

impl Books {
    /// Enters an event as it was rendered.
    pub fn enter(&mut self, text: &str) {
        let event: Value = serde_json::from_str(text).unwrap();
        let name = event["event"].as_str().unwrap().to_owned();
        let Some(user) = event["user"]["id"].as_str().map(str::to_owned) else {
            return; // Not of the log: a heartbeat.
        };
        self.events += 1;
        *self.by_name.entry(name.clone()).or_default() += 1;
        let Some(kind) = Kind::ALL
            .into_iter()
            .find(|kind| event.get(kind.name()).is_some())
        else {
            *self.of_users.entry((user, name)).or_default() += 1;
            return;
        };
        let Value::Object(device) = event[kind.name()].clone() else {
            self.wrong.push(format!("no device: {text}"));
            return;
        };
        let id = device["id"].as_str().unwrap().to_owned();
        let known = self.devices.get_mut(&id);
        let mut wrong = Vec::new();
        let book = match known {
            Some(book) => {
                let difference = json!(changed_paths(&book.last, &device));
                match name.rsplit(':').next() {
                    Some("updated") if event["updatedFields"] != difference => {
                        wrong.push(format!(
                            "{id}: updatedFields {} and not {difference}",
                            event["updatedFields"]
                        ));
                    }
                    Some("updated") => {}
                    Some("deleted") => {
                        let at = event["createdAt"].as_str().unwrap();
                        book.deleted_at = Some(at.parse().unwrap());
                    }
                    _ => wrong.push(format!("{id}: {name} after another event")),
                }
                let seen = |device: &Map<String, Value>| {
                    device["lastSeen"].as_str().unwrap_or("").to_owned()
                };
                if seen(&book.last) > seen(&device) {
                    wrong.push(format!("{id}: lastSeen moved back"));
                }
                book
            }
            None => {
                if !name.ends_with(":discovered") {
                    wrong.push(format!("{id}: begins with {name}"));
                }
                self.devices.entry(id.clone()).or_insert(DeviceBook {
                    kind,
                    user,
                    vendor_name: None,
                    events: 0,
                    chain: 0,
                    figures: Figures::default(),
                    last: Map::new(),
                    deleted_at: None,
                })
            }
        };
        if book.deleted_at.is_some() && !name.ends_with(":deleted") {
            wrong.push(format!("{id}: {name} after its deletion"));
        }
        let information = &event[kind.name()]["information"];
        // A device that was only listed has no name yet when it is discovered.
        let names = ["vin", "serialNumber"];
        let found = names.iter().find_map(|key| information[*key].as_str());
        book.vendor_name = found.map(str::to_owned).or(book.vendor_name.take());
        let mut hasher = DefaultHasher::new();
        (book.chain, text).hash(&mut hasher);
        (book.chain, book.events) = (hasher.finish(), book.events + 1);
        if !name.ends_with(":discovered") {
            book.figures.take(
                event[kind.name()]
                    .pointer(kind.figure_pointer())
                    .and_then(Value::as_f64),
            );
        }
        book.last = device;
        if self.wrong.len() < 20 {
            self.wrong.append(&mut wrong);
        }
    }
}

#[derive(Debug, Default)]
struct Desk {
    books: Books,
    /// Deliveries taken, by hash of their ID.
    taken: HashSet<u64>,
    is_away: bool,
    refused: u64,
}

/// The receiver.
#[derive(Debug, Clone)]
pub struct Ledger {
    pub url: String,
    desk: Arc<Mutex<Desk>>,
}

impl Ledger {
    pub fn start(listener: TcpListener) -> Self {
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let desk = Arc::new(Mutex::new(Desk::default()));
        let router = Router::new()
            .route("/hook", post(receive))
            .with_state(desk.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, desk }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap()
    }

    /// Refuses everything with 503, or takes it again.
    pub fn set_away(&self, is_away: bool) {
        self.desk().is_away = is_away;
    }

    pub fn read<T>(&self, look: impl FnOnce(&mut Books) -> T) -> T {
        look(&mut self.desk().books)
    }

    /// Deliveries taken and refused.
    pub fn deliveries(&self) -> (usize, u64) {
        let desk = self.desk();
        (desk.taken.len(), desk.refused)
    }
}

async fn receive(
    State(desk): State<Arc<Mutex<Desk>>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let mut desk = desk.lock().unwrap();
    if desk.is_away {
        desk.refused += 1;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let mut hasher = DefaultHasher::new();
    headers
        .get("webhook-id")
        .unwrap()
        .as_bytes()
        .hash(&mut hasher);
    if desk.taken.insert(hasher.finish()) {
        let events: Vec<&RawValue> = serde_json::from_slice(&body).unwrap();
        for event in events {
            desk.books.enter(event.get());
        }
    }
    StatusCode::NO_CONTENT
}
