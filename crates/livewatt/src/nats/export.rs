//! The event log as a stream of NATS JetStream.
//!
//! Invariants:
//! - An event is published only after the one before it about the same device is stored: whatever is
//!   lost or repeated on the way, those of a device are stored in order.
//! - After a failure the connection is given up, and with it what it had not sent: nothing comes late,
//!   out of order.
//! - The ID of a message is that of the event, so what comes twice within the stream's window for
//!   duplicates is stored once.

use std::{collections::HashSet, time::Duration};

use async_nats::{
    Client, HeaderMap, header,
    jetstream::{self, Context, context::PublishAckFuture, stream},
};
use async_trait::async_trait;
use livewatt_domain::event::Event;
use livewatt_engine::export::EventSink;
use livewatt_store::{BoxError, LoggedEvent};
use livewatt_vendors::Secret;

use super::{PATIENCE, options, servers};
use crate::config::NatsExportSettings;

/// The stream forgets the IDs of messages after so long; what is published once more later is there
/// twice.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
const DAY: Duration = Duration::from_secs(86_400);

/// A stream of NATS JetStream.
#[derive(Debug)]
pub struct JetStreamSink {
    url: Secret,
    stream: String,
    subject_prefix: String,
    create_stream: bool,
    max_age: Duration,
    /// As long as it works.
    held: tokio::sync::Mutex<Option<(Client, Context)>>,
}

impl JetStreamSink {
    /// A sink that connects when there is something to publish.
    pub fn new(settings: &NatsExportSettings) -> Self {
        Self {
            url: settings.url.clone(),
            stream: settings.stream.clone(),
            subject_prefix: settings.subject_prefix.clone(),
            create_stream: settings.create_stream,
            max_age: DAY * settings.max_age_days,
            held: tokio::sync::Mutex::default(),
        }
    }

    async fn open(&self) -> Result<(Client, Context), BoxError> {
        // Given up soon after it is lost: what it has not sent must not be sent by it much later.
        let servers = servers(self.url.reveal())?;
        let options = options().max_reconnects(servers.len());
        let client = options.connect(servers).await?;
        let mut context = jetstream::new(client.clone());
        context.set_timeout(PATIENCE);
        if self.create_stream {
            context.get_or_create_stream(self.stream_config()).await?;
        } else {
            context.get_stream(&self.stream).await?;
        }
        Ok((client, context))
    }

    fn stream_config(&self) -> stream::Config {
        stream::Config {
            name: self.stream.clone(),
            description: Some("Events of Livewatt".to_owned()),
            subjects: vec![format!("{}.>", self.subject_prefix)],
            storage: stream::StorageType::File,
            max_age: self.max_age,
            duplicate_window: DUPLICATE_WINDOW,
            ..stream::Config::default()
        }
    }

    async fn send(&self, context: &Context, event: &Event) -> Result<PublishAckFuture, BoxError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::NATS_MESSAGE_ID, event.id.to_string());
        // Whoever else listens to the subject cannot pass for the stream.
        headers.insert(header::NATS_EXPECTED_STREAM, self.stream.as_str());
        let subject = subject(&self.subject_prefix, event);
        let body = event.body.clone().into();
        Ok(context.publish_with_headers(subject, headers, body).await?)
    }

    /// Publishes in waves: in each at most one event of each device.
    async fn publish_in_waves(
        &self,
        context: &Context,
        events: &[LoggedEvent],
    ) -> Result<(), BoxError> {
        let mut waiting: Vec<&Event> = events.iter().map(|logged| &logged.event).collect();
        while !waiting.is_empty() {
            let mut sent = Vec::new();
            let mut later = Vec::new();
            let mut devices = HashSet::new();
            for event in waiting {
                match devices.insert(about(event)) {
                    true => sent.push(self.send(context, event).await?),
                    false => later.push(event),
                }
            }
            for ack in sent {
                ack.await?;
            }
            waiting = later;
        }
        Ok(())
    }
}

#[async_trait]
impl EventSink for JetStreamSink {
    fn name(&self) -> &'static str {
        "nats"
    }

    async fn publish(&self, events: &[LoggedEvent]) -> Result<(), BoxError> {
        let mut held = self.held.lock().await;
        // Put back only once all went well.
        let (client, context) = match held.take() {
            Some(held) => held,
            None => self.open().await?,
        };
        self.publish_in_waves(&context, events).await?;
        *held = Some((client, context));
        Ok(())
    }
}

/// What an event is about, and so which others it must not overtake.
fn about(event: &Event) -> (Option<uuid::Uuid>, &str) {
    match event.device {
        Some((id, _)) => (Some(id.0), ""),
        None => (None, event.user_id.as_str()),
    }
}

/// The subject of an event: `PREFIX.CLIENT.vehicle.updated`.
fn subject(prefix: &str, event: &Event) -> String {
    let mut subject = format!("{prefix}.{}", event.client_id);
    let words = event.name.strip_prefix("user:").unwrap_or(&event.name);
    for word in words.split(':') {
        subject.push('.');
        subject.push_str(&token(word));
    }
    subject
}

/// A word as it may stand between the dots of a subject.
fn token(word: &str) -> String {
    let safe = |c: char| match c {
        c if c.is_ascii_alphanumeric() || c == '-' => c,
        _ => '_',
    };
    match word.is_empty() {
        true => "_".to_owned(),
        false => word.chars().map(safe).collect(),
    }
}

#[cfg(test)]
mod tests {
    use livewatt_domain::{
        Timestamp,
        id::{ClientId, EventId},
    };
    use uuid::Uuid;

    use super::*;

    fn event(name: &str) -> Event {
        Event {
            id: EventId(Uuid::from_u128(1)),
            client_id: ClientId(Uuid::from_u128(2)),
            user_id: "ann".parse().unwrap(),
            device: None,
            name: name.to_owned(),
            created_at: Timestamp::UNIX_EPOCH,
            body: "{}".to_owned(),
        }
    }

    #[test]
    fn subjects_are_made_of_safe_words() {
        let client = "00000000-0000-0000-0000-000000000002";
        for (name, expected) in [
            ("user:vehicle:updated", "vehicle.updated"),
            ("user:credentials:invalidated", "credentials.invalidated"),
            ("user:vendor-action:updated", "vendor-action.updated"),
            ("system:a b.c*>:", "system.a_b_c__._"),
        ] {
            let expected = format!("home.{client}.{expected}");
            assert_eq!(subject("home", &event(name)), expected);
        }
    }
}
