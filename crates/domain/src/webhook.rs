//! Webhook subscriptions: a filter over a client's events, and where their delivery stands.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    event::{
        ACTION_UPDATED, DeviceEvent, ENERGY_RESTATED, HEARTBEAT, STATISTICS_UPDATED, hem_event_name,
    },
    id::{ClientId, DeliveryId, DeviceId, UserId, WebhookId},
    kind::DeviceKind,
};

/// Names that may be subscribed to besides those of [`DeviceKind`]s and `*`.
const OTHER_NAMES: [&str; 7] = [
    "user:vehicle:smart-charging-status-updated",
    "user:charge-action:updated",
    ACTION_UPDATED,
    "user:schedule:execution-updated",
    STATISTICS_UPDATED,
    "user:credentials:invalidated",
    ENERGY_RESTATED,
];

/// The names of all events that may be subscribed to, `*` first.
pub fn subscribable_names() -> Vec<String> {
    let of_kinds = DeviceKind::ALL.into_iter().flat_map(|kind| {
        ["discovered", "updated", "deleted"].map(|what| format!("user:{kind}:{what}"))
    });
    // The contract tells of these to whoever wants all; they may be wanted by name as well.
    let of_systems = [
        DeviceEvent::Discovered,
        DeviceEvent::Updated,
        DeviceEvent::Deleted,
    ]
    .map(hem_event_name);
    std::iter::once("*".to_owned())
        .chain(of_kinds)
        .chain(of_systems)
        .chain(OTHER_NAMES.map(str::to_owned))
        .chain(std::iter::once("enode:webhook:test".to_owned()))
        .collect()
}

/// The old name of `user:vendor-action:updated`; means the same in a subscription.
const CHARGE_ACTION_ALIAS: &str = "user:charge-action:updated";

/// Which events a webhook wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventFilter(pub Vec<String>);

impl EventFilter {
    /// Whether an event of this name is wanted. `*` wants those of the contract: a receiver that
    /// parses them strictly must not be sent others that it has not asked for by name.
    pub fn accepts(&self, name: &str) -> bool {
        name == HEARTBEAT
            || self.0.iter().any(|wanted| {
                (wanted == "*" && name != ENERGY_RESTATED)
                    || wanted == name
                    || (wanted == CHARGE_ACTION_ALIAS && name == ACTION_UPDATED)
            })
    }
}

/// A header that the customer wants on each delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookAuthentication {
    /// Name, lower case.
    pub header_name: String,
    /// Value, sealed.
    pub sealed_value: String,
}

/// A webhook subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Identifier.
    pub id: WebhookId,
    /// The customer.
    pub client_id: ClientId,
    /// Where deliveries go.
    pub url: String,
    /// What signs them, sealed.
    pub sealed_secret: String,
    /// Which events go there.
    pub events: EventFilter,
    /// The API version pinned, if any.
    pub api_version: Option<String>,
    /// An extra header.
    pub authentication: Option<WebhookAuthentication>,
    /// False after the retry window ran out, until a successful test or an update.
    pub is_active: bool,
    /// Last successful delivery; `created_at` until then.
    pub last_success: Timestamp,
    /// When it was created.
    pub created_at: Timestamp,
    /// Number of times its settings were changed.
    pub revision: u64,
    /// Number of lanes its deliveries run in; fixed at creation, since it decides which events
    /// share a lane.
    pub lanes: u16,
}

/// Which lane an event goes by: events of one device always share one.
pub fn lane_of(device: Option<DeviceId>, user: &UserId, lanes: u16) -> u16 {
    lane_hash(device, user) % lanes.max(1)
}

/// The hash behind [`lane_of`], stored with each event.
pub fn lane_hash(device: Option<DeviceId>, user: &UserId) -> u16 {
    let fold = |bytes: &[u8]| {
        bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        })
    };
    let hash = match device {
        Some(id) => fold(id.0.as_bytes()),
        None => fold(user.as_str().as_bytes()),
    };
    (hash >> 16) as u16
}

/// A position in the event log; only its order means anything.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(pub i64);

/// A delivery that was begun and not yet acknowledged: a retry sends the same events under the
/// same ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingDelivery {
    /// Its ID.
    pub id: DeliveryId,
    /// The last event in it.
    pub until: Position,
    /// Attempts made.
    pub attempts: u32,
    /// When the first attempt failed.
    pub failing_since: Option<Timestamp>,
    /// When to try again.
    pub next_attempt_at: Timestamp,
}

/// Where one lane of a webhook stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// Number of the lane, from 0.
    pub lane: u16,
    /// Everything up to here was delivered or not wanted.
    pub cursor: Position,
    /// The delivery under way.
    pub pending: Option<PendingDelivery>,
}

/// One attempt to deliver, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryAttempt {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// When it began.
    pub at: Timestamp,
    /// How long it took, ms.
    pub duration_ms: u64,
    /// Number of events in it.
    pub events: u32,
    /// The receiver's status, if it answered.
    pub status: Option<u16>,
    /// Why it failed, in words; `None` if it succeeded.
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contracts_twenty_six_names_and_four_more_can_be_subscribed_to() {
        assert_eq!(subscribable_names().len(), 26 + 1 + 3);
        for name in ["user:hem-system:discovered", "user:hem-system:deleted"] {
            assert!(subscribable_names().contains(&name.to_owned()));
            assert!(EventFilter(vec!["*".to_owned()]).accepts(name));
        }
    }

    #[test]
    fn all_is_all_of_the_contract() {
        let all = EventFilter(vec!["*".to_owned()]);
        assert!(all.accepts("user:vehicle:updated") && !all.accepts(ENERGY_RESTATED));
        assert!(EventFilter(vec![ENERGY_RESTATED.to_owned()]).accepts(ENERGY_RESTATED));
    }

    #[test]
    fn heartbeats_pass_every_filter() {
        let filter = EventFilter(vec!["user:vehicle:updated".to_owned()]);
        assert!(filter.accepts(HEARTBEAT));
        assert!(filter.accepts("user:vehicle:updated"));
        assert!(!filter.accepts("user:vehicle:deleted"));
    }
}
