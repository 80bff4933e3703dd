//! Every operation serves whoever may call it, and refuses everybody else.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use super::stage::{Call, Stage};
use crate::support::{contract, http::Api};

/// Operations that ask for a control scope: who may only look at a device is answered 403.
const COMMANDS: [&str; 7] = [
    "postVehiclesVehicleidCharging",
    "postVehiclesVehicleidMaxCurrent",
    "controlChargerCharging",
    "postSetChargerMaxCurrent",
    "postSetHvacFollowSchedule",
    "postSetHvacPermanentHold",
    "postUserSetOperationMode",
];

/// Operations that take any name and make what is the caller's own.
const MAKERS: [&str; 2] = ["postUsersUseridLink", "sendTariffInformation"];

/// Operations about what is the same for everybody.
const COMMON: [&str; 1] = ["getIntervention"];

/// What was seen of an operation.
#[derive(Debug, Default)]
struct Evidence {
    has_served: bool,
    /// Whoever has no token is refused, or served where the contract says so.
    is_right_without_token: bool,
    /// Another client does not learn that there is such a thing.
    is_hidden_from_others: bool,
    /// Who may not command is refused.
    asks_for_scope: bool,
}

impl Evidence {
    fn lacks(&self, operation: &Value) -> Vec<&'static str> {
        let id = operation["operationId"].as_str().unwrap();
        let is_owned = operation["path"].as_str().unwrap().contains('{')
            && !MAKERS.contains(&id)
            && !COMMON.contains(&id);
        let checks = [
            (self.has_served, true, "a passing case"),
            (self.is_right_without_token, true, "a case without a token"),
            (self.is_hidden_from_others, is_owned, "a foreign case"),
            (
                self.asks_for_scope,
                COMMANDS.contains(&id),
                "a case without the scope",
            ),
        ];
        let lacking = checks
            .into_iter()
            .filter(|(is_there, is_due, _)| *is_due && !is_there);
        lacking.map(|(_, _, what)| what).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_of_the_contract_serves_and_refuses() {
    let stage = Stage::set().await;
    let stranger = stage.world.other_client(None).await;
    let mut seen: BTreeMap<&str, Evidence> = BTreeMap::new();
    for operation in contract::operations() {
        let id = operation["operationId"].as_str().unwrap();
        let call = stage.call_for(operation).await;
        let evidence = Evidence {
            is_right_without_token: without_token(&stage, operation, &call).await,
            is_hidden_from_others: is_hidden(&stranger, operation, &call).await,
            asks_for_scope: COMMANDS.contains(&id)
                && asks_for_scope(&stage, &call, operation).await,
            // Last: it may destroy what the others were refused.
            has_served: serves(&stage.world.api, operation, &call).await,
        };
        seen.insert(id, evidence);
    }
    assert_eq!(contract::operations().len(), 94);
    let nothing = Evidence::default();
    let lacking: Vec<String> = contract::operations()
        .iter()
        .filter_map(|operation| {
            let id = operation["operationId"].as_str().unwrap();
            let lacks = seen.get(id).unwrap_or(&nothing).lacks(operation);
            (!lacks.is_empty()).then(|| format!("{id} lacks {}", lacks.join(", ")))
        })
        .collect();
    assert!(lacking.is_empty(), "{lacking:#?}");
    stage.world.shut_down().await;
}

/// The answer is one of the contract's, which the caller checks, and a success.
async fn serves(api: &Api, operation: &Value, call: &Call) -> bool {
    let answer = api
        .call(call.method.clone(), &call.path, call.body.clone())
        .await;
    let status = answer.status.as_u16();
    let is_known = operation["responses"].get(status.to_string()).is_some();
    assert!(
        answer.status.is_success() && is_known,
        "{}: {status} {:#}",
        answer.what,
        answer.body
    );
    true
}

async fn without_token(stage: &Stage, operation: &Value, call: &Call) -> bool {
    let url = format!("{}{}", stage.world.api.base, call.path);
    let request = reqwest::Client::new().request(call.method.clone(), url);
    let request = match &call.body {
        Some(body) => request.json(body),
        None => request,
    };
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.text().await.unwrap();
    let is_right = match operation["auth"].as_str().unwrap() {
        "bearer" => {
            let problem: Value = serde_json::from_str(&body).unwrap();
            contract::check_schema("Problem", &problem);
            status == 401 && is_of_kind(&problem, "unauthorized")
        }
        _ => (200..300).contains(&status),
    };
    assert!(is_right, "{} without a token: {status} {body}", call.path);
    true
}

fn is_of_kind(problem: &Value, slug: &str) -> bool {
    let kind = problem["type"].as_str().unwrap();
    kind.ends_with(&format!("/{slug}"))
}

/// Another client, who knows every name, is told what is told of something that never was.
async fn is_hidden(stranger: &Api, operation: &Value, call: &Call) -> bool {
    let id = operation["operationId"].as_str().unwrap();
    let is_owned = operation["path"].as_str().unwrap().contains('{');
    if !is_owned || MAKERS.contains(&id) || COMMON.contains(&id) {
        return false;
    }
    let answer = stranger
        .call(call.method.clone(), &call.path, call.body.clone())
        .await;
    let (status, body) = (answer.status.as_u16(), &answer.body);
    let is_right = match id {
        _ if operation["paginated"] == true => status == 200 && body["data"] == json!([]),
        // The contract's answer to an asset that cannot be linked again.
        "postAssetsAssetidRelink" => status == 400 && is_of_kind(body, "bad-request"),
        _ => status == 404 && is_of_kind(body, "not-found"),
    };
    assert!(is_right, "{id} by a stranger: {status} {body:#}");
    true
}

/// The same of a device whose owner has granted no more than a look.
async fn asks_for_scope(stage: &Stage, call: &Call, operation: &Value) -> bool {
    let template = operation["path"].as_str().unwrap();
    let variable = template.split(['{', '}']).nth(1).unwrap();
    let device = &stage.only_seen[variable];
    let mut segments: Vec<&str> = call.path.split('/').collect();
    segments[2] = device;
    let answer = stage
        .world
        .api
        .call(call.method.clone(), &segments.join("/"), call.body.clone())
        .await;
    let (status, body) = (answer.status.as_u16(), &answer.body);
    assert!(
        status == 403 && is_of_kind(body, "forbidden"),
        "{}: {status} {body:#}",
        answer.what
    );
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_no_connections_left_links_nobody() {
    let world = crate::support::World::new().await;
    let full = world.other_client(Some(0)).await;
    let body = json!({
        "scopes": ["vehicle:read:data"], "language": "en-US", "redirectUri": "app://done",
    });
    let refused = full.call(Method::POST, "/users/ann/link", Some(body)).await;
    assert!(is_of_kind(&refused.expect_status(403), "forbidden"));
    world.shut_down().await;
}
