//! How long an action may take and when its command is repeated, as data of a vendor.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// How long the actions of a vendor's devices may take, and when their commands are repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timing {
    /// From the wish to the end of the window, s.
    pub window_secs: u32,
    /// When the command is sent, s after the wish; the first one at once.
    pub send_at_secs: Vec<u32>,
    /// While an action is pending, the device is read at least so often, s.
    pub read_every_secs: u32,
}

/// The timing cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTiming {
    /// Nothing would ever be sent, or only late.
    #[error("sendAtSecs must begin with 0")]
    NotAtOnce,
    /// Times that do not rise.
    #[error("sendAtSecs must rise")]
    NotRising,
    /// A command that is sent after the end.
    #[error("sendAtSecs must be within the window")]
    AfterTheEnd,
    /// It would be read without a pause, or never.
    #[error("readEverySecs must be at least 1 and shorter than the window")]
    Reading,
}

impl Default for Timing {
    /// That of vendors whose devices obey within seconds, and now and then within minutes.
    fn default() -> Self {
        Self {
            window_secs: 30 * 60,
            send_at_secs: vec![0, 30, 90, 180, 360, 720, 1200],
            read_every_secs: 15,
        }
    }
}

impl Timing {
    /// That of vendors that pass a command on when the device next calls, every 5 to 15 minutes.
    pub fn slow() -> Self {
        Self {
            window_secs: 45 * 60,
            send_at_secs: vec![0, 15 * 60, 30 * 60],
            read_every_secs: 60,
        }
    }

    /// Whether it can work.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(&self) -> Result<(), BadTiming> {
        if self.send_at_secs.first() != Some(&0) {
            return Err(BadTiming::NotAtOnce);
        }
        if !self
            .send_at_secs
            .is_sorted_by(|before, after| before < after)
        {
            return Err(BadTiming::NotRising);
        }
        if self.send_at_secs.last() >= Some(&self.window_secs) {
            return Err(BadTiming::AfterTheEnd);
        }
        if self.read_every_secs == 0 || self.read_every_secs >= self.window_secs {
            return Err(BadTiming::Reading);
        }
        Ok(())
    }

    /// From the wish to the end of the window.
    pub fn window(&self) -> SignedDuration {
        SignedDuration::from_secs(self.window_secs.into())
    }

    /// When the next command is due after `count` of them: after the wish, and after the last one.
    pub(super) fn next(&self, count: u32) -> Option<(SignedDuration, SignedDuration)> {
        let index = usize::try_from(count).ok()?;
        let at = *self.send_at_secs.get(index)?;
        let before = index
            .checked_sub(1)
            .and_then(|last| self.send_at_secs.get(last));
        let gap = before.map_or(0, |before| at.saturating_sub(*before));
        let secs = |secs: u32| SignedDuration::from_secs(secs.into());
        Some((secs(at), secs(gap)))
    }
}
