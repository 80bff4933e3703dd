//! Access tokens seen a moment ago: asked for at every request, they need not be looked up each
//! time.
//!
//! Invariants:
//! - A token counts no longer than it lives, and is looked up again after [`GOOD_FOR`]: what
//!   another process revoked counts no longer than that.
//! - What this process revokes counts no more from then on, also if it was being looked up.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use livewatt_domain::{SignedDuration, Timestamp, id::ClientId};
use livewatt_store::StoredToken;

/// How long a look-up is good for.
const GOOD_FOR: SignedDuration = SignedDuration::from_secs(5);
/// Tokens held; when there are more, all are looked up anew.
const MOST: usize = 10_000;

/// Tokens seen a moment ago, by their hashes.
#[derive(Debug, Default)]
pub(crate) struct KnownTokens(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    tokens: HashMap<[u8; 32], Seen>,
    /// Rises whenever something is revoked.
    revocations: u64,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    client_id: ClientId,
    looked_up_at: Timestamp,
    expires_at: Timestamp,
}

impl KnownTokens {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose token it is, if that was looked up just now; else the number of revocations so far,
    /// to be given to [`Self::remember`].
    pub(crate) fn find(&self, hash: &[u8; 32], now: Timestamp) -> Result<ClientId, u64> {
        let known = self.known();
        let good = known.tokens.get(hash).filter(|seen| {
            let age = now.duration_since(seen.looked_up_at);
            now < seen.expires_at && !age.is_negative() && age < GOOD_FOR
        });
        good.map(|seen| seen.client_id).ok_or(known.revocations)
    }

    /// Remembers a token, unless something was revoked since it was begun to be looked up.
    pub(crate) fn remember(&self, token: &StoredToken, now: Timestamp, revocations: u64) {
        let mut known = self.known();
        if known.revocations != revocations {
            return;
        }
        if known.tokens.len() >= MOST {
            known.tokens.clear();
        }
        let seen = Seen {
            client_id: token.client_id,
            looked_up_at: now,
            expires_at: token.expires_at,
        };
        known.tokens.insert(token.hash, seen);
    }

    /// Forgets the tokens of a client.
    pub(crate) fn revoke(&self, client: ClientId) {
        let mut known = self.known();
        known.revocations += 1;
        known.tokens.retain(|_, seen| seen.client_id != client);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_counts_for_a_moment_while_it_lives_and_is_not_revoked() {
        let known = KnownTokens::default();
        let at = |second| Timestamp::constant(second, 0);
        let client_id = ClientId(uuid::Uuid::from_u128(1));
        let token = |number, expires| StoredToken {
            hash: [number; 32],
            client_id,
            expires_at: at(expires),
        };
        assert_eq!(known.find(&[1; 32], at(0)), Err(0));
        known.remember(&token(1, 100), at(0), 0);
        known.remember(&token(2, 3), at(0), 0);
        assert_eq!(known.find(&[1; 32], at(4)), Ok(client_id));
        assert_eq!(known.find(&[1; 32], at(5)), Err(0), "to be looked up again");
        assert_eq!(known.find(&[2; 32], at(3)), Err(0), "expired");
        assert_eq!(known.find(&[1; 32], at(-1)), Err(0), "the clock went back");
        known.revoke(client_id);
        assert_eq!(known.find(&[1; 32], at(1)), Err(1));
        known.remember(&token(1, 100), at(1), 0);
        assert_eq!(known.find(&[1; 32], at(1)), Err(1), "revoked meanwhile");
    }
}
