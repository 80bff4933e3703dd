//! What a schedule is to be: whole when it is made, in part when it is changed.

use livewatt_domain::{
    Timestamp,
    device::Device,
    id::LocationId,
    kind::DeviceKind,
    schedule::{
        ChargeProgram, ChargeRule, HourMinute, Program, Schedule, TemperatureProgram,
        TemperatureRule,
    },
    temperature::TemperatureTarget,
};

use crate::{EngineError, EngineResult, Issue};

/// What a schedule is to be; in a change, what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct ScheduleInput {
    /// What kind of device it is for, which decides on the other fields.
    pub target_type: Option<DeviceKind>,
    /// The device.
    pub target_id: Option<String>,
    /// Whether it acts at all.
    pub is_enabled: Option<bool>,
    /// Where it acts alone; of charge schedules.
    pub location_id: Option<Option<LocationId>>,
    /// Whether to charge where no rule holds; of charge schedules.
    pub default_should_charge: Option<bool>,
    /// What to be set to where no rule holds; of temperature schedules.
    pub default_target_state: Option<TemperatureTarget>,
    /// The rules, all of them.
    pub rules: Option<Vec<RuleInput>>,
}

/// A rule, of either kind of schedule.
#[derive(Debug, Clone)]
pub struct RuleInput {
    /// Within this window of the day.
    pub hour_minute: Option<HourMinute>,
    /// From then on.
    pub from: Option<Timestamp>,
    /// Before then.
    pub to: Option<Timestamp>,
    /// On these days.
    pub weekdays: Option<Vec<u8>>,
    /// Whether to charge then; of charge schedules.
    pub should_charge: Option<bool>,
    /// What to be set to then; of temperature schedules.
    pub target_state: Option<TemperatureTarget>,
}

impl ScheduleInput {
    /// The program that this makes, of what there was before or of nothing.
    pub(super) fn program(&self, before: Option<&Schedule>) -> EngineResult<Program> {
        let mut issues = Vec::new();
        let kind = self.target_type;
        let kind = kind.or_else(|| before.map(|before| before.program.target_type()));
        let program = match kind {
            Some(kind @ (DeviceKind::Vehicle | DeviceKind::Charger)) => {
                self.charge(kind, before, &mut issues)
            }
            Some(DeviceKind::Hvac) => self.temperature(before, &mut issues),
            Some(_) => {
                issues.push(Issue::new("targetType", "must be vehicle, charger or hvac"));
                None
            }
            None => {
                issues.push(Issue::new("targetType", "is required"));
                None
            }
        };
        let program = program
            .filter(|_| issues.is_empty())
            .ok_or(EngineError::Invalid(issues))?;
        match program.check() {
            Ok(()) => Ok(program),
            Err((path, error)) => Err(EngineError::invalid(path, error.to_string())),
        }
    }

    fn charge(
        &self,
        target_type: DeviceKind,
        before: Option<&Schedule>,
        issues: &mut Vec<Issue>,
    ) -> Option<Program> {
        let before = before.and_then(|before| match &before.program {
            Program::Charge(program) => Some(program),
            Program::Temperature(_) => None,
        });
        if self.default_target_state.is_some() {
            issues.push(foreign("defaultTargetState"));
        }
        let location_id = self
            .location_id
            .or_else(|| before.map(|before| before.location_id));
        let default_should_charge = self
            .default_should_charge
            .or_else(|| before.map(|before| before.default_should_charge));
        let rules = match &self.rules {
            None => before.map(|before| before.rules.clone()),
            Some(rules) => Some(each(rules, issues, |rule, path, issues| {
                if rule.target_state.is_some() {
                    issues.push(foreign(format!("{path}.targetState")));
                }
                let should_charge = rule.should_charge;
                needed(should_charge, format!("{path}.shouldCharge"), issues).map(|should_charge| {
                    ChargeRule {
                        hour_minute: rule.hour_minute,
                        from_timestamp: rule.from,
                        to_timestamp: rule.to,
                        weekdays: rule.weekdays.clone(),
                        should_charge,
                    }
                })
            })),
        };
        let location_id = needed(location_id, "locationId", issues);
        let default_should_charge = needed(default_should_charge, "defaultShouldCharge", issues);
        let rules = needed(rules, "rules", issues);
        Some(Program::Charge(ChargeProgram {
            target_type,
            location_id: location_id?,
            default_should_charge: default_should_charge?,
            rules: rules?,
        }))
    }

    fn temperature(&self, before: Option<&Schedule>, issues: &mut Vec<Issue>) -> Option<Program> {
        let before = before.and_then(|before| match &before.program {
            Program::Temperature(program) => Some(program),
            Program::Charge(_) => None,
        });
        if self.default_should_charge.is_some() {
            issues.push(foreign("defaultShouldCharge"));
        }
        if self.location_id.is_some() {
            issues.push(foreign("locationId"));
        }
        let default_target_state = self
            .default_target_state
            .or_else(|| before.map(|before| before.default_target_state));
        let rules = match &self.rules {
            None => before.map(|before| before.rules.clone()),
            Some(rules) => Some(each(rules, issues, |rule, path, issues| {
                if rule.should_charge.is_some() {
                    issues.push(foreign(format!("{path}.shouldCharge")));
                }
                let target_state = rule.target_state;
                needed(target_state, format!("{path}.targetState"), issues).map(|target_state| {
                    TemperatureRule {
                        hour_minute: rule.hour_minute,
                        from_timestamp: rule.from,
                        to_timestamp: rule.to,
                        weekdays: rule.weekdays.clone(),
                        target_state,
                    }
                })
            })),
        };
        let default_target_state = needed(default_target_state, "defaultTargetState", issues);
        let rules = needed(rules, "rules", issues);
        Some(Program::Temperature(TemperatureProgram {
            target_type: DeviceKind::Hvac,
            default_target_state: default_target_state?,
            rules: rules?,
        }))
    }
}

/// Each rule read, those that are wrong left out with what is wrong with them.
fn each<R>(
    rules: &[RuleInput],
    issues: &mut Vec<Issue>,
    read: impl Fn(&RuleInput, &str, &mut Vec<Issue>) -> Option<R>,
) -> Vec<R> {
    let rules = rules.iter().enumerate();
    rules
        .filter_map(|(index, rule)| read(rule, &format!("rules.{index}"), issues))
        .collect()
}

fn needed<T>(value: Option<T>, path: impl Into<String>, issues: &mut Vec<Issue>) -> Option<T> {
    if value.is_none() {
        issues.push(Issue::new(path, "is required"));
    }
    value
}

fn foreign(path: impl Into<String>) -> Issue {
    Issue::new(path, "is not a field of schedules for this targetType")
}

/// What a temperature schedule wants must be within what its unit accepts, as far as that is known.
pub(super) fn check_reach(program: &Program, unit: &Device) -> EngineResult<()> {
    let Program::Temperature(program) = program else {
        return Ok(());
    };
    let mut issues = Vec::new();
    let mut check = |target: &TemperatureTarget, path: String| {
        if let Err(unfit) = target.fits(&unit.document) {
            let path = format!("{path}.{}", unfit.field());
            issues.push(Issue::new(path, unfit.to_string()));
        }
    };
    check(
        &program.default_target_state,
        "defaultTargetState".to_owned(),
    );
    for (index, rule) in program.rules.iter().enumerate() {
        check(&rule.target_state, format!("rules.{index}.targetState"));
    }
    match issues.is_empty() {
        true => Ok(()),
        false => Err(EngineError::Invalid(issues)),
    }
}
