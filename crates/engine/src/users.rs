//! Users: what they have linked, and the four ways of undoing it, from narrow to wide.

use livewatt_domain::{
    account::{Account, AccountStatus},
    action::{SendOutcome, Withdrawn},
    id::{AccountId, ClientId, UserId},
    kind::DeviceKind,
    vendor::VendorName,
};
use livewatt_store::{
    AccountChange, AccountsOf, CredentialsChange, DeviceChange, Page, PageRequest, PendingOf,
    StoreError, User,
};

use crate::{Engine, EngineError, EngineResult, actions::update, cluster::Letter};

/// Longest wait for a vendor that is told that an account is given up.
const FAREWELL: std::time::Duration = std::time::Duration::from_secs(5);
/// How often something is decided anew about an account with which its owner goes on.
const MOST_TRIES: u32 = 5;

/// A kind of device that a user has linked under a vendor's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedVendorStatus {
    /// The vendor.
    pub vendor: VendorName,
    /// The kind of device.
    pub kind: DeviceKind,
    /// False if the credentials stopped working: the user must relink.
    pub is_valid: bool,
}

impl Engine {
    /// A client's users, newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_users(
        &self,
        client: ClientId,
        page: PageRequest,
    ) -> EngineResult<Page<User>> {
        Ok(self.store.list_users(client, page).await?)
    }

    /// What a user has linked.
    ///
    /// # Errors
    /// [`EngineError::UserNotFound`], or if the database fails.
    pub async fn get_user(
        &self,
        client: ClientId,
        user: &UserId,
    ) -> EngineResult<(User, Vec<LinkedVendorStatus>)> {
        let found = self
            .store
            .find_user(client, user.clone())
            .await?
            .ok_or_else(|| EngineError::UserNotFound(user.to_string()))?;
        let mut linked: Vec<LinkedVendorStatus> = Vec::new();
        for account in self.accounts_of(client, user).await? {
            let is_valid = account.status == AccountStatus::Active;
            for row in account.linked {
                match linked
                    .iter_mut()
                    .find(|l| l.vendor == row.vendor && l.kind == row.kind)
                {
                    // Two accounts of one vendor are one row; it is valid if all of them are.
                    Some(same) => same.is_valid &= is_valid,
                    None => linked.push(LinkedVendorStatus {
                        vendor: row.vendor,
                        kind: row.kind,
                        is_valid,
                    }),
                }
            }
        }
        Ok((found, linked))
    }

    /// Deletes a user and all data. Emits no events: nobody is left to be told about.
    ///
    /// # Errors
    /// [`EngineError::UserNotFound`], or if the database fails.
    pub async fn delete_user(&self, client: ClientId, user: &UserId) -> EngineResult<()> {
        let accounts = self.accounts_of(client, user).await?;
        for account in &accounts {
            self.let_go(account).await?;
        }
        if !self.store.delete_user(client, user.clone()).await? {
            return Err(EngineError::UserNotFound(user.to_string()));
        }
        self.announce_places(client, user);
        for account in &accounts {
            self.forget_station(account).await;
        }
        Ok(())
    }

    /// Erases a user's vendor credentials; all else stays for when they link again. Silent.
    ///
    /// # Errors
    /// [`EngineError::UserNotFound`], or if the database fails.
    pub async fn deauthorize_user(&self, client: ClientId, user: &UserId) -> EngineResult<()> {
        self.require_user(client, user).await?;
        for mut account in self.accounts_of(client, user).await? {
            self.let_go(&account).await?;
            let _guard = self.fleet.lock_for_commit(account.id).await;
            account.status = AccountStatus::Deauthorized;
            let news = Letter::Changed {
                account: account.id,
            };
            let mut unit = self.unit_about(account.id, &news)?;
            unit.accounts.push(AccountChange::Save {
                from_credentials: Some(account.credentials_version),
                account: account.clone(),
                credentials: CredentialsChange::Erase,
                schedule: None,
            });
            let pending = PendingOf::Account(account.id);
            for stored in self.store.pending_actions(pending).await? {
                let mut action = stored.action.clone();
                let what = "the user's authorization was deleted".to_owned();
                action.answered(SendOutcome::Refused(what), self.now());
                unit.actions.push(update(&stored, action));
            }
            self.commit(client, unit).await?;
            self.forget_station(&account).await;
        }
        Ok(())
    }

    /// Drops what a user linked of a vendor (all kinds if `kind` is `None`): its devices go, each
    /// with a `deleted` event, and an account left without kinds goes with its credentials.
    ///
    /// # Errors
    /// [`EngineError::UserNotFound`], or if the database fails.
    pub async fn disconnect_vendor(
        &self,
        client: ClientId,
        user: &UserId,
        vendor: &VendorName,
        kind: Option<DeviceKind>,
    ) -> EngineResult<()> {
        self.require_user(client, user).await?;
        for account in self.accounts_of(client, user).await? {
            let is_hit = |v: &VendorName, k: DeviceKind| v == vendor && kind.is_none_or(|w| w == k);
            if account
                .linked
                .iter()
                .any(|row| is_hit(&row.vendor, row.kind))
            {
                self.disconnect(&account, is_hit).await?;
            }
        }
        Ok(())
    }

    async fn disconnect(
        &self,
        account: &Account,
        is_hit: impl Fn(&VendorName, DeviceKind) -> bool,
    ) -> EngineResult<()> {
        if account
            .linked
            .iter()
            .all(|row| is_hit(&row.vendor, row.kind))
        {
            self.let_go(account).await?;
        }
        for _ in 0..MOST_TRIES {
            match self.try_disconnect(account.id, &is_hit).await {
                // The account is another node's, which goes on with it: read again.
                Err(error) if error.is_conflict() => {}
                done => return done,
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn try_disconnect(
        &self,
        id: AccountId,
        is_hit: impl Fn(&VendorName, DeviceKind) -> bool,
    ) -> EngineResult<()> {
        let guard = self.fleet.lock_for_commit(id).await;
        let Some((mut account, _)) = self.store.find_account(id).await? else {
            return Ok(());
        };
        account.linked.retain(|row| !is_hit(&row.vendor, row.kind));
        let is_empty = account.linked.is_empty();
        let now = self.now();
        let mut unit = self.unit_about(id, &Letter::Changed { account: id })?;
        let devices = self.devices_of(id).await?;
        let (hit, kept): (Vec<_>, Vec<_>) = devices
            .iter()
            .partition(|device| is_hit(&device.vendor, device.kind()));
        for device in hit {
            unit.events.push(self.event_maker(now).deleted(device));
            let pending = PendingOf::Device(device.id);
            for stored in self.store.pending_actions(pending).await? {
                let mut action = stored.action.clone();
                // It is pending, so it can be.
                let _ = action.cancel(Withdrawn::DeviceGone, now);
                self.put_action(&mut unit, &stored, action);
            }
            unit.devices.push(DeviceChange::Delete {
                id: device.id,
                from_version: device.version,
                at: now,
            });
        }
        unit.hem_systems = self
            .settle_systems(&account, None, &kept, &[], &mut unit.events)
            .await?;
        if account.status == AccountStatus::Deauthorized {
            unit.events.clear();
        }
        let client_id = account.client_id;
        unit.accounts.push(match is_empty {
            true => AccountChange::Delete(id),
            false => AccountChange::Save {
                account: account.clone(),
                from_credentials: Some(account.credentials_version),
                credentials: CredentialsChange::Keep,
                schedule: None,
            },
        });
        self.commit(client_id, unit).await?;
        drop(guard);
        match is_empty {
            true => self.forget_station(&account).await,
            false => self.reload_account(id).await?,
        }
        Ok(())
    }

    /// Ends what goes on with an account: no fetches, no socket, and the vendor is told, if it
    /// will hear of it soon.
    async fn let_go(&self, account: &Account) -> EngineResult<()> {
        self.close_station(account);
        if self.owns(account.id) {
            self.let_go_here(account).await;
            return Ok(());
        }
        let letter = Letter::LetGo {
            account: account.id,
        };
        if self.membership.is_some() && !self.ask_owner(&letter, 2 * FAREWELL).await? {
            tracing::info!(account.id = %account.id, "its owner did not let go of an account in time");
        }
        Ok(())
    }

    /// The same at the owner of the account.
    pub(crate) async fn let_go_here(&self, account: &Account) {
        self.fleet.remove(account.id, self.now());
        self.close_station(account);
        let farewell = self.unlink_at_vendor(account);
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            tracing::info!(account.id = %account.id, "the vendor was not told in time");
        }
    }

    pub(crate) async fn require_user(&self, client: ClientId, user: &UserId) -> EngineResult<()> {
        match self.store.find_user(client, user.clone()).await? {
            Some(_) => Ok(()),
            None => Err(EngineError::UserNotFound(user.to_string())),
        }
    }

    async fn accounts_of(&self, client: ClientId, user: &UserId) -> EngineResult<Vec<Account>> {
        let of = AccountsOf::User(client, user.clone());
        let rows = self.store.list_accounts(of).await?;
        Ok(rows.into_iter().map(|(account, _)| account).collect())
    }
}
