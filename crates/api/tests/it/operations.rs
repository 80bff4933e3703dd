//! The table of operations against the contract and against the router.

use axum::{body::Body, http::Request};
use livewatt_api::{Auth, operations};
use serde_json::Value;

use crate::fixture::Api;

#[test]
fn the_table_is_the_contracts() {
    let contract: Value =
        serde_json::from_str(include_str!("../contract/operations.json")).unwrap();
    let contract = contract["operations"].as_array().unwrap();
    let rows = operations();
    for row in rows.iter().filter(|row| row.is_contract) {
        let known = contract.iter().find(|known| known["operationId"] == row.id);
        let known = known.unwrap_or_else(|| panic!("{} is not in the contract", row.id));
        assert_eq!(known["method"], row.method.as_str(), "{}", row.id);
        assert_eq!(known["path"], row.path, "{}", row.id);
        assert_eq!(known["tag"], row.tag, "{}", row.id);
        let auth = match row.auth {
            Auth::Bearer => "bearer",
            Auth::Optional => "optional",
            _ => "none",
        };
        assert_eq!(known["auth"], auth, "{}", row.id);
        let is_paginated = row.query.iter().any(|query| query.name == "before");
        assert_eq!(known["paginated"], is_paginated, "{}", row.id);
        for status in known["responses"].as_object().unwrap().keys() {
            let has = row
                .answers
                .iter()
                .any(|answer| answer.status.to_string() == *status);
            assert!(has, "{} answers {status}", row.id);
        }
    }
    for tag in [
        "User Management",
        "HEM Systems",
        "Schedules",
        "Locations",
        "Tariffs",
        "Webhooks",
        "Service Health",
    ] {
        for known in contract.iter().filter(|known| known["tag"] == tag) {
            let is_served = rows.iter().any(|row| known["operationId"] == row.id);
            assert!(is_served, "{} is not served", known["operationId"]);
        }
    }
}

#[tokio::test]
async fn the_router_serves_the_table_and_asks_for_tokens() {
    let api = Api::start().await;
    for row in operations() {
        let path: Vec<&str> = row
            .path
            .split('/')
            .map(|segment| {
                if segment.starts_with('{') {
                    "x"
                } else {
                    segment
                }
            })
            .collect();
        let path = path.join("/");
        let request = Request::builder().method(&row.method).uri(&path);
        let answer = api.send(request.body(Body::empty()).unwrap()).await;
        let label = format!("{} {} {}", row.id, answer.status, answer.body);
        assert_ne!(answer.status, 405, "{label}");
        assert!(!answer.status.is_server_error(), "{label}");
        let is_off = row.id == "getMetrics";
        assert_eq!(
            answer.body.contains("nothing at this address"),
            is_off,
            "{label}"
        );
        match row.auth {
            Auth::Bearer => assert_eq!(answer.status, 401, "{label}"),
            Auth::Optional | Auth::None if !is_off => {
                assert!(answer.status.is_success(), "{label}")
            }
            _ => {}
        }
        let request = Request::builder().method("TRACE").uri(&path);
        let answer = api.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 405, "{label}");
        assert!(
            answer.header("allow").contains(row.method.as_str()),
            "{label}"
        );
        assert!(
            answer.json()["type"]
                .as_str()
                .unwrap()
                .ends_with("/method-not-allowed")
        );
    }
}

/// The document is committed, so that a change of the API shows in review. To renew it, run the
/// tests with `UPDATE_OPENAPI=1`.
#[test]
fn the_committed_openapi_document_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let now = serde_json::to_string_pretty(&livewatt_api::openapi()).unwrap() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(path, &now).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == now, "openapi.json is out of date");
}
