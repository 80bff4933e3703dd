//! Locations: places of an end user, and which of them a device stands at.
//!
//! A device that tells its position is placed by it ([`Places::at`]); a charger or an HVAC
//! unit stands where the customer says ([`assign`]). Rules, each tested below:
//! - A device comes to a Location within [`ENTER_METRES`] of it; the nearest one wins.
//! - It leaves only beyond [`LEAVE_METRES`], and changes to another Location only if that is nearer
//!   by [`SWITCH_METRES`]: a position that jitters at an edge changes nothing.
//! - Without a position a device is nowhere, and so is one whose Location is gone.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    device::{Device, Document},
    id::{ClientId, LocationId, UserId},
    kind::DeviceKind,
    merge::{Merged, settled},
    time::wire,
    zone::Zone,
};

/// A device this near to a Location is there.
pub const ENTER_METRES: f64 = 200.0;
/// A device that was at a Location is there until it is farther away than this.
pub const LEAVE_METRES: f64 = 300.0;
/// A device that is at a Location goes over to another one only if that is nearer by this.
pub const SWITCH_METRES: f64 = 50.0;
/// Locations that a user can have: all of them are looked at when a position changes.
pub const MOST_PER_USER: u32 = 1_000;

/// A place of an end user.
#[derive(Debug, Clone, PartialEq)]
pub struct Location {
    /// Identifier.
    pub id: LocationId,
    /// The customer.
    pub client_id: ClientId,
    /// Whose place it is.
    pub user_id: UserId,
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub position: Position,
    /// Its time zone: tariffs, deadlines and schedules go by it.
    pub zone: Zone,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A point on the globe.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Degrees north, -90 to 90.
    pub latitude: f64,
    /// Degrees east, -180 to 180.
    pub longitude: f64,
}

impl fmt::Debug for Position {
    /// Without the numbers: where people are does not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Position(…)")
    }
}

impl Position {
    /// Metres to another point, along the surface of the earth.
    pub fn metres_to(self, other: Self) -> f64 {
        const EARTH_METRES: f64 = 6_371_008.8;
        let (from, to) = (self.latitude.to_radians(), other.latitude.to_radians());
        let north = ((to - from) / 2.0).sin();
        let east = ((other.longitude - self.longitude).to_radians() / 2.0).sin();
        let half = (north * north + from.cos() * to.cos() * east * east).clamp(0.0, 1.0);
        2.0 * EARTH_METRES * half.sqrt().asin()
    }

    /// Whether another point is certainly farther away than [`LEAVE_METRES`]: cheap to tell, for
    /// nearly all pairs.
    fn is_far_from(self, other: Self) -> bool {
        // A degree of latitude is some 111 km everywhere.
        (self.latitude - other.latitude).abs() > 0.003
    }
}

/// The Locations of a user, as devices are placed by them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Places(Vec<(LocationId, Position)>);

impl Places {
    /// Those of a user's Locations.
    pub fn of<'l>(locations: impl IntoIterator<Item = &'l Location>) -> Self {
        let places = locations.into_iter();
        Self(
            places
                .map(|location| (location.id, location.position))
                .collect(),
        )
    }

    /// Whether a Location is among them.
    pub fn contains(&self, id: LocationId) -> bool {
        self.0.iter().any(|(known, _)| *known == id)
    }

    /// Where a device at a position is, if it was at `held` before.
    pub fn at(&self, position: Position, held: Option<LocationId>) -> Option<LocationId> {
        let near = self
            .0
            .iter()
            .filter(|(_, place)| !position.is_far_from(*place));
        let near = near.map(|(id, place)| (*id, position.metres_to(*place)));
        let (mut nearest, mut stays) = (None::<(LocationId, f64)>, None);
        for (id, metres) in near {
            if Some(id) == held && metres <= LEAVE_METRES {
                stays = Some((id, metres));
            }
            // Of two as near as each other the older one, whatever their order.
            let is_nearer = nearest.is_none_or(|(known, least)| (metres, id) < (least, known));
            if metres <= ENTER_METRES && is_nearer {
                nearest = Some((id, metres));
            }
        }
        match (stays, nearest) {
            (Some((held, metres)), Some((other, nearer)))
                if other != held && metres - nearer < SWITCH_METRES =>
            {
                Some(held)
            }
            (Some((held, _)), None) => Some(held),
            (_, nearest) => nearest.map(|(id, _)| id),
        }
    }
}

/// Whether devices of a kind stand where they say, or where the customer says.
pub const fn is_positioned(kind: DeviceKind) -> bool {
    match kind {
        DeviceKind::Vehicle | DeviceKind::Inverter | DeviceKind::Battery | DeviceKind::Meter => {
            true
        }
        DeviceKind::Charger | DeviceKind::Hvac => false,
    }
}

/// Path of the Location in a device's JSON.
pub const PATH: &str = "location.id";

/// The Location a device stands at.
pub fn of_document(document: &Document) -> Option<LocationId> {
    document.path(PATH)?.as_str()?.parse().ok()
}

/// What a document says of the device's Location, brought in line with its position and with the
/// Locations there are. `moved` is a Location that was not where it is when the device was placed
/// last: being there before counts for nothing then.
pub(crate) fn place(
    kind: DeviceKind,
    document: &mut Document,
    places: &Places,
    moved: Option<LocationId>,
) {
    let held = of_document(document).filter(|id| places.contains(*id));
    let at = if is_positioned(kind) {
        let held = held.filter(|id| Some(*id) != moved);
        position_of(document).and_then(|position| places.at(position, held))
    } else {
        held
    };
    set(document, at);
}

fn set(document: &mut Document, location: Option<LocationId>) -> bool {
    let value = location.map_or(serde_json::Value::Null, |id| id.to_string().into());
    document.set_path(PATH, value)
}

fn position_of(document: &Document) -> Option<Position> {
    let degrees = |path| document.path(path)?.as_f64();
    Some(Position {
        latitude: degrees("location.latitude")?,
        longitude: degrees("location.longitude")?,
    })
}

/// What a device becomes when its user's Locations have changed, of which `changed` is one.
pub fn place_anew(device: &Device, places: &Places, changed: LocationId) -> Merged {
    let mut document = device.document.clone();
    place(device.kind(), &mut document, places, Some(changed));
    settled(device, document)
}

/// What a charger or an HVAC unit becomes when the customer says at a moment where it is.
pub fn assign(device: &Device, location: Option<LocationId>, now: Timestamp) -> Merged {
    let mut document = device.document.clone();
    if set(&mut document, location) && device.kind() == DeviceKind::Charger {
        document.set_path("location.lastUpdated", wire(now).into());
    }
    settled(device, document)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> LocationId {
        LocationId(Uuid::from_u128(number))
    }

    const HOME: Position = Position {
        latitude: 59.9139,
        longitude: 10.7522,
    };

    /// So many metres east of home.
    fn east(metres: f64) -> Position {
        let degree = HOME.metres_to(Position {
            longitude: HOME.longitude + 1.0,
            ..HOME
        });
        Position {
            longitude: HOME.longitude + metres / degree,
            ..HOME
        }
    }

    #[test]
    fn distances_are_those_of_the_globe() {
        let bergen = Position {
            latitude: 60.3929,
            longitude: 5.3241,
        };
        let metres = HOME.metres_to(bergen);
        assert!((304_000.0..307_000.0).contains(&metres), "{metres}");
        let (east, west) = (
            Position {
                latitude: 0.0,
                longitude: 179.9995,
            },
            Position {
                latitude: 0.0,
                longitude: -179.9995,
            },
        );
        assert!(east.metres_to(west) < 112.0, "over the date line");
        let pole = |longitude| Position {
            latitude: 90.0,
            longitude,
        };
        assert!(pole(0.0).metres_to(pole(123.0)) < 0.01);
    }

    #[test]
    fn the_nearest_within_reach_wins_and_the_edge_does_not_flicker() {
        let places = Places(vec![(id(1), HOME), (id(2), east(350.0))]);
        assert_eq!(places.at(east(0.0), None), Some(id(1)));
        assert_eq!(
            places.at(east(199.0), None),
            Some(id(2)),
            "151 m to the other"
        );
        assert_eq!(places.at(east(-199.0), None), Some(id(1)));
        assert_eq!(places.at(east(-201.0), None), None);
        assert_eq!(places.at(east(-201.0), Some(id(1))), Some(id(1)));
        assert_eq!(places.at(east(-299.0), Some(id(1))), Some(id(1)));
        assert_eq!(places.at(east(-301.0), Some(id(1))), None);
        // 180 m and 170 m away: who is there stays there.
        assert_eq!(places.at(east(180.0), Some(id(1))), Some(id(1)));
        assert_eq!(places.at(east(180.0), Some(id(2))), Some(id(2)));
        assert_eq!(places.at(east(180.0), None), Some(id(2)));
        assert_eq!(
            places.at(east(210.0), Some(id(1))),
            Some(id(2)),
            "nearer by 70 m"
        );
        assert_eq!(
            places.at(HOME, Some(id(3))),
            Some(id(1)),
            "one that is gone"
        );
        let twins = Places(vec![(id(5), HOME), (id(4), HOME)]);
        assert_eq!(twins.at(HOME, None), Some(id(4)), "the older one");
    }

    proptest! {
        /// A position that jitters by less than half of the width of the edge makes a device come or
        /// go at most once.
        #[test]
        fn a_jitter_changes_the_place_once_at_most(
            centre in 0.0..500.0_f64,
            jitters in prop::collection::vec(-24.0..24.0_f64, 2..40),
            other in prop::option::of(50.0..600.0_f64),
        ) {
            let mut places = vec![(id(1), HOME)];
            places.extend(other.map(|metres| (id(2), east(metres))));
            let places = Places(places);
            let (mut held, mut changes) = (None, 0);
            for jitter in jitters {
                let now = places.at(east(centre + jitter), held);
                changes += u32::from(now != held);
                held = now;
            }
            // In from nowhere, and once over to one that turned out to be nearer.
            prop_assert!(changes <= 2, "{changes} changes");
        }

        #[test]
        fn the_quick_look_leaves_nobody_out(
            latitude in -90.0..90.0_f64, longitude in -180.0..180.0_f64,
            north in -0.01..0.01_f64, around in -0.1..0.1_f64,
        ) {
            let from = Position { latitude, longitude };
            let to = Position {
                latitude: (latitude + north).clamp(-90.0, 90.0),
                longitude: longitude + around,
            };
            if from.is_far_from(to) {
                prop_assert!(from.metres_to(to) > LEAVE_METRES);
            }
        }
    }
}
