//! What befalls the fleet: a random, seeded mix of every fault the sandbox has, and of what people
//! and operators do. The same seed gives the same days.

use livewatt_domain::{
    SignedDuration, Timestamp,
    entropy::{Entropy as _, SeededEntropy},
};
use livewatt_sandbox::{AccountInfo, Cloud, FaultKind, FaultSpec, Garbage, ScriptEntry};

use super::count::Excuse;

/// Something that happens at a moment.
#[derive(Debug, Clone)]
pub enum Act {
    /// Faults of the coming hour.
    Faults(Vec<ScriptEntry>),
    /// The server is stopped and comes back after so many minutes.
    Restart(i64),
    /// The receiver refuses everything, or takes it again.
    ReceiverAway(bool),
    /// All tokens of an account are revoked; where that does not end it, its password changes.
    Kill(AccountInfo),
    /// Its user links it again.
    Relink(AccountInfo),
    /// The customer wants a device fetched soon.
    Hint,
    /// An account gets another device.
    AddDevice(AccountInfo),
    /// The device that was added longest ago is taken away.
    RemoveDevice,
}

/// Acts in the order of their times, and what of them explains old data.
#[derive(Debug, Default)]
pub struct Script {
    pub acts: Vec<(Timestamp, Act)>,
    pub excuses: Vec<Excuse>,
    /// Faults that strike whole clouds.
    pub cloud_failures: Vec<(Cloud, Timestamp, Timestamp)>,
}

/// Kinds of fault, by number.
const KINDS: u64 = 20;
/// Real milliseconds that a slow answer takes.
const SLOW_MS: u64 = 20;

struct Dice(SeededEntropy);

impl Dice {
    fn below(&self, end: usize) -> usize {
        (self.0.unit() * end as f64) as usize
    }

    fn pick<'a, T>(&self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

fn fault_kind(number: u64, dice: &Dice) -> FaultKind {
    let garbage = |variant| FaultKind::Garbage { variant };
    match number % KINDS {
        0 => FaultKind::Offline,
        1 => FaultKind::RateLimited {
            retry_after_seconds: 30 + dice.below(270) as u32,
        },
        2 => FaultKind::ServerError {
            status: *dice.pick(&[500, 502, 503, 504]),
        },
        3 => FaultKind::Slow {
            latency_ms: SLOW_MS,
        },
        4 => FaultKind::DeadToken,
        5 => garbage(Garbage::CutJson),
        6 => garbage(Garbage::Html),
        7 => garbage(Garbage::WrongTypes),
        8 => garbage(Garbage::AbsurdNumbers),
        9 => garbage(Garbage::FarFuture),
        10 => garbage(Garbage::HugeBody),
        11 => garbage(Garbage::Empty),
        12 => FaultKind::Stale,
        13 => FaultKind::ClockSkew { seconds: 3600 },
        14 => FaultKind::ClockSkew { seconds: -3600 },
        15 => FaultKind::ListingWithoutDevice,
        16 => FaultKind::DuplicatePush,
        17 => FaultKind::OutOfOrderPush,
        18 => FaultKind::LostPush,
        // Each costs the whole time-out of a vendor's call in real time, so not too often.
        _ if (number / KINDS).is_multiple_of(12) => FaultKind::Hang { seconds: None },
        _ => FaultKind::ServerError { status: 502 },
    }
}

fn is_of_pushes(kind: &FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::DuplicatePush | FaultKind::OutOfOrderPush | FaultKind::LostPush
    )
}

fn after(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap()
}

impl Script {
    /// A script for `accounts` over so many hours, with so many faults an hour.
    pub fn new(
        seed: u64,
        accounts: &[AccountInfo],
        start: Timestamp,
        hours: i64,
        faults: u64,
    ) -> Self {
        let dice = Dice(SeededEntropy::new(seed));
        let mut script = Self::default();
        let mut number = 0;
        for hour in 0..hours {
            let begin = after(start, SignedDuration::from_hours(hour));
            let moment = || {
                after(
                    begin,
                    SignedDuration::from_secs(10 * dice.below(350) as i64),
                )
            };
            let mut entries = Vec::new();
            for _ in 0..faults {
                script.add_fault(
                    fault_kind(number, &dice),
                    accounts,
                    moment(),
                    &dice,
                    &mut entries,
                );
                number += 1;
            }
            // The last hours are left to recover in.
            if hour < hours - 2 {
                match hour % 24 {
                    3 | 14 => script.fail_cloud(
                        Cloud::ALL[(hour / 3 % 3) as usize],
                        begin,
                        hour % 24 == 3,
                        &mut entries,
                    ),
                    _ => {}
                }
                script.acts.push((begin, Act::Faults(entries)));
            }
            for _ in 0..6 {
                script.acts.push((moment(), Act::Hint));
            }
            if hour < hours - 4 {
                script.live(hour, accounts, &moment, &dice);
            }
        }
        script.acts.sort_by_key(|(at, _)| *at);
        script
    }

    fn add_fault(
        &mut self,
        kind: FaultKind,
        accounts: &[AccountInfo],
        from: Timestamp,
        dice: &Dice,
        entries: &mut Vec<ScriptEntry>,
    ) {
        let account = loop {
            let account = dice.pick(accounts);
            let wants_volta = is_of_pushes(&kind);
            if !wants_volta || account.cloud == Cloud::Volta {
                break account;
            }
        };
        let lasts = SignedDuration::from_secs(60 * (5 + dice.below(40) as i64));
        let device = dice.pick(&account.devices).id.clone();
        let needs_device = matches!(kind, FaultKind::ListingWithoutDevice);
        let mut spec = FaultSpec::new(kind.clone());
        if needs_device || (matches!(kind, FaultKind::Offline) && dice.0.unit() < 0.5) {
            spec = spec.device(&device);
        } else {
            spec = spec.account(&account.id);
        }
        // What costs real time strikes once.
        spec.times = match kind {
            FaultKind::Hang { .. } | FaultKind::ListingWithoutDevice => Some(1),
            FaultKind::Garbage {
                variant: Garbage::HugeBody,
            } => Some(3),
            _ => None,
        };
        (spec.from, spec.until) = (Some(from), Some(after(from, lasts)));
        if let FaultKind::Hang { .. } = kind {
            // Held back for longer than anybody waits.
            spec.kind = FaultKind::Hang {
                seconds: Some(60.0),
            };
        }
        self.excuses.push(Excuse {
            cloud: Some(account.cloud),
            name: Some(spec.device.clone().unwrap_or_else(|| account.id.clone())),
            from,
            until: after(from, lasts),
            reason: kind.name(),
        });
        entries.push(ScriptEntry {
            cloud: account.cloud,
            fault: spec,
        });
    }

    fn fail_cloud(
        &mut self,
        cloud: Cloud,
        begin: Timestamp,
        is_broken: bool,
        entries: &mut Vec<ScriptEntry>,
    ) {
        let kind = match is_broken {
            true => FaultKind::ServerError { status: 503 },
            false => FaultKind::RateLimited {
                retry_after_seconds: 120,
            },
        };
        let until = after(begin, SignedDuration::from_mins(20));
        let from = after(begin, SignedDuration::from_mins(10));
        let mut spec = FaultSpec::new(kind);
        (spec.from, spec.until) = (Some(from), Some(until));
        self.cloud_failures.push((cloud, from, until));
        entries.push(ScriptEntry { cloud, fault: spec });
    }

    /// What people and operators do within an hour.
    fn live(
        &mut self,
        hour: i64,
        accounts: &[AccountInfo],
        moment: &dyn Fn() -> Timestamp,
        dice: &Dice,
    ) {
        let victim = dice.pick(accounts).clone();
        let (killed_at, back) = (
            moment(),
            SignedDuration::from_mins(61 + dice.below(60) as i64),
        );
        self.acts.push((killed_at, Act::Kill(victim.clone())));
        self.acts
            .push((after(killed_at, back), Act::Relink(victim)));
        let other = dice.pick(accounts).clone();
        match hour % 6 {
            1 => self
                .acts
                .push((moment(), Act::Restart(3 + dice.below(7) as i64))),
            2 => self.acts.push((moment(), Act::AddDevice(other))),
            4 => self.acts.push((moment(), Act::RemoveDevice)),
            _ => {}
        }
        if hour % 11 == 5 {
            let away = moment();
            let lasts = SignedDuration::from_mins(20 + dice.below(70) as i64);
            self.acts.push((away, Act::ReceiverAway(true)));
            self.acts
                .push((after(away, lasts), Act::ReceiverAway(false)));
        }
    }
}
