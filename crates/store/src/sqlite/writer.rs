//! The one writer: a thread that owns the only connection that writes.
//!
//! It commits in groups. Whatever is queued when it looks is run in one transaction, each job in a
//! savepoint of its own, so that one that fails undoes only itself. Nobody is answered before the
//! commit; if the commit fails, everybody is told so. It never waits for a group to fill: an idle
//! store commits a lone job at once, a busy one fills its groups by itself while the disk syncs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{
    error::{copy, unusable},
    job::{Job, pack},
    statement::execute,
};
use crate::{
    error::{StoreError, StoreResult},
    groups::{Trouble, measure},
};

/// Most jobs in one transaction.
const MAX_GROUP: usize = 512;
/// Longest time a transaction takes in more jobs, so that the first need not wait for many.
pub(super) const MAX_GATHERING: Duration = Duration::from_millis(5);

/// How many jobs were written by how many commits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommitStats {
    /// Transactions committed.
    pub commits: u64,
    /// Jobs in them, those that failed by themselves included.
    pub jobs: u64,
    /// Transactions that could not be committed.
    pub failed_commits: u64,
}

#[derive(Debug, Default)]
struct Counters {
    commits: AtomicU64,
    jobs: AtomicU64,
    failed_commits: AtomicU64,
}

/// The sending side of the writer's thread.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    counters: Arc<Counters>,
}

impl Writer {
    /// Starts the thread. `held` is released after the connection was closed.
    pub(super) fn start<H: Send + 'static>(
        connection: Connection,
        max_gathering: Duration,
        held: H,
    ) -> StoreResult<Self> {
        let (sender, receiver) = channel();
        let counters = Arc::new(Counters::default());
        let counted = Arc::clone(&counters);
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                write_groups(&connection, &receiver, max_gathering, &counted);
                drop(connection);
                drop(held);
            })
            .map_err(unusable("opened"))?;
        Ok(Self {
            jobs: Some(sender),
            thread: Some(thread),
            counters,
        })
    }

    /// Hands work to the thread; its result arrives after the commit.
    pub(super) fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<oneshot::Receiver<StoreResult<T>>> {
        let (job, result) = pack(work);
        let jobs = self.jobs.as_ref().ok_or(StoreError::Closed)?;
        jobs.send(job).map_err(|_| StoreError::Closed)?;
        Ok(result)
    }

    pub(super) fn stats(&self) -> CommitStats {
        CommitStats {
            commits: self.counters.commits.load(Ordering::Relaxed),
            jobs: self.counters.jobs.load(Ordering::Relaxed),
            failed_commits: self.counters.failed_commits.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Writer {
    /// Writes what is queued and closes the database.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // Its loop catches panics of jobs; there is nothing to be done about any other.
            let _ = thread.join();
        }
    }
}

fn write_groups(
    connection: &Connection,
    jobs: &Receiver<Box<dyn Job>>,
    max_gathering: Duration,
    counters: &Counters,
) {
    let mut trouble = Trouble::default();
    while let Ok(first) = jobs.recv() {
        let mut group = Vec::new();
        let began = Instant::now();
        let outcome = write_group(connection, first, jobs, max_gathering, &mut group);
        measure(began.elapsed(), group.len() as u64, outcome.is_ok());
        counters
            .jobs
            .fetch_add(group.len() as u64, Ordering::Relaxed);
        match &outcome {
            Ok(()) => {
                trouble.end();
                counters.commits.fetch_add(1, Ordering::Relaxed)
            }
            Err(error) => {
                trouble.note(error);
                counters.failed_commits.fetch_add(1, Ordering::Relaxed)
            }
        };
        for job in group {
            job.answer(outcome.as_ref().err().map(copy));
        }
    }
}

/// Runs `first` and what is queued behind it in one transaction; puts all jobs it took into
/// `group`, whatever becomes of them.
fn write_group(
    connection: &Connection,
    first: Box<dyn Job>,
    jobs: &Receiver<Box<dyn Job>>,
    max_gathering: Duration,
    group: &mut Vec<Box<dyn Job>>,
) -> StoreResult<()> {
    let began = Instant::now();
    let mut outcome = execute(connection, "begin immediate", []).map(drop);
    let mut next = Some(first);
    while let Some(mut job) = next.take() {
        if outcome.is_ok() {
            outcome = run_in_savepoint(connection, job.as_mut());
        }
        group.push(job);
        if outcome.is_ok() && group.len() < MAX_GROUP && began.elapsed() < max_gathering {
            next = jobs.try_recv().ok();
        }
    }
    if outcome.is_ok() {
        outcome = execute(connection, "commit", []).map(drop);
    }
    if outcome.is_err() && !connection.is_autocommit() {
        // Should even this fail, the next `begin` fails and says so to its callers.
        let _ = execute(connection, "rollback", []);
    }
    outcome
}

/// Fails only if the whole transaction is lost.
fn run_in_savepoint(connection: &Connection, job: &mut dyn Job) -> StoreResult<()> {
    execute(connection, "savepoint job", [])?;
    if let Some(error) = job.run(connection) {
        // Some failures, such as a full disk, make SQLite roll back the transaction by itself.
        if connection.is_autocommit() {
            return Err(copy(error));
        }
        execute(connection, "rollback to job", [])?;
    }
    execute(connection, "release job", []).map(drop)
}
