//! The rows of the six kinds of device: written once, with the kind as data.

use axum::{
    Json,
    extract::State,
    http::Method,
    routing::{get, post, put},
};
use livewatt_domain::kind::DeviceKind;

use super::{
    Answer, Auth, BAD_INPUT, Content, DEVICE, DEVICES, HISTORY, NO_CONTENT, NO_DEVICE, Operation,
    PRODUCTION, actions::action_rows, ok, smart::smart_rows,
};
use crate::{
    extract::{Caller, JsonBody, PathArg, QueryArgs},
    handlers::{devices, freshness, health, locations, statistics},
    pagination::PageArgs,
    state::ApiState,
};

/// What the contract calls things of a kind.
pub(super) struct Names {
    pub(super) tag: &'static str,
    list: &'static str,
    list_of_user: &'static str,
    get: &'static str,
    refresh_hint: &'static str,
    freshness: &'static str,
    history: &'static str,
    health: &'static str,
    id: &'static str,
    schema: &'static str,
    page_schema: &'static str,
}

pub(super) const fn names(kind: DeviceKind) -> Names {
    match kind {
        DeviceKind::Vehicle => Names {
            tag: "Vehicles",
            list: "getVehicles",
            list_of_user: "listUserVehicles",
            get: "getVehicle",
            refresh_hint: "vehiclesRefreshHint",
            freshness: "getVehicleFreshness",
            history: "getVehicleHistory",
            health: "getHealthVehicleVendors",
            id: "vehicleId",
            schema: "Vehicle",
            page_schema: "PaginatedVehicleList",
        },
        DeviceKind::Charger => Names {
            tag: "Chargers",
            list: "listChargers",
            list_of_user: "listUserChargers",
            get: "getCharger",
            refresh_hint: "chargersRefreshHint",
            freshness: "getChargerFreshness",
            history: "getChargerHistory",
            health: "getHealthChargerVendors",
            id: "chargerId",
            schema: "Charger",
            page_schema: "PaginatedChargerList",
        },
        DeviceKind::Hvac => Names {
            tag: "HVAC",
            list: "listHVACs",
            list_of_user: "listUserHVACs",
            get: "getHVAC",
            refresh_hint: "hvacsRefreshHint",
            freshness: "getHVACFreshness",
            history: "getHVACHistory",
            health: "getHealthHvacVendors",
            id: "hvacId",
            schema: "Hvac",
            page_schema: "PaginatedHVACList",
        },
        DeviceKind::Inverter => Names {
            tag: "Solar inverters",
            list: "listInverters",
            list_of_user: "listUserInverters",
            get: "getInverter",
            refresh_hint: "invertersRefreshHint",
            freshness: "getInverterFreshness",
            history: "getInverterHistory",
            health: "getHealthInverterVendors",
            id: "inverterId",
            schema: "Inverter",
            page_schema: "PaginatedInverterList",
        },
        DeviceKind::Battery => Names {
            tag: "Batteries",
            list: "listBatteries",
            list_of_user: "listUserBatteries",
            get: "getBattery",
            refresh_hint: "batteriesRefreshHint",
            freshness: "getBatteryFreshness",
            history: "getBatteryHistory",
            health: "getHealthBatteryVendors",
            id: "batteryId",
            schema: "Battery",
            page_schema: "PaginatedBatteryList",
        },
        DeviceKind::Meter => Names {
            tag: "Meters",
            list: "listMeters",
            list_of_user: "listUserMeters",
            get: "getMeter",
            refresh_hint: "metersRefreshHint",
            freshness: "getMeterFreshness",
            history: "getMeterHistory",
            health: "getHealthMeterVendors",
            id: "meterId",
            schema: "Meter",
            page_schema: "PaginatedMeterList",
        },
    }
}

pub(super) fn device_rows(kind: DeviceKind) -> Vec<Operation> {
    type S = State<ApiState>;
    let (name, names, plural) = (kind.name(), names(kind), kind.plural());
    let one = format!("/{plural}/{{{}}}", names.id);
    let mut rows = vec![
        Operation::new(
            names.list,
            Method::GET,
            format!("/{plural}"),
            format!("List {plural}"),
            get(move |s: S, c: Caller, p: PageArgs, q: QueryArgs| devices::list(kind, s, c, p, q)),
        )
        .query(DEVICES)
        .answers([ok(names.page_schema), BAD_INPUT]),
        Operation::new(
            names.list_of_user,
            Method::GET,
            format!("/users/{{userId}}/{plural}"),
            format!("List {plural} of a user"),
            get(
                move |s: S, c: Caller, u: PathArg, p: PageArgs, q: QueryArgs| {
                    devices::list_of_user(kind, s, c, u, p, q)
                },
            ),
        )
        .query(DEVICES)
        .answers([ok(names.page_schema), BAD_INPUT]),
        Operation::new(
            names.get,
            Method::GET,
            one.clone(),
            format!("Get a {name}"),
            get(move |s: S, c: Caller, id: PathArg, q: QueryArgs| devices::get(kind, s, c, id, q)),
        )
        .query(DEVICE)
        .answers([ok(names.schema), BAD_INPUT, NO_DEVICE]),
        Operation::new(
            names.refresh_hint,
            Method::POST,
            format!("{one}/refresh-hint"),
            format!("Ask for fresh data of a {name} soon"),
            post(move |s: S, c: Caller, id: PathArg| devices::refresh_hint(kind, s, c, id)),
        )
        .answers([NO_CONTENT, NO_DEVICE]),
        Operation::new(
            names.freshness,
            Method::GET,
            format!("{one}/freshness"),
            format!("Tell why the data of a {name} is as fresh as it is"),
            get(move |s: S, c: Caller, id: PathArg| freshness::get(kind, s, c, id)),
        )
        .answers([ok("Freshness"), NO_DEVICE])
        .beside_contract(),
        Operation::new(
            names.history,
            Method::GET,
            format!("{one}/history"),
            format!("What flowed to and from a {name}"),
            get(move |s: S, c: Caller, id: PathArg, q: QueryArgs| {
                statistics::history(kind, s, c, id, q)
            }),
        )
        .query(HISTORY)
        .answers([ok("DeviceEnergy"), BAD_INPUT, NO_DEVICE])
        .beside_contract(),
    ];
    if kind == DeviceKind::Inverter {
        rows.push(production_row(&one));
    }
    rows.extend(assignment(kind).map(|(id, body)| {
        Operation::new(
            id,
            Method::PUT,
            one,
            format!("Say at which location a {name} is"),
            put(
                move |s: S, c: Caller, id: PathArg, body: JsonBody<locations::Assign>| {
                    locations::assign(kind, s, c, id, body)
                },
            ),
        )
        .body(Content::Json(body))
        .answers([ok(names.schema), BAD_INPUT, NO_DEVICE])
    }));
    rows.extend(action_rows(kind, names.id));
    rows.extend(smart_rows(kind, names.id));
    rows
}

fn production_row(one: &str) -> Operation {
    let refusal = |status, summary| Answer {
        status,
        summary,
        content: Content::Problem,
    };
    let provisional = Answer {
        status: 202,
        summary: "The same as far as it is known; more after `retryAfter`",
        content: Content::Json("InverterStatisticsPending"),
    };
    Operation::new(
        "getInverterStatistics",
        Method::GET,
        format!("{one}/statistics"),
        "What an inverter produced in a month by the day, or in a day by the quarter hour",
        get(statistics::production),
    )
    .query(PRODUCTION)
    .answers([
        ok("InverterStatistics"),
        provisional,
        refusal(400, "The date is not valid, or before the installation"),
        refusal(404, "Asset not found"),
    ])
}

/// The operation that says where devices of a kind are, and its body; `None` for those that say so
/// themselves.
const fn assignment(kind: DeviceKind) -> Option<(&'static str, &'static str)> {
    match kind {
        DeviceKind::Charger => Some(("updateCharger", "ChargerUpdatePayload")),
        DeviceKind::Hvac => Some(("updateHVAC", "HvacUpdatePayload")),
        _ => None,
    }
}

pub(super) fn health_row(kind: DeviceKind) -> Operation {
    let handler = get(
        move |state: State<ApiState>| -> std::future::Ready<Json<_>> {
            std::future::ready(health::of_kind(kind, state))
        },
    );
    Operation::new(
        names(kind).health,
        Method::GET,
        format!("/health/{}", kind.plural()),
        format!("How vendors of {} are", kind.plural()),
        handler,
    )
    .auth(Auth::Optional)
    .answers([ok("VendorHealthList")])
}
