//! An adapter, a scripted cloud and a clock.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use livewatt_domain::{
    action::Target, clock::ManualClock, device::VendorDevice, entropy::SeededEntropy,
    id::AccountId, kind::DeviceKind,
};
use livewatt_vendors::{
    AccountContext, AccountOutcome, Budgets, Caller, CommandOutcome, Credentials, Harvest,
    HttpOptions, HttpPool, LinkContext, LinkInput, LinkOutcome, LinkProblem, Priority,
    ProductionTold, RefreshOutcome, Secret, SiteHistoryTold, Vendor, Wanted,
};
use url::Url;

use crate::cloud::{Answer, Cloud};

pub(crate) struct Lab {
    pub(crate) vendor: Box<dyn Vendor>,
    pub(crate) cloud: Arc<Cloud>,
    pub(crate) clock: ManualClock,
    pub(crate) budgets: Arc<Budgets>,
    pub(crate) account: AccountId,
    pool: HttpPool,
    entropy: SeededEntropy,
    callback_url: Url,
}

/// Largest accepted body in the tests.
pub(crate) const BODY_LIMIT: usize = 256 * 1024;

impl Lab {
    pub(crate) async fn new(make: impl FnOnce(Url) -> Box<dyn Vendor>) -> Self {
        let (cloud, url) = Cloud::start().await;
        let clock = ManualClock::starting_at("2026-03-02T18:20:14Z".parse().unwrap());
        let budgets = Arc::new(Budgets::default());
        let options = HttpOptions {
            connect_timeout: SignedDuration::from_millis(200),
            total_timeout: SignedDuration::from_millis(400),
            body_limit: BODY_LIMIT,
        };
        let pool = HttpPool::new(options, Arc::new(clock.clone()), budgets.clone()).unwrap();
        let entropy = SeededEntropy::new(7);
        let account = AccountId::new(Timestamp::UNIX_EPOCH, &entropy);
        let vendor = make(url);
        let callback_url = "http://livewatt.example/link/callback".parse().unwrap();
        Self {
            vendor,
            cloud,
            clock,
            budgets,
            account,
            pool,
            entropy,
            callback_url,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        livewatt_domain::clock::Clock::now(&self.clock)
    }

    pub(crate) fn caller(&self) -> Caller {
        self.pool.caller(
            self.vendor.manifest().id,
            Some(self.account),
            Priority::Routine,
        )
    }

    pub(crate) async fn link(
        &self,
        memory: Option<&Secret>,
        input: LinkInput,
    ) -> Result<LinkOutcome, LinkProblem> {
        let cx = LinkContext {
            caller: &self
                .pool
                .caller(self.vendor.manifest().id, None, Priority::Asked),
            clock: &self.clock,
            entropy: &self.entropy,
            callback_url: &self.callback_url,
            memory,
            public_url: &self.callback_url,
            known_account_id: None,
        };
        self.vendor.link(cx, input).await
    }

    /// Signs in as a user would; the cloud gives these answers.
    pub(crate) async fn sign_in(&self, answers: &[Answer]) -> (String, Credentials) {
        self.cloud.script(answers.to_vec());
        let done = match self.link(None, LinkInput::Begin).await.unwrap() {
            LinkOutcome::Redirect { url, memory } => {
                let state = query(&url)["state"].clone();
                let parameters = [("code", "c0de".to_owned()), ("state", state)];
                self.link(Some(&memory), callback(parameters))
                    .await
                    .unwrap()
            }
            LinkOutcome::Form { .. } => self
                .link(None, form("Demo@Cloud.example", "pa55word"))
                .await
                .unwrap(),
            other => panic!("unexpected: {other:?}"),
        };
        let LinkOutcome::Done(linked) = done else {
            panic!("not signed in: {done:?}")
        };
        (linked.vendor_account_id, linked.credentials)
    }

    fn context<'a>(&'a self, caller: &'a Caller, credentials: &'a Secret) -> AccountContext<'a> {
        AccountContext {
            caller,
            clock: &self.clock,
            vendor_account_id: "account",
            credentials,
        }
    }

    /// Reads; answers with the number of calls as well.
    pub(crate) async fn read(&self, credentials: &Secret, wanted: &Wanted) -> (Harvest, u32) {
        let caller = self.caller();
        let harvest = self
            .vendor
            .read(self.context(&caller, credentials), wanted)
            .await;
        (harvest, caller.calls())
    }

    /// Asks what an inverter in Berlin produced.
    pub(crate) async fn production(
        &self,
        credentials: &Secret,
        period: &str,
    ) -> Result<ProductionTold, AccountOutcome> {
        let caller = self.caller();
        let cx = self.context(&caller, credentials);
        let inverter = VendorDevice {
            kind: DeviceKind::Inverter,
            id: "hx_inv_000001".to_owned(),
        };
        let zone = "Europe/Berlin".parse().unwrap();
        let period = period.parse().unwrap();
        self.vendor.production(cx, &inverter, &zone, period).await
    }

    /// Asks what flowed at a site in Berlin.
    pub(crate) async fn site_history(
        &self,
        credentials: &Secret,
        period: &str,
    ) -> Result<SiteHistoryTold, AccountOutcome> {
        let caller = self.caller();
        let cx = self.context(&caller, credentials);
        let zone = "Europe/Berlin".parse().unwrap();
        let period = period.parse().unwrap();
        self.vendor
            .site_history(cx, "hs_000001", &zone, period)
            .await
    }

    pub(crate) async fn refresh(&self, credentials: &Secret) -> RefreshOutcome {
        let caller = self.caller();
        self.vendor
            .refresh(self.context(&caller, credentials))
            .await
    }

    pub(crate) async fn command(
        &self,
        credentials: &Secret,
        device: &VendorDevice,
        target: &Target,
    ) -> CommandOutcome {
        let caller = self.caller();
        let cx = self.context(&caller, credentials);
        self.vendor.command(cx, device, target).await
    }

    pub(crate) async fn subscribe(&self, credentials: &Secret) -> bool {
        let caller = self.caller();
        let cx = self.context(&caller, credentials);
        self.vendor.subscribe(cx, &self.callback_url).await.is_ok()
    }

    pub(crate) async fn unlink(&self, credentials: &Secret) {
        let caller = self.caller();
        self.vendor.unlink(self.context(&caller, credentials)).await;
    }
}

pub(crate) fn query(url: &Url) -> BTreeMap<String, String> {
    url.query_pairs().into_owned().collect()
}

pub(crate) fn callback<const N: usize>(parameters: [(&str, String); N]) -> LinkInput {
    LinkInput::Callback(
        parameters
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
    )
}

pub(crate) fn form(username: &str, password: &str) -> LinkInput {
    let secret = |text: &str| Secret::new(text.to_owned());
    LinkInput::Form(BTreeMap::from([
        ("username".to_owned(), secret(username)),
        ("password".to_owned(), secret(password)),
    ]))
}
