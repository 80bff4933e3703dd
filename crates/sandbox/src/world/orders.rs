//! Orders: what a cloud was commanded to do, obeyed a little later at a grid point.

use std::collections::BTreeMap;

use crate::{
    clock::Seconds,
    clouds::Cloud,
    faults::FaultKind,
    world::{
        Locator, World,
        account::PartKind,
        heatpump::{HvacMode, Program},
        site::BatteryMode,
        vehicle::{Charge, Vehicle},
    },
};

/// After this long an order nobody obeyed is given up.
const PATIENCE: i64 = 300;
/// Finished orders kept for looking up.
const KEPT: usize = 1_000;

/// What to do. Values are checked before an order is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Act {
    ChargeStart,
    ChargeStop,
    Limit(u8),
    MaxAmps(u8),
    Battery(BatteryMode),
    HeatPump(HeatPumpOrder),
}

/// `None`: as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct HeatPumpOrder {
    pub(crate) mode: Option<HvacMode>,
    pub(crate) heat_to: Option<f64>,
    pub(crate) cool_to: Option<f64>,
    pub(crate) program: Option<Program>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OrderState {
    Accepted,
    Done,
    Failed(&'static str),
}

impl OrderState {
    /// In the words of volta, with the reason of a failure.
    pub(crate) fn words(&self) -> (&'static str, Option<&'static str>) {
        match self {
            OrderState::Accepted => ("accepted", None),
            OrderState::Done => ("done", None),
            OrderState::Failed(reason) => ("failed", Some(reason)),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) account: String,
    device: String,
    act: Act,
    due: Seconds,
    ignored: bool,
    pub(crate) state: OrderState,
}

#[derive(Debug, Default)]
pub(crate) struct Orders {
    made: u64,
    pending: Vec<String>,
    all: BTreeMap<String, Order>,
}

impl Orders {
    pub(crate) fn get(&self, id: &str) -> Option<&Order> {
        self.all.get(id)
    }
}

impl World {
    /// Accepts an order, to be obeyed `delay` seconds from now.
    pub(crate) fn order(
        &mut self,
        cloud: Cloud,
        account: &str,
        device: &str,
        act: Act,
        delay: i64,
    ) -> String {
        let mut due = self.now().div_euclid(1000) + delay;
        let (mut ignored, mut lied) = (false, false);
        for fault in self.active_faults(cloud, account, Some(device)) {
            match fault.spec.kind {
                FaultKind::CommandIgnored => ignored = true,
                FaultKind::CommandLied => lied = true,
                FaultKind::CommandSlow { seconds } => due += seconds,
                _ => continue,
            }
            fault.hits += 1;
        }
        self.orders.made += 1;
        let id = format!("cmd_{:06}", self.orders.made);
        let order = Order {
            account: account.into(),
            device: device.into(),
            act,
            due,
            ignored,
            state: match lied {
                true => OrderState::Done,
                false => OrderState::Accepted,
            },
        };
        if self.orders.all.len() >= KEPT + self.orders.pending.len() {
            self.orders.all.pop_first();
        }
        self.orders.all.insert(id.clone(), order);
        if !lied {
            self.orders.pending.push(id.clone());
        }
        id
    }

    pub(crate) fn obey_due_orders(&mut self) {
        let tick = self.tick;
        let mut pending = std::mem::take(&mut self.orders.pending);
        pending.retain(|id| {
            let Some(order) = self.orders.all.get(id) else {
                return false;
            };
            let (ignored, due) = (order.ignored, order.due);
            if tick < due || (ignored && tick < due + PATIENCE) {
                return true;
            }
            let (device, act) = (order.device.clone(), order.act);
            let result = if ignored {
                Err("timeout")
            } else {
                self.obey(&device, act)
            };
            if let Some(order) = self.orders.all.get_mut(id) {
                order.state = match result {
                    Ok(()) => OrderState::Done,
                    Err(reason) => OrderState::Failed(reason),
                };
            }
            false
        });
        self.orders.pending = pending;
    }

    fn obey(&mut self, device: &str, act: Act) -> Result<(), &'static str> {
        let tick = self.tick;
        let Some((account, locator)) = self.locate(device) else {
            return Err("gone");
        };
        match locator {
            Locator::Vehicle(index) => {
                let vehicle = &mut account.vehicles[index];
                if vehicle.meta.offline {
                    return Err("timeout");
                }
                obey_vehicle(&mut vehicle.live, act, tick)
            }
            Locator::Wallbox(index) => {
                if let Act::MaxAmps(amps) = act {
                    account.wallboxes[index].live.limit_amps = amps;
                    return Ok(());
                }
                let plugged = account.wallboxes[index].live.vehicle.clone();
                let vehicle = account
                    .vehicles
                    .iter_mut()
                    .find(|v| plugged.as_deref() == Some(&v.meta.id));
                obey_vehicle(&mut vehicle.ok_or("not_plugged")?.live, act, tick)
            }
            Locator::Part(index, part) => {
                let site = &mut account.households[index].site.live;
                match (part, act) {
                    (PartKind::Battery, Act::Battery(mode)) => site.battery_mode = mode,
                    (PartKind::HeatPump, Act::HeatPump(order)) => site.heat_pump.obey(order),
                    (PartKind::Charger, Act::MaxAmps(amps)) => site.charger_limit = amps,
                    (PartKind::Charger, act) => return obey_vehicle(&mut site.car, act, tick),
                    _ => return Err("not_possible"),
                }
                Ok(())
            }
        }
    }
}

fn obey_vehicle(vehicle: &mut Vehicle, act: Act, tick: Seconds) -> Result<(), &'static str> {
    vehicle.wake(tick);
    match act {
        Act::Limit(percent) => vehicle.limit = percent,
        Act::MaxAmps(amps) => vehicle.max_amps = amps,
        Act::ChargeStart | Act::ChargeStop if !vehicle.plugged => return Err("not_plugged"),
        Act::ChargeStart if vehicle.charge == Charge::Complete => return Err("already_complete"),
        Act::ChargeStart => vehicle.stopped = false,
        Act::ChargeStop => vehicle.stopped = true,
        Act::Battery(_) | Act::HeatPump(_) => return Err("not_possible"),
    }
    Ok(())
}
