//! What every adapter must do alike.

use std::time::Instant;

use jiff::SignedDuration;
use livewatt_domain::{device::VendorDevice, kind::DeviceKind};
use livewatt_vendors::{
    AccountOutcome, BudgetScope, BudgetSpec, Harvest, RefreshOutcome, Secret, Vendor, Wanted,
    catalogue,
    helios::{Helios, HeliosOptions},
    rivoli::{Rivoli, RivoliOptions},
    volta::{Volta, VoltaOptions},
};
use url::Url;

use crate::{
    cloud::Answer,
    lab::{BODY_LIMIT, Lab},
};

/// What differs between adapters.
pub(crate) struct Case {
    pub(crate) make: fn(Url) -> Box<dyn Vendor>,
    /// Answers to a sign-in that succeeds.
    pub(crate) sign_in: Vec<Answer>,
    /// A read that costs one call, and its answer.
    pub(crate) wanted: Wanted,
    pub(crate) answer: &'static str,
    /// Answers to a refresh that succeeds.
    pub(crate) refresh: Vec<Answer>,
    /// How the cloud says that the user must sign in again.
    pub(crate) revoked: Answer,
    /// What must never be shown.
    pub(crate) secrets: &'static [&'static str],
}

pub(crate) fn volta() -> Case {
    let token = include_str!("../../fixtures/volta/token.json");
    Case {
        make: |base_url| {
            Box::new(Volta::new(VoltaOptions {
                base_url,
                client_id: "livewatt-sandbox".to_owned(),
                client_secret: Secret::new("sandbox-secret".to_owned()),
            }))
        },
        sign_in: vec![Answer::ok(token)],
        wanted: Wanted {
            listing: true,
            devices: Vec::new(),
        },
        answer: include_str!("../../fixtures/volta/account.json"),
        refresh: vec![Answer::ok(&token.replace("0a1b2c", "9z8y7x"))],
        revoked: Answer::status(
            400,
            r#"{"error": "invalid_grant", "error_description": "x"}"#,
        ),
        secrets: &["vat_", "vrt_", "sandbox-secret", "c0de"],
    }
}

pub(crate) fn rivoli() -> Case {
    let session = include_str!("../../fixtures/rivoli/session.json");
    let car = VendorDevice {
        kind: DeviceKind::Vehicle,
        id: "rc_000001".to_owned(),
    };
    Case {
        make: |base_url| Box::new(Rivoli::new(RivoliOptions { base_url })),
        sign_in: vec![Answer::status(201, session)],
        wanted: Wanted {
            listing: false,
            devices: vec![car],
        },
        answer: include_str!("../../fixtures/rivoli/car.json"),
        refresh: vec![Answer::status(201, &session.replace("0a1b2c", "9z8y7x"))],
        revoked: Answer::status(
            401,
            r#"{"error": {"code": "bad_credentials", "text": "no"}}"#,
        ),
        secrets: &["rvs_", "pa55word"],
    }
}

pub(crate) fn helios() -> Case {
    let login = include_str!("../../fixtures/helios/login.json");
    let sites = include_str!("../../fixtures/helios/sites.json");
    Case {
        make: |base_url| Box::new(Helios::new(HeliosOptions { base_url })),
        sign_in: vec![Answer::ok(login), Answer::ok(sites)],
        wanted: Wanted {
            listing: false,
            devices: Vec::new(),
        },
        answer: include_str!("../../fixtures/helios/live.json"),
        refresh: vec![
            Answer::ok(r#"{"access": "hxa_9z8y7x", "access_ttl": 900}"#),
            Answer::ok(sites),
        ],
        revoked: Answer::status(401, r#"{"code": "E_AUTH", "detail": "no"}"#),
        secrets: &["hxa_", "hxr_", "pa55word"],
    }
}

#[tokio::test]
async fn volta_conforms() {
    conforms(volta()).await;
}

#[tokio::test]
async fn rivoli_conforms() {
    conforms(rivoli()).await;
}

#[tokio::test]
async fn helios_conforms() {
    conforms(helios()).await;
}

async fn conforms(case: Case) {
    let lab = Lab::new(case.make).await;
    check_manifest(lab.vendor.as_ref());
    let (id, credentials) = lab.sign_in(&case.sign_in).await;
    assert!(!id.is_empty());
    assert_eq!(
        id,
        lab.sign_in(&case.sign_in).await.0,
        "the same account each time"
    );

    check_good_answer(&lab, &case, &credentials).await;
    check_refusals(&lab, &case, &credentials).await;
    check_broken_answers(&lab, &case, &credentials).await;
    check_size_and_time(&lab, &case, &credentials).await;
    check_refresh(&lab, &case, &credentials).await;
    check_budget(&lab, &case, &credentials).await;
    check_expiry(&lab, &case, &credentials).await;
}

fn check_manifest(vendor: &dyn Vendor) {
    let manifest = vendor.manifest();
    for brand in &manifest.brands {
        for kind in &brand.kinds {
            assert!(
                catalogue::names(*kind).contains(&brand.vendor),
                "{kind} {}",
                brand.vendor
            );
            assert!(manifest.scopes.iter().any(|scope| scope.kind() == *kind));
        }
    }
    for budget in &manifest.budgets {
        assert!(budget.reserve < budget.limit);
    }
    assert!(vendor.calls_per_read(1) >= 1);
}

async fn check_good_answer(lab: &Lab, case: &Case, credentials: &Secret) {
    lab.cloud.script([Answer::ok(case.answer)]);
    let (harvest, calls) = lab.read(credentials, &case.wanted).await;
    assert_eq!(harvest.account, AccountOutcome::Ok);
    assert_eq!(calls, 1);
    assert!(!harvest.observations.is_empty());
    assert_eq!(harvest.drift, Vec::<String>::new());
    for seen in &harvest.observations {
        assert_eq!((seen.started_at, seen.received_at), (lab.now(), lab.now()));
        assert!(!seen.facts.is_empty());
    }
    let asked = lab.cloud.asked();
    assert!(
        asked[0].headers["authorization"]
            .to_str()
            .unwrap()
            .starts_with("Bearer ")
    );
    // The same answer says the same.
    lab.cloud.script([Answer::ok(case.answer)]);
    let (again, _) = lab.read(credentials, &case.wanted).await;
    for (one, other) in harvest.observations.iter().zip(&again.observations) {
        assert_eq!(one.fingerprint(), other.fingerprint());
    }
}

async fn outcome(lab: &Lab, case: &Case, credentials: &Secret, answer: Answer) -> AccountOutcome {
    lab.cloud.script([answer.clone()]);
    let (harvest, calls) = lab.read(credentials, &case.wanted).await;
    assert_eq!(calls, 1, "one call, no repetition: {answer:?}");
    assert_eq!(harvest.observations, [], "{answer:?}");
    assert_eq!(harvest.inventory, None, "{answer:?}");
    check_silence(case, &harvest);
    harvest.account
}

async fn check_refusals(lab: &Lab, case: &Case, credentials: &Secret) {
    let limited = |until, stated_by_vendor| AccountOutcome::RateLimited {
        until,
        stated_by_vendor,
    };
    let after = |secs| lab.now() + SignedDuration::from_secs(secs);
    let ask = |answer| outcome(lab, case, credentials, answer);

    assert_eq!(
        ask(Answer::status(401, "{}")).await,
        AccountOutcome::LoginExpired
    );
    let stated = Answer::status(429, "{}").with("retry-after", "120");
    assert_eq!(ask(stated).await, limited(after(120), true));
    let dated = Answer::status(429, "{}").with("retry-after", "Mon, 02 Mar 2026 18:25:14 GMT");
    assert_eq!(ask(dated).await, limited(after(300), true));
    assert_eq!(
        ask(Answer::status(429, "{}")).await,
        limited(after(60), false)
    );
    let odd = Answer::status(429, "{}").with("retry-after", "soon");
    assert_eq!(ask(odd).await, limited(after(60), false));
    for status in [500, 502, 503, 504] {
        let answer = ask(Answer::status(status, "<html>")).await;
        assert!(
            matches!(answer, AccountOutcome::Unreachable(_)),
            "{answer:?}"
        );
    }
    for status in [400, 403, 451] {
        let answer = ask(Answer::status(status, "{}")).await;
        assert!(matches!(answer, AccountOutcome::Refused(_)), "{answer:?}");
    }
    // A redirect is not followed: tokens must not travel to another host.
    let moved = Answer::status(302, "").with("location", "http://127.0.0.1:1/");
    assert!(matches!(ask(moved).await, AccountOutcome::Malformed(_)));
}

async fn check_broken_answers(lab: &Lab, case: &Case, credentials: &Secret) {
    let cut = &case.answer[..case.answer.len() / 2];
    for body in [
        cut,
        "",
        "<!doctype html><p>Sorry</p>",
        "null",
        "[]",
        "7",
        "{",
        "{}x",
    ] {
        let answer = outcome(lab, case, credentials, Answer::ok(body)).await;
        assert!(
            matches!(answer, AccountOutcome::Malformed(_)),
            "{body}: {answer:?}"
        );
    }
    // Every value of another type: nothing is learnt, nothing breaks.
    let odd = case
        .answer
        .replace(": \"", ": [\"")
        .replace("\",", "\"],")
        .replace("\"}", "\"]}");
    if serde_json::from_str::<serde_json::Value>(&odd).is_ok() {
        lab.cloud.script([Answer::ok(&odd)]);
        let (harvest, _) = lab.read(credentials, &case.wanted).await;
        check_silence(case, &harvest);
    }
}

async fn check_size_and_time(lab: &Lab, case: &Case, credentials: &Secret) {
    let before = lab.cloud.streamed();
    let answer = outcome(lab, case, credentials, Answer::Huge).await;
    assert!(matches!(answer, AccountOutcome::Malformed(_)), "{answer:?}");
    let taken = lab.cloud.streamed() - before;
    assert!(taken < BODY_LIMIT + 16 * 1024 * 1024, "{taken} bytes");

    let begun = Instant::now();
    let answer = outcome(lab, case, credentials, Answer::Hang).await;
    assert!(
        matches!(answer, AccountOutcome::Unreachable(_)),
        "{answer:?}"
    );
    assert!(begun.elapsed().as_secs() < 5);
}

async fn check_refresh(lab: &Lab, case: &Case, credentials: &Secret) {
    lab.cloud.script(case.refresh.clone());
    let RefreshOutcome::Refreshed(new) = lab.refresh(credentials).await else {
        panic!("refused")
    };
    assert_ne!(&new, credentials);
    lab.cloud.script([Answer::ok(case.answer)]);
    let (harvest, _) = lab.read(&new, &case.wanted).await;
    assert_eq!(harvest.account, AccountOutcome::Ok);
    let used = lab.cloud.asked()[0].headers["authorization"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(used.ends_with("9z8y7x"), "the new token is used");

    lab.cloud.script([case.revoked.clone()]);
    let outcome = lab.refresh(credentials).await;
    assert!(matches!(outcome, RefreshOutcome::Revoked(_)), "{outcome:?}");
    for answer in [
        Answer::status(503, ""),
        Answer::status(429, "").with("retry-after", "9"),
        Answer::ok("<html>"),
        Answer::ok("{}"),
        Answer::Hang,
    ] {
        lab.cloud.script([answer.clone()]);
        let outcome = lab.refresh(credentials).await;
        let RefreshOutcome::Failed(outcome) = outcome else {
            panic!("{answer:?}: {outcome:?}")
        };
        assert_ne!(outcome, AccountOutcome::LoginExpired, "{answer:?}");
    }
    let unreadable = Secret::new("rubbish".to_owned());
    assert!(matches!(
        lab.refresh(&unreadable).await,
        RefreshOutcome::Revoked(_)
    ));
}

async fn check_budget(lab: &Lab, case: &Case, credentials: &Secret) {
    let window = SignedDuration::from_mins(10);
    let (id, scope) = ("test", BudgetScope::Account);
    let budget = BudgetSpec {
        id,
        scope,
        limit: 1,
        window,
        reserve: 0,
    };
    lab.budgets.register(lab.vendor.manifest().id, &[budget]);
    lab.cloud
        .script([Answer::ok(case.answer), Answer::ok(case.answer)]);
    let (harvest, calls) = lab.read(credentials, &case.wanted).await;
    assert_eq!((harvest.account, calls), (AccountOutcome::Ok, 1));
    let (harvest, calls) = lab.read(credentials, &case.wanted).await;
    assert!(matches!(harvest.account, AccountOutcome::OverBudget { until } if until > lab.now()));
    assert_eq!((calls, lab.cloud.asked().len()), (0, 1), "nothing was sent");
    lab.budgets.register(lab.vendor.manifest().id, &[]);
}

async fn check_expiry(lab: &Lab, case: &Case, credentials: &Secret) {
    lab.clock.advance(SignedDuration::from_hours(2));
    lab.cloud.script([Answer::ok(case.answer)]);
    let (harvest, calls) = lab.read(credentials, &case.wanted).await;
    assert_eq!(harvest, Harvest::barren(AccountOutcome::LoginExpired));
    assert_eq!(calls, 0);
    let (harvest, _) = lab
        .read(&Secret::new("rubbish".to_owned()), &case.wanted)
        .await;
    assert_eq!(harvest.account, AccountOutcome::LoginExpired);
}

fn check_silence(case: &Case, harvest: &Harvest) {
    let shown = format!("{harvest:?}");
    for secret in case.secrets {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
