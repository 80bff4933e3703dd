//! Signing in to a vendor, step by step, and what becomes of the account at the end.

use std::time::Duration;

use livewatt_domain::{
    SignedDuration,
    account::{Account, AccountSchedule, AccountStatus, LinkedVendor, Trigger},
    id::AccountId,
    link::{LinkSession, LinkState},
    vendor::VendorName,
};
use livewatt_store::{AccountChange, AccountsOf, CredentialsChange};
use livewatt_vendors::{
    LinkContext, LinkInput, LinkOutcome, LinkProblem, LinkedAccount, ReadShape, Secret,
    http::Priority, vendor::SharedVendor,
};
use url::Url;

use super::{LinkStep, LinkingStatus, kinds_of};
use crate::{Engine, EngineError, EngineResult, cluster::Letter};

/// The scheduler leaves an account just linked alone for so long.
const FIRST_FETCH_GRACE: SignedDuration = SignedDuration::from_secs(60);

/// How long a user waits for the devices of an account that another node owns.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often is looked whether they are there.
const GLANCE: Duration = Duration::from_millis(100);

impl Engine {
    /// Takes the user of a session one step on in signing in. The session must have a brand chosen
    /// and consent given.
    ///
    /// # Errors
    /// [`EngineError::LinkSession`], [`EngineError::Invalid`] if a step was left out, or if the
    /// database fails. What the user can do something about is a [`LinkStep`].
    pub async fn link_step(&self, token: &str, input: LinkInput) -> EngineResult<LinkStep> {
        let mut session = self.link_session(token).await?;
        if !session.progress.consented {
            return Err(EngineError::invalid("consent", "comes first"));
        }
        let integration = session.progress.integration.clone();
        let vendor = integration
            .as_deref()
            .and_then(|id| self.vendors.get(id))
            .cloned()
            .ok_or_else(|| EngineError::invalid("vendor", "must be chosen first"))?;
        if let (LinkState::Waiting { .. }, LinkInput::Begin) = (&session.state, &input)
            && let Some(rows) = self.remembered_rows(&session)
        {
            return Ok(LinkStep::Instructions { rows });
        }
        let manifest = vendor.manifest();
        let is_begin = matches!(input, LinkInput::Begin);
        if is_begin && self.linking_status(manifest.id) == LinkingStatus::Outage {
            return Ok(LinkStep::Failed(LinkProblem::VendorUnavailable));
        }
        let known_account_id = self.known_account(&session, manifest.id).await?;
        let memory = self.open_memory(&session);
        let callback_url = self.callback_url()?;
        let caller = self
            .http
            .caller(vendor.manifest().id, None, Priority::Asked);
        let cx = LinkContext {
            caller: &caller,
            clock: self.clock.as_ref(),
            entropy: self.entropy.as_ref(),
            callback_url: &callback_url,
            memory: memory.as_ref(),
            public_url: &self.options.public_url,
            known_account_id: known_account_id.as_deref(),
        };
        let outcome = vendor.link(cx, input).await;
        match &outcome {
            Ok(LinkOutcome::Done(_)) => self.link_attempts.note(manifest.id, None, self.now()),
            Ok(_) => {}
            Err(problem) => {
                (self.link_attempts).note(manifest.id, Some(problem), self.now());
            }
        }
        match outcome {
            Ok(LinkOutcome::Redirect { url, memory }) => {
                session.progress.sign_in = Some(self.seal_memory(&session, memory.reveal()));
                self.store.save_link_progress(session).await?;
                Ok(LinkStep::Redirect(url))
            }
            Ok(LinkOutcome::Form { fields, problem }) => Ok(LinkStep::Form { fields, problem }),
            Ok(LinkOutcome::Instructions { account, rows }) => {
                let remembered = serde_json::to_string(&rows).unwrap_or_default();
                session.progress.sign_in = Some(self.seal_memory(&session, &remembered));
                self.store.save_link_progress(session.clone()).await?;
                let id = self
                    .take_account(&session, &vendor, account, AccountArrives::Later)
                    .await?;
                self.reload_account(id).await?;
                Ok(LinkStep::Instructions { rows })
            }
            Ok(LinkOutcome::Done(account)) => {
                let id = self
                    .take_account(&session, &vendor, account, AccountArrives::Now)
                    .await?;
                self.greet_account(id, &vendor).await;
                Ok(LinkStep::Done)
            }
            Err(problem) => {
                tracing::info!(
                    link_session.id = %session.id, integration = vendor.manifest().id, %problem,
                    "sign-in failed"
                );
                Ok(LinkStep::Failed(problem))
            }
        }
    }

    /// What the vendor calls the account that a session is to link again.
    async fn known_account(
        &self,
        session: &LinkSession,
        integration: &str,
    ) -> EngineResult<Option<String>> {
        let Some(id) = session.relink else {
            return Ok(None);
        };
        let found = self
            .store
            .find_account(id)
            .await?
            .map(|(account, _)| account);
        let known = found.filter(|account| account.integration == integration);
        Ok(known.map(|account| account.vendor_account_id))
    }

    fn callback_url(&self) -> EngineResult<Url> {
        let base = self.options.public_url.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}/link/callback"))
            .map_err(|error| EngineError::internal("the public URL is not usable", error))
    }

    fn open_memory(&self, session: &LinkSession) -> Option<Secret> {
        let sealed = session.progress.sign_in.as_deref()?;
        self.vault.open_text(sealed, &session.id.to_string()).ok()
    }

    fn seal_memory(&self, session: &LinkSession, memory: &str) -> String {
        self.vault
            .seal_text(memory, &session.id.to_string(), self.entropy.as_ref())
    }

    fn remembered_rows(&self, session: &LinkSession) -> Option<Vec<(&'static str, String)>> {
        let memory = self.open_memory(session)?;
        let rows: Vec<(String, String)> = serde_json::from_str(memory.reveal()).ok()?;
        const LABELS: [&str; 3] = ["Server address (URL)", "Charge point ID", "Password"];
        let known = |label: &str| LABELS.into_iter().find(|known| *known == label);
        rows.into_iter()
            .map(|(label, value)| Some((known(&label)?, value)))
            .collect()
    }

    /// Stores a linked account, the one of before if there was one, and what becomes of the
    /// session with it.
    async fn take_account(
        &self,
        session: &LinkSession,
        vendor: &SharedVendor,
        linked: LinkedAccount,
        arrives: AccountArrives,
    ) -> EngineResult<AccountId> {
        let manifest = vendor.manifest();
        let now = self.now();
        let _linking = self.linking.lock().await;
        let of = AccountsOf::User(session.client_id, session.user_id.clone());
        let before = self
            .store
            .list_accounts(of)
            .await?
            .into_iter()
            .map(|(a, _)| a)
            .find(|a| {
                a.integration == manifest.id && a.vendor_account_id == linked.vendor_account_id
            });
        if before.is_none() {
            // There was room when the session began; others may have filled it since.
            self.require_free_connection(session.client_id).await?;
        }
        let rows = manifest
            .brands
            .iter()
            .filter(|brand| {
                let chosen = session.progress.vendor.as_ref().or(session.vendor.as_ref());
                !manifest.is_one_brand_per_account
                    || chosen.is_some_and(|name| name.as_str() == brand.vendor)
            })
            .flat_map(|brand| {
                let vendor: Option<VendorName> = brand.vendor.parse().ok();
                kinds_of(brand, &session.kinds())
                    .into_iter()
                    .filter_map(move |kind| {
                        Some(LinkedVendor {
                            vendor: vendor.clone()?,
                            kind,
                        })
                    })
            });
        let is_known = before.is_some();
        let mut account = before.unwrap_or_else(|| Account {
            id: AccountId::new(now, self.entropy.as_ref()),
            client_id: session.client_id,
            user_id: session.user_id.clone(),
            integration: manifest.id.to_owned(),
            vendor_account_id: linked.vendor_account_id.clone(),
            linked: Vec::new(),
            scopes: Vec::new(),
            status: AccountStatus::Active,
            created_at: now,
            listed_at: None,
            credentials_version: 0,
        });
        for row in rows {
            if !account.linked.contains(&row) {
                account.linked.push(row);
            }
        }
        for scope in &session.scopes {
            if !account.scopes.contains(scope) {
                account.scopes.push(*scope);
            }
        }
        account.status = AccountStatus::Active;
        account.listed_at = None;
        let from_credentials = is_known.then_some(account.credentials_version);
        account.credentials_version += 1;
        let id = account.id;
        let guard = self.fleet.lock_for_commit(id).await;
        let mut unit = self.unit_about(id, &Letter::Linked { account: id })?;
        unit.accounts.push(AccountChange::Save {
            account,
            from_credentials,
            credentials: CredentialsChange::Replace(self.seal_credentials(id, &linked.credentials)),
            // The first fetch is made while the user waits; the loop comes only if that breaks off.
            schedule: Some(AccountSchedule::new(
                now.saturating_add(FIRST_FETCH_GRACE).ok(),
            )),
        });
        unit.link_session = Some((
            session.id,
            match arrives {
                AccountArrives::Now => LinkState::Done { account: id },
                AccountArrives::Later => LinkState::Waiting { account: id },
            },
        ));
        self.commit(session.client_id, unit).await?;
        drop(guard);
        tracing::info!(account.id = %id, integration = manifest.id, "account linked");
        Ok(id)
    }

    /// The first fetch, so that devices can be listed as soon as the user is back in the app, and
    /// the request to be pushed to.
    async fn greet_account(&self, id: AccountId, vendor: &SharedVendor) {
        if let Err(error) = self.reload_account(id).await {
            tracing::error!(account.id = %id, error = %error, "linked account not scheduled");
        }
        if !self.owns(id) {
            // Its owner does the rest, and has heard of it.
            return self.wait_for_listing(id).await;
        }
        if vendor.manifest().reads != ReadShape::PushOnly {
            self.poll_account(id, Trigger::Link).await;
            self.subscribe(id, vendor).await;
        }
    }

    /// Waits until the owner of an account has listed its devices, or for as long as a user does.
    async fn wait_for_listing(&self, id: AccountId) {
        let began = std::time::Instant::now();
        while began.elapsed() < PATIENCE {
            match self.store.find_account(id).await {
                Ok(Some((account, _))) if account.listed_at.is_none() => {}
                _ => return,
            }
            tokio::time::sleep(GLANCE).await;
        }
        tracing::info!(account.id = %id, "the owner of an account just linked did not list it in time");
    }

    pub(crate) fn seal_credentials(&self, id: AccountId, credentials: &Secret) -> Vec<u8> {
        self.vault
            .seal(credentials.reveal(), &id.to_string(), self.entropy.as_ref())
    }
}

/// When the devices of an account just linked can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AccountArrives {
    Now,
    Later,
}
