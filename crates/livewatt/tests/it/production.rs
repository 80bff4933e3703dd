//! What inverters produced, against the record of the sandbox's cloud and its meter.

use livewatt_domain::{SignedDuration, Timestamp};
use livewatt_sandbox::{AccountInfo, AccountSpec, Cloud, FaultKind, FaultSpec, Garbage};
use serde_json::{Value, json};

use crate::support::{World, contract};

/// A bucket is told in whole watt-hours, kWh.
const WATT_HOUR: f64 = 0.001;

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

fn in_town(town: &str) -> AccountSpec {
    AccountSpec {
        town: Some(town.into()),
        habits: Some(false),
        ..AccountSpec::default()
    }
}

/// A world with one linked site.
struct Story {
    world: World,
    account: AccountInfo,
    inverter: Value,
}

impl Story {
    async fn begin(start: &str, town: &str) -> Self {
        let world = World::starting_at(start, |_| {}).await;
        world.subscribe().await;
        let account = world.link("ann", Cloud::Helios, in_town(town)).await;
        let inverter = world.api.all("inverters").await.remove(0);
        Self {
            world,
            account,
            inverter,
        }
    }

    /// What is told of a day or a month, and with which status.
    async fn ask(&self, period: &str) -> (u16, Value) {
        let id = self.inverter["id"].as_str().unwrap();
        let parts: Vec<i32> = period
            .split('-')
            .map(|part| part.parse().unwrap())
            .collect();
        let day = parts.get(2).map(|day| format!("&day={day}"));
        let (year, month, day) = (parts[0], parts[1], day.unwrap_or_default());
        let path = format!("/inverters/{id}/statistics?year={year}&month={month}{day}");
        let answer = self.world.api.get(&path).await;
        (answer.status.as_u16(), answer.body)
    }

    /// The values told of a day or a month; `None` if nothing is known.
    async fn values(&self, period: &str) -> Option<Vec<Option<f64>>> {
        values(&self.ask(period).await.1)
    }

    /// What the cloud has on record, kWh.
    async fn record(&self, period: &str) -> Vec<Option<f64>> {
        let sandbox = &self.world.sandbox;
        let token = sandbox.grant_tokens(Cloud::Helios, &self.account.id, None);
        let id = self.inverter["information"]["id"].as_str().unwrap();
        let key = if period.len() > 7 { "day" } else { "month" };
        let base = sandbox.base_url();
        let url = format!("{base}/helios/api/inverters/{id}/production?{key}={period}");
        let answer = reqwest::Client::new()
            .get(url)
            .bearer_auth(token.unwrap().access_token);
        let record: Value = answer.send().await.unwrap().json().await.unwrap();
        let wh = record["wh"].as_array().unwrap().iter();
        wh.map(|wh| wh.as_str().map(|wh| wh.parse::<f64>().unwrap() / 1000.0))
            .collect()
    }

    /// What the inverter counted in all its life, kWh.
    fn meter(&self) -> f64 {
        let id = self.inverter["information"]["id"].as_str().unwrap();
        let truth = self.world.sandbox.device_truth(id).unwrap();
        truth["state"]["total_kwh"].as_f64().unwrap()
    }

    /// Calls to the cloud at an endpoint.
    fn calls(&self, endpoint: &str) -> i64 {
        let truth = self
            .world
            .sandbox
            .truth(Some(Cloud::Helios), Some(&self.account.id));
        let truth = truth.unwrap();
        let calls = &truth["accounts"][0]["stats"]["calls"];
        calls[endpoint].as_i64().unwrap_or(0)
    }

    /// Bodies of the events about production so far.
    async fn events(&self) -> Vec<Value> {
        let log = self.world.api.log().await;
        let name = "user:inverter:statistics-updated";
        let events = log.into_iter().filter(|event| event["event"] == name);
        events.map(|event| event["statistics"].clone()).collect()
    }

    async fn fault(&self, kind: FaultKind) -> String {
        let spec = FaultSpec::new(kind).endpoints(&["production"]);
        let fault = self.world.sandbox.add_fault(Cloud::Helios, spec).await;
        fault.unwrap().id
    }

    /// All that is filled in after linking is as the cloud has it.
    async fn assert_filled_in(&self, today: &str) {
        let today: jiff::civil::Date = today.parse().unwrap();
        for back in 1..=30 {
            let day = today
                .checked_sub(jiff::ToSpan::days(back))
                .unwrap()
                .to_string();
            let (status, told) = self.ask(&day).await;
            assert_eq!(status, 200, "{day} {told}");
            assert_eq!(values(&told).unwrap(), self.record(&day).await, "{day}");
        }
        let first = today.first_of_month();
        for back in 1..=3 {
            let month = first.checked_sub(jiff::ToSpan::months(back)).unwrap();
            let month = month.strftime("%Y-%m").to_string();
            let (status, told) = self.ask(&month).await;
            assert_eq!(status, 200, "{month} {told}");
            assert_eq!(values(&told).unwrap(), self.record(&month).await, "{month}");
        }
    }
}

fn values(told: &Value) -> Option<Vec<Option<f64>>> {
    let series = told["resolutions"].as_object().unwrap();
    assert_eq!(series.len(), 1, "{told}");
    let data = series.values().next().unwrap()["data"].as_array()?;
    Some(data.iter().map(|point| point["value"].as_f64()).collect())
}

fn sum(values: &[Option<f64>]) -> f64 {
    values.iter().flatten().sum()
}

fn moment(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// Days and months in front of the linking are filled in within minutes, each with its event, by one
/// question each, while fetches go on as ever.
#[tokio::test(flavor = "multi_thread")]
async fn after_linking_the_past_is_filled_in() {
    let story = Story::begin("2026-03-02T10:00:00Z", "muenchen").await;
    let world = &story.world;
    assert_eq!(
        story.inverter["capabilities"]["productionStatistics"]["isCapable"],
        true
    );
    let (status, told) = story.ask("2026-02-20").await;
    assert_eq!((status, &told["timezone"]), (202, &json!("Europe/Berlin")));
    assert_eq!(values(&told), None);
    let promised = moment(&told["retryAfter"]);
    assert!(promised > world.now(), "{promised}");
    world.advance(promised.duration_since(world.now())).await;
    assert_eq!(story.ask("2026-02-20").await.0, 200, "as was promised");
    world
        .advance(minutes(10) - promised.duration_since(world.now()))
        .await;
    assert_eq!(story.calls("production"), 35);
    story.assert_filled_in("2026-03-02").await;
    // Nobody had to wait for that.
    assert!(story.calls("live") >= 4, "{}", story.calls("live"));

    // The months are made of the days.
    let february = story.values("2026-02").await.unwrap();
    assert_eq!(february.len(), 28);
    for (day, kwh) in february.iter().enumerate() {
        let quarters = story
            .values(&format!("2026-02-{:02}", day + 1))
            .await
            .unwrap();
        assert_eq!(quarters.len(), 96);
        let kwh = kwh.unwrap();
        assert!(kwh > 0.1, "{kwh}");
        assert!((sum(&quarters) - kwh).abs() <= WATT_HOUR, "{day} {kwh}");
    }
    // What goes on is provisional.
    for period in ["2026-03-02", "2026-03"] {
        let (status, told) = story.ask(period).await;
        assert_eq!(status, 202, "{period}");
        assert!(moment(&told["retryAfter"]) > world.now());
        let values = values(&told).unwrap();
        assert!(
            sum(&values) > 0.01 && values.contains(&None),
            "{period} {told}"
        );
    }
    // Nothing is known of what was before, nor will be.
    let (status, told) = story.ask("2025-11").await;
    assert_eq!((status, values(&told)), (200, None));

    let events = story.events().await;
    assert_eq!(events.len(), 35);
    for statistics in &events {
        assert_eq!(statistics["inverterId"], story.inverter["id"]);
        let (year, month) = (&statistics["year"], statistics["month"].as_i64().unwrap());
        let day = statistics["day"].as_i64();
        let day = day.map(|day| format!("-{day:02}")).unwrap_or_default();
        let (_, told) = story.ask(&format!("{year}-{month:02}{day}")).await;
        assert_eq!(statistics["resolutions"], told["resolutions"]);
        assert_eq!(statistics["timezone"], told["timezone"]);
    }
    let delivered = world.receiver.events().into_iter();
    let name = "user:inverter:statistics-updated";
    let delivered: Vec<_> = delivered.filter(|event| event["event"] == name).collect();
    assert_eq!(delivered.len(), 35);
    for event in &delivered {
        contract::check_schema("UserInverterStatisticsUpdated", event);
    }
    story.world.shut_down().await;
}

/// A day of 23 hours: every quarter hour is what the meter counted in it, and the day is final when
/// it is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_twenty_three_hours_is_told_by_the_quarter_hour() {
    let story = Story::begin("2026-03-28T20:00:00Z", "utrecht").await;
    let world = &story.world;
    world.advance(minutes(3 * 60)).await;
    let mut counted = Vec::new();
    let begin = story.meter();
    for _ in 0..92 {
        let before = story.meter();
        world.advance(minutes(15)).await;
        counted.push(story.meter() - before);
    }
    assert_eq!(world.now(), "2026-03-29T22:00:00Z".parse().unwrap());
    let whole = story.meter() - begin;
    assert!(whole > 1.0, "{whole}");
    assert_eq!(story.ask("2026-03-29").await.0, 202, "it was over just now");
    world.advance(minutes(3 * 60)).await;
    let (status, told) = story.ask("2026-03-29").await;
    assert_eq!(status, 200, "{told}");
    let data = &told["resolutions"]["QUARTER_HOUR"]["data"];
    assert_eq!(data[0]["date"], "2026-03-29T00:00:00+01:00");
    assert_eq!(data[8]["date"], "2026-03-29T03:00:00+02:00");
    assert_eq!(data[91]["date"], "2026-03-29T23:45:00+02:00");
    let quarters = values(&told).unwrap();
    assert_eq!(quarters.len(), 92);
    for (quarter, (told, counted)) in quarters.iter().zip(&counted).enumerate() {
        let off = (told.unwrap() - counted).abs();
        assert!(off <= WATT_HOUR, "{quarter}: {told:?} {counted}");
    }
    assert!((sum(&quarters) - whole).abs() <= WATT_HOUR);
    let month = story.values("2026-03").await.unwrap();
    assert!((month[28].unwrap() - whole).abs() <= WATT_HOUR, "{month:?}");
    // Every change was told, and an answer that says what is known is none.
    let of_day = |statistics: &Value| statistics["month"] == 3 && statistics["day"] == 29;
    let events = story.events().await.into_iter();
    let events: Vec<_> = events.filter(of_day).collect();
    assert!((20..=26).contains(&events.len()), "{}", events.len());
    assert_eq!(events.last().unwrap()["resolutions"], told["resolutions"]);
    story.world.shut_down().await;
}

/// A server that stops in the middle goes on where it was: nothing is asked twice.
#[tokio::test(flavor = "multi_thread")]
async fn filling_in_goes_on_after_a_restart() {
    // A day of 25 hours is in the past that is filled in.
    let mut story = Story::begin("2026-11-05T08:00:00Z", "utrecht").await;
    story.world.advance(minutes(2)).await;
    let before = story.calls("production");
    assert!((6..=14).contains(&before), "{before}");
    let told = story.ask("2026-10-25").await;
    assert_eq!(told.0, 202);
    story.world = story.world.restart(minutes(1), |_| {}).await;
    story.world.advance(minutes(7)).await;
    assert_eq!(story.calls("production"), 35);
    assert_eq!(story.events().await.len(), 35);
    story.assert_filled_in("2026-11-05").await;
    assert_eq!(story.values("2026-10-25").await.unwrap().len(), 100);
    story.world.shut_down().await;
}

/// A cloud that records but does not tell, or tells nonsense: it is asked ever more rarely, fetches
/// go on, and in the end all is as it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_does_not_tell_is_left_alone() {
    let story = Story::begin("2026-03-02T08:00:00Z", "lyon").await;
    let world = &story.world;
    let fault = story.fault(FaultKind::ServerError { status: 503 }).await;
    let live = story.calls("live");
    world.advance(minutes(60)).await;
    assert!(
        (4..=8).contains(&story.calls("production")),
        "{}",
        story.calls("production")
    );
    assert!(story.calls("live") >= live + 20, "{}", story.calls("live"));
    let inverter = world.api.all("inverters").await.remove(0);
    assert_eq!(inverter["isReachable"], true);
    let (status, told) = story.ask("2026-02-20").await;
    assert_eq!((status, values(&told)), (202, None));
    assert!(moment(&told["retryAfter"]) > world.now());
    assert_eq!(story.events().await.len(), 0);

    // It asks for patience, and gets it.
    world.sandbox.drop_fault(&fault).await.unwrap();
    let kind = FaultKind::RateLimited {
        retry_after_seconds: 1200,
    };
    let fault = story.fault(kind).await;
    let before = story.calls("production");
    world.advance(minutes(120)).await;
    let asked = story.calls("production") - before;
    assert!((4..=7).contains(&asked), "{asked}");

    // It tells numbers that cannot be; that is not the last word.
    world.sandbox.drop_fault(&fault).await.unwrap();
    let kind = FaultKind::Garbage {
        variant: Garbage::AbsurdNumbers,
    };
    let fault = story.fault(kind).await;
    world.advance(minutes(40)).await;
    let (status, told) = story.ask("2026-02-20").await;
    assert_eq!(status, 202);
    assert_eq!(values(&told).unwrap(), vec![None; 96]);
    world.sandbox.drop_fault(&fault).await.unwrap();
    world.advance(minutes(7 * 60)).await;
    story.assert_filled_in("2026-03-02").await;
    story.world.shut_down().await;
}

/// A site that was cut off for a night and a day tells later what it missed, and so do we.
#[tokio::test(flavor = "multi_thread")]
async fn gaps_are_filled_when_a_site_is_back() {
    let story = Story::begin("2026-03-02T10:00:00Z", "lisboa").await;
    let world = &story.world;
    world.advance(minutes(30)).await;
    let spec = FaultSpec::new(FaultKind::Offline).account(&story.account.id);
    let fault = world.sandbox.add_fault(Cloud::Helios, spec).await.unwrap();
    world.advance(minutes(18 * 60)).await;
    let (status, told) = story.ask("2026-03-02").await;
    assert_eq!(status, 202, "it has gaps");
    let known = values(&told).unwrap();
    assert_eq!(known.iter().flatten().count(), 42, "until half past ten");
    world.sandbox.drop_fault(&fault.id).await.unwrap();
    world.advance(minutes(7 * 60)).await;
    let (status, told) = story.ask("2026-03-02").await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(values(&told).unwrap(), story.record("2026-03-02").await);
    story.world.shut_down().await;
}

/// Silence after a user took back the right to their data; and when they link again, what was missed.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_left_is_not_asked_about() {
    let story = Story::begin("2026-03-02T10:00:00Z", "oslo").await;
    let world = &story.world;
    world.advance(minutes(10)).await;
    world
        .api
        .delete("/users/ann/authorization")
        .await
        .expect_status(204);
    let (calls, events) = (story.calls("production"), story.events().await.len());
    world.advance(minutes(26 * 60)).await;
    assert_eq!(story.calls("production"), calls);
    assert_eq!(story.events().await.len(), events);
    assert_eq!(story.ask("2026-02-20").await.0, 200, "what is known stays");
    world.link_account("ann", &story.account).await;
    world.advance(minutes(45)).await;
    assert_eq!(
        story.values("2026-03-02").await.unwrap(),
        story.record("2026-03-02").await
    );
    story.world.shut_down().await;
}

/// Bad input gets a problem that names it.
#[tokio::test(flavor = "multi_thread")]
async fn bad_dates_are_refused_by_name() {
    let story = Story::begin("2026-03-02T10:00:00Z", "oslo").await;
    let api = &story.world.api;
    let id = story.inverter["id"].as_str().unwrap();
    for (query, field) in [
        ("month=3", "year"),
        ("year=2026", "month"),
        ("year=1968&month=3", "year"),
        ("year=3000&month=3", "year"),
        ("year=twenty&month=3", "year"),
        ("year=2026&month=13", "month"),
        ("year=2026&month=-1", "month"),
        ("year=2026&month=3&day=0", "day"),
        ("year=2026&month=2&day=29", "day"),
        ("year=2026&month=3&day=1.5", "day"),
        ("year=2026&month=3&day=3", "day"),
        ("year=2026&month=4", "month"),
        ("year=2026&month=3&month=3", "month"),
    ] {
        let answer = api
            .get(&format!("/inverters/{id}/statistics?{query}"))
            .await;
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(answer.expect_issues(), [field], "{query}");
    }
    let (status, problem) = story.ask("2001-05-01").await;
    assert_eq!(status, 400);
    let detail = "No data available for dates before the installation date of the inverter";
    assert_eq!(problem["detail"], detail);
    let vehicle = "00000000-0000-7000-8000-000000000000";
    let battery = api.all("batteries").await.remove(0);
    for id in [vehicle, "x", battery["id"].as_str().unwrap()] {
        let answer = api
            .get(&format!("/inverters/{id}/statistics?year=2026&month=3"))
            .await;
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        answer.expect_status(404);
    }
    story.world.shut_down().await;
}
