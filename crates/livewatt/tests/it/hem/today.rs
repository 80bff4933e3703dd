//! What flowed since local midnight, against the counters and the record of the cloud.

use livewatt_domain::Timestamp;
use livewatt_sandbox::FaultKind;
use serde_json::json;

use super::{Story, minutes};
use crate::support::STEP;

const FLOWS: [&str; 6] = [
    "generation",
    "consumption",
    "charge",
    "discharge",
    "import",
    "export",
];

/// Whole watt-hours of five counters, kWh.
const WATT_HOURS: f64 = 0.006;

/// From linking until midnight the sun is all that is known, by the vendor's word; from midnight on
/// everything is, to the watt-hour; and the next day begins anew, also if nobody tells so.
#[tokio::test(flavor = "multi_thread")]
async fn what_flowed_today_is_what_was_counted_since_local_midnight() {
    let story = Story::begin("2026-03-02T17:00:00Z", "muenchen").await;
    let world = &story.world;
    world.advance(minutes(5 * 60 + 30)).await;
    let today = story.today().await;
    let sun = story.record("2026-03-02", "solar_wh").await;
    let sun: f64 = sun.iter().flatten().sum();
    assert!(sun > 1.0, "{sun}");
    assert!(
        (today["generation"].as_f64().unwrap() - sun).abs() <= 0.001,
        "{today}"
    );
    for flow in FLOWS.into_iter().filter(|flow| *flow != "generation") {
        assert_eq!(
            today[flow],
            json!(null),
            "{flow}: not known of the whole day, {today}"
        );
    }

    let midnight: Timestamp = "2026-03-02T23:00:00Z".parse().unwrap();
    world
        .advance(midnight.duration_since(world.now()) - STEP)
        .await;
    story.fetch().await;
    assert_eq!(world.now(), midnight);
    let before = story.counters();
    world.advance(minutes(12 * 60)).await;
    story.fetch().await;
    let flowed = story.counters().since(before);
    let today = story.today().await;
    let mut sum = 0.0;
    for (flow, truth) in flowed {
        let told = today[flow]
            .as_f64()
            .unwrap_or_else(|| panic!("{flow}: {today}"));
        println!("{flow}: told {told:.3} kWh, in truth {truth:.3} kWh");
        assert!((told - truth).abs() <= WATT_HOURS, "{flow}: {told} {truth}");
        sum += truth;
    }
    assert!(sum > 10.0, "hardly anything flowed: {sum}");
    let used: f64 = story
        .record("2026-03-03", "load_wh")
        .await
        .iter()
        .flatten()
        .sum();
    let told = today["consumption"].as_f64().unwrap();
    assert!((told - used).abs() <= WATT_HOURS, "{told} {used}");
    assert_eq!(
        today["lastUpdated"],
        livewatt_domain::time::wire(world.now())
    );

    // The vendor is silent over midnight: what was yesterday's is not told as of today.
    world.advance(minutes(11 * 60 + 30)).await;
    let status = FaultKind::ServerError { status: 503 };
    let fault = story.fault(status, None).await;
    assert!(story.today().await["import"].as_f64().unwrap() > 0.0);
    world.advance(minutes(40)).await;
    let today = story.today().await;
    for flow in FLOWS {
        assert_eq!(today[flow], json!(null), "{flow}: {today}");
    }
    assert_eq!(today["lastUpdated"], json!(null));
    world.sandbox.drop_fault(&fault).await.unwrap();
    world.advance(minutes(120)).await;
    let today = story.today().await;
    assert_eq!(
        today["generation"], 0.0,
        "by night, by the vendor's word: {today}"
    );
    // What a counter tells over the silence is split at midnight, where it was by the minute.
    let used = today["consumption"].as_f64().unwrap();
    let record: f64 = story
        .record("2026-03-04", "load_wh")
        .await
        .iter()
        .flatten()
        .sum();
    println!("consumption over the silence: told {used:.3} kWh, in truth {record:.3} kWh");
    assert!((used - record).abs() < 1.0, "{used} {record}");
    story.world.shut_down().await;
}
