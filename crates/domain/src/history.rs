//! What new samples of a device change in its history: stored samples, quarter hours, sessions.
//!
//! [`absorb`] works on a piece of the history that reaches back just far enough, and asks for more if
//! it does not. So a sample that is later than all others, as nearly all are, costs the same however
//! long the history is; one that comes late restates what it touches.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::{
    energy::{Bucket, LONGEST_HOLD, Profile, Sample, merge_samples, quarter_of, restate},
    id::ChargingSessionId,
    kind::DeviceKind,
    session::{ChargingSession, track},
    stay::Stay,
};

/// How far back a piece reaches at first.
const FIRST_REACH: SignedDuration = SignedDuration::from_hours(2);

/// What was told longer before than this makes no difference to any sum.
const LONGEST_REACH: SignedDuration = SignedDuration::from_hours(96);

/// Milliseconds of the hour by which samples are stored.
const HOUR_MS: i64 = 3_600_000;

/// The hour (UTC) that a moment is in.
pub fn hour_of(at: Timestamp) -> Timestamp {
    let start = at.as_millisecond().div_euclid(HOUR_MS) * HOUR_MS;
    Timestamp::from_millisecond(start).unwrap_or(at)
}

/// Whether devices of a kind have charging sessions.
pub const fn has_sessions(kind: DeviceKind) -> bool {
    matches!(kind, DeviceKind::Vehicle | DeviceKind::Charger)
}

/// A piece of the history of a device, up to the present.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// It is whole from this hour on.
    pub from: Timestamp,
    /// The samples from there on, in order.
    pub samples: Vec<Sample>,
    /// The sessions that were seen to go on after that, and the newest before these; in order.
    pub sessions: Vec<ChargingSession>,
}

impl Piece {
    /// From when on a piece is to be read first, for samples from `first_new` on.
    pub fn first_reach(first_new: Timestamp) -> Timestamp {
        hour_of(back(first_new, FIRST_REACH))
    }
}

/// What becomes other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HistoryChange {
    /// Hours with all their samples.
    pub hours: Vec<(Timestamp, Vec<Sample>)>,
    /// Quarter hours.
    pub buckets: Vec<Bucket>,
    /// Sessions that are new, or other than before.
    pub sessions: Vec<ChargingSession>,
    /// Sessions that there are not after all.
    pub withdrawn: Vec<ChargingSessionId>,
    /// Where the device is from now on, if that is other than before. Never a matter of samples.
    pub stay: Option<Stay>,
}

impl HistoryChange {
    /// Whether nothing changes.
    pub const fn is_empty(&self) -> bool {
        self.hours.is_empty() && self.withdrawn.is_empty() && self.stay.is_none()
    }

    /// The change that is a stay alone.
    pub fn of_stay(stay: Stay) -> Self {
        Self {
            stay: Some(stay),
            ..Self::default()
        }
    }
}

/// What new samples change.
///
/// # Errors
/// The moment from which on the piece should be whole, if it does not reach back far enough.
pub fn absorb(
    kind: DeviceKind,
    piece: &Piece,
    new: &[Sample],
    mint: &mut dyn FnMut(Timestamp) -> ChargingSessionId,
) -> Result<HistoryChange, Timestamp> {
    let all = merge_samples(piece.samples.iter().chain(new).copied());
    let new = news(&piece.samples, &all);
    let Some(first_new) = new.first().map(|sample| sample.at) else {
        return Ok(HistoryChange::default());
    };
    let farthest = hour_of(back(first_new, LONGEST_REACH));
    if piece.from > farthest && !reaches_back(kind, piece, &new, first_new) {
        return Err(farthest);
    }
    let newest = piece.samples.last().map(|sample| sample.at);
    let is_late = newest.is_some_and(|newest| first_new <= newest);
    let before = Profile::of(kind, &piece.samples);
    let after = Profile::of(kind, &all);
    let mut change = HistoryChange {
        hours: hours(&new, &all),
        buckets: restate(&before, &after, newest, is_late),
        ..HistoryChange::default()
    };
    change
        .buckets
        .retain(|bucket| bucket.flow.name(kind).is_some());
    if !has_sessions(kind) {
        return Ok(change);
    }
    let is_past_the_same = !is_late && after.spans().starts_with(before.spans());
    if is_past_the_same {
        let latest = piece.sessions.last().cloned();
        change.sessions = track(latest, piece.samples.last(), &new, &after, mint);
        return Ok(change);
    }
    let mut spans = after.spans().iter().zip(before.spans());
    let first_other = spans.find_map(|(after, before)| (after != before).then_some(after.from));
    let first_touched = first_other.map_or(first_new, |at| at.min(first_new));
    replay(kind, piece, &all, first_touched, mint, &mut change)?;
    Ok(change)
}

fn back(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_sub(by).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The samples that are new, or tell more than was known of their moment.
fn news(known: &[Sample], all: &[Sample]) -> Vec<Sample> {
    let known: BTreeMap<_, _> = known.iter().map(|sample| (sample.at, sample)).collect();
    let is_new = |sample: &&Sample| known.get(&sample.at) != Some(sample);
    all.iter().filter(is_new).copied().collect()
}

/// Whether all that the new samples change, and all that this depends on, is part of the piece: the
/// quarter hours from the reading of each sort on that comes before the new ones, with the reading
/// before that. What neither the piece nor the new samples tell of makes no difference to them.
fn reaches_back(kind: DeviceKind, piece: &Piece, new: &[Sample], first_new: Timestamp) -> bool {
    type Track = (fn(&Sample) -> Option<f64>, usize);
    const TAKEN: Track = (|sample| sample.taken, 2);
    const GIVEN: Track = (|sample| sample.given, 2);
    const LEVEL: Track = (|sample| sample.level, 1);
    let tracks: &[Track] = match kind {
        DeviceKind::Vehicle => &[LEVEL],
        DeviceKind::Charger | DeviceKind::Hvac => &[TAKEN],
        DeviceKind::Inverter => &[GIVEN],
        DeviceKind::Battery => &[LEVEL, TAKEN, GIVEN],
        DeviceKind::Meter => &[TAKEN, GIVEN],
    };
    let is_told = |(value, _): &Track| piece.samples.iter().chain(new).any(|s| value(s).is_some());
    let tracks: Vec<_> = tracks.iter().copied().filter(is_told).collect();
    let told = |(value, _): Track| {
        let earlier = piece
            .samples
            .iter()
            .rev()
            .skip_while(move |s| s.at >= first_new);
        earlier
            .filter(move |sample| value(sample).is_some())
            .map(|sample| sample.at)
    };
    let touched = |track: Track| told(track).nth(track.1 - 1);
    // A session goes on from the sample before, whatever that tells.
    if piece
        .samples
        .first()
        .is_none_or(|first| first.at >= first_new)
    {
        return false;
    }
    let Some(earliest) = tracks
        .iter()
        .map(|track| touched(*track))
        .try_fold(first_new, |earliest, at| Some(earliest.min(at?)))
    else {
        return false;
    };
    let whole_from = quarter_of(back(earliest, LONGEST_HOLD));
    piece.from <= back(whole_from, LONGEST_HOLD)
        && tracks
            .iter()
            .all(|track| told(*track).filter(|at| *at <= whole_from).count() >= track.1)
}

/// The hours that new samples are in, with all their samples.
fn hours(new: &[Sample], all: &[Sample]) -> Vec<(Timestamp, Vec<Sample>)> {
    let hours: BTreeSet<_> = new.iter().map(|sample| hour_of(sample.at)).collect();
    let of_hour = |hour| {
        let samples = all.iter().filter(|sample| hour_of(sample.at) == hour);
        (hour, samples.copied().collect())
    };
    hours.into_iter().map(of_hour).collect()
}

/// Finds the sessions anew from where they may be other on. Those that were there keep their IDs.
fn replay(
    kind: DeviceKind,
    piece: &Piece,
    all: &[Sample],
    first_touched: Timestamp,
    mint: &mut dyn FnMut(Timestamp) -> ChargingSessionId,
    change: &mut HistoryChange,
) -> Result<(), Timestamp> {
    let touched_from = back(first_touched, LONGEST_REACH / 2);
    let is_touched = |session: &&ChargingSession| session.seen_at >= touched_from;
    let from = piece
        .sessions
        .iter()
        .filter(is_touched)
        .map(|session| session.from)
        .fold(first_touched, Timestamp::min);
    let needed = hour_of(back(from, LONGEST_REACH));
    if piece.from > needed {
        return Err(needed);
    }
    let (known, base): (Vec<_>, Vec<_>) = piece.sessions.iter().partition(is_touched);
    let base = base.last().map(|session| (*session).clone());
    let base_id = base.as_ref().map(|session| session.id);
    let begin = all.partition_point(|sample| sample.at < from);
    let profile = Profile::of(kind, all);
    let before = begin.checked_sub(1).and_then(|place| all.get(place));
    let mut known: Vec<_> = known.into_iter().map(Some).collect();
    let mut found = track(base, before, &all[begin..], &profile, mint);
    for session in found
        .iter_mut()
        .filter(|session| Some(session.id) != base_id)
    {
        let overlap = |known: &ChargingSession| {
            let from = known.from.max(session.from);
            let to = known.to.min(session.to);
            to.duration_since(from)
        };
        let likest = known
            .iter_mut()
            .filter(|known| known.is_some_and(|k| overlap(k) >= SignedDuration::ZERO))
            .max_by_key(|known| known.map(overlap));
        if let Some(session_before) = likest.and_then(Option::take) {
            session.id = session_before.id;
        }
    }
    change.withdrawn = known
        .into_iter()
        .flatten()
        .map(|session| session.id)
        .collect();
    let unchanged = |session: &ChargingSession| piece.sessions.contains(session);
    found.retain(|session| !unchanged(session));
    change.sessions = found;
    Ok(())
}

#[cfg(test)]
mod tests;
