//! Locations: the places of end users.

use livewatt_domain::{
    id::{ClientId, LocationId, UserId},
    location::{Location, MOST_PER_USER, Position},
    zone::Zone,
};
use livewatt_store::{LocationPatch, Page, PageRequest, StoreError};

use crate::{Engine, EngineError, EngineResult, Issue};

/// Longest name of anything that customers name, in characters.
pub(crate) const LONGEST_NAME: usize = 256;

/// What a Location is to be; in a change, what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct LocationInput {
    /// What it is called.
    pub name: Option<String>,
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
    /// IANA name of its time zone.
    pub timezone_name: Option<String>,
}

impl LocationInput {
    fn checked(self) -> EngineResult<LocationPatch> {
        let mut issues = Vec::new();
        if let Some(name) = &self.name {
            issues.extend(name_issue("name", name));
        }
        for (path, degrees, most) in [
            ("latitude", self.latitude, 90.0),
            ("longitude", self.longitude, 180.0),
        ] {
            if degrees.is_some_and(|degrees: f64| !(-most..=most).contains(&degrees)) {
                issues.push(Issue::new(path, format!("must be from -{most} to {most}")));
            }
        }
        let zone = match self.timezone_name.map(|name| name.parse::<Zone>()) {
            Some(Err(error)) => {
                issues.push(Issue::new("timezoneName", error.to_string()));
                None
            }
            zone => zone.and_then(Result::ok),
        };
        match issues.is_empty() {
            true => Ok(LocationPatch {
                name: self.name,
                latitude: self.latitude,
                longitude: self.longitude,
                zone,
            }),
            false => Err(EngineError::Invalid(issues)),
        }
    }
}

/// What is wrong with a name, if anything.
pub(crate) fn name_issue(path: &str, name: &str) -> Option<Issue> {
    if name.chars().count() > LONGEST_NAME {
        let message = format!("must have at most {LONGEST_NAME} characters");
        Some(Issue::new(path, message))
    } else if name.contains(char::is_control) {
        Some(Issue::new(path, "must not contain control characters"))
    } else {
        None
    }
}

impl Engine {
    /// A client's Locations, newest first; of one user if given.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_locations(
        &self,
        client: ClientId,
        user: Option<UserId>,
        page: PageRequest,
    ) -> EngineResult<Page<Location>> {
        Ok(self.store.list_locations(client, user, page).await?)
    }

    /// A Location of a client.
    ///
    /// # Errors
    /// [`EngineError::LocationNotFound`], or if the database fails.
    pub async fn get_location(&self, client: ClientId, id: &str) -> EngineResult<Location> {
        let found = self.store.find_location(client, location_id(id)?).await?;
        found.ok_or_else(|| not_found(id))
    }

    /// Makes a Location; devices that stand there follow.
    ///
    /// # Errors
    /// [`EngineError::Invalid`], [`EngineError::UserNotFound`], [`EngineError::Precondition`] if
    /// the user has too many, or if the database fails.
    pub async fn create_location(
        &self,
        client: ClientId,
        user: &UserId,
        input: LocationInput,
    ) -> EngineResult<Location> {
        let input = input.checked()?;
        let now = self.now();
        let location = Location {
            id: LocationId::new(now, self.entropy.as_ref()),
            client_id: client,
            user_id: user.clone(),
            name: input.name.ok_or_else(|| missing("name"))?,
            position: Position {
                latitude: input.latitude.ok_or_else(|| missing("latitude"))?,
                longitude: input.longitude.ok_or_else(|| missing("longitude"))?,
            },
            zone: input.zone.unwrap_or_default(),
            created_at: now,
        };
        match self.store.create_location(location.clone()).await {
            Ok(true) => {}
            Ok(false) => {
                return Err(EngineError::Precondition {
                    detail: format!("A user can have at most {MOST_PER_USER} locations."),
                });
            }
            Err(StoreError::Conflict) => return Err(EngineError::UserNotFound(user.to_string())),
            Err(error) => return Err(error.into()),
        }
        self.announce_places(client, user);
        Ok(location)
    }

    /// Changes a Location; devices follow if it moved.
    ///
    /// # Errors
    /// [`EngineError::Invalid`], [`EngineError::LocationNotFound`], or if the database fails.
    pub async fn update_location(
        &self,
        client: ClientId,
        id: &str,
        input: LocationInput,
    ) -> EngineResult<Location> {
        let patch = input.checked()?;
        let changed = self.store.update_location(client, location_id(id)?, patch);
        let location = changed.await?.ok_or_else(|| not_found(id))?;
        self.announce_places(client, &location.user_id);
        Ok(location)
    }

    /// Deletes a Location and returns it as it was; devices that stood there stand nowhere, or at
    /// another one near by.
    ///
    /// # Errors
    /// [`EngineError::LocationNotFound`], or if the database fails.
    pub async fn delete_location(&self, client: ClientId, id: &str) -> EngineResult<Location> {
        let deleted = self.store.delete_location(client, location_id(id)?);
        let location = deleted.await?.ok_or_else(|| not_found(id))?;
        self.announce_places(client, &location.user_id);
        Ok(location)
    }
}

/// An ID of a Location; one that is none is the ID of no Location.
pub(crate) fn location_id(id: &str) -> EngineResult<LocationId> {
    id.parse().map_err(|_| not_found(id))
}

pub(crate) fn not_found(id: &str) -> EngineError {
    EngineError::LocationNotFound(id.chars().take(64).collect())
}

fn missing(path: &str) -> EngineError {
    EngineError::invalid(path, "is required")
}
