//! A flush of quiet writes, taken apart.

use crate::types::PresenceFlush;

/// Rows of one piece of a flush.
const PIECE: usize = 256;

/// Takes a flush apart. Its rows do not depend on each other; a large one in one go would hold up
/// every commit behind it, and on SQLite costs the square of its length: with each statement that
/// ends, it walks through all that the savepoint around it has noted of pages so far.
///
/// Sums of ages are added to, so a flush that is tried again must not add them twice: they are one
/// piece, the last, for when all others are written.
pub(crate) fn pieces(flush: PresenceFlush) -> (Vec<PresenceFlush>, PresenceFlush) {
    let PresenceFlush {
        devices,
        seen,
        schedules,
        listed,
        budgets,
        ages,
        breaches,
        counted_until,
        fences,
    } = flush;
    let none = || PresenceFlush {
        fences: fences.clone(),
        ..PresenceFlush::default()
    };
    let mut pieces = Vec::new();
    pieces.extend(split(devices).map(|devices| PresenceFlush { devices, ..none() }));
    pieces.extend(split(seen).map(|seen| PresenceFlush { seen, ..none() }));
    pieces.extend(split(schedules).map(|schedules| PresenceFlush {
        schedules,
        ..none()
    }));
    pieces.extend(split(listed).map(|listed| PresenceFlush { listed, ..none() }));
    pieces.extend(split(budgets).map(|budgets| PresenceFlush { budgets, ..none() }));
    pieces.extend(split(breaches).map(|breaches| PresenceFlush { breaches, ..none() }));
    let sums = PresenceFlush {
        ages,
        counted_until,
        ..none()
    };
    (pieces, sums)
}

fn split<T>(mut rows: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    std::iter::from_fn(move || {
        let rest = rows.split_off(rows.len().min(PIECE));
        let piece = std::mem::replace(&mut rows, rest);
        (!piece.is_empty()).then_some(piece)
    })
}
