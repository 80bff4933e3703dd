//! Calls against what a cloud permits.

use livewatt_domain::SignedDuration;
use livewatt_sandbox::{Answer, Cloud};

use super::Count;

impl Count {
    /// Counts a call against rivoli's quotas: 40 in ten minutes and 3,000 in a day for an account,
    /// 20,000 in ten minutes for the app. Refused calls are not counted there, so neither here.
    pub(super) fn count_call(&mut self, answer: &Answer) {
        if answer.cloud != Cloud::Rivoli
            || !matches!(answer.endpoint, "car" | "cars" | "command")
            || matches!(answer.status, 401 | 429)
        {
            return;
        }
        let (at, [mut in_10_minutes, mut in_a_day, mut of_app]) = (answer.at, self.busiest);
        let since = |minutes: i64| {
            at.saturating_sub(SignedDuration::from_mins(minutes))
                .unwrap()
        };
        let calls = &mut self.account(Cloud::Rivoli, &answer.account.clone()).calls;
        calls.push_back(at);
        while calls.front().is_some_and(|call| *call <= since(24 * 60)) {
            calls.pop_front();
        }
        in_a_day = in_a_day.max(calls.len());
        in_10_minutes = in_10_minutes.max(
            calls
                .iter()
                .rev()
                .take_while(|call| **call > since(10))
                .count(),
        );
        self.app_calls.push_back(at);
        while self
            .app_calls
            .front()
            .is_some_and(|call| *call <= since(10))
        {
            self.app_calls.pop_front();
        }
        of_app = of_app.max(self.app_calls.len());
        self.busiest = [in_10_minutes, in_a_day, of_app];
    }
}
