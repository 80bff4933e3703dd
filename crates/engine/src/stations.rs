//! Devices that connect to us: OCPP charge points and their sockets.
//!
//! The socket itself is the API's; here its frames meet the protocol session, and what they say is
//! committed before the answer is sent. When storing failed none is: the socket is closed, and the
//! station says it again when it is back.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use livewatt_domain::{
    SignedDuration, Timestamp,
    account::{Account, AccountStatus},
    action::{SendOutcome, Target},
    device::VendorDevice,
    id::AccountId,
    link::LinkState,
};
use livewatt_store::UnitOfWork;
use livewatt_vendors::{
    Secret,
    ocpp::{self, Session, Step},
};
use tokio::sync::{mpsc, oneshot};

use crate::{Engine, EngineResult, error::chain, ingest::Intake, poll::schedule::Verdict};

/// How the integration of charge points is called.
const INTEGRATION: &str = "ocpp";

/// How often a connected station's session is looked after.
const TICK: std::time::Duration = std::time::Duration::from_secs(5);

/// How often the presence of a station is checked while nothing is heard of its socket.
pub(crate) const CHECK_INTERVAL: SignedDuration = SignedDuration::from_mins(2);

/// The stations connected to this node.
#[derive(Debug, Default)]
pub struct Stations(Mutex<HashMap<String, Connection>>);

/// A station's socket, from our side.
#[derive(Debug, Clone)]
struct Connection {
    calls: mpsc::Sender<StationCall>,
    /// Tells this connection from the one that replaced it.
    number: u64,
}

/// What is wanted of a station.
#[derive(Debug)]
enum StationCall {
    /// That one of its devices does something.
    Order {
        device: String,
        target: Target,
        told: oneshot::Sender<SendOutcome>,
    },
    /// That one of its devices says how it is.
    Ask { device: String },
}

/// Those who wait for answers to calls, by the IDs of these.
type Waiting = HashMap<String, oneshot::Sender<SendOutcome>>;

/// Where a station is believed to be connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whereabouts {
    Here,
    /// A newer socket ends at another node.
    Elsewhere,
    /// Nobody has noted a socket.
    Nowhere,
}

impl Stations {
    fn map(&self) -> MutexGuard<'_, HashMap<String, Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a station is connected here.
    pub fn is_connected(&self, station_id: &str) -> bool {
        self.map().contains_key(station_id)
    }

    /// Number of stations connected here.
    pub fn count(&self) -> usize {
        self.map().len()
    }
}

impl Engine {
    /// The account of a station, if the password is its own.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn authenticate_station(
        &self,
        station_id: &str,
        password: Secret,
    ) -> EngineResult<Option<AccountId>> {
        let accounts = self
            .store
            .find_accounts_of_vendor(INTEGRATION.to_owned(), station_id.to_owned())
            .await?;
        for account in accounts
            .iter()
            .filter(|a| a.status == AccountStatus::Active)
        {
            let credentials = self.open_credentials(account.id).await?;
            if ocpp::password_matches(&credentials, password.reveal()) {
                return Ok(Some(account.id));
            }
        }
        Ok(None)
    }

    /// Serves a station's socket until `inbound` ends or a newer socket of the same station takes
    /// its place. Frames to send go to `outbound`.
    pub async fn serve_station(
        self: Arc<Self>,
        account: AccountId,
        station_id: String,
        mut inbound: mpsc::Receiver<String>,
        outbound: mpsc::Sender<String>,
    ) {
        let (calls, mut calls_in) = mpsc::channel(16);
        // Half of the numbers, so that a column of signed ones holds them.
        let number = self.entropy.next_u64() >> 1;
        self.stations
            .map()
            .insert(station_id.clone(), Connection { calls, number });
        self.note_socket(&station_id, number).await;
        tracing::info!(station.id = %station_id, account.id = %account, "station connected");
        let mut session = Session::new(&station_id, None, self.entropy.clone());
        let mut waiting = Waiting::new();
        let opened = session.opened(self.now());
        let mut is_open = self
            .take_step(account, opened, &outbound, &mut waiting)
            .await;
        self.finish_waiting_link(account).await;
        let mut ticks = tokio::time::interval(TICK);
        while is_open {
            let step = tokio::select! {
                frame = inbound.recv() => match frame {
                    Some(text) => session.receive(&text, self.now()),
                    None => break,
                },
                call = calls_in.recv() => match call {
                    Some(call) => make_call(&mut session, call, self.now(), &mut waiting),
                    // A newer socket of the station took our place.
                    None => break,
                },
                _ = ticks.tick() => {
                    match self.whereabouts(&station_id, number).await {
                        Whereabouts::Here => {}
                        Whereabouts::Elsewhere => break,
                        Whereabouts::Nowhere => {
                            if self.is_given_up(account, &station_id, number).await {
                                break;
                            }
                        }
                    }
                    session.tick(self.now())
                }
            };
            is_open = self.take_step(account, step, &outbound, &mut waiting).await;
        }
        let is_replaced = {
            let mut map = self.stations.map();
            let is_ours = map.get(&station_id).is_some_and(|c| c.number == number);
            if is_ours {
                map.remove(&station_id);
            }
            !is_ours && map.contains_key(&station_id)
        };
        let is_replaced =
            is_replaced || self.whereabouts(&station_id, number).await == Whereabouts::Elsewhere;
        self.forget_socket(&station_id, number).await;
        tracing::info!(station.id = %station_id, account.id = %account, is_replaced, "station dropped off");
        if !is_replaced {
            let closed = session.closed(self.now());
            self.take_step(account, closed, &outbound, &mut waiting)
                .await;
        }
    }

    /// Tells one of a station's devices what to do, and waits for what the station says to that (30 s
    /// at most).
    pub(crate) async fn order_station(
        &self,
        station_id: &str,
        device: &VendorDevice,
        target: Target,
    ) -> SendOutcome {
        let unreachable = |what: &str| SendOutcome::Unreachable(what.to_owned());
        let Some(connection) = self.stations.map().get(station_id).cloned() else {
            return unreachable("the charge point is not connected");
        };
        let (told, waits) = oneshot::channel();
        let order = StationCall::Order {
            device: device.id.clone(),
            target,
            told,
        };
        if connection.calls.send(order).await.is_err() {
            return unreachable("the charge point is not connected");
        }
        waits
            .await
            .unwrap_or_else(|_| unreachable("the charge point dropped off before it answered"))
    }

    /// Has one of a station's devices say how it is. Nothing is lost if it is not here, or has much
    /// to answer: it says so by itself when something changes.
    pub(crate) fn ask_station(&self, device: &VendorDevice) {
        let station_id = device.id.split('#').next().unwrap_or_default();
        let connection = self.stations.map().get(station_id).cloned();
        if let Some(connection) = connection {
            let device = device.id.clone();
            let _ = connection.calls.try_send(StationCall::Ask { device });
        }
    }

    /// Commits what a step said and sends what it answers. False once nothing can be sent.
    async fn take_step(
        &self,
        account: AccountId,
        step: Step,
        outbound: &mpsc::Sender<String>,
        waiting: &mut Waiting,
    ) -> bool {
        self.drifts.note(INTEGRATION, &step.drift, self.now());
        if !step.observations.is_empty()
            && let Err(error) = self.take_push(account, &step.observations, false).await
        {
            tracing::error!(account.id = %account, error = %chain(&error), "what a station said was not stored");
            // An answer would acknowledge it. Unanswered, the station says it again when it is back.
            return false;
        }
        if let Some(answer) = step.answered
            && let Some(waits) = waiting.remove(&answer.id)
        {
            // Nobody waits any more: then nobody needs the answer.
            drop(waits.send(ocpp::told(&answer)));
        }
        for reply in step.replies {
            if outbound.send(reply).await.is_err() {
                return false;
            }
        }
        true
    }

    /// The due "fetch" of an account whose devices come to us: is its station here?
    pub(crate) async fn check_station(&self, account: &Account) -> EngineResult<Verdict> {
        if !self
            .is_station_connected(&account.vendor_account_id)
            .await?
        {
            let intake = Intake {
                is_unreachable: true,
                ..Intake::default()
            };
            if let Some(devices) = self.ingest(account.id, intake).await? {
                self.note_watched(account.id, Some(&devices));
            }
        } else {
            self.note_watched(account.id, None);
        }
        let until = self
            .now()
            .saturating_add(CHECK_INTERVAL)
            .unwrap_or(self.now());
        Ok(Verdict::Watched { until })
    }

    /// Whether a station is connected, be it to another node.
    async fn is_station_connected(&self, station_id: &str) -> EngineResult<bool> {
        if self.stations.is_connected(station_id) {
            return Ok(true);
        }
        match &self.membership {
            None => Ok(false),
            Some(members) => Ok(members.socket_of(station_id).await?.is_some()),
        }
    }

    /// Lets the other nodes know that a station is connected here.
    async fn note_socket(&self, station_id: &str, number: u64) {
        if let Some(members) = &self.membership
            && let Err(error) = members.open_socket(station_id, number).await
        {
            tracing::warn!(station.id = %station_id, %error, "other nodes do not know where a station is connected");
        }
    }

    async fn forget_socket(&self, station_id: &str, number: u64) {
        if let Some(members) = &self.membership
            && let Err(error) = members.close_socket(station_id, number).await
        {
            tracing::warn!(station.id = %station_id, %error, "other nodes take a station for connected");
        }
    }

    /// Where all nodes believe a station to be. A database that cannot be asked is no reason to drop
    /// it.
    async fn whereabouts(&self, station_id: &str, number: u64) -> Whereabouts {
        let Some(members) = &self.membership else {
            return Whereabouts::Here;
        };
        match members.socket_of(station_id).await {
            Ok(Some(socket)) if socket.number != number => Whereabouts::Elsewhere,
            Ok(None) => Whereabouts::Nowhere,
            Ok(Some(_)) | Err(_) => Whereabouts::Here,
        }
    }

    /// Whether the account of a station was given up, at whatever node.
    async fn is_given_up(&self, account: AccountId, station_id: &str, number: u64) -> bool {
        match self.store.find_account(account).await {
            Ok(Some((account, _))) if account.status == AccountStatus::Active => {
                // Noting it failed, or this node was silent for a while.
                self.note_socket(station_id, number).await;
                false
            }
            Ok(_) => true,
            Err(_) => false,
        }
    }

    /// Closes the socket of an account's station, if it is one and connected here.
    pub(crate) fn close_station(&self, account: &Account) {
        if account.integration == INTEGRATION {
            self.stations.map().remove(&account.vendor_account_id);
        }
    }

    /// Lets the node at which the station of an account is connected know that the account is no
    /// longer there, or no longer to be used; it looks within seconds.
    pub(crate) async fn forget_station(&self, account: &Account) {
        if account.integration == INTEGRATION
            && let Some(members) = &self.membership
            && let Err(error) = members.forget_socket(&account.vendor_account_id).await
        {
            tracing::warn!(account.id = %account.id, %error, "a station may stay connected");
        }
    }

    /// The station a user waits for has come: their link session is done.
    async fn finish_waiting_link(&self, account: AccountId) {
        let mut unit = UnitOfWork::new(self.ownership.fence(account.partition()));
        let result = async {
            let Some(session) = self.store.waiting_link_session(account).await? else {
                return Ok(());
            };
            unit.link_session = Some((session.id, LinkState::Done { account }));
            self.commit(session.client_id, unit).await
        };
        if let Err(error) = result.await {
            tracing::error!(account.id = %account, error = %chain(&error), "link session not finished");
        }
    }
}

/// Makes a call on a session, and remembers who waits for its answer. No frame: another call is
/// outstanding, this one follows it.
fn make_call(
    session: &mut Session,
    call: StationCall,
    now: Timestamp,
    waiting: &mut Waiting,
) -> Step {
    let frame = match call {
        StationCall::Order {
            device,
            target,
            told,
        } => match session.order(&device, &target, now) {
            Ok((id, frame)) => {
                waiting.insert(id, told);
                frame
            }
            Err(outcome) => {
                // Nobody waits any more: then nobody needs the answer.
                drop(told.send(outcome));
                // What is missing it may tell now.
                return session.ask(&device, now);
            }
        },
        StationCall::Ask { device } => return session.ask(&device, now),
    };
    Step {
        replies: non_empty(frame),
        ..Step::default()
    }
}

fn non_empty(frame: String) -> Vec<String> {
    if frame.is_empty() {
        Vec::new()
    } else {
        vec![frame]
    }
}
