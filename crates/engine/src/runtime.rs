//! The loops of a running server: each a timer and a wake-up around a step.

use std::{sync::Arc, time::Duration};

use livewatt_domain::Timestamp;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Engine, cluster, error::chain};

/// Longest sleep between two looks: bounds what a lost wake-up or a clock that jumps can cost.
const LONGEST_NAP: Duration = Duration::from_secs(1);
/// Shortest sleep: due times have a resolution of a second, so that hardly any is as short.
const SHORTEST_NAP: Duration = Duration::from_millis(5);
/// Quiet writes are at most this far behind.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);
/// Old slices of the log are looked for this often.
const PRUNE_INTERVAL: Duration = Duration::from_secs(600);

/// Changed Locations are looked for this often, beside the wake-ups.
const PLACE_INTERVAL: Duration = Duration::from_secs(5);
/// Gauges are set this often.
const GAUGE_INTERVAL: Duration = Duration::from_secs(10);

/// Runs all loops until `stop` is cancelled; then lets what is under way end, and writes down what
/// is left to write.
pub async fn run(engine: Arc<Engine>, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    let loops = [
        tokio::spawn(poll_loop(engine.clone(), stop.clone(), tasks.clone())),
        tokio::spawn(schedule_loop(engine.clone(), stop.clone(), tasks.clone())),
        tokio::spawn(act_loop(engine.clone(), stop.clone(), tasks.clone())),
        tokio::spawn(charge_loop(engine.clone(), stop.clone(), tasks.clone())),
        tokio::spawn(deliver_loop(engine.clone(), stop.clone(), tasks.clone())),
        tokio::spawn(export_loop(engine.clone(), stop.clone())),
        tokio::spawn(flush_loop(engine.clone(), stop.clone())),
        tokio::spawn(prune_loop(engine.clone(), stop.clone())),
        tokio::spawn(place_loop(engine.clone(), stop.clone())),
        tokio::spawn(production_loop(engine.clone(), stop.clone(), tasks.clone())),
        tokio::spawn(gauge_loop(engine.clone(), stop.clone())),
        tokio::spawn(cluster::run(engine.clone(), stop.clone())),
    ];
    for task in loops {
        if let Err(error) = task.await {
            tracing::error!(%error, "a loop ended badly");
        }
    }
    tasks.close();
    if tokio::time::timeout(Duration::from_secs(10), tasks.wait())
        .await
        .is_err()
    {
        tracing::warn!(tasks = tasks.len(), "stopping without waiting for the rest");
    }
    finish(&engine).await;
}

/// Counts and writes down what is left, as the last thing before an end.
pub async fn finish(engine: &Engine) {
    engine.fleet.count_all_ages(engine.now());
    engine.leave().await;
    engine.budgets.close();
    flush(engine).await;
}

async fn poll_loop(engine: Arc<Engine>, stop: CancellationToken, tasks: TaskTracker) {
    while !stop.is_cancelled() {
        for id in engine.take_due() {
            let engine = engine.clone();
            tasks.spawn(async move { engine.run_poll(id).await });
        }
        engine.watch_freshness();
        nap(&engine, engine.next_poll_at(), &engine.poll_wake, &stop).await;
    }
}

async fn schedule_loop(engine: Arc<Engine>, stop: CancellationToken, tasks: TaskTracker) {
    while !stop.is_cancelled() {
        for (account, device) in engine.take_due_schedules() {
            let engine = engine.clone();
            tasks.spawn(async move { engine.run_schedules(account, device).await });
        }
        nap(
            &engine,
            engine.next_schedule_at(),
            &engine.schedules.wake,
            &stop,
        )
        .await;
    }
}

async fn act_loop(engine: Arc<Engine>, stop: CancellationToken, tasks: TaskTracker) {
    while !stop.is_cancelled() {
        for (account, device, is_look) in engine.take_due_actions() {
            let engine = engine.clone();
            tasks.spawn(async move { engine.run_action(account, device, is_look).await });
        }
        nap(
            &engine,
            engine.next_action_at(),
            &engine.actions.wake,
            &stop,
        )
        .await;
    }
}

async fn charge_loop(engine: Arc<Engine>, stop: CancellationToken, tasks: TaskTracker) {
    while !stop.is_cancelled() {
        for (account, device) in engine.take_due_charges() {
            let engine = engine.clone();
            tasks.spawn(async move { engine.run_charge(account, device).await });
        }
        nap(&engine, engine.next_charge_at(), &engine.smart.wake, &stop).await;
    }
}

async fn deliver_loop(engine: Arc<Engine>, stop: CancellationToken, tasks: TaskTracker) {
    while !stop.is_cancelled() {
        for ready in engine.take_ready() {
            let engine = engine.clone();
            tasks.spawn(async move {
                engine.run_lane(ready).await;
                // It may have stopped only to let others go first.
                engine.deliveries.wake.notify_one();
            });
        }
        let beating = engine.clone();
        tasks.spawn(async move { beating.send_heartbeats().await });
        nap(
            &engine,
            engine.next_delivery_at(),
            &engine.deliveries.wake,
            &stop,
        )
        .await;
    }
}

async fn export_loop(engine: Arc<Engine>, stop: CancellationToken) {
    let Some(export) = &engine.export else {
        return;
    };
    while !stop.is_cancelled() {
        // Cut off, what is under way comes again after the next start.
        tokio::select! {
            _ = engine.export_due() => {}
            () = stop.cancelled() => return,
        }
        nap(&engine, export.next_attempt_at(), &export.wake, &stop).await;
    }
}

async fn flush_loop(engine: Arc<Engine>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(FLUSH_INTERVAL);
    loop {
        tokio::select! {
            _ = ticks.tick() => flush(&engine).await,
            () = stop.cancelled() => return,
        }
    }
}

async fn prune_loop(engine: Arc<Engine>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(PRUNE_INTERVAL);
    loop {
        tokio::select! {
            _ = ticks.tick() => match engine.prune().await {
                Ok(0) => {}
                Ok(slices) => tracing::info!(slices, "old slices of the event log dropped"),
                Err(error) => tracing::error!(error = %chain(&error), "pruning failed"),
            },
            () = stop.cancelled() => return,
        }
    }
}

async fn place_loop(engine: Arc<Engine>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match engine.place_due().await {
            Ok(0) => {}
            Ok(_) => continue,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "devices are placed anew a little later");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PLACE_INTERVAL) => {}
            () = engine.place_wake.notified() => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn production_loop(engine: Arc<Engine>, stop: CancellationToken, tasks: TaskTracker) {
    while !stop.is_cancelled() {
        match engine.take_productions().await {
            Ok(visits) => {
                for visit in visits {
                    let engine = engine.clone();
                    tasks.spawn(async move { engine.run_visit(visit).await });
                }
            }
            Err(error) => {
                tracing::debug!(error = %chain(&error), "inverters are asked about a little later");
            }
        }
        nap(&engine, None, &engine.production_wake, &stop).await;
    }
}

async fn gauge_loop(engine: Arc<Engine>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(GAUGE_INTERVAL);
    loop {
        tokio::select! {
            _ = ticks.tick() => engine.figures().await.publish(),
            () = stop.cancelled() => return,
        }
    }
}

async fn flush(engine: &Engine) {
    if let Err(error) = engine.flush_presence().await {
        tracing::error!(error = %chain(&error), "quiet writes failed; they are tried again");
    }
}

/// Sleeps until `until`, a wake-up or the end.
async fn nap(engine: &Engine, until: Option<Timestamp>, wake: &Notify, stop: &CancellationToken) {
    let wait = until.map_or(LONGEST_NAP, |at| {
        let left = engine.clock.for_real(at.duration_since(engine.now()));
        Duration::try_from(left)
            .unwrap_or_default()
            .clamp(SHORTEST_NAP, LONGEST_NAP)
    });
    tokio::select! {
        () = tokio::time::sleep(wait) => {}
        () = wake.notified() => {}
        () = stop.cancelled() => {}
    }
}
