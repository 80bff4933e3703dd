//! Actions: a command to a device, from the wish to what became of it.
//!
//! A wish becomes an [`Action`] by [`create`], which refuses what cannot come true and settles what
//! happens to the action that was pending. From then on it is a state machine without I/O:
//! [`Action::next`] says what is to be done, and whatever happens is told to it by
//! [`Action::sending`], [`Action::answered`], [`Action::observed`], [`Action::close`] and
//! [`Action::cancel`]. It is stored after each of them that returns true.
//!
//! What must stay true:
//! - One pending action per device. Only a pending one changes; the other states are final. That the
//!   command of one that ended meanwhile was answered is noted all the same.
//! - It is [`ActionState::Confirmed`] only by the state of the device, read or pushed after the first
//!   command went out. What a vendor answers to a command proves nothing.
//! - No two commands of a device are under way at once, unless the first was not answered for a
//!   minute.

mod create;
mod life;
mod target;
mod timing;
mod wire;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::{
    create::{Controller, Created, NewAction, Refusal, create},
    life::{ANSWER_WITHIN, Next, Resolved, SendOutcome, Withdrawn},
    target::{ChargingKind, Target},
    timing::{BadTiming, Timing},
    wire::{
        ActionDocument, ActionHead, ChargeAction, HvacAction, MaxCurrentAction,
        OperationModeAction, TargetMaxCurrent, TargetOperationMode,
    },
};
use crate::{
    id::{ActionId, ClientId, DeviceId, PlanId, ScheduleId, UserId},
    kind::DeviceKind,
};

/// How far an action came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ActionState {
    /// Commands are sent and the device is watched.
    Pending,
    /// The device shows the wanted state.
    Confirmed,
    /// The window closed without success.
    Failed,
    /// It became impossible, needless or unwanted.
    Cancelled,
}

/// Why an action did not come true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailureType {
    /// The device did not react within the window.
    NoResponse,
    /// Something that it takes was missing: the cable, the connection, room in the battery.
    FailedPrecondition,
    /// A newer action of the same device took over.
    Conflict,
    /// The device is gone.
    NotFound,
    /// The device was in the wanted state already.
    Unnecessary,
    /// Whoever wanted it no longer does.
    RequestedCancellation,
}

impl FailureType {
    /// The state of an action that ends for this reason.
    pub const fn state(self) -> ActionState {
        match self {
            Self::NoResponse => ActionState::Failed,
            Self::FailedPrecondition
            | Self::Conflict
            | Self::NotFound
            | Self::Unnecessary
            | Self::RequestedCancellation => ActionState::Cancelled,
        }
    }
}

/// Why an action did not come true, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailureReason {
    /// The kind of reason.
    #[serde(rename = "type")]
    pub kind: FailureType,
    /// What happened.
    pub detail: String,
}

/// Who wanted an action, and may withdraw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Owner {
    /// A caller of the API.
    Caller,
    /// A schedule.
    Schedule(ScheduleId),
    /// A plan of smart charging.
    Plan(PlanId),
    /// A smart override.
    Override,
}

/// A command to a device, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// Identifier.
    pub id: ActionId,
    /// The customer.
    pub client_id: ClientId,
    /// Whose device it is.
    pub user_id: UserId,
    /// The device.
    pub device_id: DeviceId,
    /// What kind of device it is.
    pub device_kind: DeviceKind,
    /// What it is to do.
    pub target: Target,
    /// Who wanted that.
    pub owner: Owner,
    /// When it was wanted.
    pub created_at: Timestamp,
    /// When something the wire shows last changed.
    pub updated_at: Timestamp,
    /// When it left [`ActionState::Pending`].
    pub completed_at: Option<Timestamp>,
    /// How far it came.
    pub state: ActionState,
    /// Why it did not come true; `None` while it may, and if it did.
    pub failure_reason: Option<FailureReason>,
    /// When its window closes.
    pub closes_at: Timestamp,
    /// What was sent of it.
    pub sends: Sends,
}

/// What was sent of an action.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sends {
    /// How many commands were begun.
    pub count: u32,
    /// When the first one was begun: what the device shows later may be its work.
    pub first_at: Option<Timestamp>,
    /// When the last one was begun.
    pub last_at: Option<Timestamp>,
    /// The last one is not answered yet.
    pub is_under_way: bool,
    /// A vendor took one without saying that there was nothing to do.
    pub is_accepted: bool,
    /// It takes the place of one that was sent, which may still take effect: a command is due even if
    /// the device shows what is wanted.
    #[serde(default)]
    pub is_needed: bool,
    /// The vendor wants to be left alone until then.
    pub not_before: Option<Timestamp>,
    /// What came of the last one that the vendor did not take, in words.
    pub trouble: Option<Trouble>,
}

/// Why a vendor did not take a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// The device could not be reached, which is nobody's failure to react.
    pub is_unreachable: bool,
    /// What happened.
    pub detail: String,
}

#[cfg(test)]
mod tests;
