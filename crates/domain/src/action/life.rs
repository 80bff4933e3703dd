//! What an action does next, and what happens to it.

use jiff::{SignedDuration, Timestamp};

use super::{
    Action, ActionState, ChargingKind, FailureReason, FailureType, Target, Timing, Trouble,
    target::{Power, Shown, power},
};
use crate::device::Device;

/// A command that is not answered for so long is lost: whoever sent it may have died.
pub const ANSWER_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// What is to be done with an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Send the command; say so to [`Action::sending`], and store that, before the first byte.
    Send,
    /// Nothing until then, unless something happens.
    Wait(Timestamp),
    /// The window has closed: see how the device stands and call [`Action::close`].
    Close,
    /// Nothing ever again.
    Over,
}

/// What a vendor made of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendOutcome {
    /// It took it.
    Accepted,
    /// It says that the device does so already.
    AlreadySo,
    /// The device sleeps or is not connected; it may be later.
    Unreachable(String),
    /// It wants to be left alone until then.
    Throttled(Timestamp),
    /// It failed to take it, or it is not known whether it took it.
    Failed(String),
    /// It refuses, and will go on refusing: what the command takes is missing.
    Refused(String),
}

/// Why an action is withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawn {
    /// Whoever wanted it no longer does.
    ByOwner,
    /// A newer action of the device takes over.
    ByNewer,
    /// The device is gone.
    DeviceGone,
}

/// The action is over, so it cannot be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the action is resolved already")]
pub struct Resolved;

impl Action {
    /// Whether it may still come true.
    pub const fn is_pending(&self) -> bool {
        matches!(self.state, ActionState::Pending)
    }

    /// What is to be done now. `timing` is that of the device's vendor.
    pub fn next(&self, timing: &Timing, now: Timestamp) -> Next {
        if !self.is_pending() {
            return Next::Over;
        }
        if now >= self.closes_at {
            return Next::Close;
        }
        let due = self
            .due(timing)
            .unwrap_or(self.closes_at)
            .min(self.closes_at);
        if due <= now {
            Next::Send
        } else {
            Next::Wait(due)
        }
    }

    /// When the next command is due; `None` if all were sent.
    fn due(&self, timing: &Timing) -> Option<Timestamp> {
        let sends = &self.sends;
        let (since_wish, since_last) = timing.next(sends.count)?;
        let later = |at: Timestamp, by| at.saturating_add(by).unwrap_or(Timestamp::MAX);
        let of_wish = Some(later(self.created_at, since_wish));
        // After a standstill of ours the ones that were missed are not sent in a burst.
        let of_last = sends.last_at.map(|last| later(last, since_last));
        let of_answer = sends.last_at.map(|last| later(last, ANSWER_WITHIN));
        let of_answer = of_answer.filter(|_| sends.is_under_way);
        let times = [of_wish, of_last, of_answer, sends.not_before];
        times.into_iter().flatten().max()
    }

    /// A command is about to be sent.
    pub fn sending(&mut self, now: Timestamp) -> bool {
        if !self.is_pending() {
            return false;
        }
        let sends = &mut self.sends;
        sends.count += 1;
        sends.first_at.get_or_insert(now);
        sends.last_at = Some(now);
        sends.is_under_way = true;
        sends.not_before = None;
        true
    }

    /// The vendor answered a command, or nobody did. Returns whether anything changed.
    pub fn answered(&mut self, outcome: SendOutcome, now: Timestamp) -> bool {
        let was_under_way = std::mem::take(&mut self.sends.is_under_way);
        if !self.is_pending() {
            // What comes after it need not wait any longer.
            return was_under_way;
        }
        let sends = &mut self.sends;
        let trouble = |is_unreachable, detail| {
            Some(Trouble {
                is_unreachable,
                detail,
            })
        };
        match outcome {
            SendOutcome::Accepted => {
                sends.is_accepted = true;
                sends.trouble = None;
            }
            SendOutcome::AlreadySo => sends.trouble = None,
            SendOutcome::Unreachable(detail) => sends.trouble = trouble(true, detail),
            SendOutcome::Throttled(until) => {
                sends.not_before = Some(until);
                sends.trouble = trouble(false, "the vendor takes no more commands for now".into());
            }
            SendOutcome::Failed(detail) => sends.trouble = trouble(false, detail),
            SendOutcome::Refused(detail) => {
                self.end(FailureType::FailedPrecondition, detail, now);
            }
        }
        true
    }

    /// The device was read, or its vendor told something of it. Returns whether anything changed.
    pub fn observed(&mut self, device: &Device, now: Timestamp) -> bool {
        if !self.is_pending() {
            return false;
        }
        match self.sends.first_at {
            None => {
                if !self.sends.is_needed
                    && self.target.shown(device, self.created_at) == Shown::Proven
                {
                    self.end_as_needless(now);
                    return true;
                }
            }
            Some(first) => {
                if self.target.shown(device, first) == Shown::Proven {
                    let sends = &self.sends;
                    let is_answered = !sends.is_under_way && sends.trouble.is_none();
                    if is_answered && !sends.is_accepted {
                        // The vendor only ever said that there was nothing to do.
                        self.end_as_needless(now);
                    } else {
                        self.complete(ActionState::Confirmed, None, now);
                    }
                    return true;
                }
            }
        }
        let detail = match self.target.power_since(device, self.created_at) {
            Some(Power::Unplugged) => "the cable is not plugged in",
            Some(Power::Full) if self.target == Target::Charging(ChargingKind::Start) => {
                "the vehicle has reached its charge limit"
            }
            _ => return false,
        };
        self.end(FailureType::FailedPrecondition, detail.to_owned(), now);
        true
    }

    /// The window has closed; `device` is how the device stands then, `None` if it is gone. Returns
    /// whether anything changed.
    pub fn close(&mut self, device: Option<&Device>, now: Timestamp) -> bool {
        if !self.is_pending() {
            return false;
        }
        let Some(device) = device else {
            return self.cancel(Withdrawn::DeviceGone, now).is_ok();
        };
        if self.observed(device, now) {
            return true;
        }
        if self.target.is_met_by(device.kind(), &device.document) {
            self.end_as_needless(now);
            return true;
        }
        let is_charging = matches!(self.target, Target::Charging(_));
        let is_troubled = is_charging && power(device.kind(), &device.document) == Power::Troubled;
        let is_unreachable = device.is_reachable() == Some(false);
        let (kind, detail) = match &self.sends.trouble {
            _ if is_troubled => (
                FailureType::FailedPrecondition,
                "no power came, or the device has a fault: the user must see to it".to_owned(),
            ),
            Some(trouble) if trouble.is_unreachable && !self.sends.is_accepted => {
                (FailureType::FailedPrecondition, trouble.detail.clone())
            }
            _ if is_unreachable => (
                FailureType::FailedPrecondition,
                "the device could not be reached".to_owned(),
            ),
            Some(trouble) if !self.sends.is_accepted => {
                (FailureType::NoResponse, trouble.detail.clone())
            }
            _ => (
                FailureType::NoResponse,
                "the device did not show the wanted state in time".to_owned(),
            ),
        };
        self.end(kind, detail, now);
        true
    }

    /// Withdraws it. A command that the vendor took may still take effect.
    ///
    /// # Errors
    /// If it is over already.
    pub fn cancel(&mut self, why: Withdrawn, now: Timestamp) -> Result<(), Resolved> {
        if !self.is_pending() {
            return Err(Resolved);
        }
        let (kind, detail) = match why {
            Withdrawn::ByOwner => (FailureType::RequestedCancellation, "it is no longer wanted"),
            Withdrawn::ByNewer => (
                FailureType::Conflict,
                "a newer action of the device took over",
            ),
            Withdrawn::DeviceGone => (FailureType::NotFound, "the device is gone"),
        };
        self.end(kind, detail.to_owned(), now);
        Ok(())
    }

    fn end_as_needless(&mut self, now: Timestamp) {
        let detail = "the device was in the wanted state already".to_owned();
        self.end(FailureType::Unnecessary, detail, now);
    }

    fn end(&mut self, kind: FailureType, detail: String, now: Timestamp) {
        self.complete(kind.state(), Some(FailureReason { kind, detail }), now);
    }

    fn complete(&mut self, state: ActionState, reason: Option<FailureReason>, now: Timestamp) {
        self.state = state;
        self.failure_reason = reason;
        self.completed_at = Some(now);
        self.updated_at = now;
    }
}
