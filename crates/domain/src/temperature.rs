//! What an HVAC unit is to be set to: the wish of an action or a schedule, and whether a unit can
//! fulfil it and does.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::device::{
    Document,
    hvac::{self, HoldType, HvacMode, Range},
};

/// By so little a setpoint may be off: units that count in whole degrees Fahrenheit or in half
/// degrees Celsius round what they are told.
const TOLERANCE: f64 = 0.3;

/// A setting that stays until it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(
    tag = "mode",
    rename_all = "SCREAMING_SNAKE_CASE",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Hold {
    /// Nothing.
    Off {},
    /// Heat.
    Heat {
        /// Heat when colder, °C.
        heat_setpoint: f64,
    },
    /// Cool.
    Cool {
        /// Cool when warmer, °C.
        cool_setpoint: f64,
    },
    /// Heat or cool, to keep between the setpoints.
    Auto {
        /// Heat when colder, °C.
        heat_setpoint: f64,
        /// Cool when warmer, °C; above the other.
        cool_setpoint: f64,
    },
}

/// What an HVAC unit is to be set to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "holdType", deny_unknown_fields)]
pub enum TemperatureTarget {
    /// The program stored at the vendor.
    #[serde(rename = "SCHEDULED")]
    Scheduled {},
    /// A setting that stays.
    #[serde(rename = "PERMANENT")]
    Permanent(Hold),
}

/// Why a unit cannot be set so.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Unfit {
    /// It does not know the mode.
    #[error("is not a mode this unit can be set to")]
    Mode,
    /// A setpoint is outside of what it accepts.
    #[error("must be {} °C for this unit", bounds(.range))]
    Setpoint {
        /// Which one, as the wire names it.
        field: &'static str,
        /// What it accepts.
        range: Range,
    },
    /// It would have to cool and to heat at the same temperature.
    #[error("must be above heatSetpoint")]
    Order,
    /// The setpoints are too near to each other or too far apart.
    #[error("must be above heatSetpoint by {} °C for this unit", bounds(.range))]
    Difference {
        /// What it accepts.
        range: Range,
    },
}

impl Unfit {
    /// The field of the wish that is to blame, as the wire names it.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Mode => "mode",
            Self::Setpoint { field, .. } => field,
            Self::Order | Self::Difference { .. } => "coolSetpoint",
        }
    }
}

fn bounds(range: &Range) -> String {
    match (range.min, range.max) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => "any".to_owned(),
    }
}

impl Hold {
    /// The mode.
    pub const fn mode(&self) -> HvacMode {
        match self {
            Self::Off {} => HvacMode::Off,
            Self::Heat { .. } => HvacMode::Heat,
            Self::Cool { .. } => HvacMode::Cool,
            Self::Auto { .. } => HvacMode::Auto,
        }
    }

    /// Below which temperature it heats, °C.
    pub const fn heat_setpoint(&self) -> Option<f64> {
        match self {
            Self::Heat { heat_setpoint } | Self::Auto { heat_setpoint, .. } => Some(*heat_setpoint),
            Self::Off {} | Self::Cool { .. } => None,
        }
    }

    /// Above which temperature it cools, °C.
    pub const fn cool_setpoint(&self) -> Option<f64> {
        match self {
            Self::Cool { cool_setpoint } | Self::Auto { cool_setpoint, .. } => Some(*cool_setpoint),
            Self::Off {} | Self::Heat { .. } => None,
        }
    }

    /// Whether a unit can be set so, by what is known of it: bounds that it does not tell bind
    /// nobody.
    ///
    /// # Errors
    /// The first thing that stands in the way.
    pub fn fits(&self, unit: &Document) -> Result<(), Unfit> {
        let modes = unit.get(hvac::CAPABLE_MODES);
        if modes.is_some_and(|modes| !modes.contains(&self.mode())) {
            return Err(Unfit::Mode);
        }
        let setpoints = [
            (
                "heatSetpoint",
                self.heat_setpoint(),
                hvac::HEAT_SETPOINT_RANGE,
            ),
            (
                "coolSetpoint",
                self.cool_setpoint(),
                hvac::COOL_SETPOINT_RANGE,
            ),
        ];
        for (field, setpoint, key) in setpoints {
            let range = unit.get(key);
            if let Some((setpoint, range)) = setpoint.zip(range)
                && !is_within(setpoint, range)
            {
                return Err(Unfit::Setpoint { field, range });
            }
        }
        if let Self::Auto {
            heat_setpoint,
            cool_setpoint,
        } = self
        {
            let difference = cool_setpoint - heat_setpoint;
            if difference <= 0.0 {
                return Err(Unfit::Order);
            }
            if let Some(range) = unit.get(hvac::SETPOINT_DIFFERENCE_RANGE)
                && !is_within(difference, range)
            {
                return Err(Unfit::Difference { range });
            }
        }
        Ok(())
    }
}

fn is_within(value: f64, range: Range) -> bool {
    range.min.is_none_or(|min| value >= min) && range.max.is_none_or(|max| value <= max)
}

impl TemperatureTarget {
    /// Whether a unit can be set so; the vendor's program asks for nothing.
    ///
    /// # Errors
    /// The first thing that stands in the way.
    pub fn fits(&self, unit: &Document) -> Result<(), Unfit> {
        match self {
            Self::Scheduled {} => Ok(()),
            Self::Permanent(hold) => hold.fits(unit),
        }
    }

    /// What a unit is set to; `None` if that is not known.
    pub fn of(unit: &Document) -> Option<Self> {
        if unit.get(hvac::HOLD_TYPE) == Some(HoldType::Scheduled) {
            return Some(Self::Scheduled {});
        }
        let heat = || unit.get(hvac::HEAT_SETPOINT);
        let cool = || unit.get(hvac::COOL_SETPOINT);
        let hold = match unit.get(hvac::MODE)? {
            HvacMode::Unknown => return None,
            HvacMode::Off => Hold::Off {},
            HvacMode::Heat => Hold::Heat {
                heat_setpoint: heat()?,
            },
            HvacMode::Cool => Hold::Cool {
                cool_setpoint: cool()?,
            },
            HvacMode::Auto => Hold::Auto {
                heat_setpoint: heat()?,
                cool_setpoint: cool()?,
            },
        };
        Some(Self::Permanent(hold))
    }

    /// Whether a unit is set so. One that does not tell how long its setting holds is believed to
    /// hold it.
    pub fn is_met_by(&self, unit: &Document) -> bool {
        let near = |wanted: Option<f64>, is: Option<f64>| match (wanted, is) {
            (Some(wanted), Some(is)) => (wanted - is).abs() <= TOLERANCE,
            (wanted, is) => wanted == is,
        };
        match (self, Self::of(unit)) {
            (Self::Scheduled {}, Some(Self::Scheduled {})) => true,
            (Self::Permanent(wanted), Some(Self::Permanent(is))) => {
                wanted.mode() == is.mode()
                    && near(wanted.heat_setpoint(), is.heat_setpoint())
                    && near(wanted.cool_setpoint(), is.cool_setpoint())
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn unit(members: Value) -> Document {
        serde_json::from_value(members).unwrap()
    }

    #[test]
    fn targets_are_written_as_the_contract_does() {
        let targets = [
            (
                TemperatureTarget::Scheduled {},
                json!({"holdType": "SCHEDULED"}),
            ),
            (
                TemperatureTarget::Permanent(Hold::Off {}),
                json!({"holdType": "PERMANENT", "mode": "OFF"}),
            ),
            (
                TemperatureTarget::Permanent(Hold::Heat {
                    heat_setpoint: 20.5,
                }),
                json!({"holdType": "PERMANENT", "mode": "HEAT", "heatSetpoint": 20.5}),
            ),
            (
                TemperatureTarget::Permanent(Hold::Auto {
                    heat_setpoint: 20.0,
                    cool_setpoint: 24.0,
                }),
                json!({"holdType": "PERMANENT", "mode": "AUTO", "heatSetpoint": 20.0, "coolSetpoint": 24.0}),
            ),
        ];
        for (target, wire) in targets {
            assert_eq!(serde_json::to_value(target).unwrap(), wire);
            assert_eq!(
                serde_json::from_value::<TemperatureTarget>(wire).unwrap(),
                target
            );
        }
        for wrong in [
            json!({}),
            json!({"holdType": "SCHEDULED", "mode": "OFF"}),
            json!({"holdType": "PERMANENT"}),
            json!({"holdType": "PERMANENT", "mode": "OFF", "heatSetpoint": 20}),
            json!({"holdType": "PERMANENT", "mode": "HEAT"}),
            json!({"holdType": "PERMANENT", "mode": "HEAT", "heatSetpoint": 20, "coolSetpoint": 24}),
            json!({"holdType": "PERMANENT", "mode": "UNKNOWN"}),
            json!({"holdType": "PERMANENT", "mode": "AUTO", "heatSetpoint": 20}),
        ] {
            assert!(
                serde_json::from_value::<TemperatureTarget>(wrong.clone()).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_unit_says_what_it_accepts() {
        let told = unit(json!({"capabilities": {
            "capableModes": ["OFF", "HEAT", "AUTO"],
            "heatSetpointRange": {"min": 5, "max": 30},
            "coolSetpointRange": {"min": null, "max": 35},
            "setpointDifferenceRange": {"min": 2, "max": null},
        }}));
        let auto = |heat_setpoint, cool_setpoint| Hold::Auto {
            heat_setpoint,
            cool_setpoint,
        };
        let cases = [
            (Hold::Off {}, None),
            (
                Hold::Cool {
                    cool_setpoint: 20.0,
                },
                Some("mode"),
            ),
            (Hold::Heat { heat_setpoint: 5.0 }, None),
            (Hold::Heat { heat_setpoint: 4.9 }, Some("heatSetpoint")),
            (
                Hold::Heat {
                    heat_setpoint: 30.1,
                },
                Some("heatSetpoint"),
            ),
            (auto(20.0, 22.0), None),
            (auto(20.0, 21.9), Some("coolSetpoint")),
            (auto(20.0, 20.0), Some("coolSetpoint")),
            (auto(20.0, 35.1), Some("coolSetpoint")),
        ];
        for (hold, blamed) in cases {
            let unfit = hold.fits(&told).err();
            assert_eq!(unfit.map(|unfit| unfit.field()), blamed, "{hold:?}");
        }
        // Of a unit that tells nothing only the order of the setpoints is asked.
        let silent = unit(json!({"capabilities": {}}));
        assert_eq!(
            Hold::Cool {
                cool_setpoint: 90.0
            }
            .fits(&silent),
            Ok(())
        );
        assert_eq!(auto(21.0, 20.0).fits(&silent), Err(Unfit::Order));
        let range = Range {
            min: Some(2.0),
            max: None,
        };
        let text = Unfit::Difference { range }.to_string();
        assert_eq!(
            text,
            "must be above heatSetpoint by at least 2 °C for this unit"
        );
    }

    #[test]
    fn a_target_is_met_by_what_a_unit_tells() {
        let set = |mode: &str, hold: Value, heat: Value| {
            unit(
                json!({"thermostatState": {"mode": mode, "holdType": hold, "heatSetpoint": heat, "coolSetpoint": null}}),
            )
        };
        let heat = TemperatureTarget::Permanent(Hold::Heat {
            heat_setpoint: 21.0,
        });
        assert!(heat.is_met_by(&set("HEAT", json!("PERMANENT"), json!(21.1))));
        assert!(heat.is_met_by(&set("HEAT", json!(null), json!(21.0))));
        assert!(!heat.is_met_by(&set("HEAT", json!("SCHEDULED"), json!(21.0))));
        assert!(!heat.is_met_by(&set("HEAT", json!("PERMANENT"), json!(21.5))));
        assert!(!heat.is_met_by(&set("HEAT", json!("PERMANENT"), json!(null))));
        assert!(!heat.is_met_by(&set("OFF", json!("PERMANENT"), json!(21.0))));
        let off = TemperatureTarget::Permanent(Hold::Off {});
        assert!(off.is_met_by(&set("OFF", json!(null), json!(21.0))));
        let scheduled = TemperatureTarget::Scheduled {};
        assert!(scheduled.is_met_by(&set("OFF", json!("SCHEDULED"), json!(null))));
        assert!(!scheduled.is_met_by(&set("OFF", json!(null), json!(null))));
        assert!(!scheduled.is_met_by(&set("UNKNOWN", json!(null), json!(null))));
    }
}
