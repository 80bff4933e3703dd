//! `kill -9` at any moment, again and again, while everything moves. The vendor clouds, the front
//! and the receiver live on in this process; afterwards their records are compared.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use super::{
    is_long,
    moments::{MOMENTS, Moment},
    records::Records,
    stage::{Stage, busiest, change},
};
use crate::support::database;

/// Users of whom pushes tell, and whose acknowledgements are checked.
const PUSHED: [&str; 2] = ["pushed", "push-only"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_by_kill_9_at_any_moment() {
    let began = Instant::now();
    let kills = if is_long() { 1_000 } else { 50 };
    let seed = std::env::var("LIVEWATT_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("seed {seed} (LIVEWATT_SEED)");
    let mut stage = Stage::set(seed).await;
    let vins = stage.vins(&PUSHED);
    let is_over = Arc::new(AtomicBool::new(false));
    let changes = tokio::spawn(change(
        stage.sandbox.clone(),
        stage.vins(&["pushed", "push-only", "refreshed"]),
        stage.vins(&["polled"]),
        is_over.clone(),
    ));
    let mut records = Records::default();
    let mut lost_logins = 0;
    let mut reached = 0;
    for kill in 0..kills {
        let moment = MOMENTS[kill % MOMENTS.len()];
        let status = [204, 500, 204, 204, 302, 503, 204][kill % 7];
        stage.failing.answer_with(status);
        let (_, told) = stage.front.acknowledged();
        let mut program = stage.start();
        if moment == Moment::StartUp {
            stage.wait_up_to(250).await;
            program.kill().await;
            reached += 1;
            continue;
        }
        let api = stage.ready(&mut program).await;
        records.read_on(&api).await;
        // A kill in the middle of a rotating refresh costs the login, and what is pushed of an
        // account that is linked no longer is nobody's: its user links it again.
        let lost = stage.lost_logins(&api, &PUSHED).await;
        let nobodys = stage.vins(&lost);
        records.check_acknowledged(&told, &vins.difference(&nobodys).cloned().collect());
        lost_logins += lost.len();
        stage.restore(&api, &lost).await;
        reached += usize::from(stage.meet(moment, &api).await);
        stage.front.leads_to(None);
        program.kill().await;
        stage.receiver.release();
    }
    assert!(
        reached > kills * 9 / 10,
        "only {reached} of {kills} moments came"
    );

    is_over.store(true, Ordering::Relaxed);
    changes.await.unwrap();
    stage.sandbox.drop_all_faults().await;
    stage.failing.answer_with(204);
    let (_, told) = stage.front.acknowledged();
    let mut program = stage.start();
    let api = stage.ready(&mut program).await;
    records.read_on(&api).await;
    let nobodys = stage.vins(&stage.lost_logins(&api, &PUSHED).await);
    records.check_acknowledged(&told, &vins.difference(&nobodys).cloned().collect());
    let (compared, dead) = stage.settle(&api, &mut records).await;
    let dead = lost_logins + dead;
    stage.fall_silent(&api, &mut records).await;
    let api = stage.enter(&api.base).await;
    records.check_unchanged(&api).await;
    let api = stage.enter(&api.base).await;
    records.check_api(&api).await;
    program.stop().await;
    let figures = records.check_receiver(&stage.receiver);
    let of_failing = records.check_receiver(&stage.failing);
    let store = database::open(&stage.data()).await;
    records.check_versions(&*store).await;
    let (acknowledged, truth) = stage.check_truth();
    println!(
        "{kills} kills ({reached} at the moment meant) in {:?}: {acknowledged} pushes acknowledged, \
         {} vendor calls, {} events, {} deliveries, {} attempts, {} came again after they were \
         taken; {} links cut, {dead} logins lost in a refresh; {compared} vehicles as in truth; \
         busiest 10 minutes of the strict vendor: {} calls of 40; the receiver that fails: {} \
         attempts at {} deliveries, {} again after they were taken",
        began.elapsed(),
        truth["stats"]["calls_total"],
        records.log.len(),
        figures.distinct,
        figures.attempts,
        figures.duplicates,
        stage.links_cut,
        busiest(&truth),
        of_failing.attempts,
        of_failing.distinct,
        of_failing.duplicates,
    );
    assert!(records.log.len() > kills * 5, "hardly anything happened");
}
