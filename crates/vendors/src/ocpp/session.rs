//! One connection of one charge point, as a state machine without a socket.

use std::sync::Arc;

use jiff::Timestamp;
use livewatt_domain::{
    action::{SendOutcome, Target},
    entropy::Entropy,
    fact::{Observation, Presence},
    time::to_millisecond,
};
use serde_json::{Value, json};

use super::{
    order,
    outbox::{CallFailure, Origin, Outbox, Outgoing, Recent},
    station::{Station, Turn},
    wire::{self, Action, ErrorCode, Frame},
};

/// What came of an event: everything that is to be done about it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    /// Frames to send, in this order.
    pub replies: Vec<String>,
    /// What was said about devices.
    pub observations: Vec<Observation>,
    /// What came of one of the calls made by [`Session::call`].
    pub answered: Option<Answer>,
    /// Unmapped words, refused values and odd frames met on the way, as `field=word`.
    pub drift: Vec<String>,
}

/// What came of a call of ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The call's ID, as [`Session::call`] returned it.
    pub id: String,
    /// The payload of the result, or why there is none.
    pub result: Result<Value, CallFailure>,
}

/// One WebSocket connection of one charge point.
#[derive(Debug)]
pub struct Session {
    station: Station,
    entropy: Arc<dyn Entropy>,
    outbox: Outbox,
    recent: Recent,
}

impl Session {
    /// A session of the station with this ID. `serial_hint` is its serial number, if known from
    /// elsewhere; what the station itself says comes before it.
    pub fn new(station_id: &str, serial_hint: Option<&str>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            station: Station::new(station_id, serial_hint, Arc::clone(&entropy)),
            entropy,
            outbox: Outbox::default(),
            recent: Recent::default(),
        }
    }

    /// The connection is open. Asks the station to say who it is and how things stand, for after a
    /// mere reconnect it would not.
    pub fn opened(&mut self, now: Timestamp) -> Step {
        let mut turn = Turn::new(now);
        for message in ["BootNotification", "StatusNotification", "MeterValues"] {
            let payload = json!({ "requestedMessage": message });
            let call = self.outgoing("TriggerMessage", &payload, Origin::Session);
            turn.step.replies.extend(self.outbox.submit(call, turn.now));
        }
        self.station.finish(turn)
    }

    /// A text frame arrived.
    pub fn receive(&mut self, text: &str, now: Timestamp) -> Step {
        let mut turn = Turn::new(now);
        match Frame::read(text) {
            Frame::Call {
                id,
                action,
                payload,
            } => {
                self.receive_call(&id, &action, &payload, text, &mut turn);
            }
            Frame::CutCall { id, action, why } => {
                turn.drift(why);
                self.receive_cut_call(&id, action.as_deref(), &mut turn);
            }
            Frame::Result { id, payload } => self.receive_answer(id, Ok(payload), &mut turn),
            Frame::Error {
                id,
                code,
                description,
            } => {
                let failure = CallFailure::Refused { code, description };
                self.receive_answer(id, Err(failure), &mut turn);
            }
            Frame::Nonsense(why) => turn.drift(why),
        }
        self.station.finish(turn)
    }

    /// The connection is gone. Calls not answered by now never will be; those that still waited
    /// were never sent. If another connection of the same station has taken this one's place, its
    /// observations are to be thrown away.
    pub fn closed(&mut self, now: Timestamp) -> Step {
        self.outbox.clear();
        self.station.finish(Turn {
            presence: Presence::Offline,
            ..Turn::new(now)
        })
    }

    /// Makes a call. Returns its ID, by which [`Step::answered`] will tell what came of it, and the
    /// frame to send. The frame is empty if another call is outstanding: a station is asked one
    /// thing at a time, so this one waits and will be among the replies of a later step.
    pub fn call(&mut self, action: &str, payload: Value, now: Timestamp) -> (String, String) {
        let call = self.outgoing(action, &payload, Origin::Caller);
        let id = call.id.clone();
        let frame = self
            .outbox
            .submit(call, to_millisecond(now))
            .unwrap_or_default();
        (id, frame)
    }

    /// Time has passed: gives up a call that was not answered.
    pub fn tick(&mut self, now: Timestamp) -> Step {
        let now = to_millisecond(now);
        let mut step = Step::default();
        if let Some(call) = self.outbox.expired(now) {
            match call.origin {
                Origin::Caller => {
                    step.answered = Some(Answer {
                        id: call.id,
                        result: Err(CallFailure::TimedOut),
                    });
                }
                // It is deaf to this kind of question; what is waited for must not wait longer.
                Origin::Session | Origin::Limit(_) => self.outbox.drop_own(),
            }
            step.replies.extend(self.outbox.release(now));
        }
        step
    }

    /// Tells one of the station's devices what to do. Returns the ID of the call and the frame to send,
    /// as [`Self::call`] does; [`told`](super::told) says what its answer means.
    ///
    /// # Errors
    /// What that comes to if there is nothing to send.
    pub fn order(
        &mut self,
        device: &str,
        target: &Target,
        now: Timestamp,
    ) -> Result<(String, String), SendOutcome> {
        let connector = self.station.connector_of(device).ok_or_else(|| {
            SendOutcome::Unreachable("the charge point has no such connector".to_owned())
        })?;
        let transaction = self.station.transaction(connector);
        let (action, payload) = order::call(connector, target, transaction, now)?;
        if matches!(target, Target::MaxCurrent(_)) {
            self.station.limits(connector);
        }
        Ok(self.call(action, payload, now))
    }

    /// Asks how one of the station's devices is now: its status, its meter, and, if it was told one, the
    /// current that it keeps to.
    pub fn ask(&mut self, device: &str, now: Timestamp) -> Step {
        let mut step = Step::default();
        let Some(connector) = self.station.connector_of(device) else {
            return step;
        };
        let now = to_millisecond(now);
        for message in ["StatusNotification", "MeterValues"] {
            let payload = json!({ "requestedMessage": message, "connectorId": connector });
            let call = self.outgoing("TriggerMessage", &payload, Origin::Session);
            step.replies.extend(self.outbox.submit(call, now));
        }
        if self.station.is_limited(connector) {
            let payload = json!({
                "connectorId": connector, "duration": 60, "chargingRateUnit": "A",
            });
            let call = self.outgoing("GetCompositeSchedule", &payload, Origin::Limit(connector));
            step.replies.extend(self.outbox.submit(call, now));
        }
        step
    }

    /// The transaction under way at a connector, which is what a remote stop has to name.
    pub fn transaction(&self, connector: u32) -> Option<i32> {
        self.station.transaction(connector)
    }

    fn outgoing(&self, action: &str, payload: &Value, origin: Origin) -> Outgoing {
        let id = format!("{:016x}", self.entropy.next_u64());
        Outgoing {
            frame: wire::call(&id, action, payload),
            id,
            origin,
        }
    }

    fn receive_call(
        &mut self,
        id: &Value,
        action: &str,
        payload: &Value,
        text: &str,
        turn: &mut Turn,
    ) {
        let key = id.to_string();
        if let Some(reply) = self.recent.reply_to(&key, text, turn.now) {
            turn.step.replies.push(reply.to_owned());
            return;
        }
        let result = match Action::of(action) {
            Ok(action) => self.station.handle(action, payload, turn),
            Err(code) => {
                turn.drift(format!("action={action}"));
                Err(code)
            }
        };
        let reply = match result {
            Ok(payload) => wire::result(id, &payload),
            Err(code) => wire::error(id, code),
        };
        self.recent.remember(&key, text, &reply, turn.now);
        turn.step.replies.push(reply);
    }

    fn receive_cut_call(&mut self, id: &Value, action: Option<&str>, turn: &mut Turn) {
        let result = match action.map(Action::of) {
            Some(Ok(action)) if action.is_transaction() => {
                self.station.handle(action, &Value::Null, turn)
            }
            Some(Err(code)) => Err(code),
            Some(Ok(_)) | None => Err(ErrorCode::FormationViolation),
        };
        turn.step.replies.push(match result {
            Ok(payload) => wire::result(id, &payload),
            Err(code) => wire::error(id, code),
        });
    }

    fn receive_answer(&mut self, id: String, result: Result<Value, CallFailure>, turn: &mut Turn) {
        let Some(call) = self.outbox.answered(&id) else {
            turn.drift("frame=unexpectedAnswer");
            return;
        };
        match call.origin {
            Origin::Caller => turn.step.answered = Some(Answer { id, result }),
            Origin::Session if is_unknown_question(&result) => self.outbox.drop_own(),
            Origin::Session => {}
            Origin::Limit(connector) => {
                let limit = result.ok().and_then(|payload| order::limit(&payload));
                self.station.keeps_to(connector, limit, turn);
            }
        }
        turn.step.replies.extend(self.outbox.release(turn.now));
    }
}

/// Whether a station answered that it does not know this kind of question at all.
fn is_unknown_question(result: &Result<Value, CallFailure>) -> bool {
    matches!(result, Err(CallFailure::Refused { code, .. })
        if matches!(code.as_str(), "NotImplemented" | "NotSupported"))
}
