//! Where the report is seen: the API, the command line and the metrics.

use livewatt::{
    admin::Administration,
    config::Settings,
    freshness::{FreshnessArgs, table},
};
use livewatt_domain::SignedDuration;
use livewatt_sandbox::Cloud;

use super::{minutes, one_car};
use crate::support::{World, database};

#[tokio::test(flavor = "multi_thread")]
async fn the_api_filters_and_names_what_is_wrong() {
    let world = World::new().await;
    world.link("ada", Cloud::Rivoli, one_car()).await;
    world.link("ben", Cloud::Helios, super::still()).await;
    world.advance_exactly(minutes(30)).await;
    let rows = async |path: &str| {
        let report = world.api.get(path).await.expect_status(200);
        report["rows"].as_array().unwrap().clone()
    };
    let all = rows("/freshness").await;
    let cars = rows("/freshness?kind=vehicle").await;
    assert!(cars.len() < all.len());
    assert!(cars.iter().all(|row| row["kind"] == "vehicle"));
    assert_eq!(rows("/freshness?vendor=RENAULT").await.len(), cars.len());
    assert!(rows("/freshness?vendor=TESLA").await.is_empty());
    assert!(rows("/freshness?to=2026-03-02T05:30:00Z").await.is_empty());
    let other = world.other_client(None).await;
    let theirs = other.get("/freshness").await.expect_status(200);
    assert_eq!(theirs["rows"], serde_json::json!([]), "tenants are apart");
    for (query, field) in [
        ("from=yesterday", "from"),
        ("to=", "to"),
        ("from=2099-01-01T00:00:00Z", "from"),
        ("from=2026-03-02T06:00:00Z&to=2026-03-02T06:00:00Z", "to"),
        ("kind=boat", "kind"),
        ("vendor=%20", "vendor"),
        (
            "from=2026-03-02T06:00:00Z&from=2026-03-02T06:00:00Z",
            "from",
        ),
    ] {
        let answer = world.api.get(&format!("/freshness?{query}")).await;
        assert_eq!(answer.expect_issues(), [field], "{query}");
    }
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_gives_a_verdict() {
    let world = World::new().await;
    world.link("ada", Cloud::Rivoli, one_car()).await;
    world.advance_exactly(minutes(30)).await;
    let directory = world.directory.path().join("data");
    let flags = [
        ("store.directory", directory.display().to_string()),
        ("store.url", database::url(&directory)),
    ];
    let settings = Settings::load(None, &flags).unwrap();
    let ask = async |client| {
        let args = FreshnessArgs {
            from: Some(world.now() - SignedDuration::from_hours(1)),
            to: Some(world.now()),
            kind: None,
            vendor: None,
            client,
            json: false,
        };
        let administration = Administration::open(&settings).await.unwrap();
        assert!(matches!(administration, Administration::Remote(_, _)));
        let query = args.query(world.now()).unwrap();
        table(&administration.freshness(query).await.unwrap())
    };
    let text = ask(None).await;
    assert!(text.contains("RENAULT  vehicle  chargeState"), "{text}");
    assert!(text.contains("100 %") && text.contains("Kept:"), "{text}");
    assert_eq!(ask(Some(world.client)).await, text);
    world.clock.advance(minutes(60));
    let text = ask(None).await;
    assert!(text.contains("Broken:") && text.contains("late"), "{text}");
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_tell_ages_and_breaches() {
    let world = World::new().await;
    world.link("ada", Cloud::Rivoli, one_car()).await;
    world.advance_exactly(minutes(30)).await;
    world.clock.advance(minutes(60));
    world.engine().watch_freshness();
    world.engine().flush_presence().await.unwrap();
    let answer = world.api.get("/metrics").await;
    let text = answer.body.as_str().unwrap();
    for wanted in [
        "livewatt_freshness_age_seconds_bucket{",
        "le=\"+Inf\"",
        "livewatt_freshness_seconds_total{",
        "livewatt_freshness_breaches_total{",
        "reason=\"late\"",
        "livewatt_freshness_breaches_open ",
    ] {
        assert!(text.contains(wanted), "no {wanted} in\n{text}");
    }
    world.shut_down().await;
}
