//! A piece of work for a database thread, and the way its result comes back.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::error::{StoreError, StoreResult};

/// Work that is run on a connection and answered separately, since the answer to a write must
/// wait for the commit.
pub(super) trait Job: Send {
    /// Runs it; returns why it failed, if it did. Never panics.
    fn run(&mut self, connection: &Connection) -> Option<&StoreError>;
    /// Answers with its own result, or with `failure` if the commit failed after it had succeeded.
    fn answer(self: Box<Self>, failure: Option<StoreError>);
}

/// Packs work; the result arrives at the receiver.
pub(super) fn pack<T, W>(work: W) -> (Box<dyn Job>, oneshot::Receiver<StoreResult<T>>)
where
    T: Send + 'static,
    W: FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
{
    let (reply, result) = oneshot::channel();
    (
        Box::new(Task {
            work: Some(work),
            result: Err(StoreError::Closed),
            reply,
        }),
        result,
    )
}

/// Runs work; a panic in it is its failure.
pub(super) fn catching<T>(work: impl FnOnce() -> StoreResult<T>) -> StoreResult<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
}

struct Task<T, W> {
    work: Option<W>,
    result: StoreResult<T>,
    reply: oneshot::Sender<StoreResult<T>>,
}

impl<T, W> Job for Task<T, W>
where
    T: Send,
    W: FnOnce(&Connection) -> StoreResult<T> + Send,
{
    fn run(&mut self, connection: &Connection) -> Option<&StoreError> {
        if let Some(work) = self.work.take() {
            self.result = catching(|| work(connection));
        }
        self.result.as_ref().err()
    }

    fn answer(self: Box<Self>, failure: Option<StoreError>) {
        let result = match (self.result, failure) {
            (Ok(_), Some(failure)) => Err(failure),
            // It was never run: the transaction could not even begin.
            (Err(StoreError::Closed), Some(failure)) => Err(failure),
            (result, _) => result,
        };
        // The caller may have stopped waiting; what was written stays written.
        let _ = self.reply.send(result);
    }
}

fn panicked(panic: &(dyn Any + Send)) -> StoreError {
    let message = panic
        .downcast_ref::<&str>()
        .map(|message| (*message).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    tracing::error!(%message, "a database operation panicked");
    StoreError::Unusable {
        action: "used",
        source: format!("panicked: {message}").into(),
    }
}
