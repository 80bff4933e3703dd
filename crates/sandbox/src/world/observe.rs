//! After each step: histories are written, and the volta cloud sees its devices and pushes.

use crate::{
    clock::Seconds,
    clouds::{Cloud, volta},
    push::Outbox,
    world::{
        account::{Account, Device, Household, PartKind},
        log::Word,
    },
};

/// Writes histories, and what the volta cloud sees and pushes.
pub(super) fn observe(account: &mut Account, tick: Seconds, outbox: &mut Outbox) {
    for Device { meta, live, .. } in &mut account.vehicles {
        if meta.is_present() {
            meta.log.observe(
                tick,
                &[
                    ("online", Word::Switch(!meta.offline)),
                    ("plugged", Word::Switch(live.plugged)),
                    ("status", Word::Text(live.charge.word())),
                    ("level_percent", Word::Number(live.level as i64)),
                    ("limit_percent", Word::Number(live.limit.into())),
                    ("max_amps", Word::Number(live.max_amps.into())),
                    ("place", Word::Text(live.place.word())),
                    ("driving", Word::Switch(live.is_driving())),
                    ("asleep", Word::Switch(live.asleep)),
                ],
            );
        }
    }
    for Device { meta, live, .. } in &mut account.wallboxes {
        if meta.is_present() {
            meta.log.observe(
                tick,
                &[
                    ("online", Word::Switch(!meta.offline)),
                    ("status", Word::Text(live.status.word())),
                    ("current_limit_amps", Word::Number(live.limit_amps.into())),
                ],
            );
        }
    }
    for house in &mut account.households {
        observe_household(house, tick);
    }
    if account.cloud == Cloud::Volta {
        volta::view::see(account, tick);
        volta::feed::report(account, tick, outbox);
    }
}

fn observe_household(house: &mut Household, tick: Seconds) {
    let site = &house.site.live;
    for (kind, part) in PartKind::ALL.into_iter().zip(&mut house.parts) {
        if !part.is_present() {
            continue;
        }
        let online = ("online", Word::Switch(!part.offline));
        let log = &mut part.log;
        match kind {
            PartKind::Inverter => {
                let producing = ("producing", Word::Switch(site.flows.solar > 0));
                log.observe(tick, &[online, producing]);
            }
            PartKind::Meter => {
                log.observe(
                    tick,
                    &[online, ("buying", Word::Switch(site.flows.grid > 0))],
                );
            }
            PartKind::Battery => {
                let mode = ("mode", Word::Text(site.battery_mode.word()));
                let level = ("level_percent", Word::Number(site.level as i64));
                log.observe(tick, &[online, mode, level]);
            }
            PartKind::HeatPump => {
                let pump = &site.heat_pump;
                log.observe(
                    tick,
                    &[
                        online,
                        ("mode", Word::Text(pump.mode.word())),
                        ("activity", Word::Text(pump.activity.word())),
                        ("program", Word::Text(pump.program.word())),
                        ("heat_to", Word::Temperature(pump.heat_to)),
                        ("cool_to", Word::Temperature(pump.cool_to)),
                    ],
                );
            }
            PartKind::Charger => {
                let car = &site.car;
                log.observe(
                    tick,
                    &[
                        online,
                        ("plugged", Word::Switch(car.plugged)),
                        ("status", Word::Text(car.charge.word())),
                        (
                            "current_limit_amps",
                            Word::Number(site.charger_limit.into()),
                        ),
                    ],
                );
            }
        }
    }
}
