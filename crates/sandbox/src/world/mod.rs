//! The world behind the clouds: accounts, their devices, and time. Everything here happens under
//! one lock, in steps of a fixed grid, with nothing awaited.

pub(crate) mod account;
mod freeze;
pub(crate) mod habits;
pub(crate) mod heatpump;
pub(crate) mod log;
mod observe;
pub(crate) mod orders;
pub(crate) mod patch;
pub(crate) mod people;
pub(crate) mod record;
pub(crate) mod site;
pub(crate) mod sun;
pub(crate) mod tokens;
pub(crate) mod town;
pub(crate) mod vehicle;
pub(crate) mod wallbox;

use std::collections::BTreeMap;

use crate::{
    answers::Answer,
    clock::{Clock, Millis, Seconds},
    clouds::{Cloud, rivoli::quota::Apps},
    config::{OAuthClient, SandboxConfig},
    faults::Fault,
    push::Outbox,
    random::fork,
    world::{
        account::{Account, Device, PartKind},
        orders::Orders,
        tokens::Tokens,
        town::{Local, WallClocks},
        vehicle::Vehicle,
        wallbox::Wallbox,
    },
};

/// Seconds between two points of the physics grid.
pub(crate) const STEP: Seconds = 10;
/// What a plug without one of our wallboxes gives, amps.
const PLAIN_SUPPLY: u8 = 16;

/// Where a device is within its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locator {
    Vehicle(usize),
    Wallbox(usize),
    Part(usize, PartKind),
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) clients: Vec<OAuthClient>,
    pub(crate) clock: Clock,
    /// The grid point the physics have reached, never after `clock.now()`.
    pub(crate) tick: Seconds,
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) tokens: Tokens,
    pub(crate) faults: Vec<Fault>,
    pub(crate) orders: Orders,
    pub(crate) outbox: Outbox,
    pub(crate) apps: Apps,
    /// What was answered and not yet taken; `None` if no record is kept.
    pub(crate) answers: Option<Vec<Answer>>,
    /// Account id and place of every device, removed ones too.
    index: BTreeMap<String, (String, Locator)>,
    wall: WallClocks,
    /// How many of each thing were ever made, for ids.
    made: BTreeMap<&'static str, u64>,
    /// The freezing faults whose effect is in place; `None`: to be looked at again.
    freezing: Option<Vec<String>>,
}

impl World {
    pub(crate) fn new(config: &SandboxConfig) -> Self {
        let start = config.start.as_millisecond();
        Self {
            seed: config.seed,
            clients: config.clients.clone(),
            clock: Clock::new(start, config.speed),
            tick: start.div_euclid(1000 * STEP) * STEP,
            accounts: BTreeMap::new(),
            tokens: Tokens::new(fork(config.seed, 100)),
            faults: Vec::new(),
            orders: Orders::default(),
            outbox: Outbox::default(),
            apps: Apps::new(config.rivoli_app_quota),
            answers: config.record_answers.then(Vec::new),
            index: BTreeMap::new(),
            wall: WallClocks::new(),
            made: BTreeMap::new(),
            freezing: None,
        }
    }

    pub(crate) fn now(&self) -> Millis {
        self.clock.now()
    }

    /// The next number in a series of ids, from 1.
    pub(crate) fn number(&mut self, series: &'static str) -> u64 {
        let made = self.made.entry(series).or_default();
        *made += 1;
        *made
    }

    pub(crate) fn find_account(&self, cloud: Cloud, name: &str) -> Option<&Account> {
        self.accounts
            .values()
            .find(|account| account.cloud == cloud && account.is(name))
    }

    pub(crate) fn locate(&mut self, device: &str) -> Option<(&mut Account, Locator)> {
        let (account, locator) = self.index.get(device)?;
        Some((self.accounts.get_mut(account)?, *locator))
    }

    /// The account id and place of a device.
    pub(crate) fn place_of(&self, device: &str) -> Option<&(String, Locator)> {
        self.index.get(device)
    }

    /// Active faults that cover an account and, where they name a device, this one.
    pub(crate) fn active_faults<'a>(
        &'a mut self,
        cloud: Cloud,
        account: &str,
        device: Option<&'a str>,
    ) -> impl Iterator<Item = &'a mut Fault> {
        let now = self.now();
        let username = self
            .accounts
            .get(account)
            .map_or("", |account| &account.username);
        let covers: Vec<bool> = self
            .faults
            .iter()
            .map(|fault| {
                fault.is_active(now)
                    && fault.covers_account(cloud, account, username)
                    && fault
                        .spec
                        .device
                        .as_deref()
                        .is_none_or(|id| Some(id) == device)
            })
            .collect();
        self.faults
            .iter_mut()
            .zip(covers)
            .filter(|(_, covers)| *covers)
            .map(|(fault, _)| fault)
    }

    /// Lives through one step of the grid.
    pub(crate) fn step(&mut self) {
        self.tick += STEP;
        let local = self.wall.read(self.tick);
        self.refresh_freezes();
        self.obey_due_orders();
        for account in self.accounts.values_mut() {
            step_account(account, self.tick, local[account.town]);
            observe::observe(account, self.tick, &mut self.outbox);
        }
    }
}

fn step_account(account: &mut Account, tick: Seconds, local: Local) {
    step_garage(&mut account.vehicles, &mut account.wallboxes, tick, local);
    for house in &mut account.households {
        let present = house.present();
        house.site.live.step(tick, local, present);
    }
}

/// Cars and wallboxes of one home: the first car has the first wallbox, and so on.
fn step_garage(
    vehicles: &mut [Device<Vehicle>],
    wallboxes: &mut [Device<Wallbox>],
    tick: Seconds,
    local: Local,
) {
    let mut boxes = wallboxes.iter().filter(|wallbox| wallbox.meta.is_present());
    for vehicle in vehicles
        .iter_mut()
        .filter(|vehicle| vehicle.meta.is_present())
    {
        let supply = boxes
            .next()
            .map_or(PLAIN_SUPPLY, |wallbox| wallbox.live.supply());
        vehicle.live.step(tick, local, supply);
    }
    link_garage(vehicles, wallboxes);
}

/// Lets each wallbox follow its car.
fn link_garage(vehicles: &[Device<Vehicle>], wallboxes: &mut [Device<Wallbox>]) {
    let mut cars = vehicles.iter().filter(|vehicle| vehicle.meta.is_present());
    for wallbox in wallboxes
        .iter_mut()
        .filter(|wallbox| wallbox.meta.is_present())
    {
        wallbox
            .live
            .follow(cars.next().map(|car| (car.meta.id.as_str(), &car.live)));
    }
}
