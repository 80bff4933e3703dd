//! Smart charging as the contract prints it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{PlanRecord, Smart};
use crate::{
    device::Device,
    id::{ActionId, DeviceId, LocationId, PlanId, UserId},
    kind::DeviceKind,
    money::Decimal,
    vendor::VendorName,
};

/// How the smart charging of a vehicle stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum SmartState {
    /// The policy is off.
    #[serde(rename = "DISABLED")]
    Disabled,
    /// It is on, and waits until all considerations hold.
    #[serde(rename = "CONSIDERING")]
    Considering,
    /// The vehicle cannot, or there are no prices for its place.
    #[serde(rename = "UNKNOWN")]
    Unknown,
    /// It is on, and the vehicle is full.
    #[serde(rename = "FULLY_CHARGED")]
    FullyCharged,
    /// A stop is under way.
    #[serde(rename = "PLAN:EXECUTING:STOPPING")]
    Stopping,
    /// The stop did not take effect.
    #[serde(rename = "PLAN:EXECUTING:STOP_FAILED")]
    StopFailed,
    /// Paused until a time.
    #[serde(rename = "PLAN:EXECUTING:STOPPED")]
    Stopped,
    /// Paused until prices are known.
    #[serde(rename = "PLAN:EXECUTING:STOPPED:AWAITING_PRICES")]
    AwaitingPrices,
    /// A start is under way.
    #[serde(rename = "PLAN:EXECUTING:STARTING")]
    Starting,
    /// The start did not take effect.
    #[serde(rename = "PLAN:EXECUTING:START_FAILED")]
    StartFailed,
    /// It charges as planned.
    #[serde(rename = "PLAN:EXECUTING:STARTED")]
    Started,
    /// Somebody stopped it.
    #[serde(rename = "PLAN:EXECUTING:CHARGE_INTERRUPTED")]
    ChargeInterrupted,
    /// An override is active.
    #[serde(rename = "PLAN:EXECUTING:OVERRIDDEN")]
    Overridden,
    /// Charged as planned.
    #[serde(rename = "PLAN:ENDED:FINISHED")]
    Finished,
    /// The cable was pulled.
    #[serde(rename = "PLAN:ENDED:UNPLUGGED")]
    Unplugged,
    /// It did not come true.
    #[serde(rename = "PLAN:ENDED:FAILED")]
    Failed,
    /// The policy was switched off.
    #[serde(rename = "PLAN:ENDED:DISABLED")]
    EndedByDisabling,
    /// The deadline was changed.
    #[serde(rename = "PLAN:ENDED:DEADLINE_CHANGED")]
    DeadlineChanged,
}

impl SmartState {
    /// Whether it is one of a plan, executed or ended.
    pub const fn is_of_plan(self) -> bool {
        !matches!(
            self,
            Self::Disabled | Self::Considering | Self::Unknown | Self::FullyCharged
        )
    }
}

/// Why a plan did not come true, or only late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailureCondition {
    /// The vehicle could not be stopped.
    StopFailed,
    /// It could not be started again.
    StartFailed,
    /// It ran over by more than 15 %.
    FinishedLate,
    /// Not known.
    Unknown,
    /// Somebody stopped it for good.
    ChargeInterrupted,
}

/// What must all be so for a plan to begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Consideration {
    /// The cable is plugged in.
    pub is_plugged_in: bool,
    /// It charges.
    pub is_charging: bool,
    /// It is at a Location.
    pub at_charging_location: bool,
    /// It is known how long it takes.
    pub has_time_estimate: bool,
}

impl Consideration {
    /// Whether all of it is so.
    pub const fn is_met(&self) -> bool {
        self.is_plugged_in
            && self.is_charging
            && self.at_charging_location
            && self.has_time_estimate
    }
}

/// "Charge now", without switching a schedule or smart charging off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SmartOverrideStatus)]
pub struct SmartOverride {
    /// When it began.
    #[serde(serialize_with = "crate::time::serialize")]
    pub created_at: Timestamp,
    /// When it ended; null while it is active.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub ended_at: Option<Timestamp>,
    /// A vehicle or a charger.
    pub target_type: DeviceKind,
    /// Which one.
    pub target_id: DeviceId,
    /// The action that it began with; null if the user began it elsewhere.
    pub vendor_action_id: Option<ActionId>,
}

impl SmartOverride {
    /// Whether it is active.
    pub const fn is_active(&self) -> bool {
        self.ended_at.is_none()
    }
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SmartChargingPlan {
    /// Identifier.
    pub id: PlanId,
    /// The vehicle.
    pub vehicle_id: DeviceId,
    /// Whose it is.
    pub user_id: UserId,
    /// Where it runs.
    pub location_id: Option<LocationId>,
    /// Its vendor.
    pub vendor: VendorName,
    /// ISO 4217 code of the costs' currency; empty if nobody said.
    pub currency: String,
    /// What charging at once would have cost.
    pub non_smart_cost: f64,
    /// What the plan costs; null while that is not known.
    pub smart_cost: Option<f64>,
    /// When charging is stopped.
    #[serde(serialize_with = "crate::time::serialize")]
    pub stop_at: Timestamp,
    /// When it is started again; null while prices are awaited.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub start_at: Option<Timestamp>,
    /// When the vehicle will be full.
    #[serde(serialize_with = "crate::time::serialize")]
    pub estimated_finish_at: Timestamp,
    /// When it was first seen not to charge.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub stop_confirmed_at: Option<Timestamp>,
    /// When it was then first seen to charge.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub start_confirmed_at: Option<Timestamp>,
    /// When the plan was over.
    #[serde(serialize_with = "crate::time::serialize_option")]
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub final_state: Option<SmartState>,
    /// What went wrong.
    pub failure_condition: Option<FailureCondition>,
}

/// How the smart charging of a vehicle stands.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SmartChargingStatus {
    /// When it was last looked at.
    #[serde(serialize_with = "crate::time::serialize")]
    pub updated_at: Timestamp,
    /// The vehicle.
    pub vehicle_id: DeviceId,
    /// Whose it is.
    pub user_id: UserId,
    /// Its vendor.
    pub vendor: VendorName,
    /// How it stands.
    pub state: SmartState,
    /// Since when.
    #[serde(serialize_with = "crate::time::serialize")]
    pub state_changed_at: Timestamp,
    /// What must be so for a plan to begin; only while that is considered.
    pub consideration: Option<Consideration>,
    /// The plan; only in the states of one.
    pub plan: Option<SmartChargingPlan>,
    /// The last override.
    pub smart_override: Option<SmartOverride>,
}

impl PlanRecord {
    /// It as the contract prints it.
    pub fn document(&self, device: &Device) -> SmartChargingPlan {
        let number = |amount: Decimal| f64::try_from(amount).unwrap_or_default();
        SmartChargingPlan {
            id: self.id,
            vehicle_id: device.id,
            user_id: device.user_id.clone(),
            location_id: self.location_id,
            vendor: device.vendor.clone(),
            currency: self.currency.map_or_else(String::new, String::from),
            non_smart_cost: number(self.non_smart_cost),
            smart_cost: self.smart_cost.map(number),
            stop_at: self.stop_at,
            start_at: self.start_at,
            estimated_finish_at: self.estimated_finish_at,
            stop_confirmed_at: self.stop_confirmed_at,
            start_confirmed_at: self.start_confirmed_at,
            ended_at: self.ended_at,
            final_state: self.final_state,
            failure_condition: self.failure_condition,
        }
    }
}

impl Smart {
    /// It as the contract prints it, of its vehicle.
    pub fn document(&self, device: &Device) -> SmartChargingStatus {
        let plan = self.plan.as_ref().filter(|_| self.state.is_of_plan());
        let is_considered = self.state == SmartState::Considering;
        SmartChargingStatus {
            updated_at: self.updated_at,
            vehicle_id: device.id,
            user_id: device.user_id.clone(),
            vendor: device.vendor.clone(),
            state: self.state,
            state_changed_at: self.state_changed_at,
            consideration: is_considered.then_some(self.consideration),
            plan: plan.map(|plan| plan.document(device)),
            smart_override: self.smart_override,
        }
    }
}
