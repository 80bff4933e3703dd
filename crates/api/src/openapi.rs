//! The OpenAPI document, made of the table of operations and the types that are served.

use std::collections::BTreeMap;

use livewatt_domain::{API_VERSION, account, age, cadence, device, kind::DeviceKind};
use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{
        Components, ComponentsBuilder, Content as Media, InfoBuilder, LicenseBuilder, OpenApi,
        OpenApiBuilder, PathsBuilder, Ref, RefOr, Required, Response, ResponseBuilder,
        path::{
            HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItemBuilder,
        },
        request_body::RequestBodyBuilder,
        schema::{ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type},
        security::{
            ClientCredentials, Flow, HttpAuthScheme, HttpBuilder, OAuth2, Scopes,
            SecurityRequirement, SecurityScheme,
        },
        tag::TagBuilder,
    },
};

use crate::{
    error::{Problem, TokenErrorResponse},
    handlers::{
        health, interventions, linking, locations, market, tariffs, token, users, webhooks,
    },
    operations::{Answer, Auth, Content, Operation, QueryKind, operations},
    pagination::PaginationCursors,
};

mod actions;
mod energy;
mod freshness;
mod hem;
mod schedules;
mod smart;

/// The API in OpenAPI 3.1.
pub fn openapi() -> OpenApi {
    let table = operations();
    let mut items: BTreeMap<&str, PathItemBuilder> = BTreeMap::new();
    let mut tags: Vec<&str> = Vec::new();
    for row in &table {
        let item = items.remove(row.path.as_str()).unwrap_or_default();
        items.insert(&row.path, item.operation(http_method(row), describe(row)));
        if !tags.contains(&row.tag) {
            tags.push(row.tag);
        }
    }
    let mut paths = PathsBuilder::new();
    for (path, item) in items {
        paths = paths.path(path, item.build());
    }
    let info = InfoBuilder::new()
        .title("Livewatt")
        .version(API_VERSION)
        .description(Some("One live API over energy devices."))
        .license(Some(
            LicenseBuilder::new().name("Apache-2.0 OR MIT").build(),
        ));
    OpenApiBuilder::new()
        .info(info.build())
        .paths(paths)
        .components(Some(components()))
        .tags(Some(
            tags.into_iter()
                .map(|tag| TagBuilder::new().name(tag).build()),
        ))
        .build()
}

/// A text that is one of these.
pub(crate) fn text_enum(description: &str, values: &[&str]) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .enum_values(Some(values.iter().copied()))
        .into()
}

fn http_method(row: &Operation) -> HttpMethod {
    match row.method.as_str() {
        "POST" => HttpMethod::Post,
        "PATCH" => HttpMethod::Patch,
        "PUT" => HttpMethod::Put,
        "DELETE" => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

fn describe(row: &Operation) -> OperationBuilder {
    let mut operation = OperationBuilder::new()
        .operation_id(Some(row.id))
        .tag(row.tag)
        .summary(Some(row.summary.as_str()));
    for parameter in path_parameters(&row.path).chain(query_parameters(row)) {
        operation = operation.parameter(parameter);
    }
    if let Some((media_type, media)) = media(row.body) {
        let body = RequestBodyBuilder::new().required(Some(Required::True));
        operation = operation.request_body(Some(body.content(media_type, media).build()));
    }
    for answer in row.answers.iter().copied().chain(common_answers(row)) {
        operation = operation.response(answer.status.to_string(), response(&answer));
    }
    match row.auth {
        Auth::Bearer => operation.security(SecurityRequirement::new("token", [""; 0])),
        Auth::Optional => operation
            .security(SecurityRequirement::new("token", [""; 0]))
            .security(SecurityRequirement::default()),
        // In the form, if not by header.
        Auth::Basic if matches!(row.body, Content::Form(_)) => operation
            .security(SecurityRequirement::new("basic", [""; 0]))
            .security(SecurityRequirement::default()),
        Auth::Basic => operation.security(SecurityRequirement::new("basic", [""; 0])),
        Auth::None | Auth::Signature => operation.security(SecurityRequirement::default()),
    }
}

/// Answers that follow from what a row takes, where it does not name its own.
fn common_answers(row: &Operation) -> impl Iterator<Item = Answer> + use<> {
    const UNAUTHORIZED: Answer = Answer {
        status: 401,
        summary: "The token is missing, unknown or expired",
        content: Content::Json("Problem"),
    };
    const BAD_REQUEST: Answer = Answer {
        status: 400,
        summary: "The request is not valid",
        content: Content::Json("Problem"),
    };
    let has = |status| row.answers.iter().any(|answer| answer.status == status);
    let unauthorized = (row.auth == Auth::Bearer && !has(401)).then_some(UNAUTHORIZED);
    let takes_input = !row.query.is_empty() || row.path.contains('{');
    let bad_request = (takes_input && !has(400)).then_some(BAD_REQUEST);
    bad_request.into_iter().chain(unauthorized)
}

fn path_parameters(path: &str) -> impl Iterator<Item = Parameter> {
    let names = path
        .split('/')
        .filter_map(|s| s.strip_prefix('{')?.strip_suffix('}'));
    names.map(|name| {
        let schema = match name {
            "vendorType" => Ref::from_schema_name("DeviceKind").into(),
            _ => RefOr::from(ObjectBuilder::new().schema_type(Type::String)),
        };
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(schema))
            .build()
    })
}

fn query_parameters(row: &Operation) -> impl Iterator<Item = Parameter> {
    row.query.iter().map(|query| {
        let schema = ObjectBuilder::new().schema_type(match query.kind {
            QueryKind::Integer(_) => Type::Integer,
            QueryKind::Text
            | QueryKind::Moment(_)
            | QueryKind::Interval(_)
            | QueryKind::Choice(_) => Type::String,
        });
        let schema = match query.kind {
            QueryKind::Text => schema,
            QueryKind::Integer(example) => schema.examples(example.parse::<i64>().ok()),
            QueryKind::Moment(example) => schema
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
                .examples([example]),
            QueryKind::Interval(example) => schema
                .pattern(Some(r"^\d{4}-\d{2}(-\d{2})?$"))
                .examples([example]),
            QueryKind::Choice(all) => schema.enum_values(Some(all.iter().copied())),
        };
        let required = match query.is_required {
            true => Required::True,
            false => Required::False,
        };
        ParameterBuilder::new()
            .name(query.name)
            .parameter_in(ParameterIn::Query)
            .required(required)
            .description(Some(query.summary))
            .schema(Some(schema))
            .build()
    })
}

fn response(answer: &Answer) -> Response {
    let response = ResponseBuilder::new().description(answer.summary);
    match media(answer.content) {
        Some((media_type, media)) => response.content(media_type, media),
        None => response,
    }
    .build()
}

fn media(content: Content) -> Option<(&'static str, Media)> {
    let of = |schema: &str| Media::new(Some(Ref::from_schema_name(schema)));
    match content {
        Content::Empty => None,
        Content::Json(schema) => Some(("application/json", of(schema))),
        Content::Problem => Some(("application/problem+json", of("Problem"))),
        Content::Form(schema) => Some(("application/x-www-form-urlencoded", of(schema))),
        Content::Csv(example) => {
            let mut media = Media::new(Some(ObjectBuilder::new().schema_type(Type::String)));
            media.example = Some(example.into());
            Some(("text/csv", media))
        }
        Content::Any => Some(("*/*", Media::new(None::<RefOr<Schema>>))),
        Content::Events => Some(("text/event-stream", of("Event"))),
        Content::Text => {
            let text = ObjectBuilder::new().schema_type(Type::String);
            Some(("text/plain", Media::new(Some(text))))
        }
    }
}

/// The schemas, by name.
#[derive(Default)]
struct Schemas(BTreeMap<String, RefOr<Schema>>);

impl Schemas {
    /// A type and all it is made of.
    fn add<T: ToSchema>(mut self) -> Self {
        let mut parts = Vec::new();
        T::schemas(&mut parts);
        self.0.extend(parts);
        self.0.insert(T::name().into_owned(), T::schema());
        self
    }

    /// A type that we send: keys that can be null are there all the same.
    fn add_sent<T: ToSchema>(self) -> Self {
        let before: Vec<String> = self.0.keys().cloned().collect();
        let mut schemas = self.add::<T>();
        for (name, schema) in &mut schemas.0 {
            if !before.contains(name) && name != "Problem" {
                require_all(schema);
            }
        }
        schemas
    }

    fn with(mut self, name: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        self.0.insert(name.to_owned(), schema.into());
        self
    }
}

fn require_all(schema: &mut RefOr<Schema>) {
    if let RefOr::T(Schema::Object(object)) = schema {
        object.required = object.properties.keys().cloned().collect();
    }
}

fn components() -> Components {
    let schemas = Schemas::default()
        .add_sent::<device::vehicle::Vehicle>()
        .add_sent::<device::charger::Charger>()
        .add_sent::<device::hvac::Hvac>()
        .add_sent::<device::inverter::Inverter>()
        .add_sent::<device::battery::Battery>()
        .add_sent::<device::meter::Meter>()
        .add_sent::<PaginationCursors>()
        .add_sent::<users::UsersListEntry>()
        .add_sent::<users::UserResponse>()
        .add_sent::<linking::LinkUserResponse>()
        .add_sent::<interventions::Intervention>()
        .add_sent::<locations::LocationResponse>()
        .add_sent::<tariffs::TariffRate>()
        .add_sent::<tariffs::LocationTariffScheduleEntry>()
        .add_sent::<tariffs::ClientPricing>()
        .add_sent::<tariffs::LocationPricingSettings>()
        .add_sent::<tariffs::LocationPriceList>()
        .add_sent::<market::MarketPriceEntry>()
        .add_sent::<webhooks::WebhookResponse>()
        .add_sent::<webhooks::TestFirehoseWebhook>()
        .add_sent::<health::Integration>()
        .add_sent::<health::VendorHealth>()
        .add_sent::<token::TokenResponse>()
        .add_sent::<TokenErrorResponse>()
        .add_sent::<Problem>()
        .add_sent::<cadence::Activity>()
        .add_sent::<cadence::CadenceReason>()
        .add_sent::<account::Attempt>()
        .add_sent::<account::AttemptOutcome>()
        .add::<DeviceKind>()
        .add::<token::TokenRequest>()
        .add::<linking::LinkUserPayload>()
        .add::<linking::RelinkUserPayload>()
        .add::<locations::LocationPayload>()
        .add::<locations::PartialLocation>()
        .add::<locations::ChargerUpdatePayload>()
        .add::<locations::HvacUpdatePayload>()
        .add::<tariffs::LocationTariffInterval>()
        .add::<webhooks::WebhookCreatePayload>()
        .add::<webhooks::WebhookUpdatePayload>()
        .with("InterventionsList", list_of("Intervention"))
        .with("IntegrationList", list_of("Integration"))
        .with("VendorHealthList", list_of("VendorHealth"))
        .with("PaginatedUsersListResponse", page_of("UsersListEntry"))
        .with("PaginatedWebhookList", page_of("WebhookResponse"))
        .with("PaginatedLocationList", page_of("LocationResponse"))
        .with("Tariff", list_of("TariffRate"))
        .with("MarketPriceList", list_of("MarketPriceEntry"))
        .with(
            "LocationTariffSchedule",
            list_of("LocationTariffScheduleEntry"),
        )
        .with("PaginatedVehicleList", page_of("Vehicle"))
        .with("PaginatedChargerList", page_of("Charger"))
        .with("PaginatedHVACList", page_of("Hvac"))
        .with("PaginatedInverterList", page_of("Inverter"))
        .with("PaginatedBatteryList", page_of("Battery"))
        .with("PaginatedMeterList", page_of("Meter"))
        .with("Event", event())
        .with("EventList", page_of("LogEntry"))
        .with("LogEntry", log_entry())
        .add_sent::<age::BreachReason>()
        .add_sent::<age::Slowed>();
    let schemas = hem::add(actions::add(energy::add(freshness::add(schemas))));
    let schemas = smart::add(schedules::add(schemas));
    let tokens = Flow::ClientCredentials(ClientCredentials::new("/oauth2/token", Scopes::new()));
    ComponentsBuilder::new()
        .schemas_from_iter(schemas.0)
        .security_scheme("token", SecurityScheme::OAuth2(OAuth2::new([tokens])))
        .security_scheme(
            "basic",
            SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Basic).build()),
        )
        .build()
}

fn list_of(schema: &str) -> ArrayBuilder {
    ArrayBuilder::new().items(Ref::from_schema_name(schema))
}

fn page_of(schema: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .property("data", list_of(schema))
        .required("data")
        .property("pagination", Ref::from_schema_name("PaginationCursors"))
        .required("pagination")
}

fn plain(kind: Type, description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(kind)
        .description(Some(description))
}

fn nullable(kind: Type, description: &str) -> ObjectBuilder {
    let either = utoipa::openapi::schema::SchemaType::from_iter([kind, Type::Null]);
    ObjectBuilder::new()
        .schema_type(either)
        .description(Some(description))
}

/// An object all of whose keys are always there.
fn sent(properties: Vec<(&str, RefOr<Schema>)>) -> ObjectBuilder {
    properties
        .into_iter()
        .fold(ObjectBuilder::new(), |object, (name, schema)| {
            object.property(name, schema).required(name)
        })
}

fn event() -> ObjectBuilder {
    ObjectBuilder::new()
        .description(Some(
            "An event as webhooks deliver it; further keys depend on its name.",
        ))
        .property(
            "event",
            plain(Type::String, "Name, for example user:vehicle:updated"),
        )
        .required("event")
        .property("createdAt", plain(Type::String, "When it came about"))
        .required("createdAt")
        .property("version", plain(Type::String, "Version of the contract"))
        .required("version")
        .examples([Value::from_iter([
            ("event", "user:credentials:invalidated"),
            ("createdAt", "2024-01-07T17:04:26.000Z"),
            ("version", API_VERSION),
        ])])
}

fn log_entry() -> ObjectBuilder {
    sent(vec![
        (
            "cursor",
            plain(Type::String, "Read on after this event by this").into(),
        ),
        ("id", plain(Type::String, "Identifier of the event").into()),
        ("event", Ref::from_schema_name("Event").into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(path)) = map.get("$ref") {
                    found.push(path.clone());
                }
                map.values().for_each(|inner| references(inner, found));
            }
            Value::Array(items) => items.iter().for_each(|inner| references(inner, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = serde_json::to_value(openapi()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 100);
        for path in found {
            let pointer = path.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{path}");
        }
    }

    #[test]
    fn operation_ids_are_unique_and_all_there() {
        let document = serde_json::to_value(openapi()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let mut ids: Vec<&str> = paths
            .values()
            .flat_map(|item| item.as_object().unwrap().values())
            .filter_map(|operation| operation["operationId"].as_str())
            .collect();
        ids.sort_unstable();
        let mut wanted: Vec<&str> = operations().iter().map(|row| row.id).collect();
        wanted.sort_unstable();
        assert_eq!(ids, wanted);
        wanted.dedup();
        assert_eq!(ids, wanted);
    }
}
