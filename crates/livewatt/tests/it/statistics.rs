//! Energy and charging sessions against what the sandbox's own meters and diaries say.

use std::collections::BTreeMap;

use livewatt_domain::{
    SignedDuration, Timestamp,
    energy::{Place, Resolution},
    kind::DeviceKind,
};
use livewatt_engine::statistics::ChargingQuery;
use livewatt_sandbox::{AccountInfo, AccountSpec, Cloud, DevicePatch};
use serde_json::{Value, json};

use crate::support::{STEP, World, still};

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("no number: {value}"))
}

/// The sum of what flowed in one direction, over all buckets.
async fn told(world: &World, kind: DeviceKind, id: &str, flow: &str) -> f64 {
    let from = "2020-01-01T00:00:00Z";
    let path = format!("/{}/{id}/history?from={from}&resolution=DAY", kind.plural());
    let history = world.api.get(&path).await.expect_status(200);
    let flows = history["flows"].as_array().unwrap();
    let flow = flows.iter().find(|of| of["flow"] == flow).unwrap();
    let days = flow["data"].as_array().unwrap();
    days.iter().map(|day| number(&day["kwh"])).sum()
}

/// The device that the sandbox knows by this kind, with its truth.
fn truth_of(world: &World, account: &AccountInfo, kind: &str) -> Vec<Value> {
    let truth = world
        .sandbox
        .truth(Some(account.cloud), Some(&account.id))
        .unwrap();
    let devices = truth["accounts"][0]["devices"].as_array().unwrap().clone();
    let mut of_kind = devices;
    of_kind.retain(|device| device["kind"] == kind);
    of_kind
}

#[track_caller]
fn assert_within(told: f64, truth: f64, share: f64, what: &str) {
    println!("{what}: told {told:.3} kWh, in truth {truth:.3} kWh");
    assert!(truth > 1.0, "{what}: hardly anything flowed: {truth}");
    assert!(
        (told - truth).abs() <= truth * share,
        "{what}: {told} is not {truth}"
    );
}

/// A home-energy site counts everything itself: what is told differs from its counters only by what
/// flowed since the last fetch.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_site_counts_is_what_is_told() {
    let world = World::new().await;
    let site = world
        .link("ann", Cloud::Helios, AccountSpec::default())
        .await;
    world.advance(minutes(10)).await;
    let read = || -> BTreeMap<&str, f64> {
        let parts = [
            ("charge", "charger", "total_kwh"),
            ("consumption", "heatpump", "consumed_kwh"),
            ("production", "inverter", "total_kwh"),
            ("import", "meter", "import_kwh"),
            ("export", "meter", "export_kwh"),
            ("battery charge", "battery", "charged_kwh"),
            ("discharge", "battery", "discharged_kwh"),
        ];
        let read = parts.map(|(flow, part, field)| {
            let of_part = truth_of(&world, &site, part);
            (flow, number(&of_part[0]["state"][field]))
        });
        read.into()
    };
    let before = read();
    world.advance(minutes(3 * 24 * 60)).await;
    let after = read();
    for (flow, kind) in [
        ("charge", DeviceKind::Charger),
        ("consumption", DeviceKind::Hvac),
        ("production", DeviceKind::Inverter),
        ("import", DeviceKind::Meter),
        ("export", DeviceKind::Meter),
        ("battery charge", DeviceKind::Battery),
        ("discharge", DeviceKind::Battery),
    ] {
        let device = world.api.all(kind.plural()).await.remove(0);
        let id = device["id"].as_str().unwrap();
        let name = flow.split(' ').next_back().unwrap();
        let truth = after[flow] - before[flow];
        assert_within(told(&world, kind, id, name).await, truth, 0.02, flow);
    }
    world.shut_down().await;
}

/// Times at which a device charged, by its diary; short stops are pauses.
fn charges_of(device: &Value) -> Vec<(Timestamp, Timestamp)> {
    let mut charges: Vec<(Timestamp, Timestamp)> = Vec::new();
    let mut since = None;
    for change in device["history"].as_array().unwrap() {
        if change["field"] != "status" {
            continue;
        }
        let at: Timestamp = change["at"].as_str().unwrap().parse().unwrap();
        if change["to"] == "charging" {
            since = Some(at);
        } else if let Some(from) = since.take() {
            match charges.last_mut() {
                Some(last) if from.duration_since(last.1) <= minutes(15) => last.1 = at,
                _ => charges.push((from, at)),
            }
        }
    }
    charges.extend(since.map(|from| (from, device_end(device))));
    // Shorter than two fetches of a device that charges: a flicker.
    charges.retain(|(from, to)| to.duration_since(*from) > minutes(10));
    charges
}

fn device_end(device: &Value) -> Timestamp {
    let last = device["history"].as_array().unwrap().last().unwrap();
    last["at"].as_str().unwrap().parse().unwrap()
}

fn moment(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// Days of people who drive and charge: every charge of the diaries is one session, and has the
/// energy that flowed.
#[tokio::test(flavor = "multi_thread")]
async fn every_charge_is_one_session_with_its_energy() {
    let world = World::new().await;
    let mut accounts = Vec::new();
    for (user, cloud) in [
        ("ann", Cloud::Volta),
        ("bob", Cloud::Rivoli),
        ("cem", Cloud::Helios),
    ] {
        let spec = AccountSpec {
            vehicles: Some(2),
            wallboxes: Some(0),
            ..AccountSpec::default()
        };
        accounts.push((user, world.link(user, cloud, spec).await));
    }
    world.advance(minutes(10)).await;
    let kind_of = |account: &AccountInfo| match account.cloud {
        Cloud::Helios => ("charger", DeviceKind::Charger),
        Cloud::Volta | Cloud::Rivoli => ("vehicle", DeviceKind::Vehicle),
    };
    let begin = world.now();
    let mut flowed: BTreeMap<&str, f64> = BTreeMap::new();
    let end = begin + minutes(3 * 24 * 60);
    while world.now() < end {
        world.step().await;
        for (user, account) in &accounts {
            for device in truth_of(&world, account, kind_of(account).0) {
                let kwh = number(&device["state"]["power_kw"]) * STEP.as_secs_f64() / 3600.0;
                *flowed.entry(user).or_default() += kwh;
            }
        }
    }
    let mut matched = 0;
    for (user, account) in &accounts {
        let (truth, kind) = kind_of(account);
        let mut sum = 0.0;
        for device in world.api.all(kind.plural()).await {
            if device["userId"] == *user {
                let id = device["id"].as_str().unwrap();
                sum += told(&world, kind, id, "charge").await;
            }
        }
        assert_within(sum, flowed[user], 0.02, &format!("{user}'s {truth}s"));

        let path = format!("/users/{user}/charging-sessions?from=2020-01-01T00:00:00Z");
        let told = world.api.get(&path).await.expect_status(200);
        let mut sessions = told["data"].as_array().unwrap().clone();
        for device in truth_of(&world, account, truth) {
            for (from, to) in charges_of(&device) {
                // What began before we looked may be told in part, what goes on will end later.
                let is_it = |session: &&Value| {
                    let (began, ended) = (moment(&session["from"]), moment(&session["to"]));
                    let tolerance = minutes(22);
                    (from < begin || began.duration_since(from).abs() <= tolerance)
                        && (to > end - minutes(22) || ended.duration_since(to).abs() <= tolerance)
                        && began < to + tolerance
                        && ended > from - tolerance
                };
                let found = sessions.iter().position(|session| is_it(&session));
                let Some(place) = found else {
                    // It was over before we looked.
                    assert!(
                        to < begin + minutes(10),
                        "{user}: {from} to {to} of {sessions:#?}"
                    );
                    continue;
                };
                sessions.remove(place);
                matched += 1;
            }
        }
        assert!(sessions.is_empty(), "{user}: nobody charged: {sessions:#?}");
    }
    println!("{matched} charges were told as one session each");
    assert!(matched >= 6, "hardly anybody charged: {matched}");
    let query = |kind| ChargingQuery {
        client: world.client,
        user: "ann".parse().unwrap(),
        kind,
        device: None,
        location: None,
        from: begin,
        to: end,
    };
    // Buckets of any size have the same energy. Nobody has told any prices, and they are not zero:
    // the contract's answers, which need one, leave all of it out.
    let mine = world
        .api
        .get("/users/ann/vehicles")
        .await
        .expect_status(200);
    for resolution in Resolution::ALL {
        let name = resolution.name();
        let mut sum = 0.0;
        for device in mine["data"].as_array().unwrap() {
            let id = device["id"].as_str().unwrap();
            let path = format!("/vehicles/{id}/history?from={begin}&resolution={name}");
            let history = world.api.get(&path).await.expect_status(200);
            for bucket in history["flows"][0]["data"].as_array().unwrap() {
                let kwh = number(&bucket["kwh"]);
                sum += kwh;
                if kwh > 0.0 {
                    assert_eq!(bucket["cost"]["amount"], Value::Null, "{bucket}");
                    assert_eq!(bucket["cost"]["unpricedKwh"], kwh, "{bucket}");
                }
            }
        }
        assert_within(sum, flowed["ann"], 0.02, name);
        let query = query(DeviceKind::Vehicle);
        let engine = world.engine();
        let charged = engine
            .charging_statistics(query, resolution, &Place::UTC)
            .await;
        let charged = charged.unwrap();
        assert_eq!(charged.rows, []);
        assert_within(charged.left_out_kwh, flowed["ann"], 0.02, name);
    }
    let vehicle = query(DeviceKind::Vehicle);
    let sessions = world.engine().charging_sessions(vehicle).await.unwrap();
    assert_eq!(sessions.rows, []);
    assert!(sessions.left_out_kwh > 1.0, "{}", sessions.left_out_kwh);
    world.shut_down().await;
}

/// A session goes on over a restart, has its ID from the first on, and both readings of it are one.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_outlives_the_server_and_two_readings_of_it_are_one() {
    let world = World::new().await;
    let account = world.link("ann", Cloud::Volta, still()).await;
    world.advance(minutes(1)).await;
    let car = truth_of(&world, &account, "vehicle").remove(0);
    let car = car["id"].as_str().unwrap().to_owned();
    let patch = DevicePatch {
        level_percent: Some(30.0),
        ..DevicePatch::default()
    };
    world.sandbox.patch_device(&car, &patch).await.unwrap();
    world.plug(&car, true).await;
    world.advance(minutes(60)).await;
    let charges = async |world: &World| {
        let path = "/users/ann/charging-sessions?from=2020-01-01T00:00:00Z";
        let told = world.api.get(path).await.expect_status(200);
        told["data"].as_array().unwrap().clone()
    };
    let before = charges(&world).await;
    assert_eq!(before.len(), 1, "{before:#?}");
    assert_eq!(before[0]["isOngoing"], true);
    let readings = before[0]["readings"].as_array().unwrap();
    let kinds: Vec<_> = readings
        .iter()
        .map(|reading| reading["kind"].clone())
        .collect();
    assert_eq!(kinds, ["vehicle", "charger"], "{before:#?}");
    let world = world.restart(minutes(5), |_| {}).await;
    world.advance(minutes(60)).await;
    world.plug(&car, false).await;
    world.advance(minutes(30)).await;
    let after = charges(&world).await;
    assert_eq!(after.len(), 1, "{after:#?}");
    assert_eq!(after[0]["id"], before[0]["id"]);
    assert_eq!(after[0]["isOngoing"], false);
    assert_eq!(after[0]["readings"][0]["closed"], "unplugged");
    let length = moment(&after[0]["to"]).duration_since(moment(&after[0]["from"]));
    assert!(
        (length - minutes(125)).abs() <= minutes(3),
        "{length}: {after:#?}"
    );
    let level = |name| number(&after[0]["readings"][0][name]);
    assert!(level("levelTo") > level("levelFrom") + 10.0, "{after:#?}");
    assert!(number(&after[0]["differenceKwh"]).abs() < 0.1, "{after:#?}");
    world.shut_down().await;
}

/// Bad input gets a problem that names it, and what is not there is not found.
#[tokio::test(flavor = "multi_thread")]
async fn bad_questions_are_refused_by_name() {
    let world = World::new().await;
    world.link("ann", Cloud::Volta, still()).await;
    world.advance(minutes(1)).await;
    let vehicle = world.api.all("vehicles").await.remove(0);
    let vehicle = vehicle["id"].as_str().unwrap();
    let good = "startDate=2024-01-01T00:00:00Z&type=vehicle";
    for (query, field) in [
        ("type=vehicle", "startDate"),
        ("startDate=yesterday&type=vehicle", "startDate"),
        ("startDate=2999-01-01T00:00:00Z&type=vehicle", "startDate"),
        ("startDate=2024-01-01T00:00:00Z", "type"),
        ("startDate=2024-01-01T00:00:00Z&type=meter", "type"),
        (&format!("{good}&endDate=2023-01-01"), "endDate"),
        (&format!("{good}&locationId=home"), "locationId"),
    ] {
        for path in ["charging", "charging/sessions"] {
            let path = format!("/users/ann/statistics/{path}?{query}");
            assert_eq!(
                world.api.get(&path).await.expect_issues(),
                [field],
                "{path}"
            );
        }
    }
    for (query, field) in [
        ("resolution=MINUTE", "resolution"),
        ("utcOffset=25", "utcOffset"),
        ("utcOffset=one", "utcOffset"),
        ("timezone=Mars/Olympus", "timezone"),
    ] {
        let path = format!("/users/ann/statistics/charging?{good}&{query}");
        assert_eq!(
            world.api.get(&path).await.expect_issues(),
            [field],
            "{path}"
        );
    }
    for (query, field) in [
        ("from=never", "from"),
        ("from=2024-01-02&to=2024-01-01", "to"),
        ("resolution=1h", "resolution"),
        ("timezone=Oslo", "timezone"),
    ] {
        let path = format!("/vehicles/{vehicle}/history?{query}");
        assert_eq!(
            world.api.get(&path).await.expect_issues(),
            [field],
            "{path}"
        );
    }
    let nobody = "00000000-0000-7000-8000-000000000000";
    for path in [
        format!("/users/nobody/statistics/charging?{good}"),
        "/users/nobody/charging-sessions".to_owned(),
        format!("/users/ann/statistics/charging?{good}&id={nobody}"),
        format!("/users/ann/statistics/charging/sessions?{good}&id=x"),
        format!("/users/ann/statistics/charging?startDate=2024-01-01&type=charger&id={vehicle}"),
        format!("/chargers/{vehicle}/history"),
    ] {
        world.api.get(&path).await.expect_status(404);
    }
    let one = format!("/users/ann/statistics/charging?{good}&id={vehicle}&utcOffset=-8");
    assert_eq!(world.api.get(&one).await.expect_status(200), json!([]));
    world.shut_down().await;
}
