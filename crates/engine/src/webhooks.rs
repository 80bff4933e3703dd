//! Webhook subscriptions: created, changed, tested. Their deliveries are [`crate::deliver`]'s.

use livewatt_domain::{
    API_VERSION,
    id::{ClientId, WebhookId},
    webhook::{EventFilter, Webhook, WebhookAuthentication, subscribable_names},
};
use livewatt_store::{Page, PageRequest, StoreError, Wake};
use url::Url;

use crate::{Engine, EngineError, EngineResult, Issue, deliver::Sent};

/// An extra header wanted on deliveries.
#[derive(Debug, Clone)]
pub struct AuthenticationInput {
    /// Name, 1 to 128 of `a-z 0-9 - _`.
    pub header_name: String,
    /// Value, 1 to 256 printable characters.
    pub header_value: String,
}

/// Settings of a webhook as a customer gives them: absent, null and a value are three things.
#[derive(Debug, Clone, Default)]
pub struct WebhookInput {
    /// Where deliveries go.
    pub url: Option<String>,
    /// What signs them, 6 to 256 characters.
    pub secret: Option<String>,
    /// Names of events.
    pub events: Option<Vec<String>>,
    /// A version to pin; `Some(None)` unpins.
    pub api_version: Option<Option<String>>,
    /// An extra header; `Some(None)` removes it.
    pub authentication: Option<Option<AuthenticationInput>>,
}

/// What a test of a webhook showed.
#[derive(Debug, Clone)]
pub struct WebhookTest {
    /// Whether the receiver took the test event.
    pub is_success: bool,
    /// In words.
    pub description: String,
    /// The receiver's answer, if there was one.
    pub response: Option<TestResponse>,
}

/// A receiver's answer to a test.
#[derive(Debug, Clone)]
pub struct TestResponse {
    /// HTTP status.
    pub code: u16,
    /// The body's first kilobytes.
    pub body: String,
    /// Lines of the form `name: value`.
    pub headers: Vec<String>,
}

impl Engine {
    /// Creates a webhook that gets what happens from now on.
    ///
    /// # Errors
    /// [`EngineError::InvalidWebhook`], or if the database fails.
    pub async fn create_webhook(
        &self,
        client: ClientId,
        input: WebhookInput,
    ) -> EngineResult<Webhook> {
        let mut issues = self.check_webhook(&input);
        for (name, is_missing) in [
            ("url", input.url.is_none()),
            ("secret", input.secret.is_none()),
        ] {
            if is_missing {
                issues.push(Issue::new(name, "is required"));
            }
        }
        if !issues.is_empty() {
            return Err(EngineError::InvalidWebhook(issues));
        }
        let now = self.now();
        let mut webhook = Webhook {
            id: WebhookId::new(now, self.entropy.as_ref()),
            client_id: client,
            url: String::new(),
            sealed_secret: String::new(),
            events: EventFilter(vec!["*".to_owned()]),
            api_version: None,
            authentication: None,
            is_active: true,
            last_success: now,
            created_at: now,
            lanes: self.options.webhook_lanes,
            revision: 0,
        };
        self.apply(&mut webhook, input);
        let cursor = self.store.last_position(client).await?;
        match self.store.create_webhook(webhook.clone(), cursor).await {
            Ok(()) => {}
            Err(StoreError::Duplicate) => return Err(already_exists()),
            Err(error) => return Err(error.into()),
        }
        self.watch_webhook(webhook.clone()).await?;
        Ok(webhook)
    }

    /// A client's webhooks, newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_webhooks(
        &self,
        client: ClientId,
        page: PageRequest,
    ) -> EngineResult<Page<Webhook>> {
        Ok(self.store.list_webhooks(client, page).await?)
    }

    /// A webhook of a client.
    ///
    /// # Errors
    /// [`EngineError::WebhookNotFound`], or if the database fails.
    pub async fn get_webhook(&self, client: ClientId, id: &str) -> EngineResult<Webhook> {
        let not_found = || EngineError::WebhookNotFound(id.to_owned());
        let parsed: WebhookId = id.parse().map_err(|_| not_found())?;
        self.store
            .find_webhook(client, parsed)
            .await?
            .ok_or_else(not_found)
    }

    /// Changes a webhook and switches it on again; it goes on from where it stopped.
    ///
    /// # Errors
    /// [`EngineError::WebhookNotFound`], [`EngineError::InvalidWebhook`], or if the database
    /// fails.
    pub async fn update_webhook(
        &self,
        client: ClientId,
        id: &str,
        input: WebhookInput,
    ) -> EngineResult<Webhook> {
        let _change = self.deliveries.changes.lock().await;
        let mut webhook = self.get_webhook(client, id).await?;
        let issues = self.check_webhook(&input);
        if !issues.is_empty() {
            return Err(EngineError::InvalidWebhook(issues));
        }
        self.apply(&mut webhook, input);
        webhook.is_active = true;
        webhook.revision += 1;
        match self.store.update_webhook(webhook.clone()).await {
            Ok(true) => {}
            Ok(false) => return Err(EngineError::WebhookNotFound(id.to_owned())),
            Err(StoreError::Duplicate) => return Err(already_exists()),
            Err(error) => return Err(error.into()),
        }
        self.watch_webhook(webhook.clone()).await?;
        Ok(webhook)
    }

    /// Deletes a webhook.
    ///
    /// # Errors
    /// [`EngineError::WebhookNotFound`], or if the database fails.
    pub async fn delete_webhook(&self, client: ClientId, id: &str) -> EngineResult<()> {
        let _change = self.deliveries.changes.lock().await;
        let webhook = self.get_webhook(client, id).await?;
        self.deliveries.forget(webhook.id);
        match self.store.delete_webhook(client, webhook.id).await? {
            true => {
                self.tell(Wake::Webhook(webhook.id));
                Ok(())
            }
            false => Err(EngineError::WebhookNotFound(id.to_owned())),
        }
    }

    /// Sends a test event now; success switches an inactive webhook on again.
    ///
    /// # Errors
    /// [`EngineError::WebhookNotFound`], or if the database fails. A failed delivery is no error.
    pub async fn test_webhook(&self, client: ClientId, id: &str) -> EngineResult<WebhookTest> {
        let webhook = self.get_webhook(client, id).await?;
        let body = format!("[{}]", self.event_maker(self.now()).webhook_test());
        let sent = self.send_once(&webhook, body).await?;
        let is_success = sent.is_success();
        if is_success && !webhook.is_active {
            let _change = self.deliveries.changes.lock().await;
            // Anew: it may have been changed while the test was under way.
            let mut webhook = self.get_webhook(client, id).await?;
            webhook.is_active = true;
            webhook.revision += 1;
            self.store.update_webhook(webhook.clone()).await?;
            self.watch_webhook(webhook).await?;
        }
        Ok(test_result(sent))
    }

    fn apply(&self, webhook: &mut Webhook, input: WebhookInput) {
        let belongs_to = webhook.id.to_string();
        let seal = |text: &str| {
            self.vault
                .seal_text(text, &belongs_to, self.entropy.as_ref())
        };
        if let Some(url) = input.url {
            webhook.url = url;
        }
        if let Some(secret) = input.secret {
            webhook.sealed_secret = seal(&secret);
        }
        if let Some(events) = input.events {
            webhook.events = EventFilter(events);
        }
        if let Some(version) = input.api_version {
            webhook.api_version = version;
        }
        if let Some(authentication) = input.authentication {
            webhook.authentication = authentication.map(|header| WebhookAuthentication {
                header_name: header.header_name.to_ascii_lowercase(),
                sealed_value: seal(&header.header_value),
            });
        }
    }

    fn check_webhook(&self, input: &WebhookInput) -> Vec<Issue> {
        let mut issues = Vec::new();
        if let Some(url) = &input.url
            && let Err(message) = self.check_webhook_url(url)
        {
            issues.push(Issue::new("url", message));
        }
        if let Some(secret) = &input.secret
            && !(6..=256).contains(&secret.chars().count())
        {
            issues.push(Issue::new("secret", "must have 6 to 256 characters"));
        }
        if let Some(events) = &input.events {
            let known = subscribable_names();
            for (index, name) in events.iter().enumerate() {
                if !known.contains(name) {
                    issues.push(Issue::new(
                        format!("events.{index}"),
                        "is not the name of an event",
                    ));
                }
            }
        }
        if let Some(Some(version)) = &input.api_version
            && version != API_VERSION
        {
            issues.push(Issue::new(
                "apiVersion",
                format!("must be {API_VERSION} or null"),
            ));
        }
        if let Some(Some(header)) = &input.authentication {
            issues.extend(check_header(header));
        }
        issues
    }

    fn check_webhook_url(&self, text: &str) -> Result<(), String> {
        if !(8..=200).contains(&text.chars().count()) {
            return Err("must have 8 to 200 characters".to_owned());
        }
        // A parser drops or escapes them; the text as it was given is what is stored.
        if text.contains(char::is_control) {
            return Err("must not contain control characters".to_owned());
        }
        let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
        self.options
            .egress
            .check_url(&url)
            .map_err(|error| error.to_string())
    }
}

fn check_header(header: &AuthenticationInput) -> Vec<Issue> {
    let mut issues = Vec::new();
    let is_name_byte =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    let name = header.header_name.as_bytes();
    if !(1..=128).contains(&name.len()) || !name.iter().all(|b| is_name_byte(*b)) {
        issues.push(Issue::new(
            "authentication.headerName",
            "must be 1 to 128 lower-case letters, digits, hyphens or underscores",
        ));
    } else if RESERVED_HEADERS.contains(&header.header_name.as_str()) {
        issues.push(Issue::new(
            "authentication.headerName",
            "is a header that deliveries set",
        ));
    }
    let value = header.header_value.as_bytes();
    if !(1..=256).contains(&value.len()) || !value.iter().all(|b| (0x20..0x7f).contains(b)) {
        issues.push(Issue::new(
            "authentication.headerValue",
            "must be 1 to 256 printable ASCII characters",
        ));
    }
    issues
}

/// Headers a customer's own may not replace.
const RESERVED_HEADERS: [&str; 10] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
    "x-enode-delivery",
    "x-enode-signature",
];

fn already_exists() -> EngineError {
    EngineError::InvalidWebhook(vec![Issue::new(
        "url",
        "a webhook with this URL exists already",
    )])
}

fn test_result(sent: Sent) -> WebhookTest {
    WebhookTest {
        is_success: sent.is_success(),
        description: sent.description(),
        response: sent.response.map(|answer| TestResponse {
            code: answer.status,
            body: answer.body,
            headers: answer.headers,
        }),
    }
}
