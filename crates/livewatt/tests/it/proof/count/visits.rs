//! Visits and pushes, as the record has them.

use std::collections::{BTreeMap, BTreeSet};

use livewatt_domain::{SignedDuration, Timestamp};
use livewatt_sandbox::{Answer, Cloud};

use super::{Certainty, Count, STEP, backoff, plus, with_jitter};
use crate::proof::told::{Contact, Told, contacts, devices, pushed};

impl Count {
    /// Takes what was answered within one step of the test, which ended at `now`.
    pub fn take(&mut self, answers: Vec<Answer>, now: Timestamp) {
        self.notice_dead(now);
        let mut visits: BTreeMap<String, Vec<Answer>> = BTreeMap::new();
        for answer in answers {
            self.count_call(&answer);
            match answer.endpoint {
                "push" => self.take_push(&answer),
                "subscription" | "authorize" | "command" => {}
                _ => visits
                    .entry(answer.account.clone())
                    .or_default()
                    .push(answer),
            }
        }
        for (account, answers) in visits {
            self.take_visit(&account, &answers);
        }
    }

    fn take_push(&mut self, answer: &Answer) {
        let is_dead = self.account(answer.cloud, &answer.account.clone()).is_dead;
        for (name, contact, at) in contacts(answer).into_iter().filter(|_| !is_dead) {
            // What was overtaken shows that it is there, and not what it does.
            let known_at = self
                .devices
                .get(&name)
                .and_then(|device| device.figures.known_at());
            let contact = match contact {
                Contact::Does(_) if at < known_at => Contact::Made,
                contact => contact,
            };
            self.spans.pushed(&name, answer.at, contact);
        }
        for told in pushed(answer) {
            let Some(device) = self.devices.get_mut(&told.device) else {
                continue;
            };
            // Dead credentials may have been noticed or not: then it is taken, or is nobody's.
            let figures = &mut device.figures;
            // Dead credentials may have been noticed or not: then it is taken, or is nobody's.
            match (told.is_rate_alone, figures.known()) {
                _ if is_dead => figures.doubt(answer.at),
                (true, None) => figures.doubt(answer.at),
                (true, Some(None)) => figures.take(None, told.at),
                _ => figures.take(told.figure, told.at),
            }
        }
    }

    fn take_visit(&mut self, id: &str, answers: &[Answer]) {
        let (cloud, at) = (answers[0].cloud, answers[0].at);
        self.account(cloud, id);
        let is_read = |a: &&Answer| matches!(a.endpoint, "account" | "car" | "live");
        self.reads += answers.iter().filter(is_read).count() as u64;
        let faults: BTreeSet<&'static str> =
            answers.iter().flat_map(|a| a.faults.clone()).collect();
        // A car that its cloud cannot reach, or no longer has, is an answer too; and so is a mere list
        // of devices, of which the rest is asked next.
        let is_well = |answer: &Answer| matches!(answer.status, 200 | 201);
        let is_list = |answer: &Answer| {
            !matches!(answer.endpoint, "cars" | "sites") || !answer.body.is_null()
        };
        let is_limited = answers.iter().any(|a| a.status == 429);
        let is_good = !is_limited
            && (answers
                .iter()
                .all(|a| !is_read(&a) && is_well(a) && is_list(a))
                || answers.iter().filter(is_read).any(|a| match a.status {
                    200 => !a.body.is_null(),
                    404 | 408 => true,
                    _ => false,
                }));
        self.judge_promptness(id, at);
        let mut owed_by = Timestamp::MAX;
        for answer in answers.iter().filter(is_read) {
            if answer.body.is_null()
                && is_good
                && let Some(device) = &answer.device
                && let Some(device) = self.devices.get_mut(device)
            {
                // Its cloud is well: the trouble is the car's own, and it waits for its turn.
                device.asked_at = at;
                device.troubles.insert(match answer.status {
                    404 => "gone",
                    408 => "offline",
                    _ => "device",
                });
            }
            if answer.body.is_null()
                && is_good
                && let Some(device) = &answer.device
            {
                self.spans.lost(device, at, Certainty::Certain);
            }
            for told in devices(answer) {
                self.devices_of(id).insert(told.device.clone());
                self.count_spans(cloud, at, &told, &faults);
                self.tell(id, cloud, at, &told.device, told.kind, told.news, &faults);
            }
        }
        for device in self.accounts[id].devices.clone() {
            let device = self.devices.get_mut(&device).unwrap();
            if is_good && cloud != Cloud::Rivoli {
                // One call asks about all of them, told or not.
                device.asked_at = at;
            }
            if device.told_at != at {
                device.troubles.extend(&faults);
            }
            owed_by = owed_by.min(plus(
                device.asked_at,
                with_jitter(device.kind.cadence(device.pace)),
            ));
        }
        let account = self.accounts.get_mut(id).unwrap();
        let said: Vec<_> = answers
            .iter()
            .map(|a| (a.endpoint, a.device.clone(), a.status))
            .collect();
        account
            .visits
            .push_back(format!("{at} {said:?} {faults:?}"));
        if account.visits.len() > 6 {
            account.visits.pop_front();
        }
        if !is_good {
            // How long a vendor wants us to wait decides whether data becomes too old by it.
            let certainty = match is_limited {
                true => Certainty::Doubtful,
                false => Certainty::Certain,
            };
            for device in &account.devices {
                self.spans.lost(device, at, certainty);
            }
        }
        let retry_after = answers.iter().filter_map(|a| a.retry_after_seconds).max();
        // A refused refresh is the end; rivoli has none and logs in again.
        let is_dead = faults.contains("dead_token") && cloud != Cloud::Rivoli && !is_good;
        account.owed_by = if is_dead || account.is_dead {
            None
        } else if is_good {
            account.failures = 0;
            Some(owed_by.min(plus(at, SignedDuration::from_mins(23))))
        } else if let Some(seconds) = retry_after {
            Some(plus(
                at,
                SignedDuration::from_secs(i64::from(seconds) + 10) + STEP,
            ))
        } else {
            account.failures += 1;
            Some(plus(at, backoff(account.failures)))
        };
        if is_dead {
            self.died(cloud, id, at);
        }
        if !is_good {
            for fault in &faults {
                *self.bad_visits.entry(fault).or_default() += 1;
            }
            if faults.is_empty() {
                let endpoints: Vec<_> = answers.iter().map(|a| (a.endpoint, a.status)).collect();
                // Tokens that were revoked are refused without any fault.
                if !endpoints
                    .iter()
                    .any(|(_, status)| matches!(status, 400 | 401))
                {
                    self.note(format!(
                        "{id} at {at}: a bad visit without a fault: {endpoints:?}"
                    ));
                }
                self.died(cloud, id, at);
            }
        }
    }

    fn count_spans(
        &mut self,
        cloud: Cloud,
        at: Timestamp,
        told: &Told,
        faults: &BTreeSet<&'static str>,
    ) {
        let is_nonsense = faults.contains("garbage");
        let certainty = match is_nonsense || faults.contains("clock_skew") {
            true => Certainty::Doubtful,
            false => Certainty::Certain,
        };
        match told.news {
            Some(news) if told.is_online => {
                let device = (cloud, told.kind, told.device.as_str());
                self.spans.told(device, at, news.doing, certainty);
            }
            _ => self.spans.lost(&told.device, at, certainty),
        }
    }

    fn devices_of(&mut self, account: &str) -> &mut BTreeSet<String> {
        &mut self.accounts.get_mut(account).unwrap().devices
    }
}
