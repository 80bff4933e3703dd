//! A charge point: what it tells, and what is known of it while it is connected.
//!
//! What is told about times: within a session every observation is later than the one before, even
//! when frames arrive in the same millisecond, so that the newer always wins in the merge. A
//! station's clock is taken for the time of a fact only if it is near ours and does not contradict
//! the order of arrival. Meter values that a station kept while it was offline are history and say
//! nothing about now.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use livewatt_domain::{
    device::{Capability, VendorDevice, Via, charger},
    energy::Flow,
    entropy::Entropy,
    fact::{Completeness, Key, Observation, Presence},
    kind::DeviceKind,
    time::{to_millisecond, wire as date_time},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    connector::Connector,
    convert::{self, Register, Status},
    session::Step,
    wire::{Action, ErrorCode, Fields},
};
use crate::interventions::OUT_OF_SERVICE;

/// A charge point.
#[derive(Debug)]
pub(super) struct Station {
    id: String,
    entropy: Arc<dyn Entropy>,
    description: Description,
    connectors: BTreeMap<u32, Connector>,
    is_out_of_service: bool,
    /// A time near ours was met since the station last started.
    is_clock_proven: bool,
    latest: Option<Timestamp>,
}

/// What a station says of itself.
#[derive(Debug, Clone, Default)]
struct Description {
    brand: Option<String>,
    model: Option<String>,
    serial_number: Option<String>,
}

/// A step in the making.
pub(super) struct Turn {
    pub(super) now: Timestamp,
    pub(super) presence: Presence,
    pub(super) said: Vec<(u32, Observation)>,
    pub(super) step: Step,
}

/// Seconds between heartbeats that we ask for.
const HEARTBEAT_SECS: u32 = 300;

/// How far a station's clock may be off before it is ignored.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// Most notes of drift in a step; a babbling station must not flood the log.
const MOST_DRIFT: usize = 8;

/// Longest note of drift, characters.
const LONGEST_DRIFT: usize = 64;

/// The connector whose device is found as soon as the station connects. Nearly all stations in
/// homes have no other.
const FIRST_CONNECTOR: u32 = 1;

impl Station {
    pub(super) fn new(id: &str, serial_hint: Option<&str>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            id: id.to_owned(),
            entropy,
            description: Description {
                serial_number: serial_hint.map(str::to_owned),
                ..Description::default()
            },
            connectors: BTreeMap::new(),
            is_out_of_service: false,
            is_clock_proven: false,
            latest: None,
        }
    }

    /// The transaction under way at a connector.
    pub(super) fn transaction(&self, connector: u32) -> Option<i32> {
        self.connectors.get(&connector)?.transaction
    }

    /// The connector that a device is.
    pub(super) fn connector_of(&self, device: &str) -> Option<u32> {
        match device.strip_prefix(&self.id)? {
            "" => Some(FIRST_CONNECTOR),
            rest => rest.strip_prefix('#')?.parse().ok(),
        }
    }

    /// A connector is told which current to keep to.
    pub(super) fn limits(&mut self, connector: u32) {
        self.connectors.entry(connector).or_default().is_limited = true;
    }

    /// Whether a connector was told which current to keep to.
    pub(super) fn is_limited(&self, connector: u32) -> bool {
        let known = self.connectors.get(&connector);
        known.is_some_and(|known| known.is_limited)
    }

    /// The station says which current a connector keeps to, A; `None` if it does not know.
    pub(super) fn keeps_to(&mut self, connector: u32, limit: Option<f64>, turn: &mut Turn) {
        if limit.is_none() {
            return;
        }
        let (known, seen) = self.say(connector, turn);
        let at = known.current_told.next(None, seen.started_at);
        retell(seen, charger::MAX_CURRENT, limit, at);
    }

    /// Takes what the station asks and yields the payload of the result.
    pub(super) fn handle(
        &mut self,
        action: Action,
        payload: &Value,
        turn: &mut Turn,
    ) -> Result<Value, ErrorCode> {
        let fields = match Fields::of(payload) {
            Some(fields) => fields,
            None if action.is_transaction() => {
                turn.drift("payload=notAnObject");
                Fields::NONE
            }
            None => return Err(ErrorCode::FormationViolation),
        };
        match action {
            Action::BootNotification => Ok(self.boot(fields, turn)),
            Action::Heartbeat => Ok(json!({ "currentTime": date_time(turn.now) })),
            Action::StatusNotification => self.status(fields, turn),
            Action::MeterValues => self.meter_values(fields, turn),
            Action::StartTransaction => Ok(self.start(fields, payload, turn)),
            Action::StopTransaction => Ok(self.stop(fields)),
            Action::Authorize => Ok(json!({ "idTagInfo": { "status": "Accepted" } })),
            Action::DataTransfer => Ok(json!({ "status": "UnknownVendorId" })),
            Action::SignCertificate => Ok(json!({ "status": "Rejected" })),
            Action::DiagnosticsStatusNotification
            | Action::FirmwareStatusNotification
            | Action::LogStatusNotification
            | Action::SecurityEventNotification
            | Action::SignedFirmwareStatusNotification => Ok(json!({})),
        }
    }

    fn boot(&mut self, fields: Fields<'_>, turn: &mut Turn) -> Value {
        let serial_number = fields
            .text("chargePointSerialNumber")
            .or_else(|| fields.text("chargeBoxSerialNumber"))
            .or_else(|| self.description.serial_number.take())
            .unwrap_or_else(|| self.id.clone());
        self.description = Description {
            brand: fields.text("chargePointVendor"),
            model: fields.text("chargePointModel"),
            serial_number: Some(serial_number),
        };
        self.is_clock_proven = false;
        self.is_out_of_service = false;
        let description = self.description.clone();
        for connector in self.known_connectors() {
            description.tell(self.say(connector, turn).1);
        }
        json!({
            "status": "Accepted",
            "currentTime": date_time(turn.now),
            "interval": HEARTBEAT_SECS,
        })
    }

    fn status(&mut self, fields: Fields<'_>, turn: &mut Turn) -> Result<Value, ErrorCode> {
        let connector = fields.connector()?;
        let word = fields.word("status")?;
        let status = Status::of(&word);
        if status.is_none() {
            turn.drift(format!("status={word}"));
        }
        if connector == 0 {
            self.is_out_of_service = status.is_some_and(Status::is_out_of_service);
            return Ok(json!({}));
        }
        if status.is_some_and(Status::is_serving) {
            self.is_out_of_service = false;
        }
        let at = fields
            .text("timestamp")
            .and_then(|text| convert::moment(&text));
        let at = self.credible(at, turn.now);
        let (known, seen) = self.say(connector, turn);
        let at = known.state_told.next(at, seen.started_at);
        let state = status.and_then(Status::power_delivery_state);
        seen.tell(charger::POWER_DELIVERY_STATE, state, at);
        let is_closed = status == Some(Status::Unavailable);
        if known.is_closed != is_closed && status.is_some() {
            known.is_closed = is_closed;
            let obstacle = is_closed.then_some(OUT_OF_SERVICE);
            for key in COMMANDS {
                retell(seen, key, Some(Capability::unless(obstacle)), None);
            }
        }
        Ok(json!({}))
    }

    fn meter_values(&mut self, fields: Fields<'_>, turn: &mut Turn) -> Result<Value, ErrorCode> {
        let transaction = fields.whole("transactionId").ok().filter(|id| *id > 0);
        let connector = fields.connector().or_else(|code| {
            let running = |(_, c): &(&u32, &Connector)| c.transaction == transaction;
            let found = self
                .connectors
                .iter()
                .find(running)
                .map(|(number, _)| *number);
            transaction.and(found).ok_or(code)
        })?;
        if connector == 0 {
            // The meter of the station as a whole: no connector's power.
            return Ok(json!({}));
        }
        let readings = convert::readings(fields.list("meterValue"), &mut turn.step.drift);
        let now = turn.now;
        let (known, _) = self.say(connector, turn);
        if transaction.is_some() && transaction != known.ended {
            known.join(transaction);
        }
        for reading in readings {
            let measured = reading.measured();
            let credible = self.credible(reading.at, now);
            let is_history = self.is_clock_proven
                && reading
                    .at
                    .is_some_and(|at| now.duration_since(at) > CLOCK_TOLERANCE);
            let (known, seen) = self.say(connector, turn);
            let rate = known.rate(&measured, reading.at, now);
            if let Some(energy) = measured.energy {
                // What it measured while it was out of touch is not now, but has flowed.
                let at = if is_history { reading.at } else { credible };
                seen.count(Flow::Taken, energy / 1000.0, at);
            }
            if is_history || credible.is_some_and(|at| Some(at) < known.sampled_at) {
                continue;
            }
            known.sampled_at = credible.or(known.sampled_at);
            if rate.is_some() {
                let at = known.rate_told.next(credible, seen.started_at);
                retell(seen, charger::CHARGE_RATE, rate, at);
            }
            if measured.offered.is_some() {
                let at = known.current_told.next(credible, seen.started_at);
                retell(seen, charger::MAX_CURRENT, measured.offered, at);
            }
        }
        Ok(json!({}))
    }

    /// A station repeats a start until it is answered, perhaps in another frame: the same start is
    /// the same transaction.
    fn start(&mut self, fields: Fields<'_>, payload: &Value, turn: &mut Turn) -> Value {
        let connector = fields
            .connector()
            .ok()
            .filter(|n| *n > 0)
            .unwrap_or(FIRST_CONNECTOR);
        let known = self.connectors.get(&connector);
        let repeated = known
            .filter(|known| !payload.is_null() && known.start.as_ref() == Some(payload))
            .and_then(|known| known.transaction);
        let id = repeated.unwrap_or_else(|| self.mint());
        let at = fields
            .text("timestamp")
            .and_then(|text| convert::moment(&text));
        let now = turn.now;
        let credible = self.credible(at, now);
        let (known, seen) = self.say(connector, turn);
        if let Some(energy) = fields.number("meterStart").filter(|_| repeated.is_none()) {
            seen.count(Flow::Taken, energy / 1000.0, credible);
        }
        if repeated.is_none() {
            known.join(Some(id));
            known.start = Some(payload.clone());
            known.register = fields.number("meterStart").map(|energy| Register {
                energy,
                at,
                arrived_at: now,
            });
        }
        json!({ "transactionId": id, "idTagInfo": { "status": "Accepted" } })
    }

    /// Its meter values are history, and what became of the plug the next status will say.
    fn stop(&mut self, fields: Fields<'_>) -> Value {
        if let Ok(id) = fields.whole("transactionId") {
            for known in self
                .connectors
                .values_mut()
                .filter(|c| c.transaction == Some(id))
            {
                known.join(None);
                known.ended = Some(id);
            }
        }
        json!({ "idTagInfo": { "status": "Accepted" } })
    }

    /// A transaction ID: random, since it must differ from those given before a restart.
    fn mint(&self) -> i32 {
        let positive = (self.entropy.next_u64() >> 33) as i32;
        positive.max(1)
    }

    /// A time the station told, if it can be right.
    fn credible(&mut self, at: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let at = at.filter(|at| now.duration_since(*at).abs() <= CLOCK_TOLERANCE);
        self.is_clock_proven |= at.is_some();
        at
    }

    /// What is known of a connector, and the observation about it in this turn. A connector heard
    /// of for the first time is introduced.
    fn say<'a>(
        &'a mut self,
        connector: u32,
        turn: &'a mut Turn,
    ) -> (&'a mut Connector, &'a mut Observation) {
        let index = match turn
            .said
            .iter()
            .position(|(number, _)| *number == connector)
        {
            Some(index) => index,
            None => {
                let mut seen = self.observation(connector, turn);
                if !self.connectors.contains_key(&connector) {
                    introduce(&mut seen);
                    self.description.tell(&mut seen);
                }
                turn.said.push((connector, seen));
                turn.said.len() - 1
            }
        };
        (
            self.connectors.entry(connector).or_default(),
            &mut turn.said[index].1,
        )
    }

    /// An observation that is later than all before.
    fn observation(&mut self, connector: u32, turn: &Turn) -> Observation {
        let next = |latest: Timestamp| {
            latest
                .saturating_add(SignedDuration::from_millis(1))
                .unwrap_or(latest)
        };
        let at = self
            .latest
            .map_or(turn.now, |latest| turn.now.max(next(latest)));
        self.latest = Some(at);
        let id = match connector {
            FIRST_CONNECTOR => self.id.clone(),
            _ => format!("{}#{connector}", self.id),
        };
        let device = VendorDevice {
            kind: DeviceKind::Charger,
            id,
        };
        Observation::new(device, Completeness::Partial, Via::Push, at, at)
    }

    /// Lets every device of the station have been heard of.
    pub(super) fn finish(&mut self, mut turn: Turn) -> Step {
        for connector in self.known_connectors() {
            self.say(connector, &mut turn);
        }
        let presence = match turn.presence {
            Presence::Online if self.is_out_of_service => Presence::Offline,
            presence => presence,
        };
        for (_, mut seen) in turn.said {
            seen.presence = presence;
            turn.step.observations.push(seen);
        }
        turn.step.drift.truncate(MOST_DRIFT);
        for word in &mut turn.step.drift {
            *word = word.chars().take(LONGEST_DRIFT).collect();
        }
        turn.step
    }

    fn known_connectors(&self) -> BTreeSet<u32> {
        self.connectors
            .keys()
            .copied()
            .chain([FIRST_CONNECTOR])
            .collect()
    }
}

impl Turn {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            now: to_millisecond(now),
            presence: Presence::Online,
            said: Vec::new(),
            step: Step::default(),
        }
    }

    pub(super) fn drift(&mut self, word: impl Into<String>) {
        self.step.drift.push(word.into());
    }
}

impl Description {
    fn tell(&self, seen: &mut Observation) {
        for (key, text) in [
            (charger::BRAND, &self.brand),
            (charger::MODEL, &self.model),
            (charger::SERIAL_NUMBER, &self.serial_number),
        ] {
            if text.is_some() {
                retell(seen, key, text.clone(), None);
            }
        }
    }
}

/// What every connector of every such station can be told to do.
const COMMANDS: [Key<Capability>; 3] = [
    charger::START_CHARGING,
    charger::STOP_CHARGING,
    charger::SET_MAX_CURRENT,
];

fn introduce(seen: &mut Observation) {
    for key in COMMANDS {
        seen.tell(key, Some(Capability::of(true)), None);
    }
}

/// Tells a field, in place of what the same observation told of it before.
fn retell<T: Serialize>(
    seen: &mut Observation,
    key: Key<T>,
    value: Option<T>,
    at: Option<Timestamp>,
) {
    seen.facts.retain(|fact| fact.field != key.field());
    seen.tell(key, value, at);
}
