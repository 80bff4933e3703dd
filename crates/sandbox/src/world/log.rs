//! The history of one device: every change of a word, a switch, a setting, or a whole percent.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::clock::{Seconds, timestamp};

const KEPT: usize = 2_000;

/// A value worth a line in the history.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Word {
    Text(&'static str),
    Switch(bool),
    Number(i64),
    Temperature(f64),
}

impl Word {
    fn json(self) -> Value {
        match self {
            Word::Text(text) => json!(text),
            Word::Switch(on) => json!(on),
            Word::Number(number) => json!(number),
            Word::Temperature(degrees) => json!(degrees),
        }
    }
}

pub(crate) type Field = (&'static str, Word);

#[derive(Clone, Debug)]
struct Change {
    at: Seconds,
    field: &'static str,
    from: Word,
    to: Word,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    last: Vec<Field>,
    changes: VecDeque<Change>,
}

impl Log {
    /// Compares with the last look; the fields must be the same each time.
    pub(crate) fn observe(&mut self, tick: Seconds, fields: &[Field]) {
        // The names are the same each time: a look at the values will do.
        let is_same = |(before, after): (&Field, &Field)| before.1 == after.1;
        if self.last.len() == fields.len() && self.last.iter().zip(fields).all(is_same) {
            return;
        }
        for (before, after) in self.last.iter().zip(fields) {
            if before.1 != after.1 {
                if self.changes.len() == KEPT {
                    self.changes.pop_front();
                }
                let change = Change {
                    at: tick,
                    field: after.0,
                    from: before.1,
                    to: after.1,
                };
                self.changes.push_back(change);
            }
        }
        self.last.clear();
        self.last.extend_from_slice(fields);
    }

    pub(crate) fn json(&self) -> Value {
        let line = |change: &Change| {
            json!({
                "at": timestamp(change.at),
                "field": change.field,
                "from": change.from.json(),
                "to": change.to.json(),
            })
        };
        self.changes.iter().map(line).collect()
    }
}
