//! How values are stored where the engine of the database makes no difference.

use std::collections::BTreeMap;

use jiff::Timestamp;
use livewatt_domain::{device::Stamps, energy::Flow, fact::Field, kind::DeviceKind};
use serde::Serialize;

use crate::error::{BoxError, StoreError, StoreResult};

/// A value as JSON, to be stored.
pub(crate) fn json<T: Serialize>(value: &T) -> StoreResult<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Unusable {
        action: "written",
        source: error.into(),
    })
}

/// An unsigned number as databases store it.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Turns any cause into "a stored … cannot be read".
pub(crate) fn unreadable<E: Into<BoxError>>(what: &'static str) -> impl FnOnce(E) -> StoreError {
    move |source| StoreError::Unreadable {
        what,
        source: source.into(),
    }
}

/// A stored time.
pub(crate) fn time(milliseconds: i64) -> StoreResult<Timestamp> {
    Timestamp::from_millisecond(milliseconds).map_err(unreadable("time"))
}

/// When blocks were last told, as it is stored: milliseconds by block.
pub(crate) fn told(stamps: &Stamps) -> StoreResult<String> {
    let told = stamps.told_blocks().into_iter();
    let told: BTreeMap<&str, i64> = told
        .map(|(block, at)| (block, at.as_millisecond()))
        .collect();
    json(&told)
}

/// The same, read. Blocks that no kind has any more are left out.
pub(crate) fn read_told(told: BTreeMap<String, i64>) -> Vec<(&'static str, Timestamp)> {
    let known = told.into_iter().filter_map(|(block, at)| {
        let block = Field::block_named(&block)?;
        Some((block, Timestamp::from_millisecond(at).ok()?))
    });
    known.collect()
}

/// A direction of energy, as it is stored.
pub(crate) const fn flow_number(flow: Flow) -> i16 {
    match flow {
        Flow::Taken => 0,
        Flow::Given => 1,
    }
}

/// The same, read.
pub(crate) const fn flow(number: i64) -> Flow {
    match number {
        0 => Flow::Taken,
        _ => Flow::Given,
    }
}

/// A block by its name; `None` if no kind has it any more.
pub(crate) fn block(kind: DeviceKind, name: &str) -> Option<&'static str> {
    Field::blocks(kind).find(|block| *block == name)
}
