//! Who may speak for which account: access tokens, refresh tokens and OAuth codes of all clouds.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::{clock::Millis, random::Random};

/// Real time an OAuth code lives.
const CODE_LIFE: Duration = Duration::from_secs(600);
/// Expired access tokens are swept when there are this many more than after the last sweep.
const SWEEP_EVERY: usize = 4_096;

#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) account: String,
    /// The OAuth app it was given to.
    pub(crate) client: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) grant: Grant,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: String,
    pub(crate) issued: Instant,
}

#[derive(Debug)]
pub(crate) struct Tokens {
    random: Random,
    access: HashMap<String, (Grant, Millis)>,
    refresh: HashMap<String, Grant>,
    codes: HashMap<String, Code>,
    sweep_at: usize,
}

impl Tokens {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            access: HashMap::new(),
            refresh: HashMap::new(),
            codes: HashMap::new(),
            sweep_at: SWEEP_EVERY,
        }
    }

    pub(crate) fn issue_access(
        &mut self,
        prefix: &str,
        grant: Grant,
        now: Millis,
        lifetime: Millis,
    ) -> String {
        if self.access.len() >= self.sweep_at {
            self.access.retain(|_, (_, until)| *until > now);
            self.sweep_at = self.access.len() + SWEEP_EVERY;
        }
        let token = self.invent(prefix);
        self.access.insert(token.clone(), (grant, now + lifetime));
        token
    }

    pub(crate) fn issue_refresh(&mut self, prefix: &str, grant: Grant) -> String {
        let token = self.invent(prefix);
        self.refresh.insert(token.clone(), grant);
        token
    }

    pub(crate) fn issue_code(
        &mut self,
        grant: Grant,
        redirect_uri: &str,
        challenge: &str,
    ) -> String {
        let code = self.invent("vac_");
        self.codes
            .retain(|_, code| code.issued.elapsed() < CODE_LIFE);
        self.codes.insert(
            code.clone(),
            Code {
                grant,
                redirect_uri: redirect_uri.into(),
                challenge: challenge.into(),
                issued: Instant::now(),
            },
        );
        code
    }

    /// The living grant of an access token.
    pub(crate) fn access(&self, token: &str, now: Millis) -> Option<Grant> {
        self.access
            .get(token)
            .filter(|(_, until)| *until > now)
            .map(|(grant, _)| grant.clone())
    }

    pub(crate) fn refresh(&self, token: &str) -> Option<Grant> {
        self.refresh.get(token).cloned()
    }

    pub(crate) fn drop_refresh(&mut self, token: &str) {
        self.refresh.remove(token);
    }

    /// Takes a code; it works once, whatever becomes of it.
    pub(crate) fn take_code(&mut self, code: &str) -> Option<Code> {
        self.codes
            .remove(code)
            .filter(|code| code.issued.elapsed() < CODE_LIFE)
    }

    pub(crate) fn revoke_account(&mut self, account: &str) {
        self.access.retain(|_, (grant, _)| grant.account != account);
        self.codes.retain(|_, code| code.grant.account != account);
        self.revoke_refresh(account);
    }

    /// Ends access tokens as their time would; refresh tokens live on.
    pub(crate) fn expire_access(&mut self, account: &str) {
        self.access.retain(|_, (grant, _)| grant.account != account);
    }

    pub(crate) fn revoke_refresh(&mut self, account: &str) {
        self.refresh.retain(|_, grant| grant.account != account);
    }

    fn invent(&mut self, prefix: &str) -> String {
        format!("{prefix}{}", self.random.hex(2))
    }
}
