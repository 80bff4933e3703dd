//! What a session tells, as the merge takes it: the last word of a station is what is shown.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use livewatt_domain::{
    device::{Device, NewDevice, charger},
    entropy::SeededEntropy,
    id::{AccountId, ClientId, DeviceId},
    merge::{Part, merge},
    scope::Scope,
};
use proptest::prelude::*;
use serde_json::json;

use super::ID;
use crate::ocpp::{Session, convert::Status};

fn device(found_at: Timestamp, seen: &livewatt_domain::fact::Observation) -> Device {
    let entropy = SeededEntropy::new(1);
    Device::new(NewDevice {
        id: DeviceId::new(found_at, &entropy),
        client_id: ClientId::new(found_at, &entropy),
        user_id: "user-1".parse().unwrap(),
        account_id: AccountId::new(found_at, &entropy),
        vendor_device: seen.device.clone(),
        vendor: "EASEE".parse().unwrap(),
        brand: "Easee".to_owned(),
        scopes: Scope::ALL.to_vec(),
        found_at,
    })
}

proptest! {
    /// However a station's clock lags, jumps or is missing, and however soon it reconnects.
    #[test]
    fn the_last_status_wins(
        frames in prop::collection::vec(
            (0usize..9, prop::option::of(-400i64..400), 1i64..3000, any::<bool>()), 1..20),
    ) {
        const WORDS: [&str; 9] = [
            "Available", "Preparing", "Charging", "SuspendedEV", "SuspendedEVSE", "Finishing",
            "Reserved", "Unavailable", "Faulted",
        ];
        let mut now: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let connect = || Session::new(ID, None, Arc::new(SeededEntropy::new(7)));
        let mut session = connect();
        let mut held = device(now, &session.opened(now).observations[0]);
        for (index, (word, clock_error, wait_millis, reconnects)) in frames.into_iter().enumerate() {
            now += SignedDuration::from_millis(wait_millis);
            if reconnects {
                session = connect();
                now += SignedDuration::from_millis(1);
                let opened = session.opened(now);
                held = merge(&held, &opened.observations[0], Part::Everything).device;
                now += SignedDuration::from_millis(1);
            }
            let timestamp = clock_error.map(|seconds| {
                let at = now + SignedDuration::from_secs(seconds);
                at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
            });
            let payload = json!({ "connectorId": 1, "status": WORDS[word], "timestamp": timestamp });
            let frame = json!([2, index.to_string(), "StatusNotification", payload]);
            for seen in session.receive(&frame.to_string(), now).observations {
                held = merge(&held, &seen, Part::Everything).device;
            }
            let said = Status::of(WORDS[word]).unwrap().power_delivery_state();
            let shown = held.document.get(charger::POWER_DELIVERY_STATE).unwrap();
            prop_assert_eq!(said.unwrap_or(charger::ChargerPowerDeliveryState::Unknown), shown);
        }
    }
}
