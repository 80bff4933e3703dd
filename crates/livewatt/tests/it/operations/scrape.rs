//! `/metrics` of a server to which much happens.

use std::collections::{BTreeMap, BTreeSet};

use livewatt::telemetry::{Kind, METRICS, Metric};
use livewatt_domain::SignedDuration;
use livewatt_engine::gauges::IntegrationFigures;
use livewatt_sandbox::{Cloud, FaultKind, FaultSpec, Garbage};
use serde_json::json;

use super::metric;
use crate::support::{
    World, eventually, loopback,
    receiver::{Receiver, SECRET},
    still,
};

/// The answer of `/metrics`.
#[derive(Debug, Default)]
struct Scrape {
    kinds: BTreeMap<String, String>,
    helped: BTreeSet<String>,
    /// Names of series with the labels they have, and their values.
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

async fn scrape(world: &World) -> Scrape {
    let address = format!("http://{}/metrics", world.server.address);
    let answer = reqwest::get(address).await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut scrape = Scrape::default();
    for line in answer.text().await.unwrap().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["#", "TYPE", name, kind] => {
                scrape.kinds.insert(name.to_owned(), kind.to_owned());
            }
            ["#", "HELP", name, ..] => {
                scrape.helped.insert(name.to_owned());
            }
            [""] => {}
            _ => scrape.samples.push(sample(line)),
        }
    }
    scrape
}

fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.strip_suffix('}').unwrap();
    let pairs = labels.split("\",").filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (label, value) = pair.split_once("=\"").unwrap();
        (label.to_owned(), value.trim_end_matches('"').to_owned())
    });
    (name.to_owned(), pairs.collect(), value.parse().unwrap())
}

impl Scrape {
    /// The sum over all series of a name with such a label.
    fn sum(&self, name: &str, label: &str, value: &str) -> f64 {
        let of = |(series, labels, _): &&(String, BTreeMap<String, String>, f64)| {
            series == name && labels.get(label).is_some_and(|found| found == value)
        };
        self.samples.iter().filter(of).map(|found| found.2).sum()
    }
}

/// Makes something go wrong in a cloud; returns the fault's ID.
async fn fault(world: &World, cloud: Cloud, kind: FaultKind) -> String {
    let added = world.sandbox.add_fault(cloud, FaultSpec::new(kind)).await;
    added.unwrap().id
}

/// A world in which most things happen that can: changes, a command, pushes good and bad, late and
/// impossible values, a vendor that fails, dead credentials, broken promises, receivers that take and that
/// fail, a stream.
async fn eventful_world() -> (World, reqwest::Response) {
    let world = World::new().await;
    world.subscribe().await;
    let failing = Receiver::start(loopback().await);
    failing.answer_with(500);
    let body = json!({ "url": failing.url, "secret": SECRET });
    (world.api.post("/webhooks", Some(body)).await).expect_status(200);
    let vehicle = world.link("ann", Cloud::Volta, still()).await.devices[0].clone();
    let dead = world.link("bob", Cloud::Volta, still()).await;
    for user in 0..25 {
        let user = format!("user-{user}");
        world.link(&user, Cloud::Helios, still()).await;
    }
    world.advance(SignedDuration::from_mins(2)).await;

    let address = format!("http://{}", world.server.address);
    let stream = reqwest::Client::new()
        .get(format!("{address}/events/stream"))
        .bearer_auth(&world.api.token)
        .send()
        .await
        .unwrap();
    assert_eq!(stream.status(), 200);
    let hinted = world.api.all("vehicles").await[0]["id"].clone();
    let hint = format!("/vehicles/{}/refresh-hint", hinted.as_str().unwrap());
    world.api.post(&hint, None).await;
    let limit = format!("/vehicles/{}/max-current", hinted.as_str().unwrap());
    let wish = json!({ "maxCurrent": 8 });
    world.api.post(&limit, Some(wish)).await.expect_status(200);
    let unsigned = reqwest::Client::new().post(format!("{address}/vendors/volta/push"));
    assert_eq!(unsigned.body("{}").send().await.unwrap().status(), 401);
    fault(&world, Cloud::Volta, FaultKind::OutOfOrderPush).await;
    for is_plugged in [false, true, false, true] {
        world.plug(&vehicle.id, is_plugged).await;
        world.advance(SignedDuration::from_secs(20)).await;
    }
    world.sandbox.drop_all_faults().await;

    fault(
        &world,
        Cloud::Helios,
        FaultKind::ServerError { status: 503 },
    )
    .await;
    let revoked = FaultSpec::new(FaultKind::DeadToken).account(&dead.username);
    let added = world.sandbox.add_fault(Cloud::Volta, revoked).await;
    added.unwrap();
    world.advance(SignedDuration::from_mins(8)).await;
    for variant in [Garbage::AbsurdNumbers, Garbage::WrongTypes] {
        let garbage = fault(&world, Cloud::Volta, FaultKind::Garbage { variant }).await;
        world.advance(SignedDuration::from_mins(8)).await;
        world.sandbox.drop_fault(&garbage).await.unwrap();
    }
    // Nobody asked for so long: promises are broken.
    world.clock.advance(SignedDuration::from_mins(30));
    world.advance(SignedDuration::from_secs(20)).await;
    (world, stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_is_what_is_described() {
    let (world, stream) = eventful_world().await;
    let figures = world.engine().figures().await;
    let of = |integration| -> IntegrationFigures {
        let mut all = figures.integrations.iter();
        *all.find(|found| found.integration == integration).unwrap()
    };
    assert_eq!((of("helios").accounts, of("helios").is_paused), (25, true));
    assert_eq!((of("volta").accounts, of("volta").is_paused), (1, false));
    assert_eq!((of("helios").under_way, of("helios").waiting), (0, 0));
    assert!(figures.devices > 25, "{figures:?}");
    // In this world a step takes ten seconds, and nothing is left over at its end.
    assert!(
        figures.oldest_overdue < SignedDuration::from_secs(10),
        "{figures:?}"
    );
    assert_eq!((figures.active_webhooks, figures.failing_webhooks), (1, 1));
    assert!(
        figures.longest_failure > SignedDuration::from_mins(15),
        "{figures:?}"
    );
    assert_eq!(figures.event_streams, 1);
    let store = figures.store.as_ref().unwrap();
    let dead: Vec<_> = store
        .troubled
        .iter()
        .map(|row| (row.0.as_str(), row.2))
        .collect();
    assert_eq!((dead, store.inactive_webhooks), (vec![("volta", 1)], 0));
    assert!(
        store.database_bytes + store.wal_bytes > 100_000,
        "{store:?}"
    );
    figures.publish();

    let scrape = scrape(&world).await;
    for (name, kind) in &scrape.kinds {
        let found = METRICS.iter().find(|metric| metric.name == *name);
        let metric = found.unwrap_or_else(|| panic!("{name} is not described"));
        assert_eq!(metric.kind.name(), kind, "{name}");
        assert!(scrape.helped.contains(name), "{name}");
    }
    for (series, labels, _) in &scrape.samples {
        let metric = metric(series).unwrap_or_else(|| panic!("{series} is not described"));
        let is_bucket = matches!(metric.kind, Kind::Histogram(_)) && series.ends_with("_bucket");
        let mut expected: BTreeSet<&str> = metric.labels.iter().copied().collect();
        expected.extend(is_bucket.then_some("le"));
        let found: BTreeSet<&str> = labels.keys().map(String::as_str).collect();
        assert_eq!(found, expected, "{series}");
    }
    let missing = |metric: &&Metric| !scrape.kinds.contains_key(metric.name);
    let missing: Vec<&str> = METRICS.iter().filter(missing).map(|m| m.name).collect();
    assert_eq!(missing, [""; 0], "nothing of this happened");

    // Other tests count in the same process: at least what happened here is there.
    let polls = |outcome| scrape.sum("livewatt_polls_total", "outcome", outcome);
    assert!(polls("ok") >= 27.0 && polls("unreachable") >= 20.0 && polls("vendorPaused") > 0.0);
    assert!(polls("credentialsInvalid") > 0.0);
    let pushes = |outcome| scrape.sum("livewatt_pushes_total", "outcome", outcome);
    assert!(pushes("taken") > 0.0 && pushes("unverified") > 0.0);
    let deliveries = |outcome| scrape.sum("livewatt_deliveries_total", "outcome", outcome);
    assert!(deliveries("delivered") > 0.0 && deliveries("failed") > 0.0);
    let lateness = scrape.sum(
        "livewatt_poll_lateness_seconds_count",
        "integration",
        "helios",
    );
    assert!(lateness >= 25.0, "{lateness}");
    let late = scrape.sum("livewatt_poll_lateness_seconds_bucket", "le", "10");
    assert!(late > 0.0, "a step takes ten seconds");

    world.sandbox.drop_all_faults().await;
    world.advance(SignedDuration::from_mins(3)).await;
    let figures = world.engine().figures().await;
    assert!(figures.integrations.iter().all(|found| !found.is_paused));

    drop(stream);
    eventually("the stream is closed", async || {
        world.engine().figures().await.event_streams == 0
    })
    .await;
    world.shut_down().await;
}
