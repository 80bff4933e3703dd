//! The table of operations: the router and the OpenAPI document are both made of it.
//!
//! Names and paths are the contract's. The operations of the six kinds are rows written once, with
//! the kind as data; only their operation IDs differ in ways that no rule explains.

use axum::{
    Json,
    extract::State,
    http::Method,
    routing::{MethodRouter, delete, get, patch, post},
};
use livewatt_domain::kind::DeviceKind;

use crate::{
    extract::{Caller, PathArg},
    handlers::{
        devices, events, freshness, health, linking, ocpp, push, server, token, users, webhooks,
    },
    pagination::PageArgs,
    state::ApiState,
};

/// How callers prove themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// An access token.
    Bearer,
    /// An access token makes no difference.
    Optional,
    /// Anybody may call.
    None,
    /// ID and secret.
    Basic,
    /// The vendor's signature.
    Signature,
}

/// A query parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// True for whole numbers, false for text.
    pub is_integer: bool,
}

/// What an answer or a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Nothing.
    Empty,
    /// JSON of this schema.
    Json(&'static str),
    /// A form of this schema.
    Form(&'static str),
    /// Anything, in any type.
    Any,
    /// Server-sent events.
    Events,
    /// Plain text.
    Text,
}

/// A way in which an operation answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// When, or what it means.
    pub summary: &'static str,
    /// What it carries.
    pub content: Content,
}

/// A row of the table.
#[derive(Debug, Clone)]
pub struct Operation {
    /// The contract's operation ID, or ours where the contract has none.
    pub id: &'static str,
    /// HTTP method.
    pub method: Method,
    /// Path with `{variable}` segments.
    pub path: String,
    /// Group.
    pub tag: &'static str,
    /// What it does.
    pub summary: String,
    /// How callers prove themselves.
    pub auth: Auth,
    /// Query parameters.
    pub query: &'static [Query],
    /// What a request carries.
    pub body: Content,
    /// The answers that are its own; those that every operation can give are left out.
    pub answers: Vec<Answer>,
    /// True for operations of the contract, false for ours beside it.
    pub is_contract: bool,
    pub(crate) handler: MethodRouter<ApiState>,
}

const fn text(name: &'static str, summary: &'static str) -> Query {
    Query { name, summary, is_integer: false }
}

const PAGE_SIZE: Query =
    Query { name: "pageSize", summary: "Records on a page, 1 to 500; default 50", is_integer: true };
const PAGE: &[Query] = &[
    text("after", "Cursor: the next page (older records)"),
    text("before", "Cursor: the previous page (newer records)"),
    PAGE_SIZE,
];
const EVENTS: &[Query] = &[text("after", "Cursor: events after this one"), PAGE_SIZE];
const STREAM: &[Query] = &[text("after", "Cursor: events after this one; from now on if absent")];
const ASSET_TYPES: &[Query] =
    &[text("assetTypes", "Kinds of device, separated by commas; all if absent")];

const NO_CONTENT: Answer = Answer { status: 204, summary: "Done", content: Content::Empty };

const fn ok(schema: &'static str) -> Answer {
    Answer { status: 200, summary: "OK", content: Content::Json(schema) }
}

const fn refusal(status: u16, summary: &'static str) -> Answer {
    Answer { status, summary, content: Content::Json("Problem") }
}

const NO_USER: Answer = refusal(404, "User does not exist");
const NO_DEVICE: Answer = refusal(404, "Asset not found");
const NO_WEBHOOK: Answer = refusal(404, "Webhook not found");
const BAD_INPUT: Answer = refusal(400, "The input is not valid");
const EVENTS_GONE: Answer = refusal(410, "Events after the cursor are no longer kept");

impl Operation {
    fn new(
        id: &'static str,
        method: Method,
        path: impl Into<String>,
        summary: impl Into<String>,
        handler: MethodRouter<ApiState>,
    ) -> Self {
        Self {
            id,
            method,
            path: path.into(),
            tag: "",
            summary: summary.into(),
            auth: Auth::Bearer,
            query: &[],
            body: Content::Empty,
            answers: Vec::new(),
            is_contract: true,
            handler,
        }
    }

    fn auth(self, auth: Auth) -> Self {
        Self { auth, ..self }
    }

    fn query(self, query: &'static [Query]) -> Self {
        Self { query, ..self }
    }

    fn body(self, body: Content) -> Self {
        Self { body, ..self }
    }

    fn answers<const N: usize>(self, answers: [Answer; N]) -> Self {
        Self { answers: answers.to_vec(), ..self }
    }

    fn beside_contract(self) -> Self {
        Self { is_contract: false, ..self }
    }
}

/// All operations, group by group.
pub fn operations() -> Vec<Operation> {
    let mut all = Vec::new();
    let mut group = |tag: &'static str, rows: Vec<Operation>| {
        all.extend(rows.into_iter().map(|row| Operation { tag, ..row }));
    };
    group("Authentication", token_rows());
    group("User Management", user_rows());
    for kind in DeviceKind::ALL {
        group(names(kind).tag, device_rows(kind));
    }
    group("Webhooks", webhook_rows());
    group("Events", event_rows());
    let mut service = service_rows();
    service.extend(DeviceKind::ALL.into_iter().map(health_row));
    group("Service Health", service);
    group("Ways in for vendors and devices", intake_rows());
    all
}

fn token_rows() -> Vec<Operation> {
    vec![
        Operation::new(
            "issueToken",
            Method::POST,
            "/oauth2/token",
            "Issue an access token",
            post(token::issue),
        )
        .auth(Auth::Basic)
        .body(Content::Form("TokenRequest"))
        .answers([
            ok("TokenResponse"),
            Answer {
                status: 400,
                summary: "Not a request for a token",
                content: Content::Json("TokenErrorResponse"),
            },
            Answer {
                status: 401,
                summary: "ID and secret do not fit",
                content: Content::Json("TokenErrorResponse"),
            },
        ])
        .beside_contract(),
    ]
}

fn user_rows() -> Vec<Operation> {
    use Method as M;
    vec![
        Operation::new("listUsers", M::GET, "/users", "List users", get(users::list))
            .query(PAGE)
            .answers([ok("PaginatedUsersListResponse")]),
        Operation::new("getUser", M::GET, "/users/{userId}", "Get a user", get(users::get))
            .answers([ok("UserResponse"), NO_USER]),
        Operation::new(
            "deleteUsersUserid",
            M::DELETE,
            "/users/{userId}",
            "Delete a user and all data",
            delete(users::delete),
        )
        .answers([NO_CONTENT, NO_USER]),
        Operation::new(
            "postUsersUseridLink",
            M::POST,
            "/users/{userId}/link",
            "Start a link session; makes the user if new",
            post(linking::link),
        )
        .body(Content::Json("LinkUserPayload"))
        .answers([
            ok("LinkUserResponse"),
            BAD_INPUT,
            refusal(403, "Connections limit reached"),
        ]),
        Operation::new(
            "postAssetsAssetidRelink",
            M::POST,
            "/assets/{assetId}/relink",
            "Start a relink session",
            post(linking::relink),
        )
        .body(Content::Json("RelinkUserPayload"))
        .answers([ok("LinkUserResponse"), refusal(400, "Unknown asset, or linked already")]),
        Operation::new(
            "disconnectUserVendor",
            M::DELETE,
            "/users/{userId}/vendors/{vendor}",
            "Drop a vendor account with all its devices",
            delete(users::disconnect_vendor),
        )
        .answers([NO_CONTENT, NO_USER]),
        Operation::new(
            "disconnectUserVendorVendorType",
            M::DELETE,
            "/users/{userId}/vendors/{vendor}/{vendorType}",
            "Drop one kind of device of a vendor",
            delete(users::disconnect_vendor_kind),
        )
        .answers([NO_CONTENT, NO_USER]),
        Operation::new(
            "deleteUsersUseridAuthorization",
            M::DELETE,
            "/users/{userId}/authorization",
            "Delete a user's vendor credentials, and keep the data",
            delete(users::deauthorize),
        )
        .answers([NO_CONTENT, NO_USER]),
    ]
}

/// What the contract calls things of a kind.
struct Names {
    tag: &'static str,
    list: &'static str,
    list_of_user: &'static str,
    get: &'static str,
    refresh_hint: &'static str,
    freshness: &'static str,
    health: &'static str,
    id: &'static str,
    schema: &'static str,
    page_schema: &'static str,
}

const fn names(kind: DeviceKind) -> Names {
    match kind {
        DeviceKind::Vehicle => Names {
            tag: "Vehicles",
            list: "getVehicles",
            list_of_user: "listUserVehicles",
            get: "getVehicle",
            refresh_hint: "vehiclesRefreshHint",
            freshness: "getVehicleFreshness",
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
            health: "getHealthMeterVendors",
            id: "meterId",
            schema: "Meter",
            page_schema: "PaginatedMeterList",
        },
    }
}

fn device_rows(kind: DeviceKind) -> Vec<Operation> {
    type S = State<ApiState>;
    let (name, names, plural) = (kind.name(), names(kind), kind.plural());
    let one = format!("/{plural}/{{{}}}", names.id);
    vec![
        Operation::new(
            names.list,
            Method::GET,
            format!("/{plural}"),
            format!("List {plural}"),
            get(move |s: S, c: Caller, p: PageArgs| devices::list(kind, s, c, p)),
        )
        .query(PAGE)
        .answers([ok(names.page_schema)]),
        Operation::new(
            names.list_of_user,
            Method::GET,
            format!("/users/{{userId}}/{plural}"),
            format!("List {plural} of a user"),
            get(move |s: S, c: Caller, u: PathArg, p: PageArgs| {
                devices::list_of_user(kind, s, c, u, p)
            }),
        )
        .query(PAGE)
        .answers([ok(names.page_schema)]),
        Operation::new(
            names.get,
            Method::GET,
            one.clone(),
            format!("Get a {name}"),
            get(move |s: S, c: Caller, id: PathArg| devices::get(kind, s, c, id)),
        )
        .answers([ok(names.schema), NO_DEVICE]),
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
    ]
}

fn webhook_rows() -> Vec<Operation> {
    const ONE: &str = "/webhooks/{webhookId}";
    use Method as M;
    vec![
        Operation::new(
            "createWebhook",
            M::POST,
            "/webhooks",
            "Create a webhook",
            post(webhooks::create),
        )
        .body(Content::Json("WebhookCreatePayload"))
        .answers([ok("WebhookResponse"), refusal(400, "Webhook input is not valid")]),
        Operation::new("listWebhooks", M::GET, "/webhooks", "List webhooks", get(webhooks::list))
            .query(PAGE)
            .answers([ok("PaginatedWebhookList")]),
        Operation::new("getWebhook", M::GET, ONE, "Get a webhook", get(webhooks::get))
            .answers([ok("WebhookResponse"), NO_WEBHOOK]),
        Operation::new(
            "updateWebhook",
            M::PATCH,
            ONE,
            "Change a webhook, and switch it on again",
            patch(webhooks::update),
        )
        .body(Content::Json("WebhookUpdatePayload"))
        .answers([
            ok("WebhookResponse"),
            refusal(400, "Webhook input is not valid"),
            NO_WEBHOOK,
        ]),
        Operation::new(
            "deleteWebhook",
            M::DELETE,
            ONE,
            "Delete a webhook",
            delete(webhooks::delete),
        )
        .answers([NO_CONTENT, NO_WEBHOOK]),
        Operation::new(
            "testWebhook",
            M::POST,
            "/webhooks/{webhookId}/test",
            "Send a test event now",
            post(webhooks::test),
        )
        .answers([ok("TestFirehoseWebhook"), NO_WEBHOOK]),
    ]
}

fn event_rows() -> Vec<Operation> {
    let stream =
        Answer { status: 200, summary: "Events as they happen", content: Content::Events };
    vec![
        Operation::new(
            "listEvents",
            Method::GET,
            "/events",
            "Read the event log, oldest first",
            get(events::list),
        )
        .query(EVENTS)
        .answers([ok("EventList"), EVENTS_GONE])
        .beside_contract(),
        Operation::new(
            "streamEvents",
            Method::GET,
            "/events/stream",
            "Follow the event log; resumes by Last-Event-ID",
            get(events::stream),
        )
        .query(STREAM)
        .answers([stream, EVENTS_GONE])
        .beside_contract(),
    ]
}

fn health_row(kind: DeviceKind) -> Operation {
    let handler = get(move |state: State<ApiState>| -> std::future::Ready<Json<_>> {
        std::future::ready(health::of_kind(kind, state))
    });
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

fn service_rows() -> Vec<Operation> {
    let not_ready = Answer { status: 503, summary: "Not ready", content: Content::Empty };
    let numbers = Answer { status: 200, summary: "Numbers", content: Content::Text };
    let document = Answer { status: 200, summary: "This document", content: Content::Any };
    vec![
        Operation::new(
            "getIntegrations",
            Method::GET,
            "/integrations",
            "Vendors that can be linked",
            get(health::integrations),
        )
        .auth(Auth::Optional)
        .query(ASSET_TYPES)
        .answers([ok("IntegrationList")]),
        Operation::new(
            "getHealthReady",
            Method::GET,
            "/health/ready",
            "Whether the service is ready",
            get(health::ready),
        )
        .auth(Auth::None)
        .answers([NO_CONTENT, not_ready]),
        Operation::new(
            "getMetrics",
            Method::GET,
            "/metrics",
            "Numbers about the process, for Prometheus",
            get(server::metrics),
        )
        .auth(Auth::None)
        .answers([numbers, refusal(404, "Metrics are switched off")])
        .beside_contract(),
        Operation::new(
            "getOpenApi",
            Method::GET,
            "/openapi.json",
            "This API in OpenAPI 3.1",
            get(server::openapi),
        )
        .auth(Auth::None)
        .answers([document])
        .beside_contract(),
    ]
}

fn intake_rows() -> Vec<Operation> {
    let upgrade =
        Answer { status: 101, summary: "WebSocket, subprotocol ocpp1.6", content: Content::Empty };
    vec![
        Operation::new(
            "receivePush",
            Method::POST,
            "/vendors/{integration}/push",
            "Take a push of a vendor",
            post(push::receive),
        )
        .auth(Auth::Signature)
        .body(Content::Any)
        .answers([
            NO_CONTENT,
            refusal(400, "The payload was not understood"),
            refusal(401, "The signature is not right"),
            refusal(404, "No such integration"),
        ])
        .beside_contract(),
        Operation::new(
            "connectStation",
            Method::GET,
            "/ocpp/{stationId}",
            "Connect a charging station (OCPP 1.6 over WebSocket)",
            get(ocpp::connect),
        )
        .auth(Auth::Basic)
        .answers([upgrade, refusal(401, "ID and password do not fit")])
        .beside_contract(),
    ]
}
