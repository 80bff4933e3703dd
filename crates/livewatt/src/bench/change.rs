//! From a change to the first attempt of its webhook: pushes at a fixed rate through the real
//! intake (signature, merge, commit, acknowledgement), until they are at the receiver.

use std::sync::Arc;

use anyhow::ensure;
use livewatt_api::ApiOptions;
use livewatt_domain::clock::{Clock as _, SystemClock};
use livewatt_engine::{EgressPolicy, webhooks::WebhookInput};

use super::{
    Plan,
    fleet::{cadence, fill},
    installation::{Installation, Loops},
    machine::cpu_time,
    peer::Peer,
    receiver::{PushOrders, Pushed},
    report::{Part, Row},
    served::Served,
};
use crate::{telemetry, terminal::say};

const PER_SECOND: u32 = 1_000;

/// Settings of a webhook at a peer.
pub(super) fn webhook(receiver: &Peer) -> WebhookInput {
    WebhookInput {
        url: Some(format!("http://{}/webhook", receiver.address)),
        secret: Some(WEBHOOK_SECRET.to_owned()),
        ..WebhookInput::default()
    }
}

/// What deliveries are signed with.
pub(super) const WEBHOOK_SECRET: &str = "bench-webhook-secret";

/// Runs the part.
pub(super) async fn run(plan: &Plan) -> anyhow::Result<Part> {
    let accounts = plan.devices(10_000, 1_000);
    let rounds = plan.pick(3, 1);
    let length = plan.total(30, 3).as_secs_f64() / f64::from(rounds);
    let count = (length * f64::from(PER_SECOND)) as u32;
    say(&format!(
        "change: filling a database with {accounts} devices"
    ));
    let metrics = telemetry::start_metrics()?;
    let vendor = Peer::start(&["vendor".to_owned(), accounts.to_string()]).await?;
    let receiver = Peer::start(&["receiver".to_owned()]).await?;
    let now = SystemClock.now();
    let installation = Installation::make(plan, now).await?;
    fill(&installation, &vendor, accounts, now, cadence).await?;
    let engine = installation
        .opened
        .start(vendor.address, Arc::new(SystemClock), |options| {
            options.egress = EgressPolicy {
                allow_private: true,
            };
        })
        .await?;
    engine
        .create_webhook(installation.client, webhook(&receiver))
        .await?;
    let options = ApiOptions {
        metrics: Some(Arc::new(move || metrics.render())),
        ..ApiOptions::default()
    };
    let served = Served::start(livewatt_api::router(engine.clone(), options)).await?;
    let loops = Loops::start(engine);
    let mut row = Row::new(format!("{PER_SECOND} changes a second"));
    for round in 0..rounds {
        let orders = PushOrders {
            url: format!("http://{}/vendors/volta/push", served.address),
            accounts,
            per_second: PER_SECOND,
            count,
            first: round * count,
        };
        let cpu = cpu_time(std::process::id())?;
        let pushed: Pushed = serde_json::from_slice(&receiver.post("/push", &orders).await?)?;
        let cpu = cpu_time(std::process::id())? - cpu;
        ensure!(
            pushed.refused == 0,
            "{} pushes were refused",
            pushed.refused
        );
        ensure!(
            pushed.missing == 0,
            "{} webhooks never came",
            pushed.missing
        );
        let [p50, p99, longest] = pushed.delivered_ms;
        row.note("pushes/s", pushed.per_second);
        row.note("to the webhook, p50 ms", p50);
        row.note("to the webhook, p99 ms", p99);
        row.note("to the webhook, max ms", longest);
        row.note("to the acknowledgement, p50 ms", pushed.acknowledged_ms[0]);
        row.note("to the acknowledgement, p99 ms", pushed.acknowledged_ms[1]);
        row.note("CPU us/change", cpu.as_secs_f64() * 1e6 / f64::from(count));
        say(&format!(
            "  round {} of {rounds}: p50 {p50:.1} ms, p99 {p99:.1} ms",
            round + 1
        ));
    }
    loops.stop().await?;
    Ok(Part {
        name: "change",
        about: format!(
            "signed pushes of one change each over HTTP, sent at a fixed rate whether answered or \
             not, {accounts} devices, one webhook; from before a push is sent until the first \
             attempt of its webhook is at the receiver, by one clock; {rounds} x {count} pushes"
        ),
        aim: "p50 below 20 ms, p99 below 200 ms",
        rows: vec![row],
    })
}
