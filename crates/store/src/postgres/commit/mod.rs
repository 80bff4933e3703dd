//! Units of work, committed in groups.
//!
//! A few tasks commit; a unit goes to one by its partition, so those of one account come in their
//! order, and a slow group holds up only its share. Whatever is queued when a task looks is one
//! transaction ([`write`]); it never waits for a group to fill: an idle store commits a lone unit at
//! once, a busy one fills its groups by itself while the server syncs. Nobody is answered before
//! the commit.
//!
//! A unit that conflicts, or has lost its partition, fails alone. Where the server refuses a group
//! for something that may lie in one unit, its units are written one by one.

mod group;
mod write;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use livewatt_domain::webhook::Position;
use sqlx::PgPool;
use tokio::sync::{
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    oneshot,
};

use self::group::take_group;
use super::{error, sample_days::SampleDays, slices::Slices, statement::answered_within};
use crate::{
    error::{StoreError, StoreResult, copy},
    groups::{Trouble, measure},
    types::UnitOfWork,
};

/// Tasks that commit.
const COMMITTERS: usize = 2;
/// Longest wait for a group: everything of its partitions queues up behind it.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often a lone unit is tried that the server gave up to end a deadlock.
const MOST_TRIES: u32 = 4;

/// A unit that waits to be written.
#[derive(Debug)]
struct Pending {
    unit: UnitOfWork,
    reply: oneshot::Sender<StoreResult<Option<Position>>>,
}

/// What a transaction needs.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) pool: PgPool,
    /// Number of the schema that this program knows.
    pub(super) known_schema: usize,
    pub(super) slices: Slices,
    pub(super) sample_days: SampleDays,
}

/// The sending side of the tasks that commit. They write what is queued after this is dropped.
#[derive(Debug)]
pub(super) struct Committers {
    queues: Vec<UnboundedSender<Pending>>,
}

impl Committers {
    /// Starts the tasks.
    pub(super) fn start(context: &Arc<Context>) -> Self {
        let start = |_| {
            let (sender, queue) = unbounded_channel();
            tokio::spawn(commit_groups(Arc::clone(context), queue));
            sender
        };
        Self {
            queues: (0..COMMITTERS).map(start).collect(),
        }
    }

    /// Commits a unit; returns the position of its last event.
    pub(super) async fn commit(&self, unit: UnitOfWork) -> StoreResult<Option<Position>> {
        let handed_in = Instant::now();
        // What another node than the owner writes may come out of turn: versions decide.
        let partition = unit.fence.map_or(0, |fence| fence.partition);
        let queue = usize::from(partition) % self.queues.len();
        let (reply, result) = oneshot::channel();
        self.queues[queue]
            .send(Pending { unit, reply })
            .map_err(|_| StoreError::Closed)?;
        let result = result.await;
        metrics::histogram!("livewatt_store_seconds", "access" => "write")
            .record(handed_in.elapsed().as_secs_f64());
        result.unwrap_or(Err(StoreError::Closed))
    }
}

async fn commit_groups(context: Arc<Context>, mut queue: UnboundedReceiver<Pending>) {
    let mut waiting = VecDeque::new();
    let mut trouble = Trouble::default();
    loop {
        if waiting.is_empty() {
            match queue.recv().await {
                Some(first) => waiting.push_back(first),
                None => return,
            }
        }
        while let Ok(next) = queue.try_recv() {
            waiting.push_back(next);
        }
        let group = take_group(&mut waiting);
        commit_group(&context, group, &mut trouble).await;
    }
}

async fn commit_group(context: &Context, group: Vec<Pending>, trouble: &mut Trouble) {
    let units: Vec<_> = group.iter().map(|pending| &pending.unit).collect();
    let outcome = timed(context, &units, trouble).await;
    match outcome {
        Ok(results) => {
            for (pending, result) in group.into_iter().zip(results) {
                answer(pending, result);
            }
        }
        Err(problem) if error::is_about_the_content(&problem) => {
            for pending in group {
                let result = commit_alone(context, &pending.unit, trouble).await;
                answer(pending, result);
            }
        }
        Err(problem) => {
            for pending in group {
                answer(pending, Err(copy(&problem)));
            }
        }
    }
}

async fn commit_alone(
    context: &Context,
    unit: &UnitOfWork,
    trouble: &mut Trouble,
) -> StoreResult<Option<Position>> {
    let mut tries = 1;
    loop {
        match timed(context, &[unit], trouble).await {
            Ok(mut results) => return results.pop().unwrap_or(Err(StoreError::Closed)),
            Err(problem) if error::is_deadlock(&problem) && tries < MOST_TRIES => tries += 1,
            Err(problem) => return Err(problem),
        }
    }
}

/// Writes a group and counts it.
async fn timed(
    context: &Context,
    units: &[&UnitOfWork],
    trouble: &mut Trouble,
) -> StoreResult<Vec<StoreResult<Option<Position>>>> {
    let began = Instant::now();
    let outcome = answered_within(PATIENCE, write::write(context, units)).await;
    let took: Duration = began.elapsed();
    let is_sound = outcome
        .as_ref()
        .err()
        .is_none_or(error::is_about_the_content);
    measure(took, units.len() as u64, is_sound);
    match &outcome {
        Err(problem) if !is_sound => trouble.note(problem),
        _ => trouble.end(),
    }
    outcome
}

fn answer(pending: Pending, result: StoreResult<Option<Position>>) {
    // The caller may have stopped waiting; what was written stays written.
    let _ = pending.reply.send(result);
}
