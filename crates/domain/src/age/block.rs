//! The age of one block: two numbers a block, since there are millions of them.

use super::{Second, Span};

/// When a block was last confirmed and until when it must be confirmed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlockAge {
    /// Last confirmation; 0 while there never was one, and then there is no age.
    confirmed: Second,
    /// The last second at which it is not too old; [`BlockAge::PASSED`] once a breach is open.
    deadline: Second,
}

/// What is let pass on top of a deadline when a block is confirmed: the seconds that the confirming
/// poll took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grace(pub Second);

impl BlockAge {
    /// Deadline of a block whose breach is open.
    const PASSED: Second = 0;

    /// A block last confirmed at a moment.
    pub const fn confirmed_at(at: Second, allowed: Second) -> Self {
        Self {
            confirmed: at,
            deadline: at.saturating_add(allowed),
        }
    }

    /// When it was last confirmed; `None` while it never was.
    pub const fn confirmed(self) -> Option<Second> {
        match self.confirmed {
            0 => None,
            at => Some(at),
        }
    }

    /// The last second at which it is not too old; `None` while there is no age, or its breach is
    /// open.
    pub const fn deadline(self) -> Option<Second> {
        match self {
            Self { confirmed: 0, .. }
            | Self {
                deadline: Self::PASSED,
                ..
            } => None,
            Self { deadline, .. } => Some(deadline),
        }
    }

    /// Whether its breach is open.
    pub const fn is_open(self) -> bool {
        self.confirmed != 0 && self.deadline == Self::PASSED
    }

    /// The deadline, if it has passed at `now` and no breach is open yet: then one begins there.
    pub fn overdue(self, now: Second, grace: Grace) -> Option<Second> {
        self.deadline()
            .filter(|deadline| now > deadline.saturating_add(grace.0))
    }

    /// A breach was opened.
    pub const fn open(&mut self) {
        self.deadline = Self::PASSED;
    }

    /// The stretch of time from `from` to `to`, as it stands; `None` if there is no age or no time.
    pub fn span(self, from: Second, to: Second, grace: Grace) -> Option<Span> {
        let from = from.max(self.confirmed);
        (self.confirmed != 0 && from < to).then(|| Span {
            from,
            to,
            confirmed: self.confirmed,
            deadline: self
                .deadline()
                .map_or(Self::PASSED, |deadline| deadline.saturating_add(grace.0)),
        })
    }

    /// The promise changed at `now`. Returns whether an open breach ends thereby.
    ///
    /// A tighter promise binds from now on, and is not broken by what was fine a moment ago.
    pub fn retarget(&mut self, now: Second, allowed: Second) -> bool {
        if self.confirmed == 0 {
            return false;
        }
        let plain = self.confirmed.saturating_add(allowed);
        if self.is_open() {
            let ends = plain >= now;
            if ends {
                self.deadline = plain;
            }
            return ends;
        }
        let learned = now.saturating_add(allowed);
        self.deadline = plain.max(self.deadline.min(learned));
        false
    }

    /// The device can be reached again, which says nothing about this block: it must be confirmed
    /// within a promise from now.
    pub const fn restart(&mut self, now: Second, allowed: Second) {
        if self.confirmed != 0 {
            self.deadline = now.saturating_add(allowed);
        }
    }

    /// The clock was set back to `now`: nothing was confirmed later than that.
    pub fn rewind(&mut self, now: Second, allowed: Second) {
        if self.confirmed > now {
            let is_open = self.is_open();
            *self = Self::confirmed_at(now, allowed);
            if is_open {
                self.open();
            }
        } else if !self.is_open() && self.confirmed != 0 {
            self.deadline = self.deadline.min(now.saturating_add(allowed));
        }
    }
}
