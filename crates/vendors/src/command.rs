//! Commands: what an adapter makes of a wish for a device, and what the vendor makes of that.

use livewatt_domain::action::SendOutcome;

use crate::{
    harvest::AccountOutcome,
    http::{CallError, Response},
};

/// What came of a command.
#[derive(Debug, Clone, PartialEq)]
pub enum CommandOutcome {
    /// What the vendor made of it. That it took a command says nothing of the device.
    Answered(SendOutcome),
    /// What holds for the account whatever was commanded; the device may not have been asked.
    Account(AccountOutcome),
}

impl CommandOutcome {
    /// The device will never do this, in words for the customer.
    pub fn refused(why: &str) -> Self {
        Self::Answered(SendOutcome::Refused(why.to_owned()))
    }

    /// What the status of a vendor's answer to a command means in the usual case. Adapters look for
    /// what is special to their vendor first.
    pub(crate) fn of(answer: Result<Response, CallError>) -> Self {
        let response = match answer {
            Ok(response) => response,
            Err(error) => return Self::Account(error.into()),
        };
        match response.status {
            200..=299 => Self::Answered(SendOutcome::Accepted),
            400 | 422 => Self::refused("the vendor does not take such a command"),
            // It may be back in the next listing; if not, that tells.
            404 => Self::Answered(SendOutcome::Failed(
                "the vendor does not know the device".to_owned(),
            )),
            409 => Self::Answered(SendOutcome::Unreachable(
                "the vendor cannot reach the device".to_owned(),
            )),
            _ => Self::Account(response.refusal().unwrap_or(AccountOutcome::Ok)),
        }
    }
}

impl From<AccountOutcome> for CommandOutcome {
    fn from(outcome: AccountOutcome) -> Self {
        Self::Account(outcome)
    }
}

/// A current as vendors take it that count in whole amperes.
pub(crate) fn whole_amps(amps: f64) -> u8 {
    // Casts of floats saturate; what is beyond what the device can do is for the vendor to refuse.
    amps.round() as u8
}
