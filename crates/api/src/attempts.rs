//! Attempts to prove an identity: clients asking for a token, stations connecting.
//!
//! The secrets are random and far too long to be guessed, so what has to be kept in bounds is the
//! cost of trying, and nobody may be locked out by somebody else's tries:
//!
//! - Failures are counted for an identity *at an address*, and for an address. Once too many are on
//!   the book, further attempts are refused unseen until some time has passed.
//! - Whoever proved themselves before is known by a keyed digest of what they showed, and is neither
//!   refused for the failures of others nor made to wait behind them. It is no proof: the secret is
//!   checked all the same.
//! - Checks that cost much run on threads of their own, few at a time. A check is seen to its end
//!   and holds its place until then, even if the caller has gone away.
//!
//! All of it is in memory, bounded, and forgotten at a restart.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZero,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    extract::ConnectInfo,
    http::{Extensions, request::Parts},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use livewatt_domain::{SignedDuration, Timestamp, entropy::Entropy};
use sha2::Sha256;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{ApiError, ApiResult};

/// How many failures in a row are let pass, and how soon one of them is forgotten.
#[derive(Debug, Clone, Copy)]
struct Patience {
    failures: u32,
    forgotten_after: Duration,
}

/// For an identity at an address: ten, then one in six seconds.
const OF_IDENTITY: Patience = Patience {
    failures: 10,
    forgotten_after: Duration::from_secs(6),
};
/// For an address, over all clients: thirty, then one a second.
const OF_ADDRESS: Patience = Patience {
    failures: 30,
    forgotten_after: Duration::from_secs(1),
};
/// Attempts that may wait for a place to be checked.
const QUEUE: usize = 128;
/// Entries of each book. Beyond that, those to whom nothing is held against go; if all are on
/// record, so many attack at once that only the number of places to be checked can hold them.
const MOST: usize = 20_000;

type Digest = [u8; 32];

/// What somebody wants to come in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// A client asking for a token: the check takes tens of milliseconds and megabytes.
    Token,
    /// A station connecting: the check is cheap.
    Station,
}

/// Somebody at a door with something to show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    door: Door,
    identity: Digest,
    shown: Digest,
    address: IpAddr,
}

/// The book of attempts.
#[derive(Debug)]
pub(crate) struct Attempts {
    key: Digest,
    book: Mutex<Book>,
    /// Places for those who are known.
    known: Arc<Semaphore>,
    /// Places for all others.
    strangers: Arc<Semaphore>,
    /// Places to wait in.
    queue: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Book {
    known: HashMap<Digest, Digest>,
    of_identity: HashMap<(Digest, IpAddr), Failures>,
    of_address: HashMap<IpAddr, Failures>,
}

/// Failures that are remembered.
#[derive(Debug, Clone, Copy)]
struct Failures {
    count: f64,
    at: Timestamp,
}

/// Leave to be checked. It counts as a failure until told otherwise.
#[derive(Debug)]
pub(crate) struct Admission {
    attempts: Arc<Attempts>,
    claim: Claim,
    is_charged: bool,
    _place: Option<OwnedSemaphorePermit>,
}

impl Attempts {
    pub(crate) fn new(entropy: &dyn Entropy) -> Self {
        let mut key = Digest::default();
        entropy.fill(&mut key);
        let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
        let places = || Arc::new(Semaphore::new(cores.div_ceil(2)));
        Self {
            key,
            book: Mutex::default(),
            known: places(),
            strangers: places(),
            queue: Arc::new(Semaphore::new(QUEUE)),
        }
    }

    /// What somebody at `address` claims.
    pub(crate) fn claim(&self, door: Door, id: &str, secret: &str, address: IpAddr) -> Claim {
        let identity = self.digest(&[&[door as u8], id.as_bytes()]);
        Claim {
            door,
            identity,
            shown: self.digest(&[&identity, secret.as_bytes()]),
            address,
        }
    }

    /// Leave to be checked, after waiting for a place; or a refusal that says when to come again.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        claim: Claim,
        now: impl Fn() -> Timestamp + Send,
    ) -> ApiResult<Admission> {
        let is_charged = !self.is_known(&claim);
        let place = if !is_charged {
            self.place(&claim, &self.known).await?
        } else {
            // Once before waiting, for those who need not wait, and once more after.
            refuse(self.book().time_left(&claim, now()))?;
            let place = {
                let waiting = self.queue.clone().try_acquire_owned();
                let _waiting = waiting.map_err(|_| ApiError::TooManyAttempts(BUSY))?;
                self.place(&claim, &self.strangers).await?
            };
            let mut book = self.book();
            let now = now();
            refuse(book.time_left(&claim, now))?;
            book.note_failure(&claim, now);
            place
        };
        Ok(Admission {
            attempts: self.clone(),
            claim,
            is_charged,
            _place: place,
        })
    }

    async fn place(
        &self,
        claim: &Claim,
        places: &Arc<Semaphore>,
    ) -> ApiResult<Option<OwnedSemaphorePermit>> {
        match claim.door {
            Door::Station => Ok(None),
            Door::Token => places
                .clone()
                .acquire_owned()
                .await
                .map(Some)
                .map_err(|_| ApiError::Stopping),
        }
    }

    fn is_known(&self, claim: &Claim) -> bool {
        self.book().known.get(&claim.identity) == Some(&claim.shown)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn digest(&self, parts: &[&[u8]]) -> Digest {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }
}

/// When to come again where all places to wait in are taken.
const BUSY: Duration = Duration::from_secs(5);

impl Admission {
    /// The claim was right: nothing is held against it, and it is known from now on.
    pub(crate) fn was_right(self) {
        let mut book = self.attempts.book();
        if self.is_charged {
            book.forgive(&self.claim);
        }
        make_room(&mut book.known, |_| false);
        book.known.insert(self.claim.identity, self.claim.shown);
    }

    /// The claim was wrong.
    pub(crate) fn was_wrong(self, now: Timestamp) {
        // Right once, before the secret was changed.
        if !self.is_charged {
            let mut book = self.attempts.book();
            book.known.remove(&self.claim.identity);
            book.note_failure(&self.claim, now);
        }
    }

    /// Nobody can tell, for something of ours failed.
    pub(crate) fn was_unknown(self) {
        if self.is_charged {
            self.attempts.book().forgive(&self.claim);
        }
    }
}

impl Book {
    /// How long a claim has to wait; nothing if it may be checked now.
    fn time_left(&self, claim: &Claim, now: Timestamp) -> Option<Duration> {
        let of_identity = self.of_identity.get(&(claim.identity, claim.address));
        let of_address = match claim.door {
            Door::Token => self.of_address.get(&claim.address),
            // A site's stations come by one address, and all at once after a restart.
            Door::Station => None,
        };
        let waits = [
            of_identity.and_then(|failures| failures.time_left(OF_IDENTITY, now)),
            of_address.and_then(|failures| failures.time_left(OF_ADDRESS, now)),
        ];
        waits.into_iter().flatten().max()
    }

    fn note_failure(&mut self, claim: &Claim, now: Timestamp) {
        let key = (claim.identity, claim.address);
        note(&mut self.of_identity, key, OF_IDENTITY, now);
        if claim.door == Door::Token {
            note(&mut self.of_address, claim.address, OF_ADDRESS, now);
        }
    }

    fn forgive(&mut self, claim: &Claim) {
        let of_identity = self.of_identity.get_mut(&(claim.identity, claim.address));
        let of_address = self.of_address.get_mut(&claim.address);
        for failures in of_identity.into_iter().chain(of_address) {
            failures.count = (failures.count - 1.0).max(0.0);
        }
    }
}

impl Failures {
    fn left(&self, patience: Patience, now: Timestamp) -> f64 {
        let gone = now.duration_since(self.at).max(SignedDuration::ZERO);
        (self.count - gone.as_secs_f64() / patience.forgotten_after.as_secs_f64()).max(0.0)
    }

    fn time_left(&self, patience: Patience, now: Timestamp) -> Option<Duration> {
        let excess = self.left(patience, now) - f64::from(patience.failures - 1);
        (excess > 0.0).then(|| patience.forgotten_after.mul_f64(excess))
    }
}

fn note<K: Eq + Hash>(book: &mut HashMap<K, Failures>, key: K, patience: Patience, now: Timestamp) {
    make_room(book, |failures| failures.left(patience, now) > 0.0);
    let failures = book.entry(key).or_insert(Failures {
        count: 0.0,
        at: now,
    });
    failures.count = failures.left(patience, now) + 1.0;
    failures.at = now;
}

fn make_room<K: Eq + Hash, V>(book: &mut HashMap<K, V>, is_needed: impl Fn(&V) -> bool) {
    if book.len() >= MOST {
        book.retain(|_, value| is_needed(value));
    }
    if book.len() >= MOST {
        book.clear();
    }
}

fn refuse(time_left: Option<Duration>) -> ApiResult<()> {
    time_left.map_or(Ok(()), |wait| Err(ApiError::TooManyAttempts(wait)))
}

/// Where a request comes from: who sits behind one router counts as one.
pub(crate) fn address_of(parts: &Parts) -> IpAddr {
    address_in(&parts.extensions)
}

/// The same, of a request's extensions.
pub(crate) fn address_in(extensions: &Extensions) -> IpAddr {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    match peer.map(|ConnectInfo(peer)| peer.ip().to_canonical()) {
        None => Ipv4Addr::UNSPECIFIED.into(),
        Some(IpAddr::V4(ip)) => ip.into(),
        // A household or a machine is given a whole /64.
        Some(IpAddr::V6(ip)) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use livewatt_domain::{
        clock::{Clock as _, ManualClock},
        entropy::SeededEntropy,
    };

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    /// A book with its own time.
    struct Desk {
        attempts: Arc<Attempts>,
        clock: ManualClock,
    }

    impl Desk {
        fn new() -> Self {
            Self {
                attempts: Arc::new(Attempts::new(&SeededEntropy::new(1))),
                clock: ManualClock::starting_at(Timestamp::UNIX_EPOCH),
            }
        }

        fn claim(&self, door: Door, id: &str, secret: &str, address: IpAddr) -> Claim {
            self.attempts.claim(door, id, secret, address)
        }

        async fn admit(&self, claim: Claim) -> ApiResult<Admission> {
            self.attempts.admit(claim, || self.clock.now()).await
        }

        async fn fail(&self, claim: Claim, times: u32) {
            for _ in 0..times {
                self.admit(claim).await.unwrap().was_wrong(self.clock.now());
            }
        }

        fn wait(&self, time: Duration) {
            self.clock.advance(time.try_into().unwrap());
        }
    }

    fn wait(refused: ApiResult<Admission>) -> Duration {
        match refused {
            Err(ApiError::TooManyAttempts(wait)) => wait,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn failures_are_held_against_an_identity_at_an_address() {
        for door in [Door::Token, Door::Station] {
            let desk = Desk::new();
            let guess = |address| desk.claim(door, "ann", "guess", address);
            desk.fail(guess(HERE), OF_IDENTITY.failures).await;
            let left = wait(desk.admit(guess(HERE)).await);
            assert_eq!(left, OF_IDENTITY.forgotten_after);
            // Neither somewhere else nor of somebody else.
            desk.fail(guess(THERE), 1).await;
            let other = desk.claim(door, "bob", "guess", HERE);
            desk.fail(other, 1).await;
            desk.wait(left);
            desk.fail(guess(HERE), 1).await;
            wait(desk.admit(guess(HERE)).await);
        }
    }

    #[tokio::test]
    async fn who_was_right_before_is_never_refused_for_others() {
        let desk = Desk::new();
        let owner = desk.claim(Door::Token, "ann", "secret", HERE);
        desk.admit(owner).await.unwrap().was_right();
        let guess = desk.claim(Door::Token, "ann", "guess", HERE);
        desk.fail(guess, OF_IDENTITY.failures).await;
        wait(desk.admit(guess).await);
        for _ in 0..100 {
            desk.admit(owner).await.unwrap().was_right();
        }
        // The secret was changed: the old one is a guess like any other.
        for _ in 0..=OF_IDENTITY.failures {
            if let Ok(admission) = desk.admit(owner).await {
                admission.was_wrong(desk.clock.now());
            }
        }
        wait(desk.admit(owner).await);
    }

    #[tokio::test]
    async fn an_address_that_tries_many_identities_is_slowed_down() {
        let desk = Desk::new();
        for number in 0..OF_ADDRESS.failures {
            let guess = desk.claim(Door::Token, &number.to_string(), "guess", HERE);
            desk.fail(guess, 1).await;
        }
        let guess = desk.claim(Door::Token, "another", "guess", HERE);
        assert_eq!(wait(desk.admit(guess).await), OF_ADDRESS.forgotten_after);
        // A site full of stations is not.
        for number in 0..1000 {
            let station = desk.claim(Door::Station, &number.to_string(), "x", THERE);
            desk.admit(station).await.unwrap().was_right();
        }
    }

    #[tokio::test]
    async fn what_failed_on_our_side_is_held_against_nobody() {
        let desk = Desk::new();
        let claim = desk.claim(Door::Token, "ann", "secret", HERE);
        for _ in 0..100 {
            desk.admit(claim).await.unwrap().was_unknown();
        }
    }

    #[tokio::test]
    async fn strangers_wait_for_each_other_and_not_for_ever() {
        let desk = Desk::new();
        let owner = desk.claim(Door::Token, "ann", "secret", HERE);
        desk.admit(owner).await.unwrap().was_right();
        let places = desk.attempts.strangers.available_permits();
        let guess = |number: usize| {
            let address = Ipv4Addr::from_bits(number as u32).into();
            desk.claim(Door::Token, "ann", "guess", address)
        };
        let mut inside = Vec::new();
        for number in 0..places {
            inside.push(desk.admit(guess(number)).await.unwrap());
        }
        let waiting: Vec<_> = (0..QUEUE)
            .map(|number| {
                let (attempts, clock) = (desk.attempts.clone(), desk.clock.clone());
                let claim = guess(places + number);
                tokio::spawn(async move { attempts.admit(claim, || clock.now()).await })
            })
            .collect();
        while desk.attempts.queue.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(wait(desk.admit(guess(9999)).await), BUSY);
        desk.admit(owner).await.unwrap().was_right();
        for admission in inside {
            admission.was_wrong(desk.clock.now());
        }
        for admitted in waiting {
            admitted.await.unwrap().unwrap().was_wrong(desk.clock.now());
        }
    }

    #[test]
    fn books_stay_small() {
        let mut book = HashMap::new();
        let now = Timestamp::UNIX_EPOCH;
        for number in 0..3 * MOST {
            note(&mut book, number, OF_ADDRESS, now);
            assert!(book.len() <= MOST);
        }
    }
}
