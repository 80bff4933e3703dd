//! The clouds' answers and pushes, through the adapters as the engine calls them.

use hmac::{Hmac, KeyInit as _, Mac as _};
use livewatt_domain::{device::VendorDevice, kind::DeviceKind};
use livewatt_vendors::{
    Credentials, Inventory, LinkInput, LinkOutcome, LinkProblem, PushError, RefreshOutcome, Secret,
    Wanted,
};
use proptest::strategy::Strategy as _;
use sha2::Sha256;
use tokio::runtime::Runtime;

use super::{
    check::{check_harvest, check_outcome, check_push},
    mutate::{Broken, broken},
    run,
};
use crate::{
    cloud::Answer,
    conformance::{Case, helios, rivoli, volta},
    lab::{Lab, callback, form, query},
};

/// An adapter that a user has signed in with.
pub(super) struct Bench {
    runtime: Runtime,
    pub(super) lab: Lab,
    case: Case,
    credentials: Credentials,
}

impl Bench {
    pub(super) fn new(case: Case) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (lab, credentials) = runtime.block_on(async {
            let lab = Lab::new(case.make).await;
            let (_, credentials) = lab.sign_in(&case.sign_in).await;
            (lab, credentials)
        });
        Self {
            runtime,
            lab,
            case,
            credentials,
        }
    }

    /// A read that gets this as its answer, and the same again should it ask for more.
    pub(super) fn read(&self, body: &[u8], wanted: &Wanted) {
        let answer = Answer::Raw(body.to_vec());
        self.lab
            .cloud
            .script([answer.clone(), answer.clone(), answer]);
        let (harvest, _) = self
            .runtime
            .block_on(self.lab.read(&self.credentials, wanted));
        check_harvest(&harvest, self.lab.now());
        if let Some(Inventory::Complete(devices)) = &harvest.inventory {
            // Evidence against devices must be an answer that could be read as a whole.
            let is_json = serde_json::from_slice::<&serde_json::value::RawValue>(body).is_ok();
            assert!(is_json, "{devices:?}");
        }
    }

    /// A question for the past that gets this answer: no more than numbers.
    pub(super) fn production(&self, body: &[u8]) {
        self.lab.cloud.script([Answer::Raw(body.to_vec())]);
        let asked = self.lab.production(&self.credentials, "2026-03-02");
        match self.runtime.block_on(asked) {
            Ok(told) => {
                let mut kwh = told.kwh.iter().flatten().flatten();
                assert!(kwh.all(|kwh| kwh.is_finite()), "{told:?}");
            }
            Err(outcome) => check_outcome(&outcome, self.lab.now()),
        }
    }

    /// The same about a site.
    pub(super) fn site_history(&self, body: &[u8]) {
        self.lab.cloud.script([Answer::Raw(body.to_vec())]);
        let asked = self.lab.site_history(&self.credentials, "2026-03-02");
        match self.runtime.block_on(asked) {
            Ok(told) => {
                let mut values = told.series.iter().flat_map(|of| of.values()).flatten();
                let is_number = |value: &Option<f64>| value.is_none_or(f64::is_finite);
                assert!(values.all(is_number), "{told:?}");
            }
            Err(outcome) => check_outcome(&outcome, self.lab.now()),
        }
    }

    /// A refresh that gets this as its first answer: nothing but a refusal ends an account.
    pub(super) fn refresh(&self, body: &[u8]) {
        let mut answers = vec![Answer::Raw(body.to_vec())];
        answers.extend(self.case.refresh.iter().skip(1).cloned());
        self.lab.cloud.script(answers);
        match self.runtime.block_on(self.lab.refresh(&self.credentials)) {
            RefreshOutcome::Refreshed(credentials) => self.check_credentials(&credentials),
            RefreshOutcome::Failed(outcome) => check_outcome(&outcome, self.lab.now()),
            RefreshOutcome::Revoked(why) => panic!("{why}"),
        }
    }

    /// A sign-in that gets this as its answer at `place`.
    pub(super) fn sign_in(&self, body: &[u8], place: usize) {
        let mut answers = self.case.sign_in.clone();
        answers[place] = Answer::Raw(body.to_vec());
        self.lab.cloud.script(answers);
        match self.runtime.block_on(self.begin_and_finish()) {
            Ok(LinkOutcome::Done(linked)) => {
                let id = linked.vendor_account_id;
                assert!(
                    !id.is_empty() && id.len() <= 512,
                    "an ID of {} bytes",
                    id.len()
                );
                self.check_credentials(&linked.credentials);
            }
            Ok(LinkOutcome::Form { .. }) | Err(_) => {}
            Ok(other) => panic!("{other:?}"),
        }
    }

    async fn begin_and_finish(&self) -> Result<LinkOutcome, LinkProblem> {
        match self.lab.link(None, LinkInput::Begin).await? {
            LinkOutcome::Redirect { url, memory } => {
                let parameters = [
                    ("code", "c0de".to_owned()),
                    ("state", query(&url)["state"].clone()),
                ];
                self.lab.link(Some(&memory), callback(parameters)).await
            }
            _ => {
                self.lab
                    .link(None, form("ada@cloud.example", "pa55word"))
                    .await
            }
        }
    }

    /// They can be used, or are known to have expired: no time of theirs is one that cannot be.
    fn check_credentials(&self, credentials: &Secret) {
        self.lab.cloud.script([Answer::ok(self.case.answer)]);
        let read = self.lab.read(credentials, &self.case.wanted);
        check_harvest(&self.runtime.block_on(read).0, self.lab.now());
    }

    /// A push with this body, rightly signed.
    pub(super) fn push(&self, body: &[u8]) {
        let now = self.lab.now();
        let time = now.as_second();
        let mut mac = Hmac::<Sha256>::new_from_slice(b"sandbox-secret").unwrap();
        mac.update(format!("{time}.").as_bytes());
        mac.update(body);
        let digest = hex::encode(mac.finalize().into_bytes());
        let signature = format!("t={time},v1={digest}");
        let header = |name: &str| (name == "volta-signature").then(|| signature.clone());
        match self.lab.vendor.push().unwrap().read(&header, body, now) {
            Ok(batches) => batches.iter().for_each(|batch| check_push(batch, now)),
            Err(PushError::Malformed(_)) => {}
            Err(PushError::Unverified) => panic!("its signature is right"),
        }
    }
}

/// Everything an account has.
pub(super) fn everything() -> Wanted {
    let car = |id: &str| VendorDevice {
        kind: DeviceKind::Vehicle,
        id: id.to_owned(),
    };
    Wanted {
        listing: true,
        devices: vec![car("rc_000001"), car("rc_000002")],
    }
}

const ACCOUNT: &str = include_str!("../../../fixtures/volta/account.json");
const PUSH: &str = include_str!("../../../fixtures/volta/push.json");
const TOKEN: &str = include_str!("../../../fixtures/volta/token.json");
const CAR: &str = include_str!("../../../fixtures/rivoli/car.json");
const CARS: &str = include_str!("../../../fixtures/rivoli/cars.json");
const SESSION: &str = include_str!("../../../fixtures/rivoli/session.json");
const LIVE: &str = include_str!("../../../fixtures/helios/live.json");
const SITES: &str = include_str!("../../../fixtures/helios/sites.json");
const PRODUCTION: &str = include_str!("../../../fixtures/helios/production.json");
const FLOWS: &str = include_str!("../../../fixtures/helios/flows.json");
const LOGIN: &str = include_str!("../../../fixtures/helios/login.json");

#[test]
fn volta_stands_whatever_it_is_told() {
    let bench = Bench::new(volta());
    run(
        "volta",
        broken(&[ACCOUNT, PUSH, TOKEN]),
        |Broken { which, body }| match which {
            0 => bench.read(&body, &everything()),
            1 => bench.push(&body),
            _ => {
                bench.sign_in(&body, 0);
                bench.refresh(&body);
            }
        },
    );
}

#[test]
fn rivoli_stands_whatever_it_is_told() {
    let bench = Bench::new(rivoli());
    let one_car = rivoli().wanted;
    run(
        "rivoli",
        broken(&[CAR, CARS, SESSION]),
        |Broken { which, body }| match which {
            0 => bench.read(&body, &one_car),
            1 => bench.read(&body, &everything()),
            _ => {
                bench.sign_in(&body, 0);
                bench.refresh(&body);
            }
        },
    );
}

#[test]
fn helios_stands_whatever_it_is_told() {
    let bench = Bench::new(helios());
    run(
        "helios",
        broken(&[LIVE, SITES, LOGIN, PRODUCTION, FLOWS]),
        |Broken { which, body }| match which {
            0 => bench.read(&body, &helios().wanted),
            1 => {
                bench.read(&body, &everything());
                bench.sign_in(&body, 1);
            }
            2 => {
                bench.sign_in(&body, 0);
                bench.refresh(&body);
            }
            3 => bench.production(&body),
            _ => bench.site_history(&body),
        },
    );
}

/// The wrong answer at the wrong place is as broken as any.
#[test]
fn answers_in_the_wrong_place_are_refused_or_harmless() {
    let all = [ACCOUNT, PUSH, TOKEN, CAR, CARS, SESSION, LIVE, SITES, LOGIN];
    let benches = [
        Bench::new(volta()),
        Bench::new(rivoli()),
        Bench::new(helios()),
    ];
    let strategy = (0..benches.len(), broken(&all)).prop_map(|both| both);
    run("wrong places", strategy, |(vendor, Broken { body, .. })| {
        benches[vendor].read(&body, &everything());
        benches[vendor].sign_in(&body, 0);
        benches[vendor].refresh(&body);
    });
}
