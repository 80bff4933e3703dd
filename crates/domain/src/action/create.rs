//! From a wish to an action: what is refused, and what becomes of the action that was pending.

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    Action, ActionState, ChargingKind, Owner, Sends, Target, Timing, Withdrawn,
    target::{Power, power},
};
use crate::{
    device::{Device, battery::OperationMode},
    fact::Key,
    id::ActionId,
    kind::DeviceKind,
    temperature::Unfit,
};

/// A wish for a device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NewAction {
    /// The identifier of the action, if one is made.
    pub id: ActionId,
    /// What the device is to do.
    pub target: Target,
    /// Who wants that.
    pub owner: Owner,
}

/// What drives a device, so that a caller must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// An enabled schedule.
    Schedule,
    /// A plan of smart charging that is being executed.
    Plan,
}

/// What becomes of a wish.
#[derive(Debug, Clone, PartialEq)]
pub enum Created {
    /// The pending action wants the same: that is the answer.
    Reused,
    /// A new action, and the one that was pending, now cancelled.
    New {
        /// The new one.
        action: Box<Action>,
        /// The one that it replaces.
        replaced: Option<Box<Action>>,
    },
}

/// Why a wish is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// A kind of device that does no such thing.
    #[error("a {0} cannot do that")]
    WrongKind(DeviceKind),
    /// The device cannot.
    #[error("the device is not capable of that ({capability})")]
    NotCapable {
        /// The ability that is missing, as the wire names it.
        capability: &'static str,
        /// What the user can do about it; nothing if the list is empty.
        intervention_ids: Vec<Uuid>,
    },
    /// No current.
    #[error("must be a number above 0")]
    Current,
    /// An aim that is only ever read.
    #[error("is not a mode that a battery can be given")]
    OperationMode,
    /// The unit cannot be set so.
    #[error(transparent)]
    Temperature(Unfit),
    /// Nothing to charge, or to charge from.
    #[error("the cable is not plugged in")]
    Unplugged,
    /// Nothing to charge.
    #[error("the vehicle has reached its charge limit")]
    FullyCharged,
    /// It charges.
    #[error("the device is charging already")]
    AlreadyCharging,
    /// It does not charge.
    #[error("the device has stopped charging already")]
    AlreadyStopped,
    /// It is driven by something else.
    #[error("{}", controlled_by(.0))]
    Controlled(Controller),
}

const fn controlled_by(controller: &Controller) -> &'static str {
    match controller {
        Controller::Schedule => {
            "the device is controlled by a schedule; disable it, or create a smart override"
        }
        Controller::Plan => {
            "the device is controlled by smart charging; disable it, or create a smart override"
        }
    }
}

impl Refusal {
    /// The field of the request that is to blame, if one is; as the wire names it.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Current => Some("maxCurrent"),
            Self::OperationMode => Some("operationMode"),
            Self::Temperature(unfit) => Some(unfit.field()),
            Self::AlreadyCharging | Self::AlreadyStopped => Some("action"),
            Self::WrongKind(_)
            | Self::NotCapable { .. }
            | Self::Unplugged
            | Self::FullyCharged
            | Self::Controlled(_) => None,
        }
    }

    /// Whether the device is driven by something else, which is answered with 422; all others with
    /// 400.
    pub const fn is_controlled(&self) -> bool {
        matches!(self, Self::Controlled(_))
    }
}

/// Makes an action of a wish for a device. `last` is the device's newest action, pending or not, and
/// `controller` what drives the device.
///
/// # Errors
/// If the wish cannot come true within its window, or something else drives the device and a caller
/// wants it to charge, to stop, or to change its temperature.
pub fn create(
    new: NewAction,
    device: &Device,
    last: Option<&Action>,
    controller: Option<Controller>,
    timing: &Timing,
    now: Timestamp,
) -> Result<Created, Refusal> {
    let pending = last.filter(|last| last.is_pending());
    check_target(&new.target, device)?;
    let is_driven = matches!(new.target, Target::Charging(_) | Target::Temperature(_));
    if let Some(controller) = controller
        && is_driven
        && new.owner == Owner::Caller
    {
        return Err(Refusal::Controlled(controller));
    }
    if pending.is_some_and(|pending| is_same(pending, &new)) {
        return Ok(Created::Reused);
    }
    check_power(&new.target, device, pending.is_some())?;
    let replaced = pending.cloned().map(|mut replaced| {
        // It is pending, so it can be.
        let _ = replaced.cancel(Withdrawn::ByNewer, now);
        Box::new(replaced)
    });
    let mut action = Action {
        id: new.id,
        client_id: device.client_id,
        user_id: device.user_id.clone(),
        device_id: device.id,
        device_kind: device.kind(),
        target: new.target,
        owner: new.owner,
        created_at: now,
        updated_at: now,
        completed_at: None,
        state: ActionState::Pending,
        failure_reason: None,
        closes_at: now
            .saturating_add(timing.window())
            .unwrap_or(Timestamp::MAX),
        sends: Sends::default(),
    };
    action.sends.not_before = last.and_then(Action::released_at);
    action.sends.is_needed =
        pending.is_some_and(|pending| pending.sends.count > 0 || pending.sends.is_needed);
    let action = Box::new(action);
    Ok(Created::New { action, replaced })
}

impl Action {
    /// Until when the action that comes after this one waits: for its command that is under way, or the
    /// vendor might carry them out in the wrong order, and for what it waited for itself.
    fn released_at(&self) -> Option<Timestamp> {
        let last = self.sends.last_at.filter(|_| self.sends.is_under_way);
        let answered = last.and_then(|last| last.saturating_add(super::ANSWER_WITHIN).ok());
        answered.max(self.sends.not_before.filter(|_| self.is_pending()))
    }

    /// The command of the action before this one was answered: it need not wait for that.
    pub const fn released(&mut self) {
        if self.sends.count == 0 {
            self.sends.not_before = None;
        }
    }
}

/// Whether a wish is what a pending action is for, so that it is used again: only a vehicle's start
/// or stop, and only by the same owner, since an owner that withdraws an action must not withdraw
/// another's.
fn is_same(pending: &Action, new: &NewAction) -> bool {
    let is_reusable =
        pending.device_kind == DeviceKind::Vehicle && matches!(new.target, Target::Charging(_));
    is_reusable && pending.target == new.target && pending.owner == new.owner
}

fn check_target(target: &Target, device: &Device) -> Result<(), Refusal> {
    let kind = device.kind();
    if !target.is_for(kind) {
        return Err(Refusal::WrongKind(kind));
    }
    match target {
        Target::MaxCurrent(amperes) if !(amperes.is_finite() && *amperes > 0.0) => {
            return Err(Refusal::Current);
        }
        Target::OperationMode(OperationMode::Unknown) => return Err(Refusal::OperationMode),
        _ => {}
    }
    let key: Option<Key<_>> = target.capability(kind);
    let key = key.ok_or(Refusal::WrongKind(kind))?;
    let capability = device.document.get(key).unwrap_or_default();
    if !capability.is_capable {
        return Err(Refusal::NotCapable {
            capability: key.field().path(),
            intervention_ids: capability.intervention_ids,
        });
    }
    if let Target::Temperature(target) = target {
        target
            .fits(&device.document)
            .map_err(Refusal::Temperature)?;
    }
    Ok(())
}

/// What would not change within the window. While another action is pending, the device may be
/// about to change: being so already is no reason then.
fn check_power(target: &Target, device: &Device, is_moving: bool) -> Result<(), Refusal> {
    let Target::Charging(kind) = target else {
        return Ok(());
    };
    match (kind, power(device.kind(), &device.document)) {
        (_, Power::Unplugged) => Err(Refusal::Unplugged),
        (ChargingKind::Start, Power::Full) => Err(Refusal::FullyCharged),
        (ChargingKind::Start, Power::Charging) if !is_moving => Err(Refusal::AlreadyCharging),
        (ChargingKind::Stop, Power::Stopped | Power::Full) if !is_moving => {
            Err(Refusal::AlreadyStopped)
        }
        _ => Ok(()),
    }
}
