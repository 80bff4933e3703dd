//! Wake-ups over NATS: a subject per installation, to which all of its nodes listen.
//!
//! Nothing is kept or repeated: while NATS is away wake-ups are lost, and nodes find by looking, once
//! a second, what they were about.

use std::time::Duration;

use async_nats::Client;
use async_trait::async_trait;
use futures::StreamExt as _;
use livewatt_engine::cluster::Bus;
use livewatt_store::{BoxError, Wake};
use tokio::sync::mpsc;

use super::{connect, is_connected};

/// Wake-ups in one message, some 40 bytes each: a server takes 1 MiB.
const MOST_AT_ONCE: usize = 1_000;
/// Wake-ups that may wait to be taken: more would be old news.
const QUEUE: usize = 10_000;
/// Longest wait for a place in what goes out: longer, and looking is quicker.
const PATIENCE: Duration = Duration::from_secs(1);

/// Wake-ups over NATS.
#[derive(Debug)]
pub struct NatsBus {
    client: Client,
    subject: String,
}

impl NatsBus {
    /// Connects in the background. `installation` tells its nodes from those of others that use the
    /// same servers.
    ///
    /// # Errors
    /// If an address cannot be used.
    pub async fn start(url: &str, installation: &str) -> anyhow::Result<Self> {
        Ok(Self {
            client: connect(url, "wake-ups").await?,
            subject: format!("livewatt.{installation}.wakes"),
        })
    }
}

#[async_trait]
impl Bus for NatsBus {
    async fn wake(&self, wakes: Vec<Wake>) -> Result<(), BoxError> {
        // Else they would wait for it, and be told when they are old.
        if !is_connected(&self.client) {
            return Err("NATS is away".into());
        }
        for wakes in wakes.chunks(MOST_AT_ONCE) {
            let words: Vec<_> = wakes.iter().map(ToString::to_string).collect();
            let sent = self
                .client
                .publish(self.subject.clone(), words.join(" ").into());
            tokio::time::timeout(PATIENCE, sent).await??;
        }
        Ok(())
    }

    fn wakes(&self) -> mpsc::Receiver<Wake> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(listen(self.client.clone(), self.subject.clone(), sender));
        receiver
    }

    fn is_connected(&self) -> bool {
        is_connected(&self.client)
    }
}

/// Listens until the receiver is dropped. The client subscribes again by itself after it was away.
async fn listen(client: Client, subject: String, sender: mpsc::Sender<Wake>) {
    let mut subscription = match client.subscribe(subject).await {
        Ok(subscription) => subscription,
        Err(error) => return tracing::error!(%error, "wake-ups are not heard over NATS"),
    };
    loop {
        let message = tokio::select! {
            message = subscription.next() => message,
            () = sender.closed() => return,
        };
        let Some(message) = message else {
            return tracing::error!("wake-ups are heard over NATS no more");
        };
        let words = std::str::from_utf8(&message.payload).unwrap_or_default();
        // Words of a newer version are passed over.
        for wake in words.split(' ').filter_map(|word| word.parse().ok()) {
            // Full: whoever is so far behind finds by looking what there is.
            let _ = sender.try_send(wake);
        }
    }
}
