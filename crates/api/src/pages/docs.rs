//! The reference, made of the OpenAPI document's own table, and a page to begin at.

use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::Value;

use super::{Loads, page};
use crate::{
    operations::{Auth, Content, Operation, operations},
    state::ApiState,
};

#[derive(Template)]
#[template(path = "index.html")]
struct IndexPage<'a> {
    base: &'a str,
    is_live_shown: bool,
}

#[derive(Template)]
#[template(path = "docs.html")]
struct DocsPage<'a> {
    base: &'a str,
    /// The public address, without a slash at its end.
    address: &'a str,
    version: &'static str,
    groups: Vec<Group>,
    schemas: Vec<(String, String)>,
}

/// Operations of one tag.
struct Group {
    tag: &'static str,
    rows: Vec<Row>,
}

/// An operation as it is shown.
struct Row {
    operation: Operation,
    auth: &'static str,
    body: Option<&'static str>,
}

impl Row {
    fn of(operation: Operation) -> Self {
        let auth = match operation.auth {
            Auth::Bearer => "Access token",
            Auth::Optional => "Access token, or none",
            Auth::None => "None",
            Auth::Basic => "ID and secret (Basic)",
            Auth::Signature => "Signature of the vendor",
        };
        Self {
            auth,
            body: schema_of(operation.body),
            operation,
        }
    }

    fn answers(&self) -> impl Iterator<Item = (u16, &'static str, Option<&'static str>)> {
        self.operation
            .answers
            .iter()
            .map(|answer| (answer.status, answer.summary, schema_of(answer.content)))
    }
}

const fn schema_of(content: Content) -> Option<&'static str> {
    match content {
        Content::Json(schema) | Content::Form(schema) => Some(schema),
        Content::Problem => Some("Problem"),
        Content::Events => Some("Event"),
        Content::Empty | Content::Any | Content::Csv(_) | Content::Text => None,
    }
}

/// `GET /`
pub(super) async fn index(State(state): State<ApiState>) -> Response {
    let options = state.options();
    let is_live_shown = options.show_live_page && options.live_client.is_some();
    page(
        StatusCode::OK,
        &IndexPage {
            base: state.base(),
            is_live_shown,
        },
        Loads::Styles,
    )
}

/// `GET /docs`
pub(super) async fn reference(State(state): State<ApiState>) -> Response {
    let address = state
        .engine()
        .options()
        .public_url
        .as_str()
        .trim_end_matches('/');
    page(
        StatusCode::OK,
        &docs_page(state.base(), address),
        Loads::Styles,
    )
}

fn docs_page<'a>(base: &'a str, address: &'a str) -> DocsPage<'a> {
    let mut groups: Vec<Group> = Vec::new();
    for operation in operations() {
        let row = Row::of(operation);
        match groups
            .iter_mut()
            .find(|group| group.tag == row.operation.tag)
        {
            Some(group) => group.rows.push(row),
            None => groups.push(Group {
                tag: row.operation.tag,
                rows: vec![row],
            }),
        }
    }
    let document = serde_json::to_value(crate::openapi()).unwrap_or(Value::Null);
    let schemas = document["components"]["schemas"]
        .as_object()
        .into_iter()
        .flatten();
    let pretty = |schema: &Value| serde_json::to_string_pretty(schema).unwrap_or_default();
    DocsPage {
        base,
        address,
        version: livewatt_domain::API_VERSION,
        groups,
        schemas: schemas
            .map(|(name, schema)| (name.clone(), pretty(schema)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_names_every_operation_and_schema() {
        let html = docs_page("/base", "https://energy.example/base")
            .render()
            .unwrap();
        for operation in operations() {
            assert!(
                html.contains(&format!("id=\"{}\"", operation.id)),
                "{}",
                operation.id
            );
        }
        assert!(html.contains("id=\"schema-Vehicle\""));
        assert!(html.contains("/base/openapi.json"));
        IndexPage {
            base: "",
            is_live_shown: true,
        }
        .render()
        .unwrap();
    }
}
