//! Credentials of accounts: opened, refreshed, and given up.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use livewatt_domain::{
    account::{Account, AccountSchedule, AccountStatus},
    id::AccountId,
    merge::lose_login,
};
use livewatt_store::{
    AccountChange, CredentialsChange, DeviceChange, SealedCredentials, UnitOfWork,
};
use livewatt_vendors::{
    AccountContext, AccountOutcome, RefreshOutcome, Secret, http::Priority, vendor::SharedVendor,
};

use crate::{Engine, EngineError, EngineResult, cluster::Letter, error::chain};

/// How long a refreshed login is held that cannot be stored.
const HOLD: Duration = Duration::from_secs(600);
/// Time between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// The accounts whose login is being refreshed: reads and commands of one account meet here.
#[derive(Debug, Default)]
pub(crate) struct Refreshing(Mutex<HashMap<AccountId, Weak<tokio::sync::Mutex<()>>>>);

impl Refreshing {
    /// Waits until nobody else refreshes the login of an account.
    async fn alone(&self, account: AccountId) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let known = turns.get(&account).and_then(Weak::upgrade);
            let turn = known.unwrap_or_default();
            turns.insert(account, Arc::downgrade(&turn));
            turn
        };
        turn.lock_owned().await
    }
}

/// What came of refreshing.
pub(crate) enum Refreshed {
    /// Stored, and to be used from now on.
    Fresh(Secret),
    /// The vendor will not have us any more.
    Revoked,
    /// Not now.
    Failed(AccountOutcome),
}

impl Engine {
    pub(crate) async fn open_credentials(&self, id: AccountId) -> EngineResult<Secret> {
        let sealed = self.store.credentials(id).await?;
        self.open_sealed(id, sealed)
    }

    pub(crate) fn open_sealed(
        &self,
        id: AccountId,
        sealed: Option<SealedCredentials>,
    ) -> EngineResult<Secret> {
        let sealed = sealed.ok_or_else(|| {
            EngineError::internal("an account has no credentials", id.to_string())
        })?;
        self.vault
            .open(&sealed.sealed, &id.to_string())
            .map_err(|error| EngineError::internal("credentials cannot be opened", error))
    }

    /// Refreshes the login of an account, once for all who found it expired at the same time.
    pub(crate) async fn refresh(
        &self,
        account: &Account,
        vendor: &SharedVendor,
        cx: AccountContext<'_>,
    ) -> EngineResult<Refreshed> {
        let _alone = self.refreshing.alone(account.id).await;
        if let Some((stored, sealed)) = self.store.account_to_fetch(account.id).await?
            && stored.credentials_version != account.credentials_version
            && sealed.is_some()
        {
            return Ok(Refreshed::Fresh(self.open_sealed(account.id, sealed)?));
        }
        // What may not be stored must not be asked for: a token that rotates is good for one refresh.
        self.own_fence(account.id)?;
        match vendor.refresh(cx).await {
            RefreshOutcome::Refreshed(credentials) => {
                self.keep_credentials(account, &credentials).await?;
                Ok(Refreshed::Fresh(credentials))
            }
            RefreshOutcome::Revoked(evidence) => {
                tracing::info!(account.id = %account.id, %evidence, "the vendor refuses to refresh the login");
                Ok(Refreshed::Revoked)
            }
            RefreshOutcome::Failed(outcome) => Ok(Refreshed::Failed(outcome)),
        }
    }

    /// Stores refreshed credentials, also if the database is away for a while: nobody else has them,
    /// and the vendor may know no others any more.
    async fn keep_credentials(&self, used: &Account, credentials: &Secret) -> EngineResult<()> {
        let began = Instant::now();
        loop {
            match self.store_credentials(used, credentials).await {
                Err(error)
                    if (error.is_of_store() || error.is_conflict()) && began.elapsed() < HOLD =>
                {
                    tracing::warn!(account.id = %used.id, error = %chain(&error), "a refreshed login is not stored yet");
                    tokio::time::sleep(PAUSE).await;
                }
                done => return done,
            }
        }
    }

    /// Stores refreshed credentials durably before anybody uses them: with a token that rotates,
    /// losing the new one would lose the account. So it is stored as well if the account has become
    /// another node's, which is told; what was stored before is what it hangs on.
    async fn store_credentials(&self, used: &Account, credentials: &Secret) -> EngineResult<()> {
        let id = used.id;
        let _guard = self.fleet.lock_for_commit(id).await;
        let Some((mut account, _)) = self.store.find_account(id).await? else {
            return Ok(());
        };
        // Linked again meanwhile: what the user has just given counts.
        let is_replaced = account.credentials_version != used.credentials_version;
        if account.status == AccountStatus::Deauthorized || is_replaced {
            return Ok(());
        }
        // Its next owner may have found the former login dead by now.
        let is_revived = account.status == AccountStatus::Invalidated;
        account.status = AccountStatus::Active;
        let from_credentials = Some(account.credentials_version);
        account.credentials_version += 1;
        let mut unit = self.unit_about(id, &Letter::Changed { account: id })?;
        let client = account.client_id;
        unit.accounts.push(AccountChange::Save {
            account,
            from_credentials,
            credentials: CredentialsChange::Replace(self.seal_credentials(id, credentials)),
            schedule: is_revived.then(|| AccountSchedule::new(Some(self.now()))),
        });
        self.commit(client, unit).await
    }

    /// Marks an account's credentials as dead: one event for the account, one update per device,
    /// and no more fetches. False if others were linked meanwhile, which are not dead.
    pub(crate) async fn invalidate(&self, used: &Account) -> EngineResult<bool> {
        let id = used.id;
        let _guard = self.fleet.lock_for_commit(id).await;
        let Some((mut account, _)) = self.store.find_account(id).await? else {
            return Ok(true);
        };
        if account.status != AccountStatus::Active {
            return Ok(true);
        }
        if account.credentials_version != used.credentials_version {
            return Ok(false);
        }
        let now = self.now();
        let maker = self.event_maker(now);
        let mut unit = UnitOfWork::new(Some(self.own_fence(id)?));
        let mut vendors: Vec<_> = account
            .linked
            .iter()
            .map(|row| row.vendor.clone())
            .collect();
        vendors.sort();
        vendors.dedup();
        for vendor in &vendors {
            unit.events.push(maker.credentials_invalidated(
                account.client_id,
                &account.user_id,
                vendor,
            ));
        }
        for device in self.devices_of(id).await? {
            let merged = lose_login(&device);
            if !merged.updated_fields.is_empty() {
                self.presence.forget(device.id);
                unit.events
                    .push(maker.updated(&merged.device, &merged.updated_fields));
                let from_version = device.version;
                unit.devices.push(DeviceChange::Update {
                    device: merged.device,
                    from_version,
                });
            }
        }
        account.status = AccountStatus::Invalidated;
        let client = account.client_id;
        unit.accounts.push(AccountChange::Save {
            from_credentials: Some(account.credentials_version),
            account,
            credentials: CredentialsChange::Keep,
            schedule: Some(AccountSchedule::new(None)),
        });
        self.commit(client, unit).await?;
        tracing::info!(account.id = %id, "credentials are dead; the user must relink");
        Ok(true)
    }

    /// Asks the vendor to push for an account. Failing to is no harm: polls go on.
    pub(crate) async fn subscribe(&self, id: AccountId, vendor: &SharedVendor) {
        let integration = vendor.manifest().id;
        let base = self.options.public_url.as_str().trim_end_matches('/');
        let Ok(callback) = url::Url::parse(&format!("{base}/vendors/{integration}/push")) else {
            return;
        };
        self.with_account(id, vendor, "subscribing to pushes", async |cx| {
            if let Err(outcome) = vendor.subscribe(cx, &callback).await {
                tracing::warn!(account.id = %id, outcome = outcome.kind().name(), "the vendor will not push");
            }
        })
        .await;
    }

    /// Takes leave of the vendor, as far as it will hear of it.
    pub(crate) async fn unlink_at_vendor(&self, account: &Account) {
        let Some(vendor) = self.vendors.get(&account.integration).cloned() else {
            return;
        };
        self.with_account(account.id, &vendor, "unlinking", async |cx| {
            vendor.unlink(cx).await
        })
        .await;
    }

    async fn with_account(
        &self,
        id: AccountId,
        vendor: &SharedVendor,
        what: &str,
        act: impl AsyncFnOnce(AccountContext<'_>),
    ) {
        let found = async {
            let account = self
                .store
                .find_account(id)
                .await?
                .map(|(account, _)| account);
            Ok::<_, EngineError>((account, self.open_credentials(id).await?))
        };
        match found.await {
            Ok((Some(account), credentials)) => {
                let caller = self
                    .http
                    .caller(vendor.manifest().id, Some(id), Priority::Asked);
                act(AccountContext {
                    caller: &caller,
                    clock: self.clock.as_ref(),
                    vendor_account_id: &account.vendor_account_id,
                    credentials: &credentials,
                })
                .await;
            }
            Ok((None, _)) => {}
            Err(error) => {
                tracing::warn!(account.id = %id, error = %chain(&error), "{what} was not possible");
            }
        }
    }
}
