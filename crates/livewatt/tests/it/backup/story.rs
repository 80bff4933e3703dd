//! What must be true of every way to copy and put back. The vendor clouds, the front, the receivers
//! and a reader of the log live on; what they know of is compared with what was put back.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use livewatt_sandbox::{Cloud, FaultKind, FaultSpec};
use livewatt_store::Store;
use serde_json::Value;
use tokio::{task::JoinHandle, time::sleep};

use super::place_of_copy;
use crate::{
    durability::{
        records::{Records, by_device, taken_once},
        stage::{Stage, change},
    },
    support::{
        eventually,
        http::Api,
        log::check_differences,
        receiver::{Delivery, Receiver},
    },
};

/// Longest wait for what comes by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// A way to copy what a server keeps, and to put it back.
pub trait Way {
    /// Copies while the server runs.
    fn copy(&mut self, stage: &Stage, to: &Path);
    /// Destroys all that the server kept, its key aside, and puts the copy in its place.
    fn put_back(&mut self, stage: &mut Stage, from: &Path);
    /// Opens the database of the server, which has ended.
    async fn store(&self, stage: &Stage) -> Arc<dyn Store>;
}

/// Copies under load, lets more happen, destroys everything, puts the copy back and starts on it.
pub async fn is_put_back(mut stage: Stage, mut way: impl Way) {
    let mut program = stage.start();
    let api = stage.ready(&mut program).await;
    let load = Load::begin(&stage);
    // The reader: what it has read, and the cursor with which it will come back.
    let mut reader = Records::default();
    grow(&stage, &api, &mut reader, 100).await;

    stage.receiver.hold();
    eventually("a delivery is under way", async || {
        !held(&stage.receiver).is_empty()
    })
    .await;
    let before = held(&stage.receiver);
    let known = grow(&stage, &api, &mut reader, 0).await;
    let to = place_of_copy(&stage);
    let began = Instant::now();
    way.copy(&stage, &to);
    let took = began.elapsed();
    let at_most = grow(&stage, &api, &mut reader, 0).await;
    // Sent before the copy and not answered before it was there: in the copy they are under way.
    let after: BTreeSet<String> = held(&stage.receiver).into_iter().map(|d| d.id).collect();
    let under_way: Vec<Delivery> = before
        .into_iter()
        .filter(|d| after.contains(&d.id))
        .collect();
    assert!(
        !under_way.is_empty(),
        "all were answered while it was copied"
    );
    stage.receiver.release();

    // What happens now is lost, though it was acknowledged, told to receivers and read.
    let lost_from = grow(&stage, &api, &mut reader, 50).await;
    load.end().await;
    stage.front.leads_to(None);
    program.kill().await;
    let told = [&stage.receiver, &stage.failing].map(|receiver| {
        let (events, _) = taken_once(receiver);
        receiver.clear();
        events.iter().map(Value::to_string).collect::<BTreeSet<_>>()
    });
    way.put_back(&mut stage, &to);

    let mut program = stage.start();
    let api = stage.ready(&mut program).await;
    let log = api.log_for_all().await;
    let pairs = log.iter().zip(&reader.log);
    let kept = pairs
        .take_while(|(restored, read)| restored == read)
        .count();
    assert!(
        (known..=at_most).contains(&kept),
        "{kept} events are as before; {known} were there when copying began, {at_most} when it ended"
    );
    check_differences(&log);

    // It goes on: by pushes, by fetches, and by deliveries where they stood.
    let load = Load::begin(&stage);
    let mut records = Records::default();
    grow(&stage, &api, &mut records, kept + 50).await;
    load.end().await;
    stage.sandbox.drop_all_faults().await;
    let (compared, dead) = stage.settle(&api, &mut records).await;
    fall_silent(&stage, &api, &mut records, &told).await;
    let api = stage.enter(&api.base).await;
    records.check_unchanged(&api).await;
    records.check_api(&api).await;

    // The reader that comes back with a cursor beyond the copy gets all that is new, and only that.
    let read_before = reader.log.len();
    reader.read_on(&api).await;
    assert!(
        reader.log[read_before..] == records.log[kept..],
        "{} events are new, the reader got {}",
        records.log.len() - kept,
        reader.log.len() - read_before
    );
    for delivery in &under_way {
        let attempts = stage.receiver.attempts();
        let again = attempts.iter().find(|attempt| attempt.id == delivery.id);
        let again = again.expect("what was under way comes again under its ID");
        assert_eq!(again.body, delivery.body);
    }
    let again = [&stage.receiver, &stage.failing]
        .into_iter()
        .zip(&told)
        .map(|(receiver, told)| check_deliveries(receiver, told, &records.log));
    let again: usize = again.sum();
    program.stop().await;
    records.check_versions(&*way.store(&stage).await).await;
    println!(
        "copied in {took:?} under load: {kept} events kept, {} lost of {lost_from} and more; \
         afterwards {} new, {again} delivered again, {} deliveries under way came again under their \
         IDs, {dead} logins lost, {compared} vehicles as in truth",
        read_before - kept,
        records.log.len() - kept,
        under_way.len(),
    );
}

/// Vehicles that change all the time.
struct Load {
    is_over: Arc<AtomicBool>,
    changes: JoinHandle<()>,
}

impl Load {
    fn begin(stage: &Stage) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let changes = tokio::spawn(change(
            stage.sandbox.clone(),
            stage.vins(&["pushed", "push-only", "refreshed"]),
            stage.vins(&["polled"]),
            is_over.clone(),
        ));
        Self { is_over, changes }
    }

    async fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.changes.await.unwrap();
    }
}

/// Reads on until the log has so many events more; returns how many were read in all.
async fn grow(stage: &Stage, api: &Api, reader: &mut Records, by: usize) -> usize {
    let (deadline, enough) = (Instant::now() + PATIENCE, reader.log.len() + by);
    loop {
        let api = stage.enter(&api.base).await;
        reader.read_on(&api).await;
        if reader.log.len() >= enough {
            return reader.log.len();
        }
        assert!(Instant::now() < deadline, "hardly anything happens");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Deliveries of the log that a receiver has and did not answer.
fn held(receiver: &Receiver) -> Vec<Delivery> {
    let mut attempts = receiver.attempts();
    attempts.retain(|attempt| attempt.is_of_log() && !attempt.is_taken);
    attempts
}

/// The clouds say the same for ever now. Waits until the log has ended, and its receivers have had
/// all of it, before or after.
async fn fall_silent(
    stage: &Stage,
    api: &Api,
    records: &mut Records,
    told: &[BTreeSet<String>; 2],
) {
    for cloud in [Cloud::Volta, Cloud::Rivoli, Cloud::Helios] {
        let stale = FaultSpec::new(FaultKind::Stale);
        stage.sandbox.add_fault(cloud, stale).await.unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let before = records.log.len();
        // More than the longest interval between two polls of who is awake.
        sleep(Duration::from_secs(2)).await;
        let api = &stage.enter(&api.base).await;
        records.read_on(api).await;
        let missing =
            [&stage.receiver, &stage.failing]
                .into_iter()
                .zip(told)
                .map(|(receiver, told)| {
                    let taken = taken_once(receiver).0;
                    let taken: BTreeSet<String> = taken.iter().map(Value::to_string).collect();
                    let log = records.log.iter().map(Value::to_string);
                    log.filter(|event| !taken.contains(event) && !told.contains(event))
                        .count()
                });
        let missing: usize = missing.sum();
        if records.log.len() == before && missing == 0 {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "no end: {before} events, {missing} not delivered"
        );
    }
}

/// After the restart the receiver was told of each device, in order and without a gap, from an event
/// on before which it knew everything. Returns how many of those it knew already.
fn check_deliveries(receiver: &Receiver, told: &BTreeSet<String>, log: &[Value]) -> usize {
    let (taken, _) = taken_once(receiver);
    let taken = by_device(&taken);
    let mut again = 0;
    for (device, events) in by_device(log) {
        let after = taken.get(&device).map_or(&[][..], Vec::as_slice);
        assert!(events.ends_with(after), "{device}: a gap, or out of order");
        let earlier = &events[..events.len() - after.len()];
        assert!(
            earlier.iter().all(|event| told.contains(event)),
            "{device}: an event never came"
        );
        again += after.iter().filter(|event| told.contains(*event)).count();
    }
    again
}
