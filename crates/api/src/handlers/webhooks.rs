//! Webhook subscriptions.

use axum::{Json, extract::State, http::StatusCode};
use livewatt_domain::{
    API_VERSION, Timestamp, time,
    webhook::{Webhook, subscribable_names},
};
use livewatt_engine::{
    EngineError, Issue,
    webhooks::{AuthenticationInput, WebhookInput, WebhookTest},
};
use serde::Serialize;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, schema::Schema},
};

use crate::{
    error::ApiResult,
    extract::{Caller, Fields, JsonBody, Nested, PathArg, Payload},
    pagination::{PageArgs, Paginated},
    state::ApiState,
};

/// A webhook to be created.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "describes a body, which is read into the engine's own input"
)]
pub(crate) struct WebhookCreatePayload {
    /// Where deliveries go.
    #[schema(format = "uri", min_length = 8, max_length = 200)]
    url: String,
    /// What signs them; at least 128 random bits are advised.
    #[schema(min_length = 6, max_length = 256)]
    secret: String,
    /// Names of events; `["*"]` if absent.
    #[schema(nullable = false)]
    events: Option<Vec<EventName>>,
    /// A version to pin.
    api_version: Option<Version>,
    /// An extra header on each delivery.
    #[schema(nullable = false)]
    authentication: Option<WebhookAuthentication>,
}

/// Changes of a webhook; what is absent stays.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "describes a body, which is read into the engine's own input"
)]
pub(crate) struct WebhookUpdatePayload {
    /// Where deliveries go.
    #[schema(format = "uri", min_length = 8, max_length = 200, nullable = false)]
    url: Option<String>,
    /// What signs them; at least 128 random bits are advised.
    #[schema(min_length = 6, max_length = 256, nullable = false)]
    secret: Option<String>,
    /// Names of events.
    #[schema(nullable = false)]
    events: Option<Vec<EventName>>,
    /// A version to pin; null unpins.
    api_version: Option<Version>,
    /// An extra header on each delivery; null removes it.
    authentication: Option<WebhookAuthentication>,
}

/// An extra header on each delivery.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "describes a body, which is read into the engine's own input"
)]
pub(crate) struct WebhookAuthentication {
    /// Its name.
    #[schema(pattern = "^[a-z0-9-_]+$", min_length = 1, max_length = 128)]
    header_name: String,
    /// Its value; never returned.
    #[schema(pattern = "^[ -~]+$", min_length = 1, max_length = 256)]
    header_value: String,
}

/// The name of an event that a webhook can ask for.
#[derive(Debug)]
pub(crate) struct EventName;

impl ToSchema for EventName {}
impl PartialSchema for EventName {
    fn schema() -> RefOr<Schema> {
        let names = subscribable_names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        crate::openapi::text_enum("The name of an event, or `*` for all.", &names)
    }
}

/// A version of the contract that is served.
#[derive(Debug)]
pub(crate) struct Version;

impl ToSchema for Version {}
impl PartialSchema for Version {
    fn schema() -> RefOr<Schema> {
        crate::openapi::text_enum("A version of the contract.", &[API_VERSION])
    }
}

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WebhookResponse {
    /// Identifier.
    id: String,
    /// Where deliveries go.
    url: String,
    /// Names of events.
    events: Vec<String>,
    /// False after the retry window ran out.
    is_active: bool,
    /// Last successful delivery; `createdAt` until then.
    #[serde(serialize_with = "time::serialize")]
    last_success: Timestamp,
    /// When it was created.
    #[serde(serialize_with = "time::serialize")]
    created_at: Timestamp,
    /// The version pinned, if any.
    api_version: Option<String>,
    /// The extra header, if any.
    authentication: Option<WebhookAuthenticationResponse>,
}

/// The extra header of a webhook, without its value.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WebhookAuthenticationResponse {
    /// Its name.
    header_name: String,
}

/// What a test of a webhook showed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TestFirehoseWebhook {
    /// Whether the receiver took the test event.
    status: WebhookTestStatus,
    /// In words.
    description: String,
    /// The receiver's answer; null if there was none.
    response: Option<WebhookTestResponse>,
}

/// Whether a receiver took a test event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum WebhookTestStatus {
    /// It did.
    Success,
    /// It did not.
    Failure,
}

/// A receiver's answer to a test.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WebhookTestResponse {
    /// HTTP status.
    code: u16,
    /// The beginning of the body.
    body: String,
    /// Lines of the form `name: value`.
    headers: Option<Vec<String>>,
}

impl From<Webhook> for WebhookResponse {
    fn from(webhook: Webhook) -> Self {
        Self {
            id: webhook.id.to_string(),
            url: webhook.url,
            events: webhook.events.0,
            is_active: webhook.is_active,
            last_success: webhook.last_success,
            created_at: webhook.created_at,
            api_version: webhook.api_version,
            authentication: webhook
                .authentication
                .map(|header| WebhookAuthenticationResponse {
                    header_name: header.header_name,
                }),
        }
    }
}

impl From<WebhookTest> for TestFirehoseWebhook {
    fn from(test: WebhookTest) -> Self {
        let status = match test.is_success {
            true => WebhookTestStatus::Success,
            false => WebhookTestStatus::Failure,
        };
        let response = test.response.map(|answer| WebhookTestResponse {
            code: answer.code,
            body: answer.body,
            headers: Some(answer.headers),
        });
        Self {
            status,
            description: test.description,
            response,
        }
    }
}

/// The body of a creation: the extra header cannot be null.
#[derive(Debug)]
pub(crate) struct Create(WebhookInput);

/// The body of a change: a null removes the extra header.
#[derive(Debug)]
pub(crate) struct Update(WebhookInput);

impl Payload for Create {
    fn read(fields: &mut Fields) -> Option<Self> {
        let (url, secret) = (fields.required("url"), fields.required("secret"));
        let mut input = read_common(fields);
        let header = fields.optional::<Nested<AuthenticationInput>>("authentication");
        input.authentication = header.map(|nested| Some(nested.0));
        Some(Self(WebhookInput {
            url: Some(url?),
            secret: Some(secret?),
            ..input
        }))
    }

    fn refused(issues: Vec<Issue>) -> EngineError {
        EngineError::InvalidWebhook(issues)
    }
}

impl Payload for Update {
    fn read(fields: &mut Fields) -> Option<Self> {
        let (url, secret) = (fields.optional("url"), fields.optional("secret"));
        let mut input = read_common(fields);
        let header = fields.nullable::<Nested<AuthenticationInput>>("authentication");
        input.authentication = header.map(|header| header.map(|nested| nested.0));
        Some(Self(WebhookInput {
            url,
            secret,
            ..input
        }))
    }

    fn refused(issues: Vec<Issue>) -> EngineError {
        EngineError::InvalidWebhook(issues)
    }
}

fn read_common(fields: &mut Fields) -> WebhookInput {
    WebhookInput {
        events: fields.optional("events"),
        api_version: fields.nullable("apiVersion"),
        ..WebhookInput::default()
    }
}

impl Payload for AuthenticationInput {
    fn read(fields: &mut Fields) -> Option<Self> {
        let (name, value) = (
            fields.required("headerName"),
            fields.required("headerValue"),
        );
        Some(Self {
            header_name: name?,
            header_value: value?,
        })
    }
}

/// `POST /webhooks`
pub(crate) async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    JsonBody(Create(input)): JsonBody<Create>,
) -> ApiResult<Json<WebhookResponse>> {
    let client = caller.client_id;
    let webhook = state
        .to_the_end(|engine| async move { engine.create_webhook(client, input).await })
        .await?;
    Ok(Json(webhook.into()))
}

/// `GET /webhooks`
pub(crate) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    page: PageArgs,
) -> ApiResult<Json<Paginated<WebhookResponse>>> {
    let page = page.by_id()?;
    let webhooks = state.engine().list_webhooks(caller.client_id, page).await?;
    Ok(Json(Paginated::from(webhooks.map(WebhookResponse::from))))
}

/// `GET /webhooks/{webhookId}`
pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
) -> ApiResult<Json<WebhookResponse>> {
    Ok(Json(
        state
            .engine()
            .get_webhook(caller.client_id, &id)
            .await?
            .into(),
    ))
}

/// `PATCH /webhooks/{webhookId}`
pub(crate) async fn update(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
    JsonBody(Update(input)): JsonBody<Update>,
) -> ApiResult<Json<WebhookResponse>> {
    let client = caller.client_id;
    let webhook = state
        .to_the_end(|engine| async move { engine.update_webhook(client, &id, input).await })
        .await?;
    Ok(Json(webhook.into()))
}

/// `DELETE /webhooks/{webhookId}`
pub(crate) async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
) -> ApiResult<StatusCode> {
    let client = caller.client_id;
    state
        .to_the_end(|engine| async move { engine.delete_webhook(client, &id).await })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /webhooks/{webhookId}/test`; a delivery that fails is a result too.
pub(crate) async fn test(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(id): PathArg,
) -> ApiResult<Json<TestFirehoseWebhook>> {
    let client = caller.client_id;
    let shown = state
        .to_the_end(|engine| async move { engine.test_webhook(client, &id).await })
        .await?;
    Ok(Json(shown.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_header_is_removed_by_a_change_and_refused_at_creation() {
        let update = Fields::parse::<Update>(br#"{"authentication":null}"#).unwrap();
        assert!(matches!(update.0.authentication, Some(None)));
        let update = Fields::parse::<Update>(b"{}").unwrap();
        assert!(update.0.authentication.is_none() && update.0.api_version.is_none());
        let body = br#"{"url":"https://a.example","secret":"123456","authentication":null}"#;
        let issues = Fields::parse::<Create>(body).unwrap_err();
        assert_eq!(issues[0].path, "authentication");
    }
}
