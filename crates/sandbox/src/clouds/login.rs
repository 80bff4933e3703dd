//! Checking a password and giving out tokens: the same for all clouds, whatever they call it.

use crate::{
    clouds::{Cloud, Refusal, gate},
    control::types::TokenGrant,
    world::{World, tokens::Grant},
};

impl Cloud {
    /// Prefixes of access and refresh tokens.
    fn token_prefixes(self) -> (&'static str, &'static str) {
        match self {
            Cloud::Volta => ("vat_", "vrt_"),
            Cloud::Rivoli => ("rvs_", ""),
            Cloud::Helios => ("hxa_", "hxr_"),
        }
    }

    /// Life of an access token, seconds.
    pub(crate) fn token_life(self) -> i64 {
        match self {
            Cloud::Volta => 1_800,
            Cloud::Rivoli => 3_600,
            Cloud::Helios => 900,
        }
    }
}

/// The id of the account that a user name and password open.
pub(crate) fn check_password(
    world: &mut World,
    cloud: Cloud,
    username: &str,
    password: &str,
) -> Result<String, Refusal> {
    let id = world
        .find_account(cloud, username)
        .map(|account| account.id.clone());
    let account = id
        .and_then(|id| world.accounts.get_mut(&id))
        .ok_or(Refusal::BadLogin)?;
    if account.password == password {
        account.stats.logins += 1;
        Ok(account.id.clone())
    } else {
        account.stats.failed_logins += 1;
        Err(Refusal::BadLogin)
    }
}

/// A fresh access token, and a refresh token where the cloud has them.
pub(crate) fn grant(world: &mut World, cloud: Cloud, grant: Grant) -> TokenGrant {
    let (_, refresh_prefix) = cloud.token_prefixes();
    let refresh_token =
        (cloud != Cloud::Rivoli).then(|| world.tokens.issue_refresh(refresh_prefix, grant.clone()));
    TokenGrant {
        refresh_token,
        ..grant_access(world, cloud, grant)
    }
}

/// A fresh access token alone.
pub(crate) fn grant_access(world: &mut World, cloud: Cloud, grant: Grant) -> TokenGrant {
    let now = world.now();
    let (prefix, _) = cloud.token_prefixes();
    let lifetime = world.clock.lifetime(cloud.token_life());
    let access_token = world.tokens.issue_access(prefix, grant, now, lifetime);
    TokenGrant {
        access_token,
        refresh_token: None,
        expires_in: cloud.token_life(),
    }
}

/// The grant behind a living refresh token.
pub(crate) fn check_refresh(
    world: &mut World,
    cloud: Cloud,
    token: &str,
) -> Result<Grant, Refusal> {
    let grant = world.tokens.refresh(token).ok_or(Refusal::BadLogin)?;
    let right_cloud = world
        .accounts
        .get(&grant.account)
        .is_some_and(|a| a.cloud == cloud);
    if !right_cloud || gate::tokens_are_dead(world, cloud, &grant.account) {
        return Err(Refusal::BadLogin);
    }
    Ok(grant)
}
