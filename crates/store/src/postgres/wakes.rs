//! Wake-ups by `NOTIFY`. They are sent on their own, never inside of a transaction that writes: the
//! server lets only one transaction with notices commit at a time.

use std::time::Duration;

use sqlx::{Executor, PgConnection, PgPool, postgres::PgListener};
use tokio::sync::mpsc;

use super::statement::{answered_within, execute, sql};
use crate::{
    cluster::Wake,
    error::{BoxError, StoreResult},
};

/// The channel that all nodes listen to.
const CHANNEL: &str = "livewatt";
/// Longest text of a notice, in bytes: the server takes fewer than 8,000.
const MOST_BYTES: usize = 7_900;
/// Wake-ups that may wait to be taken: more would be old news.
const QUEUE: usize = 10_000;
/// Rest after the server could not be listened to.
const REST: Duration = Duration::from_secs(1);
/// After so long without a wake-up it is tried whether any can come.
const SILENCE: Duration = Duration::from_secs(10);

/// Tells everybody who listens.
pub(super) async fn notify(connection: &mut PgConnection, wakes: &[Wake]) -> StoreResult<()> {
    for text in texts(wakes) {
        let notify = sql("select pg_notify($1, $2)").bind(CHANNEL).bind(text);
        execute(connection, notify).await?;
    }
    Ok(())
}

/// As many wake-ups in one text as go into a notice.
fn texts(wakes: &[Wake]) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for wake in wakes.iter().map(ToString::to_string) {
        match texts.last_mut() {
            Some(text) if text.len() + 1 + wake.len() <= MOST_BYTES => {
                text.push(' ');
                text.push_str(&wake);
            }
            _ => texts.push(wake),
        }
    }
    texts
}

/// Listens until the receiver is dropped, with a connection of its own, made anew when it is lost.
pub(super) fn listen(pool: &PgPool) -> mpsc::Receiver<Wake> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let pool = pool.clone();
    tokio::spawn(async move {
        while !sender.is_closed() {
            if let Err(error) = listen_once(&pool, &sender).await {
                tracing::debug!(%error, "wake-ups of other nodes are not heard for a moment");
            }
            tokio::time::sleep(REST).await;
        }
    });
    receiver
}

async fn listen_once(pool: &PgPool, sender: &mpsc::Sender<Wake>) -> Result<(), BoxError> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        let notice = tokio::select! {
            notice = tokio::time::timeout(SILENCE, listener.recv()) => notice,
            () = sender.closed() => return Ok(()),
        };
        let Ok(notice) = notice else {
            // Nobody has said anything, or the connection is dead and nobody has said so.
            answered_within(REST, listener.execute("select 1")).await?;
            continue;
        };
        let notice = notice?;
        // Words of a newer version are passed over.
        let known = notice
            .payload()
            .split(' ')
            .filter_map(|word| word.parse().ok());
        for wake in known {
            // Full: whoever is so far behind finds by looking what there is.
            let _ = sender.try_send(wake);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_holds_as_many_as_the_server_takes() {
        let wakes = vec![Wake::Letter(255); 3_000];
        let texts = texts(&wakes);
        assert_eq!(texts.len(), 2);
        assert!(texts.iter().all(|text| text.len() <= MOST_BYTES));
        let words: usize = texts.iter().map(|text| text.split(' ').count()).sum();
        assert_eq!(words, 3_000);
    }
}
