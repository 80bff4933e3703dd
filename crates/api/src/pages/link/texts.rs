//! What the pages of linking say, a table per language.
//!
//! A missing text does not compile. `{app}` and `{brand}` stand for the customer's name and the
//! chosen brand.

use livewatt_domain::{
    kind::DeviceKind,
    scope::{Ability, Scope},
};

use crate::error::LinkTrouble;

/// A language that there are texts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    German,
}

impl Language {
    /// The language for a session's wish and a browser's `Accept-Language`.
    pub(super) fn choose(wish: &str, accept_language: Option<&str>) -> Self {
        match wish {
            "browser" => accept_language
                .and_then(Self::accepted)
                .unwrap_or(Self::English),
            tag => Self::of_tag(tag).unwrap_or(Self::English),
        }
    }

    /// The first language that a browser accepts and we speak, by its weights.
    fn accepted(header: &str) -> Option<Self> {
        let mut wishes: Vec<(f32, Self)> = header
            .split(',')
            .take(20)
            .filter_map(|entry| {
                let mut parts = entry.split(';');
                let language = Self::of_tag(parts.next()?.trim())?;
                let weight = parts.find_map(|part| part.trim().strip_prefix("q="));
                let weight: f32 = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
                (weight > 0.0).then_some((weight, language))
            })
            .collect();
        wishes.sort_by(|one, other| other.0.total_cmp(&one.0));
        wishes.first().map(|(_, language)| *language)
    }

    fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or(tag);
        match primary.to_ascii_lowercase().as_str() {
            "en" => Some(Self::English),
            "de" => Some(Self::German),
            _ => None,
        }
    }

    /// The texts.
    pub(super) const fn texts(self) -> &'static Texts {
        match self {
            Self::English => &ENGLISH,
            Self::German => &GERMAN,
        }
    }
}

/// All that the pages say in one language.
#[derive(Debug)]
pub(super) struct Texts {
    language: Language,
    pub(super) tag: &'static str,
    pub(super) cancel: &'static str,
    pub(super) back: &'static str,
    pub(super) intro_title: &'static str,
    pub(super) relink_title: &'static str,
    pub(super) intro_lead: &'static str,
    pub(super) intro_promise: &'static str,
    pub(super) can: &'static str,
    pub(super) cannot: &'static str,
    pub(super) consent_note: &'static str,
    pub(super) consent_button: &'static str,
    pub(super) choose_title: &'static str,
    pub(super) choose_lead: &'static str,
    pub(super) search_label: &'static str,
    pub(super) search_button: &'static str,
    pub(super) filter_label: &'static str,
    pub(super) all_kinds: &'static str,
    pub(super) nothing_found: &'static str,
    pub(super) show_all: &'static str,
    pub(super) redirect_title: &'static str,
    pub(super) redirect_lead: &'static str,
    pub(super) redirect_host: &'static str,
    pub(super) redirect_button: &'static str,
    pub(super) form_title: &'static str,
    pub(super) form_lead: &'static str,
    pub(super) form_button: &'static str,
    pub(super) form_patience: &'static str,
    pub(super) device_title: &'static str,
    pub(super) device_lead: &'static str,
    pub(super) device_waiting: &'static str,
    pub(super) device_later: &'static str,
    pub(super) done_title: &'static str,
    pub(super) done_lead: &'static str,
    pub(super) done_button: &'static str,
    pub(super) failed_title: &'static str,
    pub(super) denied: &'static str,
    pub(super) unavailable: &'static str,
    pub(super) mismatch: &'static str,
    pub(super) unexpected: &'static str,
    pub(super) try_again: &'static str,
    pub(super) choose_other: &'static str,
    pub(super) give_up: &'static str,
    pub(super) start_again: &'static str,
    pub(super) user_left: &'static str,
    pub(super) vendor_failed: &'static str,
}

const ENGLISH: Texts = Texts {
    language: Language::English,
    tag: "en",
    cancel: "Cancel and go back to the app",
    back: "Back",
    intro_title: "Connect your devices to {app}",
    relink_title: "Connect again to {app}",
    intro_lead: "{app} asks to connect to your energy devices. You choose the brand, sign in there, \
                 and decide here what {app} may do.",
    intro_promise: "You can end this at any time in {app}.",
    can: "{app} will be able to:",
    cannot: "{app} will not be able to:",
    consent_note: "By continuing you agree to this.",
    consent_button: "Agree and continue",
    choose_title: "Choose your brand",
    choose_lead: "All supported devices of your account will be connected.",
    search_label: "Search brands",
    search_button: "Search",
    filter_label: "Kind of device",
    all_kinds: "All devices",
    nothing_found: "No brand found.",
    show_all: "Show all brands",
    redirect_title: "Sign in at {brand}",
    redirect_lead: "You sign in on a page of {brand}, and come back here afterwards. Neither {app} \
                    nor this page sees your password.",
    redirect_host: "The address of that page is",
    redirect_button: "Continue to {brand}",
    form_title: "Sign in at {brand}",
    form_lead: "Enter what you use for {brand}. It is used for this connection alone, and kept \
                encrypted.",
    form_button: "Sign in",
    form_patience: "This can take up to half a minute.",
    device_title: "Set up your {brand}",
    device_lead: "Enter this in the settings of your device or of its app. It is made for this \
                  device alone: keep it to yourself.",
    device_waiting: "Waiting for the device. This page goes on by itself once it has connected.",
    device_later: "I will do it later, continue",
    done_title: "Connected",
    done_lead: "Your devices are connected to {app}.",
    done_button: "Return to {app}",
    failed_title: "That did not work",
    denied: "You did not allow access on the page of {brand}.",
    unavailable: "{brand} cannot be reached at the moment. Please try again in a few minutes.",
    mismatch: "The sign-in took too long, or was begun in another window. Please try again.",
    unexpected: "{brand} answered in an unexpected way. Please try again later.",
    try_again: "Try again",
    choose_other: "Choose another brand",
    give_up: "Give up and go back to the app",
    start_again: "Start again",
    user_left: "The user left before the end",
    vendor_failed: "The vendor could not be linked",
};

const GERMAN: Texts = Texts {
    language: Language::German,
    tag: "de",
    cancel: "Abbrechen und zurück zur App",
    back: "Zurück",
    intro_title: "Geräte mit {app} verbinden",
    relink_title: "Erneut mit {app} verbinden",
    intro_lead: "{app} möchte sich mit deinen Energiegeräten verbinden. Du wählst die Marke, \
                 meldest dich dort an und bestimmst hier, was {app} darf.",
    intro_promise: "Du kannst das in {app} jederzeit beenden.",
    can: "{app} darf:",
    cannot: "{app} darf nicht:",
    consent_note: "Mit dem Fortfahren stimmst du dem zu.",
    consent_button: "Zustimmen und weiter",
    choose_title: "Wähle deine Marke",
    choose_lead: "Alle unterstützten Geräte deines Kontos werden verbunden.",
    search_label: "Marke suchen",
    search_button: "Suchen",
    filter_label: "Art des Geräts",
    all_kinds: "Alle Geräte",
    nothing_found: "Keine Marke gefunden.",
    show_all: "Alle Marken zeigen",
    redirect_title: "Bei {brand} anmelden",
    redirect_lead: "Du meldest dich auf einer Seite von {brand} an und kommst danach hierher \
                    zurück. Weder {app} noch diese Seite sieht dein Passwort.",
    redirect_host: "Die Adresse dieser Seite ist",
    redirect_button: "Weiter zu {brand}",
    form_title: "Bei {brand} anmelden",
    form_lead: "Gib ein, was du für {brand} verwendest. Es dient nur dieser Verbindung und wird \
                verschlüsselt aufbewahrt.",
    form_button: "Anmelden",
    form_patience: "Das kann bis zu einer halben Minute dauern.",
    device_title: "{brand} einrichten",
    device_lead: "Trage dies in den Einstellungen deines Geräts oder seiner App ein. Es gilt nur \
                  für dieses Gerät: Behalte es für dich.",
    device_waiting: "Warten auf das Gerät. Diese Seite geht von selbst weiter, sobald es sich \
                     verbunden hat.",
    device_later: "Ich mache das später, weiter",
    done_title: "Verbunden",
    done_lead: "Deine Geräte sind mit {app} verbunden.",
    done_button: "Zurück zu {app}",
    failed_title: "Das hat nicht geklappt",
    denied: "Du hast den Zugriff auf der Seite von {brand} nicht erlaubt.",
    unavailable: "{brand} ist gerade nicht erreichbar. Bitte versuche es in ein paar Minuten noch \
                  einmal.",
    mismatch: "Die Anmeldung hat zu lange gedauert oder wurde in einem anderen Fenster begonnen. \
               Bitte versuche es noch einmal.",
    unexpected: "{brand} hat unerwartet geantwortet. Bitte versuche es später noch einmal.",
    try_again: "Noch einmal versuchen",
    choose_other: "Andere Marke wählen",
    give_up: "Aufgeben und zurück zur App",
    start_again: "Von vorn beginnen",
    user_left: "Abgebrochen, bevor alles verbunden war",
    vendor_failed: "Der Hersteller konnte nicht verbunden werden",
};

impl Texts {
    /// The plural name of a kind, as a heading.
    pub(super) const fn kind(&self, kind: &DeviceKind) -> &'static str {
        match (self.language, *kind) {
            (Language::English, DeviceKind::Vehicle) => "Vehicles",
            (Language::English, DeviceKind::Charger) => "Chargers",
            (Language::English, DeviceKind::Hvac) => "Heating and cooling",
            (Language::English, DeviceKind::Inverter) => "Solar inverters",
            (Language::English, DeviceKind::Battery) => "Home batteries",
            (Language::English, DeviceKind::Meter) => "Meters",
            (Language::German, DeviceKind::Vehicle) => "Fahrzeuge",
            (Language::German, DeviceKind::Charger) => "Ladestationen",
            (Language::German, DeviceKind::Hvac) => "Heizung und Kühlung",
            (Language::German, DeviceKind::Inverter) => "Wechselrichter",
            (Language::German, DeviceKind::Battery) => "Heimspeicher",
            (Language::German, DeviceKind::Meter) => "Zähler",
        }
    }

    /// What a scope permits, as the end of the sentence "may …".
    pub(super) const fn scope(&self, scope: &Scope) -> &'static str {
        match (self.language, scope.ability(), scope.kind()) {
            (Language::English, Ability::ReadData, DeviceKind::Vehicle) => {
                "see your vehicles, how full their batteries are and whether they charge"
            }
            (Language::English, Ability::ReadData, DeviceKind::Charger) => {
                "see your chargers and whether they charge"
            }
            (Language::English, Ability::ReadData, DeviceKind::Hvac) => {
                "see temperatures and settings of heating and cooling"
            }
            (Language::English, Ability::ReadData, DeviceKind::Inverter) => {
                "see how much solar energy you produce"
            }
            (Language::English, Ability::ReadData, DeviceKind::Battery) => {
                "see how full your home battery is and what it does"
            }
            (Language::English, Ability::ReadData, DeviceKind::Meter) => {
                "see how much energy you draw and feed in"
            }
            (Language::English, Ability::ReadLocation, DeviceKind::Vehicle) => {
                "see where your vehicles are"
            }
            (Language::English, Ability::ReadLocation, _) => "see the location of the site",
            (Language::English, Ability::Control, DeviceKind::Hvac) => {
                "change temperatures and modes"
            }
            (Language::English, Ability::Control, DeviceKind::Battery) => {
                "change what the battery aims for"
            }
            (Language::English, Ability::Control, _) => {
                "start and stop charging and limit its power"
            }
            (Language::German, Ability::ReadData, DeviceKind::Vehicle) => {
                "deine Fahrzeuge sehen, wie voll ihre Batterien sind und ob sie laden"
            }
            (Language::German, Ability::ReadData, DeviceKind::Charger) => {
                "deine Ladestationen sehen und ob sie laden"
            }
            (Language::German, Ability::ReadData, DeviceKind::Hvac) => {
                "Temperaturen und Einstellungen von Heizung und Kühlung sehen"
            }
            (Language::German, Ability::ReadData, DeviceKind::Inverter) => {
                "sehen, wie viel Solarstrom du erzeugst"
            }
            (Language::German, Ability::ReadData, DeviceKind::Battery) => {
                "sehen, wie voll dein Heimspeicher ist und was er tut"
            }
            (Language::German, Ability::ReadData, DeviceKind::Meter) => {
                "sehen, wie viel Strom du beziehst und einspeist"
            }
            (Language::German, Ability::ReadLocation, DeviceKind::Vehicle) => {
                "sehen, wo deine Fahrzeuge sind"
            }
            (Language::German, Ability::ReadLocation, _) => "den Standort der Anlage sehen",
            (Language::German, Ability::Control, DeviceKind::Hvac) => {
                "Temperaturen und Betriebsarten ändern"
            }
            (Language::German, Ability::Control, DeviceKind::Battery) => {
                "die Betriebsart des Speichers ändern"
            }
            (Language::German, Ability::Control, _) => {
                "das Laden starten, anhalten und seine Leistung begrenzen"
            }
        }
    }

    /// What stops the user: a title and what to do.
    pub(super) const fn trouble(&self, trouble: LinkTrouble) -> (&'static str, &'static str) {
        match (self.language, trouble) {
            (Language::English, LinkTrouble::Unknown) => (
                "This link does not work",
                "Please go back to your app and ask it for a new link.",
            ),
            (Language::English, LinkTrouble::Expired) => (
                "This link has expired",
                "Please go back to your app and ask it for a new link.",
            ),
            (Language::English, LinkTrouble::Used) => (
                "This link was used already",
                "Your devices are connected. To connect more, go back to your app and ask it for \
                 a new link.",
            ),
            (Language::English, LinkTrouble::OtherBrowser) => (
                "Please open the link again",
                "This browser has lost track of the link, or does not accept cookies for this \
                 page. Open the link from your app again.",
            ),
            (Language::English, LinkTrouble::Full) => (
                "No more connections are possible",
                "Your app has reached its number of connections. Please tell its support.",
            ),
            (Language::English, LinkTrouble::Unreadable) => {
                ("That was not understood", "Please go back and try again.")
            }
            (Language::English, LinkTrouble::Internal) => (
                "Something went wrong on our side",
                "Please try again in a few minutes.",
            ),
            (Language::German, LinkTrouble::Unknown) => (
                "Dieser Link funktioniert nicht",
                "Bitte kehre zu deiner App zurück und lass dir einen neuen Link geben.",
            ),
            (Language::German, LinkTrouble::Expired) => (
                "Dieser Link ist abgelaufen",
                "Bitte kehre zu deiner App zurück und lass dir einen neuen Link geben.",
            ),
            (Language::German, LinkTrouble::Used) => (
                "Dieser Link wurde schon verwendet",
                "Deine Geräte sind verbunden. Für weitere lass dir in deiner App einen neuen Link \
                 geben.",
            ),
            (Language::German, LinkTrouble::OtherBrowser) => (
                "Bitte öffne den Link noch einmal",
                "Dieser Browser hat den Link vergessen oder nimmt für diese Seite keine Cookies \
                 an. Öffne den Link noch einmal aus deiner App.",
            ),
            (Language::German, LinkTrouble::Full) => (
                "Keine weiteren Verbindungen möglich",
                "Deine App hat die Zahl ihrer Verbindungen erreicht. Bitte wende dich an ihren \
                 Support.",
            ),
            (Language::German, LinkTrouble::Unreadable) => (
                "Das wurde nicht verstanden",
                "Bitte gehe zurück und versuche es noch einmal.",
            ),
            (Language::German, LinkTrouble::Internal) => (
                "Bei uns ist etwas schiefgegangen",
                "Bitte versuche es in ein paar Minuten noch einmal.",
            ),
        }
    }

    /// A label of a sign-in form or of instructions; those of adapters are English.
    pub(super) fn label<'a>(&self, label: &'a str) -> &'a str {
        match (self.language, label) {
            (Language::German, "Email" | "E-mail" | "E-mail address" | "Email address") => {
                "E-Mail-Adresse"
            }
            (Language::German, "Password") => "Passwort",
            (Language::German, "User name" | "Username") => "Benutzername",
            (Language::German, "Server address (URL)") => "Serveradresse (URL)",
            (Language::German, "Charge point ID") => "ID der Ladestation",
            (_, other) => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_follows_the_session_then_the_browser() {
        use Language::{English, German};
        assert_eq!(Language::choose("de-DE", Some("en")), German);
        assert_eq!(Language::choose("fr-FR", Some("de")), English);
        assert_eq!(
            Language::choose("browser", Some("fr, de-AT;q=0.8, en;q=0.7")),
            German
        );
        assert_eq!(Language::choose("browser", Some("en-GB,de;q=0.9")), English);
        assert_eq!(Language::choose("browser", Some("de;q=0, *")), English);
        assert_eq!(Language::choose("browser", None), English);
    }
}
