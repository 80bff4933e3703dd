//! Actions as the contract prints them.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Action, ActionState, ChargingKind, FailureReason, Target};
use crate::{
    device::battery::OperationMode,
    id::{ActionId, DeviceId, UserId},
    kind::DeviceKind,
    temperature::TemperatureTarget,
};

/// What all actions have.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionHead {
    /// Identifier.
    pub id: ActionId,
    /// Whose device it is.
    pub user_id: UserId,
    /// When it was made.
    #[serde(serialize_with = "crate::time::serialize")]
    pub created_at: Timestamp,
    /// When it last changed.
    #[serde(serialize_with = "crate::time::serialize")]
    pub updated_at: Timestamp,
    /// When it left `PENDING`.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub completed_at: Option<Timestamp>,
    /// How far it came.
    pub state: ActionState,
    /// The device.
    pub target_id: DeviceId,
    /// What kind of device it is.
    pub target_type: DeviceKind,
    /// Why it failed or was cancelled.
    pub failure_reason: Option<FailureReason>,
}

/// A vehicle or a charger starts or stops charging.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ChargeAction {
    /// What all actions have.
    #[serde(flatten)]
    pub head: ActionHead,
    /// Which of the two.
    pub kind: ChargingKind,
}

/// A vehicle or a charger draws no more than a current.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MaxCurrentAction {
    /// What all actions have.
    #[serde(flatten)]
    pub head: ActionHead,
    /// What is wanted.
    pub target_state: TargetMaxCurrent,
}

/// A wanted current.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetMaxCurrent {
    /// The current, A.
    #[schema(exclusive_minimum = 0.0)]
    pub max_current: f64,
}

/// An HVAC unit holds a setting or follows its vendor's program.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct HvacAction {
    /// What all actions have.
    #[serde(flatten)]
    pub head: ActionHead,
    /// What is wanted.
    pub target: TemperatureTarget,
}

/// A battery pursues an aim.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationModeAction {
    /// What all actions have.
    #[serde(flatten)]
    pub head: ActionHead,
    /// What is wanted.
    pub target_state: TargetOperationMode,
}

/// A wanted aim.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetOperationMode {
    /// The aim; never `UNKNOWN`.
    pub operation_mode: OperationMode,
}

/// Any action.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ActionDocument {
    /// Of a vehicle or a charger.
    Charge(ChargeAction),
    /// Of a vehicle or a charger.
    MaxCurrent(MaxCurrentAction),
    /// Of an HVAC unit.
    Hvac(HvacAction),
    /// Of a battery.
    OperationMode(OperationModeAction),
}

impl Action {
    /// It as the contract prints it.
    pub fn document(&self) -> ActionDocument {
        let head = ActionHead {
            id: self.id,
            user_id: self.user_id.clone(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            completed_at: self.completed_at,
            state: self.state,
            target_id: self.device_id,
            target_type: self.device_kind,
            failure_reason: self.failure_reason.clone(),
        };
        match self.target {
            Target::Charging(kind) => ActionDocument::Charge(ChargeAction { head, kind }),
            Target::MaxCurrent(max_current) => ActionDocument::MaxCurrent(MaxCurrentAction {
                head,
                target_state: TargetMaxCurrent { max_current },
            }),
            Target::Temperature(target) => ActionDocument::Hvac(HvacAction { head, target }),
            Target::OperationMode(operation_mode) => {
                ActionDocument::OperationMode(OperationModeAction {
                    head,
                    target_state: TargetOperationMode { operation_mode },
                })
            }
        }
    }
}
