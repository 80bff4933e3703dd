//! The scopes an end user grants per kind of device.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

use crate::kind::DeviceKind;

macro_rules! scopes {
    ($($name:ident = $text:literal, $kind:ident, $ability:ident;)*) => {
        /// A permission granted by the end user during linking.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Scope {$(
            #[doc = concat!("`", $text, "`")]
            #[serde(rename = $text)]
            $name,
        )*}

        impl Scope {
            /// All scopes there are.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The scope as the contract spells it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The kind of device it is about.
            pub const fn kind(self) -> DeviceKind {
                match self { $(Self::$name => DeviceKind::$kind,)* }
            }

            /// What it permits.
            pub const fn ability(self) -> Ability {
                match self { $(Self::$name => Ability::$ability,)* }
            }
        }
    };
}

/// What a scope permits the customer to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// See the device and its state; without it no device of the kind is linked.
    ReadData,
    /// See coordinates.
    ReadLocation,
    /// Change what the device does.
    Control,
}

scopes! {
    VehicleReadData = "vehicle:read:data", Vehicle, ReadData;
    VehicleReadLocation = "vehicle:read:location", Vehicle, ReadLocation;
    VehicleControlCharging = "vehicle:control:charging", Vehicle, Control;
    ChargerReadData = "charger:read:data", Charger, ReadData;
    ChargerControlCharging = "charger:control:charging", Charger, Control;
    HvacReadData = "hvac:read:data", Hvac, ReadData;
    HvacControlMode = "hvac:control:mode", Hvac, Control;
    InverterReadData = "inverter:read:data", Inverter, ReadData;
    InverterReadLocation = "inverter:read:location", Inverter, ReadLocation;
    BatteryReadData = "battery:read:data", Battery, ReadData;
    BatteryReadLocation = "battery:read:location", Battery, ReadLocation;
    BatteryControlOperationMode = "battery:control:operation_mode", Battery, Control;
    MeterReadData = "meter:read:data", Meter, ReadData;
    MeterReadLocation = "meter:read:location", Meter, ReadLocation;
}

// By hand: the derived one does not see the names that the macro gives to serde.
impl ToSchema for Scope {}
impl PartialSchema for Scope {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A permission granted by the end user during linking."))
            .enum_values(Some(Self::ALL.iter().map(|scope| scope.as_str())))
            .into()
    }
}

impl Scope {
    /// The scopes that concern `kind`.
    pub fn of_kind(kind: DeviceKind) -> impl Iterator<Item = Self> {
        Self::ALL
            .iter()
            .copied()
            .filter(move |scope| scope.kind() == kind)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown scope")]
pub struct UnknownScope;

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|scope| scope.as_str() == text)
            .ok_or(UnknownScope)
    }
}
