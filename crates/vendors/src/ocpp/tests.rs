//! Charge points played frame by frame.

mod fuzz;
mod merging;
mod orders;
mod quirks;
mod schema;
mod story;
mod vendor;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use livewatt_domain::{
    entropy::SeededEntropy,
    fact::{Observation, Presence, Reading},
};
use serde_json::{Value, json};

use super::{Session, Step};

const ID: &str = "LW-7K3M-9QXD";

/// A connected charge point and the time.
struct Bench {
    session: Session,
    now: Timestamp,
    calls: u32,
}

impl Bench {
    /// A session whose opening is over.
    fn new() -> Self {
        let mut bench = Self::unopened();
        bench.session.opened(bench.now);
        bench.wait(1);
        bench
    }

    fn unopened() -> Self {
        let entropy = Arc::new(SeededEntropy::new(7));
        let now = "2026-03-01T10:00:00Z".parse().unwrap();
        Self {
            session: Session::new(ID, None, entropy),
            now,
            calls: 0,
        }
    }

    fn wait(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    /// The time as a station writes it, `seconds` from now.
    fn time(&self, seconds: i64) -> String {
        let at = self.now + SignedDuration::from_secs(seconds);
        at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    fn receive(&mut self, frame: &str) -> Step {
        let step = self.session.receive(frame, self.now);
        for reply in &step.replies {
            schema::check(frame, reply);
        }
        step
    }

    /// Asks something with a fresh ID and returns the step and the answer: a payload, or the code of an
    /// error.
    fn ask(&mut self, action: &str, payload: Value) -> (Step, Value) {
        self.calls += 1;
        let id = format!("cp-{}", self.calls);
        let step = self.receive(&json!([2, id, action, payload]).to_string());
        assert_eq!(step.replies.len(), 1, "{action}");
        let mut reply: Vec<Value> = serde_json::from_str(&step.replies[0]).unwrap();
        assert_eq!(reply[1], id);
        (step, reply.remove(2))
    }

    /// Asks something that is answered by `{}` and returns what it said of connector 1.
    fn tell(&mut self, action: &str, payload: Value) -> Value {
        let (step, answer) = self.ask(action, payload);
        assert_eq!(answer, json!({}));
        said(&step.observations[0])
    }

    fn status(&mut self, word: &str) -> Value {
        self.wait(5);
        let payload = json!({ "connectorId": 1, "errorCode": "NoError", "status": word });
        self.tell("StatusNotification", payload)
    }

    fn start(&mut self, meter_wh: i64) -> i64 {
        let payload = json!({
            "connectorId": 1, "idTag": "A", "meterStart": meter_wh, "timestamp": self.time(0),
        });
        self.ask("StartTransaction", payload).1["transactionId"]
            .as_i64()
            .unwrap()
    }

    fn samples(&mut self, samples: Value) -> Value {
        let values = json!([{ "timestamp": self.time(0), "sampledValue": samples }]);
        self.tell(
            "MeterValues",
            json!({ "connectorId": 1, "meterValue": values }),
        )
    }
}

/// What an observation says: field and value, or null for unknown.
fn said(seen: &Observation) -> Value {
    let facts = seen.facts.iter().map(|fact| {
        let value = match &fact.reading {
            Reading::Known(value) => value.clone(),
            Reading::Unknown => Value::Null,
            Reading::Unsupported => "unsupported".into(),
        };
        (fact.field.path().to_owned(), value)
    });
    Value::Object(facts.collect())
}

fn is_online(step: &Step) -> bool {
    !step.observations.is_empty()
        && step
            .observations
            .iter()
            .all(|seen| seen.presence == Presence::Online)
}
