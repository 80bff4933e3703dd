//! The readers: a few threads, each with a connection that can only read.
//!
//! A read takes microseconds if its pages are cached, and milliseconds if they are not or if the
//! list is long. Threads of their own keep the second kind off the threads that serve requests,
//! and cost less per read than asking the runtime for a blocking thread each time. What reads a
//! row by one statement may use a connection that is free at the moment where it stands: it touches
//! a few pages, and waits for nobody. Each job of the threads runs in one read transaction, so that
//! all of its statements see the same moment.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{
    error::unusable,
    job::{Job, catching, pack},
    statement::execute,
};
use crate::error::{StoreError, StoreResult};

/// The sending side of the readers' threads.
#[derive(Debug)]
pub(super) struct Readers {
    jobs: Option<Sender<Box<dyn Job>>>,
    threads: Vec<JoinHandle<()>>,
    connections: Vec<Arc<Mutex<Connection>>>,
}

impl Readers {
    /// Starts a thread per connection.
    pub(super) fn start(connections: Vec<Connection>) -> StoreResult<Self> {
        let (sender, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        let connections: Vec<_> = connections
            .into_iter()
            .map(|connection| Arc::new(Mutex::new(connection)))
            .collect();
        let start = |connection: &Arc<Mutex<Connection>>| {
            let (connection, receiver) = (Arc::clone(connection), Arc::clone(&receiver));
            thread::Builder::new()
                .name("store-reader".to_owned())
                .spawn(move || read(&connection, &receiver))
                .map_err(unusable("opened"))
        };
        let threads = connections.iter().map(start).collect::<StoreResult<_>>()?;
        Ok(Self {
            jobs: Some(sender),
            threads,
            connections,
        })
    }

    /// Runs work of one statement on this thread if a connection is free; else gives it back.
    pub(super) fn try_here<T, W>(&self, work: W) -> Result<StoreResult<T>, W>
    where
        W: FnOnce(&Connection) -> StoreResult<T>,
    {
        let mut free = self.connections.iter().filter_map(|c| c.try_lock().ok());
        match free.next() {
            Some(connection) => Ok(catching(|| work(&connection))),
            None => Err(work),
        }
    }

    /// Hands work to the next free thread.
    pub(super) fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<oneshot::Receiver<StoreResult<T>>> {
        let (job, result) = pack(work);
        let jobs = self.jobs.as_ref().ok_or(StoreError::Closed)?;
        jobs.send(job).map_err(|_| StoreError::Closed)?;
        Ok(result)
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn read(connection: &Mutex<Connection>, jobs: &Mutex<Receiver<Box<dyn Job>>>) {
    loop {
        // Whoever holds the lock waits for the next job, the others wait for the lock.
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut job) = next else { return };
        let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = execute(&connection, "begin", []);
        if begun.is_ok() {
            job.run(&connection);
        }
        // Ends the reading; there is nothing that could be lost.
        let _ = execute(&connection, "rollback", []);
        drop(connection);
        job.answer(begun.err());
    }
}
