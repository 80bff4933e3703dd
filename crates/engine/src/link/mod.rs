//! Linking: sessions asked for by the customer, walked through by the end user.
//!
//! A session is found by the hash of its token, works for 24 hours and links one account. An
//! account linked before, by the same user at the same vendor, is taken up again with its devices
//! and their IDs.

pub(crate) mod attempts;
mod sign_in;

pub use attempts::LinkingStatus;

use livewatt_domain::{
    account::AccountStatus,
    id::{ClientId, LinkSessionId, UserId},
    intervention,
    kind::DeviceKind,
    link::{LinkProgress, LinkSession, LinkState, linkable_kinds},
    scope::Scope,
    vendor::VendorName,
};
use livewatt_store::AccountsOf;
use livewatt_vendors::{Brand, FormField, LinkProblem};
use url::Url;

use crate::{
    Engine, EngineError, EngineResult, Issue,
    clients::{hash_token, random_text},
    error::LinkSessionProblem,
    interventions::is_relink_due,
};

/// What a customer asks of a link session.
#[derive(Debug, Clone)]
pub struct LinkRequest {
    /// What to ask consent for; at least one.
    pub scopes: Vec<Scope>,
    /// Language of the pages.
    pub language: String,
    /// Where the browser goes at the end, at most 500 characters.
    pub redirect_uri: String,
    /// Skips the choice of a vendor.
    pub vendor: Option<String>,
    /// Restricts the choice to one kind of device.
    pub kind: Option<DeviceKind>,
    /// `system`, `light` or `dark`.
    pub color_scheme: String,
}

/// A session just made.
#[derive(Debug)]
pub struct LinkStarted {
    /// For browsers.
    pub link_url: String,
    /// The token in it, for apps.
    pub link_token: String,
}

/// A brand that the user may choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkChoice {
    /// The integration behind it.
    pub integration: &'static str,
    /// The contract's vendor name.
    pub vendor: &'static str,
    /// The brand as people spell it.
    pub display_name: String,
    /// Where the user signs in.
    pub portal_name: String,
    /// The kinds of device that would be linked.
    pub kinds: Vec<DeviceKind>,
}

/// What to show next.
#[derive(Debug)]
pub enum LinkStep {
    /// Send the browser to the vendor.
    Redirect(Url),
    /// Show a sign-in form.
    Form {
        /// Its fields.
        fields: Vec<FormField>,
        /// What was wrong with the last input.
        problem: Option<String>,
    },
    /// Show what to enter in the device, and whether it has come already.
    Instructions {
        /// Rows of label and value.
        rows: Vec<(&'static str, String)>,
    },
    /// The account is linked.
    Done,
    /// It did not work; the user may try again.
    Failed(LinkProblem),
}

impl Engine {
    /// Makes a link session, and the user if new.
    ///
    /// # Errors
    /// [`EngineError::Invalid`], [`EngineError::ConnectionLimit`], or if the database fails.
    pub async fn create_link_session(
        &self,
        client: ClientId,
        user: UserId,
        request: LinkRequest,
    ) -> EngineResult<LinkStarted> {
        let mut issues = check_redirect(&request.redirect_uri);
        if request.scopes.is_empty() {
            issues.push(Issue::new("scopes", "must name at least one scope"));
        }
        let kinds = linkable_kinds(&request.scopes, request.kind);
        if kinds.is_empty() && !request.scopes.is_empty() {
            issues.push(Issue::new(
                "scopes",
                "must contain the read:data scope of a device type",
            ));
        }
        let vendor = match request.vendor {
            None => None,
            Some(name) if livewatt_vendors::catalogue::is_known(&name) => name.parse().ok(),
            Some(_) => {
                issues.push(Issue::new("vendor", "is not a known vendor"));
                None
            }
        };
        if !issues.is_empty() {
            return Err(EngineError::Invalid(issues));
        }
        if let Some(vendor) = &vendor
            && self.choices(&kinds, Some(vendor)).is_empty()
        {
            return Err(EngineError::invalid(
                "vendor",
                "has no integration here for the requested device types",
            ));
        }
        self.require_free_connection(client).await?;
        let session = LinkSession {
            id: LinkSessionId::new(self.now(), self.entropy.as_ref()),
            client_id: client,
            user_id: user,
            scopes: request.scopes,
            language: request.language,
            redirect_uri: request.redirect_uri,
            color_scheme: request.color_scheme,
            vendor,
            kind: request.kind,
            relink: None,
            created_at: self.now(),
            state: LinkState::Open,
            progress: LinkProgress::default(),
        };
        self.store_session(session).await
    }

    /// Makes a session to link the account behind a device again: because its login works no more, or
    /// because that is what would remove something that stands in the device's way. What the user has
    /// not granted yet is asked for as well.
    ///
    /// # Errors
    /// [`EngineError::Invalid`], [`EngineError::Precondition`] if the device is unknown or there is no
    /// such reason, or if the database fails.
    pub async fn create_relink_session(
        &self,
        client: ClientId,
        asset: &str,
        language: String,
        redirect_uri: String,
        color_scheme: String,
    ) -> EngineResult<LinkStarted> {
        let issues = check_redirect(&redirect_uri);
        if !issues.is_empty() {
            return Err(EngineError::Invalid(issues));
        }
        let refused = |detail: &str| EngineError::Precondition {
            detail: detail.to_owned(),
        };
        let device = match asset.parse() {
            Ok(id) => self.store.find_device(client, id).await?,
            Err(_) => None,
        }
        .ok_or_else(|| refused("The asset is unknown"))?;
        let account = match self.store.find_account(device.account_id).await? {
            Some((account, _))
                if account.status != AccountStatus::Active || is_relink_due(&device) =>
            {
                account
            }
            _ => return Err(refused("The asset is already linked")),
        };
        let mut scopes = account.scopes.clone();
        scopes.extend(intervention::missing_scopes(
            device.kind(),
            &device.document,
        ));
        let session = LinkSession {
            id: LinkSessionId::new(self.now(), self.entropy.as_ref()),
            client_id: client,
            user_id: account.user_id.clone(),
            scopes,
            language,
            redirect_uri,
            color_scheme,
            vendor: Some(device.vendor),
            kind: None,
            relink: Some(account.id),
            created_at: self.now(),
            state: LinkState::Open,
            progress: LinkProgress {
                integration: Some(account.integration),
                ..LinkProgress::default()
            },
        };
        self.store_session(session).await
    }

    /// How well linking by an integration works.
    pub fn linking_status(&self, integration: &str) -> LinkingStatus {
        self.link_attempts.status(integration, self.now())
    }

    /// The session of a token, if it can still be used.
    ///
    /// # Errors
    /// [`EngineError::LinkSession`], or if the database fails.
    pub async fn link_session(&self, token: &str) -> EngineResult<LinkSession> {
        let session = self
            .store
            .find_link_session(hash_token(token))
            .await?
            .ok_or(EngineError::LinkSession(LinkSessionProblem::Unknown))?;
        if matches!(session.state, LinkState::Done { .. }) {
            return Err(EngineError::LinkSession(LinkSessionProblem::Used));
        }
        if self.now() >= session.expires_at() {
            return Err(EngineError::LinkSession(LinkSessionProblem::Expired));
        }
        Ok(session)
    }

    /// The session of a token whatever its state: for the page that follows a success.
    ///
    /// # Errors
    /// [`EngineError::LinkSession`] if there is none, or if the database fails.
    pub async fn any_link_session(&self, token: &str) -> EngineResult<LinkSession> {
        self.store
            .find_link_session(hash_token(token))
            .await?
            .ok_or(EngineError::LinkSession(LinkSessionProblem::Unknown))
    }

    /// The brands that the user of a session may choose from.
    pub fn link_choices(&self, session: &LinkSession) -> Vec<LinkChoice> {
        let mut choices = self.choices(&session.kinds(), session.vendor.as_ref());
        if session.relink.is_some() {
            let integration = session.progress.integration.as_deref();
            choices.retain(|choice| Some(choice.integration) == integration);
        }
        choices
    }

    /// The name of the customer that asked for a session.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn link_client_name(&self, session: &LinkSession) -> EngineResult<String> {
        let found = self.store.find_client(session.client_id).await?;
        Ok(found.map(|(client, _)| client.name).unwrap_or_default())
    }

    /// Notes that the user consented to the scopes of the session.
    ///
    /// # Errors
    /// [`EngineError::LinkSession`], or if the database fails.
    pub async fn link_consent(&self, token: &str) -> EngineResult<LinkSession> {
        let mut session = self.link_session(token).await?;
        session.progress.consented = true;
        self.store.save_link_progress(session.clone()).await?;
        Ok(session)
    }

    /// Notes which brand the user chose.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] if it is not among the choices, [`EngineError::LinkSession`], or
    /// if the database fails.
    pub async fn link_choose(
        &self,
        token: &str,
        integration: &str,
        vendor: &str,
    ) -> EngineResult<LinkSession> {
        let mut session = self.link_session(token).await?;
        let chosen = self
            .link_choices(&session)
            .into_iter()
            .find(|choice| choice.integration == integration && choice.vendor == vendor)
            .ok_or_else(|| EngineError::invalid("vendor", "is not among the choices"))?;
        session.progress.integration = Some(chosen.integration.to_owned());
        session.progress.vendor = chosen.vendor.parse().ok();
        session.progress.sign_in = None;
        self.store.save_link_progress(session.clone()).await?;
        Ok(session)
    }

    fn choices(&self, kinds: &[DeviceKind], vendor: Option<&VendorName>) -> Vec<LinkChoice> {
        let mut choices = Vec::new();
        for (integration, brand) in self.vendors.brands() {
            let offered = kinds_of(brand, kinds);
            let is_wanted = vendor.is_none_or(|name| name.as_str() == brand.vendor);
            if is_wanted && !offered.is_empty() {
                choices.push(LinkChoice {
                    integration: integration.manifest().id,
                    vendor: brand.vendor,
                    display_name: brand.display_name.clone(),
                    portal_name: brand.portal_name.clone(),
                    kinds: offered,
                });
            }
        }
        choices
    }

    async fn require_free_connection(&self, client: ClientId) -> EngineResult<()> {
        let limit = self
            .store
            .find_client(client)
            .await?
            .and_then(|(c, _)| c.connection_limit);
        if let Some(limit) = limit {
            let used = self
                .store
                .list_accounts(AccountsOf::Client(client))
                .await?
                .len();
            if used >= limit as usize {
                return Err(EngineError::ConnectionLimit);
            }
        }
        Ok(())
    }

    async fn store_session(&self, session: LinkSession) -> EngineResult<LinkStarted> {
        let token = random_text(self.entropy.as_ref());
        self.store
            .create_link_session(session, hash_token(token.reveal()))
            .await?;
        let base = self.options.public_url.as_str().trim_end_matches('/');
        Ok(LinkStarted {
            link_url: format!("{base}/link/{}", token.reveal()),
            link_token: token.reveal().to_owned(),
        })
    }
}

fn kinds_of(brand: &Brand, kinds: &[DeviceKind]) -> Vec<DeviceKind> {
    brand
        .kinds
        .iter()
        .copied()
        .filter(|kind| kinds.contains(kind))
        .collect()
}

fn check_redirect(uri: &str) -> Vec<Issue> {
    const PATH: &str = "redirectUri";
    if uri.chars().count() > 500 {
        return vec![Issue::new(PATH, "must have at most 500 characters")];
    }
    // A parser drops or escapes them; the text as it was given is what is stored.
    if uri.contains(char::is_control) {
        return vec![Issue::new(PATH, "must not contain control characters")];
    }
    match Url::parse(uri) {
        Err(error) => vec![Issue::new(PATH, format!("is not a URI: {error}"))],
        Ok(url) => match url.scheme() {
            "about" => vec![Issue::new(PATH, "must not be about:blank")],
            // These would run or show what is in the URI itself.
            "javascript" | "data" | "vbscript" | "blob" | "file" => {
                vec![Issue::new(
                    PATH,
                    "has a scheme that browsers must not be sent to",
                )]
            }
            _ => Vec::new(),
        },
    }
}
