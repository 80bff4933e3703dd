//! Which Location a device stands at.
//!
//! A merge places a device by its user's Locations, which are held in memory ([`KnownPlaces`]), so
//! that a fetch that tells nothing new costs nothing. When a Location comes, moves or goes, the
//! change is noted with it in the store; [`Engine::place_due`] places the devices of that user anew,
//! account by account, each at the node that owns it.
//!
//! Invariants:
//! - A change is forgotten only once every account has been placed by it, or has a letter about it.
//! - Whoever places by a change reads the Locations anew, under the account's commit lock: a merge
//!   that went by what was known before is mended, and none comes after.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use livewatt_domain::{
    SignedDuration, Timestamp,
    account::{Account, AccountStatus},
    device::Device,
    hem,
    id::{AccountId, ClientId, DeviceId, LocationId, UserId},
    kind::DeviceKind,
    location::{Places, assign, of_document, place_anew},
    merge::Merged,
    stay::Stay,
};
use livewatt_store::{
    AccountsOf, DeviceChange, HemChange, LocationChange, StoreError, UnitOfWork, Wake,
};

use crate::{Engine, EngineError, EngineResult, cluster::Letter, energy::note_stay};

/// A look-up is good for so long even if nobody says that something changed: wake-ups can be lost.
const GOOD_FOR: SignedDuration = SignedDuration::from_mins(10);
/// Users whose Locations are held; when there are more, all are looked up anew.
const MOST: usize = 200_000;
/// Changes worked off in one step.
const BATCH: u32 = 100;
/// Longest wait for the owner of a device that is assigned to a Location.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// The Locations of users, as they were a moment ago.
#[derive(Debug, Default)]
pub(crate) struct KnownPlaces(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    users: HashMap<(ClientId, UserId), Held>,
    /// Rises whenever something is forgotten.
    changes: u64,
}

#[derive(Debug)]
struct Held {
    places: Arc<Places>,
    looked_up_at: Timestamp,
}

impl KnownPlaces {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The Locations of a user; else the number of changes so far, to be given to
    /// [`Self::remember`].
    fn find(&self, user: &(ClientId, UserId), now: Timestamp) -> Result<Arc<Places>, u64> {
        let known = self.known();
        let good = known.users.get(user).filter(|held| {
            let age = now.duration_since(held.looked_up_at);
            !age.is_negative() && age < GOOD_FOR
        });
        good.map(|held| held.places.clone()).ok_or(known.changes)
    }

    /// Remembers the Locations of a user, unless something changed since they were looked up.
    fn remember(
        &self,
        user: (ClientId, UserId),
        places: Arc<Places>,
        now: Timestamp,
        changes: u64,
    ) {
        let mut known = self.known();
        if known.changes != changes {
            return;
        }
        if known.users.len() >= MOST {
            known.users.clear();
        }
        let looked_up_at = now;
        let held = Held {
            places,
            looked_up_at,
        };
        known.users.insert(user, held);
    }

    /// Forgets the Locations of a user.
    fn forget_user(&self, user: &(ClientId, UserId)) {
        let mut known = self.known();
        known.changes += 1;
        known.users.remove(user);
    }

    /// Forgets the Locations of all users of a client.
    pub(crate) fn forget(&self, client: ClientId) {
        let mut known = self.known();
        known.changes += 1;
        known.users.retain(|(known, _), _| *known != client);
    }

    /// Forgets all: others may have changed them while nobody here had to know.
    pub(crate) fn forget_all(&self) {
        let mut known = self.known();
        known.changes += 1;
        known.users.clear();
    }
}

/// What changes devices beside what is observed of them.
#[derive(Debug, Clone, Copy)]
enum Change {
    /// This Location of their user is not what it was.
    Place(LocationId),
    /// The customer says where a device is.
    Assign(DeviceId, Option<LocationId>),
}

impl Engine {
    /// The Locations of a user.
    pub(crate) async fn places_of(
        &self,
        client: ClientId,
        user: &UserId,
    ) -> EngineResult<Arc<Places>> {
        let key = (client, user.clone());
        let changes = match self.known_places.find(&key, self.now()) {
            Ok(places) => return Ok(places),
            Err(changes) => changes,
        };
        let locations = self.store.locations_of_user(client, user.clone()).await?;
        let places = Arc::new(Places::of(&locations));
        let now = self.now();
        self.known_places
            .remember(key, places.clone(), now, changes);
        Ok(places)
    }

    /// The Locations of a user have changed, in the store: here, and for the other nodes.
    pub(crate) fn announce_places(&self, client: ClientId, user: &UserId) {
        self.known_places.forget_user(&(client, user.clone()));
        self.place_wake.notify_one();
        self.tell(Wake::Locations(client));
    }

    /// Another node says that Locations of a client have changed.
    pub(crate) fn take_place_wake(&self, client: ClientId) {
        self.known_places.forget(client);
        self.place_wake.notify_one();
    }

    /// Places devices by changes of Locations that nobody has followed yet, by so many of them at
    /// most that others get in between; returns their number. Call again until there are none.
    ///
    /// # Errors
    /// If the database fails; what was not done is done by the next step.
    pub async fn place_due(&self) -> EngineResult<usize> {
        let owned = self.ownership.owned();
        if owned.is_empty() {
            return Ok(0);
        }
        let changes = self.store.location_changes(owned, BATCH).await?;
        let count = changes.len();
        for change in changes {
            self.follow(&change).await?;
            let done = vec![change.number];
            self.store.forget_location_changes(done).await?;
        }
        Ok(count)
    }

    async fn follow(&self, change: &LocationChange) -> EngineResult<()> {
        let of = AccountsOf::User(change.client_id, change.user_id.clone());
        for (account, _) in self.store.list_accounts(of).await? {
            let location = change.location_id;
            if self.membership.is_none() || self.owns(account.id) {
                match self.place_here(account.id, location).await {
                    // Handed over since: its next owner does it.
                    Err(error) if error.is_fenced() && self.membership.is_some() => {}
                    placed => {
                        placed?;
                        continue;
                    }
                }
            }
            let account = account.id;
            let letter = Letter::Place { account, location };
            self.leave_letter(&letter).await?;
        }
        Ok(())
    }

    /// Places the devices of an account by its user's Locations, of which `changed` is not what it
    /// was.
    pub(crate) async fn place_here(&self, id: AccountId, changed: LocationId) -> EngineResult<()> {
        self.change_devices(id, Change::Place(changed)).await?;
        // Its clock may be another.
        self.schedules.remind_account(id, self.now());
        Ok(())
    }

    /// Says where a charger or an HVAC unit is, or that it is at no Location; returns its JSON.
    ///
    /// # Errors
    /// [`EngineError::DeviceNotFound`], [`EngineError::Invalid`] if its user has no such Location,
    /// [`EngineError::Precondition`] if the user took back the right to it, or if the database
    /// fails.
    pub async fn assign_location(
        &self,
        client: ClientId,
        kind: DeviceKind,
        id: &str,
        location: Option<LocationId>,
    ) -> EngineResult<String> {
        let device = self.get_device(client, kind, id).await?;
        self.check_location(client, &device.user_id, location)
            .await?;
        let (account, device_id) = (device.account_id, device.id);
        let mut is_done = false;
        if self.membership.is_none() || self.owns(account) {
            match self.assign_here(account, device_id, location).await {
                Err(error) if error.is_fenced() && self.membership.is_some() => {}
                assigned => {
                    assigned?;
                    is_done = true;
                }
            }
        }
        if !is_done {
            self.require_authorized(account).await?;
            let letter = Letter::Assign {
                account,
                device: device_id,
                location,
            };
            if !self.ask_owner(&letter, PATIENCE).await? {
                // Stored, and so it will be done: this is how it will be.
                let assigned = assign(&device, location, self.now()).device;
                return serde_json::to_string(&assigned.current_document())
                    .map_err(|error| EngineError::internal("a device cannot be printed", error));
            }
        }
        self.get_document(client, kind, id).await
    }

    /// The same at the owner of the device's account.
    pub(crate) async fn assign_here(
        &self,
        account: AccountId,
        device: DeviceId,
        location: Option<LocationId>,
    ) -> EngineResult<()> {
        self.require_authorized(account).await?;
        let change = Change::Assign(device, location);
        self.change_devices(account, change).await
    }

    async fn require_authorized(&self, account: AccountId) -> EngineResult<()> {
        let found = self.store.find_account(account).await?;
        match found {
            Some((account, _)) if account.status == AccountStatus::Deauthorized => {
                Err(EngineError::Precondition {
                    detail: "The user's authorization was deleted; the user must link again first."
                        .to_owned(),
                })
            }
            Some(_) => Ok(()),
            None => Err(EngineError::DeviceNotFound),
        }
    }

    pub(crate) async fn check_location(
        &self,
        client: ClientId,
        user: &UserId,
        location: Option<LocationId>,
    ) -> EngineResult<()> {
        let Some(id) = location else { return Ok(()) };
        match self.store.find_location(client, id).await? {
            Some(location) if location.user_id == *user => Ok(()),
            _ => Err(EngineError::invalid(
                "locationId",
                "is not the ID of a location of this user",
            )),
        }
    }

    /// What devices of an account become by a change. Called under the account's commit lock.
    async fn decide(
        &self,
        account: &Account,
        devices: &[Device],
        change: Change,
    ) -> EngineResult<Vec<Merged>> {
        let (client, user) = (account.client_id, &account.user_id);
        match change {
            Change::Place(changed) => {
                self.known_places.forget_user(&(client, user.clone()));
                let places = self.places_of(client, user).await?;
                let placed = devices.iter();
                let placed = placed.map(|device| place_anew(device, &places, changed));
                Ok(placed.collect())
            }
            Change::Assign(wanted, location) => {
                // Whoever deletes the Location after this look places the device anew.
                self.check_location(client, user, location).await?;
                let now = self.now();
                let wanted = devices.iter().filter(|device| device.id == wanted);
                Ok(wanted.map(|device| assign(device, location, now)).collect())
            }
        }
    }

    /// What becomes of the HEM systems of an account by the changes of its devices, with its events.
    async fn systems_by(
        &self,
        account: &Account,
        devices: &[Device],
        unit: &mut UnitOfWork,
    ) -> EngineResult<Vec<HemChange>> {
        let changed = |id: DeviceId| {
            let mut changes = unit.devices.iter();
            changes.find_map(|change| match change {
                DeviceChange::Update { device, .. } if device.id == id => Some(device),
                _ => None,
            })
        };
        if !unit.devices.iter().any(is_of_system) {
            return Ok(Vec::new());
        }
        let after = devices.iter();
        let after = after.map(|device| changed(device.id).unwrap_or(device));
        let after: Vec<&Device> = after.collect();
        self.settle_systems(account, None, &after, &[], &mut unit.events)
            .await
    }

    /// Changes devices of an account by nobody's observation: decides under the account's commit
    /// lock, and commits what is worth an event, with it. Silent for an account whose user took back
    /// the right to it: what its devices show is put right when it is linked again.
    async fn change_devices(&self, id: AccountId, change: Change) -> EngineResult<()> {
        let _guard = self.fleet.lock_for_commit(id).await;
        // As in a merge: the lock makes conflicts impossible on one node.
        for _ in 0..3 {
            let Some((account, devices)) = self.store.account_with_devices(id).await? else {
                return Ok(());
            };
            if account.status == AccountStatus::Deauthorized {
                return Ok(());
            }
            let devices: Vec<Device> = devices
                .into_iter()
                .map(|device| self.presence.overlay(device))
                .collect();
            let stood: HashMap<DeviceId, Option<LocationId>> = devices
                .iter()
                .map(|device| (device.id, of_document(&device.document)))
                .collect();
            let decided = self.decide(&account, &devices, change).await?;
            let now = self.now();
            let mut unit = UnitOfWork::new(Some(self.own_fence(id)?));
            for merged in decided.into_iter().filter(|m| !m.updated_fields.is_empty()) {
                let event = self
                    .event_maker(now)
                    .updated(&merged.device, &merged.updated_fields);
                unit.events.push(event);
                // From now on, however long it has stood there: it was not this Location's before.
                let location = of_document(&merged.device.document);
                if stood.get(&merged.device.id) != Some(&location) {
                    let stay = Stay {
                        since: now,
                        location,
                    };
                    note_stay(&mut unit.histories, merged.device.id, stay);
                }
                unit.devices.push(DeviceChange::Update {
                    from_version: merged.device.version - 1,
                    device: merged.device,
                });
            }
            unit.hem_systems = self.systems_by(&account, &devices, &mut unit).await?;
            let changed: Vec<DeviceId> = unit.devices.iter().filter_map(changed_device).collect();
            match self.commit(account.client_id, unit).await {
                Ok(()) => {
                    for device in changed {
                        self.presence.forget(device);
                        self.schedules.remind(id, device, now);
                    }
                    return Ok(());
                }
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
        Err(EngineError::internal(
            "a device changed again and again",
            StoreError::Conflict,
        ))
    }
}

/// Whether a device that changes is part of a HEM system.
fn is_of_system(change: &DeviceChange) -> bool {
    match change {
        DeviceChange::Update { device, .. } => hem::of_document(&device.document).is_some(),
        DeviceChange::Insert(_) | DeviceChange::Delete { .. } => false,
    }
}

fn changed_device(change: &DeviceChange) -> Option<DeviceId> {
    match change {
        DeviceChange::Update { device, .. } => Some(device.id),
        DeviceChange::Insert(_) | DeviceChange::Delete { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_up_is_good_until_something_changes() {
        let known = KnownPlaces::default();
        let at = |second| Timestamp::constant(second, 0);
        let client = |number| ClientId(uuid::Uuid::from_u128(number));
        let user = |number: u128| (client(number), "ada".parse().unwrap());
        let places = Arc::new(Places::default());
        assert_eq!(known.find(&user(1), at(0)), Err(0));
        known.remember(user(1), places.clone(), at(0), 0);
        known.remember(user(2), places.clone(), at(0), 0);
        assert_eq!(known.find(&user(1), at(599)), Ok(places.clone()));
        assert_eq!(known.find(&user(1), at(600)), Err(0), "looked up long ago");
        assert_eq!(known.find(&user(1), at(-1)), Err(0), "the clock went back");
        known.forget_user(&user(1));
        assert_eq!(known.find(&user(1), at(1)), Err(1));
        known.remember(user(1), places.clone(), at(1), 0);
        assert_eq!(known.find(&user(1), at(1)), Err(1), "changed meanwhile");
        known.forget(client(2));
        assert_eq!(known.find(&user(2), at(1)), Err(2));
        known.remember(user(2), places, at(1), 2);
        known.forget_all();
        assert_eq!(known.find(&user(2), at(1)), Err(3));
    }
}
