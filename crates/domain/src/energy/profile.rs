//! The profile of a device: spans of constant power, and how each is known.

use jiff::{SignedDuration, Timestamp};

use super::{Flow, Method, Sample};
use crate::kind::DeviceKind;

/// Power that was told holds so long; when it is told again later than that, nothing is known of
/// the time between.
pub const LONGEST_HOLD: SignedDuration = SignedDuration::from_mins(15);

/// A counter or a level tells what flowed between two readings, if they are no further apart.
pub const LONGEST_BRIDGE: SignedDuration = SignedDuration::from_hours(24);

/// A level that rose by less, %, is noise unless the device says that it charges.
const TRUSTED_RISE: f64 = 5.0;

/// Energy in one direction, and how it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// kWh.
    pub kwh: f64,
    /// How it is known.
    pub method: Method,
}

/// A time between two samples that follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// The earlier sample.
    pub from: Timestamp,
    /// The later sample.
    pub to: Timestamp,
    /// What flowed into the device; `None` if that is not known.
    pub taken: Option<Part>,
    /// What flowed out of it.
    pub given: Option<Part>,
    /// The sum is known, but not how it spread over a time longer than [`LONGEST_HOLD`].
    pub is_bridged: bool,
}

impl Span {
    /// What flowed in one direction.
    pub const fn part(&self, flow: Flow) -> Option<Part> {
        match flow {
            Flow::Taken => self.taken,
            Flow::Given => self.given,
        }
    }

    const fn part_mut(&mut self, flow: Flow) -> &mut Option<Part> {
        match flow {
            Flow::Taken => &mut self.taken,
            Flow::Given => &mut self.given,
        }
    }

    /// Its length, hours.
    pub fn hours(&self) -> f64 {
        self.milliseconds() as f64 / 3_600_000.0
    }

    /// Its length, milliseconds.
    pub fn milliseconds(&self) -> i64 {
        self.to.as_millisecond() - self.from.as_millisecond()
    }
}

/// The spans between samples, in order, without gaps or overlaps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile(Vec<Span>);

impl Profile {
    /// The profile of samples in the order of their moments, one of each moment.
    pub fn of(kind: DeviceKind, samples: &[Sample]) -> Self {
        let spans = samples.windows(2).map(|pair| Span {
            from: pair[0].at,
            to: pair[1].at,
            taken: None,
            given: None,
            is_bridged: false,
        });
        let mut profile = Self(spans.collect());
        profile.count(kind, Flow::Taken, readings(samples, |s| s.taken));
        profile.count(kind, Flow::Given, readings(samples, |s| s.given));
        profile.hold(samples);
        profile.level(kind, samples);
        profile
    }

    /// The spans.
    pub fn spans(&self) -> &[Span] {
        &self.0
    }

    /// Counters: what flowed between two readings is their difference.
    fn count(&mut self, kind: DeviceKind, flow: Flow, readings: Vec<(usize, f64)>) {
        let readings = without_outliers(&readings);
        for pair in readings.windows(2) {
            let [(first, earlier), (last, later)] = [pair[0], pair[1]];
            let kwh = later - earlier;
            let hours = self.hours(first, last);
            // It was reset, or is broken; or nobody knows when, within more than a day.
            if kwh < 0.0 || kwh > hours * most_power(kind) || !self.is_within_bridge(first, last) {
                continue;
            }
            let method = Method::Counter;
            self.spread(first, last, |span| {
                let kwh = kwh * span.hours() / hours;
                *span.part_mut(flow) = Some(Part { kwh, method });
            });
        }
    }

    /// Power: held from one reading to the next. Where a device rests at one and charges at the
    /// next, it began somewhere between, and its level tells more if it is known.
    fn hold(&mut self, samples: &[Sample]) {
        for pair in readings(samples, Sample::power).windows(2) {
            let [(first, power), (last, next)] = [pair[0], pair[1]];
            let has_levels = samples[first].level.is_some() && samples[last].level.is_some();
            let is_left_to_level = power == 0.0 && next > 0.0 && has_levels;
            if self.length(first, last) > LONGEST_HOLD || is_left_to_level {
                continue;
            }
            for span in &mut self.0[first..last] {
                let hours = span.hours();
                for (flow, power) in [(Flow::Taken, power), (Flow::Given, -power)] {
                    let kwh = power.max(0.0) * hours;
                    let method = Method::Rate;
                    span.part_mut(flow).get_or_insert(Part { kwh, method });
                }
            }
        }
    }

    /// Levels: what the change between two readings says beyond what is known better flowed in
    /// the time of which nothing is known.
    fn level(&mut self, kind: DeviceKind, samples: &[Sample]) {
        if !matches!(kind, DeviceKind::Vehicle | DeviceKind::Battery) {
            return;
        }
        let readings = readings(samples, |s| s.level);
        for pair in readings.windows(2) {
            let [(first, earlier), (last, later)] = [pair[0], pair[1]];
            let Some(capacity) = samples[last].capacity.or(samples[first].capacity) else {
                continue;
            };
            let is_active = samples[first..=last].iter().any(Sample::is_active);
            let change = later - earlier;
            if !(is_active || change.abs() >= TRUSTED_RISE) || !self.is_within_bridge(first, last) {
                continue;
            }
            let (mut known, mut open) = (0.0, 0.0);
            for span in &self.0[first..last] {
                match (span.taken, span.given) {
                    (None, None) => open += span.hours(),
                    (taken, given) => {
                        let kwh = |part: Option<Part>| part.map_or(0.0, |part| part.kwh);
                        known += kwh(taken) - kwh(given);
                    }
                }
            }
            let rest = change / 100.0 * capacity - known;
            // What a car loses was driven; it has not flowed back.
            let flow = match (rest >= 0.0, kind) {
                (true, _) => Flow::Taken,
                (false, DeviceKind::Battery) => Flow::Given,
                (false, _) => continue,
            };
            if open == 0.0 {
                continue;
            }
            let rest = rest.abs().min(open * most_power(kind));
            let method = Method::StateOfCharge;
            self.spread(first, last, |span| {
                if span.taken.is_none() && span.given.is_none() {
                    let kwh = rest * span.hours() / open;
                    *span.part_mut(flow) = Some(Part { kwh, method });
                }
            });
        }
    }

    /// Fills the spans from one sample to another, and notes if that bridges a gap.
    fn spread(&mut self, first: usize, last: usize, fill: impl Fn(&mut Span)) {
        let is_bridged = self.length(first, last) > LONGEST_HOLD;
        for span in &mut self.0[first..last] {
            let before = (span.taken, span.given);
            fill(span);
            span.is_bridged |= is_bridged && before != (span.taken, span.given);
        }
    }

    fn length(&self, first: usize, last: usize) -> SignedDuration {
        self.0[last - 1].to.duration_since(self.0[first].from)
    }

    fn hours(&self, first: usize, last: usize) -> f64 {
        self.length(first, last).as_secs_f64() / 3600.0
    }

    fn is_within_bridge(&self, first: usize, last: usize) -> bool {
        self.length(first, last) <= LONGEST_BRIDGE
    }
}

/// The samples that tell a value, by their place.
fn readings(samples: &[Sample], value: impl Fn(&Sample) -> Option<f64>) -> Vec<(usize, f64)> {
    let told = samples.iter().enumerate();
    told.filter_map(|(place, sample)| Some((place, value(sample)?)))
        .collect()
}

/// Leaves out readings of a counter that lie outside of what those before and after it span, where
/// these rise: it went back, or ahead, for one reading only.
fn without_outliers(readings: &[(usize, f64)]) -> Vec<(usize, f64)> {
    let is_sound = |place: usize| {
        let neighbours = place
            .checked_sub(1)
            .and_then(|before| Some((readings.get(before)?.1, readings.get(place + 1)?.1)));
        let own = readings[place].1;
        neighbours.is_none_or(|(before, after)| before > after || (before..=after).contains(&own))
    };
    (0..readings.len())
        .filter(|place| is_sound(*place))
        .map(|place| readings[place])
        .collect()
}

/// More power than any device of a kind has, kW: a counter or a level that says so is wrong.
const fn most_power(kind: DeviceKind) -> f64 {
    match kind {
        DeviceKind::Vehicle | DeviceKind::Charger => 2_000.0,
        DeviceKind::Hvac => 1_000.0,
        DeviceKind::Inverter | DeviceKind::Battery | DeviceKind::Meter => 100_000.0,
    }
}
