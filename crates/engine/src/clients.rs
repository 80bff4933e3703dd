//! Clients, their secrets and their access tokens.
//!
//! A client's secret is 256 random bits shown once; only its Argon2id hash is kept. Access tokens
//! are opaque; only their SHA-256 is kept, and a new secret revokes them all.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use livewatt_domain::{client::Client, entropy::Entropy, id::ClientId};
use livewatt_store::{AccountsOf, StoredToken, Wake};
use livewatt_vendors::Secret;
use sha2::{Digest as _, Sha256};

use crate::{Engine, EngineError, EngineResult};

/// An access token just issued.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token, shown this once.
    pub token: Secret,
    /// Real seconds until it ceases to work.
    pub expires_in: i64,
}

impl Engine {
    /// Creates a client and returns it with its secret, which cannot be had again.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn create_client(
        &self,
        name: &str,
        connection_limit: Option<u32>,
    ) -> EngineResult<(Client, Secret)> {
        let (client, secret, hash) = self.new_client(name, connection_limit).await?;
        self.store.create_client(client.clone(), hash).await?;
        Ok((client, secret))
    }

    /// The same, if there is no client yet.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn create_first_client(&self, name: &str) -> EngineResult<Option<(Client, Secret)>> {
        if !self.list_clients().await?.is_empty() {
            // Hashing a secret takes its time on purpose.
            return Ok(None);
        }
        let (client, secret, hash) = self.new_client(name, None).await?;
        let is_first = self.store.create_first_client(client.clone(), hash);
        Ok(is_first.await?.then_some((client, secret)))
    }

    /// A client, its secret and the hash of that.
    async fn new_client(
        &self,
        name: &str,
        connection_limit: Option<u32>,
    ) -> EngineResult<(Client, Secret, String)> {
        let now = self.now();
        let client = Client {
            id: ClientId::new(now, self.entropy.as_ref()),
            name: name.to_owned(),
            created_at: now,
            connection_limit,
        };
        let secret = random_text(self.entropy.as_ref());
        let hash = self.hash_secret(secret.clone()).await?;
        Ok((client, secret, hash))
    }

    /// All clients, newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_clients(&self) -> EngineResult<Vec<Client>> {
        Ok(self.store.list_clients().await?)
    }

    /// Gives a client a new secret and revokes its tokens; `None` if there is no such client.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn rotate_client_secret(&self, id: ClientId) -> EngineResult<Option<Secret>> {
        let secret = random_text(self.entropy.as_ref());
        let hash = self.hash_secret(secret.clone()).await?;
        let is_there = self.store.rotate_client_secret(id, hash).await?;
        self.known_tokens.revoke(id);
        self.tell(Wake::Tokens(id));
        Ok(is_there.then_some(secret))
    }

    /// Deletes a client and everything inside of it. False if there is no such client.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn delete_client(&self, id: ClientId) -> EngineResult<bool> {
        let accounts = self.store.list_accounts(AccountsOf::Client(id)).await?;
        let is_deleted = self.store.delete_client(id).await?;
        self.known_tokens.revoke(id);
        self.tell(Wake::Tokens(id));
        self.deliveries.forget_client(id);
        for (account, _) in accounts {
            self.fleet.remove(account.id, self.now());
            self.close_station(&account);
            self.forget_station(&account).await;
        }
        Ok(is_deleted)
    }

    /// Issues an access token for a client's ID and secret; `None` if they do not fit.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn issue_token(
        &self,
        client_id: &str,
        secret: Secret,
    ) -> EngineResult<Option<IssuedToken>> {
        let found = match client_id.parse::<ClientId>() {
            Ok(id) => self.store.find_client(id).await?,
            Err(_) => None,
        };
        let Some((client, hash)) = found else {
            // As long as it would have taken: who exists is nobody's business.
            self.hash_secret(secret).await?;
            return Ok(None);
        };
        if !verify_secret(secret, hash).await {
            return Ok(None);
        }
        let token = random_text(self.entropy.as_ref());
        let now = self.now();
        let lifetime = self.options.token_lifetime;
        let stored = StoredToken {
            hash: hash_token(token.reveal()),
            client_id: client.id,
            expires_at: now.saturating_add(lifetime).unwrap_or(now),
        };
        self.store.save_token(stored, now).await?;
        Ok(Some(IssuedToken {
            token,
            expires_in: self.clock.for_real(lifetime).as_secs(),
        }))
    }

    /// The client that a token belongs to; `None` if it is unknown or expired.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn authenticate(&self, token: &str) -> EngineResult<Option<ClientId>> {
        let (hash, now) = (hash_token(token), self.now());
        let revocations = match self.known_tokens.find(&hash, now) {
            Ok(client) => return Ok(Some(client)),
            Err(revocations) => revocations,
        };
        let found = self.store.find_token(hash, now).await?;
        if let Some(token) = &found {
            self.known_tokens.remember(token, now, revocations);
        }
        Ok(found.map(|token| token.client_id))
    }

    async fn hash_secret(&self, secret: Secret) -> EngineResult<String> {
        let mut salt = [0; 16];
        self.entropy.fill(&mut salt);
        // Argon2 works for tens of milliseconds on purpose: not on a thread that serves others.
        tokio::task::spawn_blocking(move || {
            let hash: PasswordHash =
                Argon2::default().hash_password_with_salt(secret.reveal().as_bytes(), &salt)?;
            Ok::<_, argon2::password_hash::Error>(hash.to_string())
        })
        .await
        .map_err(|error| EngineError::internal("hashing was interrupted", error))?
        .map_err(|error| EngineError::internal("the secret cannot be hashed", error.to_string()))
    }
}

async fn verify_secret(secret: Secret, hash: String) -> bool {
    tokio::task::spawn_blocking(move || {
        PasswordHash::new(&hash).is_ok_and(|hash| {
            Argon2::default()
                .verify_password(secret.reveal().as_bytes(), &hash)
                .is_ok()
        })
    })
    .await
    .unwrap_or(false)
}

/// A secret of 256 random bits as text.
pub(crate) fn random_text(entropy: &dyn Entropy) -> Secret {
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    Secret::new(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// What is kept of an opaque token.
pub(crate) fn hash_token(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
