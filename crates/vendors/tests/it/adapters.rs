//! What is special to one adapter.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use livewatt_domain::{device::VendorDevice, hem::Series, kind::DeviceKind};
use livewatt_vendors::{
    AccountOutcome, DeviceTrouble, Inventory, LinkInput, LinkOutcome, LinkProblem, Wanted,
};
use sha2::{Digest as _, Sha256};

use crate::{
    cloud::Answer,
    conformance::{helios, rivoli, volta},
    lab::{Lab, callback, form, query},
};

const CAR: &str = include_str!("../../fixtures/rivoli/car.json");
const LIVE: &str = include_str!("../../fixtures/helios/live.json");
const PRODUCTION: &str = include_str!("../../fixtures/helios/production.json");
const FLOWS: &str = include_str!("../../fixtures/helios/flows.json");
const TOKEN: &str = include_str!("../../fixtures/volta/token.json");

fn cars(ids: &[&str]) -> Vec<VendorDevice> {
    let car = |id: &&str| VendorDevice {
        kind: DeviceKind::Vehicle,
        id: (*id).to_owned(),
    };
    ids.iter().map(car).collect()
}

#[tokio::test]
async fn volta_proves_that_it_began_the_sign_in() {
    let lab = Lab::new(volta().make).await;
    let begun = lab.link(None, LinkInput::Begin).await.unwrap();
    let LinkOutcome::Redirect { url, memory } = begun else {
        panic!("no redirect")
    };
    assert!(url.path().ends_with("/cloud/oauth/authorize"));
    let asked = query(&url);
    assert_eq!(asked["response_type"], "code");
    assert_eq!(asked["client_id"], "livewatt-sandbox");
    assert_eq!(
        asked["redirect_uri"],
        "http://livewatt.example/link/callback"
    );
    assert_eq!(asked["code_challenge_method"], "S256");
    assert!(!format!("{memory:?}").contains(&asked["state"]));

    lab.cloud.script([Answer::ok(TOKEN)]);
    let good = callback([
        ("code", "c0de".to_owned()),
        ("state", asked["state"].clone()),
    ]);
    let done = lab.link(Some(&memory), good).await.unwrap();
    assert!(matches!(done, LinkOutcome::Done(linked) if linked.vendor_account_id == "va_000001"));
    let sent = lab.cloud.asked().remove(0).body;
    let sent = query(&format!("http://x/?{sent}").parse().unwrap());
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(sent["code_verifier"].as_bytes()));
    assert_eq!(challenge, asked["code_challenge"]);
    assert_eq!(sent["client_secret"], "sandbox-secret");
    assert_eq!(sent["redirect_uri"], asked["redirect_uri"]);

    let begun = lab.link(None, LinkInput::Begin).await.unwrap();
    let LinkOutcome::Redirect { url: other, .. } = begun else {
        panic!("no redirect")
    };
    assert_ne!(query(&other)["state"], asked["state"]);
}

#[tokio::test]
async fn volta_refuses_a_foreign_or_failed_sign_in() {
    let lab = Lab::new(volta().make).await;
    let begun = lab.link(None, LinkInput::Begin).await.unwrap();
    let LinkOutcome::Redirect { url, memory } = begun else {
        panic!("no redirect")
    };
    let state = query(&url)["state"].clone();
    let problem = async |parameters| lab.link(Some(&memory), parameters).await.unwrap_err();
    let denied = ("error", "access_denied".to_owned());
    let code = ("code", "c0de".to_owned());

    assert_eq!(
        problem(callback([denied.clone(), ("state", state.clone())])).await,
        LinkProblem::Denied
    );
    assert_eq!(problem(callback([denied])).await, LinkProblem::Mismatch);
    assert_eq!(
        problem(callback([code.clone(), ("state", "other".to_owned())])).await,
        LinkProblem::Mismatch
    );
    let forgotten = lab
        .link(None, callback([code.clone(), ("state", state.clone())]))
        .await;
    assert_eq!(forgotten.unwrap_err(), LinkProblem::Mismatch);
    assert!(matches!(
        problem(callback([("state", state.clone())])).await,
        LinkProblem::Unexpected(_)
    ));
    let good = || callback([code.clone(), ("state", state.clone())]);
    for (answer, expected) in [
        (
            Answer::status(400, r#"{"error": "invalid_grant"}"#),
            LinkProblem::Mismatch,
        ),
        (Answer::status(503, ""), LinkProblem::VendorUnavailable),
        (Answer::Hang, LinkProblem::VendorUnavailable),
    ] {
        lab.cloud.script([answer]);
        assert_eq!(problem(good()).await, expected);
    }
    for answer in [
        Answer::status(401, r#"{"error": "invalid_client"}"#),
        Answer::ok("{}"),
    ] {
        lab.cloud.script([answer]);
        assert!(matches!(problem(good()).await, LinkProblem::Unexpected(_)));
    }
}

#[tokio::test]
async fn volta_subscribes_and_takes_it_back() {
    let lab = Lab::new(volta().make).await;
    let (_, credentials) = lab.sign_in(&[Answer::ok(TOKEN)]).await;
    lab.cloud
        .script([Answer::ok("{}"), Answer::status(500, "")]);
    assert!(lab.subscribe(&credentials).await);
    assert!(!lab.subscribe(&credentials).await);
    let asked = lab.cloud.asked();
    assert_eq!(
        (asked[0].method.as_str(), asked[0].path.as_str()),
        ("PUT", "/v1/subscription")
    );
    assert!(
        asked[0]
            .body
            .contains("http://livewatt.example/link/callback")
    );

    lab.cloud.script([Answer::status(204, "")]);
    lab.unlink(&credentials).await;
    assert_eq!(lab.cloud.asked()[0].method.as_str(), "DELETE");

    // With a token that ran out in the meantime.
    lab.clock.advance(jiff::SignedDuration::from_hours(1));
    lab.cloud
        .script([Answer::ok(TOKEN), Answer::status(204, "")]);
    lab.unlink(&credentials).await;
    let paths = lab
        .cloud
        .asked()
        .into_iter()
        .map(|asked| asked.path)
        .collect::<Vec<_>>();
    assert_eq!(paths, ["/oauth/token", "/v1/subscription"]);
}

#[tokio::test]
async fn a_wrong_password_can_be_mended() {
    for case in [rivoli(), helios()] {
        let lab = Lab::new(case.make).await;
        let LinkOutcome::Form {
            fields,
            problem: None,
        } = lab.link(None, LinkInput::Begin).await.unwrap()
        else {
            panic!("no form")
        };
        assert_eq!(fields.len(), 2);
        lab.cloud.script([case.revoked]);
        let again = lab.link(None, form("demo", "wrong")).await.unwrap();
        assert!(matches!(
            again,
            LinkOutcome::Form {
                problem: Some(_),
                ..
            }
        ));
        let empty = lab.link(None, form(" ", "x")).await.unwrap();
        assert!(matches!(
            empty,
            LinkOutcome::Form {
                problem: Some(_),
                ..
            }
        ));
        lab.cloud.script([Answer::status(503, "")]);
        let down = lab.link(None, form("demo", "right")).await.unwrap_err();
        assert_eq!(down, LinkProblem::VendorUnavailable);
        let (id, _) = lab.sign_in(&case.sign_in).await;
        assert_eq!(id, "demo@cloud.example");
    }
}

#[tokio::test]
async fn rivoli_keeps_what_it_got_of_several_cars() {
    let lab = Lab::new(rivoli().make).await;
    let (_, credentials) = lab.sign_in(&rivoli().sign_in).await;
    let wanted = Wanted {
        listing: true,
        devices: cars(&["a"]),
    };
    lab.cloud
        .script([Answer::ok(r#"[{"id": "a"}, {"id": "b"}]"#), Answer::ok(CAR)]);
    let (harvest, calls) = lab.read(&credentials, &wanted).await;
    assert_eq!(calls, 2);
    assert_eq!(
        harvest.inventory,
        Some(Inventory::Complete(cars(&["a", "b"])))
    );
    assert_eq!(harvest.observations.len(), 1);
    let asked = lab.cloud.asked();
    assert!(
        asked
            .iter()
            .all(|asked| asked.headers["x-rivoli-app"] == "livewatt")
    );
    assert_eq!(asked[1].path, "/v2/cars/a");

    for (answer, trouble) in [
        (Answer::status(404, "{}"), Some(DeviceTrouble::Gone)),
        (Answer::status(408, "{}"), Some(DeviceTrouble::Offline)),
        (Answer::status(503, "{}"), None),
        (Answer::ok("<html>"), None),
    ] {
        let wanted = Wanted {
            listing: false,
            devices: cars(&["a", "b", "c"]),
        };
        lab.cloud.script([Answer::ok(CAR), answer, Answer::ok(CAR)]);
        let (harvest, calls) = lab.read(&credentials, &wanted).await;
        assert_eq!((harvest.account, calls), (AccountOutcome::Ok, 3));
        assert_eq!(harvest.observations.len(), 2);
        let [(_, found)] = &harvest.troubled[..] else {
            panic!("one in trouble")
        };
        match trouble {
            Some(trouble) => assert_eq!(found, &trouble),
            None => assert!(matches!(found, DeviceTrouble::Malformed(_))),
        }
    }
}

#[tokio::test]
async fn rivoli_stops_when_it_is_told_to() {
    let lab = Lab::new(rivoli().make).await;
    let (_, credentials) = lab.sign_in(&rivoli().sign_in).await;
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let wanted = Wanted {
        listing: false,
        devices: cars(&ids),
    };
    let mut answers = vec![Answer::ok(CAR); 3];
    answers.push(Answer::status(429, "{}").with("retry-after", "30"));
    lab.cloud.script(answers);
    let (harvest, calls) = lab.read(&credentials, &wanted).await;
    assert_eq!(calls, 4);
    assert_eq!(harvest.observations.len(), 3);
    assert!(matches!(
        harvest.account,
        AccountOutcome::RateLimited { .. }
    ));
}

#[tokio::test]
async fn rivoli_stays_within_its_quotas_and_signs_in_for_free() {
    let lab = Lab::new(rivoli().make).await;
    lab.budgets
        .register("rivoli", &lab.vendor.manifest().budgets);
    let (_, credentials) = lab.sign_in(&rivoli().sign_in).await;
    let wanted = Wanted {
        listing: false,
        devices: cars(&["a"]),
    };
    let mut answered = 0;
    for _ in 0..60 {
        lab.cloud.script([Answer::ok(CAR)]);
        answered += lab.read(&credentials, &wanted).await.1;
    }
    assert_eq!(answered, 36, "40 less the reserve");
    lab.sign_in(&rivoli().sign_in).await;
}

#[tokio::test]
async fn helios_lists_its_sites_when_asked_to() {
    let lab = Lab::new(helios().make).await;
    let (_, credentials) = lab.sign_in(&helios().sign_in).await;
    let wanted = Wanted {
        listing: true,
        devices: Vec::new(),
    };
    let sites = r#"{"sites": [{"id": "hs_000001"}, {"id": "hs_000002"}]}"#;
    let other = LIVE.replace("000001", "000002");
    lab.cloud
        .script([Answer::ok(sites), Answer::ok(LIVE), Answer::ok(&other)]);
    let (harvest, calls) = lab.read(&credentials, &wanted).await;
    assert_eq!((harvest.account, calls), (AccountOutcome::Ok, 3));
    assert!(matches!(harvest.inventory, Some(Inventory::Complete(devices)) if devices.len() == 10));

    // One of two sites fails: the other's devices are kept, and nobody is thought to be gone.
    lab.cloud
        .script([Answer::ok(sites), Answer::ok(LIVE), Answer::status(503, "")]);
    let (harvest, _) = lab.read(&credentials, &wanted).await;
    assert_eq!(harvest.observations.len(), 5);
    assert!(matches!(harvest.inventory, Some(Inventory::Partial(devices)) if devices.len() == 5));
    assert!(matches!(harvest.account, AccountOutcome::Unreachable(_)));

    // A site that went between the two calls.
    lab.cloud.script([
        Answer::ok(sites),
        Answer::ok(LIVE),
        Answer::status(404, "{}"),
    ]);
    let (harvest, _) = lab.read(&credentials, &wanted).await;
    assert_eq!(harvest.account, AccountOutcome::Ok);
    assert!(matches!(harvest.inventory, Some(Inventory::Partial(_))));
}

#[tokio::test]
async fn helios_without_known_sites_lists_them() {
    let lab = Lab::new(helios().make).await;
    let mut answers = helios().sign_in;
    answers[1] = Answer::status(503, "");
    let (_, credentials) = lab.sign_in(&answers).await;
    lab.cloud.script([Answer::ok(r#"{"sites": []}"#)]);
    let wanted = Wanted {
        listing: false,
        devices: Vec::new(),
    };
    let (harvest, calls) = lab.read(&credentials, &wanted).await;
    assert_eq!((harvest.account, calls), (AccountOutcome::Ok, 1));
    assert_eq!(harvest.inventory, Some(Inventory::Complete(Vec::new())));
}

#[tokio::test]
async fn helios_tells_what_an_inverter_produced() {
    let lab = Lab::new(helios().make).await;
    let (_, credentials) = lab.sign_in(&helios().sign_in).await;
    let day = || lab.production(&credentials, "2026-03-02");
    lab.cloud.script([Answer::ok(PRODUCTION)]);
    let told = day().await.unwrap();
    assert_eq!(told.zone.name(), "Europe/Berlin");
    let kwh = vec![Some(0.0), Some(0.012), Some(0.031), None];
    assert_eq!((told.kwh, told.drift.len()), (Some(kwh), 0));

    // What makes no sense costs its own bucket alone.
    let odd = PRODUCTION.replace(r#""12""#, r#""much""#);
    lab.cloud.script([Answer::ok(&odd)]);
    let told = day().await.unwrap();
    assert_eq!(told.kwh.unwrap()[..3], [Some(0.0), None, Some(0.031)]);
    assert_eq!(told.drift, ["production.wh[]=(text)"]);

    lab.cloud.script([Answer::status(404, "{}")]);
    assert_eq!(day().await.unwrap().kwh, None);

    // An answer to another question, or none.
    for (period, body) in [
        ("2026-03-03", PRODUCTION.to_owned()),
        ("2026-03", PRODUCTION.to_owned()),
        (
            "2026-03-02",
            PRODUCTION.replace("1772406000000", "1772406000001"),
        ),
        (
            "2026-03-02",
            PRODUCTION.replace("Europe/Berlin", "Europe/Lisbon"),
        ),
        ("2026-03-02", PRODUCTION.replace("\"wh\"", "\"kwh\"")),
        ("2026-03-02", "[]".to_owned()),
    ] {
        lab.cloud.script([Answer::ok(&body)]);
        let outcome = lab.production(&credentials, period).await.unwrap_err();
        assert!(
            matches!(outcome, AccountOutcome::Malformed(_)),
            "{outcome:?}"
        );
    }
    lab.cloud.script([Answer::status(503, "")]);
    let outcome = day().await.unwrap_err();
    assert!(
        matches!(outcome, AccountOutcome::Unreachable(_)),
        "{outcome:?}"
    );
    lab.clock
        .advance(livewatt_domain::SignedDuration::from_hours(1));
    assert_eq!(day().await, Err(AccountOutcome::LoginExpired));
}

#[tokio::test]
async fn helios_tells_what_flowed_at_a_site() {
    let lab = Lab::new(helios().make).await;
    let (_, credentials) = lab.sign_in(&helios().sign_in).await;
    let day = || lab.site_history(&credentials, "2026-03-02");
    lab.cloud.script([Answer::ok(FLOWS)]);
    let told = day().await.unwrap();
    assert_eq!((told.zone.name(), told.drift.len()), ("Europe/Berlin", 0));
    let series = told.series.unwrap();
    assert_eq!(series.len(), Series::ALL.len());
    let discharged = vec![Some(0.0), Some(0.119), None];
    assert_eq!(series[&Series::Discharge], discharged);
    assert_eq!(series[&Series::Consumption][0], Some(0.12));
    assert_eq!(series[&Series::BatteryLevel][1], Some(41.3));

    // What is not there is not told, and what makes no sense costs its own bucket alone.
    let odd = FLOWS
        .replace(
            "\"charged_wh\": [\"0\", \"0\", null]",
            "\"charged_wh\": null",
        )
        .replace(r#""131""#, r#""much""#);
    assert_ne!(odd, FLOWS);
    lab.cloud.script([Answer::ok(&odd)]);
    let told = day().await.unwrap();
    let series = told.series.unwrap();
    assert!(!series.contains_key(&Series::Charge));
    assert_eq!(series[&Series::Consumption], [Some(0.12), None, None]);
    assert_eq!(told.drift, ["flows.load_wh=(text)"]);

    lab.cloud.script([Answer::status(404, "{}")]);
    assert_eq!(day().await.unwrap().series, None);
    for (period, body) in [
        ("2026-03-03", FLOWS.to_owned()),
        ("2026-03", FLOWS.to_owned()),
        (
            "2026-03-02",
            FLOWS.replace("Europe/Berlin", "Europe/Lisbon"),
        ),
        ("2026-03-02", "[]".to_owned()),
    ] {
        lab.cloud.script([Answer::ok(&body)]);
        let outcome = lab.site_history(&credentials, period).await.unwrap_err();
        assert!(
            matches!(outcome, AccountOutcome::Malformed(_)),
            "{outcome:?}"
        );
    }
    lab.cloud.script([Answer::status(503, "")]);
    let outcome = day().await.unwrap_err();
    assert!(
        matches!(outcome, AccountOutcome::Unreachable(_)),
        "{outcome:?}"
    );
}
