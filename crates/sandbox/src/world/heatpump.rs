//! A heat pump and the house it keeps warm: one heat capacity, one loss, a thermostat with
//! hysteresis.

use crate::{
    clock::Seconds,
    world::{STEP, orders::HeatPumpOrder, town::Local},
};

/// Heat the house loses for each degree of difference, W/K.
const LOSS: f64 = 170.0;
/// Heat that warms the house by one degree, J/K.
const CAPACITY: f64 = 14.0e6;
/// Sun through the windows and people, W.
const SUN_GAIN: f64 = 1_800.0;
const PEOPLE_GAIN: f64 = 350.0;
/// Half the width of the thermostat's band, °C.
const HYSTERESIS: f64 = 0.3;
const STANDBY_W: i64 = 12;
/// The least time the compressor stays as it is, s.
const MIN_RUN: i64 = 300;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HvacMode {
    Heating,
    Cooling,
    Auto,
    Standby,
}

impl HvacMode {
    pub(crate) fn word(self) -> &'static str {
        match self {
            HvacMode::Heating => "heating",
            HvacMode::Cooling => "cooling",
            HvacMode::Auto => "auto",
            HvacMode::Standby => "standby",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Heating, Self::Cooling, Self::Auto, Self::Standby]
            .into_iter()
            .find(|mode| mode.word() == word)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    Heating,
    Cooling,
    Idle,
    Off,
}

impl Activity {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Activity::Heating => "heating",
            Activity::Cooling => "cooling",
            Activity::Idle => "idle",
            Activity::Off => "off",
        }
    }
}

/// Who sets the temperature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Program {
    Schedule,
    /// Held until a virtual time in milliseconds; `None`: until changed.
    Hold(Option<i64>),
}

impl Program {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Program::Schedule => "schedule",
            Program::Hold(_) => "hold",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct HeatPump {
    pub(crate) mode: HvacMode,
    pub(crate) activity: Activity,
    pub(crate) program: Program,
    pub(crate) heat_to: f64,
    pub(crate) cool_to: f64,
    pub(crate) room_temp: f64,
    changed: Seconds,
}

impl HeatPump {
    pub(crate) fn new() -> Self {
        Self {
            mode: HvacMode::Auto,
            activity: Activity::Idle,
            program: Program::Schedule,
            heat_to: 20.5,
            cool_to: 25.0,
            room_temp: 20.3,
            changed: 0,
        }
    }

    /// Takes an order at once: the compressor's rest does not hold back a person's wish.
    pub(crate) fn obey(&mut self, order: HeatPumpOrder) {
        self.mode = order.mode.unwrap_or(self.mode);
        self.program = order.program.unwrap_or(self.program);
        self.heat_to = order.heat_to.unwrap_or(self.heat_to);
        self.cool_to = order.cool_to.unwrap_or(self.cool_to);
        self.changed = 0;
    }

    /// Lives one step; returns the electric power in watts.
    pub(crate) fn step(&mut self, tick: Seconds, local: Local, outdoor: f64, sun: f64) -> i64 {
        self.follow_program(tick, local);
        self.run_thermostat(tick);
        let (power, heat) = self.output(outdoor);
        let gains = SUN_GAIN * sun + PEOPLE_GAIN + heat;
        let losses = LOSS * (self.room_temp - outdoor);
        self.room_temp += (gains - losses) * STEP as f64 / CAPACITY;
        power
    }

    fn follow_program(&mut self, tick: Seconds, local: Local) {
        if let Program::Hold(Some(until)) = self.program
            && tick * 1000 >= until
        {
            self.program = Program::Schedule;
        }
        if self.program == Program::Schedule {
            let day = (6 * 3600..22 * 3600).contains(&local.second);
            self.heat_to = if day { 20.5 } else { 18.0 };
            self.cool_to = 25.0;
        }
    }

    fn run_thermostat(&mut self, tick: Seconds) {
        let may_heat = matches!(self.mode, HvacMode::Heating | HvacMode::Auto);
        let may_cool = matches!(self.mode, HvacMode::Cooling | HvacMode::Auto);
        let room = self.room_temp;
        let wanted = match self.activity {
            _ if self.mode == HvacMode::Standby => Activity::Off,
            Activity::Heating if may_heat && room < self.heat_to + HYSTERESIS => Activity::Heating,
            Activity::Cooling if may_cool && room > self.cool_to - HYSTERESIS => Activity::Cooling,
            _ if may_heat && room < self.heat_to - HYSTERESIS => Activity::Heating,
            _ if may_cool && room > self.cool_to + HYSTERESIS => Activity::Cooling,
            _ => Activity::Idle,
        };
        let rested = tick - self.changed >= MIN_RUN || wanted == Activity::Off;
        if wanted != self.activity && rested {
            self.activity = wanted;
            self.changed = tick;
        }
    }

    /// Electric power and the heat it moves into the house (negative: out of it), both in watts.
    fn output(&self, outdoor: f64) -> (i64, f64) {
        match self.activity {
            Activity::Off => (STANDBY_W / 2, 0.0),
            Activity::Idle => (STANDBY_W, 0.0),
            Activity::Heating => {
                // The colder outside, the harder it works for the less.
                let power = (1_500.0 + 45.0 * (12.0 - outdoor).clamp(0.0, 30.0)).round();
                let efficiency = (3.9 + 0.08 * (outdoor - 7.0)).clamp(1.8, 5.0);
                (power as i64, power * efficiency)
            }
            Activity::Cooling => (1_200, -1_200.0 * 3.2),
        }
    }
}
