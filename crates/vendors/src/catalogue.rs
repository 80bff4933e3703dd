//! The contract's vendor names by kind of device. Not all of them have an integration.

use livewatt_domain::kind::DeviceKind;

/// The lowest level, %, up to which vehicles of a vendor can be told to charge at once: below it they do
/// not let themselves be stopped.
pub fn lowest_minimum(vendor: &str) -> Option<f64> {
    (vendor == "MERCEDES").then_some(50.0)
}

/// Vendors of vehicles.
pub const VEHICLES: &[&str] = &[
    "ACURA",
    "AUDI",
    "BMW",
    "HONDA",
    "HYUNDAI",
    "JAGUAR",
    "LANDROVER",
    "KIA",
    "MERCEDES",
    "MINI",
    "NISSAN",
    "PEUGEOT",
    "PORSCHE",
    "RENAULT",
    "SEAT",
    "SKODA",
    "TESLA",
    "VOLKSWAGEN",
    "VOLVO",
    "FORD",
    "OPEL",
    "DS",
    "TOYOTA",
    "LEXUS",
    "CITROEN",
    "CUPRA",
    "VAUXHALL",
    "FIAT",
    "RIVIAN",
    "NIO",
    "CHEVROLET",
    "GMC",
    "CADILLAC",
    "XPENG",
    "POLESTAR",
    "SUBARU",
    "JEEP",
    "MAZDA",
    "MG",
    "CHRYSLER",
    "DODGE",
    "RAM",
    "ALFAROMEO",
    "LANCIA",
    "LUCID",
    "BYD",
    "DACIA",
    "ALPINE",
];

/// Vendors of chargers.
pub const CHARGERS: &[&str] = &[
    "ZAPTEC",
    "EASEE",
    "WALLBOX",
    "EO",
    "CHARGEAMPS",
    "EVBOX",
    "GOE",
    "CHARGEPOINT",
    "ENELX",
    "TESLA",
    "OHME",
    "GARO",
    "SCHNEIDER",
    "PODPOINT",
    "KEBA",
    "HYPERVOLT",
    "MYENERGI",
    "HEIDELBERG",
    "ALFEN",
];

/// Vendors of HVACs.
pub const HVACS: &[&str] = &[
    "TADO",
    "MILL",
    "ADAX",
    "ECOBEE",
    "SENSIBO",
    "HONEYWELL",
    "RESIDEO",
    "MITSUBISHI",
    "MICROMATIC",
    "NIBE",
    "PANASONIC",
    "TOSHIBA",
    "DAIKIN",
    "NEST",
    "FUJITSU",
    "BOSCH",
    "NETATMO",
];

/// Vendors of inverters.
pub const INVERTERS: &[&str] = &[
    "AFORE",
    "APSYSTEMS",
    "CSISolar",
    "Deye",
    "ENPHASE",
    "FOXESS",
    "FRONIUS",
    "GIVENERGY",
    "GOODWE",
    "GROWATT",
    "Hoymiles",
    "HUAWEI",
    "INVT",
    "SMA",
    "SOFAR",
    "SOLAREDGE",
    "SOLARK",
    "SOLAX",
    "SOLIS",
    "SOLPLANET",
    "SUNGROW",
    "SUNSYNK",
    "TESLA",
    "TSUN",
];

/// Vendors of home batteries.
pub const BATTERIES: &[&str] = &[
    "TESLA",
    "ENPHASE",
    "GIVENERGY",
    "HUAWEI",
    "SOLAREDGE",
    "SMA",
    "FOXESS",
    "SOLAX",
    "SOLIS",
];

/// Vendors of grid meters.
pub const METERS: &[&str] = &[
    "ENPHASE",
    "GIVENERGY",
    "HUAWEI",
    "TESLA",
    "SMA",
    "SOLAREDGE",
    "FOXESS",
    "SOLAX",
    "SOLIS",
];

/// The vendors of a kind of device, in the contract's order.
pub const fn names(kind: DeviceKind) -> &'static [&'static str] {
    match kind {
        DeviceKind::Vehicle => VEHICLES,
        DeviceKind::Charger => CHARGERS,
        DeviceKind::Hvac => HVACS,
        DeviceKind::Inverter => INVERTERS,
        DeviceKind::Battery => BATTERIES,
        DeviceKind::Meter => METERS,
    }
}

/// Whether the contract knows a vendor of this name, of whatever kind. Case matters.
pub fn is_known(name: &str) -> bool {
    DeviceKind::ALL
        .into_iter()
        .any(|kind| names(kind).contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_knows_as_many_vendors_as_it_says() {
        let counts = DeviceKind::ALL.map(|kind| names(kind).len());
        assert_eq!(counts, [48, 19, 17, 24, 9, 9]);
    }

    #[test]
    fn names_are_told_apart_by_case() {
        assert!(is_known("CSISolar"));
        assert!(is_known("ALFEN"));
        assert!(!is_known("tesla"));
    }
}
