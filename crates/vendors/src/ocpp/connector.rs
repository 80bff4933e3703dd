//! What is known of a connector, as far as later frames need it.

use jiff::Timestamp;
use serde_json::Value;

use super::convert::{Measured, Register};

/// A connector.
#[derive(Debug, Default)]
pub(super) struct Connector {
    pub(super) transaction: Option<i32>,
    /// The transaction that ended last; a late meter value must not revive it.
    pub(super) ended: Option<i32>,
    /// The call that started the transaction.
    pub(super) start: Option<Value>,
    pub(super) register: Option<Register>,
    measures_power: bool,
    /// It was told which current to keep to.
    pub(super) is_limited: bool,
    /// It said that it is out of service.
    pub(super) is_closed: bool,
    /// Time of the newest meter value told of.
    pub(super) sampled_at: Option<Timestamp>,
    pub(super) state_told: Told,
    pub(super) rate_told: Told,
    pub(super) current_told: Told,
}

/// When a field was last told: by the station's clock and by ours.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told(Option<(Option<Timestamp>, Timestamp)>);

impl Told {
    /// The time to give with a fact, such that it wins against what was told before. The first
    /// word of a session is given none: it must win against that of an earlier connection too,
    /// whose times are not known here.
    pub(super) fn next(
        &mut self,
        at: Option<Timestamp>,
        arrived_at: Timestamp,
    ) -> Option<Timestamp> {
        let at = match self.0 {
            Some((Some(before), _)) => at.map(|at| at.max(before)),
            Some((None, before)) => at.filter(|at| *at >= before),
            None => None,
        };
        self.0 = Some((at, arrived_at));
        at
    }
}

impl Connector {
    /// Goes over to another transaction, or to none.
    pub(super) fn join(&mut self, transaction: Option<i32>) {
        if self.transaction != transaction {
            self.transaction = transaction;
            self.start = None;
            self.register = None;
        }
    }

    /// Charge rate by a measurement, kW. Once a station has measured power itself, what could be
    /// worked out from other measurements would only flicker beside it.
    pub(super) fn rate(
        &mut self,
        measured: &Measured,
        at: Option<Timestamp>,
        arrived_at: Timestamp,
    ) -> Option<f64> {
        let slope = measured.energy.and_then(|energy| {
            let register = Register {
                energy,
                at,
                arrived_at,
            };
            let slope = self.register.and_then(|earlier| register.slope(&earlier));
            if self
                .register
                .is_none_or(|earlier| register.is_far_from(&earlier))
            {
                self.register = Some(register);
            }
            slope.filter(|_| self.transaction.is_some())
        });
        self.measures_power |= measured.power.is_some();
        match measured.power {
            None if !self.measures_power => slope.or(measured.apparent),
            power => power,
        }
    }
}
