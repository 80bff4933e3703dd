//! The rows of everything but the six kinds of device.

use axum::{
    http::Method,
    routing::{delete, get, patch, post},
};

use super::{
    ASSET_TYPES, Answer, Auth, BAD_INPUT, CHARGES, CHARGING, Content, EARNINGS, EVENTS,
    EVENTS_GONE, NO_CONTENT, NO_USER, NO_WEBHOOK, Operation, PAGE, REPORT, SESSIONS, STREAM,
    TOO_MANY_ATTEMPTS, ok, refusal,
};
use crate::handlers::{
    events, freshness, health, linking, ocpp, push, server, statistics, token, users, webhooks,
};

pub(super) fn token_rows() -> Vec<Operation> {
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
            TOO_MANY_ATTEMPTS,
        ])
        .beside_contract(),
    ]
}

pub(super) fn user_rows() -> Vec<Operation> {
    use Method as M;
    vec![
        Operation::new(
            "listUsers",
            M::GET,
            "/users",
            "List users",
            get(users::list),
        )
        .query(PAGE)
        .answers([ok("PaginatedUsersListResponse")]),
        Operation::new(
            "getUser",
            M::GET,
            "/users/{userId}",
            "Get a user",
            get(users::get),
        )
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
        .answers([
            ok("LinkUserResponse"),
            refusal(400, "Unknown asset, or linked already"),
        ]),
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

pub(super) fn webhook_rows() -> Vec<Operation> {
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
        .answers([
            ok("WebhookResponse"),
            refusal(400, "Webhook input is not valid"),
        ]),
        Operation::new(
            "listWebhooks",
            M::GET,
            "/webhooks",
            "List webhooks",
            get(webhooks::list),
        )
        .query(PAGE)
        .answers([ok("PaginatedWebhookList")]),
        Operation::new(
            "getWebhook",
            M::GET,
            ONE,
            "Get a webhook",
            get(webhooks::get),
        )
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

pub(super) fn event_rows() -> Vec<Operation> {
    let stream = Answer {
        status: 200,
        summary: "Events as they happen",
        content: Content::Events,
    };
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
        .answers([
            stream,
            EVENTS_GONE,
            refusal(429, "As many streams are open as a client may have"),
        ])
        .beside_contract(),
    ]
}

pub(super) fn freshness_rows() -> Vec<Operation> {
    vec![
        Operation::new(
            "getFreshness",
            Method::GET,
            "/freshness",
            "How fresh data was, and which promises were broken",
            get(freshness::report),
        )
        .query(REPORT)
        .answers([ok("FreshnessReport"), BAD_INPUT])
        .beside_contract(),
    ]
}

pub(super) fn statistics_rows() -> Vec<Operation> {
    const NOT_FOUND: Answer = refusal(404, "User or asset not found");
    vec![
        Operation::new(
            "getChargingStatistics",
            Method::GET,
            "/users/{userId}/statistics/charging",
            "What was charged, by the bucket",
            get(statistics::charging),
        )
        .query(CHARGING)
        .answers([ok("ChargingStatisticsList"), BAD_INPUT, NOT_FOUND]),
        Operation::new(
            "getChargingSessionsStatistics",
            Method::GET,
            "/users/{userId}/statistics/charging/sessions",
            "What was charged, by the session",
            get(statistics::sessions),
        )
        .query(SESSIONS)
        .answers([ok("SessionsStatisticsList"), BAD_INPUT, NOT_FOUND]),
        Operation::new(
            "listChargingSessions",
            Method::GET,
            "/users/{userId}/charging-sessions",
            "Charges, with what each device told of them",
            get(statistics::charges),
        )
        .query(CHARGES)
        .answers([ok("ChargeList"), BAD_INPUT, NO_USER])
        .beside_contract(),
        Operation::new(
            "getProductionStatistics",
            Method::GET,
            "/users/{userId}/statistics/production",
            "What inverters produced, and what it was worth, by the bucket",
            get(statistics::earnings),
        )
        .query(EARNINGS)
        .answers([
            ok("ProductionStatisticsList"),
            BAD_INPUT,
            refusal(404, "User, asset or location not found"),
        ])
        .beside_contract(),
    ]
}

pub(super) fn service_rows() -> Vec<Operation> {
    let not_ready = Answer {
        status: 503,
        summary: "Not ready",
        content: Content::Empty,
    };
    let numbers = Answer {
        status: 200,
        summary: "Numbers",
        content: Content::Text,
    };
    let document = Answer {
        status: 200,
        summary: "This document",
        content: Content::Any,
    };
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

pub(super) fn intake_rows() -> Vec<Operation> {
    let upgrade = Answer {
        status: 101,
        summary: "WebSocket, subprotocol ocpp1.6",
        content: Content::Empty,
    };
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
        .answers([
            upgrade,
            refusal(401, "ID and password do not fit"),
            TOO_MANY_ATTEMPTS,
        ])
        .beside_contract(),
    ]
}
