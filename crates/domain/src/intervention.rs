//! Interventions: what somebody must do before a device can do a named thing.
//!
//! The catalogue is data: what is to be done, by whom and where, in every language there is. That an
//! intervention stands in a device's way is told by its ID in a capability of the device and by
//! nothing else: it comes with an observation and goes with the one that shows that the way is free.
//!
//! Two interventions are ours whatever the vendor, and the user resolves both by linking again:
//! [`LOGIN`], while the vendor refuses the account's login, and [`CONSENT`], on what the scopes that
//! the user granted do not permit. They are laid over what a vendor tells of a capability, and taken
//! off again without asking it: a capability that is missing for good never bears them, so one that
//! bears nothing else is available as soon as they are gone.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    device::{Capability, Document, battery, charger, hvac, vehicle},
    fact::Key,
    kind::DeviceKind,
    scope::Scope,
};

/// An entry of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intervention {
    /// Identifier; never given to another entry.
    pub id: Uuid,
    /// Whose devices it is about; `None` if it is not tied to one vendor.
    pub of: Option<Subject>,
    /// When it was added to the catalogue.
    pub introduced_at: Timestamp,
    /// Where the obstacle is.
    pub domain: InterventionDomain,
    /// Where it is removed.
    pub access: Access,
    /// Who removes it.
    pub agent: Agent,
    /// What the app has to do for it, if anything.
    pub action: Option<Remedy>,
    /// What to tell the user, in each language.
    pub texts: Texts,
}

/// Whose devices an intervention is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// The contract's vendor name.
    pub vendor: &'static str,
    /// The kind of device.
    pub kind: DeviceKind,
    /// The brand as people spell it.
    pub brand: &'static str,
}

/// Where an obstacle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub enum InterventionDomain {
    /// In the account with the vendor.
    Account,
    /// In the settings of the device.
    Device,
}

/// Where an obstacle is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub enum Access {
    /// Anywhere, in an app or a portal.
    Remote,
    /// At the device.
    Physical,
}

/// Who removes an obstacle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub enum Agent {
    /// The end user.
    User,
    /// Somebody else, such as an installer.
    ThirdParty,
}

/// What an app does to have an obstacle removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub enum Remedy {
    /// Has the user link the account again.
    Link,
}

/// What to tell the user, in each language that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Texts {
    /// In English, which also stands for languages that are not there.
    pub english: Text,
    /// In German.
    pub german: Text,
    /// In Norwegian (bokmål).
    pub norwegian: Text,
}

/// What to tell the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    /// A few words.
    pub title: &'static str,
    /// What to do, in Markdown.
    pub description: &'static str,
}

impl Texts {
    /// In the language of a tag such as `de-DE`.
    pub fn in_language(&self, tag: &str) -> Text {
        match tag {
            "de-DE" => self.german,
            "nb-NO" => self.norwegian,
            _ => self.english,
        }
    }
}

/// The vendor refuses the login of the account.
pub const LOGIN: Uuid = Uuid::from_u128(0x5cab_b638_38eb_4ec9_862a_16fb_9412_78ee);
/// The user has not granted the scope that permits it.
pub const CONSENT: Uuid = Uuid::from_u128(0x64ea_a11d_f33e_468c_bf3c_69f1_aa58_4e50);

/// The entries that are not any vendor's.
pub const GENERAL: [Intervention; 2] = [
    Intervention {
        id: LOGIN,
        of: None,
        introduced_at: Timestamp::constant(1_772_409_600, 0),
        domain: InterventionDomain::Account,
        access: Access::Remote,
        agent: Agent::User,
        action: Some(Remedy::Link),
        texts: Texts {
            english: Text {
                title: "Sign in again",
                description: "The maker of your device no longer accepts the sign-in of this app, \
                              for example because the password was changed. Connect your account \
                              **once more**; your device and its history stay.",
            },
            german: Text {
                title: "Neu anmelden",
                description: "Der Hersteller deines Geräts nimmt die Anmeldung dieser App nicht \
                              mehr an, etwa weil das Passwort geändert wurde. Verbinde dein Konto \
                              **noch einmal**; dein Gerät und sein Verlauf bleiben erhalten.",
            },
            norwegian: Text {
                title: "Logg inn på nytt",
                description: "Produsenten av enheten din godtar ikke lenger innloggingen til denne \
                              appen, for eksempel fordi passordet er endret. Koble til kontoen din \
                              **en gang til**; enheten og historikken blir værende.",
            },
        },
    },
    Intervention {
        id: CONSENT,
        of: None,
        introduced_at: Timestamp::constant(1_772_409_600, 0),
        domain: InterventionDomain::Account,
        access: Access::Remote,
        agent: Agent::User,
        action: Some(Remedy::Link),
        texts: Texts {
            english: Text {
                title: "Allow this app to do more",
                description: "You have not yet allowed this app to do this with your device. \
                              Connect your account **once more** and agree to what is asked for.",
            },
            german: Text {
                title: "Dieser App mehr erlauben",
                description: "Du hast dieser App bisher nicht erlaubt, das mit deinem Gerät zu \
                              tun. Verbinde dein Konto **noch einmal** und stimme dem zu, worum \
                              gebeten wird.",
            },
            norwegian: Text {
                title: "Gi appen flere tillatelser",
                description: "Du har ikke gitt denne appen lov til å gjøre dette med enheten din. \
                              Koble til kontoen din **en gang til**, og godta det du blir spurt om.",
            },
        },
    },
];

/// Capabilities that ask for more than that data may be seen, with the scope that they ask for.
const fn needs(kind: DeviceKind) -> &'static [(Key<Capability>, Scope)] {
    match kind {
        DeviceKind::Vehicle => &[
            (vehicle::LOCATION_CAPABILITY, Scope::VehicleReadLocation),
            (vehicle::START_CHARGING, Scope::VehicleControlCharging),
            (vehicle::STOP_CHARGING, Scope::VehicleControlCharging),
            (vehicle::SET_MAX_CURRENT, Scope::VehicleControlCharging),
            (vehicle::SMART_CHARGING, Scope::VehicleControlCharging),
        ],
        DeviceKind::Charger => &[
            (charger::START_CHARGING, Scope::ChargerControlCharging),
            (charger::STOP_CHARGING, Scope::ChargerControlCharging),
            (charger::SET_MAX_CURRENT, Scope::ChargerControlCharging),
        ],
        DeviceKind::Hvac => &[
            (hvac::SET_FOLLOW_SCHEDULE, Scope::HvacControlMode),
            (hvac::SET_PERMANENT_HOLD, Scope::HvacControlMode),
        ],
        DeviceKind::Battery => &[
            (battery::EXPORT_FOCUS, Scope::BatteryControlOperationMode),
            (battery::IMPORT_FOCUS, Scope::BatteryControlOperationMode),
            (battery::TIME_OF_USE, Scope::BatteryControlOperationMode),
            (battery::SELF_RELIANCE, Scope::BatteryControlOperationMode),
            (battery::IDLE, Scope::BatteryControlOperationMode),
        ],
        DeviceKind::Inverter | DeviceKind::Meter => &[],
    }
}

/// What stands in the way of any capability of a device, each once.
pub fn standing(document: &Document) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for path in capability_paths(document) {
        let capability = capability_at(document, &path).unwrap_or_default();
        for id in capability.intervention_ids {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
    }
    ids
}

/// The scopes whose lack stands in the way of a capability of a device.
pub fn missing_scopes(kind: DeviceKind, document: &Document) -> Vec<Scope> {
    let mut scopes = Vec::new();
    for (key, scope) in needs(kind) {
        let capability = document.get(*key).unwrap_or_default();
        if capability.intervention_ids.contains(&CONSENT) && !scopes.contains(scope) {
            scopes.push(*scope);
        }
    }
    scopes
}

/// Lays [`CONSENT`] over what the scopes of a device do not permit, and takes it off what they do.
pub(crate) fn lay_consent(kind: DeviceKind, document: &mut Document) {
    let granted = document.path("scopes").and_then(Value::as_array).cloned();
    let granted = granted.unwrap_or_default();
    for (key, scope) in needs(kind) {
        let is_granted = granted.iter().any(|name| name == scope.as_str());
        lay(document, key.field().path(), CONSENT, !is_granted);
    }
}

/// Lays [`LOGIN`] over all that a device is capable of, or takes it off.
pub(crate) fn lay_login(document: &mut Document, is_lost: bool) {
    for path in capability_paths(document) {
        lay(document, &path, LOGIN, is_lost);
    }
}

/// Gives a device the scopes that its user has granted, under a login that is accepted.
pub(crate) fn grant(kind: DeviceKind, document: &mut Document, granted: &[Scope]) {
    let names = granted.iter().filter(|scope| scope.kind() == kind);
    document.set_path("scopes", names.map(|scope| scope.as_str()).collect());
    lay_login(document, false);
    lay_consent(kind, document);
}

/// The paths of all capabilities; beside them stand ranges and lists, which are none.
fn capability_paths(document: &Document) -> Vec<String> {
    let all = document.path("capabilities").and_then(Value::as_object);
    let is_capability = |(_, value): &(&String, &Value)| value.get("isCapable").is_some();
    let named = all.into_iter().flatten().filter(is_capability);
    named
        .map(|(name, _)| format!("capabilities.{name}"))
        .collect()
}

fn capability_at(document: &Document, path: &str) -> Option<Capability> {
    let value = document.path(path)?.clone();
    serde_json::from_value(value).ok()
}

/// Lays one of our interventions over a capability, or takes it off.
fn lay(document: &mut Document, path: &str, id: Uuid, is_in_the_way: bool) {
    let Some(mut capability) = capability_at(document, path) else {
        return;
    };
    let is_there = capability.intervention_ids.contains(&id);
    let is_missing_for_good = !capability.is_capable && capability.intervention_ids.is_empty();
    if is_there == is_in_the_way || is_missing_for_good {
        return;
    }
    if is_in_the_way {
        capability.intervention_ids.push(id);
    } else {
        capability.intervention_ids.retain(|known| *known != id);
    }
    capability.is_capable = capability.intervention_ids.is_empty();
    if let Ok(value) = serde_json::to_value(capability) {
        document.set_path(path, value);
    }
}

#[cfg(test)]
mod tests;
