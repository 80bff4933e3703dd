//! What confirms a block, and when.

use livewatt_domain::{
    Timestamp,
    age::{Grace, Second, second},
    device::{Device, Stamp},
    kind::DeviceKind,
};
use livewatt_store::FleetDevice;

/// When the vendor last confirmed a block, as the device's merged state tells, and how long that
/// took. A vehicle said to sleep stands still, and a station that is connected tells changes by
/// itself: there, contact confirms whatever is known.
pub(super) fn confirmation(
    device: &Device,
    block: &str,
    is_push_only: bool,
) -> Option<(Second, Grace)> {
    let stamp = device.stamps.block_newest(device.kind(), block)?;
    let told = (second(stamp.received_at), took(stamp));
    let is_silence_enough =
        is_push_only || (device.is_asleep && device.kind() == DeviceKind::Vehicle);
    let seen = (second(device.last_seen), Grace(0));
    match is_silence_enough && seen.0 > told.0 {
        true => Some(seen),
        false => Some(told),
    }
}

pub(super) fn took(stamp: &Stamp) -> Grace {
    Grace(duration(stamp.started_at, stamp.received_at))
}

/// Whole seconds that have begun between two moments.
pub(super) fn duration(from: Timestamp, to: Timestamp) -> Second {
    let millis = to.duration_since(from).as_millis().max(0);
    Second::try_from((millis + 999) / 1000).unwrap_or(Second::MAX)
}

/// What a restart can still know: an answer that said nothing new moves `last_seen` alone, and
/// confirms what the answer before it had told.
pub(super) fn stored_confirmation(
    device: &FleetDevice,
    block: &str,
    is_push_only: bool,
) -> Option<Second> {
    let seen = second(device.last_seen);
    let Some(told) = &device.told else {
        return Some(seen);
    };
    let last_told = told.iter().map(|(_, at)| *at).max();
    let (_, at) = told.iter().find(|(known, _)| *known == block)?;
    let is_silence_enough = is_push_only
        || (device.is_asleep && device.vendor_device.kind == DeviceKind::Vehicle)
        || Some(*at) == last_told;
    Some(match is_silence_enough {
        true => second(*at).max(seen),
        false => second(*at),
    })
}
