//! What flowed in the past, against the record of the cloud.

use livewatt_sandbox::{Cloud, FaultKind};
use serde_json::{Value, json};

use super::{Story, minutes};

fn values(series: &Value) -> Vec<Option<f64>> {
    let data = series["data"]
        .as_array()
        .unwrap_or_else(|| panic!("{series}"));
    data.iter().map(|point| point["v"].as_f64()).collect()
}

/// A day by its quarter hours and a month by its days are what the cloud has on record; each is asked
/// for once, and again only if it may have changed.
#[tokio::test(flavor = "multi_thread")]
async fn statistics_are_what_the_vendor_recorded() {
    // The night in which clocks go forward.
    let mut story = Story::begin("2026-03-28T22:00:00Z", "muenchen").await;
    story.world.advance(minutes(14 * 60 + 7)).await;
    let asked = story.calls("flows");
    assert_eq!(asked, 0, "nobody wanted to know");
    for (name, key) in [
        ("generation", "solar_wh"),
        ("consumption", "load_wh"),
        ("import", "import_wh"),
        ("export", "export_wh"),
        ("charge", "charged_wh"),
        ("discharge", "discharged_wh"),
    ] {
        let series = story.series("2026-03-29", name).await;
        let head = json!([series["isAvailable"], series["unit"], series["unitType"]]);
        assert_eq!(head, json!([true, "kW", "Power"]), "{name}");
        assert_eq!(
            series["sampling"],
            json!({ "mode": "bucketed", "resolution": "PT15M" })
        );
        assert_eq!(series["timezone"], "Europe/Berlin");
        let (told, record) = (values(&series), story.record("2026-03-29", key).await);
        assert_eq!((told.len(), record.len()), (92, 92), "{name}");
        // Until two minutes past noon in UTC: the last bucket goes on.
        let known = told.iter().flatten().count();
        assert_eq!(known, 13 * 4, "{name}");
        for (kw, kwh) in told.iter().zip(&record).take(known) {
            let off = kw.unwrap() / 4.0 - kwh.unwrap();
            assert!(off.abs() < 1e-6, "{name}: {kw:?} {kwh:?}");
        }
        assert!(told[known..].iter().all(Option::is_none), "{name}");
    }
    let level = story.series("2026-03-29", "batteryLevel").await;
    assert_eq!(
        (&level["unit"], &level["unitType"]),
        (&json!("%"), &json!("SoC"))
    );
    let first = &level["data"][0];
    assert_eq!(first["t"], "2026-03-29T00:00:00+01:00");
    assert_eq!(level["data"][8]["t"], "2026-03-29T03:00:00+02:00");
    assert!(first["v"].as_f64().unwrap() > 0.0, "{first}");
    assert_eq!(
        story.calls("flows"),
        1 + 6,
        "once by us, six times by the test"
    );

    let month = story.series("2026-03", "import").await;
    let head = json!([
        month["unit"],
        month["unitType"],
        month["sampling"]["resolution"]
    ]);
    assert_eq!(head, json!(["kWh", "Energy", "P1D"]));
    let (told, record) = (values(&month), story.record("2026-03", "import_wh").await);
    assert_eq!(told, record);
    assert_eq!(told.len(), 31);
    assert_eq!(told.iter().flatten().count(), 2, "since it was linked");
    let level = story.series("2026-03", "batteryLevel").await;
    assert_eq!(level["isAvailable"], false);
    assert!(!level["reason"].as_str().unwrap().is_empty());
    // Of the time before it was there the cloud knows the sun alone.
    let import = story.series("2026-02", "import").await;
    assert_eq!(import["isAvailable"], false, "{import}");
    let sun = values(&story.series("2026-02", "generation").await);
    assert_eq!(sun, story.record("2026-02", "solar_wh").await);

    // Known for good, with or without the vendor, also after a restart.
    let before = story.calls("flows");
    story.world = story.world.restart(minutes(1), |_| {}).await;
    assert_eq!(values(&story.series("2026-02", "generation").await), sun);
    assert_eq!(story.calls("flows"), before);
    story.world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_say_why_there_are_none() {
    let story = Story::begin("2026-03-02T10:00:00Z", "lisboa").await;
    let world = &story.world;
    world.advance(minutes(60)).await;
    let problem = "application/problem+json";
    for (interval, detail) in [
        ("yesterday", None),
        ("2026-02-30", None),
        ("2026", None),
        ("", None),
        ("2026-03-03", None),
        ("2027-01", None),
        (
            "2001-05",
            Some(
                "Request Interval 2001-05 is before the installation of the HEM system \
                 2021-05-13T23:00:00Z",
            ),
        ),
    ] {
        let (status, content, body) = story.ask(interval).await;
        assert_eq!(
            (status, content.as_str()),
            (400, problem),
            "{interval}: {body}"
        );
        match detail {
            Some(detail) => assert_eq!(body["detail"], detail),
            None => assert_eq!(body["issues"][0]["path"], "interval", "{interval}"),
        }
    }
    let id = story.system().await["id"].as_str().unwrap().to_owned();
    let missing = world
        .api
        .get(&format!("/hem-systems/{id}/statistics"))
        .await;
    assert_eq!(missing.expect_issues(), ["interval"]);

    // The vendor is down: what is known is told, what is not has to wait.
    let known = story.series("2026-03-02", "import").await;
    let status = FaultKind::ServerError { status: 503 };
    let fault = story.fault(status, Some("flows")).await;
    world.advance(minutes(10)).await;
    let calls = story.calls("flows");
    assert_eq!(story.series("2026-03-02", "import").await, known);
    assert!(story.calls("flows") > calls, "it was asked all the same");
    let answer = world
        .api
        .get(&format!("/hem-systems/{id}/statistics?interval=2026-02"))
        .await;
    assert_eq!(answer.headers["content-type"], problem);
    let wait: u64 = answer.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=3600).contains(&wait), "{wait}");
    let body = answer.expect_status(503);
    let kind = "https://developers.enode.com/api/problems/vendor-temporarily-unavailable";
    assert_eq!(body["type"], kind);
    world.sandbox.drop_fault(&fault).await.unwrap();

    // A login that has expired is renewed for who asks.
    world.advance(minutes(20)).await;
    let tokens = world
        .sandbox
        .expire_tokens(Cloud::Helios, &story.account.id);
    tokens.unwrap();
    assert_eq!(story.ask("2026-02").await.0, 200);

    // Without the inverter nothing is known of the time before.
    let gone = world
        .api
        .delete("/users/ann/vendors/SOLAREDGE/inverter")
        .await;
    gone.expect_status(204);
    let generation = story.series("2026-03-02", "generation").await;
    assert_eq!(
        generation,
        json!({ "isAvailable": false, "reason": "The system has no inverter" })
    );
    let (status, content, body) = story.ask("2026-02").await;
    assert_eq!((status, content.as_str()), (422, problem), "{body}");
    let kind = "https://developers.enode.com/api/problems/hem-system-statistics-not-available";
    assert_eq!(body["type"], kind);
    story.world.shut_down().await;
}

/// The same question from many at a time is asked once.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_want_to_know_the_same_one_asks() {
    let story = Story::begin("2026-03-02T10:00:00Z", "utrecht").await;
    story.world.advance(minutes(10)).await;
    let all = (0..20).map(|_| story.ask("2026-02"));
    for (status, _, told) in futures::future::join_all(all).await {
        assert_eq!(status, 200, "{told}");
    }
    assert_eq!(story.calls("flows"), 1);
    story.world.shut_down().await;
}
