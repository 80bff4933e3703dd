//! The contract as test data: which answer of which operation has which schema.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{LazyLock, Mutex},
};

use jsonschema::Validator;
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};

static OPERATIONS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let document: Value =
        serde_json::from_str(include_str!("../../contract/operations.json")).unwrap();
    document["operations"].as_array().unwrap().clone()
});

static SCHEMAS: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../contract/schemas.json")).unwrap());

static VALIDATORS: LazyLock<Mutex<HashMap<String, &'static Validator>>> =
    LazyLock::new(Mutex::default);

/// All operations of the contract.
pub fn operations() -> &'static [Value] {
    &OPERATIONS
}

/// All events of the contract: the schema of each by its name.
pub fn events() -> BTreeMap<&'static str, &'static str> {
    let all = SCHEMAS["$defs"]["WebhookEvent"]["oneOf"]
        .as_array()
        .unwrap();
    let schemas = all.iter().map(|one| {
        let path = one["$ref"].as_str().unwrap();
        path.rsplit('/').next().unwrap()
    });
    schemas
        .map(|schema| {
            let names = &SCHEMAS["$defs"][schema]["properties"]["event"]["enum"];
            assert_eq!(names.as_array().unwrap().len(), 1, "{schema}");
            (names[0].as_str().unwrap(), schema)
        })
        .collect()
}

fn validator(name: &str) -> &'static Validator {
    let mut validators = VALIDATORS.lock().unwrap();
    if let Some(known) = validators.get(name) {
        return known;
    }
    assert!(SCHEMAS["$defs"].get(name).is_some(), "no schema {name}");
    let schema = json!({ "$defs": SCHEMAS["$defs"], "$ref": format!("#/$defs/{name}") });
    let made = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap();
    // One for each of a few schemas, used until the process ends.
    let made: &'static Validator = Box::leak(Box::new(made));
    validators.insert(name.to_owned(), made);
    made
}

/// Fails if a value does not have the form of a schema of the contract.
#[track_caller]
pub fn check_schema(name: &str, value: &Value) {
    let problems: Vec<String> = validator(name)
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(
        problems.is_empty(),
        "not a {name}: {problems:#?}\n{value:#}"
    );
}

/// Fails if an answer is not one that the contract knows for the operation. Paths that the contract
/// does not have are extensions and pass.
#[track_caller]
pub fn check_answer(method: &Method, path: &str, status: u16, headers: &HeaderMap, body: &Value) {
    let path = path.split('?').next().unwrap_or(path);
    let Some(operation) = OPERATIONS.iter().find(|operation| {
        operation["method"] == method.as_str() && matches(operation["path"].as_str().unwrap(), path)
    }) else {
        return;
    };
    let what = format!("{method} {path} -> {status}");
    if status == 204 {
        assert_eq!(*body, Value::Null, "{what}: a 204 has no body");
        return;
    }
    let content_type = headers
        .get("content-type")
        .map(|value| value.to_str().unwrap());
    let schema = operation["responses"]
        .get(status.to_string())
        .and_then(Value::as_str);
    match schema.and_then(|reference| reference.rsplit('/').next()) {
        Some(name) => {
            let wanted = operation["responseContentTypes"].get(status.to_string());
            let wanted = wanted.and_then(Value::as_str).unwrap_or("application/json");
            assert!(
                content_type.is_some_and(|text| text.starts_with(wanted)),
                "{what}: {content_type:?}"
            );
            // Where a vehicle's action is cancelled, the contract names one of its two kinds only.
            let is_current = body.get("targetState").is_some();
            let name = match operation["operationId"].as_str() {
                Some("cancelVehicleAction") if is_current => "MaxCurrentAction",
                _ => name,
            };
            check_schema(name, body);
        }
        None if status >= 400 => {
            if *body != Value::Null {
                check_schema("Problem", body);
            }
        }
        None => panic!("{what}: the contract has no such answer"),
    }
}

/// Whether a path is one of a template: literal segments first, so that `/vehicles/actions/…` is
/// not taken for a vehicle.
fn matches(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(segment), Some(value)) if segment.starts_with('{') && !value.is_empty() => {}
            (Some(segment), Some(value)) if segment == value => {}
            _ => return false,
        }
    }
}
