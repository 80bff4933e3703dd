//! Our calls to a charge point, one at a time, and the answers we lately gave to its own.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

/// Why a call of ours did not yield a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallFailure {
    /// The charge point answered with an error.
    #[error("the charge point answered with {code}: {description}")]
    Refused {
        /// The OCPP error code, as the charge point spelled it.
        code: String,
        /// Its words.
        description: String,
    },
    /// No answer in time. Whether the call had an effect is not known.
    #[error("the charge point did not answer in time")]
    TimedOut,
}

/// Who wants a call made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The session itself, to be told how things stand.
    Session,
    /// The session itself, to be told what current a connector keeps to.
    Limit(u32),
    /// Someone who waits for the answer.
    Caller,
}

/// A call of ours.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) id: String,
    pub(super) frame: String,
    pub(super) origin: Origin,
}

/// Our calls: at most one is with the charge point, the others wait.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    outstanding: Option<(Outgoing, Timestamp)>,
    waiting: VecDeque<Outgoing>,
}

impl Outbox {
    /// How long a charge point may take to answer.
    pub(super) const PATIENCE: SignedDuration = SignedDuration::from_secs(30);

    /// Takes a call and yields the frame to send now, if there is one. Calls someone waits for go
    /// before the session's own.
    pub(super) fn submit(&mut self, call: Outgoing, now: Timestamp) -> Option<String> {
        let place = match call.origin {
            Origin::Session | Origin::Limit(_) => self.waiting.len(),
            Origin::Caller => self
                .waiting
                .iter()
                .position(|other| other.origin != Origin::Caller)
                .unwrap_or(self.waiting.len()),
        };
        self.waiting.insert(place, call);
        self.release(now)
    }

    /// The next frame to send, if nothing is outstanding.
    pub(super) fn release(&mut self, now: Timestamp) -> Option<String> {
        if self.outstanding.is_some() {
            return None;
        }
        let next = self.waiting.pop_front()?;
        let frame = next.frame.clone();
        self.outstanding = Some((next, now));
        Some(frame)
    }

    /// The outstanding call, if `id` answers it; it is then no longer outstanding.
    pub(super) fn answered(&mut self, id: &str) -> Option<Outgoing> {
        self.outstanding
            .take_if(|(call, _)| call.id == id)
            .map(|(call, _)| call)
    }

    /// The outstanding call, if it has waited too long; it is then no longer outstanding.
    pub(super) fn expired(&mut self, now: Timestamp) -> Option<Outgoing> {
        if let Some((_, sent_at)) = &mut self.outstanding {
            // A clock set back must not prolong the wait.
            *sent_at = (*sent_at).min(now);
        }
        self.outstanding
            .take_if(|(_, sent_at)| now.duration_since(*sent_at) >= Self::PATIENCE)
            .map(|(call, _)| call)
    }

    /// Gives up what the session itself still wanted to ask.
    pub(super) fn drop_own(&mut self) {
        self.waiting.retain(|call| call.origin == Origin::Caller);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Answers lately given, so that a frame sent twice is answered the same and acted on once.
///
/// A frame counts as sent twice if it is the same to the byte and its ID was not used for another
/// in between: some stations use one ID for everything.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<Given>);

#[derive(Debug)]
struct Given {
    id: String,
    frame: String,
    reply: String,
    at: Timestamp,
}

impl Recent {
    const MOST: usize = 16;
    /// Longest frame worth keeping, bytes; what is larger is history that may be read twice.
    const LONGEST: usize = 4096;
    /// A station gives up or sends again within this time.
    const AGE: SignedDuration = SignedDuration::from_mins(2);

    /// The answer given to the same frame.
    pub(super) fn reply_to(&self, id: &str, frame: &str, now: Timestamp) -> Option<&str> {
        self.0
            .iter()
            .find(|given| given.id == id && given.frame == frame)
            .filter(|given| now.duration_since(given.at).abs() <= Self::AGE)
            .map(|given| given.reply.as_str())
    }

    /// Remembers an answer.
    pub(super) fn remember(&mut self, id: &str, frame: &str, reply: &str, now: Timestamp) {
        self.0.retain(|given| given.id != id);
        if frame.len() > Self::LONGEST {
            return;
        }
        if self.0.len() == Self::MOST {
            self.0.pop_front();
        }
        self.0.push_back(Given {
            id: id.to_owned(),
            frame: frame.to_owned(),
            reply: reply.to_owned(),
            at: now,
        });
    }
}
