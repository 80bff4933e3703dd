//! Smart charging: what of it schedules have to do with.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    id::{ActionId, DeviceId},
    kind::DeviceKind,
};

/// "Charge now", without switching a schedule or smart charging off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
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
