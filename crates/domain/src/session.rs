//! Charging sessions: from the samples of a vehicle or charger to what happened between plugging in
//! and being done, with the evidence for it.
//!
//! What must stay true:
//! - The sessions of a device do not overlap, and follow from its samples alone: a server that
//!   starts anew, another node, or samples that come late find the same ones.
//! - A pause of up to a quarter of an hour, a gap in what is told, and topping up a full battery make
//!   no second session.
//! - Energy is that of the [`Profile`] over the session's time: nothing is counted twice.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    energy::{Flow, FlowSum, LONGEST_HOLD, PowerState, Profile, Sample},
    id::ChargingSessionId,
};

/// Charging that stood still for longer is another session afterwards.
pub const LONGEST_PAUSE: SignedDuration = LONGEST_HOLD;

/// A device that charges before and after a gap charged all the time, unless it was longer.
const LONGEST_SILENCE: SignedDuration = SignedDuration::from_hours(12);

/// A full battery that took more than this again, %, was charged anew.
const TOP_UP: f64 = 2.0;

/// A level may waver by this much, %, without having been driven down.
const WAVERING: f64 = 1.0;

/// Energy that makes a session of a gap, kWh: less may be what the device itself uses.
const LEAST_UNSEEN: f64 = 0.5;

/// Why a session was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Opened {
    /// The device said that it charges.
    Charging,
    /// It was not heard of, and a counter or its level tells that it charged meanwhile.
    Measured,
}

/// Why a session was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Closed {
    /// The cable was pulled.
    Unplugged,
    /// The battery reached its limit.
    Full,
    /// Charging stood still for more than a quarter of an hour.
    Stopped,
    /// It was not heard of for so long, or had been driven since.
    Silent,
    /// It was over when the device was heard of again.
    Unseen,
}

/// A time in which nothing was told for more than a quarter of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gap {
    /// When something was told last.
    #[serde(serialize_with = "crate::time::serialize")]
    pub from: Timestamp,
    /// When something was told again.
    #[serde(serialize_with = "crate::time::serialize")]
    pub to: Timestamp,
}

/// A charging session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChargingSession {
    /// Its identifier, which stays when more becomes known.
    pub id: ChargingSessionId,
    /// When charging began.
    pub from: Timestamp,
    /// When it ended, or was last seen to go on.
    pub to: Timestamp,
    /// Why it was opened.
    pub opened: Opened,
    /// Why it was closed; `None` while it is open.
    pub closed: Option<Closed>,
    /// Readings that said that it charges.
    pub readings: u32,
    /// Gaps in what was told.
    pub gaps: Vec<Gap>,
    /// What was taken.
    pub sum: FlowSum,
    /// State of charge at the beginning, %.
    pub level_from: Option<f64>,
    /// State of charge at the end, %.
    pub level_to: Option<f64>,
    /// The newest sample that was taken into account.
    pub seen_at: Timestamp,
    /// Since when charging stands still, while it is open.
    pub paused_since: Option<Timestamp>,
    /// The cable was not pulled since, as far as was told.
    pub is_plugged_in: bool,
}

impl ChargingSession {
    /// Whether it is more than a flicker: charging was told twice, or measured.
    pub const fn is_confirmed(&self) -> bool {
        self.readings >= 2 || matches!(self.opened, Opened::Measured)
    }

    /// Why it is over by now; `None` if it is not.
    pub fn closed_by(&self, now: Timestamp) -> Option<Closed> {
        let has_stopped = self
            .paused_since
            .is_some_and(|since| now.duration_since(since) > LONGEST_PAUSE);
        self.closed.or(has_stopped.then_some(Closed::Stopped))
    }

    fn close(&mut self, why: Closed) {
        self.closed = Some(why);
        self.paused_since = None;
    }
}

/// What samples make of the sessions of a device. `latest` is its newest session and `before` the
/// newest sample that was taken into account; `samples` are those after it, in order, and `profile`
/// covers them all. Returns the sessions that are new or other than before, in order.
pub fn track(
    latest: Option<ChargingSession>,
    before: Option<&Sample>,
    samples: &[Sample],
    profile: &Profile,
    mint: &mut dyn FnMut(Timestamp) -> ChargingSessionId,
) -> Vec<ChargingSession> {
    let mut tracker = Tracker {
        changed: Vec::new(),
        is_changed: false,
        latest,
        mint,
    };
    let mut before = before;
    for sample in samples {
        let since = before.map(|before| before.at);
        let flow = since.map_or_else(FlowSum::default, |since| {
            profile.sum(Flow::Taken, since, sample.at)
        });
        tracker.take(sample, since, &flow);
        before = Some(sample);
    }
    tracker.end();
    tracker.changed
}

struct Tracker<'a> {
    /// Those that are done with.
    changed: Vec<ChargingSession>,
    latest: Option<ChargingSession>,
    is_changed: bool,
    mint: &'a mut dyn FnMut(Timestamp) -> ChargingSessionId,
}

impl Tracker<'_> {
    fn take(&mut self, sample: &Sample, since: Option<Timestamp>, flow: &FlowSum) {
        let gap = since
            .filter(|since| sample.at.duration_since(*since) > LONGEST_HOLD)
            .map(|from| Gap {
                from,
                to: sample.at,
            });
        self.end_pause(sample);
        let state = sample.state.or(match sample.rate {
            Some(rate) if rate > 0.0 => Some(PowerState::Active),
            _ => None,
        });
        match self
            .latest
            .as_mut()
            .filter(|session| session.closed.is_none())
        {
            Some(session) => {
                self.is_changed = true;
                if has_been_away(session, sample, gap) {
                    session.close(Closed::Silent);
                    self.open(sample, None, &FlowSum::default());
                    return;
                }
                go_on(session, sample, state, gap, flow);
            }
            None => self.rest(sample, state, gap, since, flow),
        }
    }

    /// Closes a session that stood still for too long.
    fn end_pause(&mut self, sample: &Sample) {
        if let Some(session) = &mut self.latest
            && let Some(since) = session.paused_since
            && sample.at.duration_since(since) > LONGEST_PAUSE
        {
            let is_full = sample.state == Some(PowerState::Full);
            session.close(if is_full {
                Closed::Full
            } else {
                Closed::Stopped
            });
            self.is_changed = true;
        }
    }

    /// While no session is open.
    fn rest(
        &mut self,
        sample: &Sample,
        state: Option<PowerState>,
        gap: Option<Gap>,
        since: Option<Timestamp>,
        flow: &FlowSum,
    ) {
        match state {
            Some(PowerState::Active) if self.is_topped_up(sample) => {}
            Some(PowerState::Active) if flow.kwh > 0.0 => self.open(sample, since, flow),
            Some(PowerState::Active) => self.open(sample, None, flow),
            _ if gap.is_some() && flow.kwh >= LEAST_UNSEEN => {
                self.open(sample, since, flow);
                if let Some(session) = &mut self.latest {
                    session.opened = Opened::Measured;
                    session.readings = 0;
                    session.is_plugged_in = state != Some(PowerState::Unplugged);
                    session.close(Closed::Unseen);
                }
            }
            Some(PowerState::Unplugged) => {
                if let Some(session) = self.latest.as_mut().filter(|s| s.is_plugged_in) {
                    session.is_plugged_in = false;
                    self.is_changed = true;
                }
            }
            Some(PowerState::Idle | PowerState::Full) | None => {}
        }
    }

    /// Whether a battery that was full is only kept so.
    fn is_topped_up(&self, sample: &Sample) -> bool {
        self.latest.as_ref().is_some_and(|session| {
            let is_as_full = match (session.level_to, sample.level) {
                (Some(full), Some(level)) => level < full + TOP_UP,
                _ => true,
            };
            session.closed == Some(Closed::Full) && session.is_plugged_in && is_as_full
        })
    }

    /// Opens a session: at the sample, or where something had begun to flow before.
    fn open(&mut self, sample: &Sample, began: Option<Timestamp>, flow: &FlowSum) {
        self.end();
        let from = began.unwrap_or(sample.at);
        let is_gap = sample.at.duration_since(from) > LONGEST_HOLD;
        let gap = is_gap.then_some(Gap {
            from,
            to: sample.at,
        });
        self.latest = Some(ChargingSession {
            id: (self.mint)(from),
            from,
            to: sample.at,
            opened: Opened::Charging,
            closed: None,
            readings: 1,
            gaps: gap.into_iter().collect(),
            sum: *flow,
            level_from: sample.level,
            level_to: sample.level,
            seen_at: sample.at,
            paused_since: None,
            is_plugged_in: true,
        });
        self.is_changed = true;
    }

    fn end(&mut self) {
        if self.is_changed {
            self.changed.extend(self.latest.clone());
        }
        self.is_changed = false;
    }
}

/// Whether a device that charges cannot have done so all the time since it was last heard of.
fn has_been_away(session: &ChargingSession, sample: &Sample, gap: Option<Gap>) -> bool {
    let Some(gap) = gap.filter(|_| sample.is_active()) else {
        return false;
    };
    let has_fallen = matches!((session.level_to, sample.level), (Some(before), Some(level))
        if level < before - WAVERING);
    has_fallen || gap.to.duration_since(gap.from) > LONGEST_SILENCE
}

/// What a sample makes of an open session.
fn go_on(
    session: &mut ChargingSession,
    sample: &Sample,
    state: Option<PowerState>,
    gap: Option<Gap>,
    flow: &FlowSum,
) {
    session.sum.add(flow);
    session.seen_at = sample.at;
    let has_fallen = matches!((session.level_to, sample.level), (Some(before), Some(level))
        if level < before - WAVERING);
    // What it has after it was driven is not what it was charged to.
    if !has_fallen {
        session.level_from = session.level_from.or(sample.level);
        session.level_to = sample.level.or(session.level_to);
    }
    match state {
        Some(PowerState::Active) => {
            session.gaps.extend(gap);
            session.readings += 1;
            session.to = sample.at;
            session.paused_since = None;
        }
        Some(rest) => {
            if session.paused_since.is_none() && (gap.is_none() || flow.kwh > 0.0) {
                session.to = sample.at;
                session.gaps.extend(gap);
            }
            session.paused_since.get_or_insert(sample.at);
            match rest {
                PowerState::Unplugged => {
                    session.is_plugged_in = false;
                    session.close(Closed::Unplugged);
                }
                PowerState::Full => session.close(Closed::Full),
                PowerState::Idle | PowerState::Active => {}
            }
        }
        None => {}
    }
}

/// Shares that two readings of one charge must have in common at least.
const LEAST_LIKENESS: f64 = 0.5;

/// Which sessions of vehicles and of chargers of one user are readings of one charge: pairs of places
/// in the two lists, those that are most alike first. None is in two pairs.
pub fn pair(vehicles: &[ChargingSession], chargers: &[ChargingSession]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for (vehicle, one) in vehicles.iter().enumerate() {
        for (charger, other) in chargers.iter().enumerate() {
            let likeness = likeness(one, other);
            if likeness >= LEAST_LIKENESS {
                pairs.push((likeness, vehicle, charger));
            }
        }
    }
    pairs.sort_by(|one, other| other.0.total_cmp(&one.0));
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (_, vehicle, charger) in pairs {
        if !found.iter().any(|(v, c)| *v == vehicle || *c == charger) {
            found.push((vehicle, charger));
        }
    }
    found
}

/// How much two sessions have in common, up to 1: the share of their time, less the share by which
/// their energy differs. Losses in the cable and the car are a tenth or so.
fn likeness(one: &ChargingSession, other: &ChargingSession) -> f64 {
    let seconds = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64();
    let common = seconds(one.from.max(other.from), one.to.min(other.to));
    let whole = seconds(one.from.min(other.from), one.to.max(other.to));
    if common <= 0.0 {
        return 0.0;
    }
    let (least, most) = (
        one.sum.kwh.min(other.sum.kwh),
        one.sum.kwh.max(other.sum.kwh),
    );
    let difference = if least > 0.0 {
        (most - least) / most
    } else {
        0.0
    };
    common / whole - difference / 2.0
}
