//! The rows of smart charging and of smart overrides.

use axum::{
    extract::State,
    http::Method,
    routing::{delete, get, post, put},
};
use livewatt_domain::kind::DeviceKind;

use super::{Answer, Content, IMPOSSIBLE, NO_DEVICE, NO_SCOPE, Operation, ok, refusal};
use crate::{
    extract::{Caller, PathArg},
    handlers::smart,
    state::ApiState,
};

const NO_PLAN: Answer = refusal(404, "No such vehicle, or it has no such plan");
const NO_OVERRIDE: Answer = refusal(404, "No such device, or no override of it is active");

/// `id` is what the contract calls the device in paths.
pub(super) fn smart_rows(kind: DeviceKind, id: &str) -> Vec<Operation> {
    match kind {
        DeviceKind::Vehicle => {
            let mut rows = vehicle_rows();
            rows.extend(override_rows(
                kind,
                id,
                ["vehicleCreateSmartOverride", "vehicleEndSmartOverride"],
            ));
            rows
        }
        DeviceKind::Charger => {
            let names = ["chargerCreateSmartOverride", "chargerEndSmartOverride"];
            let rows = override_rows(kind, id, names).into_iter();
            rows.map(Operation::beside_contract).collect()
        }
        _ => Vec::new(),
    }
}

fn override_rows(kind: DeviceKind, id: &str, names: [&'static str; 2]) -> Vec<Operation> {
    type S = State<ApiState>;
    let path = format!("/{}/{{{id}}}/smart-override", kind.plural());
    let name = kind.name();
    vec![
        Operation::new(
            names[0],
            Method::POST,
            path.clone(),
            format!("Charge at once, whatever drives the {name} wants"),
            post(move |s: S, c: Caller, id: PathArg| smart::begin_override(kind, s, c, id)),
        )
        .answers([ok("SmartOverride"), IMPOSSIBLE, NO_SCOPE, NO_DEVICE]),
        Operation::new(
            names[1],
            Method::DELETE,
            path,
            format!("Let a {name} be driven again by what drove it"),
            delete(move |s: S, c: Caller, id: PathArg| smart::end_override(kind, s, c, id)),
        )
        .answers([ok("SmartOverride"), IMPOSSIBLE, NO_SCOPE, NO_OVERRIDE]),
    ]
}

fn vehicle_rows() -> Vec<Operation> {
    const POLICY: &str = "/vehicles/{vehicleId}/smart-charging-policy";
    const PLAN: &str = "/vehicles/{vehicleId}/smart-charging-plans/{smartChargingPlanId}";
    vec![
        Operation::new(
            "getVehiclesVehicleidSmartchargingpolicy",
            Method::GET,
            POLICY,
            "Whether and how a vehicle may charge smartly",
            get(smart::policy),
        )
        .answers([ok("VehicleSmartChargingPolicy"), NO_DEVICE]),
        Operation::new(
            "updateVehicleSmartChargingPolicy",
            Method::PUT,
            POLICY,
            "Say whether and how a vehicle may charge smartly",
            put(smart::change_policy),
        )
        .body(Content::Json("PartialVehicleSmartChargingPolicy"))
        .answers([
            ok("VehicleSmartChargingPolicy"),
            IMPOSSIBLE,
            NO_SCOPE,
            NO_DEVICE,
        ]),
        Operation::new(
            "getVehiclesVehicleidSmartchargingstatus",
            Method::GET,
            "/vehicles/{vehicleId}/smart-charging-status",
            "How the smart charging of a vehicle stands",
            get(smart::status),
        )
        .answers([ok("SmartChargingStatus"), NO_DEVICE]),
        Operation::new(
            "getVehiclesVehicleidSmartchargingplans",
            Method::GET,
            PLAN,
            "A plan of a vehicle, by its ID or `latest`",
            get(smart::plan),
        )
        .answers([ok("SmartChargingPlan"), NO_PLAN]),
        Operation::new(
            "explainSmartChargingPlan",
            Method::GET,
            format!("{PLAN}/explain"),
            "What a plan went by, and what made it charge when it does",
            get(smart::explain),
        )
        .answers([ok("SmartChargingPlanExplanation"), NO_PLAN])
        .beside_contract(),
        Operation::new(
            "rerunSmartChargingPlan",
            Method::POST,
            format!("{PLAN}/rerun"),
            "What would have been planned by other prices; changes nothing",
            post(smart::rerun),
        )
        .body(Content::Json("OtherPrices"))
        .answers([ok("PlanOfCharging"), IMPOSSIBLE, NO_PLAN])
        .beside_contract(),
    ]
}
