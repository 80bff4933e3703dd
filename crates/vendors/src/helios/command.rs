//! Commands in the words of helios.

use livewatt_domain::{
    action::{ChargingKind, Target},
    device::battery::OperationMode,
    kind::DeviceKind,
    temperature::{Hold, TemperatureTarget},
};
use serde_json::{Value, json};

/// The set point for cooling beside a set point for heating alone, °C, and the other way round: those
/// of the program, unless they would be too near. The vendor takes no set point that is too near to
/// the other, whatever the mode.
const COOL_TO: f64 = 25.0;
const HEAT_TO: f64 = 20.5;
/// The least distance between the two, °C.
const APART: f64 = 1.0;

/// What is told to which block of a site; `None` if a device of this kind does no such thing.
pub(super) fn of(kind: DeviceKind, target: &Target) -> Option<(&'static str, Value)> {
    Some(match (kind, target) {
        (DeviceKind::Charger, Target::Charging(ChargingKind::Start)) => {
            ("charger", json!({ "action": "start" }))
        }
        (DeviceKind::Charger, Target::Charging(ChargingKind::Stop)) => {
            ("charger", json!({ "action": "stop" }))
        }
        (DeviceKind::Charger, Target::MaxCurrent(amps)) => {
            let amps = crate::command::whole_amps(*amps);
            ("charger", json!({ "limit_a": amps }))
        }
        (DeviceKind::Battery, Target::OperationMode(mode)) => {
            let mode = match mode {
                OperationMode::SelfReliance => "self_use",
                OperationMode::ImportFocus => "backup",
                OperationMode::Idle => "idle",
                OperationMode::ExportFocus | OperationMode::TimeOfUse | OperationMode::Unknown => {
                    return None;
                }
            };
            ("battery", json!({ "mode": mode }))
        }
        (DeviceKind::Hvac, Target::Temperature(TemperatureTarget::Permanent(hold))) => {
            ("heatpump", permanent(hold))
        }
        // In standby it would follow nothing.
        (DeviceKind::Hvac, Target::Temperature(TemperatureTarget::Scheduled {})) => {
            ("heatpump", json!({ "mode": "auto", "program": "schedule" }))
        }
        _ => return None,
    })
}

fn permanent(hold: &Hold) -> Value {
    let (mode, setpoints) = match hold {
        Hold::Off {} => ("standby", None),
        Hold::Heat { heat_setpoint } => {
            let cool = COOL_TO.max(heat_setpoint + APART);
            ("heating", Some((*heat_setpoint, cool)))
        }
        Hold::Cool { cool_setpoint } => {
            let heat = HEAT_TO.min(cool_setpoint - APART);
            ("cooling", Some((heat, *cool_setpoint)))
        }
        Hold::Auto {
            heat_setpoint,
            cool_setpoint,
        } => ("auto", Some((*heat_setpoint, *cool_setpoint))),
    };
    let mut body = json!({ "mode": mode, "program": "hold", "hold_until": null });
    if let Some((heat_to, cool_to)) = setpoints {
        body["heat_to"] = heat_to.into();
        body["cool_to"] = cool_to.into();
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(hold: Hold) -> Value {
        let target = Target::Temperature(TemperatureTarget::Permanent(hold));
        of(DeviceKind::Hvac, &target).unwrap().1
    }

    #[test]
    fn a_hold_names_two_set_points_that_are_apart() {
        let heat = |heat_setpoint| told(Hold::Heat { heat_setpoint });
        assert_eq!(
            heat(21.0),
            json!({
                "mode": "heating", "program": "hold", "hold_until": null,
                "heat_to": 21.0, "cool_to": 25.0,
            })
        );
        assert_eq!(heat(28.0)["cool_to"], 29.0);
        let cool_setpoint = 18.0;
        assert_eq!(told(Hold::Cool { cool_setpoint })["heat_to"], 17.0);
        let off = json!({ "mode": "standby", "program": "hold", "hold_until": null });
        assert_eq!(told(Hold::Off {}), off);
    }

    #[test]
    fn what_a_device_does_not_do_is_not_told_to_it() {
        let start = Target::Charging(ChargingKind::Start);
        let export = Target::OperationMode(OperationMode::ExportFocus);
        assert_eq!(of(DeviceKind::Battery, &start), None);
        assert_eq!(of(DeviceKind::Battery, &export), None);
        let idle = Target::OperationMode(OperationMode::Idle);
        let (block, body) = of(DeviceKind::Battery, &idle).unwrap();
        assert_eq!((block, body), ("battery", json!({ "mode": "idle" })));
    }
}
