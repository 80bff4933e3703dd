//! The catalogue of interventions: what is to be done about what stands in the way of devices, as data.
//!
//! Adapters tell which of them stand in the way of a capability, by these names. An entry that was ever
//! told stays in the catalogue, with its ID.

use jiff::Timestamp;
use livewatt_domain::{
    intervention::{
        Access, Agent, GENERAL, Intervention, InterventionDomain, Remedy, Subject, Text, Texts,
    },
    kind::DeviceKind,
};
use uuid::Uuid;

/// Leave to command a car was not given at the vendor.
pub(crate) const TESLA_VEHICLE_PERMISSION: Uuid =
    Uuid::from_u128(0x3fff_601d_27b6_41df_bb8f_5867_75f0_5437);
/// A car does not let itself be commanded.
pub(crate) const TESLA_VEHICLE_SWITCHED_OFF: Uuid =
    Uuid::from_u128(0x540d_2ac0_a9d3_402d_89aa_27cd_d7da_8c65);
/// A car does not know the key that commands are signed with.
pub(crate) const TESLA_VEHICLE_NO_KEY: Uuid =
    Uuid::from_u128(0xf531_2211_9997_4dd8_858d_527a_9425_ae02);
/// Leave to command a charger was not given at the vendor.
pub(crate) const TESLA_CHARGER_PERMISSION: Uuid =
    Uuid::from_u128(0x2ab2_5f4f_6ecb_4735_947d_8432_4ad8_77c8);
/// A charger does not let itself be commanded.
pub(crate) const TESLA_CHARGER_SWITCHED_OFF: Uuid =
    Uuid::from_u128(0x286c_07fa_db63_4aaa_99b8_9da2_5684_ac87);
/// The subscription that commands need has ended.
pub(crate) const RENAULT_VEHICLE_EXPIRED: Uuid =
    Uuid::from_u128(0x58ed_f4fa_f833_49a2_a28a_b0a3_cedd_892d);
/// A car keeps its position to itself.
pub(crate) const RENAULT_VEHICLE_PRIVATE: Uuid =
    Uuid::from_u128(0x6184_e6df_8561_44a4_815c_b1e6_16c9_8689);
/// A battery is operated at its panel only.
pub(crate) const SOLAREDGE_BATTERY_PANEL: Uuid =
    Uuid::from_u128(0x7353_ea51_ac9b_4bc2_b5cb_0301_56e4_3679);
/// Only an installer may operate a battery.
pub(crate) const SOLAREDGE_BATTERY_INSTALLER: Uuid =
    Uuid::from_u128(0x2fb0_a7c5_7283_4305_980d_a1a7_a9d2_e3c7);
/// A heat pump is operated at its panel only.
pub(crate) const NIBE_HVAC_PANEL: Uuid = Uuid::from_u128(0xdd21_dba8_7d87_4cfc_b28f_72b9_5064_5e8c);
/// Only an installer may operate a heat pump.
pub(crate) const NIBE_HVAC_INSTALLER: Uuid =
    Uuid::from_u128(0xee54_4e95_cdeb_4126_bc95_bb7b_05b1_8b03);
/// A charger is operated at its panel only.
pub(crate) const EVBOX_CHARGER_PANEL: Uuid =
    Uuid::from_u128(0xe0cd_84d9_3251_4a8a_b8e6_024c_1112_4871);
/// Only an installer may operate a charger.
pub(crate) const EVBOX_CHARGER_INSTALLER: Uuid =
    Uuid::from_u128(0x093b_bea8_1adb_472a_96a6_b664_6d04_3075);
/// A charge point says that it is out of service.
pub(crate) const OUT_OF_SERVICE: Uuid = Uuid::from_u128(0x2032_fbd3_081e_4f22_b5b0_b8a4_910d_1d5f);

/// The whole catalogue.
pub fn all() -> impl Iterator<Item = &'static Intervention> {
    GENERAL.iter().chain(&VENDORS)
}

/// The entry with this ID.
pub fn find(id: Uuid) -> Option<&'static Intervention> {
    all().find(|entry| entry.id == id)
}

const TESLA_VEHICLE: Option<Subject> = of("TESLA", DeviceKind::Vehicle, "Tesla");
const TESLA_CHARGER: Option<Subject> = of("TESLA", DeviceKind::Charger, "Tesla");
const RENAULT_VEHICLE: Option<Subject> = of("RENAULT", DeviceKind::Vehicle, "Renault");
const SOLAREDGE_BATTERY: Option<Subject> = of("SOLAREDGE", DeviceKind::Battery, "SolarEdge");
const NIBE_HVAC: Option<Subject> = of("NIBE", DeviceKind::Hvac, "NIBE");
const EVBOX_CHARGER: Option<Subject> = of("EVBOX", DeviceKind::Charger, "EVBox");

const VENDORS: [Intervention; 14] = [
    permission(TESLA_VEHICLE_PERMISSION, TESLA_VEHICLE),
    switched_off(TESLA_VEHICLE_SWITCHED_OFF, TESLA_VEHICLE),
    no_key(TESLA_VEHICLE_NO_KEY, TESLA_VEHICLE),
    permission(TESLA_CHARGER_PERMISSION, TESLA_CHARGER),
    switched_off(TESLA_CHARGER_SWITCHED_OFF, TESLA_CHARGER),
    expired(RENAULT_VEHICLE_EXPIRED, RENAULT_VEHICLE),
    private(RENAULT_VEHICLE_PRIVATE, RENAULT_VEHICLE),
    panel(SOLAREDGE_BATTERY_PANEL, SOLAREDGE_BATTERY),
    installer(SOLAREDGE_BATTERY_INSTALLER, SOLAREDGE_BATTERY),
    panel(NIBE_HVAC_PANEL, NIBE_HVAC),
    installer(NIBE_HVAC_INSTALLER, NIBE_HVAC),
    panel(EVBOX_CHARGER_PANEL, EVBOX_CHARGER),
    installer(EVBOX_CHARGER_INSTALLER, EVBOX_CHARGER),
    out_of_service(OUT_OF_SERVICE),
];

const fn of(vendor: &'static str, kind: DeviceKind, brand: &'static str) -> Option<Subject> {
    Some(Subject {
        vendor,
        kind,
        brand,
    })
}

/// What the user does at the device.
const fn at_device(id: Uuid, of: Option<Subject>, texts: Texts) -> Intervention {
    Intervention {
        id,
        of,
        introduced_at: Timestamp::constant(1_772_409_600, 0),
        domain: InterventionDomain::Device,
        access: Access::Physical,
        agent: Agent::User,
        action: None,
        texts,
    }
}

const fn permission(id: Uuid, of: Option<Subject>) -> Intervention {
    let texts = Texts {
        english: Text {
            title: "Permit commands",
            description: "Your account with the maker does not let this app send commands. Connect \
                          it **once more** and leave all boxes ticked on the maker's page.",
        },
        german: Text {
            title: "Befehle erlauben",
            description: "Dein Konto beim Hersteller lässt diese App keine Befehle senden. Verbinde \
                          es **noch einmal** und lass auf der Seite des Herstellers alle Häkchen \
                          gesetzt.",
        },
        norwegian: Text {
            title: "Tillat kommandoer",
            description: "Kontoen din hos produsenten lar ikke denne appen sende kommandoer. Koble \
                          den til **en gang til**, og la alle boksene på produsentens side stå \
                          avkrysset.",
        },
    };
    Intervention {
        domain: InterventionDomain::Account,
        access: Access::Remote,
        action: Some(Remedy::Link),
        ..at_device(id, of, texts)
    }
}

const fn switched_off(id: Uuid, of: Option<Subject>) -> Intervention {
    let texts = Texts {
        english: Text {
            title: "Allow remote access",
            description: "Remote access is switched off in the device. Open its settings **at the \
                          device** and switch on *Remote access*.",
        },
        german: Text {
            title: "Fernzugriff einschalten",
            description: "Der Fernzugriff ist im Gerät ausgeschaltet. Öffne **am Gerät** die \
                          Einstellungen und schalte *Fernzugriff* ein.",
        },
        norwegian: Text {
            title: "Slå på fjerntilgang",
            description: "Fjerntilgang er slått av i enheten. Åpne innstillingene **på enheten**, \
                          og slå på *Fjerntilgang*.",
        },
    };
    at_device(id, of, texts)
}

const fn no_key(id: Uuid, of: Option<Subject>) -> Intervention {
    let texts = Texts {
        english: Text {
            title: "Add the app's key to your car",
            description: "Your car obeys only keys that it knows. Open the maker's app **near the \
                          car**, choose *Add key* and confirm it.",
        },
        german: Text {
            title: "Schlüssel der App hinzufügen",
            description: "Dein Auto gehorcht nur Schlüsseln, die es kennt. Öffne die App des \
                          Herstellers **in der Nähe des Autos**, wähle *Schlüssel hinzufügen* und \
                          bestätige.",
        },
        norwegian: Text {
            title: "Legg til appens nøkkel i bilen",
            description: "Bilen din adlyder bare nøkler den kjenner. Åpne produsentens app **i \
                          nærheten av bilen**, velg *Legg til nøkkel* og bekreft.",
        },
    };
    Intervention {
        access: Access::Remote,
        ..at_device(id, of, texts)
    }
}

const fn expired(id: Uuid, of: Option<Subject>) -> Intervention {
    let texts = Texts {
        english: Text {
            title: "Renew connected services",
            description: "The connected services of your car have ended. Renew them **in the \
                          maker's app**; until then the car can be read, but not commanded.",
        },
        german: Text {
            title: "Online-Dienste verlängern",
            description: "Die Online-Dienste deines Autos sind abgelaufen. Verlängere sie **in der \
                          App des Herstellers**; bis dahin kann das Auto gelesen, aber nicht \
                          gesteuert werden.",
        },
        norwegian: Text {
            title: "Forny de tilkoblede tjenestene",
            description: "De tilkoblede tjenestene til bilen din er utløpt. Forny dem **i \
                          produsentens app**; inntil da kan bilen leses, men ikke styres.",
        },
    };
    Intervention {
        domain: InterventionDomain::Account,
        access: Access::Remote,
        ..at_device(id, of, texts)
    }
}

const fn private(id: Uuid, of: Option<Subject>) -> Intervention {
    let texts = Texts {
        english: Text {
            title: "Share the car's position",
            description: "The car keeps its position to itself. Switch off *Privacy mode* **on the \
                          screen of the car**.",
        },
        german: Text {
            title: "Position des Autos teilen",
            description: "Das Auto behält seine Position für sich. Schalte **auf dem Bildschirm des \
                          Autos** den *Privatmodus* aus.",
        },
        norwegian: Text {
            title: "Del bilens posisjon",
            description: "Bilen holder posisjonen sin for seg selv. Slå av *Privatmodus* **på \
                          skjermen i bilen**.",
        },
    };
    at_device(id, of, texts)
}

const fn panel(id: Uuid, of: Option<Subject>) -> Intervention {
    let texts = Texts {
        english: Text {
            title: "Allow operation by app",
            description: "The device takes orders at its own panel only. Set *Operation* to *App* \
                          **on the panel**.",
        },
        german: Text {
            title: "Bedienung per App erlauben",
            description: "Das Gerät nimmt nur am eigenen Bedienfeld Befehle an. Stelle **am \
                          Bedienfeld** *Bedienung* auf *App*.",
        },
        norwegian: Text {
            title: "Tillat styring fra app",
            description: "Enheten tar bare imot kommandoer på sitt eget panel. Sett *Styring* til \
                          *App* **på panelet**.",
        },
    };
    at_device(id, of, texts)
}

const fn installer(id: Uuid, of: Option<Subject>) -> Intervention {
    let texts = Texts {
        english: Text {
            title: "Ask your installer to allow control",
            description: "The device was set up so that **only the installer** can change how it \
                          works. Ask them to release remote control for your account.",
        },
        german: Text {
            title: "Steuerung vom Installateur freigeben lassen",
            description: "Das Gerät ist so eingerichtet, dass **nur der Installationsbetrieb** seine \
                          Arbeitsweise ändern kann. Bitte ihn, die Fernsteuerung für dein Konto \
                          freizugeben.",
        },
        norwegian: Text {
            title: "Be installatøren tillate styring",
            description: "Enheten er satt opp slik at **bare installatøren** kan endre hvordan den \
                          virker. Be om at fjernstyring åpnes for kontoen din.",
        },
    };
    Intervention {
        access: Access::Remote,
        agent: Agent::ThirdParty,
        ..at_device(id, of, texts)
    }
}

const fn out_of_service(id: Uuid) -> Intervention {
    let texts = Texts {
        english: Text {
            title: "Put the charger into service",
            description: "The charger says that it is out of service. Set it to *available* **at \
                          the charger** or in its maker's app; switching it off and on may help.",
        },
        german: Text {
            title: "Ladestation in Betrieb nehmen",
            description: "Die Ladestation meldet, dass sie außer Betrieb ist. Stelle sie **an der \
                          Station** oder in der App des Herstellers auf *verfügbar*; Aus- und \
                          Einschalten kann helfen.",
        },
        norwegian: Text {
            title: "Sett laderen i drift",
            description: "Laderen sier at den er ute av drift. Sett den til *tilgjengelig* **på \
                          laderen** eller i produsentens app; det kan hjelpe å slå den av og på.",
        },
    };
    at_device(id, None, texts)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::catalogue;

    #[test]
    fn every_entry_is_found_by_an_id_of_its_own() {
        let ids: BTreeSet<Uuid> = all().map(|entry| entry.id).collect();
        assert_eq!(ids.len(), GENERAL.len() + VENDORS.len());
        for entry in all() {
            assert_eq!(find(entry.id), Some(entry));
            assert_eq!(entry.id.get_version_num(), 4);
        }
        assert_eq!(find(Uuid::nil()), None);
    }

    #[test]
    fn entries_are_about_vendors_that_there_are() {
        for subject in all().filter_map(|entry| entry.of) {
            assert!(catalogue::names(subject.kind).contains(&subject.vendor));
        }
    }

    #[test]
    fn every_entry_has_texts_of_its_own_in_every_language() {
        for entry in all() {
            let texts = [
                entry.texts.english,
                entry.texts.german,
                entry.texts.norwegian,
            ];
            let titles: BTreeSet<_> = texts.iter().map(|text| text.title).collect();
            let long: BTreeSet<_> = texts.iter().map(|text| text.description).collect();
            assert_eq!((titles.len(), long.len()), (3, 3), "{}", entry.id);
            for text in texts {
                let is_one_line = !text.description.contains("  ");
                assert!(text.title.len() > 8 && is_one_line, "{text:?}");
            }
        }
    }
}
