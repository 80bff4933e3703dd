//! The virtual clock: a base moment plus real time × speed, or, at speed 0, a clock that only moves
//! when it is told to. Real time is tokio's, so a paused test runtime pauses it too.

use jiff::Timestamp;
use tokio::time::Instant;

use crate::ControlError;

/// The fastest a clock may run, in virtual seconds per real second.
pub const MAX_SPEED: f64 = 10_000.0;

/// Virtual time in milliseconds since 1970.
pub(crate) type Millis = i64;

/// Virtual time in seconds since 1970, on the physics grid where the name says tick.
pub(crate) type Seconds = i64;

#[derive(Debug)]
pub(crate) struct Clock {
    base: Millis,
    anchor: Instant,
    speed: f64,
}

impl Clock {
    pub(crate) fn new(start: Millis, speed: f64) -> Self {
        Self {
            base: start,
            anchor: Instant::now(),
            speed: checked(speed).unwrap_or(0.0),
        }
    }

    pub(crate) fn now(&self) -> Millis {
        if self.is_manual() {
            return self.base;
        }
        let elapsed = self.anchor.elapsed().as_secs_f64() * self.speed;
        self.base + (elapsed * 1000.0) as Millis
    }

    pub(crate) fn speed(&self) -> f64 {
        self.speed
    }

    pub(crate) fn is_manual(&self) -> bool {
        self.speed == 0.0
    }

    /// How long something lives in virtual milliseconds so that it lives at least that long in
    /// real time too.
    pub(crate) fn lifetime(&self, seconds: i64) -> Millis {
        (seconds as f64 * 1000.0 * self.speed.max(1.0)) as Millis
    }

    pub(crate) fn set_now(&mut self, now: Millis) {
        self.base = now;
        self.anchor = Instant::now();
    }

    pub(crate) fn set_speed(&mut self, speed: f64) -> Result<(), ControlError> {
        let speed = checked(speed)?;
        self.set_now(self.now());
        self.speed = speed;
        Ok(())
    }
}

fn checked(speed: f64) -> Result<f64, ControlError> {
    if speed.is_finite() && (0.0..=MAX_SPEED).contains(&speed) {
        Ok(speed)
    } else {
        Err(ControlError::invalid(format!(
            "speed must be 0 to {MAX_SPEED}"
        )))
    }
}

/// The wire form of a virtual time, whole seconds.
pub(crate) fn timestamp(seconds: Seconds) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}
