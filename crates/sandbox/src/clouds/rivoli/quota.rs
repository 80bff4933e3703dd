//! Rivoli's strict quotas: sliding windows for each account, and for each app over all accounts.

use std::collections::{BTreeMap, VecDeque};

use crate::{clock::Millis, clouds::Refusal, world::World};

const TEN_MINUTES: i64 = 600;
const DAY: i64 = 86_400;
const ACCOUNT_IN_TEN_MINUTES: usize = 40;
const ACCOUNT_IN_A_DAY: usize = 3_000;

/// Moments of calls within a sliding window, and the most there ever were.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    calls: VecDeque<Millis>,
    pub(crate) busiest: usize,
}

impl Window {
    pub(crate) fn count(&mut self, now: Millis, seconds: i64) {
        self.slide(now, seconds);
        self.calls.push_back(now);
        self.busiest = self.busiest.max(self.calls.len());
    }

    /// Seconds until a call fits again; `None`: it fits now.
    fn wait(&mut self, now: Millis, seconds: i64, most: usize) -> Option<u32> {
        self.slide(now, seconds);
        let blocking = self.calls.len().checked_sub(most)?;
        let free_at = self
            .calls
            .get(blocking)
            .map_or(now, |call| call + seconds * 1000);
        let wait = (free_at - now).max(1);
        Some(u32::try_from((wait + 999) / 1000).unwrap_or(u32::MAX))
    }

    fn slide(&mut self, now: Millis, seconds: i64) {
        while self
            .calls
            .front()
            .is_some_and(|call| call + seconds * 1000 <= now)
        {
            self.calls.pop_front();
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct AccountQuota {
    in_ten_minutes: Window,
    in_a_day: Window,
}

/// What each app has spent.
#[derive(Debug)]
pub(crate) struct Apps {
    most: usize,
    apps: BTreeMap<String, App>,
}

#[derive(Debug, Default)]
pub(crate) struct App {
    window: Window,
    pub(crate) calls: u64,
    pub(crate) quota_exceeded: u64,
}

impl Apps {
    pub(crate) fn new(most: u32) -> Self {
        Self {
            most: most as usize,
            apps: BTreeMap::new(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &App)> {
        self.apps.iter()
    }
}

/// Spends one call of an account and an app, or refuses it.
pub(crate) fn spend(
    world: &mut World,
    account: &str,
    app: &str,
    now: Millis,
) -> Result<(), Refusal> {
    let Some(account) = world.accounts.get_mut(account) else {
        return Err(Refusal::Unauthorized);
    };
    let most = world.apps.most;
    let app = world.apps.apps.entry(app.to_owned()).or_default();
    let quota = &mut account.quota;
    let waits = [
        quota
            .in_ten_minutes
            .wait(now, TEN_MINUTES, ACCOUNT_IN_TEN_MINUTES),
        quota.in_a_day.wait(now, DAY, ACCOUNT_IN_A_DAY),
        app.window.wait(now, TEN_MINUTES, most),
    ];
    if let Some(wait) = waits.into_iter().flatten().max() {
        account.stats.quota_exceeded += 1;
        account.stats.rate_limited += 1;
        app.quota_exceeded += 1;
        return Err(Refusal::TooMany(wait));
    }
    quota.in_ten_minutes.count(now, TEN_MINUTES);
    quota.in_a_day.count(now, DAY);
    app.window.count(now, TEN_MINUTES);
    app.calls += 1;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_slides() {
        let mut window = Window::default();
        for second in 0..40 {
            assert_eq!(window.wait(second * 1000, TEN_MINUTES, 40), None);
            window.count(second * 1000, TEN_MINUTES);
        }
        assert_eq!(window.wait(40_000, TEN_MINUTES, 40), Some(560));
        assert_eq!(window.wait(599_999, TEN_MINUTES, 40), Some(1));
        assert_eq!(window.wait(600_000, TEN_MINUTES, 40), None);
        assert_eq!(window.busiest, 40);
    }
}
