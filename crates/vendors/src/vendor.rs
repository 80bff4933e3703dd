//! The trait every adapter implements.

use std::sync::Arc;

use async_trait::async_trait;
use livewatt_domain::{
    action::Target, clock::Clock, device::VendorDevice, entropy::Entropy, production::Period,
    zone::Zone,
};
use url::Url;

use crate::{
    command::CommandOutcome,
    harvest::{AccountOutcome, Harvest, ProductionTold, SiteHistoryTold},
    http::Caller,
    link::{Credentials, LinkInput, LinkOutcome, LinkProblem},
    manifest::Manifest,
    push::PushIntake,
    secret::Secret,
};

/// What an adapter may use while a user signs in.
#[derive(Debug)]
pub struct LinkContext<'a> {
    /// The way out.
    pub caller: &'a Caller,
    /// The time.
    pub clock: &'a dyn Clock,
    /// Randomness, for state, PKCE and device passwords.
    pub entropy: &'a dyn Entropy,
    /// Where the vendor must send the browser back to.
    pub callback_url: &'a Url,
    /// What an earlier [`LinkOutcome::Redirect`] asked to remember.
    pub memory: Option<&'a Secret>,
    /// The public address of this server, for devices that connect to us.
    pub public_url: &'a Url,
    /// The vendor's identifier of the account, if it is one of before that is linked again.
    pub known_account_id: Option<&'a str>,
}

/// What an adapter may use to act for an account.
#[derive(Debug)]
pub struct AccountContext<'a> {
    /// The way out, drawing on the budgets of this account.
    pub caller: &'a Caller,
    /// The time.
    pub clock: &'a dyn Clock,
    /// The vendor's identifier of the account.
    pub vendor_account_id: &'a str,
    /// What to act with.
    pub credentials: &'a Credentials,
}

/// What is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// List the devices of the account.
    pub listing: bool,
    /// Read these; of no meaning where one call answers for all.
    pub devices: Vec<VendorDevice>,
}

/// What came of refreshing credentials.
#[derive(Debug, Clone)]
pub enum RefreshOutcome {
    /// Use these from now on; they must be stored before they are used.
    Refreshed(Credentials),
    /// The vendor will not have us any more: the user must relink.
    Revoked(String),
    /// It could not be tried, or the vendor is not well: the old ones stay.
    Failed(AccountOutcome),
}

/// An integration.
#[async_trait]
pub trait Vendor: Send + Sync + std::fmt::Debug + 'static {
    /// What is fixed about it.
    fn manifest(&self) -> &Manifest;

    /// Takes a user one step on in signing in.
    ///
    /// # Errors
    /// If the step failed for good; what the user can mend comes back as a form with a problem.
    async fn link(&self, cx: LinkContext<'_>, input: LinkInput)
    -> Result<LinkOutcome, LinkProblem>;

    /// Gets new credentials for those that have expired. Never called twice at a time for one
    /// account.
    async fn refresh(&self, cx: AccountContext<'_>) -> RefreshOutcome;

    /// Reads an account. Whatever succeeded is in the harvest.
    async fn read(&self, cx: AccountContext<'_>, wanted: &Wanted) -> Harvest;

    /// Tells a device what to do. Says what the vendor made of it, which proves nothing of the device.
    /// Repeating a command does no harm.
    async fn command(
        &self,
        _cx: AccountContext<'_>,
        _device: &VendorDevice,
        _target: &Target,
    ) -> CommandOutcome {
        CommandOutcome::refused("devices of this vendor cannot be told what to do")
    }

    /// Called after linking and relinking: asks the vendor to push to `callback_url`. Does nothing
    /// for vendors that do not push.
    ///
    /// # Errors
    /// If the vendor did not accept; polling goes on without.
    async fn subscribe(
        &self,
        _cx: AccountContext<'_>,
        _callback_url: &Url,
    ) -> Result<(), AccountOutcome> {
        Ok(())
    }

    /// Called when an account is given up: takes back subscriptions and tokens, as far as the
    /// vendor permits.
    async fn unlink(&self, _cx: AccountContext<'_>) {}

    /// How its pushes are read, if it pushes.
    fn push(&self) -> Option<&dyn PushIntake> {
        None
    }

    /// Whether it records what inverters produce, and can be asked for that.
    fn keeps_production(&self) -> bool {
        false
    }

    /// What an inverter, which is in `zone`, produced in a day by the quarter hour or in a month by
    /// the day: one call.
    ///
    /// # Errors
    /// What holds for the account, if there is no such answer.
    async fn production(
        &self,
        _cx: AccountContext<'_>,
        _inverter: &VendorDevice,
        _zone: &Zone,
        _period: Period,
    ) -> Result<ProductionTold, AccountOutcome> {
        Err(AccountOutcome::Refused("keeps no production".to_owned()))
    }

    /// Whether it records what flows at sites, and can be asked for that.
    fn keeps_site_history(&self) -> bool {
        false
    }

    /// What flowed at a site, which is in `zone`, in a day by the quarter hour or in a month by the
    /// day: one call.
    ///
    /// # Errors
    /// What holds for the account, if there is no such answer.
    async fn site_history(
        &self,
        _cx: AccountContext<'_>,
        _site: &str,
        _zone: &Zone,
        _period: Period,
    ) -> Result<SiteHistoryTold, AccountOutcome> {
        Err(AccountOutcome::Refused("keeps no history".to_owned()))
    }

    /// Calls that a full read of an account with `devices` devices costs, for the planner.
    fn calls_per_read(&self, _devices: usize) -> u32 {
        1
    }
}

/// A shared integration.
pub type SharedVendor = Arc<dyn Vendor>;
