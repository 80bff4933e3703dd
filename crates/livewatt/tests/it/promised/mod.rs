//! All that the contract promises, by its own tables: each operation has served somebody and has
//! refused whoever has no right to it, and each event has come to a webhook.
//!
//! One flow calls everything, so that what is proven does not hang on which other tests run.

mod events;
mod operations;
mod stage;

/// What is served only after the merge of the branches that make it. Who merges one deletes its
/// group here; the tests then ask for all that was in it.
const AFTER_THE_MERGE: &[Group] = &[Group {
    operations: &[
        "getVehiclesVehicleidSmartchargingplans",
        "getVehiclesVehicleidSmartchargingpolicy",
        "updateVehicleSmartChargingPolicy",
        "vehicleCreateSmartOverride",
        "vehicleEndSmartOverride",
        "getVehiclesVehicleidSmartchargingstatus",
    ],
    event: "user:vehicle:smart-charging-status-updated",
}];

/// What comes together.
struct Group {
    operations: &'static [&'static str],
    event: &'static str,
}

fn is_awaited(operation: &str) -> bool {
    let mut groups = AFTER_THE_MERGE.iter();
    groups.any(|group| group.operations.contains(&operation))
}

/// Whether the server has an operation.
fn is_served(operation: &str) -> bool {
    let table = livewatt_api::operations();
    table.iter().any(|row| row.id == operation)
}

#[test]
fn nothing_is_awaited_that_is_served() {
    for group in AFTER_THE_MERGE {
        for operation in group.operations {
            assert!(
                !is_served(operation),
                "{operation} is served: take its group out of AFTER_THE_MERGE"
            );
        }
    }
}
