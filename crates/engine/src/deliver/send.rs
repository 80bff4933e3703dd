//! One POST to a receiver.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use livewatt_domain::{SignedDuration, id::DeliveryId, webhook::Webhook};
use livewatt_vendors::{Secret, http::parse_retry_after};

use super::sign::{enode_signature, standard_signature};
use crate::{Engine, EngineError, EngineOptions, EngineResult, egress::GuardedResolver};

/// Most of a receiver's answer that is looked at, bytes.
const ANSWER_LIMIT: usize = 4096;

/// A receiver's answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub status: u16,
    /// The beginning of the body.
    pub body: String,
    /// Lines of the form `name: value`.
    pub headers: Vec<String>,
    /// How long it wants to be left alone.
    pub retry_after: Option<SignedDuration>,
}

/// What came of a POST.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub response: Option<Answer>,
    /// Why there is no answer.
    pub error: Option<String>,
    pub duration: Duration,
}

impl Sent {
    pub(crate) fn is_success(&self) -> bool {
        self.response
            .as_ref()
            .is_some_and(|answer| (200..300).contains(&answer.status))
    }

    /// What happened, in words.
    pub(crate) fn description(&self) -> String {
        match (&self.response, &self.error) {
            (Some(_), _) if self.is_success() => "The webhook was delivered.".to_owned(),
            (Some(answer), _) => format!("The receiver answered with status {}.", answer.status),
            (None, Some(error)) => format!("The receiver gave no answer: {error}."),
            (None, None) => "The receiver gave no answer.".to_owned(),
        }
    }

    /// Why it failed, for the record; `None` if it did not.
    pub(crate) fn failure(&self) -> Option<String> {
        (!self.is_success()).then(|| self.description())
    }
}

/// A receiver, opened: what is sealed in the store is plain here.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    pub url: String,
    pub secret: Secret,
    pub header: Option<(String, Secret)>,
}

impl Receiver {
    /// A receiver's answer without what it was sent to prove ourselves, should it repeat that: who
    /// may test a webhook need not be who knows its secrets.
    fn without_secrets(&self, text: String) -> String {
        let value = self.header.as_ref().map(|(_, value)| value);
        let secrets = std::iter::once(&self.secret).chain(value);
        secrets
            .map(Secret::reveal)
            // What is shorter is no secret, and would be found in any text.
            .filter(|secret| secret.len() >= SHORTEST_SECRET)
            .fold(text, |text, secret| text.replace(secret, "…"))
    }
}

/// Shortest text that is hidden in a receiver's answer, bytes.
const SHORTEST_SECRET: usize = 6;

/// The client for deliveries: guarded, without redirects.
pub(super) fn client(options: &EngineOptions) -> EngineResult<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(concat!("livewatt/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(GuardedResolver::new(options.egress))
        .timeout(unsigned(options.delivery_timeout))
        .tcp_nodelay(true)
        .no_proxy()
        .build()
        .map_err(|error| EngineError::internal("the delivery client cannot be made", error))
}

impl Engine {
    pub(crate) fn open_receiver(&self, webhook: &Webhook) -> EngineResult<Receiver> {
        let belongs_to = webhook.id.to_string();
        let open = |sealed: &str| {
            self.vault
                .open_text(sealed, &belongs_to)
                .map_err(|error| EngineError::internal("a webhook secret cannot be opened", error))
        };
        let header = match &webhook.authentication {
            None => None,
            Some(header) => Some((header.header_name.clone(), open(&header.sealed_value)?)),
        };
        Ok(Receiver {
            url: webhook.url.clone(),
            secret: open(&webhook.sealed_secret)?,
            header,
        })
    }

    /// Sends a body that is not part of the log: tests and heartbeats.
    pub(crate) async fn send_once(&self, webhook: &Webhook, body: String) -> EngineResult<Sent> {
        let receiver = self.open_receiver(webhook)?;
        let id = DeliveryId::new(self.now(), self.entropy.as_ref());
        Ok(self.send(&receiver, id, body).await)
    }

    /// Signs and sends a body.
    pub(crate) async fn send(&self, receiver: &Receiver, id: DeliveryId, body: String) -> Sent {
        let started = Instant::now();
        let result = self.post(receiver, id, body).await;
        let duration = started.elapsed();
        metrics::histogram!("livewatt_delivery_seconds").record(duration.as_secs_f64());
        match result {
            Ok(answer) => Sent {
                response: Some(answer),
                error: None,
                duration,
            },
            Err(error) => Sent {
                response: None,
                error: Some(error),
                duration,
            },
        }
    }

    async fn post(
        &self,
        receiver: &Receiver,
        id: DeliveryId,
        body: String,
    ) -> Result<Answer, String> {
        let url: url::Url = receiver
            .url
            .parse()
            .map_err(|_| "its URL is not valid".to_owned())?;
        // Settings may have become stricter since the webhook was created.
        self.options
            .egress
            .check_url(&url)
            .map_err(|refusal| format!("its URL {refusal}"))?;
        let id = id.to_string();
        let timestamp = self.now().as_second();
        let secret = receiver.secret.reveal();
        let mut request = self
            .deliveries
            .client
            .post(url)
            .header("content-type", "application/json")
            .header("x-enode-delivery", &id)
            .header(
                "x-enode-signature",
                enode_signature(secret, body.as_bytes()),
            )
            .header("webhook-id", &id)
            .header("webhook-timestamp", timestamp)
            .header(
                "webhook-signature",
                standard_signature(secret, &id, timestamp, body.as_bytes()),
            );
        if let Some((name, value)) = &receiver.header {
            request = request.header(name, value.reveal());
        }
        let response = request
            .body(body)
            .send()
            .await
            .map_err(|error| reason(&error))?;
        let status = response.status().as_u16();
        let received_at = self.now();
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| parse_retry_after(value.to_str().ok()?, received_at))
            .map(|at| at.duration_since(received_at));
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
            .map(|line| receiver.without_secrets(line))
            .collect();
        // The status decides; a body that never ends must not hold a lane.
        let body = receiver.without_secrets(read_beginning(response).await);
        Ok(Answer {
            status,
            body,
            headers,
            retry_after,
        })
    }
}

async fn read_beginning(response: reqwest::Response) -> String {
    let mut beginning = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(Ok(piece)) = stream.next().await {
        let room = ANSWER_LIMIT - beginning.len();
        beginning.extend_from_slice(&piece[..piece.len().min(room)]);
        if beginning.len() == ANSWER_LIMIT {
            break;
        }
    }
    String::from_utf8_lossy(&beginning).into_owned()
}

/// Why there was no answer, without the URL, which may hold a secret of the customer's.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match () {
        () if error.is_timeout() => "no answer in time".to_owned(),
        () if error.is_connect() => format!("no connection ({cause})"),
        () => format!("the connection broke ({cause})"),
    }
}

fn unsigned(duration: SignedDuration) -> Duration {
    duration.unsigned_abs()
}
